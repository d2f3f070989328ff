/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/build.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "build/builder.h"

#define ATTEMPTS_MAX 3 /* to build a file that others write to */
#define WRITER_MS 2000 /* how long they are waited for */

/* Exported are the namespaced functions, the descriptor, and the table of an
 * interface object. */
static const char exports_map[] = "{ global: molt$*; local: *; };\n";

void molt_builder_free(struct molt_builder *b)
{
    if (!b)
        return;
    molt_strmap_fini(&b->headers, molt_header_free);
    molt_strmap_fini(&b->units, molt_unit_free);
    molt_strmap_fini(&b->linked, molt_linked_free);
    molt_project_free(b->project);
    molt_share_fini(&b->share);
    molt_toolchain_free(b->tools);
    molt_files_free(b->files);
    free(b->root);
    if (b->temp)
        molt_builder_clean(b);
    free(b->dir);
    free(b->temp);
    free(b->sanitizer);
    free(b);
}

int molt_builder_folders(struct molt_builder *b, struct molt_error *err)
{
    static const char *const folders[] = {"store", "obj", "cache"};
    char path[PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", b->dir, folders[i]);
        rc = molt_file_mkdirs(path, err);
    }
    if (rc == 0)
        rc = molt_file_mkdirs(b->temp, err);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof(path), "%s/cache/exports.map", b->dir);
    rc = molt_file_update(path, exports_map, sizeof(exports_map) - 1, err);
    return rc < 0 ? rc : 0;
}

static void remove_files(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));)
        unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

void molt_builder_clean(const struct molt_builder *b)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/tmp", b->dir);
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));) {
        char path[PATH_MAX + NAME_MAX + 2];
        long pid = strtol(e->d_name, NULL, 10);
        if (pid <= 0 || (pid != getpid() && !(kill((pid_t)pid, 0) < 0 && errno == ESRCH)))
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        remove_files(path);
    }
    closedir(dir);
}

static int open_tools(struct molt_builder *b, struct molt_error *err)
{
    if (b->tools && molt_toolchain_is_current(b->tools, b->project->cc))
        return 0;
    char cache[PATH_MAX];
    snprintf(cache, sizeof(cache), "%s/cache", b->dir);
    struct molt_toolchain *tools = NULL;
    int rc = molt_toolchain_open(b->project->cc, cache, &tools, err);
    if (rc < 0)
        return rc;
    molt_toolchain_free(b->tools);
    b->tools = tools;
    return 0;
}

static int check_sanitizer(const struct molt_builder *b, struct molt_error *err)
{
    if (b->sanitizer && strstr(b->sanitizer, "thread") && !b->tools->is_clang)
        return molt_error_set(err, MOLT_ENOTSUP,
                              "the thread sanitizer needs `cc = clang` in molt.conf: gcc's can't "
                              "follow many stacks");
    return 0;
}

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

static int init(struct molt_builder *b, const char *root, const struct molt_build_options *options,
                struct molt_error *err)
{
    int rc = molt_project_load(root, &b->project, err);
    if (rc < 0)
        return rc;
    b->is_dev = options && options->is_dev;
    b->jobs = options && options->jobs ? options->jobs : cores();
    b->interrupt = options ? options->interrupt : NULL;
    b->root = strdup(b->project->root);
    b->files = molt_files_new();
    if (options && options->sanitizer && *options->sanitizer) {
        b->sanitizer = strdup(options->sanitizer);
        rc = b->sanitizer ? 0 : MOLT_ENOMEM;
    }
    if (asprintf(&b->dir, "%s/.molt", b->project->root) < 0)
        b->dir = NULL;
    if (asprintf(&b->temp, "%s/.molt/tmp/%ld", b->project->root, (long)getpid()) < 0)
        b->temp = NULL;
    if (rc < 0 || !b->root || !b->files || !b->dir || !b->temp)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    rc = molt_share_find(&b->share, err);
    if (rc == 0)
        rc = molt_builder_folders(b, err);
    if (rc == 0)
        rc = open_tools(b, err);
    if (rc == 0)
        rc = check_sanitizer(b, err);
    if (rc == 0) {
        molt_builder_clean(b);
        molt_state_load(b);
    }
    return rc;
}

int molt_builder_new(const char *root, const struct molt_build_options *options,
                     struct molt_builder **ret, struct molt_error *err)
{
    struct molt_builder *b = calloc(1, sizeof(*b));
    if (!b)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    int rc = init(b, root, options, err);
    if (rc < 0) {
        molt_builder_free(b);
        return rc;
    }
    *ret = b;
    return 0;
}

const struct molt_project *molt_builder_project(const struct molt_builder *builder)
{
    return builder->project;
}

void molt_build_result_free(struct molt_build_result *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_diagnostics; i++) {
        free(r->diagnostics[i].file);
        free(r->diagnostics[i].message);
    }
    free(r->diagnostics);
    for (size_t i = 0; i < r->n_modules; i++) {
        free(r->modules[i].module);
        free(r->modules[i].image_path);
        molt_meta_free(r->modules[i].meta);
    }
    free(r->modules);
    for (size_t i = 0; i < r->n_deleted; i++)
        free(r->deleted[i]);
    free(r->deleted);
    free(r->output);
    free(r);
}

/* ---- one build --------------------------------------------------------------- */

/* Two builders of one project (molt dev, and molt build beside it) take turns.
 * Returns the descriptor that holds the lock. */
static int lock(const struct molt_builder *b, struct molt_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/lock", b->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return molt_error_set(err, MOLT_EIO, "can't open %s: %s", path, strerror(errno));
    while (flock(fd, LOCK_EX) < 0) {
        if (errno == EINTR)
            continue;
        molt_error_set(err, MOLT_EIO, "can't lock %s: %s", path, strerror(errno));
        close(fd);
        return MOLT_EIO;
    }
    return fd;
}

static int steps(struct molt_run *run)
{
    struct molt_build_result *r = run->result;
    uint64_t start = molt_clock_ns();
    int rc = molt_run_headers(run);
    r->scan_ns += molt_clock_ns() - start;
    start = molt_clock_ns();
    if (rc == 0 && r->code == 0)
        rc = molt_run_units(run);
    r->compile_ns = molt_clock_ns() - start;
    if (rc == 0 && r->code == 0)
        rc = molt_run_link(run);
    return rc;
}

/* Records of modules that are no more. */
static int drop_deleted(struct molt_run *run)
{
    struct molt_builder *b = run->builder;
    struct molt_build_result *r = run->result;
    r->deleted = calloc(b->linked.n + 1, sizeof(*r->deleted));
    if (!r->deleted)
        return molt_error_set(run->err, MOLT_ENOMEM, "out of memory");
    for (size_t i = 0; i < b->linked.n; i++) {
        struct molt_strmap_entry *e = &b->linked.entries[i];
        bool exists = false;
        for (size_t k = 0; k < run->n_modules; k++)
            exists = exists || strcmp(run->modules[k]->name, e->key) == 0;
        if (exists || !e->value)
            continue;
        if (!(r->deleted[r->n_deleted] = strdup(e->key)))
            return molt_error_set(run->err, MOLT_ENOMEM, "out of memory");
        r->n_deleted++;
        molt_linked_free(e->value);
        e->value = NULL;
        b->is_dirty = true;
    }
    return 0;
}

/* Hand the messages over to the result. */
static int finish(struct molt_run *run)
{
    struct molt_build_result *r = run->result;
    r->n_diagnostics = run->diagnostics.n;
    r->diagnostics = run->diagnostics.v;
    bool is_failed = run->diagnostics.is_failed || run->output.is_failed;
    run->diagnostics = (struct molt_diagnostics){0};
    molt_buf_printf(&run->output, "%s", "");
    r->output = molt_buf_take(&run->output);
    if (is_failed || !r->output)
        return molt_error_set(run->err, MOLT_ENOMEM, "out of memory");
    return 0;
}

static int run_all(struct molt_run *run)
{
    struct molt_builder *b = run->builder;
    int rc = molt_builder_folders(b, run->err);
    if (rc == 0)
        rc = open_tools(b, run->err);
    if (rc == 0)
        rc = check_sanitizer(b, run->err);
    if (rc < 0)
        return rc;
    int fd = lock(b, run->err);
    if (fd < 0)
        return fd;
    rc = steps(run);
    if (rc == 0 && run->result->code == 0 && !run->only)
        rc = drop_deleted(run);
    if (rc == 0 && !run->only)
        rc = molt_run_commands(run);
    int stored = molt_state_store(b, rc == 0 ? run->err : NULL);
    close(fd);
    rc = rc < 0 ? rc : stored;
    return rc < 0 ? rc : finish(run);
}

static int build(struct molt_builder *b, size_t n_modules,
                 const struct molt_project_module *const *modules, const char *only, uint64_t start,
                 struct molt_build_result **ret, struct molt_error *err)
{
    struct molt_run run = {.builder = b,
                           .n_modules = n_modules,
                           .modules = modules,
                           .only = only,
                           .err = err,
                           .result = calloc(1, sizeof(*run.result))};
    int rc = run.result ? 0 : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc == 0) {
        run.result->scan_ns = molt_clock_ns() - start;
        rc = run_all(&run);
    }
    molt_diagnostics_fini(&run.diagnostics);
    molt_buf_fini(&run.output);
    if (rc < 0)
        molt_build_result_free(run.result);
    else
        *ret = run.result;
    return rc;
}

/* Read molt.conf and the folders again. */
static int rescan(struct molt_builder *b, struct molt_error *err)
{
    struct molt_project *project = NULL;
    int rc = molt_project_load(b->root, &project, err);
    if (rc < 0)
        return rc;
    molt_project_free(b->project);
    b->project = project;
    molt_files_next(b->files);
    return 0;
}

int molt_builder_run(struct molt_builder *b, size_t n_changed, const char *const *changed,
                     struct molt_build_result **ret, struct molt_error *err)
{
    uint64_t start = molt_clock_ns();
    int rc = rescan(b, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_changed; i++)
        molt_files_forget(b->files, changed[i]);
    const struct molt_project_module **modules =
        calloc(b->project->n_modules + 1, sizeof(*modules));
    if (!modules)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    for (size_t i = 0; i < b->project->n_modules; i++)
        modules[i] = &b->project->modules[i];
    rc = build(b, b->project->n_modules, modules, NULL, start, ret, err);
    free(modules);
    return rc;
}

/* ---- one file ---------------------------------------------------------------- */

/* NAME.h beside @source, if there is one; malloc'd. */
static char *header_beside(const char *source)
{
    char *path = strdup(source);
    if (!path)
        return NULL;
    path[strlen(path) - 1] = 'h';
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static bool is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return n && n < 64 && !name[n] && !(name[0] >= '0' && name[0] <= '9');
}

static int build_file(struct molt_builder *b, char *source, const char *name,
                      struct molt_build_result **ret, struct molt_error *err)
{
    uint64_t start = molt_clock_ns();
    char empty[] = "", *copy = strdup(name), *header = header_beside(source);
    struct molt_project_module file = {.name = copy,
                                       .n_sources = 1,
                                       .sources = &source,
                                       .header = header,
                                       .cflags = empty,
                                       .libs = empty};
    size_t n = b->project->n_modules, k = 0;
    const struct molt_project_module **modules = calloc(n + 2, sizeof(*modules));
    int rc = modules && copy ? 0 : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct molt_project_module *m = &b->project->modules[i];
        if (strcmp(m->name, name) != 0) {
            modules[k++] = m;
            continue;
        }
        /* It takes the place of the project's own: with its header and flags. */
        file.header = header ? header : m->header;
        file.cflags = m->cflags;
        file.libs = m->libs;
    }
    if (rc == 0) {
        modules[k++] = &file;
        rc = build(b, k, modules, name, start, ret, err);
    }
    free(modules);
    free(copy);
    free(header);
    return rc;
}

static bool is_unchanged(const char *source, const struct stat *before)
{
    struct stat now;
    return stat(source, &now) == 0 && now.st_ino == before->st_ino &&
           now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

/* Half of a text may compile, too: only what nobody wrote to counts. */
static int build_whole_file(struct molt_builder *b, char *source, const char *name,
                            struct molt_build_result **ret, struct molt_error *err)
{
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        struct stat before;
        int rc = molt_file_await_writers(source, WRITER_MS, err);
        if (rc == 0 && stat(source, &before) < 0)
            rc = molt_error_set(err, MOLT_ENOENT, "%s: %s", source, strerror(errno));
        if (rc == 0)
            rc = build_file(b, source, name, ret, err);
        if (rc < 0)
            return rc;
        if (is_unchanged(source, &before) && molt_file_await_writers(source, 0, NULL) == 0)
            return 0;
        molt_build_result_free(*ret);
        *ret = NULL;
        molt_files_next(b->files);
    }
    return molt_error_set(err, MOLT_EBUSY, "%s changes all the time; load it when it is saved",
                          source);
}

int molt_builder_file(struct molt_builder *b, const char *path, const char *name,
                      struct molt_build_result **ret, struct molt_error *err)
{
    char real[PATH_MAX];
    struct stat st;
    size_t len = strlen(path);
    if (!is_name(name))
        return molt_error_set(err, MOLT_EINVAL,
                              "`%s` can't be a module's name: letters, digits and underscores, no "
                              "digit first",
                              name);
    if (len < 3 || strcmp(path + len - 2, ".c") != 0)
        return molt_error_set(err, MOLT_EINVAL, "%s is not a C file (*.c)", path);
    if (!realpath(path, real) || stat(real, &st) < 0 || !S_ISREG(st.st_mode))
        return molt_error_set(err, MOLT_ENOENT, "can't read %s: %s", path,
                              errno ? strerror(errno) : "not a file");
    if (!st.st_size)
        return molt_error_set(err, MOLT_EINVAL, "%s is empty: there is nothing to load", path);
    int rc = rescan(b, err);
    return rc < 0 ? rc : build_whole_file(b, real, name, ret, err);
}
