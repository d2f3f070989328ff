/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Purging by hand. Soft purge is what housekeeping does anyway; hard purge
 * first ends the processes that keep a version, because an operator said so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "port/limits.h"
#include "upgrade/host.h"

struct victims {
    struct molt_code *code;
    const char *module;
    unsigned number;
    molt_pid *pids;
    size_t n, cap;
    bool is_failed;
};

static void add_victim(struct victims *v, molt_pid pid)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->pids[i] == pid)
            return;
    if (v->n == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : MOLT_LIMIT(16, 1);
        molt_pid *pids = realloc(v->pids, cap * sizeof(*pids));
        if (!pids) {
            v->is_failed = true;
            return;
        }
        v->pids = pids;
        v->cap = cap;
    }
    v->pids[v->n++] = pid;
}

/* Suspended in a callback whose world has the version. */
static void on_process(void *user, const struct molt_process_info *info)
{
    struct victims *v = user;
    if (info->world && molt_code_world_has(v->code, info->world, v->module, v->number))
        add_victim(v, info->pid);
}

/* Holding a pointer into the image. */
static void on_pin(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    struct victims *v = user;
    (void)range;
    (void)why;
    if (holder)
        add_victim(v, holder);
}

struct find {
    const char *module;
    unsigned number;
    bool is_found, is_current;
    struct molt_range range;
    struct molt_buf why;
};

static void on_version(void *user, const struct molt_version_info *info)
{
    struct find *f = user;
    if (strcmp(info->module, f->module) != 0 || (f->number && info->number != f->number))
        return;
    if (!f->number && info->is_current)
        return;
    f->is_found = true;
    f->is_current = info->is_current;
    f->range = (struct molt_range){info->base, info->base + info->bytes, NULL};
    molt_buf_printf(&f->why, "%s%s@%u: %s", f->why.len ? "\n" : "", info->module, info->number,
                    *info->why ? info->why : "nothing known");
}

static int find_version(struct molt_host *host, struct find *f, struct molt_error *err)
{
    molt_buf_reset(&f->why);
    f->is_found = false;
    molt_code_each_version(host->code, on_version, f);
    if (f->is_found && f->is_current)
        return molt_error_set(err, MOLT_EINVAL, "%s@%u is current: only old versions can be purged",
                              f->module, f->number);
    return 0;
}

static int kill_pinners(struct molt_host *host, const struct find *f, unsigned *ret_killed,
                        struct molt_error *err)
{
    struct victims v = {.code = host->code, .module = f->module, .number = f->number};
    molt_runtime_each_process(host->runtime, on_process, &v);
    int rc = molt_runtime_scan(host->runtime, &f->range, 1, on_pin, &v);
    if (v.is_failed)
        rc = MOLT_ENOMEM;
    for (size_t i = 0; rc >= 0 && i < v.n; i++)
        if (molt_runtime_kill(host->runtime, v.pids[i]) == 0)
            ++*ret_killed;
    free(v.pids);
    if (rc < 0)
        return molt_error_set(err, rc, "cannot look for what keeps %s@%u: %s", f->module, f->number,
                              molt_error_text(rc));
    return 0;
}

static int purge_hard(struct molt_host *host, struct find *f, unsigned *ret_killed,
                      struct molt_error *err)
{
    if (!f->module || !f->number)
        return molt_error_set(err, MOLT_EINVAL,
                              "a hard purge kills processes: name one version, as in counter@3");
    int rc = find_version(host, f, err);
    if (rc < 0 || !f->is_found)
        return rc;
    return kill_pinners(host, f, ret_killed, err);
}

/* A name that was never seen is a slip of the finger, not an empty purge. */
static int check_known(struct molt_host *host, const char *module, unsigned number,
                       struct molt_error *err)
{
    unsigned last = module ? molt_code_last_number(host->code, module) : 0;
    if (module && last == 0)
        return molt_error_set(err, MOLT_ENOENT, "there is and was no module %s", module);
    if (module && number > last)
        return molt_error_set(err, MOLT_ENOENT, "there is and was no %s@%u, the last is %s@%u",
                              module, number, module, last);
    return 0;
}

int molt_upgrade_purge(struct molt_host *host, const char *module, unsigned number, int is_hard,
                       unsigned *ret_unloaded, unsigned *ret_killed, struct molt_error *err)
{
    struct find f = {.module = module, .number = number};
    unsigned killed = 0;
    int unloaded = 0;
    int rc = check_known(host, module, number, err);
    if (rc == 0 && is_hard)
        rc = purge_hard(host, &f, &killed, err);
    if (rc == 0 && !is_hard && module)
        rc = find_version(host, &f, err);
    if (rc == 0)
        rc = unloaded = molt_host_housekeep(host);
    if (rc >= 0 && module)
        rc = find_version(host, &f, err);
    if (rc >= 0 && is_hard && f.is_found)
        rc = molt_error_set(err, MOLT_EPINNED, "still in use: %.*s", (int)f.why.len, f.why.data);
    molt_buf_fini(&f.why);
    if (rc >= 0 || rc == MOLT_EPINNED) {
        *ret_unloaded = unloaded > 0 ? (unsigned)unloaded : 0;
        *ret_killed = killed;
    }
    return rc < 0 ? rc : 0;
}
