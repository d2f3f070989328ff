/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * How long to wait before a crashed host is started again: 100 ms, doubling to
 * 5 s, from the start again after 10 s of life.
 *
 * Threads: pure.
 */
#ifndef MOLT_CONTROL_AGENT_BACKOFF_H
#define MOLT_CONTROL_AGENT_BACKOFF_H

#include <stdint.h>

struct molt_backoff {
    unsigned last_ms; /* 0: none yet */
};

/* The host ended after @lived_ms: how long to wait now. */
static inline unsigned molt_backoff_next(struct molt_backoff *b, uint64_t lived_ms)
{
    if (lived_ms >= 10000)
        b->last_ms = 0;
    b->last_ms = b->last_ms == 0 ? 100 : b->last_ms * 2 > 5000 ? 5000 : b->last_ms * 2;
    return b->last_ms;
}

#endif
