/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * | who        | excludes                  | by                                  |
 * |------------|---------------------------|-------------------------------------|
 * | look-up    | nobody                    | entries are immutable but for their |
 * |            |                           | chain, and outlive who entered      |
 * | add,       | each other                | the lock                            |
 * | remove,    |                           |                                     |
 * | grow       |                           |                                     |
 * | end        | add to the same process   | MOLT_IS_NAMED, see add_locked()     |
 *
 * An entry that is taken out keeps its chain, so a look-up that stands on it goes
 * on to those behind it.
 */
#include "runtime/names.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port/limits.h"
#include "runtime/process.h"
#include "runtime/rt.h"
#include "runtime/table_epoch.h"

#define BUCKETS_MIN MOLT_LIMIT(256, 1)
/* Asking for memory back costs a barrier on all threads. */
#define GONE_MAX MOLT_LIMIT(64, 1)

struct entry {
    struct molt_table_retired retired; /* first */
    _Atomic(struct entry *) next;      /* of those whose names have the same bucket */
    struct entry *next_of_pid;         /* the same by pid; under the lock */
    molt_pid pid;
    char text[];
};

struct buckets {
    _Atomic(struct entry *) first;
    struct entry *first_of_pid; /* under the lock */
};

struct molt_name_index {
    struct molt_table_retired retired; /* first */
    size_t n_buckets;                  /* a power of two */
    struct buckets buckets[];
};

/* FNV-1a, 64 bits. */
static size_t hash(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ (h >> 32));
}

static _Atomic(struct entry *) *bucket_of(struct molt_name_index *index, const char *name)
{
    return &index->buckets[hash(name) & (index->n_buckets - 1)].first;
}

static struct entry **bucket_of_pid(struct molt_name_index *index, molt_pid pid)
{
    /* The slot's number is in the lower bits. */
    return &index->buckets[pid & (index->n_buckets - 1)].first_of_pid;
}

/* ---- memory ------------------------------------------------------------------------ */

static void free_entry(struct molt_table_retired *retired)
{
    free(molt_container_of(retired, struct entry, retired));
}

static void free_index(struct molt_table_retired *retired)
{
    free(molt_container_of(retired, struct molt_name_index, retired));
}

static struct molt_name_index *new_index(size_t n_buckets)
{
    struct molt_name_index *index = calloc(1, sizeof(*index) + n_buckets * sizeof(struct buckets));
    if (index)
        index->n_buckets = n_buckets;
    return index;
}

static struct entry *new_entry(const char *name, molt_pid pid)
{
    size_t size = strlen(name) + 1;
    struct entry *entry = calloc(1, sizeof(*entry) + size);
    if (!entry)
        return NULL;
    entry->pid = pid;
    memcpy(entry->text, name, size);
    return entry;
}

static void free_with_entries(struct molt_name_index *index)
{
    for (size_t i = 0; i < index->n_buckets; i++) {
        struct entry *entry = index->buckets[i].first_of_pid;
        while (entry) {
            struct entry *next = entry->next_of_pid;
            free(entry);
            entry = next;
        }
    }
    free(index);
}

int molt_names_init(struct molt_names *names)
{
    struct molt_name_index *index = new_index(BUCKETS_MIN);
    if (!index)
        return MOLT_ENOMEM;
    atomic_init(&names->index, index);
    names->n = names->n_gone = 0;
    pthread_mutex_init(&names->lock, NULL);
    return 0;
}

void molt_names_fini(struct molt_names *names)
{
    struct molt_name_index *index = atomic_load_explicit(&names->index, memory_order_relaxed);
    if (!index)
        return;
    free_with_entries(index);
    pthread_mutex_destroy(&names->lock);
}

/* ---- look up ------------------------------------------------------------------------- */

/* By who has entered, or has the lock. */
static struct entry *find(struct molt_names *names, const char *name)
{
    /* Seq_cst: see molt_table_enter(), also below. */
    struct molt_name_index *index = atomic_load_explicit(&names->index, memory_order_seq_cst);
    struct entry *entry = atomic_load_explicit(bucket_of(index, name), memory_order_seq_cst);
    while (entry && strcmp(entry->text, name) != 0)
        entry = atomic_load_explicit(&entry->next, memory_order_seq_cst);
    return entry;
}

molt_pid molt_names_find(struct molt_runtime *rt, const char *name)
{
    struct molt_table_thread *thread = molt_table_enter(&rt->tables.epochs);
    if (__builtin_expect(!thread, 0))
        pthread_mutex_lock(&rt->names.lock); /* no memory to be known as a reader */
    const struct entry *entry = find(&rt->names, name);
    molt_pid pid = entry ? entry->pid : 0;
    if (__builtin_expect(!thread, 0))
        pthread_mutex_unlock(&rt->names.lock);
    else
        molt_table_leave(thread);
    /* One that ends isn't found any more before it takes its name away. */
    return pid && molt_process_find(rt, pid) ? pid : 0;
}

/* Under the lock. */
static struct entry *find_of_pid(struct molt_names *names, molt_pid pid)
{
    struct molt_name_index *index = atomic_load_explicit(&names->index, memory_order_relaxed);
    struct entry *entry = *bucket_of_pid(index, pid);
    while (entry && entry->pid != pid)
        entry = entry->next_of_pid;
    return entry;
}

bool molt_names_of(struct molt_runtime *rt, struct molt_process *p, char *buf, size_t size)
{
    if (!(molt_process_status(p) & MOLT_IS_NAMED))
        return false;
    pthread_mutex_lock(&rt->names.lock);
    const struct entry *entry = find_of_pid(&rt->names, molt_process_pid(p));
    if (entry)
        snprintf(buf, size, "%s", entry->text);
    pthread_mutex_unlock(&rt->names.lock);
    return entry != NULL;
}

/* ---- change, under the lock ------------------------------------------------------------ */

static void link_entry(struct molt_name_index *index, struct entry *entry)
{
    _Atomic(struct entry *) *at = bucket_of(index, entry->text);
    struct entry **at_pid = bucket_of_pid(index, entry->pid);
    atomic_store_explicit(&entry->next, atomic_load_explicit(at, memory_order_relaxed),
                          memory_order_relaxed);
    entry->next_of_pid = *at_pid;
    *at_pid = entry;
    /* Release: pairs with find(). */
    atomic_store_explicit(at, entry, memory_order_release);
}

static void unlink_entry(struct molt_name_index *index, struct entry *entry)
{
    _Atomic(struct entry *) *at = bucket_of(index, entry->text);
    struct entry **at_pid = bucket_of_pid(index, entry->pid), *found;
    while ((found = atomic_load_explicit(at, memory_order_relaxed)) != entry)
        at = &found->next;
    while (*at_pid != entry)
        at_pid = &(*at_pid)->next_of_pid;
    *at_pid = entry->next_of_pid;
    atomic_store_explicit(at, atomic_load_explicit(&entry->next, memory_order_relaxed),
                          memory_order_release);
}

/* Copies of all entries of @from; false when out of memory. */
static bool copy_entries(const struct molt_name_index *from, struct molt_name_index *to)
{
    for (size_t i = 0; i < from->n_buckets; i++) {
        const struct entry *entry = from->buckets[i].first_of_pid;
        for (; entry; entry = entry->next_of_pid) {
            struct entry *copy = new_entry(entry->text, entry->pid);
            if (!copy)
                return false;
            link_entry(to, copy);
        }
    }
    return true;
}

static void retire_all(struct molt_table_epochs *epochs, struct molt_name_index *index)
{
    for (size_t i = 0; i < index->n_buckets; i++) {
        struct entry *entry = index->buckets[i].first_of_pid;
        for (; entry; entry = entry->next_of_pid)
            molt_table_retire_later(epochs, &entry->retired, free_entry);
    }
    molt_table_retire(epochs, &index->retired, free_index);
}

/* Out of memory only means longer chains. */
static void grow(struct molt_runtime *rt)
{
    struct molt_names *names = &rt->names;
    struct molt_name_index *old = atomic_load_explicit(&names->index, memory_order_relaxed);
    struct molt_name_index *index = new_index(old->n_buckets * 2);
    if (!index)
        return;
    if (!copy_entries(old, index)) {
        free_with_entries(index);
        return;
    }
    atomic_store_explicit(&names->index, index, memory_order_release);
    retire_all(&rt->tables.epochs, old);
}

static int add_locked(struct molt_runtime *rt, struct molt_process *p, const char *name,
                      molt_pid pid)
{
    struct molt_names *names = &rt->names;
    if (find(names, name) || find_of_pid(names, pid))
        return MOLT_EEXIST;
    struct entry *entry = new_entry(name, pid);
    if (!entry)
        return MOLT_ENOMEM;
    /* A process that ends takes its pid away and then looks at the flag; here it
     * is the other way round, so one of the two sees the other. */
    atomic_fetch_or(&p->status, MOLT_IS_NAMED);
    if (atomic_load(&p->pid) != pid) {
        free(entry);
        return MOLT_EDEAD;
    }
    link_entry(atomic_load_explicit(&names->index, memory_order_relaxed), entry);
    if (++names->n > atomic_load_explicit(&names->index, memory_order_relaxed)->n_buckets)
        grow(rt);
    return 0;
}

static void remove_locked(struct molt_runtime *rt, struct entry *entry)
{
    struct molt_names *names = &rt->names;
    struct molt_table_epochs *epochs = &rt->tables.epochs;
    unlink_entry(atomic_load_explicit(&names->index, memory_order_relaxed), entry);
    names->n--;
    molt_table_retire_later(epochs, &entry->retired, free_entry);
    if (++names->n_gone < GONE_MAX)
        return;
    names->n_gone = 0;
    molt_table_reclaim(epochs);
}

/* ---- change ------------------------------------------------------------------------------ */

int molt_names_add(struct molt_runtime *rt, const char *name, molt_pid pid)
{
    if (!name || !name[0] || strlen(name) >= MOLT_NAME_MAX)
        return MOLT_EINVAL;
    struct molt_process *p = molt_process_find(rt, pid);
    if (!p)
        return MOLT_EDEAD;
    pthread_mutex_lock(&rt->names.lock);
    int rc = add_locked(rt, p, name, pid);
    pthread_mutex_unlock(&rt->names.lock);
    return rc;
}

int molt_names_remove(struct molt_runtime *rt, const char *name)
{
    if (!name)
        return MOLT_EINVAL;
    pthread_mutex_lock(&rt->names.lock);
    struct entry *entry = find(&rt->names, name);
    if (entry)
        remove_locked(rt, entry);
    pthread_mutex_unlock(&rt->names.lock);
    return entry ? 0 : MOLT_ENOENT;
}

void molt_names_forget(struct molt_runtime *rt, molt_pid pid)
{
    pthread_mutex_lock(&rt->names.lock);
    struct entry *entry = find_of_pid(&rt->names, pid);
    if (entry)
        remove_locked(rt, entry);
    pthread_mutex_unlock(&rt->names.lock);
}
