/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Messages, and how a graph of blocks changes its owner: what is sent moves
 * with all that its typed pointers reach, it is never shared and never copied.
 *
 * A message is its root block. While it is on its way nobody needs the block's
 * place in an owner's list, so the header says the rest:
 *
 *   link.next   the next message of the mailbox
 *   link.prev   the first further block of the graph, if there are any;
 *               else the pid of a caller
 *   bytes       bits 48 to 55: kind and flags
 *   envelope    bits 0 to 39: the call's number; 40 to 63: the receiver's
 *               generation, so that a message for a process that has ended
 *               never reaches another one in its place
 *
 * Further blocks are chained through link.next; the first one's link.prev has
 * the caller's pid. So a message without pointers costs no memory of its own,
 * and the receiver touches no other cache line than that of the block.
 *
 * Threads: packing, unpacking and dropping on the thread that runs the owner.
 */
#ifndef MOLT_RUNTIME_MESSAGE_H
#define MOLT_RUNTIME_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/molt.h>

#include "base/list.h"
#include "runtime/block.h"

enum molt_message_kind {
    MOLT_MESSAGE_CAST,
    MOLT_MESSAGE_CALL,
    MOLT_MESSAGE_CHILD_EXIT,    /* to a supervisor: struct molt_exit_notice */
    MOLT_MESSAGE_CHILD_STARTED, /* to a supervisor: its init returned 0; the same */
    MOLT_MESSAGE_RECONCILE,     /* to a supervisor: a new world is current */
    MOLT_MESSAGE_LINK_EXIT,     /* for on_exit: struct molt_exit_notice */
    MOLT_MESSAGE_DOWN,          /* a monitored process ended: struct molt_exit_notice */
};

/* What a process that ends leaves to those who asked for it. */
struct molt_exit_notice {
    molt_pid pid;
    uint64_t ref; /* of the monitor; of LINK_EXIT: MOLT_NOTICE_OF_LINK, or 0 */
    int reason;
};

/* A linked process ended; else somebody asked this one to end. */
#define MOLT_NOTICE_OF_LINK 1

#define MOLT_REF_BITS 40
#define MOLT_REF_MASK ((UINT64_C(1) << MOLT_REF_BITS) - 1)

#define MOLT_MESSAGE_SHIFT 48
#define MOLT_MESSAGE_KIND_MASK (UINT64_C(0x0f) << MOLT_MESSAGE_SHIFT)
#define MOLT_MESSAGE_HAS_MORE (UINT64_C(0x10) << MOLT_MESSAGE_SHIFT)
/* All of it: the block's bytes are the rest. */
#define MOLT_MESSAGE_BITS (UINT64_C(0xff) << MOLT_MESSAGE_SHIFT)

/* Take @root and what its typed pointers reach from @owner, as a message of
 * kind CAST that belongs to nobody's list. @pinned (may be NULL) is a block that
 * can't go: a process's state. MOLT_EOWNER if another's block is reached,
 * MOLT_EINVAL if @pinned is; what could be taken is taken then, too. */
int molt_message_pack(const struct molt_heap *heap, struct molt_owner *owner,
                      struct molt_block *root, const struct molt_block *pinned);

/* Of a packed message: its blocks, one after the other; NULL at the end. */
struct molt_block *molt_message_next(const struct molt_block *root, const struct molt_block *block);

/* The message behind @root in a mailbox; NULL at the end. */
static inline struct molt_block *molt_message_after(const struct molt_block *root)
{
    struct molt_list *next = root->link.next;
    return next ? molt_container_of(next, struct molt_block, link) : NULL;
}

/* Say whom a packed message is for, before it is put into a mailbox. */
void molt_message_address(struct molt_block *root, struct molt_owner *owner);

static inline void molt_message_set_kind(struct molt_block *root, enum molt_message_kind kind)
{
    size_t word = atomic_load_explicit(&root->bytes, memory_order_relaxed);
    word = (word & ~MOLT_MESSAGE_KIND_MASK) | (size_t)kind << MOLT_MESSAGE_SHIFT;
    atomic_store_explicit(&root->bytes, word, memory_order_relaxed);
}

static inline enum molt_message_kind molt_message_kind(const struct molt_block *root)
{
    size_t word = atomic_load_explicit(&root->bytes, memory_order_relaxed);
    return (enum molt_message_kind)((word & MOLT_MESSAGE_KIND_MASK) >> MOLT_MESSAGE_SHIFT);
}

/* Of the end of another process, with a struct molt_exit_notice. */
static inline bool molt_message_is_notice(const struct molt_block *root)
{
    enum molt_message_kind kind = molt_message_kind(root);
    return kind == MOLT_MESSAGE_CHILD_EXIT || kind >= MOLT_MESSAGE_LINK_EXIT;
}

/* A cast or a call without further blocks. */
static inline bool molt_message_is_single(const struct molt_block *root)
{
    _Static_assert(MOLT_MESSAGE_CAST == 0 && MOLT_MESSAGE_CALL == 1, "one bit of the kind");
    size_t call = (size_t)MOLT_MESSAGE_CALL << MOLT_MESSAGE_SHIFT;
    size_t word = atomic_load_explicit(&root->bytes, memory_order_relaxed);
    return !(word & (MOLT_MESSAGE_KIND_MASK | MOLT_MESSAGE_HAS_MORE) & ~call);
}

static inline bool molt_message_has_more(const struct molt_block *root)
{
    return atomic_load_explicit(&root->bytes, memory_order_relaxed) & MOLT_MESSAGE_HAS_MORE;
}

/* The caller of a call. */
void molt_message_set_from(struct molt_block *root, struct molt_from from);
struct molt_from molt_message_from(const struct molt_block *root);

static inline uint32_t molt_message_generation(const struct molt_block *root)
{
    return (uint32_t)(root->envelope >> MOLT_REF_BITS);
}

/* All that a message without further blocks, just packed, has to say; its owner
 * is @owner from now on. */
static inline void molt_message_stamp(struct molt_block *root, enum molt_message_kind kind,
                                      struct molt_from from, uint32_t generation,
                                      struct molt_owner *owner)
{
    size_t word = atomic_load_explicit(&root->bytes, memory_order_relaxed) & ~MOLT_MESSAGE_BITS;
    atomic_store_explicit(&root->bytes, word | (size_t)kind << MOLT_MESSAGE_SHIFT,
                          memory_order_relaxed);
    root->link.prev = (struct molt_list *)(uintptr_t)from.pid; /* NOLINT: a number */
    root->envelope = (from.ref & MOLT_REF_MASK) | (uint64_t)generation << MOLT_REF_BITS;
    atomic_store_explicit(&root->owner, owner, memory_order_release);
}

static inline void molt_message_set_generation(struct molt_block *root, uint32_t generation)
{
    root->envelope = (root->envelope & MOLT_REF_MASK) | (uint64_t)generation << MOLT_REF_BITS;
}

/* The same for a message of one block, which is on no list then: its link points
 * at itself. */
static inline size_t molt_message_unpack_single(struct molt_block *root)
{
    size_t word = atomic_load_explicit(&root->bytes, memory_order_relaxed) & ~MOLT_MESSAGE_BITS;
    atomic_store_explicit(&root->bytes, word, memory_order_relaxed);
    molt_list_init(&root->link);
    return word & MOLT_BLOCK_BYTES_MASK;
}

/* Append the message's blocks, root first, to @list; they are ordinary blocks
 * again. Returns the sum of their bytes, which the owner doesn't count yet. */
size_t molt_message_unpack(struct molt_block *root, struct molt_list *list);

/* Pack ordinary blocks again: @root and all others on @blocks, which is empty then.
 * A CAST from nobody, whose blocks keep their owner. */
void molt_message_repack(struct molt_list *blocks, struct molt_block *root);

/* Free a packed message. */
void molt_message_drop(struct molt_heap *heap, struct molt_block_cache *cache,
                       struct molt_block *root);

/* A packed notice of the runtime's own: a zeroed struct molt_exit_notice of
 * @kind that belongs to nobody's list; NULL when out of memory. */
struct molt_block *molt_message_new_notice(struct molt_heap *heap, struct molt_block_cache *cache,
                                           enum molt_message_kind kind);

#endif
