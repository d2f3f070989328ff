/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Timers. They are intrusive, so starting one allocates nothing and can't fail.
 * The first few, and those that are due within a tick, are in a heap
 * (timer_heap.h), all others in a wheel (timer_wheel.h), so that start and
 * cancel are O(1), whatever their number.
 *
 * Threads: any. A timer is started by one thread at a time; it may expire on
 *          another while it is cancelled: then what it was for says so.
 * Locks:   molt_timers.lock guards heap, wheel and the links; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_TIMER_H
#define MOLT_RUNTIME_TIMER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/spin.h"
#include "runtime/timer_wheel.h"

/* What happens when it expires: of whoever starts it. */
struct molt_timer_event {
    uint64_t pid, ref;
    unsigned kind;
    void *data;
};

struct molt_timer {
    uint64_t deadline_ns;       /* molt_clock_ns() */
    uint64_t sequence;          /* equal deadlines expire in the order of their start */
    struct molt_timer *child;   /* in the heap */
    struct molt_timer *next;    /* also in a list of the wheel */
    struct molt_timer *prev;    /* the one before; in the heap the parent of a first child */
    struct molt_timers *timers; /* where it is or was; NULL: never started */
    atomic_uchar place;         /* MOLT_TIMER_... */
    unsigned short list;        /* of the wheel */
    struct molt_timer_event event;
};

enum { MOLT_TIMER_IDLE, MOLT_TIMER_IN_HEAP, MOLT_TIMER_IN_WHEEL };

/* Exact for the one who starts it if it is false, and under the lock. */
static inline bool molt_timer_is_running(const struct molt_timer *timer)
{
    /* Acquire: pairs with the end of its expiry; nobody looks at it any more. */
    return atomic_load_explicit(&timer->place, memory_order_acquire) != MOLT_TIMER_IDLE;
}

struct molt_timers {
    struct molt_spin lock; /* guards what follows */
    unsigned n_heap;
    struct molt_timer *root; /* of the heap */
    uint64_t sequence;
    size_t n;
    uint64_t wheel_ns; /* when the wheel has to turn; UINT64_MAX: never */
    /* When there is something to do, at the latest when the first is due;
     * UINT64_MAX without any. Written under the lock. */
    _Atomic uint64_t next_ns;
    struct molt_timer_wheel wheel;
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
/* Milliseconds until there is something to do, rounded up, at most INT_MAX; -1 if
 * there are no timers. */
int molt_timer_wait_ms(const struct molt_timers *timers, uint64_t now_ns);

/* Whether there is anything to do at @now_ns: a load and a comparison. */
static inline bool molt_timers_are_due(const struct molt_timers *timers, uint64_t now_ns)
{
    return atomic_load_explicit(&timers->next_ns, memory_order_relaxed) <= now_ns;
}

static inline bool molt_timers_are_empty(const struct molt_timers *timers)
{
    return atomic_load_explicit(&timers->next_ns, memory_order_relaxed) == UINT64_MAX;
}

#endif
