/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Log-linear histogram: exact below 256, above that 128 buckets for each power
 * of two, so a quantile is at most 1/128 too high, whatever the range. After
 * the idea of Gil Tene's HdrHistogram.
 *
 * Threads: callers lock.
 */
#ifndef MOLT_BENCH_HISTOGRAM_H
#define MOLT_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define MOLT_HISTOGRAM_BITS 42 /* larger values (73 minutes in ns) count as the largest */
#define MOLT_HISTOGRAM_BUCKETS (256 + (MOLT_HISTOGRAM_BITS - 8) * 128)

struct molt_histogram {
    uint64_t count, sum, min, max; /* min and max are exact; 0 when empty */
    uint64_t buckets[MOLT_HISTOGRAM_BUCKETS];
};

void molt_histogram_reset(struct molt_histogram *h);
void molt_histogram_add(struct molt_histogram *h, uint64_t value);
void molt_histogram_merge(struct molt_histogram *into, const struct molt_histogram *from);

/* The value that the share @q (0 to 1) of all values doesn't exceed: never
 * less than the true one, and never more than the maximum. 0 when empty. */
uint64_t molt_histogram_quantile(const struct molt_histogram *h, double q);
double molt_histogram_mean(const struct molt_histogram *h);

#endif
