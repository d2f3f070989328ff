/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A turn: what a worker does with a process that it took from a queue. One task
 * after the other is picked and dispatched, until the turn is over or a callback
 * waits.
 *
 * The worker runs its whole batch on the stack of a fiber, its floor, so a turn
 * costs no switch. A callback that waits takes that fiber with it: the thread's own
 * flow goes on, and begins another floor. When the callback goes on, and its turn
 * ends there, that stack finds that it is no floor any more, and goes back to who
 * entered it.
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

static void count_turn(struct molt_worker *w)
{
    unsigned long n = atomic_load_explicit(&w->n_turns, memory_order_relaxed);
    atomic_store_explicit(&w->n_turns, n + 1, memory_order_release);
}

static void end_turn(struct molt_worker *w)
{
    count_turn(w);
    molt_monitor_light(&w->rt->monitor);
    if (__builtin_expect(atomic_load_explicit(&w->is_suspected, memory_order_relaxed), 0)) {
        /* Whatever the monitor does is done when the lock is had. */
        pthread_mutex_lock(&w->handover_lock);
        atomic_store(&w->is_suspected, false);
        pthread_mutex_unlock(&w->handover_lock);
    }
}

static enum molt_outcome run_tasks(struct molt_worker *w, struct molt_process *p)
{
    enum molt_outcome outcome = MOLT_TURN_DONE;
    unsigned tick = atomic_load_explicit(&w->rt->tick, memory_order_relaxed);
    while (w->runner.budget-- > 0 && outcome == MOLT_TURN_DONE) {
        if (atomic_load_explicit(&w->rt->tick, memory_order_relaxed) != tick)
            break;
        if (molt_process_status(p) & MOLT_IS_CLAIM_WANTED)
            break;
        enum molt_task task = molt_task_pick(w, p);
        if (task == MOLT_TASK_NONE)
            break;
        outcome = task == MOLT_TASK_MESSAGE && molt_mail_is_usual(p) ? molt_mail_run(w, p, tick)
                                                                     : molt_dispatch(w, p, task);
    }
    return outcome;
}

static void forget_world(struct molt_process *p)
{
    atomic_store_explicit(&p->world, NULL, memory_order_relaxed);
    atomic_store_explicit(&p->version, NULL, memory_order_relaxed);
}

/* What a process has to do, until it is somebody else's turn, on the stack that
 * this is. That belongs to one worker, so it is the same after a wait; but then the
 * worker's batch goes on on another one. */
static void turn(struct molt_worker *w, struct molt_process *p, bool has_mail)
{
    w->runner.budget = MOLT_TURN;
    if (has_mail)
        molt_task_collect(w, p);
    enum molt_outcome outcome = run_tasks(w, p);
    p->fiber = NULL;
    forget_world(p);
    molt_runner_enter(&w->runner, NULL);
    if (outcome == MOLT_TURN_ENDED)
        molt_process_destroy(p, p->end_reason);
    else
        molt_process_leave(p, 0, 0);
    end_turn(w);
}

/* ---- turns that leave their stack in the middle ------------------------------------ */

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
    forget_world(p);
    molt_run_leave(p);
}

/* The callback that ran on @fiber is there, in the middle: it waits, or will never
 * go on. */
static void settle(struct molt_worker *w, const struct molt_fiber *fiber)
{
    struct molt_process *p = w->runner.process;
    molt_runner_enter(&w->runner, NULL);
    if (__builtin_expect(w->fault.has_fault, 0)) {
        molt_crash_report_contained(w, p);
        fail(p, MOLT_ECRASH);
    } else if (fiber->act.is_failed) {
        fail(p, fiber->act.fail_reason ? fiber->act.fail_reason : MOLT_EUNDEF);
    } else if (__builtin_expect(fiber->act.is_restarted, 0)) {
        restart(w, p);
    } else {
        leave_suspended(w, p);
    }
    end_turn(w);
}

/* Switch to @fiber until it is done, or its callback leaves it in the middle. */
static void enter(struct molt_worker *w, struct molt_context *from, struct molt_fiber *fiber)
{
    struct molt_flow *before = atomic_load_explicit(&w->flow, memory_order_relaxed);
    atomic_store_explicit(&w->flow, &fiber->flow, memory_order_relaxed);
    molt_context_enter(from, &fiber->context);
    atomic_store_explicit(&w->flow, before, memory_order_relaxed);
}

static void leave_floor(struct molt_worker *w, struct molt_fiber *fiber)
{
    if (fiber->is_done)
        molt_fiber_give(&w->fibers, fiber);
    else
        settle(w, fiber);
}

bool molt_worker_on_stack(struct molt_worker *w, void (*fn)(void *arg))
{
    struct molt_fiber *fiber = molt_fiber_take(&w->fibers);
    if (!fiber)
        return false;
    fiber->is_done = false;
    fiber->fn = fn;
    fiber->arg = fiber;
    w->floor = fiber;
    enter(w, &w->context, fiber);
    w->floor = NULL;
    leave_floor(w, fiber);
    return true;
}

static void resume(struct molt_worker *w, struct molt_process *p)
{
    unsigned status = molt_process_status(p);
    if (status & MOLT_DO_KILL && molt_task_is_kill(p)) {
        molt_process_destroy(p, p->end_reason);
        end_turn(w);
        return;
    }
    unsigned gone = MOLT_IS_SUSPENDED | MOLT_IS_RECEIVING | MOLT_IS_POLLING | MOLT_DO_RESUME;
    unsigned before = atomic_fetch_and(&p->status, ~gone);
    struct molt_fiber *fiber = p->fiber;
    fiber->act.is_completed = (before & MOLT_DO_RESUME) != 0;
    fiber->act.is_preempted = false;
    /* Online first, so that a grace period waits for this callback, too. */
    struct molt_world *now = molt_participant_boundary(&w->participant, w->rt->current);
    struct molt_world *mine = atomic_load_explicit(&p->world, memory_order_relaxed);
    if (now != mine) {
        molt_participant_visit(&w->participant, mine);
        fiber->act.is_visiting = true;
    }
    molt_runner_enter(&w->runner, p);
    enter(w, w->floor ? &w->floor->context : &w->context, fiber);
    leave_floor(w, fiber);
}

void molt_worker_run(struct molt_worker *w, struct molt_process *p)
{
    if (__builtin_expect(molt_code_is_pausing(w->rt->code), 0))
        molt_participant_rest(&w->participant);
    unsigned status = molt_process_begin(p);
    if (!status)
        return;
    count_turn(w);
    if (p->fiber) {
        resume(w, p);
    } else if (__builtin_expect(w->floor != NULL, 1)) {
        p->fiber = w->floor;
        molt_activation_clear(&p->fiber->act);
        molt_runner_enter(&w->runner, p);
        turn(w, p, status & MOLT_DO_MAIL);
    } else {
        /* Without a stack: tried again soon. */
        w->is_starved = true;
        molt_process_leave(p, status & MOLT_DO_MAIL, 0);
        end_turn(w);
    }
}
