/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Registered names. A process has at most one.
 *
 * Threads: any.
 * Locks:   molt_names.lock; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_NAMES_H
#define MOLT_RUNTIME_NAMES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <molt/molt.h>

struct molt_process;
struct molt_runtime;

/* A registered name, of the process that it leads to. */
struct molt_name {
    struct molt_process *next; /* in the bucket */
    char text[];
};

struct molt_names {
    pthread_rwlock_t lock;
    struct molt_process **buckets; /* through name->next */
    size_t n_buckets, n;
};

int molt_names_init(struct molt_names *names);
void molt_names_fini(struct molt_names *names);

/* 0 if nobody has it. */
molt_pid molt_names_find(struct molt_runtime *rt, const char *name);

/* MOLT_EEXIST (the name is taken, or the process has one), MOLT_EDEAD,
 * MOLT_EINVAL (empty or longer than 63 bytes). */
int molt_names_add(struct molt_runtime *rt, const char *name, molt_pid pid);

/* MOLT_ENOENT. */
int molt_names_remove(struct molt_runtime *rt, const char *name);

/* The name of @p into @buf; false if it has none. */
bool molt_names_of(struct molt_runtime *rt, struct molt_process *p, char *buf, size_t size);

/* Take away the name of @p, which ends. */
void molt_names_forget(struct molt_runtime *rt, struct molt_process *p);

#endif
