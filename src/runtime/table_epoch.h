/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Who is inside a table operation or looks up a name, so that a table, body or
 * name that was taken out of sight is freed only when nobody looks at it any more.
 *
 * Each thread has a record with the epoch in which it entered, 0 while it is
 * outside. To retire something: take it out of sight, count the epoch up, note
 * the new number. It may be freed when each record is 0 or not smaller: who
 * entered in that epoch or later couldn't find it any more.
 *
 * Progress: entering and leaving never wait. What is retired waits for threads
 * that are inside, which never block there.
 *
 * Threads: any.
 * Locks:   molt_table_epochs.lock guards the lists; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_TABLE_EPOCH_H
#define MOLT_RUNTIME_TABLE_EPOCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "port/barrier.h"

/* One for each thread that was ever here. Known by the address of a
 * thread-local variable: a thread that gets the address of one that ended goes
 * on with its record. */
struct molt_table_thread {
    _Atomic(uint64_t) epoch; /* 0: outside */
    uintptr_t thread;
    unsigned index; /* 0, 1, ...: spreads threads over shards */
    _Atomic(struct molt_table_thread *) next;
    char apart[64]; /* from the next one's cache line */
};

struct molt_table_retired {
    struct molt_table_retired *next;
    uint64_t epoch;
    void (*free)(struct molt_table_retired *retired);
};

struct molt_table_epochs {
    bool has_barrier;                            /* port/barrier.h; constant */
    uint64_t id;                                 /* of these epochs, random: threads remember it */
    _Atomic(uint64_t) now;                       /* starts at 1 */
    _Atomic(struct molt_table_thread *) threads; /* grows only */
    pthread_mutex_t lock;
    unsigned n_threads;
    struct molt_table_retired *retired;
};

void molt_table_epochs_init(struct molt_table_epochs *epochs, uint64_t id);
/* Nobody is inside; frees all that is retired. */
void molt_table_epochs_fini(struct molt_table_epochs *epochs);

/* This thread's record in the epochs that it used last. Its address is what makes
 * the thread known. */
struct molt_table_here {
    uint64_t epochs; /* their id */
    struct molt_table_thread *thread;
};
extern __thread struct molt_table_here molt_table_here;

/* The record of a thread that used other epochs last, or none. NULL when out of
 * memory. */
struct molt_table_thread *molt_table_meet(struct molt_table_epochs *epochs);

/* Enter; not nested. NULL when out of memory (a thread's first time). */
static inline struct molt_table_thread *molt_table_enter(struct molt_table_epochs *epochs)
{
    struct molt_table_thread *t = molt_table_here.thread;
    if (__builtin_expect(molt_table_here.epochs != epochs->id, 0)) {
        t = molt_table_meet(epochs);
        if (!t)
            return NULL;
    }
    /* Acquire: who enters in an epoch sees what was taken out of sight before
     * it began. */
    uint64_t now = atomic_load_explicit(&epochs->now, memory_order_acquire);
    /* Either is_quiet() sees this record, or what this thread looks for next
     * (with seq_cst loads, for the second case) is out of sight. */
    if (__builtin_expect(epochs->has_barrier, 1)) {
        atomic_store_explicit(&t->epoch, now, memory_order_relaxed);
        molt_barrier_light();
    } else {
        atomic_exchange_explicit(&t->epoch, now, memory_order_seq_cst);
    }
    return t;
}

static inline void molt_table_leave(struct molt_table_thread *thread)
{
    /* Release: pairs with the acquire load of is_quiet(); what this thread did
     * inside has happened before the memory is freed. */
    atomic_store_explicit(&thread->epoch, 0, memory_order_release);
}

/* @retired is out of sight: call @fn when nobody is left who saw it. Frees
 * what has become free meanwhile. The caller may be inside: then its own goes
 * with a later one. */
void molt_table_retire(struct molt_table_epochs *epochs, struct molt_table_retired *retired,
                       void (*fn)(struct molt_table_retired *retired));
/* The same, but leave it to somebody else to free what has become free. */
void molt_table_retire_later(struct molt_table_epochs *epochs, struct molt_table_retired *retired,
                             void (*fn)(struct molt_table_retired *retired));
void molt_table_reclaim(struct molt_table_epochs *epochs);

/* Wait until everybody has left who is inside now: what was stored before the call is seen
 * by all who are inside after it. The caller is outside. Those inside never block. */
void molt_table_await_quiet(struct molt_table_epochs *epochs);

#endif
