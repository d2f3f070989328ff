/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A barrier on all threads of this OS process, so that their fast paths need
 * none: membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED.
 *
 * A thread that stores to A and then loads from B, with molt_barrier_light() in
 * between, and one that stores to B, calls molt_barrier_heavy() and then loads
 * from A, don't both miss the other's store.
 *
 * Threads: any. Locks: none.
 */
#ifndef MOLT_PORT_BARRIER_H
#define MOLT_PORT_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>

/* Once before the others, per user. False: the system has none (an old kernel,
 * an emulator); then both sides need a sequentially consistent fence. */
bool molt_barrier_init(void);

/* Nothing at run time; the compiler keeps the order. */
static inline void molt_barrier_light(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

/* Some microseconds. */
void molt_barrier_heavy(void);

#endif
