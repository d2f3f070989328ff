/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/timer_heap.h"

#include "runtime/timer.h"

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

void molt_timer_heap_add(struct molt_timer **root, struct molt_timer *timer)
{
    timer->child = timer->next = timer->prev = NULL;
    *root = meld(*root, timer);
}

void molt_timer_heap_remove(struct molt_timer **root, struct molt_timer *timer)
{
    if (timer == *root) {
        *root = meld_row(timer->child);
    } else {
        detach(timer);
        *root = meld(*root, meld_row(timer->child));
    }
    timer->child = NULL;
}
