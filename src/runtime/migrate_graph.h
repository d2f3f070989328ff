/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The graph that is being migrated: its blocks by number, what becomes of each,
 * and which blocks point to what changes. Inside of migrate.c alone.
 *
 * Threads: that of molt_migrate().
 */
#ifndef MOLT_RUNTIME_MIGRATE_GRAPH_H
#define MOLT_RUNTIME_MIGRATE_GRAPH_H

#include "runtime/migrate.h"

#define MOLT_KIND_STAYS UINT32_MAX
#define MOLT_KIND_COPIED (UINT32_MAX - 1)

struct molt_node {
    struct molt_block *old, *now; /* NULL: it stays */
    uint32_t kind;                /* index into kinds, or one of the above */
};

/* How blocks of a type change. */
struct molt_kind {
    const struct molt_type *from, *to;
    struct molt_way way; /* without edges: by hand alone */
    molt_any_fn by_hand; /* after the way; NULL: none */
    bool is_root;        /* of the root alone */
};

#define MOLT_KINDS_FEW 4
#define MOLT_SAMES 8 /* a power of two */

struct molt_graph {
    const struct molt_migrate *how;
    struct molt_migration *migration;
    const struct molt_owner *owner; /* of all old blocks */
    size_t n;
    struct molt_node *nodes;
    size_t n_kinds, n_kinds_max;
    struct molt_kind *kinds;
    struct molt_kind few[MOLT_KINDS_FEW]; /* what most need */
    /* What molt_graph_same() found last, by the types' addresses. */
    struct {
        const struct molt_type *type;
        const struct molt_recipe *recipe;
    } same[MOLT_SAMES];
    bool has_called; /* an author's conversion */
    bool is_lost;    /* what a pointer of a copied block leads to, by its recipe, is gone */
};

/* The block that @value leads to, anybody's; NULL if none. */
static inline const struct molt_block *molt_graph_block(const struct molt_graph *g, uint64_t value)
{
    return molt_heap_find(g->how->heap, (const void *)(uintptr_t)value); /* NOLINT: an address */
}

/* The node of a live block; NULL: it isn't of this graph. */
static inline struct molt_node *molt_graph_node(const struct molt_graph *g,
                                                const struct molt_block *block)
{
    if (molt_block_owner(block) != g->owner)
        return NULL;
    uint64_t i = block->envelope;
    return i < g->n && g->nodes[i].old == block ? &g->nodes[i] : NULL;
}

/* What the pointers of copied blocks of @type lead to; NULL: unknown. */
const struct molt_recipe *molt_graph_same(struct molt_graph *g, const struct molt_type *type);

/* Mark as COPIED what points to what changes, over any number of steps. MOLT_ECHANGE: a word
 * that may only be an address leads there, from a block that doesn't change itself and has no
 * recipe that could tell. */
int molt_graph_mark(struct molt_graph *g, struct molt_migration_fault *fault);

/* Set @fault, and return @code. */
__attribute__((format(printf, 3, 4))) int molt_migration_fail(struct molt_migration_fault *fault,
                                                              int code, const char *fmt, ...);

#endif
