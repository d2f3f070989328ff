/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/names.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port/limits.h"
#include "runtime/process.h"
#include "runtime/rt.h"

#define BUCKETS_MIN MOLT_LIMIT(256, 1)

/* FNV-1a, 64 bits. */
static size_t hash(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ (h >> 32));
}

int molt_names_init(struct molt_names *names)
{
    names->buckets = calloc(BUCKETS_MIN, sizeof(*names->buckets));
    if (!names->buckets)
        return MOLT_ENOMEM;
    names->n_buckets = BUCKETS_MIN;
    names->n = 0;
    pthread_rwlock_init(&names->lock, NULL);
    return 0;
}

void molt_names_fini(struct molt_names *names)
{
    if (!names->buckets)
        return;
    free(names->buckets);
    pthread_rwlock_destroy(&names->lock);
}

static struct molt_process **find(struct molt_names *names, const char *name)
{
    struct molt_process **at = &names->buckets[hash(name) & (names->n_buckets - 1)];
    while (*at && strcmp((*at)->name->text, name) != 0)
        at = &(*at)->name->next;
    return at;
}

/* Out of memory only means longer chains. */
static void grow(struct molt_names *names)
{
    size_t n = names->n_buckets * 2;
    struct molt_process **old = names->buckets, **buckets = calloc(n, sizeof(*buckets));
    if (!buckets)
        return;
    size_t n_old = names->n_buckets;
    names->buckets = buckets;
    names->n_buckets = n;
    for (size_t i = 0; i < n_old; i++) {
        while (old[i]) {
            struct molt_process *p = old[i];
            old[i] = p->name->next;
            struct molt_process **at = &buckets[hash(p->name->text) & (n - 1)];
            p->name->next = *at;
            *at = p;
        }
    }
    free(old);
}

molt_pid molt_names_find(struct molt_runtime *rt, const char *name)
{
    pthread_rwlock_rdlock(&rt->names.lock);
    struct molt_process *p = *find(&rt->names, name);
    /* A process forgets its name before its slot is used again. */
    molt_pid pid = p ? atomic_load_explicit(&p->pid, memory_order_acquire) : 0;
    pthread_rwlock_unlock(&rt->names.lock);
    return pid;
}

static int add_locked(struct molt_names *names, struct molt_process *p, const char *name,
                      molt_pid pid)
{
    if (*find(names, name))
        return MOLT_EEXIST;
    if (p->name)
        return molt_process_pid(p) == pid ? MOLT_EEXIST : MOLT_EDEAD;
    size_t size = strlen(name) + 1;
    struct molt_name *copy = malloc(sizeof(*copy) + size);
    if (!copy)
        return MOLT_ENOMEM;
    memcpy(copy->text, name, size);
    /* Seq_cst: a process that ends takes its pid away and then looks at the
     * flag; here it is the other way round, so one of the two sees the other. */
    atomic_fetch_or(&p->status, MOLT_IS_NAMED);
    if (atomic_load(&p->pid) != pid) {
        free(copy);
        return MOLT_EDEAD;
    }
    p->name = copy;
    struct molt_process **at = find(names, name);
    copy->next = *at;
    *at = p;
    if (++names->n > names->n_buckets)
        grow(names);
    return 0;
}

int molt_names_add(struct molt_runtime *rt, const char *name, molt_pid pid)
{
    if (!name || !name[0] || strlen(name) >= MOLT_NAME_MAX)
        return MOLT_EINVAL;
    struct molt_process *p = molt_process_find(rt, pid);
    if (!p)
        return MOLT_EDEAD;
    pthread_rwlock_wrlock(&rt->names.lock);
    int rc = add_locked(&rt->names, p, name, pid);
    pthread_rwlock_unlock(&rt->names.lock);
    return rc;
}

static void remove_locked(struct molt_names *names, struct molt_process **at)
{
    struct molt_process *p = *at;
    *at = p->name->next;
    free(p->name);
    p->name = NULL;
    names->n--;
}

int molt_names_remove(struct molt_runtime *rt, const char *name)
{
    if (!name)
        return MOLT_EINVAL;
    pthread_rwlock_wrlock(&rt->names.lock);
    struct molt_process **at = find(&rt->names, name);
    int rc = *at ? 0 : MOLT_ENOENT;
    if (*at)
        remove_locked(&rt->names, at);
    pthread_rwlock_unlock(&rt->names.lock);
    return rc;
}

bool molt_names_of(struct molt_runtime *rt, struct molt_process *p, char *buf, size_t size)
{
    if (!(molt_process_status(p) & MOLT_IS_NAMED))
        return false;
    pthread_rwlock_rdlock(&rt->names.lock);
    bool has = p->name != NULL;
    if (has)
        snprintf(buf, size, "%s", p->name->text);
    pthread_rwlock_unlock(&rt->names.lock);
    return has;
}

void molt_names_forget(struct molt_runtime *rt, struct molt_process *p)
{
    pthread_rwlock_wrlock(&rt->names.lock);
    if (p->name) {
        struct molt_process **at = find(&rt->names, p->name->text);
        if (*at == p)
            remove_locked(&rt->names, at);
    }
    pthread_rwlock_unlock(&rt->names.lock);
}
