/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A worker: an OS thread that runs a lane, with stacks of its own. A callback
 * that is suspended goes on on the worker where it began.
 *
 * An idle worker is blocked in epoll_wait() and offline, so it neither costs
 * time nor keeps a world.
 *
 * Threads: push and the counters from any thread; the rest from the worker's
 *          own.
 * Locks:   molt_worker.resume_lock; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_WORKER_H
#define MOLT_RUNTIME_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "port/context.h"
#include "port/fault.h"
#include "port/preempt.h"
#include "port/spin.h"
#include "runtime/fiber.h"
#include "runtime/lane.h"
#include "runtime/lookout.h"
#include "runtime/process.h"
#include "runtime/runner.h"

struct molt_worker {
    struct molt_runtime *rt;
    unsigned index;
    pthread_t thread;
    bool is_started;
    bool has_left;               /* its loop; under molt_runtime.quiet_lock */
    bool is_starved;             /* no stack could be had */
    struct molt_lookout lookout; /* whether it looks around before it sleeps */
    unsigned victim;             /* whom to look at first when there is nothing to do */

    /* The lane it runs; NULL: it has none now. Taken away by the monitor under
     * handover_lock, given by molt_worker_give_lane(). */
    _Atomic(struct molt_lane *) lane;
    struct molt_lane *home;        /* NULL: a spare worker */
    pthread_mutex_t handover_lock; /* nothing but park_lock nests in it */
    atomic_bool is_suspected;      /* by the monitor: look what happened */
    atomic_ulong n_turns;          /* odd: in a turn */
    unsigned long watched_turn;    /* of the monitor */
    unsigned watched_ticks;

    pthread_mutex_t park_lock; /* for the wait without a lane */
    pthread_cond_t park;
    atomic_bool is_parked;

    _Atomic(struct molt_flow *) flow; /* of the callback that runs; for signal handlers */
    struct molt_preempt_thread preempt;
    struct molt_fault_thread fault;
    bool can_be_preempted, can_fault;

    /* What it runs next, before the queue of its lane: nobody may take it away but the
     * monitor, from the middle of a turn, as monitor.c says. */
    _Atomic(struct molt_process *) next;
    struct molt_queue own_resumes; /* suspended here, may go on; made so here */

    struct molt_spin resume_lock; /* guards the two queues */
    struct molt_queue resumes;    /* suspended here, may go on */
    struct molt_queue preempted;  /* the same, but they wait for nothing but time */
    atomic_uint n_resumes, n_preempted;
    unsigned preempted_tick; /* when one of the latter ran last */
    atomic_bool is_again;    /* one of them runs */

    struct molt_runner runner;
    int *errno_at; /* the thread's errno */
    struct molt_participant participant;
    struct molt_context context; /* the thread's own flow */
    struct molt_fiber *floor;    /* on whose stack it runs its batch; NULL: on its own */
    int n_left;                  /* turns of the batch */
    struct molt_fiber_pool fibers;
    atomic_ullong n_callbacks, n_messages; /* written by the worker */
    atomic_long n_holding; /* callbacks that were suspended and are not over; the same */
};

/* Pools; no thread yet. */
int molt_worker_init(struct molt_worker *w, struct molt_runtime *rt, unsigned index,
                     struct molt_lane *lane);
/* A worker that has nothing to do and may run @lane: its home if that waits for
 * it, else a spare one, whose thread is started if need be. NULL: there is none. */
struct molt_worker *molt_worker_find_spare(struct molt_runtime *rt, struct molt_lane *lane);
void molt_worker_give_lane(struct molt_worker *w, struct molt_lane *lane);
void molt_worker_fini(struct molt_worker *w);
int molt_worker_start(struct molt_worker *w);
/* After molt_runtime.is_stopping was set. False: it still runs at the deadline. */
bool molt_worker_join(struct molt_worker *w, uint64_t deadline_ns);

/* A callback on a stack of @w was suspended for the first time, or is over. By
 * whoever runs it. */
static inline void molt_worker_count_holding(struct molt_worker *w, long add)
{
    long now = atomic_load_explicit(&w->n_holding, memory_order_relaxed);
    atomic_store_explicit(&w->n_holding, now + add, memory_order_relaxed);
}

/* One more, of a counter that one thread writes and others look at. */
static inline void molt_worker_count(atomic_ullong *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Between turns: what it was to run next, which is the caller's to run or to queue. */
static inline struct molt_process *molt_worker_take_next(struct molt_worker *w)
{
    struct molt_process *p = atomic_load_explicit(&w->next, memory_order_relaxed);
    if (p)
        atomic_store_explicit(&w->next, NULL, memory_order_relaxed);
    return p;
}

static inline struct molt_lane *molt_worker_lane(const struct molt_worker *w)
{
    return atomic_load_explicit(&w->lane, memory_order_relaxed);
}

/* Queue @p, which is suspended on a stack of this worker and may go on. */
void molt_worker_push(struct molt_worker *w, struct molt_process *p);

/* Run @fn on a stack for callbacks, the worker's floor, with its fiber as argument.
 * Returns when it did, or when a callback waits on that stack: @fn, when it finds
 * that this is no more the floor, has to return. False: there is no stack. */
bool molt_worker_on_stack(struct molt_worker *w, void (*fn)(void *arg));

/* Run what @p, taken from a queue, has to do, a bounded number of callbacks (turn.c).
 * Without a floor only one that is suspended. */
void molt_worker_run(struct molt_worker *w, struct molt_process *p);

/* On the fiber of @p: let others run until there is a reason to resume. errno
 * is kept. */
void molt_worker_suspend(struct molt_process *p);
/* The same, because the monitor wants it: others' turn, then on. */
void molt_worker_yield(struct molt_process *p);
/* On the fiber of @p: end the callback `run` here and now, to begin it again. */
__attribute__((noreturn)) void molt_worker_restart(struct molt_process *p);
/* On the fiber of @p: end the callback and the process here and now. */
__attribute__((noreturn)) void molt_worker_fail(struct molt_process *p);

#endif
