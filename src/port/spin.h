/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A lock for a few instructions: one atomic exchange to take it, one store to
 * let it go. Who waits long gives the core away, because on a small machine the
 * holder may not be running.
 *
 * Invariant: nobody blocks, allocates from the system or runs an author's code
 * while holding one.
 *
 * Threads: any.
 */
#ifndef MOLT_PORT_SPIN_H
#define MOLT_PORT_SPIN_H

#include <sched.h>
#include <stdatomic.h>

struct molt_spin {
    atomic_uchar is_held;
};

/* Tell the core that this is a waiting loop. */
static inline void molt_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* @at will be read soon; it may be any address. */
static inline void molt_cpu_prefetch(const void *at)
{
    __builtin_prefetch(at);
}

static inline void molt_spin_init(struct molt_spin *lock)
{
    atomic_init(&lock->is_held, 0);
}

static inline void molt_spin_lock(struct molt_spin *lock)
{
    /* Acquire: pairs with the release store of molt_spin_unlock(). */
    while (__builtin_expect(atomic_exchange_explicit(&lock->is_held, 1, memory_order_acquire), 0)) {
        unsigned n = 0;
        while (atomic_load_explicit(&lock->is_held, memory_order_relaxed)) {
            if (++n < 100)
                molt_cpu_relax();
            else
                sched_yield();
        }
    }
}

static inline void molt_spin_unlock(struct molt_spin *lock)
{
    atomic_store_explicit(&lock->is_held, 0, memory_order_release);
}

#endif
