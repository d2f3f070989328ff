/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/timer_wheel.h"

#include "runtime/timer.h"

#define NEVER UINT64_MAX

/* ---- windows ---------------------------------------------------------------------- */

/* Bits of a tick that the windows of @level don't tell apart; level 0: ticks. */
static unsigned shift_of(unsigned level)
{
    return level == 0 ? 0 : 9 + 3 * (level - 1);
}

static uint64_t reach_of(unsigned level)
{
    return level == 0 ? MOLT_WHEEL_NEAR : 64;
}

/* Whether window @w of @level can be told from the others now. */
static bool reaches(const struct molt_timer_wheel *wheel, unsigned level, uint64_t w)
{
    return w - (wheel->now >> shift_of(level)) < reach_of(level);
}

static unsigned list_of(unsigned level, uint64_t w)
{
    return level == 0 ? (unsigned)(w & (MOLT_WHEEL_NEAR - 1))
                      : MOLT_WHEEL_NEAR + 64 * (level - 1) + (unsigned)(w & 63);
}

/* From which tick on all of window @w fits into the level below. */
static uint64_t fits_from(unsigned level, uint64_t w)
{
    unsigned below = shift_of(level - 1);
    uint64_t last = ((w + 1) << shift_of(level) >> below) - 1;
    uint64_t reach = reach_of(level - 1);
    return last < reach ? 0 : (last - reach + 1) << below;
}

/* ---- lists ------------------------------------------------------------------------- */

static bool is_any(const struct molt_timer_wheel *wheel, unsigned list)
{
    unsigned far = list - MOLT_WHEEL_NEAR;
    return list < MOLT_WHEEL_NEAR ? wheel->near[list / 64] >> list % 64 & 1
                                  : wheel->far[far / 64] >> far % 64 & 1;
}

static void mark(struct molt_timer_wheel *wheel, unsigned list)
{
    unsigned far = list - MOLT_WHEEL_NEAR;
    if (list >= MOLT_WHEEL_NEAR) {
        wheel->far[far / 64] |= UINT64_C(1) << far % 64;
        return;
    }
    wheel->near[list / 64] |= UINT64_C(1) << list % 64;
    wheel->near_words |= UINT64_C(1) << list / 64;
}

static void unmark(struct molt_timer_wheel *wheel, unsigned list)
{
    unsigned far = list - MOLT_WHEEL_NEAR;
    if (list >= MOLT_WHEEL_NEAR) {
        wheel->far[far / 64] &= ~(UINT64_C(1) << far % 64);
        return;
    }
    wheel->near[list / 64] &= ~(UINT64_C(1) << list % 64);
    if (!wheel->near[list / 64])
        wheel->near_words &= ~(UINT64_C(1) << list / 64);
}

uint64_t molt_timer_wheel_add(struct molt_timer_wheel *wheel, struct molt_timer *timer)
{
    uint64_t tick = molt_wheel_tick(timer->deadline_ns);
    unsigned level = 0;
    while (!reaches(wheel, level, tick >> shift_of(level)))
        level++;
    unsigned list = list_of(level, tick >> shift_of(level));
    timer->list = (unsigned short)list;
    timer->prev = NULL;
    timer->next = is_any(wheel, list) ? wheel->first[list] : NULL;
    if (timer->next)
        timer->next->prev = timer;
    else
        mark(wheel, list);
    wheel->first[list] = timer;
    wheel->n++;
    return level == 0 ? timer->deadline_ns
                      : fits_from(level, tick >> shift_of(level)) << MOLT_WHEEL_TICK_SHIFT;
}

void molt_timer_wheel_remove(struct molt_timer_wheel *wheel, struct molt_timer *timer)
{
    if (timer->next)
        timer->next->prev = timer->prev;
    if (timer->prev)
        timer->prev->next = timer->next;
    else
        wheel->first[timer->list] = timer->next;
    if (!wheel->first[timer->list])
        unmark(wheel, timer->list);
    timer->next = timer->prev = NULL;
    wheel->n--;
}

/* ---- what is next -------------------------------------------------------------------- */

/* Bits from @first on, round: how many steps to the first that is set. */
static unsigned steps(uint64_t bits, unsigned first)
{
    uint64_t turned = first ? bits >> first | bits << (64 - first) : bits;
    return (unsigned)__builtin_ctzll(turned);
}

/* The first tick of level 0 that has timers; NEVER. */
static uint64_t next_near(const struct molt_timer_wheel *wheel)
{
    if (!wheel->near_words)
        return NEVER;
    unsigned at = (unsigned)(wheel->now & (MOLT_WHEEL_NEAR - 1)), word = at / 64;
    uint64_t rest = wheel->near[word] >> at % 64;
    if (rest)
        return wheel->now + (unsigned)__builtin_ctzll(rest);
    /* Its own word comes last: what it has lies behind all others. */
    unsigned k = 1 + steps(wheel->near_words, (word + 1) % 64);
    unsigned bit = (unsigned)__builtin_ctzll(wheel->near[(word + k) % 64]);
    return wheel->now - at % 64 + (uint64_t)k * 64 + bit;
}

/* The first window of @level that has timers; there are some. */
static uint64_t next_far(const struct molt_timer_wheel *wheel, unsigned level)
{
    uint64_t w = wheel->now >> shift_of(level);
    return w + steps(wheel->far[level - 1], (unsigned)(w & 63));
}

uint64_t molt_timer_wheel_next(const struct molt_timer_wheel *wheel)
{
    uint64_t tick = next_near(wheel), next = NEVER;
    if (tick != NEVER) {
        const struct molt_timer *first = wheel->first[list_of(0, tick)];
        next = first->next ? tick << MOLT_WHEEL_TICK_SHIFT : first->deadline_ns;
    }
    for (unsigned level = 1; level <= MOLT_WHEEL_LEVELS; level++) {
        if (!wheel->far[level - 1])
            continue;
        uint64_t ns = fits_from(level, next_far(wheel, level)) << MOLT_WHEEL_TICK_SHIFT;
        next = ns < next ? ns : next;
    }
    return next;
}

/* ---- time goes on ----------------------------------------------------------------------- */

/* Move up to @max timers of window @w down. Returns how many. */
static unsigned move_down(struct molt_timer_wheel *wheel, unsigned level, uint64_t w, unsigned max)
{
    unsigned list = list_of(level, w), n = 0;
    for (; n < max && is_any(wheel, list); n++) {
        struct molt_timer *timer = wheel->first[list];
        molt_timer_wheel_remove(wheel, timer);
        (void)molt_timer_wheel_add(wheel, timer);
    }
    return n;
}

/* The level with the window that begins first, if that is not after @tick: it has
 * to move down now. 0: there is none. */
static unsigned find_begun(const struct molt_timer_wheel *wheel, uint64_t tick, uint64_t *ret_w)
{
    unsigned found = 0;
    for (unsigned level = 1; level <= MOLT_WHEEL_LEVELS; level++) {
        if (!wheel->far[level - 1])
            continue;
        uint64_t w = next_far(wheel, level);
        if (w << shift_of(level) > tick)
            continue;
        tick = w << shift_of(level);
        found = level;
        *ret_w = w;
    }
    return found;
}

/* The timers of a tick, in front of @rest. */
static struct molt_timer *take_tick(struct molt_timer_wheel *wheel, uint64_t tick,
                                    struct molt_timer *rest)
{
    unsigned list = list_of(0, tick);
    while (is_any(wheel, list)) {
        struct molt_timer *timer = wheel->first[list];
        molt_timer_wheel_remove(wheel, timer);
        timer->next = rest;
        rest = timer;
    }
    return rest;
}

static void move_ahead(struct molt_timer_wheel *wheel, unsigned *budget)
{
    for (unsigned level = 1; level <= MOLT_WHEEL_LEVELS && *budget > 0; level++) {
        while (*budget > 0 && wheel->far[level - 1]) {
            uint64_t w = next_far(wheel, level);
            if (fits_from(level, w) > wheel->now)
                break;
            *budget -= move_down(wheel, level, w, *budget);
        }
    }
}

struct molt_timer *molt_timer_wheel_turn(struct molt_timer_wheel *wheel, uint64_t tick,
                                         unsigned *budget)
{
    struct molt_timer *out = NULL;
    for (;;) {
        uint64_t near = next_near(wheel), w;
        unsigned level = find_begun(wheel, near < tick ? near : tick, &w);
        if (level > 0) {
            uint64_t begin = w << shift_of(level);
            wheel->now = begin > wheel->now ? begin : wheel->now;
            (void)move_down(wheel, level, w, UINT32_MAX);
        } else if (near <= tick) {
            wheel->now = near;
            out = take_tick(wheel, near, out);
        } else {
            break;
        }
    }
    wheel->now = tick;
    move_ahead(wheel, budget);
    return out;
}
