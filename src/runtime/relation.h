/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Who hears of whose end: links, monitors, and supervisors of their children.
 *
 * A relation has one direction, from a watcher to its target; a link is two of
 * them. It is made with the notice that it will send, so an end can be told
 * whatever memory there is. It stands in the watcher's tree until the watcher
 * has heard, gives it up or ends; and in the target's list until the target
 * ends, or it is given up. docs/design/relations.md has the whole picture.
 *
 * Invariant: while both processes of a link live, each has a relation to the
 * other, or neither has.
 *
 * Threads: any, unless said otherwise.
 * Locks:   molt_process.tie_lock of one process, or of two, the one with the
 *          lower address first. Nothing else nests in them.
 */
#ifndef MOLT_RUNTIME_RELATION_H
#define MOLT_RUNTIME_RELATION_H

#include <stdbool.h>
#include <stdint.h>

#include <molt/molt.h>

#include "runtime/message.h"

struct molt_process;
struct molt_runtime;
struct molt_spawn;

enum molt_relation_kind {
    MOLT_RELATION_LINK,
    MOLT_RELATION_MONITOR,
    MOLT_RELATION_CHILD, /* of a supervisor, which is the watcher */
};

struct molt_relation {
    enum molt_relation_kind kind;
    molt_pid watcher, target;
    uint64_t ref;                    /* of a monitor */
    struct molt_relation *free_next; /* of whoever took it out */

    /* Under the watcher's lock. */
    struct molt_relation *branch[2];

    /* Under the target's lock. */
    struct molt_relation *next, **at; /* in the target's list */
    struct molt_block *notice;        /* NULL: it has left, or is about to */
};

/* The following five are called by who runs @p. */

/* As molt_link(); @pid is somebody's. MOLT_ENOMEM. */
int molt_relation_link(struct molt_process *p, struct molt_block_cache *cache, molt_pid pid);
void molt_relation_unlink(struct molt_process *p, struct molt_block_cache *cache, molt_pid pid);

/* MOLT_ENOMEM. */
int molt_relation_monitor(struct molt_process *p, struct molt_block_cache *cache, molt_pid pid,
                          uint64_t *ret_ref);
/* MOLT_ENOENT: @p has heard, or there was none. */
int molt_relation_demonitor(struct molt_process *p, struct molt_block_cache *cache, uint64_t ref);

/* Whether @p supervises @pid. */
bool molt_relation_is_child(struct molt_process *p, molt_pid pid);

/* Relations of a process that is about to be spawned; zeroed before the first use. */
struct molt_relation_set {
    struct molt_relation *child, *monitor, *link, *back;
};

/* Allocate what @spawn asks for. MOLT_ENOMEM: nothing is kept. */
int molt_relation_prepare(struct molt_runtime *rt, struct molt_block_cache *cache,
                          const struct molt_spawn *spawn, struct molt_relation_set *ret);
/* Relate @p, which nobody runs yet, as prepared; the set is empty then. MOLT_EDEAD:
 * its supervisor has ended; the set is as it was. By who runs the parent, if
 * there is to be a link or a monitor. */
int molt_relation_settle(struct molt_process *p, const struct molt_spawn *spawn,
                         struct molt_relation_set *set);
/* Free what was prepared and not settled. */
void molt_relation_discard(struct molt_runtime *rt, struct molt_block_cache *cache,
                           struct molt_relation_set *set);

/* The end of @p, which can't be found any more: tell those who
 * watch it, forget whom it watches, have its children end. By whoever ran it. */
void molt_relation_end(struct molt_process *p, struct molt_block_cache *cache, int reason);

/* Whether @p is still to hear of @notice, which it has in hand; it won't hear of
 * the same again. By whoever runs it. */
bool molt_relation_hears(struct molt_process *p, enum molt_message_kind kind,
                         const struct molt_exit_notice *notice);

#endif
