/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Blocks: typed memory that belongs to one owner at a time, and the question
 * "which block does this address lie in?" answered in constant time.
 *
 * Memory comes in chunks of 64 KiB, aligned to their size and cut into slots
 * of one size; larger blocks have chunks of their own. A table of all chunks
 * leads from an address to its chunk, and so to its block. A block has at least
 * one byte past its payload, so that the address one past the end is its own.
 *
 * Invariant: memory that was a chunk stays mapped, with the same cut, as long
 * as the heap; a freed slot has no owner. So looking up any address, also a
 * stale one, is safe at any time.
 *
 * Threads: molt_heap_find() from any thread. An owner's blocks are touched by
 * one thread at a time (who runs the process, or who claimed it); owners of
 * foreign threads have a lock. A cache belongs to one thread.
 * Locks:   one per size class; molt_heap.map_lock nests in it.
 */
#ifndef MOLT_RUNTIME_BLOCK_H
#define MOLT_RUNTIME_BLOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "code/type.h"

/* Whose blocks these are: a process, a thread, or a conversion under way. */
struct molt_owner {
    struct molt_list blocks;
    atomic_size_t bytes; /* of their payloads; written by the owner's thread */
};

/* One that several threads look at: its `bytes` have this bit. */
#define MOLT_OWNER_IS_SHARED (SIZE_MAX / 2 + 1)
struct molt_shared_owner {
    struct molt_owner owner;
    pthread_mutex_t *lock;
};

/* The header before each payload. On its way a block is a message, and its link
 * and envelope are used as message.h says. */
struct molt_block {
    _Atomic(struct molt_owner *) owner; /* NULL: free */
    const struct molt_type *type;
    struct molt_list link; /* in the owner's blocks */
    /* Of the payload, in bits 0 to 47: type->size * count, or any number of a type
     * with a flexible member. Bits 56 to 63: the size class. */
    atomic_size_t bytes;
    uint64_t envelope;
};

#define MOLT_BLOCK_BYTES_MASK ((UINT64_C(1) << 48) - 1)
#define MOLT_BLOCK_CLASS_SHIFT 56

#define MOLT_BLOCK_CLASSES 40

#define MOLT_BLOCK_QUICK 1024 /* slots up to here find their class in a table */

/* Free slots of one class, chained through the envelope: those in use, and a
 * whole batch that goes to the heap or comes from it at once. */
struct molt_stock {
    struct molt_block *free;
    struct molt_block *spare; /* `batch` slots, or NULL */
    unsigned long n, batch;   /* in `free`; at most so many */
};

/* A thread's stock of free slots, so that most allocations take no lock. */
struct molt_block_cache {
    struct molt_stock stock[MOLT_BLOCK_CLASSES];
    uint8_t class_of[MOLT_BLOCK_QUICK / 16 + 1]; /* by the slot's bytes / 16 */
    atomic_long n_pointing;        /* blocks whose type may point: made minus freed here */
    struct molt_block_cache *next; /* all caches of the heap */
};

struct molt_heap;

int molt_heap_new(struct molt_heap **ret);
/* Unmaps everything, whoever owns it. NULL is fine. */
void molt_heap_free(struct molt_heap *heap);

void molt_owner_init(struct molt_owner *owner);
/* @lock guards it from now on, and outlives it. */
void molt_owner_share(struct molt_shared_owner *owner, pthread_mutex_t *lock);

/* Caches stay listed until they leave, which gives their slots back. */
void molt_block_cache_join(struct molt_heap *heap, struct molt_block_cache *cache);
void molt_block_cache_leave(struct molt_heap *heap, struct molt_block_cache *cache);

/* A zeroed block of @count elements of @type for @owner; NULL when out of
 * memory or when the size overflows. */
struct molt_block *molt_block_make(struct molt_heap *heap, struct molt_block_cache *cache,
                                   struct molt_owner *owner, const struct molt_type *type,
                                   size_t count);
/* The same for one element whose flexible member makes it @bytes long. */
struct molt_block *molt_block_make_bytes(struct molt_heap *heap, struct molt_block_cache *cache,
                                         struct molt_owner *owner, const struct molt_type *type,
                                         size_t bytes);

/* Keep every other thread out of the heap's insides, around a fork(); any thread. */
void molt_heap_lock(struct molt_heap *heap);
void molt_heap_unlock(struct molt_heap *heap);

/* Free a block that is linked to its owner. */
void molt_block_drop(struct molt_heap *heap, struct molt_block_cache *cache,
                     struct molt_block *block);

/* Free a block that is on no list, and not counted. */
void molt_block_release(struct molt_heap *heap, struct molt_block_cache *cache,
                        struct molt_block *block);

/* Free all blocks on @list (a message's, or an owner's); it is empty then. */
void molt_block_drop_list(struct molt_heap *heap, struct molt_block_cache *cache,
                          struct molt_list *list);

/* The live block that @address lies in or just behind; NULL if none. Its owner
 * is the only member that may be read if it may be another's. */
struct molt_block *molt_heap_find(const struct molt_heap *heap, const void *address);

/* Live blocks whose types may point. Exact when nobody allocates. */
long molt_heap_pointing(struct molt_heap *heap);

static inline void *molt_block_payload(const struct molt_block *block)
{
    return (void *)((uintptr_t)block + sizeof(struct molt_block));
}

static inline struct molt_owner *molt_block_owner(const struct molt_block *block)
{
    /* Acquire: pairs with the release store of whoever gave it this owner. */
    return atomic_load_explicit(&block->owner, memory_order_acquire);
}

static inline size_t molt_block_bytes(const struct molt_block *block)
{
    return atomic_load_explicit(&block->bytes, memory_order_relaxed) & MOLT_BLOCK_BYTES_MASK;
}

/* Elements, as given to molt_block_make(); 0 for a type without size. A block whose
 * type has a flexible member is one element: of the member's there are so many. */
static inline size_t molt_block_count(const struct molt_block *block)
{
    const struct molt_type *type = block->type;
    if (__builtin_expect(type->flex_size != 0, 0))
        return (molt_block_bytes(block) - type->flex_at) / type->flex_size;
    return type->size ? molt_block_bytes(block) / type->size : 0;
}

/* Elements of a block that may point, all alike. */
struct molt_block_part {
    const char *at; /* the first one */
    size_t n, stride;
    size_t n_ptrs;
    const struct molt_meta_ptr *ptrs; /* relative to each */
};

/* What of @block may point: its elements, or the one and then those of its flexible
 * member. Returns how many parts there are. */
static inline unsigned molt_block_parts(const struct molt_block *block,
                                        struct molt_block_part ret_parts[2])
{
    const struct molt_type *type = block->type;
    const char *at = (const char *)molt_block_payload(block);
    bool is_flexible = type->flex_size != 0;
    if (!type->may_point)
        return 0;
    ret_parts[0] = (struct molt_block_part){.at = at,
                                            .n = is_flexible ? 1 : molt_block_count(block),
                                            .stride = type->size,
                                            .n_ptrs = type->n_ptrs,
                                            .ptrs = type->ptrs};
    if (!is_flexible)
        return 1;
    ret_parts[1] = (struct molt_block_part){.at = at + type->flex_at,
                                            .n = molt_block_count(block),
                                            .stride = type->flex_size,
                                            .n_ptrs = type->n_flex_ptrs,
                                            .ptrs = type->flex_ptrs};
    return 2;
}

/* The payloads of @owner grow by @add bytes, or shrink by as much if it is
 * negative. Relaxed, and no read-modify-write: one thread writes, others only
 * look. */
static inline void molt_owner_count(struct molt_owner *owner, size_t add)
{
    size_t now = atomic_load_explicit(&owner->bytes, memory_order_relaxed);
    atomic_store_explicit(&owner->bytes, now + add, memory_order_relaxed);
}

/* Link @block to @owner, and take it off; both count the bytes. */
void molt_owner_add(struct molt_owner *owner, struct molt_block *block);
void molt_owner_remove(struct molt_owner *owner, struct molt_block *block);

#endif
