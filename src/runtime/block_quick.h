/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The way of most blocks: one small element, made from and freed into the
 * thread's own stock. Inline, because each is a few instructions. What doesn't
 * go this way returns NULL or false, with nothing changed, for block.c to do.
 *
 * Threads: that of the cache, which is the owner's at the moment.
 */
#ifndef MOLT_RUNTIME_BLOCK_QUICK_H
#define MOLT_RUNTIME_BLOCK_QUICK_H

#include <string.h>

#include "port/limits.h"
#include "port/sanitize.h"
#include "runtime/block.h"

#define MOLT_BLOCK_QUICK_PAYLOAD 64

static inline struct molt_block *molt_block_next_free(const struct molt_block *block)
{
    return (struct molt_block *)(uintptr_t)block->envelope; /* NOLINT: a pointer */
}

static inline void molt_block_count_pointing(struct molt_block_cache *cache, long add)
{
    long now = atomic_load_explicit(&cache->n_pointing, memory_order_relaxed);
    atomic_store_explicit(&cache->n_pointing, now + add, memory_order_relaxed);
}

/* The slot has room up to the next 16 bytes, and for 16 at least. */
static inline void molt_block_clear_quick(struct molt_block *block, size_t payload)
{
    char *at = molt_block_payload(block);
    if (MOLT_IS_SANITIZED) {
        memset(at, 0, payload);
        return;
    }
    memset(at, 0, 16);
    for (size_t done = 16; done < payload; done += 16)
        memset(at + done, 0, 16);
}

/* As molt_block_make() of one element, for an owner that isn't shared. NULL: the
 * type is too large, or the stock is empty. */
static inline struct molt_block *molt_block_make_quick(struct molt_block_cache *cache,
                                                       struct molt_owner *owner,
                                                       const struct molt_type *type)
{
    size_t payload = type->size;
    if (__builtin_expect(payload > MOLT_BLOCK_QUICK_PAYLOAD, 0))
        return NULL;
    unsigned index = cache->class_of[(sizeof(struct molt_block) + payload + 1 + 15) / 16];
    struct molt_stock *stock = &cache->stock[index];
    struct molt_block *block = stock->free;
    if (__builtin_expect(!block, 0))
        return NULL;
    stock->free = molt_block_next_free(block);
    stock->n--;
    molt_sanitize_unpoison(molt_block_payload(block), payload);
    molt_block_clear_quick(block, payload);
    block->type = type;
    atomic_store_explicit(&block->bytes, payload | (size_t)index << MOLT_BLOCK_CLASS_SHIFT,
                          memory_order_relaxed);
    molt_list_append(&owner->blocks, &block->link);
    molt_owner_count(owner, payload);
    atomic_store_explicit(&block->owner, owner, memory_order_release);
    if (__builtin_expect(type->may_point, 0))
        molt_block_count_pointing(cache, 1);
    return block;
}

/* Take @block off the list of @owner, which isn't shared; the block's link is
 * undefined then. */
static inline void molt_owner_take_quick(struct molt_owner *owner, struct molt_block *block)
{
    block->link.prev->next = block->link.next;
    block->link.next->prev = block->link.prev;
    molt_owner_count(owner, -molt_block_bytes(block));
}

/* As molt_block_release(). False: it is no usual block, or the stock is full. */
static inline bool molt_block_release_quick(struct molt_block_cache *cache,
                                            struct molt_block *block)
{
    size_t word = atomic_load_explicit(&block->bytes, memory_order_relaxed);
    size_t index = word >> MOLT_BLOCK_CLASS_SHIFT;
    if (__builtin_expect(index >= MOLT_BLOCK_CLASSES, 0) || MOLT_IS_SANITIZED)
        return false;
    struct molt_stock *stock = &cache->stock[index];
    if (__builtin_expect(stock->n == stock->batch || block->type->may_point, 0))
        return false;
    atomic_store_explicit(&block->owner, NULL, memory_order_release);
    block->envelope = (uintptr_t)stock->free;
    stock->free = block;
    stock->n++;
    return true;
}

#endif
