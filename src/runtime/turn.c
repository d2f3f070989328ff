/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A turn: what a worker does with a process that it took from a queue. On a
 * fiber, one task after the other is picked and dispatched, until the turn is
 * over or a callback waits.
 */
#include <errno.h>

#include "runtime/callback.h"
#include "runtime/contained.h"
#include "runtime/dispatch.h"
#include "runtime/mail.h"
#include "runtime/rt.h"
#include "runtime/task.h"
#include "runtime/worker.h"

/* ---- leaving the fiber ---------------------------------------------------------- */

void molt_worker_suspend(struct molt_process *p)
{
    struct molt_activation *act = molt_callback_activation(p);
    int saved = errno;
    if (!act->is_holding_world) {
        molt_world_hold(atomic_load_explicit(&p->world, memory_order_relaxed));
        act->is_holding_world = true;
        molt_worker_count_holding(act->worker, 1);
    }
    molt_context_leave(&p->fiber->context);
    errno = saved;
}

void molt_worker_yield(struct molt_process *p)
{
    atomic_fetch_add_explicit(&p->rt->n_preempted, 1, memory_order_relaxed);
    molt_callback_activation(p)->is_preempted = true;
    molt_worker_suspend(p);
}

void molt_worker_restart(struct molt_process *p)
{
    molt_callback_activation(p)->is_restarted = true;
    molt_context_leave(&p->fiber->context);
    __builtin_unreachable();
}

void molt_worker_fail(struct molt_process *p)
{
    molt_callback_activation(p)->is_failed = true;
    molt_context_leave(&p->fiber->context);
    __builtin_unreachable();
}

/* ---- a turn --------------------------------------------------------------------- */

/* The bottom of a fiber: what a process has to do, until it is somebody else's
 * turn. The stack belongs to one worker, so that is the same after a wait. */
static void turn(void *arg)
{
    struct molt_process *p = arg;
    struct molt_activation *act = molt_callback_activation(p);
    struct molt_worker *w = act->worker;
    enum molt_outcome outcome = MOLT_TURN_DONE;
    unsigned tick = atomic_load_explicit(&w->rt->tick, memory_order_relaxed);
    w->runner.budget = MOLT_TURN;
    while (w->runner.budget-- > 0 && outcome == MOLT_TURN_DONE) {
        if (atomic_load_explicit(&w->rt->tick, memory_order_relaxed) != tick)
            break;
        if (molt_process_status(p) & MOLT_IS_CLAIM_WANTED)
            break;
        enum molt_task task = molt_task_pick(w, p);
        if (task == MOLT_TASK_NONE)
            break;
        outcome = molt_dispatch(w, p, task);
        if (outcome == MOLT_TURN_DONE && p->mail)
            outcome = molt_mail_run(w, p, tick);
    }
    act->outcome = outcome == MOLT_TURN_ENDED ? MOLT_TURN_ENDED : MOLT_TURN_DONE;
}

/* The callback met a function that its world doesn't define, or crashed. */
static void fail(struct molt_process *p, int code)
{
    struct molt_activation *act = molt_callback_activation(p);
    struct molt_callback *cb = &act->callback;
    p->end_reason = code;
    if (cb->is_call)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, code, NULL);
    if (act->n_locks > 0)
        molt_callback_warn_of_locks(p, act);
    molt_process_destroy(p, code);
}

/* The callback waits. */
static void leave_suspended(struct molt_worker *w, struct molt_process *p)
{
    struct molt_activation *act = molt_callback_activation(p);
    if (act->is_visiting) {
        molt_participant_return(&w->participant);
        act->is_visiting = false;
    }
    unsigned set = MOLT_IS_SUSPENDED;
    if (act->is_preempted)
        set |= MOLT_DO_RESUME; /* it waits for nothing but its turn */
    if (act->wait_kind == MOLT_WAIT_RECEIVE)
        set |= MOLT_IS_RECEIVING;
    if (act->wait_kind == MOLT_WAIT_SOCKET)
        set |= MOLT_IS_POLLING;
    molt_process_leave(p, set, 0);
}

/* The callback `run` ended at an upgrade point. */
static void restart(struct molt_worker *w, struct molt_process *p)
{
    molt_worker_count(&p->n_callbacks);
    molt_process_leave_stack(p, &w->runner);
    atomic_store_explicit(&p->world, NULL, memory_order_relaxed);
    atomic_store_explicit(&p->version, NULL, memory_order_relaxed);
    molt_run_leave(p);
}

/* Switch to the fiber of @p until its turn is over or it waits. */
static void enter(struct molt_worker *w, struct molt_process *p)
{
    struct molt_fiber *fiber = p->fiber;
    molt_runner_enter(&w->runner, p);
    atomic_store_explicit(&w->flow, &fiber->flow, memory_order_relaxed);
    molt_context_enter(&w->context, &fiber->context);
    atomic_store_explicit(&w->flow, NULL, memory_order_relaxed);
    molt_runner_enter(&w->runner, NULL);
    if (__builtin_expect(w->fault.has_fault, 0)) {
        molt_crash_report_contained(w, p);
        fail(p, MOLT_ECRASH);
        return;
    }
    if (fiber->act.is_failed) {
        fail(p, fiber->act.fail_reason ? fiber->act.fail_reason : MOLT_EUNDEF);
        return;
    }
    if (__builtin_expect(fiber->act.is_restarted, 0)) {
        restart(w, p);
        return;
    }
    if (!fiber->is_done) {
        leave_suspended(w, p);
        return;
    }
    p->fiber = NULL;
    atomic_store_explicit(&p->world, NULL, memory_order_relaxed);
    atomic_store_explicit(&p->version, NULL, memory_order_relaxed);
    bool is_ended = fiber->act.outcome == MOLT_TURN_ENDED;
    molt_fiber_give(&w->fibers, fiber);
    if (is_ended)
        molt_process_destroy(p, p->end_reason);
    else
        molt_process_leave(p, 0, 0);
}

static void resume(struct molt_worker *w, struct molt_process *p)
{
    unsigned status = molt_process_status(p);
    if (status & MOLT_DO_KILL && molt_task_is_kill(p)) {
        molt_process_destroy(p, p->end_reason);
        return;
    }
    unsigned gone = MOLT_IS_SUSPENDED | MOLT_IS_RECEIVING | MOLT_IS_POLLING | MOLT_DO_RESUME;
    unsigned before = atomic_fetch_and(&p->status, ~gone);
    molt_callback_activation(p)->is_completed = (before & MOLT_DO_RESUME) != 0;
    molt_callback_activation(p)->is_preempted = false;
    /* Online first, so that a grace period waits for this callback, too. */
    struct molt_world *now = molt_participant_boundary(&w->participant, w->rt->current);
    struct molt_world *mine = atomic_load_explicit(&p->world, memory_order_relaxed);
    if (now != mine) {
        molt_participant_visit(&w->participant, mine);
        molt_callback_activation(p)->is_visiting = true;
    }
    enter(w, p);
}

static void run_turn(struct molt_worker *w, struct molt_process *p)
{
    if (p->fiber) {
        resume(w, p);
        return;
    }
    struct molt_fiber *fiber = molt_fiber_take(&w->fibers);
    if (!fiber) {
        /* Out of memory or mappings: tried again soon; suspended ones go on. */
        w->is_starved = true;
        molt_process_leave(p, 0, 0);
        return;
    }
    p->fiber = fiber;
    fiber->is_done = false;
    fiber->fn = turn;
    fiber->arg = p;
    molt_activation_clear(&fiber->act);
    enter(w, p);
}

static void count_turn(struct molt_worker *w)
{
    unsigned long n = atomic_load_explicit(&w->n_turns, memory_order_relaxed);
    /* Release, and the end's load of is_suspected after it: see monitor.c. */
    atomic_store_explicit(&w->n_turns, n + 1, memory_order_release);
}

void molt_worker_run(struct molt_worker *w, struct molt_process *p)
{
    if (!molt_process_begin(p))
        return;
    count_turn(w);
    run_turn(w, p);
    count_turn(w);
    if (__builtin_expect(atomic_load_explicit(&w->is_suspected, memory_order_relaxed), 0)) {
        /* Whatever the monitor does is done when the lock is had. */
        pthread_mutex_lock(&w->handover_lock);
        atomic_store(&w->is_suspected, false);
        pthread_mutex_unlock(&w->handover_lock);
    }
}
