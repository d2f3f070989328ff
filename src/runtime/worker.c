/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/worker.h"

#include <errno.h>
#include <sched.h>
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
/* Looks around, before a sleep, between two that cost more. */
#define SPIN_LOOKS 16
/* As long as a callback computes until it is preempted again, about: see monitor.c. */
#define SHARE_TICKS 2

/* ---- what to run ------------------------------------------------------------- */

static void unpark(struct molt_worker *w)
{
    /* Seq_cst: who parks sets is_parked and then looks around. */
    if (!atomic_load(&w->is_parked))
        return;
    pthread_mutex_lock(&w->park_lock);
    pthread_cond_signal(&w->park);
    pthread_mutex_unlock(&w->park_lock);
}

/* Under resume_lock. */
static void count_resumes(struct molt_worker *w, unsigned add, bool is_preempted)
{
    atomic_uint *n = is_preempted ? &w->n_preempted : &w->n_resumes;
    unsigned now = atomic_load_explicit(n, memory_order_relaxed);
    atomic_store_explicit(n, now + add, memory_order_relaxed);
}

void molt_worker_push(struct molt_worker *w, struct molt_process *p)
{
    bool is_own = molt_runner_here() == &w->runner;
    /* Nobody runs it before it is in a queue. */
    bool is_preempted = p->fiber->act.is_preempted;
    if (is_own && !is_preempted) {
        molt_queue_append(&w->own_resumes, p);
        return;
    }
    molt_spin_lock(&w->resume_lock);
    molt_queue_append(is_preempted ? &w->preempted : &w->resumes, p);
    /* Seq_cst: as in molt_lane_put(). */
    if (is_own)
        count_resumes(w, 1, is_preempted);
    else
        atomic_fetch_add(is_preempted ? &w->n_preempted : &w->n_resumes, 1);
    molt_spin_unlock(&w->resume_lock);
    if (is_own)
        return;
    struct molt_lane *lane = atomic_load(&w->lane);
    if (lane)
        molt_lane_wake(lane);
    unpark(w);
}

static struct molt_process *pop(struct molt_worker *w, bool is_preempted)
{
    if (atomic_load_explicit(is_preempted ? &w->n_preempted : &w->n_resumes,
                             memory_order_relaxed) == 0)
        return NULL;
    molt_spin_lock(&w->resume_lock);
    struct molt_process *p = molt_queue_take(is_preempted ? &w->preempted : &w->resumes);
    if (p)
        count_resumes(w, -1u, is_preempted);
    molt_spin_unlock(&w->resume_lock);
    return p;
}

/* What others made ready takes turns with what was made ready here. */
static struct molt_process *pop_resume(struct molt_worker *w)
{
    struct molt_process *p = w->n_left & 2 ? pop(w, false) : NULL;
    p = p ? p : molt_queue_take(&w->own_resumes);
    return p ? p : pop(w, false);
}

static struct molt_process *pop_lane(struct molt_worker *w, struct molt_lane *lane)
{
    if (!atomic_load_explicit(&w->next, memory_order_relaxed))
        return molt_lane_pop(lane);
    struct molt_process *high = molt_lane_pop_high(lane);
    return high ? high : molt_worker_take_next(w);
}

/* Without a lane, or before it is given away: others may have it. */
static void put_next(struct molt_worker *w)
{
    struct molt_process *p = molt_worker_take_next(w);
    if (p)
        molt_lane_put(atomic_load_explicit(&p->lane, memory_order_relaxed), p);
}

static unsigned tick_of(const struct molt_worker *w)
{
    return atomic_load_explicit(&w->rt->tick, memory_order_relaxed);
}

/* Those who wait with a stack and those without take turns. */
static struct molt_process *next(struct molt_worker *w)
{
    /* It may be taken away at any time. */
    struct molt_lane *lane = atomic_load_explicit(&w->lane, memory_order_relaxed);
    if (!lane || w->is_starved)
        return NULL;
    bool is_lane_first = w->n_left & 1;
    struct molt_process *p = is_lane_first ? pop_lane(w, lane) : pop_resume(w);
    if (p)
        return p;
    return is_lane_first ? pop_resume(w) : pop_lane(w, lane);
}

static void run_on_floor(void *arg)
{
    const struct molt_fiber *mine = arg;
    struct molt_worker *w = mine->act.worker;
    while (w->n_left > 0) {
        struct molt_process *p = next(w);
        if (!p) {
            w->n_left = 0;
            return;
        }
        w->n_left--;
        molt_worker_run(w, p);
        if (w->floor != mine)
            return;
    }
}

/* Without a stack, only those can run that have one. */
static void run_starved(struct molt_worker *w)
{
    struct molt_process *p;
    w->is_starved = true;
    for (; w->n_left > 0 && (p = pop_resume(w)); w->n_left--)
        molt_worker_run(w, p);
    w->n_left = 0;
}

static void run_batch(struct molt_worker *w)
{
    w->n_left = BATCH;
    while (w->n_left > 0)
        if (!molt_worker_on_stack(w, run_on_floor))
            run_starved(w);
}

static bool has_work(struct molt_worker *w, struct molt_lane *lane)
{
    return molt_lane_has_queued(lane) || atomic_load(&w->n_resumes) > 0 ||
           atomic_load_explicit(&w->next, memory_order_relaxed) || w->own_resumes.first;
}

/* Who was preempted goes on when nobody else has work, or when the others have
 * had as long as it: not in turn with them, whose turns are a thousand times
 * shorter. False: there is nobody, or not now. */
static bool run_preempted(struct molt_worker *w, bool is_busy)
{
    if (is_busy && tick_of(w) - w->preempted_tick < SHARE_TICKS)
        return false;
    struct molt_process *p = pop(w, true);
    if (!p)
        return false;
    atomic_store_explicit(&w->is_again, true, memory_order_relaxed);
    molt_worker_run(w, p);
    atomic_store_explicit(&w->is_again, false, memory_order_relaxed);
    w->preempted_tick = tick_of(w);
    return true;
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

/* ---- without a lane --------------------------------------------------------------- */

void molt_worker_give_lane(struct molt_worker *w, struct molt_lane *lane)
{
    bool was_away = atomic_exchange(&lane->worker, w) != lane->home;
    bool is_away = lane->home != w;
    if (is_away && !was_away)
        atomic_fetch_add(&w->rt->n_lanes_away, 1);
    else if (was_away && !is_away)
        atomic_fetch_sub(&w->rt->n_lanes_away, 1);
    if (!is_away)
        atomic_store(&lane->is_wanted, false);
    atomic_store(&w->lane, lane);
    unpark(w);
}

struct molt_worker *molt_worker_find_spare(struct molt_runtime *rt, struct molt_lane *lane)
{
    if (atomic_load(&lane->is_wanted))
        return lane->home;
    for (unsigned i = rt->n_workers; i < rt->n_threads; i++) {
        struct molt_worker *w = &rt->workers[i];
        if (molt_worker_lane(w))
            continue;
        if (!w->is_started && molt_worker_start(w) < 0)
            return NULL;
        /* One whose own callback is stuck has no lane either. */
        if (!(atomic_load(&w->n_turns) & 1))
            return w;
    }
    return NULL;
}

static void park(struct molt_worker *w)
{
    molt_participant_offline(&w->participant);
    pthread_mutex_lock(&w->park_lock);
    atomic_store(&w->is_parked, true);
    while (!atomic_load(&w->lane) && atomic_load(&w->n_resumes) == 0 &&
           atomic_load(&w->n_preempted) == 0 && !atomic_load(&w->rt->is_stopping))
        pthread_cond_wait(&w->park, &w->park_lock);
    atomic_store(&w->is_parked, false);
    pthread_mutex_unlock(&w->park_lock);
}

/* Who was stuck asks for its lane, and goes on with what is suspended here. */
static void work_without_lane(struct molt_worker *w)
{
    if (w->home && !atomic_exchange(&w->home->is_wanted, true))
        molt_lane_wake(w->home);
    put_next(w);
    w->n_left ^= 2; /* as pop_resume() wants it */
    struct molt_process *p = pop_resume(w);
    if (p)
        molt_worker_run(w, p);
    else if (!run_preempted(w, false))
        park(w);
}

static bool is_to_give_back(const struct molt_worker *w, const struct molt_lane *lane)
{
    return lane->home != w && atomic_load(&lane->is_wanted);
}

static void give_back(struct molt_worker *w, struct molt_lane *lane)
{
    put_next(w);
    pthread_mutex_lock(&w->handover_lock);
    bool is_mine = atomic_load(&w->lane) == lane;
    if (is_mine) {
        atomic_store(&w->lane, NULL);
        molt_worker_give_lane(lane->home, lane);
    }
    pthread_mutex_unlock(&w->handover_lock);
}

/* ---- the loop ------------------------------------------------------------------ */

static bool is_needed(struct molt_worker *w, struct molt_lane *lane)
{
    return has_work(w, lane) || atomic_load(&w->n_preempted) > 0 ||
           atomic_load(&w->rt->is_stopping) || is_to_give_back(w, lane);
}

/* Now and then, while spinning: what doesn't show in a word of memory. */
static bool find_work(struct molt_worker *w, struct molt_lane *lane, uint64_t now)
{
    if (molt_timers_are_due(&lane->timers, now) || steal(w, lane))
        return true;
    if (atomic_load_explicit(&lane->n_fds, memory_order_relaxed) > 0)
        (void)molt_lane_poll(lane, 0);
    /* Who waits for a grace period doesn't wait for this. */
    molt_participant_boundary(&w->participant, w->rt->current);
    return is_needed(w, lane);
}

/* Going to sleep and being woken takes longer than the answer of another worker. So
 * if what came last came soon, look around for a while first. */
static bool spin(struct molt_worker *w, struct molt_lane *lane)
{
    if (!w->lookout.is_on || w->is_starved)
        return false;
    uint64_t now = molt_clock_ns(), end = now + MOLT_LOOKOUT_NS;
    for (; now < end; now = molt_clock_ns()) {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (is_needed(w, lane)) {
                molt_lookout_found(&w->lookout);
                return true;
            }
            molt_cpu_relax();
        }
        if (find_work(w, lane, now))
            return true;
    }
    molt_lookout_in_vain(&w->lookout);
    return false;
}

/* Returns how long to sleep, in ms; < 0: as long as it takes. */
static int sleep_ms(struct molt_worker *w, struct molt_lane *lane)
{
    int ms = molt_timers_are_empty(&lane->timers)
                 ? -1
                 : molt_timer_wait_ms(&lane->timers, molt_clock_ns());
    return w->is_starved && (ms < 0 || ms > STARVED_MS) ? STARVED_MS : ms;
}

static void sleep_until_work(struct molt_worker *w, struct molt_lane *lane)
{
    struct molt_runtime *rt = w->rt;
    molt_participant_offline(&w->participant);
    atomic_fetch_add(&rt->n_asleep, 1);
    atomic_store(&lane->is_asleep, true); /* pairs with molt_lane_wake() */
    molt_hostile_gap();
    bool is_starved = w->is_starved && !atomic_load(&rt->is_stopping) && !is_to_give_back(w, lane);
    if (!is_needed(w, lane) || is_starved) {
        int ms = sleep_ms(w, lane);
        uint64_t start = rt->can_spin ? molt_clock_ns() : 0;
        if (molt_lane_poll(lane, ms) && rt->can_spin)
            molt_lookout_woken(&w->lookout, molt_clock_ns() - start);
    }
    atomic_store(&lane->is_asleep, false);
    atomic_fetch_sub(&rt->n_asleep, 1);
    molt_monitor_poke(&rt->monitor);
    w->is_starved = false;
}

static void work(struct molt_worker *w, struct molt_lane *lane)
{
    run_batch(w);
    if (atomic_load_explicit(&w->lane, memory_order_relaxed) != lane)
        return;
    if (!molt_timers_are_empty(&lane->timers))
        molt_lane_run_timers(lane, molt_clock_ns());
    bool is_busy = !w->is_starved && (has_work(w, lane) || steal(w, lane));
    bool has_preempted = atomic_load_explicit(&w->n_preempted, memory_order_relaxed) > 0;
    if (w->is_starved || (!is_busy && !has_preempted)) {
        if (!spin(w, lane))
            sleep_until_work(w, lane);
    } else if (atomic_load_explicit(&lane->n_fds, memory_order_relaxed) > 0) {
        (void)molt_lane_poll(lane, 0);
    }
    if (__builtin_expect(has_preempted, 0))
        run_preempted(w, is_busy || has_work(w, lane));
}

static void run_loop(struct molt_worker *w)
{
    while (!atomic_load_explicit(&w->rt->is_stopping, memory_order_acquire)) {
        struct molt_lane *lane = atomic_load(&w->lane);
        if (lane && is_to_give_back(w, lane))
            give_back(w, lane);
        else if (lane)
            work(w, lane);
        else
            work_without_lane(w);
    }
}

/* ---- signals --------------------------------------------------------------------- */

static struct molt_flow *hook_running(void *user)
{
    const struct molt_worker *w = user;
    return atomic_load_explicit(&w->flow, memory_order_relaxed);
}

static bool hook_is_module_text(void *user, uintptr_t pc)
{
    const struct molt_worker *w = user;
    uintptr_t offset;
    bool is_unloaded;
    const struct molt_version *v =
        molt_code_find_pc(w->rt->code, (const void *)pc, /* NOLINT: an address */
                          &offset, &is_unloaded);
    return v && !is_unloaded && !molt_version_is_uncounted(v);
}

/* Nobody else could go on without what the process has locked. */
static bool has_no_lock(const struct molt_worker *w)
{
    const struct molt_process *p = w->runner.process;
    return p && p->fiber && p->fiber->act.n_locks == 0;
}

static bool hook_may_redirect(void *user, const struct molt_preempt_frames *frames)
{
    (void)frames;
    return has_no_lock(user);
}

static bool hook_may_contain(void *user, const struct molt_fault *fault)
{
    (void)fault;
    return has_no_lock(user);
}

static void hook_yield(void *user)
{
    const struct molt_worker *w = user;
    molt_worker_yield(w->runner.process);
}

static const struct molt_preempt_hooks preempt_hooks = {hook_running, hook_is_module_text,
                                                        hook_may_redirect, hook_yield};
static const struct molt_fault_hooks fault_hooks = {hook_running, hook_is_module_text,
                                                    hook_may_contain};

/* Where it isn't possible, callbacks run as long as they like, and crashes end
 * the host; `molt doctor` and the log say so. */
static void init_signals(struct molt_worker *w)
{
    w->can_be_preempted =
        w->rt->can_preempt && molt_preempt_thread_init(&w->preempt, &preempt_hooks, w, NULL) == 0;
    w->can_fault =
        w->rt->can_contain && molt_fault_thread_init(&w->fault, &fault_hooks, w, NULL) == 0;
}

static void fini_signals(struct molt_worker *w)
{
    if (w->can_fault)
        molt_fault_thread_fini(&w->fault);
    if (w->can_be_preempted)
        molt_preempt_thread_fini(&w->preempt);
    w->can_fault = w->can_be_preempted = false;
}

static void pin_to_core(const struct molt_worker *w)
{
    cpu_set_t all, one;
    if (!w->rt->config.is_pinned || !w->home || sched_getaffinity(0, sizeof(all), &all) < 0)
        return;
    unsigned n = 0, want = w->index % (unsigned)CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || n++ != want)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        (void)pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
        return;
    }
}

static void say_left(struct molt_worker *w)
{
    pthread_mutex_lock(&w->rt->quiet_lock);
    w->has_left = true;
    pthread_cond_broadcast(&w->rt->quiet);
    pthread_mutex_unlock(&w->rt->quiet_lock);
}

static void *thread_main(void *arg)
{
    struct molt_worker *w = arg;
    void *alt_stack = molt_port_alt_stack_open();
    molt_runner_set(&w->runner);
    w->errno_at = &errno;
    molt_context_init_thread(&w->context);
    pin_to_core(w);
    init_signals(w);
    run_loop(w);
    molt_participant_offline(&w->participant);
    fini_signals(w);
    molt_runner_set(NULL);
    molt_port_alt_stack_close(alt_stack);
    say_left(w);
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

int molt_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    keep_faults(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(ret, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : MOLT_ENOMEM;
}

int molt_worker_start(struct molt_worker *w)
{
    w->has_left = false;
    int rc = molt_thread_start(&w->thread, thread_main, w);
    w->is_started = rc == 0;
    return rc;
}

static bool wait_left(struct molt_worker *w, uint64_t deadline_ns)
{
    struct molt_runtime *rt = w->rt;
    bool is_in_time = true;
    pthread_mutex_lock(&rt->quiet_lock);
    while (!w->has_left && is_in_time)
        is_in_time = molt_runtime_wait_quiet(rt, deadline_ns);
    bool has_left = w->has_left;
    pthread_mutex_unlock(&rt->quiet_lock);
    return has_left;
}

bool molt_worker_join(struct molt_worker *w, uint64_t deadline_ns)
{
    if (!w->is_started)
        return true;
    struct molt_lane *lane = molt_worker_lane(w);
    if (lane)
        molt_lane_wake(lane);
    unpark(w);
    if (!wait_left(w, deadline_ns))
        return false;
    pthread_join(w->thread, NULL);
    w->is_started = false;
    return true;
}

int molt_worker_init(struct molt_worker *w, struct molt_runtime *rt, unsigned index,
                     struct molt_lane *lane)
{
    w->rt = rt;
    w->index = w->victim = index;
    w->home = lane;
    molt_spin_init(&w->resume_lock);
    pthread_mutex_init(&w->handover_lock, NULL);
    pthread_mutex_init(&w->park_lock, NULL);
    pthread_cond_init(&w->park, NULL);
    atomic_init(&w->lane, lane);
    molt_fiber_pool_init(&w->fibers, w, rt->config.stack_bytes);
    char name[32];
    snprintf(name, sizeof(name), "%s %u", lane ? "worker" : "spare worker", index);
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
    pthread_cond_destroy(&w->park);
    pthread_mutex_destroy(&w->park_lock);
    pthread_mutex_destroy(&w->handover_lock);
}
