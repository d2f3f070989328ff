/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Messages, and how a graph of blocks changes its owner: what is sent moves
 * with all that its typed pointers reach, it is never shared and never copied.
 *
 * Threads: collecting and dropping on the thread that runs the owner.
 */
#ifndef MOLT_RUNTIME_MESSAGE_H
#define MOLT_RUNTIME_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/molt.h>

#include "base/list.h"
#include "runtime/block.h"

/* Blocks on their way: on no owner's list. The struct stays at its address
 * from collect to give or drop. */
struct molt_cargo {
    struct molt_owner transit; /* owns them meanwhile; its list has them */
    struct molt_block *root;   /* NULL: empty */
};

/* Take @root and what it reaches from @owner. @pinned (may be NULL) is a block
 * that can't go: a process's state. MOLT_EOWNER if another's block is reached,
 * MOLT_EINVAL if @pinned is; @graph has then all that can be freed. */
int molt_cargo_collect(const struct molt_heap *heap, struct molt_owner *owner,
                       struct molt_block *root, const struct molt_block *pinned,
                       struct molt_cargo *graph);
void molt_cargo_init(struct molt_cargo *graph);

/* Move all of @graph to the end of @list, as @owner's. Counts no bytes. */
void molt_cargo_give(struct molt_cargo *graph, struct molt_owner *owner, struct molt_list *list);

enum molt_message_kind {
    MOLT_MESSAGE_CAST,
    MOLT_MESSAGE_CALL,
    MOLT_MESSAGE_CHILD_EXIT, /* to a supervisor: @from.pid ended with @reason */
    MOLT_MESSAGE_RECONCILE,  /* to a supervisor: a new world is current */
};

struct molt_message {
    struct molt_list link;
    struct molt_list blocks; /* owned by the receiver, on this list only */
    struct molt_block *root;
    size_t bytes;
    enum molt_message_kind kind;
    struct molt_from from;
    int reason;
};

/* An empty one; NULL when out of memory. */
struct molt_message *molt_message_new(enum molt_message_kind kind);
/* With its blocks. */
void molt_message_free(struct molt_heap *heap, struct molt_block_cache *cache,
                       struct molt_message *message);

#endif
