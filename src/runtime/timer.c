/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/timer.h"

#include <limits.h>
#include <string.h>

#include "port/limits.h"
#include "runtime/timer_heap.h"

#define NEVER UINT64_MAX
/* So many are in the heap wherever they belong: with few timers the next time is
 * exact, and no list has to be gone through. */
#define HEAP_MAX MOLT_LIMIT(64, 2)
/* Timers that the wheel moves ahead of time, at once. */
#define AHEAD_MAX MOLT_LIMIT(256, 1)

/* ---- under the lock ------------------------------------------------------------ */

static void set_place(struct molt_timer *timer, unsigned char place)
{
    /* Release: pairs with molt_timer_is_running(). */
    atomic_store_explicit(&timer->place, place, memory_order_release);
}

static void note_next(struct molt_timers *timers)
{
    uint64_t next = timers->wheel_ns;
    if (timers->root && timers->root->deadline_ns < next)
        next = timers->root->deadline_ns;
    atomic_store_explicit(&timers->next_ns, next, memory_order_relaxed);
}

static void add_to_heap(struct molt_timers *timers, struct molt_timer *timer)
{
    molt_timer_heap_add(&timers->root, timer);
    timers->n_heap++;
    set_place(timer, MOLT_TIMER_IN_HEAP);
}

static void add(struct molt_timers *timers, struct molt_timer *timer)
{
    timers->n++;
    if (timers->n_heap < HEAP_MAX || molt_wheel_tick(timer->deadline_ns) <= timers->wheel.now) {
        add_to_heap(timers, timer);
        return;
    }
    uint64_t ns = molt_timer_wheel_add(&timers->wheel, timer);
    timers->wheel_ns = ns < timers->wheel_ns ? ns : timers->wheel_ns;
    set_place(timer, MOLT_TIMER_IN_WHEEL);
}

/* From here on it may be anything. */
static void take_out(struct molt_timers *timers, struct molt_timer *timer)
{
    if (atomic_load_explicit(&timer->place, memory_order_relaxed) == MOLT_TIMER_IN_HEAP) {
        molt_timer_heap_remove(&timers->root, timer);
        timers->n_heap--;
    } else {
        molt_timer_wheel_remove(&timers->wheel, timer);
        timers->wheel_ns = timers->wheel.n ? timers->wheel_ns : NEVER;
    }
    timers->n--;
    note_next(timers);
    set_place(timer, MOLT_TIMER_IDLE);
}

static void turn(struct molt_timers *timers, uint64_t tick)
{
    unsigned budget = AHEAD_MAX;
    uint64_t now = timers->wheel.now;
    struct molt_timer *timer =
        molt_timer_wheel_turn(&timers->wheel, tick > now ? tick : now, &budget);
    for (struct molt_timer *next; timer; timer = next) {
        next = timer->next;
        add_to_heap(timers, timer);
    }
    timers->wheel_ns = molt_timer_wheel_next(&timers->wheel);
    note_next(timers);
}

static bool is_due(const struct molt_timers *timers, uint64_t now_ns)
{
    return timers->root && timers->root->deadline_ns <= now_ns;
}

/* ---- any thread ------------------------------------------------------------------ */

void molt_timers_init(struct molt_timers *timers)
{
    /* Not the wheel's lists: their memory is touched when they are used. */
    memset(timers, 0, offsetof(struct molt_timers, wheel.first));
    molt_spin_init(&timers->lock);
    timers->wheel_ns = NEVER;
    atomic_init(&timers->next_ns, NEVER);
}

bool molt_timer_cancel(struct molt_timer *timer)
{
    struct molt_timers *timers = timer->timers;
    if (!timers || !molt_timer_is_running(timer))
        return false;
    molt_spin_lock(&timers->lock);
    bool was_running = molt_timer_is_running(timer);
    if (was_running)
        take_out(timers, timer);
    molt_spin_unlock(&timers->lock);
    return was_running;
}

bool molt_timer_cancel_ref(struct molt_timer *timer, uint64_t ref, struct molt_timer_event *ret)
{
    struct molt_timers *timers = timer->timers;
    molt_spin_lock(&timers->lock);
    bool is_it = molt_timer_is_running(timer) && timer->event.ref == ref;
    if (is_it) {
        *ret = timer->event;
        take_out(timers, timer);
    }
    molt_spin_unlock(&timers->lock);
    return is_it;
}

void molt_timer_start(struct molt_timers *timers, struct molt_timer *timer, uint64_t deadline_ns,
                      const struct molt_timer_event *event)
{
    molt_timer_cancel(timer);
    molt_spin_lock(&timers->lock);
    /* Of a timer that stays in one place others may read it at any time. */
    if (timer->timers != timers)
        timer->timers = timers;
    timer->event = *event;
    timer->deadline_ns = deadline_ns;
    timer->sequence = timers->sequence++;
    add(timers, timer);
    note_next(timers);
    molt_spin_unlock(&timers->lock);
}

bool molt_timer_expire(struct molt_timers *timers, uint64_t now_ns, struct molt_timer_event *ret)
{
    if (!molt_timers_are_due(timers, now_ns))
        return false;
    molt_spin_lock(&timers->lock);
    uint64_t tick = molt_wheel_tick(now_ns);
    /* In a tick that was turned to already, only what is ahead is left. */
    if (timers->wheel_ns <= now_ns && (tick > timers->wheel.now || !is_due(timers, now_ns)))
        turn(timers, tick);
    bool is_any = is_due(timers, now_ns);
    if (is_any) {
        *ret = timers->root->event;
        take_out(timers, timers->root);
    }
    molt_spin_unlock(&timers->lock);
    return is_any;
}

int molt_timer_wait_ms(const struct molt_timers *timers, uint64_t now_ns)
{
    uint64_t next = atomic_load_explicit(&timers->next_ns, memory_order_relaxed);
    if (next == NEVER)
        return -1;
    if (next <= now_ns)
        return 0;
    uint64_t ms = (next - now_ns + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}
