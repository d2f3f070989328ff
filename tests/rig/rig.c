/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "rig/rig.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "build/build.h"
#include "rig/match.h"

struct rig {
    char root[256];
    struct molt_builder *builder;
    struct molt_host *host;
    struct molt_build_result *built;
    struct molt_error err;
    struct molt_upgrade_result result;
    char why[4096];
};

static void must(bool ok, const char *what)
{
    if (!ok)
        fail_msg("rig: %s", what);
}

/* Module code of a failing test is named in full by its log. */
static void print_log(void *user, enum molt_level level, const char *text)
{
    (void)user;
    if (level >= MOLT_WARN && getenv("RIG_LOG"))
        fprintf(stderr, "host: %s\n", text);
}

static const char *no_config(void *user, const char *key)
{
    (void)user;
    (void)key;
    return NULL;
}

struct rig *rig_new(const struct rig_options *options)
{
    struct rig_options o = options ? *options : (struct rig_options){0};
    struct rig *rig = calloc(1, sizeof(*rig));
    must(rig != NULL, "out of memory");
    snprintf(rig->root, sizeof(rig->root), "%s/rig-XXXXXX", MOLT_BINARY_DIR);
    must(mkdtemp(rig->root) != NULL, "mkdtemp");
    char conf[512];
    snprintf(conf, sizeof(conf), "name = rig\ncc = %s\ncflags = %s\nstart = app\n",
             o.cc ? o.cc : MOLT_TEST_CC, o.cflags ? o.cflags : "-O1 -g");
    rig_write(rig, "molt.conf", conf);
    char store[300];
    snprintf(store, sizeof(store), "%s/host-store", rig->root);
    must(mkdir(store, 0755) == 0, "mkdir");
    struct molt_host_config config = {
        .size = sizeof(config),
        .store = store,
        .workers = o.workers ? o.workers : 2,
        .worlds_max = o.worlds_max,
        .is_sealed = o.is_sealed,
        .log = print_log,
        .config_get = no_config,
    };
    if (molt_host_new(&config, &rig->host, &rig->err) < 0)
        fail_msg("rig: %s", rig->err.text);
    return rig;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

void rig_free(struct rig *rig)
{
    if (!rig)
        return;
    molt_host_free(rig->host);
    molt_build_result_free(rig->built);
    molt_builder_free(rig->builder);
    molt_upgrade_result_fini(&rig->result);
    nftw(rig->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(rig);
}

struct molt_host *rig_host(struct rig *rig)
{
    return rig->host;
}

const char *rig_root(const struct rig *rig)
{
    return rig->root;
}

const char *rig_error(const struct rig *rig)
{
    return rig->err.text;
}

const struct molt_upgrade_result *rig_result(const struct rig *rig)
{
    return &rig->result;
}

/* ---- sources ---------------------------------------------------------------- */

void rig_write(struct rig *rig, const char *path, const char *text)
{
    char full[600];
    snprintf(full, sizeof(full), "%s/%s", rig->root, path);
    for (char *slash = strchr(full + strlen(rig->root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "we");
    must(file && fputs(text, file) >= 0 && fclose(file) == 0, full);
}

void rig_remove(struct rig *rig, const char *path)
{
    char full[600];
    snprintf(full, sizeof(full), "%s/%s", rig->root, path);
    must(unlink(full) == 0, full);
}

int rig_build(struct rig *rig)
{
    rig->err = (struct molt_error){0};
    if (!rig->builder) {
        struct molt_build_options options = {.jobs = 2, .sanitizer = MOLT_TEST_SANITIZER};
        int rc = molt_builder_new(rig->root, &options, &rig->builder, &rig->err);
        if (rc < 0)
            return rc;
    }
    struct molt_build_result *built = NULL;
    int rc = molt_builder_run(rig->builder, 0, NULL, &built, &rig->err);
    if (rc == 0 && built->code < 0) {
        rc = built->code;
        molt_error_set(&rig->err, rc, "%s",
                       built->n_diagnostics ? built->diagnostics[0].message
                       : built->output      ? built->output
                                            : "");
        for (size_t i = 1; i < built->n_diagnostics; i++) {
            char more[MOLT_ERROR_TEXT_MAX];
            snprintf(more, sizeof(more), "%s", rig->err.text);
            molt_error_set(&rig->err, rc, "%.500s\n%s", more, built->diagnostics[i].message);
        }
    }
    if (rc < 0) {
        molt_build_result_free(built);
        return rc;
    }
    molt_build_result_free(rig->built);
    rig->built = built;
    return 0;
}

/* ---- staging ---------------------------------------------------------------- */

struct known {
    char **names;
    size_t n;
};

static void add_known(void *user, const struct molt_iface_info *info)
{
    struct known *k = user;
    char name[512];
    must(molt_meta_symbol_name(name, sizeof(name), info->module, info->name, info->sig) > 0,
         "symbol name");
    k->names = realloc(k->names, (k->n + 1) * sizeof(*k->names));
    k->names[k->n++] = strdup(name);
}

static int stage_interface(struct rig *rig, uint64_t stage)
{
    struct known known = {0};
    molt_code_each_iface(molt_host_code(rig->host), add_known, &known);
    const struct molt_meta **metas = calloc(rig->built->n_modules + 1, sizeof(*metas));
    for (size_t i = 0; i < rig->built->n_modules; i++)
        metas[i] = rig->built->modules[i].meta;
    char *path = NULL;
    int rc = molt_builder_interface(rig->builder, rig->built->n_modules, metas, known.n,
                                    (const char *const *)known.names, &path, &rig->err);
    for (size_t i = 0; i < known.n; i++)
        free(known.names[i]);
    free(known.names);
    free((void *)(uintptr_t)metas);
    if (rc < 0 || !path)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0, path);
    uint8_t digest[MOLT_SHA256_BYTES];
    must(molt_sha256_fd(fd, digest) == 0, "digest");
    rc = molt_stage_interface(molt_host_code(rig->host), stage, fd, digest, &rig->err);
    close(fd);
    free(path);
    return rc;
}

static struct molt_meta *copy_meta(const struct molt_meta *meta)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    struct molt_meta *copy = NULL;
    must(molt_meta_encode(meta, &buf) == 0, "encode");
    struct molt_error err = {0};
    if (molt_meta_decode(buf.data, buf.len, &copy, &err) < 0)
        fail_msg("rig: %s", err.text);
    molt_buf_fini(&buf);
    return copy;
}

static int stage_module(struct rig *rig, uint64_t stage, const struct molt_built_module *m)
{
    struct molt_meta *meta = copy_meta(m->meta);
    int rc;
    if (m->is_kept && rig_version(rig, m->module)) {
        rc = molt_stage_keep(molt_host_code(rig->host), stage, meta, &rig->err);
    } else {
        int fd = open(m->image_path, O_RDONLY | O_CLOEXEC);
        must(fd >= 0, m->image_path);
        rc = molt_stage_put(molt_host_code(rig->host), stage, meta, fd, &rig->err);
        close(fd);
    }
    if (rc < 0)
        molt_meta_free(meta);
    struct rig_match match = {molt_host_code(rig->host), stage, rig->root};
    return rc < 0 ? rc : rig_match_module(&match, m->module, m->image_path, &rig->err);
}

static bool is_built(const struct rig *rig, const char *module)
{
    for (size_t i = 0; i < rig->built->n_modules; i++)
        if (strcmp(rig->built->modules[i].module, module) == 0)
            return true;
    return false;
}

struct gone {
    const struct rig *rig;
    char names[32][64];
    size_t n;
};

static void find_gone(void *user, const struct molt_version_info *info)
{
    struct gone *g = user;
    if (info->is_current && !is_built(g->rig, info->module) && g->n < 32)
        snprintf(g->names[g->n++], sizeof(g->names[0]), "%s", info->module);
}

int rig_stage(struct rig *rig, uint64_t *ret_stage)
{
    rig->err = (struct molt_error){0};
    struct molt_code *code = molt_host_code(rig->host);
    uint64_t stage;
    int rc = molt_stage_begin(code, &stage, &rig->err);
    if (rc < 0)
        return rc;
    rc = stage_interface(rig, stage);
    for (size_t i = 0; rc >= 0 && i < rig->built->n_modules; i++)
        rc = stage_module(rig, stage, &rig->built->modules[i]);
    struct gone gone = {.rig = rig};
    molt_code_each_version(code, find_gone, &gone);
    for (size_t i = 0; rc >= 0 && i < gone.n; i++)
        rc = molt_stage_delete(code, stage, gone.names[i], &rig->err);
    if (rc < 0) {
        molt_stage_abort(code, stage);
        return rc;
    }
    *ret_stage = stage;
    return 0;
}

int rig_apply(struct rig *rig, uint64_t stage, int deadline_ms)
{
    molt_upgrade_result_fini(&rig->result);
    rig->result = (struct molt_upgrade_result){0};
    rig->err = (struct molt_error){0};
    return molt_upgrade_apply(rig->host, stage, deadline_ms, &rig->result, &rig->err);
}

int rig_upgrade_within(struct rig *rig, int deadline_ms)
{
    uint64_t stage;
    int rc = rig_build(rig);
    if (rc == 0)
        rc = rig_stage(rig, &stage);
    return rc < 0 ? rc : rig_apply(rig, stage, deadline_ms);
}

int rig_upgrade(struct rig *rig)
{
    return rig_upgrade_within(rig, 0);
}

/* ---- looking ---------------------------------------------------------------- */

struct look {
    const char *module;
    unsigned current, n_old, oldest;
    char *why;
    size_t why_size;
};

static void on_version(void *user, const struct molt_version_info *info)
{
    struct look *look = user;
    if (strcmp(info->module, look->module) != 0)
        return;
    if (info->is_current) {
        look->current = info->number;
        return;
    }
    look->n_old++;
    if (!look->oldest || info->number < look->oldest) {
        look->oldest = info->number;
        if (look->why)
            snprintf(look->why, look->why_size, "%s", info->why);
    }
}

unsigned rig_version(struct rig *rig, const char *module)
{
    struct look look = {.module = module};
    molt_code_each_version(molt_host_code(rig->host), on_version, &look);
    return look.current;
}

unsigned rig_old(struct rig *rig, const char *module)
{
    struct look look = {.module = module};
    molt_code_each_version(molt_host_code(rig->host), on_version, &look);
    return look.n_old;
}

const char *rig_why(struct rig *rig, const char *module)
{
    rig->why[0] = '\0';
    struct look look = {.module = module, .why = rig->why, .why_size = sizeof(rig->why)};
    molt_code_each_version(molt_host_code(rig->host), on_version, &look);
    return rig->why;
}

int rig_reclaim(struct rig *rig)
{
    return molt_host_housekeep(rig->host);
}

void rig_await_unloaded(struct rig *rig, const char *module, int timeout_ms)
{
    uint64_t until = molt_clock_ms() + (uint64_t)timeout_ms;
    molt_host_housekeep(rig->host);
    while (rig_old(rig, module)) {
        uint64_t now = molt_clock_ms();
        if (now >= until)
            fail_msg("an old version of %s stays: %s", module, rig_why(rig, module));
        struct pollfd fd = {molt_host_event_fd(rig->host), POLLIN, 0};
        poll(&fd, 1, (int)(until - now));
        molt_host_housekeep(rig->host);
    }
}

void *rig_function(struct rig *rig, const char *module, const char *name)
{
    for (size_t i = 0; i < rig->built->n_modules; i++) {
        const struct molt_meta *meta = rig->built->modules[i].meta;
        if (strcmp(meta->module, module) != 0)
            continue;
        for (size_t j = 0; j < meta->n_exports; j++) {
            char symbol[512];
            if (strcmp(meta->exports[j].name, name) != 0)
                continue;
            molt_meta_symbol_name(symbol, sizeof(symbol), module, name, meta->exports[j].sig);
            void *thunk = dlsym(RTLD_DEFAULT, symbol);
            must(thunk != NULL, "no thunk in the global scope");
            return thunk;
        }
    }
    fail_msg("rig: %s exports no %s", module, name);
    return NULL;
}

const struct molt_built_module *rig_built(struct rig *rig, const char *module)
{
    for (size_t i = 0; i < rig->built->n_modules; i++)
        if (strcmp(rig->built->modules[i].module, module) == 0)
            return &rig->built->modules[i];
    fail_msg("rig: no module %s was built", module);
    return NULL;
}

struct molt_thread *rig_enter(struct rig *rig)
{
    struct molt_thread *thread = NULL;
    int rc = molt_thread_register(rig->host, "test", &thread);
    must(rc == 0 && thread, "cannot register the thread");
    molt_safepoint(thread);
    return thread;
}
