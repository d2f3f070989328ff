/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Ways from layout to layout.
 *
 * A type object has a list of the recipes that lead away from it. It only grows at
 * its head, at commits, and is freed with the host, so it is read without a lock: the
 * load of the head acquires what the commit released. What a stage brings is in the list of its
 * world already, for those who prepare states before the commit, and stays there.
 *
 * A recipe with an author's function can only be followed in a world that has the
 * function's version; whoever is in that world, or holds it, keeps the version in memory.
 *
 * | who              | reads             | excluded by                              |
 * |------------------|-------------------|------------------------------------------|
 * | any thread       | lists of edges    | nothing; they grow at the head           |
 * | executor, commit | grows them        | molt_code.lock                           |
 * | executor, unload | clears ->version  | molt_code.lock; no world has the version |
 */
#include "code/layout.h"

#include "code/table.h"

/* Layouts that one search looks at. Recipes lead from a version to the one after it and
 * back, so more than this is a long history of which the shortest way has its start. */
#define SEEN_MAX 128

struct seen {
    const struct molt_type *type;
    const struct molt_edge *edge; /* that led here; NULL: the start */
    unsigned parent, depth;
};

struct search {
    const struct molt_world *world;
    const struct molt_type *to; /* just there, without authors' functions; NULL: to the world */
    unsigned n;
    bool leads_away; /* an edge to a layout that isn't here */
    struct seen seen[SEEN_MAX];
};

static int order(const struct molt_type *a, const struct molt_type *b)
{
    uintptr_t x = (uintptr_t)a->key, y = (uintptr_t)b->key;
    return x < y ? -1 : x > y;
}

/* The first of the world's types that has @type's key; n_types if none. */
static size_t first_of(const struct molt_world *world, const struct molt_type *type)
{
    size_t lo = 0, hi = world->n_types;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (order(world->types[mid], type) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool is_there = lo < world->n_types && world->types[lo]->key == type->key;
    return is_there ? lo : world->n_types;
}

bool molt_world_has_key(const struct molt_world *world, const struct molt_type *type)
{
    return first_of(world, type) < world->n_types;
}

bool molt_world_has_type(const struct molt_world *world, const struct molt_type *type)
{
    for (size_t i = first_of(world, type); i < world->n_types; i++) {
        if (world->types[i] == type)
            return true;
        if (world->types[i]->key != type->key)
            return false;
    }
    return false;
}

static bool has_version(const struct molt_world *world, const struct molt_version *version)
{
    for (size_t i = 0; i < world->n_versions; i++)
        if (world->versions[i] == version)
            return true;
    return false;
}

static bool is_usable(const struct molt_world *world, const struct molt_edge_node *node)
{
    if (!node->edge.change)
        return true;
    /* Relaxed: a version of this world stays while the caller is in it. */
    const struct molt_version *version = atomic_load_explicit(&node->version, memory_order_relaxed);
    return version && has_version(world, version);
}

/* Follow @node from the layout seen as @parent. Returns its index if that is the end. */
static int step(struct search *s, unsigned parent, const struct molt_edge_node *node)
{
    const struct molt_type *to = node->edge.to;
    if (!to) {
        s->leads_away = true;
        return -1;
    }
    for (unsigned i = 0; i < s->n; i++)
        if (s->seen[i].type == to)
            return -1;
    if (s->to ? node->edge.change != NULL : !is_usable(s->world, node)) {
        s->leads_away |= molt_world_has_type(s->world, to);
        return -1;
    }
    if (s->n == SEEN_MAX)
        return -1;
    s->seen[s->n] = (struct seen){to, &node->edge, parent, s->seen[parent].depth + 1};
    s->n++;
    bool is_end = s->to ? to == s->to : molt_world_has_type(s->world, to);
    return is_end ? (int)(s->n - 1) : -1;
}

/* All edges from one layout; the stage's own are the newest. */
static int expand(struct search *s, unsigned at)
{
    const struct molt_type *type = s->seen[at].type;
    int end = -1;
    for (const struct molt_edge_node *n = s->world->edges; n && end < 0; n = n->stage_next)
        if (n->edge.from == type)
            end = step(s, at, n);
    /* Acquire: pairs with the release in molt_layouts_commit(). */
    const struct molt_edge_node *n = atomic_load_explicit(&type->edges, memory_order_acquire);
    for (; n && end < 0; n = n->next)
        end = step(s, at, n);
    return end;
}

/* Breadth first: the shortest way, newest edges first. Index of its end, or -1. */
static int search_to(struct search *s, const struct molt_world *world, const struct molt_type *type,
                     const struct molt_type *to)
{
    s->world = world;
    s->to = to;
    s->n = 1;
    s->leads_away = false;
    s->seen[0] = (struct seen){.type = type};
    for (unsigned i = 0; i < s->n && s->seen[i].depth < MOLT_WAY_MAX; i++) {
        int end = expand(s, i);
        if (end >= 0)
            return end;
    }
    return -1;
}

static bool is_same(const struct molt_edge_node *node, const struct molt_type *type)
{
    return node->edge.from == type && node->edge.to == type && !node->edge.change;
}

const struct molt_recipe *molt_world_same(const struct molt_world *world,
                                          const struct molt_type *type)
{
    for (const struct molt_edge_node *n = world->edges; n; n = n->stage_next)
        if (is_same(n, type))
            return n->edge.recipe;
    /* Acquire: pairs with the release in molt_layouts_commit(). */
    const struct molt_edge_node *n = atomic_load_explicit(&type->edges, memory_order_acquire);
    while (n && !is_same(n, type))
        n = n->next;
    return n ? n->edge.recipe : NULL;
}

static int search(struct search *s, const struct molt_world *world, const struct molt_type *type)
{
    return search_to(s, world, type, NULL);
}

static bool is_many(const struct molt_type *type)
{
    /* Relaxed: set before the layout that it is about can be met; see type.c. */
    return atomic_load_explicit(&type->is_many, memory_order_relaxed);
}

/* It isn't one of the world's: is it of no concern to it? */
static bool is_foreign(const struct molt_world *world, const struct molt_type *type)
{
    struct search s;
    return !molt_world_has_key(world, type) && search(&s, world, type) < 0 && !s.leads_away;
}

bool molt_world_takes(const struct molt_world *world, const struct molt_type *type)
{
    return __builtin_expect(!is_many(type), 1) || molt_world_has_type(world, type) ||
           is_foreign(world, type);
}

/* The way that ends at seen[@end]; its length. */
static int trace(const struct search *s, int end, struct molt_way *ret)
{
    ret->n = s->seen[end].depth;
    for (unsigned at = (unsigned)end; s->seen[at].edge; at = s->seen[at].parent)
        ret->edges[s->seen[at].depth - 1] = s->seen[at].edge;
    return (int)ret->n;
}

int molt_world_way(const struct molt_world *world, const struct molt_type *type,
                   struct molt_way *ret)
{
    struct search s;
    ret->n = 0;
    if (!is_many(type) || molt_world_has_type(world, type))
        return 0;
    int end = search(&s, world, type);
    if (end < 0)
        return s.leads_away || molt_world_has_key(world, type) ? MOLT_ECHANGE : 0;
    return trace(&s, end, ret);
}

int molt_world_way_between(const struct molt_world *world, const struct molt_type *from,
                           const struct molt_type *to, struct molt_way *ret)
{
    struct search s;
    ret->n = 0;
    if (from == to)
        return 0;
    int end = is_many(from) ? search_to(&s, world, from, to) : -1;
    return end < 0 ? MOLT_ECHANGE : trace(&s, end, ret);
}
