/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/message.h"

#include <stdlib.h>
#include <string.h>

void molt_cargo_init(struct molt_cargo *graph)
{
    molt_owner_init(&graph->transit, NULL);
    graph->root = NULL;
}

static void take(struct molt_owner *owner, struct molt_block *block, struct molt_cargo *graph)
{
    molt_owner_remove(owner, block);
    molt_owner_add(&graph->transit, block);
}

/* Take the block that @word leads to, if it leads to one. */
static int follow(const struct molt_heap *heap, struct molt_owner *owner, const void *word,
                  const struct molt_block *pinned, struct molt_cargo *graph)
{
    struct molt_block *block = word ? molt_heap_find(heap, word) : NULL;
    if (!block)
        return 0;
    struct molt_owner *has = molt_block_owner(block);
    if (has == &graph->transit || !has)
        return 0;
    if (has != owner)
        return MOLT_EOWNER;
    if (block == pinned)
        return MOLT_EINVAL;
    take(owner, block, graph);
    return 0;
}

/* Returns the first error, but goes on to take what can be taken. */
static int follow_all(const struct molt_heap *heap, struct molt_owner *owner,
                      const struct molt_block *from, const struct molt_block *pinned,
                      struct molt_cargo *graph)
{
    int rc = 0;
    const struct molt_type *type = from->type;
    const char *element = molt_block_payload(from);
    for (size_t n = type->may_point ? from->count : 0; n > 0; n--, element += type->size) {
        for (size_t i = 0; i < type->n_ptrs; i++) {
            const struct molt_meta_ptr *ptr = &type->ptrs[i];
            if (ptr->kind == MOLT_PTR_CODE)
                continue;
            for (uint32_t k = 0; k < ptr->count; k++) {
                const void *word;
                memcpy(&word, element + ptr->offset + k * sizeof(word), sizeof(word));
                int one = follow(heap, owner, word, pinned, graph);
                rc = rc ? rc : one;
            }
        }
    }
    return rc;
}

int molt_cargo_collect(const struct molt_heap *heap, struct molt_owner *owner,
                       struct molt_block *root, const struct molt_block *pinned,
                       struct molt_cargo *graph)
{
    molt_cargo_init(graph);
    if (root == pinned)
        return MOLT_EINVAL;
    take(owner, root, graph);
    graph->root = root;
    /* The list is the work list too: what is taken is appended. */
    int rc = 0;
    struct molt_list *head = &graph->transit.blocks;
    for (struct molt_list *node = head->next; node != head; node = node->next) {
        int one = follow_all(heap, owner, molt_container_of(node, struct molt_block, link), pinned,
                             graph);
        rc = rc ? rc : one;
    }
    return rc;
}

void molt_cargo_give(struct molt_cargo *graph, struct molt_owner *owner, struct molt_list *list)
{
    molt_list_each (node, tmp, &graph->transit.blocks) {
        struct molt_block *block = molt_container_of(node, struct molt_block, link);
        atomic_store_explicit(&block->owner, owner, memory_order_release);
    }
    molt_list_splice(list, &graph->transit.blocks);
}

struct molt_message *molt_message_new(enum molt_message_kind kind)
{
    struct molt_message *message = calloc(1, sizeof(*message));
    if (!message)
        return NULL;
    molt_list_init(&message->link);
    molt_list_init(&message->blocks);
    message->kind = kind;
    return message;
}

void molt_message_free(struct molt_heap *heap, struct molt_block_cache *cache,
                       struct molt_message *message)
{
    molt_block_drop_list(heap, cache, &message->blocks);
    free(message);
}
