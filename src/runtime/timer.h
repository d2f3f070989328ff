/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Timers: an intrusive pairing heap (Fredman, Sedgewick, Sleator, Tarjan,
 * 1986), so that starting a timer allocates nothing and can't fail. Start is
 * O(1), cancel and expiry are O(log n) amortised.
 *
 * Threads: a heap and its timers belong to one worker.
 */
#ifndef MOLT_RUNTIME_TIMER_H
#define MOLT_RUNTIME_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct molt_timer {
    uint64_t deadline_ns; /* molt_clock_ns() */
    uint64_t sequence;    /* equal deadlines expire in the order of their start */
    struct molt_timer *child, *next;
    struct molt_timer *prev; /* the sibling before, or the parent of a first child */
    bool is_running;
    bool is_timeout; /* of molt_timeout(), not of a wait; set by its owner, kept */
};

struct molt_timers {
    struct molt_timer *root;
    uint64_t sequence;
    size_t n;
};

/* Start @timer, or start it anew. */
void molt_timer_start(struct molt_timers *timers, struct molt_timer *timer, uint64_t deadline_ns);
/* No error if it isn't running. */
void molt_timer_cancel(struct molt_timers *timers, struct molt_timer *timer);
/* Take the earliest timer that is due at @now_ns; NULL if none is. */
struct molt_timer *molt_timer_expire(struct molt_timers *timers, uint64_t now_ns);
/* Milliseconds until the earliest, rounded up, at most INT_MAX; -1 if none. */
int molt_timer_wait_ms(const struct molt_timers *timers, uint64_t now_ns);

#endif
