/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The slots of all processes, and the threads' stocks of free ones. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "port/barrier.h"
#include "runtime/process.h"
#include "runtime/rt.h"
#include "runtime/socket.h"

/* Slots between a thread's stock and the table. */
#define BATCH MOLT_LIMIT(32, 1)
#define SEGMENT_BYTES (MOLT_SEGMENT_SLOTS * sizeof(struct molt_process))

int molt_process_table_init(struct molt_process_table *table)
{
    pthread_mutex_init(&table->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&table->changed, &attr);
    pthread_condattr_destroy(&attr);
    table->has_barrier = molt_barrier_init();
    return 0;
}

void molt_process_table_fini(struct molt_process_table *table)
{
    for (unsigned i = 0; i < MOLT_SEGMENTS_MAX; i++) {
        struct molt_process *segment =
            atomic_load_explicit(&table->segments[i], memory_order_relaxed);
        if (!segment)
            break;
        munmap(segment, SEGMENT_BYTES);
    }
    pthread_cond_destroy(&table->changed);
    pthread_mutex_destroy(&table->lock);
}

static void init_slot(struct molt_process *p, struct molt_runtime *rt, uint32_t slot)
{
    p->rt = rt;
    p->slot = slot & ((1u << MOLT_SLOT_BITS) - 1);
    molt_spin_init(&p->tie_lock);
    atomic_init(&p->sockets, MOLT_SOCKETS_CLOSED);
    atomic_init(&p->inbox, MOLT_INBOX_CLOSED);
    atomic_init(&p->status, MOLT_STATE_RUNNING);
    molt_owner_init(&p->owner);
}

/* Under the table's lock. Fresh pages, which are all written to at once, so the
 * system is asked for them in one go. */
static int grow(struct molt_runtime *rt)
{
    struct molt_process_table *table = &rt->table;
    unsigned n = atomic_load_explicit(&table->n_slots, memory_order_relaxed);
    if (n / MOLT_SEGMENT_SLOTS == MOLT_SEGMENTS_MAX)
        return MOLT_ELIMIT;
    struct molt_process *segment = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (segment == MAP_FAILED)
        return MOLT_ENOMEM;
    for (unsigned i = MOLT_SEGMENT_SLOTS; i > 0; i--) {
        struct molt_process *p = &segment[i - 1];
        init_slot(p, rt, n + i - 1);
        p->free_next = table->free;
        table->free = p;
    }
    atomic_store_explicit(&table->segments[n / MOLT_SEGMENT_SLOTS], segment, memory_order_release);
    /* Seq_cst: pairs with the sweep, which reads it after a commit: who begins in a
     * later slot begins in the new world. */
    atomic_store(&table->n_slots, n + MOLT_SEGMENT_SLOTS);
    return 0;
}

/* Release: whoever sees that a process ended sees that it began. */
static void count(atomic_size_t *counter)
{
    size_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + 1, memory_order_release);
}

static int refill(struct molt_runtime *rt, struct molt_slot_cache *cache)
{
    struct molt_process_table *table = &rt->table;
    pthread_mutex_lock(&table->lock);
    int rc = table->free ? 0 : grow(rt);
    for (unsigned i = 0; i < BATCH && table->free; i++) {
        struct molt_process *p = table->free;
        table->free = p->free_next;
        p->free_next = cache->free;
        cache->free = p;
        cache->n++;
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}

int molt_slot_take(struct molt_runtime *rt, struct molt_slot_cache *cache,
                   struct molt_process **ret)
{
    int rc = cache->free ? 0 : refill(rt, cache);
    if (!cache->free)
        return rc < 0 ? rc : MOLT_ENOMEM;
    *ret = cache->free;
    cache->free = (*ret)->free_next;
    cache->n--;
    count(&cache->n_taken);
    return 0;
}

static void flush(struct molt_process_table *table, struct molt_slot_cache *cache, unsigned n)
{
    pthread_mutex_lock(&table->lock);
    for (; n > 0 && cache->free; n--, cache->n--) {
        struct molt_process *p = cache->free;
        cache->free = p->free_next;
        p->free_next = table->free;
        table->free = p;
    }
    pthread_mutex_unlock(&table->lock);
}

void molt_slot_cache_join(struct molt_process_table *table, struct molt_slot_cache *cache)
{
    memset(cache, 0, sizeof(*cache));
    pthread_mutex_lock(&table->lock);
    cache->next = table->caches;
    table->caches = cache;
    pthread_mutex_unlock(&table->lock);
}

void molt_slot_cache_leave(struct molt_process_table *table, struct molt_slot_cache *cache)
{
    flush(table, cache, cache->n);
    pthread_mutex_lock(&table->lock);
    struct molt_slot_cache **at = &table->caches;
    while (*at && *at != cache)
        at = &(*at)->next;
    if (*at)
        *at = cache->next;
    table->n_taken += atomic_load_explicit(&cache->n_taken, memory_order_relaxed);
    table->n_given += atomic_load_explicit(&cache->n_given, memory_order_relaxed);
    pthread_mutex_unlock(&table->lock);
}

size_t molt_process_table_live(struct molt_process_table *table)
{
    /* First who has ended, then who has begun, so that nobody is missing. Acquire:
     * pairs with count(). */
    size_t n_given = table->n_given, n_taken = table->n_taken;
    for (struct molt_slot_cache *c = table->caches; c; c = c->next)
        n_given += atomic_load_explicit(&c->n_given, memory_order_acquire);
    for (struct molt_slot_cache *c = table->caches; c; c = c->next)
        n_taken += atomic_load_explicit(&c->n_taken, memory_order_acquire);
    return n_taken - n_given;
}

void molt_process_table_fence(const struct molt_process_table *table)
{
    if (table->has_barrier)
        molt_barrier_heavy();
    else
        atomic_thread_fence(memory_order_seq_cst);
}

/* After an end: either it sees who waits, or who waits sees the end. */
static bool has_waiting(struct molt_process_table *table)
{
    if (__builtin_expect(table->has_barrier, 1))
        molt_barrier_light();
    else
        atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&table->n_waiting, memory_order_relaxed) > 0;
}

void molt_slot_give(struct molt_runtime *rt, struct molt_slot_cache *cache, struct molt_process *p)
{
    struct molt_process_table *table = &rt->table;
    p->free_next = cache->free;
    cache->free = p;
    if (++cache->n > 2 * BATCH)
        flush(table, cache, BATCH);
    count(&cache->n_given);
    if (__builtin_expect(has_waiting(table), 0)) {
        pthread_mutex_lock(&table->lock);
        pthread_cond_broadcast(&table->changed);
        pthread_mutex_unlock(&table->lock);
    }
}
