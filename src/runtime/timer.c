/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/timer.h"

#include <limits.h>

static bool is_before(const struct molt_timer *a, const struct molt_timer *b)
{
    if (a->deadline_ns != b->deadline_ns)
        return a->deadline_ns < b->deadline_ns;
    return a->sequence < b->sequence;
}

/* Join two trees without siblings. */
static struct molt_timer *meld(struct molt_timer *a, struct molt_timer *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (is_before(b, a)) {
        struct molt_timer *t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

/* Join a row of siblings: in pairs from the left, then the pairs from the
 * right. Iterative, because a million timers can be in one row. */
static struct molt_timer *meld_row(struct molt_timer *row)
{
    struct molt_timer *pairs = NULL;
    while (row) {
        struct molt_timer *a = row, *b = a->next;
        row = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        struct molt_timer *pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct molt_timer *root = NULL;
    while (pairs) {
        struct molt_timer *pair = pairs;
        pairs = pair->next;
        pair->next = pair->prev = NULL;
        root = meld(root, pair);
    }
    return root;
}

static void detach(struct molt_timer *timer)
{
    if (timer->prev->child == timer)
        timer->prev->child = timer->next;
    else
        timer->prev->next = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    timer->prev = timer->next = NULL;
}

/* ---- under the lock ------------------------------------------------------------ */

static void note_next(struct molt_timers *timers)
{
    atomic_store_explicit(&timers->next_ns, timers->root ? timers->root->deadline_ns : UINT64_MAX,
                          memory_order_relaxed);
}

static void take_out(struct molt_timers *timers, struct molt_timer *timer)
{
    if (timer != timers->root) {
        detach(timer);
        timers->root = meld(timers->root, meld_row(timer->child));
    } else {
        timers->root = meld_row(timer->child);
    }
    timer->child = NULL;
    timer->is_running = false;
    timers->n--;
    note_next(timers);
}

/* ---- any thread ------------------------------------------------------------------ */

void molt_timers_init(struct molt_timers *timers)
{
    molt_spin_init(&timers->lock);
    timers->root = NULL;
    timers->sequence = timers->n = 0;
    atomic_init(&timers->next_ns, UINT64_MAX);
}

bool molt_timer_cancel(struct molt_timer *timer)
{
    struct molt_timers *timers = timer->timers;
    if (!timers)
        return false;
    molt_spin_lock(&timers->lock);
    bool was_running = timer->is_running;
    if (was_running)
        take_out(timers, timer);
    molt_spin_unlock(&timers->lock);
    return was_running;
}

bool molt_timer_cancel_ref(struct molt_timer *timer, uint64_t ref, struct molt_timer_event *ret)
{
    struct molt_timers *timers = timer->timers;
    molt_spin_lock(&timers->lock);
    bool is_it = timer->is_running && timer->event.ref == ref;
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
    /* Of a timer that stays in one heap others may read it at any time. */
    if (timer->timers != timers)
        timer->timers = timers;
    timer->event = *event;
    timer->deadline_ns = deadline_ns;
    timer->sequence = timers->sequence++;
    timer->child = timer->next = timer->prev = NULL;
    timer->is_running = true;
    timers->root = meld(timers->root, timer);
    timers->n++;
    note_next(timers);
    molt_spin_unlock(&timers->lock);
}

bool molt_timer_expire(struct molt_timers *timers, uint64_t now_ns, struct molt_timer_event *ret)
{
    if (!molt_timers_are_due(timers, now_ns))
        return false;
    molt_spin_lock(&timers->lock);
    struct molt_timer *first = timers->root;
    bool is_due = first && first->deadline_ns <= now_ns;
    if (is_due) {
        *ret = first->event;
        take_out(timers, first);
    }
    molt_spin_unlock(&timers->lock);
    return is_due;
}

int molt_timer_wait_ms(const struct molt_timers *timers, uint64_t now_ns)
{
    uint64_t next = atomic_load_explicit(&timers->next_ns, memory_order_relaxed);
    if (next == UINT64_MAX)
        return -1;
    if (next <= now_ns)
        return 0;
    uint64_t ms = (next - now_ns + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}
