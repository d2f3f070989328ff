/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Registered names. A process has at most one.
 *
 * Whoever looks up a name takes no lock: what a name leads to never changes, and
 * what is taken out of sight is freed when nobody looks at it any more
 * (table_epoch.h). A larger index is a copy, so a look-up finishes in the one
 * where it began.
 *
 * Invariant: a name leads to a process that can be found, or that is about to
 * take the name away.
 *
 * Threads: any.
 * Locks:   molt_names.lock guards both ways through the index; the epochs' lock
 *          nests in it.
 */
#ifndef MOLT_RUNTIME_NAMES_H
#define MOLT_RUNTIME_NAMES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <molt/molt.h>

struct molt_name_index;
struct molt_process;
struct molt_runtime;

struct molt_names {
    pthread_mutex_t lock; /* of who adds, removes, or asks for a process's name */
    _Atomic(struct molt_name_index *) index;
    size_t n;
    unsigned n_gone; /* since memory was last asked back */
};

int molt_names_init(struct molt_names *names);
/* After the tables, whose epochs have freed what was out of sight. */
void molt_names_fini(struct molt_names *names);

/* 0 if nobody has it. */
molt_pid molt_names_find(struct molt_runtime *rt, const char *name);

/* MOLT_EEXIST (the name is taken, or the process has one), MOLT_EDEAD,
 * MOLT_EINVAL (empty or longer than 63 bytes), MOLT_ENOMEM. */
int molt_names_add(struct molt_runtime *rt, const char *name, molt_pid pid);

/* MOLT_ENOENT. */
int molt_names_remove(struct molt_runtime *rt, const char *name);

/* The name of @p into @buf; false if it has none. */
bool molt_names_of(struct molt_runtime *rt, struct molt_process *p, char *buf, size_t size);

/* Take away the name of a process that was @pid and can't be found any more. */
void molt_names_forget(struct molt_runtime *rt, molt_pid pid);

#endif
