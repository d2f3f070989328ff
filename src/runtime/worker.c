/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/worker.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "port/alt_stack.h"
#include "port/limits.h"
#include "runtime/rt.h"

/* Processes run between two looks at descriptors and timers. */
#define BATCH MOLT_LIMIT(64, 1)
#define STARVED_MS 5

/* ---- what to run ------------------------------------------------------------- */

void molt_worker_push(struct molt_worker *w, struct molt_process *p)
{
    bool is_own = molt_runner_here() == &w->runner;
    molt_spin_lock(&w->resume_lock);
    p->run_next = NULL;
    if (w->resumes.first)
        w->resumes.last->run_next = p;
    else
        w->resumes.first = p;
    w->resumes.last = p;
    /* Seq_cst: as in molt_lane_push(). */
    if (is_own)
        atomic_store_explicit(&w->n_resumes,
                              atomic_load_explicit(&w->n_resumes, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    else
        atomic_fetch_add(&w->n_resumes, 1);
    molt_spin_unlock(&w->resume_lock);
    struct molt_lane *lane = atomic_load(&w->lane);
    if (!is_own && lane)
        molt_lane_wake(lane);
}

static struct molt_process *pop_resume(struct molt_worker *w)
{
    if (atomic_load_explicit(&w->n_resumes, memory_order_relaxed) == 0)
        return NULL;
    molt_spin_lock(&w->resume_lock);
    struct molt_process *p = w->resumes.first;
    if (p) {
        w->resumes.first = p->run_next;
        atomic_store_explicit(&w->n_resumes,
                              atomic_load_explicit(&w->n_resumes, memory_order_relaxed) - 1,
                              memory_order_relaxed);
    }
    molt_spin_unlock(&w->resume_lock);
    return p;
}

/* Those who wait with a stack and those without take turns. */
static bool run_batch(struct molt_worker *w, struct molt_lane *lane)
{
    bool has_run = false;
    for (int i = 0; i < BATCH && !w->is_starved; i++) {
        struct molt_process *p = i & 1 ? molt_lane_pop(lane) : pop_resume(w);
        if (!p)
            p = i & 1 ? pop_resume(w) : molt_lane_pop(lane);
        if (!p)
            break;
        molt_worker_run(w, p);
        has_run = true;
    }
    return has_run;
}

static bool has_work(struct molt_worker *w, struct molt_lane *lane)
{
    return molt_lane_has_queued(lane) || atomic_load(&w->n_resumes) > 0;
}

static bool steal(struct molt_worker *w, struct molt_lane *lane)
{
    struct molt_runtime *rt = w->rt;
    for (unsigned i = 0; i < rt->n_workers; i++) {
        struct molt_lane *from = &rt->lanes[w->victim++ % rt->n_workers];
        if (from != lane && molt_lane_steal(from, lane) > 0)
            return true;
    }
    return false;
}

/* ---- the loop ------------------------------------------------------------------ */

static void sleep_until_work(struct molt_worker *w, struct molt_lane *lane)
{
    struct molt_runtime *rt = w->rt;
    molt_participant_offline(&w->participant);
    atomic_fetch_add(&rt->n_asleep, 1);
    atomic_store(&lane->is_asleep, true); /* pairs with molt_lane_wake() */
    molt_hostile_gap();
    if ((!has_work(w, lane) || w->is_starved) && !atomic_load(&rt->is_stopping)) {
        int ms = molt_timers_are_empty(&lane->timers)
                     ? -1
                     : molt_timer_wait_ms(&lane->timers, molt_clock_ns());
        if (w->is_starved && (ms < 0 || ms > STARVED_MS))
            ms = STARVED_MS;
        molt_lane_poll(lane, ms);
    }
    atomic_store(&lane->is_asleep, false);
    atomic_fetch_sub(&rt->n_asleep, 1);
    w->is_starved = false;
}

static void work(struct molt_worker *w, struct molt_lane *lane)
{
    run_batch(w, lane);
    if (!molt_timers_are_empty(&lane->timers))
        molt_lane_run_timers(lane, molt_clock_ns());
    bool is_busy = has_work(w, lane) && !w->is_starved;
    if (is_busy || (!w->is_starved && steal(w, lane))) {
        if (atomic_load_explicit(&lane->n_fds, memory_order_relaxed) > 0)
            molt_lane_poll(lane, 0);
        return;
    }
    sleep_until_work(w, lane);
}

static void *thread_main(void *arg)
{
    struct molt_worker *w = arg;
    void *alt_stack = molt_port_alt_stack_open();
    molt_runner_set(&w->runner);
    molt_context_init_thread(&w->context);
    while (!atomic_load_explicit(&w->rt->is_stopping, memory_order_acquire))
        work(w, molt_worker_lane(w));
    molt_participant_offline(&w->participant);
    molt_runner_set(NULL);
    molt_port_alt_stack_close(alt_stack);
    return NULL;
}

/* A thread that fails has to be able to say where, see control/crash.h: these
 * would end the process without a handler if they were blocked. */
static void keep_faults(sigset_t *set)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(set, faults[i]);
}

int molt_worker_start(struct molt_worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    keep_faults(&all);
    /* Signals are for the host's own threads. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, thread_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->is_started = rc == 0;
    return rc == 0 ? 0 : MOLT_ENOMEM;
}

void molt_worker_join(struct molt_worker *w)
{
    if (!w->is_started)
        return;
    struct molt_lane *lane = molt_worker_lane(w);
    if (lane)
        molt_lane_wake(lane);
    pthread_join(w->thread, NULL);
    w->is_started = false;
}

int molt_worker_init(struct molt_worker *w, struct molt_runtime *rt, unsigned index,
                     struct molt_lane *lane)
{
    w->rt = rt;
    w->index = w->victim = index;
    molt_spin_init(&w->resume_lock);
    atomic_init(&w->lane, lane);
    molt_fiber_pool_init(&w->fibers, w, rt->config.stack_bytes);
    char name[32];
    snprintf(name, sizeof(name), "worker %u", index);
    molt_code_join(rt->code, &w->participant, name, false);
    molt_runner_init(&w->runner, rt, &w->participant);
    w->runner.worker = w;
    return 0;
}

void molt_worker_fini(struct molt_worker *w)
{
    molt_fiber_pool_fini(&w->fibers);
    molt_runner_fini(&w->runner);
    molt_code_leave(w->rt->code, &w->participant);
}
