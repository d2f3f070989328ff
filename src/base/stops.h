/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Histogram of stops: how long threads and processes were kept from running by
 * upgrades. Bucket i counts stops of [2^i, 2^(i+1)) nanoseconds, the last one
 * all that were longer.
 *
 * Threads: any. Locks: none.
 */
#ifndef MOLT_BASE_STOPS_H
#define MOLT_BASE_STOPS_H

#include <stdatomic.h>
#include <stdint.h>

#define MOLT_STOP_BUCKETS 40

struct molt_stops {
    atomic_ullong threads[MOLT_STOP_BUCKETS];   /* at the first boundary in a new world */
    atomic_ullong processes[MOLT_STOP_BUCKETS]; /* held between callbacks for a conversion */
};

/* Count a stop of @ns in one of the two. */
static inline void molt_stops_add(atomic_ullong *buckets, uint64_t ns)
{
    unsigned i = ns ? 63u - (unsigned)__builtin_clzll(ns) : 0;
    if (i >= MOLT_STOP_BUCKETS)
        i = MOLT_STOP_BUCKETS - 1;
    /* Relaxed: a statistic, ordered with nothing. */
    atomic_fetch_add_explicit(&buckets[i], 1, memory_order_relaxed);
}

#endif
