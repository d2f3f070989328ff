/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * How a lane is taken from a worker that is in the middle of a turn, without
 * that turns cost a locked instruction for it, where the system has such a barrier:
 *
 * A worker counts its turn's beginning and end in n_turns, so the number is odd
 * in a turn, and after an end it looks at is_suspected. The monitor sets
 * is_suspected, issues a barrier on all threads, and then looks, under
 * handover_lock, whether n_turns is still what it was. If it is, the turn had
 * not ended when the barrier was issued, so its end will see is_suspected and
 * take handover_lock before the worker touches its lane again.
 */
#include "runtime/monitor.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "port/barrier.h"
#include "port/limits.h"
#include "runtime/lane.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

#define TICK_NS MOLT_LIMIT(2500000, 500000)
/* Ticks of one and the same turn before something is done about it; of a callback
 * that was preempted before: it is known for what it does, and what it takes is
 * what others wait. */
#define PREEMPT_TICKS 2
#define AGAIN_TICKS 1
#define HANDOVER_TICKS 3
/* Ticks without anybody awake before the monitor goes to sleep, too. */
#define PARK_TICKS 40

void molt_monitor_init(struct molt_monitor *monitor, struct molt_runtime *rt)
{
    monitor->rt = rt;
    pthread_mutex_init(&monitor->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&monitor->wake, &attr);
    pthread_condattr_destroy(&attr);
    monitor->has_barrier = molt_barrier_init();
}

void molt_monitor_fini(struct molt_monitor *monitor)
{
    if (!monitor->rt)
        return;
    pthread_cond_destroy(&monitor->wake);
    pthread_mutex_destroy(&monitor->lock);
}

/* ---- one worker ------------------------------------------------------------- */

/* Whether anybody is held up by the worker of @lane. */
static bool is_needed(const struct molt_lane *lane)
{
    return atomic_load_explicit(&lane->n_queued, memory_order_relaxed) > 0 ||
           atomic_load_explicit(&lane->n_fds, memory_order_relaxed) > 0 ||
           !molt_timers_are_empty(&lane->timers);
}

static void preempt(struct molt_worker *w)
{
    /* MOLT_EBUSY: the last request hasn't arrived. MOLT_EDEAD can't be. */
    if (w->can_be_preempted && molt_preempt_request(&w->preempt) == 0)
        atomic_fetch_add_explicit(&w->rt->n_preempt_requests, 1, memory_order_relaxed);
}

/* Whoever ends a turn from now on sees what was stored before this. */
static void fence(const struct molt_runtime *rt)
{
    if (rt->monitor.has_barrier)
        molt_barrier_heavy();
    else
        atomic_thread_fence(memory_order_seq_cst);
}

static void hand_over(struct molt_runtime *rt, struct molt_worker *w, unsigned long turn)
{
    atomic_store(&w->is_suspected, true);
    fence(rt);
    struct molt_worker *to = NULL;
    pthread_mutex_lock(&w->handover_lock);
    struct molt_lane *lane = molt_worker_lane(w);
    if (lane && atomic_load(&w->n_turns) == turn)
        to = molt_worker_find_spare(rt, lane);
    if (to) {
        atomic_store(&w->lane, NULL);
        molt_worker_give_lane(to, lane);
        atomic_fetch_add_explicit(&rt->n_handovers, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&w->handover_lock);
}

/* What @w was to run next goes where everybody can take it. In the same way: the
 * worker takes it between turns only, so it doesn't while the turn has not ended; in
 * the turn it only fills an empty place. */
static void expose_next(struct molt_worker *w, unsigned long turn)
{
    struct molt_process *p = NULL;
    atomic_store(&w->is_suspected, true);
    fence(w->rt);
    pthread_mutex_lock(&w->handover_lock);
    if (atomic_load(&w->n_turns) == turn)
        p = atomic_exchange(&w->next, NULL);
    pthread_mutex_unlock(&w->handover_lock);
    if (p)
        molt_lane_put(atomic_load_explicit(&p->lane, memory_order_relaxed), p);
}

static void watch(struct molt_runtime *rt, struct molt_worker *w)
{
    unsigned long turn = atomic_load(&w->n_turns);
    if (turn != w->watched_turn || !(turn & 1)) {
        struct molt_lane *lane = molt_worker_lane(w);
        w->watched_turn = turn;
        w->watched_ticks = 0;
        if (lane)
            atomic_store_explicit(&lane->is_stuck, false, memory_order_relaxed);
        return;
    }
    unsigned ticks = ++w->watched_ticks;
    if (atomic_load_explicit(&w->next, memory_order_relaxed))
        expose_next(w, turn);
    if (ticks < AGAIN_TICKS ||
        (ticks < PREEMPT_TICKS && !atomic_load_explicit(&w->is_again, memory_order_relaxed)))
        return;
    bool is_blocked =
        w->can_be_preempted && molt_preempt_activity(&w->preempt) == MOLT_PREEMPT_BLOCKED;
    if (!is_blocked)
        preempt(w);
    /* What could not be preempted for some ticks is in a library, or locked. */
    struct molt_lane *lane = molt_worker_lane(w);
    if (lane && ticks >= (is_blocked ? HANDOVER_TICKS : 2 * HANDOVER_TICKS) && is_needed(lane))
        hand_over(rt, w, turn);
}

/* ---- all of them ------------------------------------------------------------- */

/* Processes wait in a lane whose worker has been with another one for a tick:
 * have somebody who sleeps take them. */
static void share(struct molt_runtime *rt)
{
    if (atomic_load_explicit(&rt->n_asleep, memory_order_relaxed) == 0)
        return;
    for (unsigned i = 0; i < rt->n_workers; i++) {
        struct molt_lane *lane = &rt->lanes[i];
        const struct molt_worker *w = atomic_load_explicit(&lane->worker, memory_order_relaxed);
        if (!w || w->watched_ticks == 0 ||
            atomic_load_explicit(&lane->n_queued, memory_order_relaxed) == 0)
            continue;
        atomic_store_explicit(&lane->is_stuck, true, memory_order_relaxed);
        molt_lane_call_help(lane);
    }
}

static void tick(struct molt_runtime *rt)
{
    atomic_fetch_add_explicit(&rt->tick, 1, memory_order_relaxed);
    for (unsigned i = 0; i < rt->n_threads; i++)
        if (rt->workers[i].is_started)
            watch(rt, &rt->workers[i]);
    share(rt);
}

static bool is_all_asleep(const struct molt_runtime *rt)
{
    return atomic_load(&rt->n_asleep) >= rt->n_workers && atomic_load(&rt->n_lanes_away) == 0;
}

/* Under the lock. */
static void park(struct molt_monitor *monitor)
{
    atomic_store(&monitor->is_parked, true);
    while (atomic_load(&monitor->is_parked) && is_all_asleep(monitor->rt) &&
           !atomic_load(&monitor->is_stopping))
        pthread_cond_wait(&monitor->wake, &monitor->lock);
    atomic_store(&monitor->is_parked, false);
}

static void sleep_a_tick(struct molt_monitor *monitor)
{
    uint64_t until = molt_clock_ns() + TICK_NS;
    struct timespec at = {.tv_sec = (time_t)(until / 1000000000),
                          .tv_nsec = (long)(until % 1000000000)};
    if (!atomic_load(&monitor->is_stopping))
        pthread_cond_timedwait(&monitor->wake, &monitor->lock, &at);
}

static void *thread_main(void *arg)
{
    struct molt_monitor *monitor = arg;
    unsigned idle_ticks = 0;
    pthread_mutex_lock(&monitor->lock);
    while (!atomic_load(&monitor->is_stopping)) {
        sleep_a_tick(monitor);
        pthread_mutex_unlock(&monitor->lock);
        tick(monitor->rt);
        idle_ticks = is_all_asleep(monitor->rt) ? idle_ticks + 1 : 0;
        pthread_mutex_lock(&monitor->lock);
        if (idle_ticks >= PARK_TICKS) {
            park(monitor);
            idle_ticks = 0;
        }
    }
    pthread_mutex_unlock(&monitor->lock);
    return NULL;
}

void molt_monitor_unpark(struct molt_monitor *monitor)
{
    pthread_mutex_lock(&monitor->lock);
    if (atomic_load(&monitor->is_parked)) {
        atomic_store(&monitor->is_parked, false);
        pthread_cond_signal(&monitor->wake);
    }
    pthread_mutex_unlock(&monitor->lock);
}

int molt_monitor_start(struct molt_monitor *monitor)
{
    atomic_store(&monitor->is_stopping, false);
    if (molt_thread_start(&monitor->thread, thread_main, monitor) < 0)
        return MOLT_ENOMEM;
    pthread_setname_np(monitor->thread, "molt-monitor");
    monitor->is_started = true;
    return 0;
}

void molt_monitor_stop(struct molt_monitor *monitor)
{
    if (!monitor->is_started)
        return;
    pthread_mutex_lock(&monitor->lock);
    atomic_store(&monitor->is_stopping, true);
    pthread_cond_signal(&monitor->wake);
    pthread_mutex_unlock(&monitor->lock);
    pthread_join(monitor->thread, NULL);
    monitor->is_started = false;
}
