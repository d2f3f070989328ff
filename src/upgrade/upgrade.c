/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "upgrade/upgrade.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "code/carry.h"
#include "upgrade/decide.h"
#include "upgrade/host.h"

#define DEADLINE_DEFAULT_MS 2000

void molt_upgrade_result_fini(struct molt_upgrade_result *result)
{
    free(result->changes);
    result->changes = NULL;
    result->n_changes = 0;
}

static size_t count_processes(void *user, int server_id)
{
    const struct molt_host *host = user;
    return molt_runtime_count(host->runtime, server_id);
}

static const char *server_name(void *user, int id)
{
    const struct molt_host *host = user;
    return molt_code_server_name(host->code, id);
}

/* ---- what changed ------------------------------------------------------------- */

static void add_change(struct molt_upgrade_result *r, const struct molt_version *old,
                       const struct molt_version *now)
{
    struct molt_upgrade_change *c = &r->changes[r->n_changes++];
    strncpy(c->module, molt_version_module(old ? old : now), sizeof(c->module) - 1);
    c->old_number = old ? molt_version_number(old) : 0;
    c->new_number = now ? molt_version_number(now) : 0;
}

/* Both lists are sorted by module name. */
static int list_changes(const struct molt_world *old, const struct molt_world *now,
                        struct molt_upgrade_result *r)
{
    r->changes = calloc(old->n_versions + now->n_versions + 1, sizeof(*r->changes));
    if (!r->changes)
        return MOLT_ENOMEM;
    size_t i = 0, j = 0;
    while (i < old->n_versions || j < now->n_versions) {
        const struct molt_version *a = i < old->n_versions ? old->versions[i] : NULL;
        const struct molt_version *b = j < now->n_versions ? now->versions[j] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(molt_version_module(a), molt_version_module(b));
        if (order == 0 && a != b)
            add_change(r, a, b);
        else if (order < 0)
            add_change(r, a, NULL);
        else if (order > 0)
            add_change(r, NULL, b);
        i += order <= 0;
        j += order >= 0;
    }
    return 0;
}

/* ---- the transaction ------------------------------------------------------------ */

static int decide(struct molt_host *host, struct molt_world *new_world, struct molt_decision *ret,
                  struct molt_error *err)
{
    struct molt_world *old_world = atomic_load(molt_code_current_cell(host->code));
    int rc = molt_decide(old_world, new_world, server_name, count_processes, host, ret);
    if (rc < 0)
        return molt_error_set(err, rc, "out of memory");
    if (!ret->is_refused)
        return 0;
    molt_error_set(err, MOLT_EREFUSED, "%.*s", (int)ret->reasons.len, ret->reasons.data);
    molt_decision_fini(ret);
    return MOLT_EREFUSED;
}

static bool is_block(void *user, uint64_t value)
{
    const struct molt_host *host = user;
    return molt_runtime_is_block(host->runtime, value);
}

/* Nobody runs module code now, and who is behind can't be any more. */
static int move_globals(struct molt_host *host, uint64_t stage,
                        const struct molt_decision *decision, struct molt_error *err)
{
    struct molt_carry_env env = {is_block, host};
    int rc = molt_runtime_settle(host->runtime, &decision->conversion, err);
    return rc < 0 ? rc : molt_stage_copy_globals(host->code, stage, &env, err);
}

/* Make ready what must change, and pause if mail or globals are at stake. On failure nothing
 * is ready, and nobody pauses. */
static int convert(struct molt_host *host, uint64_t stage, const struct molt_decision *decision,
                   int deadline_ms, struct molt_error *err)
{
    struct molt_world *world = decision->conversion.new_world;
    int rc = molt_runtime_prepare_tables(host->runtime, world, err);
    if (rc == 0)
        rc = molt_runtime_prepare(host->runtime, &decision->conversion, deadline_ms, err);
    if (rc == 0)
        rc = molt_runtime_hold(host->runtime, &decision->conversion, deadline_ms, err);
    if (rc == 0 && decision->conversion.moves_globals)
        rc = move_globals(host, stage, decision, err);
    if (rc < 0) {
        molt_runtime_unprepare(host->runtime, &decision->conversion);
        molt_runtime_open_tables(host->runtime, world, false);
    }
    return rc;
}

/* The switch, of tables and world. */
static int commit(struct molt_host *host, uint64_t stage, const struct molt_decision *decision,
                  uint64_t *ret_world, struct molt_error *err)
{
    struct molt_world *world = decision->conversion.new_world;
    int rc = molt_runtime_close_tables(host->runtime, world, err);
    if (rc == 0)
        rc = molt_stage_commit(host->code, stage, ret_world, err);
    molt_runtime_open_tables(host->runtime, world, rc == 0);
    return rc;
}

int molt_upgrade_check(struct molt_host *host, uint64_t stage, struct molt_world **ret_world,
                       struct molt_decision *ret, struct molt_error *err)
{
    struct molt_world *world;
    /* A stage that was tried is sealed. */
    int rc = molt_stage_world(host->code, stage, &world);
    if (rc < 0) {
        rc = molt_stage_seal(host->code, stage, err);
        if (rc == 0)
            rc = molt_stage_world(host->code, stage, &world);
    }
    if (rc == 0)
        rc = molt_runtime_check_supervisors(host->runtime,
                                            atomic_load(molt_code_current_cell(host->code)), world,
                                            err);
    if (rc == 0)
        rc = decide(host, world, ret, err);
    if (rc == 0)
        *ret_world = world;
    return rc;
}

static int run(struct molt_host *host, uint64_t stage, int deadline_ms,
               struct molt_upgrade_result *r, struct molt_error *err)
{
    uint64_t t0 = molt_clock_ns();
    struct molt_world *new_world;
    struct molt_decision decision;
    int rc = molt_upgrade_check(host, stage, &new_world, &decision, err);
    if (rc < 0)
        return rc;
    if (list_changes(decision.conversion.old_world, new_world, r) < 0)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    decision.conversion.moves_globals = molt_stage_carries(host->code, stage);
    uint64_t t1 = molt_clock_ns();
    if (rc == 0)
        rc = convert(host, stage, &decision, deadline_ms, err);
    uint64_t t2 = molt_clock_ns();
    if (rc == 0) {
        rc = commit(host, stage, &decision, &r->world, err);
        r->switch_ns = molt_clock_ns() - t2;
        if (rc < 0)
            molt_runtime_unprepare(host->runtime, &decision.conversion);
        else
            molt_runtime_adopt(host->runtime, &decision.conversion, &r->conversion);
    }
    r->check_ns = t1 - t0;
    r->wait_ns = t2 - t1;
    molt_decision_fini(&decision);
    /* What the sweep left is housekeeping's. */
    molt_host_wake(host);
    return rc;
}

int molt_upgrade_apply(struct molt_host *host, uint64_t stage, int deadline_ms,
                       struct molt_upgrade_result *ret, struct molt_error *err)
{
    struct molt_upgrade_result result = {0};
    int rc = run(host, stage, deadline_ms > 0 ? deadline_ms : DEADLINE_DEFAULT_MS, &result, err);
    if (rc < 0) {
        molt_upgrade_result_fini(&result);
        molt_stage_abort(host->code, stage);
        return rc;
    }
    *ret = result;
    return 0;
}
