/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Groups of processes by name. A group exists while it has members.
 *
 * Invariant: a process is a member only while it can be found; it is at most
 * once in a group.
 *
 * Threads: any.
 * Locks:   molt_groups.lock guards both tables, and all that hangs from them; a
 *          process's status word is the only thing touched under it.
 */
#ifndef MOLT_RUNTIME_GROUPS_H
#define MOLT_RUNTIME_GROUPS_H

#include <pthread.h>
#include <stddef.h>

#include <molt/molt.h>

struct molt_group;
struct molt_group_roll;
struct molt_process;
struct molt_runtime;

struct molt_groups {
    pthread_rwlock_t lock;
    struct molt_group **groups;     /* buckets, by name */
    struct molt_group_roll **rolls; /* buckets, by pid: what a process joined */
    size_t n_buckets;               /* of each; a power of two */
    size_t n_groups, n_rolls;
};

int molt_groups_init(struct molt_groups *groups);
/* The processes are gone. */
void molt_groups_fini(struct molt_groups *groups);

/* MOLT_EINVAL (the name), MOLT_EDEAD, MOLT_EEXIST, MOLT_ENOMEM. */
int molt_groups_join(struct molt_runtime *rt, const char *name, molt_pid pid);
/* MOLT_EINVAL (the name), MOLT_ENOENT: it is no member. */
int molt_groups_leave(struct molt_runtime *rt, const char *name, molt_pid pid);
/* Members in the order in which they joined; stores at most @n. Returns how many
 * there are. MOLT_EINVAL (the name). */
int molt_groups_members(struct molt_runtime *rt, const char *name, molt_pid *ret_pids, size_t n);

/* Of a process that was @pid and can't be found any more: it leaves all. */
void molt_groups_forget(struct molt_runtime *rt, molt_pid pid);

#endif
