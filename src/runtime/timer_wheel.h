/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Timers that are far: lists by time, coarser the further away it is, so that
 * starting and cancelling one costs the same however many there are.
 *
 * Time is cut into ticks of 2^20 ns. Level 0 has a list for each of the next 4,096
 * ticks (4.3 s); each of the levels above has 64 lists, of windows of 2^9 ticks
 * (level 1) and of eight times as many per level. A timer is in the lowest level
 * that reaches as far as its tick.
 *
 * A list moves down as soon as all of its window fits into the level below, a few
 * timers at a time, which is long before the first of them is due: 3.7 s for level
 * 1, seven eighths of the reach of the level below for the others. So there is no
 * moment at which very many have to be moved at once.
 *
 * Invariant: all timers in it have ticks after `now`.
 *
 * Threads: callers lock (molt_timers.lock).
 */
#ifndef MOLT_RUNTIME_TIMER_WHEEL_H
#define MOLT_RUNTIME_TIMER_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct molt_timer;

#define MOLT_WHEEL_TICK_SHIFT 20
#define MOLT_WHEEL_NEAR_BITS 12
#define MOLT_WHEEL_NEAR (1u << MOLT_WHEEL_NEAR_BITS)
#define MOLT_WHEEL_LEVELS 11 /* above level 0: 2^45 ticks, all that 64 bits of ns have */
#define MOLT_WHEEL_LISTS (MOLT_WHEEL_NEAR + 64 * MOLT_WHEEL_LEVELS)

/* Zeroed before the first use, but for the lists: one that is empty, as its bit
 * says, has never been looked at, so memory is touched as time goes on. */
struct molt_timer_wheel {
    uint64_t now;                        /* tick */
    uint64_t near_words;                 /* bit i: near[i] has a bit */
    uint64_t near[MOLT_WHEEL_NEAR / 64]; /* bit i: list i has timers */
    uint64_t far[MOLT_WHEEL_LEVELS];     /* the same by level */
    size_t n;                            /* timers */
    struct molt_timer *first[MOLT_WHEEL_LISTS];
};

static inline uint64_t molt_wheel_tick(uint64_t ns)
{
    return ns >> MOLT_WHEEL_TICK_SHIFT;
}

/* @timer's tick is after `now`. Returns when there is something to do for its list,
 * ns: not after its deadline. */
uint64_t molt_timer_wheel_add(struct molt_timer_wheel *wheel, struct molt_timer *timer);
void molt_timer_wheel_remove(struct molt_timer_wheel *wheel, struct molt_timer *timer);

/* Go on to @tick (not before `now`): what has its tick by then comes out, as a list
 * through `next`. What will be due later moves down, at most *budget timers, which
 * is made less; what has to move, does. */
struct molt_timer *molt_timer_wheel_turn(struct molt_timer_wheel *wheel, uint64_t tick,
                                         unsigned *budget);

/* When there is something to do next, ns; UINT64_MAX: never. Not after the first
 * deadline. */
uint64_t molt_timer_wheel_next(const struct molt_timer_wheel *wheel);

#endif
