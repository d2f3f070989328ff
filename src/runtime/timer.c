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

void molt_timer_cancel(struct molt_timers *timers, struct molt_timer *timer)
{
    if (!timer->is_running)
        return;
    if (timer != timers->root) {
        detach(timer);
        timers->root = meld(timers->root, meld_row(timer->child));
    } else {
        timers->root = meld_row(timer->child);
    }
    timer->child = NULL;
    timer->is_running = false;
    timers->n--;
}

void molt_timer_start(struct molt_timers *timers, struct molt_timer *timer, uint64_t deadline_ns)
{
    molt_timer_cancel(timers, timer);
    timer->deadline_ns = deadline_ns;
    timer->sequence = timers->sequence++;
    timer->child = timer->next = timer->prev = NULL;
    timer->is_running = true;
    timers->root = meld(timers->root, timer);
    timers->n++;
}

struct molt_timer *molt_timer_expire(struct molt_timers *timers, uint64_t now_ns)
{
    struct molt_timer *first = timers->root;
    if (!first || first->deadline_ns > now_ns)
        return NULL;
    molt_timer_cancel(timers, first);
    return first;
}

int molt_timer_wait_ms(const struct molt_timers *timers, uint64_t now_ns)
{
    if (!timers->root)
        return -1;
    if (timers->root->deadline_ns <= now_ns)
        return 0;
    uint64_t ms = (timers->root->deadline_ns - now_ns + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}
