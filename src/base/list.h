/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Intrusive doubly linked ring. A head is a node of its own; an unlinked node
 * points at itself.
 *
 * Threads: callers lock.
 */
#ifndef MOLT_BASE_LIST_H
#define MOLT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct molt_list {
    struct molt_list *prev, *next;
};

#define molt_container_of(ptr, type, member)                                                       \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* The body may unlink the node at hand. */
#define molt_list_each(node, tmp, head)                                                            \
    for (struct molt_list *node = (head)->next, *tmp = node->next; node != (head);                 \
         node = tmp, tmp = node->next)

static inline void molt_list_init(struct molt_list *node)
{
    node->prev = node->next = node;
}

static inline bool molt_list_is_empty(const struct molt_list *head)
{
    return head->next == head;
}

static inline void molt_list_unlink(struct molt_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    molt_list_init(node);
}

/* Before @head, that is at the end of its ring. */
static inline void molt_list_append(struct molt_list *head, struct molt_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Move all of @from to the end of @head; @from is empty afterwards. */
static inline void molt_list_splice(struct molt_list *head, struct molt_list *from)
{
    if (molt_list_is_empty(from))
        return;
    from->next->prev = head->prev;
    head->prev->next = from->next;
    from->prev->next = head;
    head->prev = from->prev;
    molt_list_init(from);
}

#endif
