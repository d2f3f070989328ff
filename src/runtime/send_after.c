/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Messages that are sent later.
 *
 * A message that waits belongs to nobody: it is packed, and the timer leads to
 * it. Whoever takes the timer out of its heap, under the heap's lock, has the
 * message: the thread that lets it expire sends it, who cancels it frees it.
 *
 * | who             | excludes                    | by                            |
 * |-----------------|-----------------------------|-------------------------------|
 * | expiry, cancel  | each other                  | the lock of the lane's timers |
 * | cancel          | a later timer in the place  | the number, under that lock   |
 * | scan, hold      | both, for a chunk at a time | the same lock                 |
 * | scan            | what expires meanwhile      | a grace period, see there     |
 */
#include <stdlib.h>

#include "base/clock.h"
#include "runtime/lane.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

#include <molt/molt.h>

#define PLACE_MASK ((UINT64_C(1) << MOLT_SENDS_BITS) - 1)
#define CHUNKS_MAX (1u << (MOLT_SENDS_BITS - 8))
#define AGAIN_NS 1000000 /* for a mailbox that is full now */

/* ---- places --------------------------------------------------------------------- */

static struct molt_send_chunk *chunk_at(struct molt_runtime *rt, unsigned i)
{
    /* Acquire: pairs with grow(). */
    return atomic_load_explicit(&rt->sends.chunks[i], memory_order_acquire);
}

/* The timer that @number names, whether it runs or not; NULL if there is none. */
static struct molt_timer *find(struct molt_runtime *rt, uint64_t number,
                               struct molt_send_lane **ret_lane)
{
    uint64_t place = (number & PLACE_MASK) - 1;
    uint64_t i = place / MOLT_SENDS_CHUNK;
    if (!(number & PLACE_MASK) || i >= CHUNKS_MAX)
        return NULL;
    struct molt_send_chunk *chunk = chunk_at(rt, (unsigned)i);
    if (!chunk)
        return NULL;
    *ret_lane = chunk->lane;
    return &chunk->timers[place % MOLT_SENDS_CHUNK];
}

/* Under the lock. A chunk's timers are born with the numbers of their places. */
static int grow(struct molt_runtime *rt, struct molt_send_lane *lane, struct molt_timers *timers)
{
    unsigned n = atomic_load_explicit(&rt->sends.n_chunks, memory_order_relaxed);
    if (n == CHUNKS_MAX)
        return MOLT_ELIMIT;
    struct molt_send_chunk *chunk = calloc(1, sizeof(*chunk));
    if (!chunk)
        return MOLT_ENOMEM;
    chunk->lane = lane;
    for (unsigned i = 0; i < MOLT_SENDS_CHUNK; i++) {
        struct molt_timer *timer = &chunk->timers[i];
        timer->timers = timers;
        timer->event.ref = (uint64_t)n * MOLT_SENDS_CHUNK + i + 1;
        timer->next = i + 1 < MOLT_SENDS_CHUNK ? timer + 1 : NULL;
    }
    atomic_store_explicit(&rt->sends.chunks[n], chunk, memory_order_release);
    atomic_store_explicit(&rt->sends.n_chunks, n + 1, memory_order_release);
    molt_spin_lock(&lane->lock);
    chunk->timers[MOLT_SENDS_CHUNK - 1].next = lane->free;
    lane->free = chunk->timers;
    molt_spin_unlock(&lane->lock);
    return 0;
}

static struct molt_timer *pop(struct molt_send_lane *lane)
{
    molt_spin_lock(&lane->lock);
    struct molt_timer *timer = lane->free;
    if (timer)
        lane->free = timer->next;
    molt_spin_unlock(&lane->lock);
    return timer;
}

static int take(struct molt_runtime *rt, struct molt_send_lane *lane, struct molt_timers *timers,
                struct molt_timer **ret)
{
    int rc = 0;
    while (rc == 0 && !(*ret = pop(lane))) {
        pthread_mutex_lock(&rt->sends.lock);
        rc = grow(rt, lane, timers);
        pthread_mutex_unlock(&rt->sends.lock);
    }
    return rc;
}

/* @timer, which is @lane's, doesn't run. A place whose numbers are used up is
 * never used again. */
static void give(struct molt_send_lane *lane, struct molt_timer *timer)
{
    if (timer->event.ref > UINT64_MAX - PLACE_MASK - 1)
        return;
    molt_spin_lock(&lane->lock);
    timer->next = lane->free;
    lane->free = timer;
    molt_spin_unlock(&lane->lock);
}

/* ---- sending --------------------------------------------------------------------- */

/* The message with that number doesn't wait any more. */
static void tell_watcher(struct molt_runtime *rt)
{
    /* The watcher sets the flag and then looks, under the lock of the timers,
     * under which this one was taken out. */
    if (!atomic_load_explicit(&rt->sends.is_watched, memory_order_relaxed))
        return;
    pthread_mutex_lock(&rt->quiet_lock);
    pthread_cond_broadcast(&rt->quiet);
    pthread_mutex_unlock(&rt->quiet_lock);
}

void molt_send_now(struct molt_runtime *rt, const struct molt_timer_event *event)
{
    struct molt_runner *here = molt_runner_here();
    struct molt_runner *runner = here ? here : &rt->executor;
    struct molt_block *root = event->data;
    struct molt_send_lane *lane = NULL;
    struct molt_timer *timer = find(rt, event->ref, &lane);
    /* Seq_cst: pairs with turn() of scan.c, through a grace period. */
    if (__builtin_expect(atomic_load(&rt->scan.is_on), 0))
        molt_scan_message(&rt->scan, root);
    int rc = molt_process_offer(rt, event->pid, root, MOLT_MESSAGE_CAST, (struct molt_from){0});
    if (rc == MOLT_EBUSY) {
        molt_timer_start(timer->timers, timer, molt_clock_ns() + AGAIN_NS, event);
        return;
    }
    if (rc < 0)
        molt_message_drop(rt->heap, &runner->cache, root);
    give(lane, timer);
    tell_watcher(rt);
}

/* The lane whose timers the caller uses. */
static struct molt_lane *choose_lane(struct molt_runtime *rt, const struct molt_runner *runner)
{
    struct molt_lane *lane = runner->worker ? molt_worker_lane(runner->worker) : NULL;
    if (lane)
        return lane;
    unsigned turn = atomic_fetch_add_explicit(&rt->next_lane, 1, memory_order_relaxed);
    return &rt->lanes[turn % rt->n_workers];
}

/* Whoever sleeps in @lane may have to get up earlier now. */
static void hurry(const struct molt_runner *runner, struct molt_lane *lane)
{
    if (runner->worker && molt_worker_lane(runner->worker) == lane)
        return;
    /* Seq_cst, between the start of the timer and the look at is_asleep: the
     * sleeper sets is_asleep, looks at n_queued and then at the timers. */
    atomic_fetch_add(&lane->n_queued, 0);
    molt_lane_wake(lane);
}

static int start(struct molt_runner *runner, uint64_t deadline_ns, molt_pid pid,
                 struct molt_block *root, uint64_t *ret_timer)
{
    struct molt_runtime *rt = runner->rt;
    struct molt_lane *lane = choose_lane(rt, runner);
    struct molt_timer *timer;
    int rc = take(rt, &rt->sends.lanes[lane->index], &lane->timers, &timer);
    if (rc < 0)
        return rc;
    uint64_t number = timer->event.ref + PLACE_MASK + 1;
    struct molt_timer_event event = {.pid = pid,
                                     .ref = number,
                                     .kind = MOLT_TIMER_SEND,
                                     .data = root};
    molt_timer_start(&lane->timers, timer, deadline_ns, &event);
    hurry(runner, lane);
    if (ret_timer)
        *ret_timer = number;
    return 0;
}

static int check_target(struct molt_runtime *rt, molt_pid pid)
{
    if (!pid)
        return MOLT_EINVAL;
    return molt_process_find(rt, pid) ? 0 : MOLT_EDEAD;
}

int molt_send_after(unsigned ms, molt_pid pid, void *msg, uint64_t *ret_timer)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_block *root;
    if (!runner)
        return MOLT_ENOPROC;
    uint64_t deadline = molt_clock_ns() + (uint64_t)ms * 1000000;
    int rc = molt_runner_take(runner, msg, &root);
    if (rc < 0)
        return runner->is_converting ? MOLT_ENOPROC : rc;
    rc = runner->is_converting ? MOLT_ENOPROC : check_target(runner->rt, pid);
    if (rc == 0) {
        /* Nobody may take it for his own. */
        molt_message_address(root, &runner->rt->sends.owner);
        rc = start(runner, deadline, pid, root, ret_timer);
    }
    if (rc < 0)
        molt_runner_drop(runner, root);
    return rc;
}

int molt_cancel_timer(uint64_t number)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_timer_event event;
    struct molt_send_lane *lane;
    if (!runner || runner->is_converting)
        return MOLT_ENOPROC;
    struct molt_timer *timer = find(runner->rt, number, &lane);
    if (!timer || !molt_timer_cancel_ref(timer, number, &event))
        return MOLT_ENOENT;
    molt_runner_drop(runner, event.data);
    give(lane, timer);
    tell_watcher(runner->rt);
    return 0;
}

/* ---- looking at what waits --------------------------------------------------------- */

void molt_sends_each(struct molt_runtime *rt,
                     bool (*fn)(void *user, const struct molt_timer_event *event), void *user)
{
    unsigned n = atomic_load_explicit(&rt->sends.n_chunks, memory_order_acquire);
    bool goes_on = true;
    for (unsigned i = 0; goes_on && i < n; i++) {
        struct molt_send_chunk *chunk = chunk_at(rt, i);
        struct molt_timers *timers = chunk->timers[0].timers;
        molt_spin_lock(&timers->lock);
        for (unsigned k = 0; goes_on && k < MOLT_SENDS_CHUNK; k++)
            if (molt_timer_is_running(&chunk->timers[k]))
                goes_on = fn(user, &chunk->timers[k].event);
        molt_spin_unlock(&timers->lock);
    }
}

static bool is_waiting(struct molt_runtime *rt, uint64_t number)
{
    struct molt_send_lane *lane;
    struct molt_timer *timer = find(rt, number, &lane);
    molt_spin_lock(&timer->timers->lock);
    bool is = molt_timer_is_running(timer) && timer->event.ref == number;
    molt_spin_unlock(&timer->timers->lock);
    return is;
}

bool molt_sends_watch(struct molt_runtime *rt, uint64_t number, uint64_t deadline_ns)
{
    bool is;
    pthread_mutex_lock(&rt->quiet_lock);
    atomic_store_explicit(&rt->sends.is_watched, true, memory_order_relaxed);
    while ((is = is_waiting(rt, number)) && molt_runtime_wait_quiet(rt, deadline_ns))
        ;
    atomic_store_explicit(&rt->sends.is_watched, false, memory_order_relaxed);
    pthread_mutex_unlock(&rt->quiet_lock);
    return !is;
}

/* ---- life -------------------------------------------------------------------------- */

int molt_sends_init(struct molt_runtime *rt)
{
    pthread_mutex_init(&rt->sends.lock, NULL);
    molt_owner_init(&rt->sends.owner);
    rt->sends.lanes = calloc(rt->n_workers, sizeof(*rt->sends.lanes));
    for (unsigned i = 0; rt->sends.lanes && i < rt->n_workers; i++)
        molt_spin_init(&rt->sends.lanes[i].lock);
    return rt->sends.lanes ? 0 : MOLT_ENOMEM;
}

void molt_sends_fini(struct molt_runtime *rt)
{
    unsigned n = atomic_load_explicit(&rt->sends.n_chunks, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++)
        free(chunk_at(rt, i));
    free(rt->sends.lanes);
    pthread_mutex_destroy(&rt->sends.lock);
}
