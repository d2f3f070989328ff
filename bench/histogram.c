/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "histogram.h"

#include <string.h>

void molt_histogram_reset(struct molt_histogram *h)
{
    memset(h, 0, sizeof(*h));
}

static size_t bucket_of(uint64_t value)
{
    if (value < 256)
        return (size_t)value;
    if (value >> MOLT_HISTOGRAM_BITS)
        return MOLT_HISTOGRAM_BUCKETS - 1;
    unsigned top = 63u - (unsigned)__builtin_clzll(value);
    return 256 + (size_t)(top - 8) * 128 + (size_t)(value >> (top - 7)) - 128;
}

/* The largest value that falls into @bucket. */
static uint64_t end_of(size_t bucket)
{
    if (bucket < 256)
        return bucket;
    unsigned top = 8 + (unsigned)(bucket - 256) / 128;
    uint64_t step = UINT64_C(1) << (top - 7);
    return ((bucket - 256) % 128 + 129) * step - 1;
}

void molt_histogram_add(struct molt_histogram *h, uint64_t value)
{
    if (h->count == 0 || value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->count++;
    h->sum += value;
    h->buckets[bucket_of(value)]++;
}

void molt_histogram_merge(struct molt_histogram *into, const struct molt_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (size_t i = 0; i < MOLT_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t molt_histogram_quantile(const struct molt_histogram *h, double q)
{
    if (h->count == 0)
        return 0;
    /* The share is rounded up, but not for what the product is inexact by. */
    double share = (q < 0 ? 0 : q > 1 ? 1 : q) * (double)h->count;
    uint64_t wanted = (uint64_t)share;
    if (share - (double)wanted > 1e-6)
        wanted++;
    uint64_t seen = 0;
    for (size_t i = 0; i < MOLT_HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > 0 && seen >= wanted && i < MOLT_HISTOGRAM_BUCKETS - 1)
            return end_of(i) < h->max ? end_of(i) : h->max;
    }
    return h->max;
}

double molt_histogram_mean(const struct molt_histogram *h)
{
    return h->count > 0 ? (double)h->sum / (double)h->count : 0;
}
