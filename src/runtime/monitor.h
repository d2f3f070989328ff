/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The monitor: a thread that looks at the workers every few milliseconds while
 * any of them is awake, and sees to it that a callback that takes long holds up
 * nobody else.
 *
 *   it computes, in module text        -> it is preempted
 *   it is in a system call, in library -> its worker's lane is given to a spare
 *   code, or holds a lock                 worker, until it returns
 *   processes wait, others sleep       -> somebody is woken to steal them
 *
 * Threads: poke from any thread; the rest by who starts and stops the runtime.
 */
#ifndef MOLT_RUNTIME_MONITOR_H
#define MOLT_RUNTIME_MONITOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "port/barrier.h"

struct molt_runtime;

struct molt_monitor {
    struct molt_runtime *rt;
    pthread_t thread;
    bool is_started;
    bool has_barrier;     /* port/barrier.h; constant once started */
    pthread_mutex_t lock; /* guards the sleep; nothing nests in it */
    pthread_cond_t wake;
    atomic_bool is_parked; /* nobody is awake: it waits without a timeout */
    atomic_bool is_stopping;
};

void molt_monitor_init(struct molt_monitor *monitor, struct molt_runtime *rt);
void molt_monitor_fini(struct molt_monitor *monitor);
/* MOLT_ENOMEM: there can't be another thread. */
int molt_monitor_start(struct molt_monitor *monitor);
void molt_monitor_stop(struct molt_monitor *monitor);

void molt_monitor_unpark(struct molt_monitor *monitor);

/* Between the count of a turn's end and the look at is_suspected: see monitor.c. */
static inline void molt_monitor_light(const struct molt_monitor *monitor)
{
    if (__builtin_expect(monitor->has_barrier, 1))
        molt_barrier_light();
    else
        atomic_thread_fence(memory_order_seq_cst);
}

/* A worker woke up: somebody has to watch it. */
static inline void molt_monitor_poke(struct molt_monitor *monitor)
{
    /* Seq_cst: pairs with the monitor, which sets is_parked and then counts who
     * is asleep. */
    if (atomic_load(&monitor->is_parked))
        molt_monitor_unpark(monitor);
}

#endif
