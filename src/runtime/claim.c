/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Claims: how somebody else than a worker gets a process to itself.
 *
 * Whoever leaves a process looks at CLAIM_WANTED and WATCHED in the same step,
 * and then takes quiet_lock to tell; the executor holds that lock from setting
 * the flag until it waits. So no change is missed.
 */
#include <time.h>

#include "base/clock.h"
#include "runtime/process.h"
#include "runtime/rt.h"

bool molt_runtime_wait_quiet(struct molt_runtime *rt, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                             .tv_nsec = (long)(deadline_ns % 1000000000)};
    return pthread_cond_timedwait(&rt->quiet, &rt->quiet_lock, &until) == 0;
}

bool molt_process_claim(struct molt_process *p)
{
    unsigned old = molt_process_status(p), new;
    do {
        unsigned state = old & MOLT_STATE_MASK;
        if ((state != MOLT_STATE_IDLE && state != MOLT_STATE_QUEUED) ||
            (old & MOLT_IS_CLAIM_WANTED))
            return false;
        new = (old & ~MOLT_STATE_MASK) | MOLT_STATE_CLAIMED;
        /* Acquire: pairs with the release of who left it. */
    } while (!atomic_compare_exchange_weak_explicit(&p->status, &old, new, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

/* Claimed at once, or wanted from whoever has it. */
static bool claim_or_want(struct molt_process *p)
{
    unsigned old = molt_process_status(p), new;
    do {
        unsigned state = old & MOLT_STATE_MASK;
        if (state == MOLT_STATE_IDLE || state == MOLT_STATE_QUEUED)
            new = (old & ~MOLT_STATE_MASK) | MOLT_STATE_CLAIMED;
        else
            new = old | MOLT_IS_CLAIM_WANTED;
    } while (!atomic_compare_exchange_weak_explicit(&p->status, &old, new, memory_order_acquire,
                                                    memory_order_relaxed));
    return !(new &MOLT_IS_CLAIM_WANTED);
}

static bool was_handed_over(struct molt_process *p)
{
    /* Acquire: pairs with molt_process_leave(). */
    unsigned status = atomic_load_explicit(&p->status, memory_order_acquire);
    return (status & MOLT_STATE_MASK) == MOLT_STATE_CLAIMED && !(status & MOLT_IS_CLAIM_WANTED);
}

/* Take the wish back; false if it was granted meanwhile. */
static bool give_up(struct molt_process *p)
{
    unsigned old = molt_process_status(p);
    do {
        if (!(old & MOLT_IS_CLAIM_WANTED))
            return !was_handed_over(p);
    } while (!atomic_compare_exchange_weak(&p->status, &old, old & ~MOLT_IS_CLAIM_WANTED));
    return true;
}

bool molt_process_claim_wait(struct molt_process *p, molt_pid pid, uint64_t deadline_ns)
{
    struct molt_runtime *rt = p->rt;
    bool is_in_time = true;
    pthread_mutex_lock(&rt->quiet_lock);
    bool is_mine = molt_process_pid(p) == pid && claim_or_want(p);
    while (!is_mine && is_in_time && molt_process_pid(p) == pid) {
        is_in_time = molt_runtime_wait_quiet(rt, deadline_ns);
        is_mine = was_handed_over(p);
    }
    if (!is_mine && !give_up(p))
        is_mine = true;
    pthread_mutex_unlock(&rt->quiet_lock);
    if (!is_mine || molt_process_pid(p) == pid)
        return is_mine;
    /* Another process by now. */
    molt_process_leave(p, 0, 0);
    return false;
}

bool molt_process_watch(struct molt_process *p, bool (*is_over)(struct molt_process *, void *),
                        void *user, uint64_t deadline_ns)
{
    struct molt_runtime *rt = p->rt;
    bool is_in_time = true, is_done;
    pthread_mutex_lock(&rt->quiet_lock);
    for (;;) {
        atomic_fetch_or(&p->status, MOLT_IS_WATCHED);
        is_done = is_over(p, user);
        if (is_done || !is_in_time)
            break;
        is_in_time = molt_runtime_wait_quiet(rt, deadline_ns);
    }
    atomic_fetch_and(&p->status, ~MOLT_IS_WATCHED);
    pthread_mutex_unlock(&rt->quiet_lock);
    return is_done;
}
