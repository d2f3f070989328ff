/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The slots of all processes, and the threads' stocks of free ones. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

struct molt_process *molt_process_at(struct molt_runtime *rt, unsigned index)
{
    /* Acquire: pairs with the release store of grow(). */
    struct molt_process *segment =
        atomic_load_explicit(&rt->table.segments[index / MOLT_SEGMENT_SLOTS], memory_order_acquire);
    return &segment[index % MOLT_SEGMENT_SLOTS];
}

struct molt_process *molt_process_slot(struct molt_runtime *rt, molt_pid pid)
{
    unsigned number = pid & ((1u << MOLT_SLOT_BITS) - 1);
    if (number == 0 || number > atomic_load_explicit(&rt->table.n_slots, memory_order_acquire))
        return NULL;
    return molt_process_at(rt, number - 1);
}

struct molt_process *molt_process_find(struct molt_runtime *rt, molt_pid pid)
{
    struct molt_process *p = molt_process_slot(rt, pid);
    return p && atomic_load_explicit(&p->pid, memory_order_acquire) == pid ? p : NULL;
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

/* Under the table's lock. Fresh pages, so that a slot costs memory only once it
 * was used. */
static int grow(struct molt_runtime *rt)
{
    struct molt_process_table *table = &rt->table;
    unsigned n = atomic_load_explicit(&table->n_slots, memory_order_relaxed);
    if (n / MOLT_SEGMENT_SLOTS == MOLT_SEGMENTS_MAX)
        return MOLT_ELIMIT;
    struct molt_process *segment =
        mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (segment == MAP_FAILED)
        return MOLT_ENOMEM;
    for (unsigned i = MOLT_SEGMENT_SLOTS; i > 0; i--) {
        struct molt_process *p = &segment[i - 1];
        init_slot(p, rt, n + i - 1);
        p->free_next = table->free;
        table->free = p;
    }
    atomic_store_explicit(&table->segments[n / MOLT_SEGMENT_SLOTS], segment, memory_order_release);
    /* Seq_cst: pairs with the executor, which raises a flag in molt_runtime.held
     * and then reads n_slots; a spawner does the reverse. */
    atomic_store(&table->n_slots, n + MOLT_SEGMENT_SLOTS);
    return 0;
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
    atomic_fetch_add_explicit(&rt->table.n_live, 1, memory_order_relaxed);
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

void molt_slot_cache_flush(struct molt_process_table *table, struct molt_slot_cache *cache)
{
    flush(table, cache, cache->n);
}

void molt_slot_give(struct molt_runtime *rt, struct molt_slot_cache *cache, struct molt_process *p)
{
    struct molt_process_table *table = &rt->table;
    p->free_next = cache->free;
    cache->free = p;
    if (++cache->n > 2 * BATCH)
        flush(table, cache, BATCH);
    atomic_fetch_sub(&table->n_live, 1);
    /* Seq_cst: pairs with the waiter, which counts itself and then looks. */
    if (atomic_load(&table->n_waiting) > 0) {
        pthread_mutex_lock(&table->lock);
        pthread_cond_broadcast(&table->changed);
        pthread_mutex_unlock(&table->lock);
    }
}
