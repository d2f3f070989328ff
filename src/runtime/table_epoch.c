/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_epoch.h"

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "port/barrier.h"

__thread struct molt_table_here molt_table_here;

void molt_table_epochs_init(struct molt_table_epochs *epochs, uint64_t id)
{
    *epochs = (struct molt_table_epochs){.id = id ? id : 1, .has_barrier = molt_barrier_init()};
    atomic_init(&epochs->now, 1);
    pthread_mutex_init(&epochs->lock, NULL);
}

void molt_table_epochs_fini(struct molt_table_epochs *epochs)
{
    molt_table_reclaim(epochs);
    struct molt_table_thread *t = atomic_load_explicit(&epochs->threads, memory_order_relaxed);
    while (t) {
        struct molt_table_thread *next = atomic_load_explicit(&t->next, memory_order_relaxed);
        free(t);
        t = next;
    }
    pthread_mutex_destroy(&epochs->lock);
}

/* Under the lock. */
static struct molt_table_thread *find_record(struct molt_table_epochs *epochs)
{
    struct molt_table_thread *t = atomic_load_explicit(&epochs->threads, memory_order_relaxed);
    while (t && t->thread != (uintptr_t)&molt_table_here)
        t = atomic_load_explicit(&t->next, memory_order_relaxed);
    return t;
}

/* Under the lock. */
static struct molt_table_thread *add_record(struct molt_table_epochs *epochs)
{
    struct molt_table_thread *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->thread = (uintptr_t)&molt_table_here;
    t->index = epochs->n_threads++;
    atomic_init(&t->next, atomic_load_explicit(&epochs->threads, memory_order_relaxed));
    /* Release: pairs with the acquire load of molt_table_reclaim(). */
    atomic_store_explicit(&epochs->threads, t, memory_order_release);
    return t;
}

struct molt_table_thread *molt_table_meet(struct molt_table_epochs *epochs)
{
    pthread_mutex_lock(&epochs->lock);
    struct molt_table_thread *t = find_record(epochs);
    if (!t)
        t = add_record(epochs);
    pthread_mutex_unlock(&epochs->lock);
    if (t) {
        molt_table_here.epochs = epochs->id;
        molt_table_here.thread = t;
    }
    return t;
}

/* Has everybody left who entered before @epoch? */
static bool is_quiet(struct molt_table_epochs *epochs, uint64_t epoch)
{
    struct molt_table_thread *t = atomic_load_explicit(&epochs->threads, memory_order_acquire);
    for (; t; t = atomic_load_explicit(&t->next, memory_order_acquire)) {
        /* Seq_cst: see molt_table_enter(). */
        uint64_t entered = atomic_load_explicit(&t->epoch, memory_order_seq_cst);
        if (entered != 0 && entered < epoch)
            return false;
    }
    return true;
}

/* Under the lock: unlink what nobody sees any more. */
static struct molt_table_retired *collect(struct molt_table_epochs *epochs)
{
    struct molt_table_retired *done = NULL, **at = &epochs->retired;
    while (*at) {
        struct molt_table_retired *r = *at;
        if (!is_quiet(epochs, r->epoch)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        r->next = done;
        done = r;
    }
    return done;
}

void molt_table_reclaim(struct molt_table_epochs *epochs)
{
    pthread_mutex_lock(&epochs->lock);
    if (epochs->retired && epochs->has_barrier)
        molt_barrier_heavy(); /* pairs with molt_table_enter() */
    struct molt_table_retired *done = collect(epochs);
    pthread_mutex_unlock(&epochs->lock);
    while (done) {
        struct molt_table_retired *r = done;
        done = r->next;
        r->free(r);
    }
}

void molt_table_retire_later(struct molt_table_epochs *epochs, struct molt_table_retired *retired,
                             void (*fn)(struct molt_table_retired *retired))
{
    retired->free = fn;
    pthread_mutex_lock(&epochs->lock);
    /* Seq_cst: after the stores that took it out of sight. */
    retired->epoch = atomic_fetch_add_explicit(&epochs->now, 1, memory_order_seq_cst) + 1;
    retired->next = epochs->retired;
    epochs->retired = retired;
    pthread_mutex_unlock(&epochs->lock);
}

void molt_table_retire(struct molt_table_epochs *epochs, struct molt_table_retired *retired,
                       void (*fn)(struct molt_table_retired *retired))
{
    molt_table_retire_later(epochs, retired, fn);
    molt_table_reclaim(epochs);
}

void molt_table_await_quiet(struct molt_table_epochs *epochs)
{
    /* Seq_cst: after the stores that have to be seen. */
    uint64_t epoch = atomic_fetch_add_explicit(&epochs->now, 1, memory_order_seq_cst) + 1;
    if (epochs->has_barrier)
        molt_barrier_heavy(); /* pairs with molt_table_enter() */
    while (!is_quiet(epochs, epoch))
        sched_yield();
}
