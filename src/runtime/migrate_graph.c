/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Who points to what changes? The pointers between blocks are listed once, by where
 * they lead; then the list is followed backwards from what changes. Each block and
 * each pointer is looked at once, so long chains and cycles cost nothing more.
 */
#include "runtime/migrate_graph.h"

#include <stdlib.h>
#include <string.h>

#include "port/limits.h"

#define NONE UINT32_MAX

const struct molt_recipe *molt_graph_same(struct molt_graph *g, const struct molt_type *type)
{
    size_t i = (uintptr_t)type / sizeof(*type) % MOLT_SAMES;
    if (g->same[i].type != type) {
        g->same[i].type = type;
        g->same[i].recipe = molt_world_same(g->how->world, type);
    }
    return g->same[i].recipe;
}

struct edge {
    uint32_t from; /* number of the block that points */
    uint32_t next; /* of those that lead to the same block */
    const struct molt_meta_ptr *ptr;
};

struct edges {
    struct molt_graph *g;
    uint32_t *first; /* by the block that is pointed to */
    struct edge *edges;
    size_t n, n_max;
};

static bool grow(struct edges *e)
{
    size_t n = e->n_max ? 2 * e->n_max : MOLT_LIMIT(64, 1);
    struct edge *edges = n < NONE ? realloc(e->edges, n * sizeof(*edges)) : NULL;
    if (!edges)
        return false;
    e->edges = edges;
    e->n_max = n;
    return true;
}

/* False when out of memory. */
static bool add_word(struct edges *e, uint32_t from, uint64_t word, const struct molt_meta_ptr *ptr)
{
    const struct molt_block *block = word ? molt_graph_block(e->g, word) : NULL;
    const struct molt_node *to = block ? molt_graph_node(e->g, block) : NULL;
    if (!to)
        return true;
    if (e->n == e->n_max && !grow(e))
        return false;
    size_t i = (size_t)(to - e->g->nodes);
    e->edges[e->n] = (struct edge){.from = from, .next = e->first[i], .ptr = ptr};
    e->first[i] = (uint32_t)e->n++;
    return true;
}

static bool add_element(struct edges *e, uint32_t from, const struct molt_block_part *part,
                        const char *element)
{
    for (size_t i = 0; i < part->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &part->ptrs[i];
        for (uint32_t k = 0; ptr->kind != MOLT_PTR_CODE && k < ptr->count; k++) {
            uint64_t word;
            memcpy(&word, element + ptr->offset + k * sizeof(word), sizeof(word));
            if (!add_word(e, from, word, ptr))
                return false;
        }
    }
    return true;
}

static bool add_block(struct edges *e, uint32_t from)
{
    struct molt_block_part parts[2];
    unsigned n = molt_block_parts(e->g->nodes[from].old, parts);
    for (unsigned p = 0; p < n; p++)
        for (size_t i = 0; i < parts[p].n; i++)
            if (!add_element(e, from, &parts[p], parts[p].at + i * parts[p].stride))
                return false;
    return true;
}

/* What changes is followed by its recipe, which sees its pointers itself. */
static bool add_all(struct edges *e)
{
    for (size_t i = 0; i < e->g->n; i++)
        if (e->g->nodes[i].kind == MOLT_KIND_STAYS && !add_block(e, (uint32_t)i))
            return false;
    return true;
}

static int refuse_word(const struct edges *e, const struct edge *edge,
                       struct molt_migration_fault *fault)
{
    const struct molt_block *block = e->g->nodes[edge->from].old;
    return molt_migration_fail(fault, MOLT_ECHANGE,
                               "%s.%s of block %p: it may be an address of what moves",
                               block->type->name, edge->ptr->field ? edge->ptr->field : "?",
                               molt_block_payload(block));
}

/* All that points to the block of number @i, which moves, moves, too. */
static int mark_pointing(struct edges *e, uint32_t i, uint32_t *queue, size_t *n_queued,
                         struct molt_migration_fault *fault)
{
    for (uint32_t at = e->first[i]; at != NONE; at = e->edges[at].next) {
        const struct edge *edge = &e->edges[at];
        struct molt_node *from = &e->g->nodes[edge->from];
        if (edge->ptr->kind == MOLT_PTR_WORD && !molt_graph_same(e->g, from->old->type))
            return refuse_word(e, edge, fault);
        if (from->kind != MOLT_KIND_STAYS)
            continue;
        from->kind = MOLT_KIND_COPIED;
        queue[(*n_queued)++] = edge->from;
    }
    return 0;
}

static int mark_all(struct edges *e, uint32_t *queue, struct molt_migration_fault *fault)
{
    size_t n_queued = 0;
    int rc = 0;
    for (size_t i = 0; i < e->g->n; i++)
        if (e->g->nodes[i].kind != MOLT_KIND_STAYS)
            queue[n_queued++] = (uint32_t)i;
    for (size_t done = 0; rc == 0 && done < n_queued; done++)
        rc = mark_pointing(e, queue[done], queue, &n_queued, fault);
    return rc;
}

int molt_graph_mark(struct molt_graph *g, struct molt_migration_fault *fault)
{
    struct edges e = {.g = g};
    uint32_t *queue = NULL;
    bool is_full = g->n >= NONE - 1;
    if (!is_full)
        e.first = malloc(2 * g->n * sizeof(*e.first));
    is_full = !e.first;
    if (!is_full) {
        queue = e.first + g->n;
        memset(e.first, 0xff, g->n * sizeof(*e.first));
        is_full = !add_all(&e);
    }
    int rc = is_full ? molt_migration_fail(fault, MOLT_ENOMEM,
                                           "no memory for the pointers between %zu blocks", g->n)
                     : mark_all(&e, queue, fault);
    free(e.edges);
    free(e.first);
    return rc;
}
