/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Timers: an intrusive pairing heap (Fredman, Sedgewick, Sleator, Tarjan,
 * 1986), so that starting a timer allocates nothing and can't fail. Start is
 * O(1), cancel and expiry are O(log n) amortised.
 *
 * Threads: any. A timer is started by one thread at a time; it may expire on
 *          another while it is cancelled: then what it was for says so.
 * Locks:   molt_timers.lock guards the heap and the links; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_TIMER_H
#define MOLT_RUNTIME_TIMER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/spin.h"

/* What happens when it expires: of whoever starts it. */
struct molt_timer_event {
    uint64_t pid, ref;
    unsigned kind;
    void *data;
};

struct molt_timer {
    uint64_t deadline_ns; /* molt_clock_ns() */
    uint64_t sequence;    /* equal deadlines expire in the order of their start */
    struct molt_timer *child, *next;
    struct molt_timer *prev;    /* the sibling before, or the parent of a first child */
    struct molt_timers *timers; /* the heap it is or was in; NULL: never started */
    bool is_running;
    struct molt_timer_event event;
};

struct molt_timers {
    struct molt_spin lock; /* guards what follows */
    struct molt_timer *root;
    uint64_t sequence;
    size_t n;
    /* Of the root; UINT64_MAX without one. Written under the lock. */
    _Atomic uint64_t next_ns;
};

void molt_timers_init(struct molt_timers *timers);

/* Start @timer, or start it anew; it may have been in another heap. */
void molt_timer_start(struct molt_timers *timers, struct molt_timer *timer, uint64_t deadline_ns,
                      const struct molt_timer_event *event);
/* False if it wasn't running: never started, or it has expired. Afterwards
 * nobody looks at it. */
bool molt_timer_cancel(struct molt_timer *timer);
/* The same, if it is running with this @ref, and its event to *ret. For timers
 * that stay in one heap: others may start and cancel it meanwhile. */
bool molt_timer_cancel_ref(struct molt_timer *timer, uint64_t ref, struct molt_timer_event *ret);
/* Take the earliest timer that is due at @now_ns and copy its event out, since
 * the timer may be anything from then on. False if none is. */
bool molt_timer_expire(struct molt_timers *timers, uint64_t now_ns, struct molt_timer_event *ret);
/* Milliseconds until the earliest, rounded up, at most INT_MAX; -1 if none. */
int molt_timer_wait_ms(const struct molt_timers *timers, uint64_t now_ns);

/* Whether one is due at @now_ns: a load and a comparison. */
static inline bool molt_timers_are_due(const struct molt_timers *timers, uint64_t now_ns)
{
    return atomic_load_explicit(&timers->next_ns, memory_order_relaxed) <= now_ns;
}

static inline bool molt_timers_are_empty(const struct molt_timers *timers)
{
    return atomic_load_explicit(&timers->next_ns, memory_order_relaxed) == UINT64_MAX;
}

#endif
