/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "support/compile.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "port/module_flags.h"

static const char export_map[] = "{ global: molt$*; local: *; };\n";

void compile_init(struct compile *c, const char *cc, const char *cflags)
{
    *c = (struct compile){.cc = cc, .cflags = cflags, .ldflags = ""};
    snprintf(c->dir, sizeof c->dir, "/tmp/molt-test-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    compile_write(c, "exports.map", export_map);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void compile_fini(struct compile *c)
{
    if (c->dir[0])
        nftw(c->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    c->dir[0] = '\0';
}

char *compile_path(struct compile *c, const char *name)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s", c->dir, name) >= 0);
    return path;
}

void compile_write(struct compile *c, const char *name, const char *text)
{
    char *path = compile_path(c, name);
    for (size_t i = strlen(c->dir) + 1; path[i]; i++) {
        if (path[i] != '/')
            continue;
        path[i] = '\0';
        assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
        path[i] = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(path);
}

static void show_log(struct compile *c, const char *line)
{
    size_t len;
    uint8_t *log = compile_read(c, "log", &len);
    fprintf(stderr, "%s\n%.*s\n", line, (int)len, (char *)log);
    free(log);
}

void compile_run(struct compile *c, const char *fmt, ...)
{
    char *command, *line;
    va_list ap;
    va_start(ap, fmt);
    assert_true(vasprintf(&command, fmt, ap) >= 0);
    va_end(ap);
    assert_true(asprintf(&line, "cd %s && { %s ; } >log 2>&1", c->dir, command) >= 0);
    int rc = system(line); /* a shell: flags may hold several words */
    if (rc != 0)
        show_log(c, line);
    free(line);
    free(command);
    assert_int_equal(rc, 0);
}

void compile_object(struct compile *c, const char *source, const char *object)
{
    bool is_clang = strcmp(c->cc, "clang") == 0;
    const char *own = is_clang ? "" : "-fno-semantic-interposition -fno-ipa-icf";
    char cpu[256] = "";
    for (const char *const *flag = molt_port_module_flags(is_clang); *flag; flag++)
        snprintf(cpu + strlen(cpu), sizeof cpu - strlen(cpu), "%s ", *flag);
    compile_run(c,
                "%s -std=gnu17 -fPIC %s -fno-plt -g -ftls-model=global-dynamic %s-fno-common -I. "
                "-I" MOLT_SOURCE_DIR "/include %s -c %s -o %s",
                c->cc, own, cpu, c->cflags, source, object);
}

void compile_link(struct compile *c, const char *objects, const char *output)
{
    compile_run(c,
                "%s -shared -nostdlib -Wl,-z,now -Wl,-z,relro -Wl,-z,noexecstack "
                "-Wl,--build-id=sha1 -Wl,--hash-style=gnu -Wl,--version-script=exports.map "
                "-o %s %s %s -lgcc -l:libc.so.6",
                c->cc, output, objects, c->ldflags);
}

uint8_t *compile_read(struct compile *c, const char *name, size_t *ret_len)
{
    char *path = compile_path(c, name);
    FILE *file = fopen(path, "r");
    free(path);
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long len = ftell(file);
    assert_true(len >= 0);
    rewind(file);
    uint8_t *bytes = malloc((size_t)len + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)len, file), (size_t)len);
    fclose(file);
    *ret_len = (size_t)len;
    return bytes;
}
