/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Functions that run long, and other work that waits for a callback's end.
 *
 * At an upgrade point the callback `run` ends without returning: its stack is
 * abandoned, the process goes on as after any callback. While an upgrade waits
 * for processes, `run` is only due and begins when that is over: it would be in
 * the way again, and its next restart would come at once.
 */
#include "code/layout.h"
#include "runtime/fiber.h"
#include "runtime/rt.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

#define WANTED (MOLT_IS_CLAIM_WANTED | MOLT_IS_WATCHED)

/* The caller's process, if effects are possible; else NULL. */
static struct molt_process *process_here(void)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && !runner->is_converting ? runner->process : NULL;
}

static const struct molt_server_ref *server_of(const struct molt_process *p)
{
    const struct molt_world *world = atomic_load_explicit(&p->world, memory_order_relaxed);
    return world && p->server_id >= 0 ? molt_world_server(world, p->server_id) : NULL;
}

int molt_continue(void)
{
    struct molt_process *p = process_here();
    if (!p)
        return MOLT_ENOPROC;
    const struct molt_server_ref *ref = server_of(p);
    if (!ref || !ref->desc->on_continue)
        return MOLT_EINVAL;
    atomic_fetch_or(&p->status, MOLT_DO_CONTINUE);
    return 0;
}

/* ---- upgrade points --------------------------------------------------------------- */

/* Answer who waits for the worker's boundary: what the callback did so far is done.
 * False if there is a newer world, unless the state can't be converted for that. */
static bool pass_boundary(struct molt_process *p, struct molt_runner *runner)
{
    struct molt_world *mine = atomic_load_explicit(&p->world, memory_order_relaxed);
    if (molt_code_is_pausing(p->rt->code))
        return false;
    if (!p->fiber->act.unfit_epoch && atomic_load(p->rt->current) != mine)
        return false;
    /* Before the boundary: see has_nothing() of scan.c. */
    atomic_fetch_add(&p->rt->n_kept, 1);
    const struct molt_world *now = molt_participant_boundary(runner->participant, p->rt->current);
    if (now == mine)
        return true;
    if (molt_world_epoch(now) != p->fiber->act.unfit_epoch)
        return false;
    molt_participant_visit(runner->participant, mine);
    return true;
}

/* Somebody wants something of the process, or it is behind. */
static int stop_by(struct molt_process *p, struct molt_runner *runner)
{
    int reason, rc = molt_wait_check_locks(p, "molt_upgrade_point()");
    if (rc < 0)
        return rc;
    if (molt_process_is_asked(p, MOLT_EXIT_KILL, &reason))
        molt_worker_restart(p); /* it ends before that */
    if (molt_process_is_asked(p, MOLT_EXIT_ASKED, &reason))
        return MOLT_EKILLED;
    unsigned status = molt_process_status(p);
    if (!pass_boundary(p, runner) || (status & WANTED && atomic_load(&p->rt->is_upgrading)))
        molt_worker_restart(p);
    if (status & MOLT_IS_CLAIM_WANTED)
        molt_worker_yield(p); /* somebody looks at it; then it goes on */
    return 0;
}

int molt_upgrade_point(void)
{
    struct molt_process *p = process_here();
    if (!p)
        return MOLT_ENOPROC;
    const struct molt_activation *act = &p->fiber->act;
    if (act->callback.kind != MOLT_CALLBACK_RUN)
        return MOLT_EINVAL;
    struct molt_runner *runner = molt_runner_here();
    const struct molt_world *mine = atomic_load_explicit(&p->world, memory_order_relaxed);
    /* A boundary that somebody waits for shows in what the worker announced. */
    bool is_current =
        atomic_load_explicit(p->rt->current, memory_order_relaxed) == mine &&
        atomic_load_explicit(&runner->participant->world, memory_order_relaxed) == mine;
    bool is_wanted = molt_process_status(p) & (WANTED | MOLT_DO_EXIT | MOLT_DO_KILL);
    if (__builtin_expect(is_current && !is_wanted && act->n_locks == 0, 1))
        return 0;
    return stop_by(p, runner);
}

void molt_run_end_upgrade(struct molt_runtime *rt)
{
    /* Seq_cst: pairs with molt_run_leave(). */
    if (!atomic_exchange(&rt->is_upgrading, false))
        return;
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++)
        molt_process_start_due(molt_process_at(rt, i));
}

void molt_run_leave(struct molt_process *p)
{
    struct molt_runtime *rt = p->rt;
    if (!atomic_load(&rt->is_upgrading)) {
        molt_process_leave(p, MOLT_DO_RUN, 0);
        return;
    }
    molt_process_leave(p, MOLT_IS_RUN_DUE, 0);
    /* The upgrade may have ended before it was due. */
    if (!atomic_load(&rt->is_upgrading))
        molt_process_start_due(p);
}

/* ---- configuration ------------------------------------------------------------------ */

void molt_runtime_config_changed(struct molt_runtime *rt)
{
    struct molt_runner *before = molt_runner_here();
    const struct molt_world *world = molt_participant_boundary(&rt->participant, rt->current);
    unsigned n = world ? atomic_load(&rt->table.n_slots) : 0;
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        if (!atomic_load_explicit(&p->pid, memory_order_acquire) || p->server_id < 0)
            continue;
        const struct molt_server_ref *ref = molt_world_server(world, p->server_id);
        if (ref && ref->desc->on_config)
            molt_process_signal(p, MOLT_DO_CONFIG);
    }
    molt_participant_offline(&rt->participant);
    if (before)
        molt_participant_return(before->participant);
}
