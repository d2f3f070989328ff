/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Whether a worker looks around for a while before it sleeps. It does after a sleep
 * that another worker ended soon: going to sleep and being woken takes longer than
 * the answer. If it was in vain, because that other one has no core of its own at the
 * moment, say, short sleeps are no sign that looking pays; then it is tried again
 * after one of them, then 2, 4, up to 256.
 *
 * Invariant: after a sleep that wasn't short it doesn't look; so who has nothing to
 * do uses no time.
 *
 * Threads: the worker's.
 * Locks:   none.
 */
#ifndef MOLT_RUNTIME_LOOKOUT_H
#define MOLT_RUNTIME_LOOKOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "port/limits.h"

/* So long it looks, and a sleep is short. */
#define MOLT_LOOKOUT_NS MOLT_LIMIT(40000, 2000)
#define MOLT_LOOKOUT_PAUSE_MAX 255

/* Zeroed: it doesn't look. */
struct molt_lookout {
    bool is_on;
    unsigned pause;   /* short sleeps until it is tried again */
    unsigned backoff; /* how many there are after the next one in vain */
};

/* Work came while it looked. */
static inline void molt_lookout_found(struct molt_lookout *l)
{
    l->backoff = 0;
}

/* None did. */
static inline void molt_lookout_in_vain(struct molt_lookout *l)
{
    unsigned more = l->backoff * 2 + 1;
    l->is_on = false;
    l->pause = l->backoff;
    l->backoff = more > MOLT_LOOKOUT_PAUSE_MAX ? MOLT_LOOKOUT_PAUSE_MAX : more;
}

/* Another worker ended a sleep of @ns. */
static inline void molt_lookout_woken(struct molt_lookout *l, uint64_t ns)
{
    if (ns >= MOLT_LOOKOUT_NS)
        l->is_on = false;
    else if (l->pause > 0)
        l->pause--;
    else
        l->is_on = true;
}

#endif
