/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "support/module_maker.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS_MAX 64

extern char **environ;

/* Of an interface object, for the linker itself. */
static const char *const link_flags[] = {
    "-shared",          "-z", "now", "-z", "relro", "-z", "noexecstack", "--build-id=sha1",
    "--hash-style=gnu",
};

/* A command line under construction; strings that were made are freed by it. */
struct command {
    char *args[ARGS_MAX];
    size_t n;
};

static void add(struct command *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct command *cmd, const char *fmt, ...)
{
    va_list ap;
    assert_true(cmd->n + 1 < ARGS_MAX);
    va_start(ap, fmt);
    assert_true(vasprintf(&cmd->args[cmd->n], fmt, ap) >= 0);
    va_end(ap);
    cmd->args[++cmd->n] = NULL;
}

static void add_all(struct command *cmd, const char *const *flags)
{
    for (size_t i = 0; i < MODULE_FLAGS_MAX && flags[i]; i++)
        add(cmd, "%s", flags[i]);
}

static void command_fini(struct command *cmd)
{
    for (size_t i = 0; i < cmd->n; i++)
        free(cmd->args[i]);
    cmd->n = 0;
}

static void show_failure(const struct command *cmd, const char *log)
{
    char text[4096];
    FILE *file = fopen(log, "re");
    for (size_t i = 0; i < cmd->n; i++)
        print_error("%s ", cmd->args[i]);
    print_error("\n");
    while (file && fgets(text, sizeof text, file))
        print_error("%s", text);
    if (file)
        fclose(file);
}

/* Run @cmd, which is consumed; its output is shown only if it fails. */
static void run(struct module_maker *maker, struct command *cmd)
{
    char log[192];
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_t actions;
    snprintf(log, sizeof log, "%s/log-%u", maker->dir, maker->n_commands++);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int rc = posix_spawnp(&pid, cmd->args[0], &actions, NULL, cmd->args, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc == 0 && (waitpid(pid, &status, 0) != pid || status != 0))
        rc = -1;
    if (rc != 0) {
        show_failure(cmd, log);
        fail_msg("%s failed, see above", cmd->args[0]);
    }
    unlink(log);
    command_fini(cmd);
}

static char *path_of(const struct module_maker *maker, const char *name, const char *suffix)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s%s", maker->dir, name, suffix) > 0);
    return path;
}

void module_maker_init(struct module_maker *maker, const char *cc, const char *opt,
                       const char *linker)
{
    const char *tmp = getenv("TMPDIR");
    memset(maker, 0, sizeof *maker);
    snprintf(maker->dir, sizeof maker->dir, "%s/molt-test-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(maker->dir));
    maker->cc = cc;
    maker->opt = opt;
    maker->linker = linker;
    free(module_maker_write(maker, "exports.map", "{ global: molt$*; local: *; };\n"));
}

void module_maker_fini(struct module_maker *maker)
{
    DIR *dir = opendir(maker->dir);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    assert_int_equal(rmdir(maker->dir), 0);
}

char *module_maker_write(struct module_maker *maker, const char *name, const char *text)
{
    char *path = path_of(maker, name, "");
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void compile(struct module_maker *maker, const struct module_source *source, const char *c,
                    const char *object)
{
    struct command cmd = {0};
    add(&cmd, "%s", maker->cc);
    add(&cmd, "%s", maker->opt);
    add(&cmd, "-g");
    add(&cmd, "-fPIC");
    if (!source->is_library) {
        add(&cmd, "-fno-plt");
        add(&cmd, "-fno-common");
        add(&cmd, "-ftls-model=global-dynamic");
        add(&cmd, "-fstack-clash-protection");
        /* clang's flag of that name makes &f local to the module. */
        if (strcmp(maker->cc, "gcc") == 0) {
            add(&cmd, "-fno-semantic-interposition");
            add(&cmd, "-fno-ipa-icf");
        }
    }
    add_all(&cmd, source->cflags);
    add(&cmd, "-c");
    add(&cmd, "%s", c);
    add(&cmd, "-o");
    add(&cmd, "%s", object);
    run(maker, &cmd);
}

char *module_maker_build(struct module_maker *maker, const struct module_source *source)
{
    struct command cmd = {0};
    char *output = path_of(maker, source->output, ".so");
    add(&cmd, "%s", maker->cc);
    add(&cmd, "-shared");
    add(&cmd, "-o");
    add(&cmd, "%s", output);
    for (size_t i = 0; i < MODULE_SOURCES_MAX && source->sources[i]; i++) {
        add(&cmd, "%s/%s-%zu.o", maker->dir, source->output, i);
        compile(maker, source, source->sources[i], cmd.args[cmd.n - 1]);
    }
    add(&cmd, "-fuse-ld=%s", maker->linker);
    add(&cmd, "-nostartfiles");
    add(&cmd, "-Wl,-z,now,-z,relro,-z,noexecstack,--build-id=sha1,--hash-style=gnu");
    if (!source->is_library)
        add(&cmd, "-Wl,--version-script=%s/exports.map", maker->dir);
    add_all(&cmd, source->ldflags);
    run(maker, &cmd);
    return output;
}

char *module_maker_interface(struct module_maker *maker, const char *output, size_t n_exports,
                             const struct module_export *exports)
{
    struct command cmd = {0};
    char *text = path_of(maker, output, ".s");
    char *object = path_of(maker, output, ".o");
    char *linked = path_of(maker, output, ".so");
    FILE *file = fopen(text, "we");
    assert_non_null(file);
    assert_int_equal(interface_text(file, n_exports, exports), 0);
    assert_int_equal(fclose(file), 0);
    add(&cmd, "as");
    add(&cmd, "-o");
    add(&cmd, "%s", object);
    add(&cmd, "%s", text);
    run(maker, &cmd);
    add(&cmd, "ld.%s", maker->linker);
    for (size_t i = 0; i < sizeof link_flags / sizeof *link_flags; i++)
        add(&cmd, "%s", link_flags[i]);
    add(&cmd, "-o");
    add(&cmd, "%s", linked);
    add(&cmd, "%s", object);
    run(maker, &cmd);
    free(text);
    free(object);
    return linked;
}
