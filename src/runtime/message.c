/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/message.h"

#include <string.h>

/* ---- packing ------------------------------------------------------------------ */

/* A walk over a graph: what was taken is also the work list. */
struct walk {
    const struct molt_heap *heap;
    struct molt_owner *owner;
    const struct molt_block *pinned;
    struct molt_owner transit; /* marks what was taken, and holds it */
};

/* Take the block that @word leads to, if it leads to one. */
static int follow(struct walk *walk, const void *word)
{
    struct molt_block *block = word ? molt_heap_find(walk->heap, word) : NULL;
    if (!block)
        return 0;
    struct molt_owner *has = molt_block_owner(block);
    if (has == &walk->transit || !has)
        return 0;
    if (has != walk->owner)
        return MOLT_EOWNER;
    if (block == walk->pinned)
        return MOLT_EINVAL;
    molt_owner_remove(walk->owner, block);
    molt_owner_add(&walk->transit, block);
    return 0;
}

/* Returns the first error, but goes on to take what can be taken. */
static int follow_element(struct walk *walk, const struct molt_block_part *part,
                          const char *element)
{
    int rc = 0;
    for (size_t i = 0; i < part->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &part->ptrs[i];
        if (ptr->kind == MOLT_PTR_CODE)
            continue;
        for (uint32_t k = 0; k < ptr->count; k++) {
            const void *word;
            memcpy(&word, element + ptr->offset + k * sizeof(word), sizeof(word));
            int one = follow(walk, word);
            rc = rc ? rc : one;
        }
    }
    return rc;
}

static int follow_all(struct walk *walk, const struct molt_block *from)
{
    int rc = 0;
    struct molt_block_part parts[2];
    unsigned n_parts = molt_block_parts(from, parts);
    for (unsigned p = 0; p < n_parts; p++) {
        const char *element = parts[p].at;
        for (size_t n = parts[p].n; n > 0; n--, element += parts[p].stride) {
            int one = follow_element(walk, &parts[p], element);
            rc = rc ? rc : one;
        }
    }
    return rc;
}

/* Turn @ring, @root first, into a chain. */
static void chain(struct molt_list *ring, struct molt_block *root)
{
    struct molt_list *first = root->link.next;
    ring->prev->next = NULL;
    root->link.next = root->link.prev = NULL;
    if (first == ring)
        return;
    struct molt_block *more = molt_container_of(first, struct molt_block, link);
    more->link.prev = NULL;
    root->link.prev = &more->link;
    size_t word = atomic_load_explicit(&root->bytes, memory_order_relaxed);
    atomic_store_explicit(&root->bytes, word | MOLT_MESSAGE_HAS_MORE, memory_order_relaxed);
}

static int pack_graph(const struct molt_heap *heap, struct molt_owner *owner,
                      struct molt_block *root, const struct molt_block *pinned)
{
    struct walk walk = {.heap = heap, .owner = owner, .pinned = pinned};
    molt_owner_init(&walk.transit);
    molt_owner_add(&walk.transit, root);
    int rc = 0;
    for (struct molt_list *node = walk.transit.blocks.next; node != &walk.transit.blocks;
         node = node->next) {
        int one = follow_all(&walk, molt_container_of(node, struct molt_block, link));
        rc = rc ? rc : one;
    }
    chain(&walk.transit.blocks, root);
    return rc;
}

int molt_message_pack(const struct molt_heap *heap, struct molt_owner *owner,
                      struct molt_block *root, const struct molt_block *pinned)
{
    molt_owner_remove(owner, root);
    root->link.prev = root->link.next = NULL;
    root->envelope = 0;
    return root->type->may_point ? pack_graph(heap, owner, root, pinned) : 0;
}

/* ---- packed messages ------------------------------------------------------------ */

struct molt_block *molt_message_next(const struct molt_block *root, const struct molt_block *block)
{
    struct molt_list *next = block != root                 ? block->link.next
                             : molt_message_has_more(root) ? root->link.prev
                                                           : NULL;
    return next ? molt_container_of(next, struct molt_block, link) : NULL;
}

void molt_message_address(struct molt_block *root, struct molt_owner *owner)
{
    for (struct molt_block *b = root; b; b = molt_message_next(root, b))
        atomic_store_explicit(&b->owner, owner, memory_order_release);
}

void molt_message_set_from(struct molt_block *root, struct molt_from from)
{
    struct molt_list *holder = molt_message_has_more(root) ? root->link.prev : &root->link;
    holder->prev = (struct molt_list *)(uintptr_t)from.pid; /* NOLINT: a number */
    root->envelope = (root->envelope & ~MOLT_REF_MASK) | (from.ref & MOLT_REF_MASK);
}

struct molt_from molt_message_from(const struct molt_block *root)
{
    const struct molt_list *holder = molt_message_has_more(root) ? root->link.prev : &root->link;
    return (struct molt_from){.pid = (uintptr_t)holder->prev,
                              .ref = root->envelope & MOLT_REF_MASK};
}

/* An ordinary block again. */
static size_t settle(struct molt_block *block, struct molt_list *list)
{
    size_t word = atomic_load_explicit(&block->bytes, memory_order_relaxed) & ~MOLT_MESSAGE_BITS;
    atomic_store_explicit(&block->bytes, word, memory_order_relaxed);
    molt_list_append(list, &block->link);
    return word & MOLT_BLOCK_BYTES_MASK;
}

size_t molt_message_unpack(struct molt_block *root, struct molt_list *list)
{
    struct molt_block *more = molt_message_next(root, root);
    size_t bytes = settle(root, list);
    while (more) {
        struct molt_list *next = more->link.next;
        bytes += settle(more, list);
        more = next ? molt_container_of(next, struct molt_block, link) : NULL;
    }
    return bytes;
}

void molt_message_repack(struct molt_list *blocks, struct molt_block *root)
{
    molt_list_unlink(&root->link);
    /* In front: before the first. */
    molt_list_append(blocks->next, &root->link);
    root->envelope = 0;
    chain(blocks, root);
    molt_list_init(blocks);
}

void molt_message_drop(struct molt_heap *heap, struct molt_block_cache *cache,
                       struct molt_block *root)
{
    struct molt_list blocks;
    molt_list_init(&blocks);
    molt_message_unpack(root, &blocks);
    molt_block_drop_list(heap, cache, &blocks);
}

/* ---- notices -------------------------------------------------------------------- */

static const struct molt_type notice_type = {.name = "struct molt_exit_notice",
                                             .size = sizeof(struct molt_exit_notice)};

struct molt_block *molt_message_new_notice(struct molt_heap *heap, struct molt_block_cache *cache,
                                           enum molt_message_kind kind)
{
    struct molt_owner nobody;
    molt_owner_init(&nobody);
    struct molt_block *block = molt_block_make(heap, cache, &nobody, &notice_type, 1);
    if (!block)
        return NULL;
    (void)molt_message_pack(heap, &nobody, block, NULL);
    molt_message_set_kind(block, kind);
    return block;
}
