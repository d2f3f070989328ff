/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Limits of one process: of the messages that wait in its mailbox, and of the
 * memory that it has. A process without any has no bounds (NULL), and its status
 * lacks MOLT_IS_LIMITED, which is all that others look at then.
 *
 * The limit of a mailbox is exact: a push counts what is in the word that it
 * changes, and what was taken over is counted before it leaves that word.
 *
 * Threads: see the functions.
 * Locks:   molt_process.tie_lock guards the bounds and who waits for room.
 */
#ifndef MOLT_RUNTIME_LIMIT_H
#define MOLT_RUNTIME_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/molt.h>

#include "base/list.h"

struct molt_activation;
struct molt_block;
struct molt_bounds;
struct molt_process;

/* A sender that waits for room, beside its stack. */
struct molt_sender {
    struct molt_process *slot; /* of the receiver; NULL: it doesn't wait */
    struct molt_block *root;   /* what it sends, packed */
    struct molt_list link;     /* under the receiver's lock; alone once it was woken */
    molt_pid pid;              /* its own */
    uint64_t ref;              /* of its wait */
};

/* Whether there are any limits in @limits (may be NULL). */
bool molt_limits_are_any(const struct molt_limits *limits);
/* MOLT_EINVAL if they make no sense. */
int molt_limits_check(const struct molt_limits *limits);

/* NULL when out of memory. */
struct molt_bounds *molt_bounds_new(const struct molt_limits *limits);
void molt_bounds_free(struct molt_bounds *bounds);
/* Of a process that nobody runs yet. */
void molt_bounds_set(struct molt_process *p, struct molt_bounds *bounds);
/* Of a process that can't be found any more: who waits for room goes on. */
void molt_bounds_end(struct molt_process *p);

/* ---- mailbox ---------------------------------------------------------------- */

/* Messages that may wait in the mailbox of @pid, in @p; 0: any number. Any thread. */
unsigned molt_limit_mail(struct molt_process *p, molt_pid pid);

/* The mailbox was seen to be full. 1: there is room after all. MOLT_EBUSY, or
 * MOLT_ELIMIT, and what has to follow is done. MOLT_EDEAD. Any thread. */
int molt_limit_refuse(struct molt_process *p, molt_pid pid);

/* Wake senders, as many as there is room for. Any thread. */
void molt_limit_room(struct molt_process *p);

/* Have @sender, a running process, wait for room at @pid; @root stays its own, and
 * is freed if it is ended meanwhile. At most *timeout_ms (< 0: for ever), which is
 * made less by the time that passed. 0: try again. MOLT_EBUSY: it can't wait (it
 * is the receiver, or the runtime's own). MOLT_ELOCKED, MOLT_EKILLED,
 * MOLT_ETIMEDOUT, MOLT_EDEAD. */
int molt_limit_wait(struct molt_process *sender, molt_pid pid, struct molt_block *root,
                    int *timeout_ms);
/* molt_wait_abort(), with @root for @pid in hand, which is freed if the sender is
 * ended meanwhile. */
void molt_limit_abort(struct molt_process *sender, molt_pid pid, struct molt_block *root,
                      uint64_t ref);
/* The sender is ended while it waits. Its message, for the caller to free. */
struct molt_block *molt_limit_end_wait(struct molt_sender *sender);

/* ---- memory ------------------------------------------------------------------- */

/* Whether @p, which has bounds, may have @bytes more. By who runs it. */
bool molt_limit_allows(const struct molt_process *p, size_t bytes);
/* Whether it has to end if it has more than it may. */
bool molt_limit_is_fatal(const struct molt_process *p);
/* Say so, in the log. */
void molt_limit_report_memory(struct molt_process *p, size_t bytes);

#endif
