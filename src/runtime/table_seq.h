/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A word that is a writer's lock and a reader's version in one.
 *
 * Even: nobody writes. Odd: locked. A reader notes an even value, reads, and
 * asks whether the word is still the same: then nothing that it read was
 * changed meanwhile. All that is read so must be atomic (relaxed will do) and
 * stay mapped; what was read is not to be relied upon before it was asked.
 *
 * Progress: a reader waits while a writer is inside, and repeats when one was.
 * Writers hold the word for a bounded number of steps and never wait inside for
 * anything but another such word; who waits long lets the holder's thread run.
 *
 * Threads: any.
 */
#ifndef MOLT_RUNTIME_TABLE_SEQ_H
#define MOLT_RUNTIME_TABLE_SEQ_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "port/limits.h"

#define MOLT_SEQ_SPINS MOLT_LIMIT(64, 1) /* then the holder may need this core */

struct molt_seq {
    _Atomic(uint64_t) word;
};

static inline void molt_seq_pause(unsigned *spins)
{
    if (++*spins % MOLT_SEQ_SPINS == 0)
        sched_yield();
}

/* The version to ask for later. */
static inline uint64_t molt_seq_read(const struct molt_seq *seq)
{
    for (unsigned spins = 0;;) {
        /* Acquire: pairs with the release of molt_seq_unlock(); who sees this
         * version sees all that was written before it. */
        uint64_t version = atomic_load_explicit(&seq->word, memory_order_acquire);
        if (__builtin_expect(!(version & 1), 1))
            return version;
        molt_seq_pause(&spins);
    }
}

static inline bool molt_seq_is_same(const struct molt_seq *seq, uint64_t version)
{
    molt_hostile_gap();
    /* Pairs with the release fence of molt_seq_try_lock(): who read something
     * that was written after that fence reads an odd or a later word here. */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&seq->word, memory_order_relaxed) == version;
}

/* Lock it if it is still @version. */
static inline bool molt_seq_try_lock(struct molt_seq *seq, uint64_t version)
{
    if (!atomic_compare_exchange_strong_explicit(&seq->word, &version, version + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    atomic_thread_fence(memory_order_release);
    molt_hostile_gap();
    return true;
}

static inline void molt_seq_lock(struct molt_seq *seq)
{
    while (!molt_seq_try_lock(seq, molt_seq_read(seq)))
        ;
}

/* By the holder: something changed. */
static inline void molt_seq_unlock(struct molt_seq *seq)
{
    uint64_t now = atomic_load_explicit(&seq->word, memory_order_relaxed);
    atomic_store_explicit(&seq->word, now + 1, memory_order_release);
}

/* By the holder: nothing changed, so what readers read meanwhile is good. */
static inline void molt_seq_unlock_same(struct molt_seq *seq)
{
    uint64_t now = atomic_load_explicit(&seq->word, memory_order_relaxed);
    atomic_store_explicit(&seq->word, now - 1, memory_order_release);
}

#endif
