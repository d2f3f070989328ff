/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Recipes and moves on their way through a stage. All that can fail does so before
 * the commit: there, lists are relinked and nothing is allocated.
 */
#include <stdlib.h>
#include <string.h>

#include "code/layout.h"
#include "code/table.h"

/* ---- adding to a stage -------------------------------------------------------------- */

int molt_stage_recipe(struct molt_code *code, uint64_t id, struct molt_recipe *recipe,
                      struct molt_error *err)
{
    int rc = molt_recipe_check(recipe, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    rc = stage ? molt_stage_check_open(stage, NULL, err) : MOLT_ESTALE;
    struct molt_edge_node *node = rc == 0 ? calloc(1, sizeof(*node)) : NULL;
    if (rc == 0 && !node)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (node) {
        recipe->from_type = molt_recipe_type_id(recipe->from_key);
        node->recipe = recipe;
        node->edge.recipe = recipe;
        node->stage_next = stage->edges;
        stage->edges = node;
    }
    pthread_mutex_unlock(&code->lock);
    return rc;
}

int molt_stage_moves(struct molt_code *code, uint64_t id, struct molt_moves *moves,
                     struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage ? molt_stage_check_open(stage, NULL, err) : MOLT_ESTALE;
    struct molt_moves_node *node = rc == 0 ? calloc(1, sizeof(*node)) : NULL;
    if (rc == 0 && !node)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (node) {
        node->moves = moves;
        node->stage_next = stage->moves;
        stage->moves = node;
    }
    pthread_mutex_unlock(&code->lock);
    return rc;
}

static void free_edge(struct molt_edge_node *node)
{
    molt_recipe_free(node->recipe);
    free(node);
}

static void free_moves(struct molt_moves_node *node)
{
    molt_moves_free(node->moves);
    free(node);
}

void molt_layouts_drop(struct molt_stage *stage)
{
    while (stage->edges) {
        struct molt_edge_node *node = stage->edges;
        stage->edges = node->stage_next;
        free_edge(node);
    }
    while (stage->moves) {
        struct molt_moves_node *node = stage->moves;
        stage->moves = node->stage_next;
        free_moves(node);
    }
}

/* ---- a world's own layouts ------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const struct molt_type *const *x = a, *const *y = b;
    uintptr_t p = (uintptr_t)(*x)->key, q = (uintptr_t)(*y)->key;
    if (p == q) {
        p = (uintptr_t)*x;
        q = (uintptr_t)*y;
    }
    return p < q ? -1 : p > q;
}

/* A type of the older world has another layout in @world. */
static bool has_changed(const struct molt_world *base, const struct molt_world *world)
{
    for (size_t i = 0; i < base->n_types; i++)
        if (!molt_world_has_type(world, base->types[i]) &&
            molt_world_has_key(world, base->types[i]))
            return true;
    return false;
}

static bool are_states_same(const struct molt_state_table *old, const struct molt_state_table *now)
{
    if (!old || !now)
        return old == now;
    for (int i = 0; i < MOLT_STATES_MAX && old->state[i].name; i++)
        if (!now->state[i].name || strcmp(old->state[i].name, now->state[i].name) != 0)
            return false;
    return true;
}

/* A server has another state, whatever its name, or a machine's states another order. */
static bool has_changed_server(const struct molt_world *base, const struct molt_world *world)
{
    for (size_t i = 0; i < base->n_servers; i++) {
        const struct molt_server_ref *old = molt_world_server(base, (int)i);
        const struct molt_server_ref *now = molt_world_server(world, (int)i);
        if (old && now && old != now &&
            (old->state_type != now->state_type || !are_states_same(old->states, now->states)))
            return true;
    }
    return false;
}

/* Processes keep the low byte, of which 0 is none; see runtime/adopt.h. */
static uint32_t next_epoch(uint32_t epoch)
{
    return epoch + 1 + ((epoch + 1) % 256 == 0);
}

int molt_world_fill_layouts(struct molt_world *world, const struct molt_stage *stage)
{
    size_t n = 0;
    for (size_t i = 0; i < world->n_versions; i++)
        n += world->versions[i]->n_types;
    world->types = calloc(n + 1, sizeof(*world->types));
    if (!world->types)
        return MOLT_ENOMEM;
    n = 0;
    for (size_t i = 0; i < world->n_versions; i++)
        for (size_t j = 0; j < world->versions[i]->n_types; j++)
            world->types[n++] = world->versions[i]->types[j];
    qsort(world->types, n, sizeof(*world->types), by_key);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || world->types[i] != world->types[i - 1])
            world->types[world->n_types++] = world->types[i];
    bool is_new =
        stage->edges || has_changed(stage->base, world) || has_changed_server(stage->base, world);
    world->layout_epoch = stage->base->layout_epoch;
    if (is_new)
        world->layout_epoch = next_epoch(stage->base->layout_epoch);
    return 0;
}

/* ---- binding ---------------------------------------------------------------------------- */

static const struct molt_step *flex_of(const struct molt_recipe *recipe)
{
    for (uint32_t i = 0; i < recipe->n_top; i++)
        if (recipe->steps[i].kind == MOLT_STEP_FLEX)
            return &recipe->steps[i];
    return NULL;
}

/* Where blocks go on behind the struct, the recipe has to know. */
static bool is_flex_right(const struct molt_recipe *recipe, const struct molt_type *from,
                          const struct molt_type *to)
{
    const struct molt_step *flex = flex_of(recipe);
    if (!flex)
        return !from->flex_size;
    if (flex->old_at != from->flex_at || flex->old_stride != from->flex_size)
        return false;
    return !to || !flex->new_stride ||
           (flex->new_at == to->flex_at && flex->new_stride == to->flex_size);
}

static int refuse(struct molt_error *err, const struct molt_recipe *recipe, const char *why)
{
    return molt_error_set(err, MOLT_EREFUSED, "recipe from %.200s to %.200s: %s", recipe->from_key,
                          recipe->to_key, why);
}

/* The function lies in the code of its version, as far as the host can see. */
static int bind_change(struct molt_edge_node *node, const struct molt_world *world,
                       struct molt_error *err)
{
    const struct molt_recipe *recipe = node->recipe;
    if (!recipe->change_module)
        return 0;
    const struct molt_version *v = molt_world_find(world, recipe->change_module);
    if (!v)
        return refuse(err, recipe, "the module of its MOLT_CHANGE isn't in the new world");
    uintptr_t at;
    bool ok = !__builtin_add_overflow(v->image.base, recipe->change_at, &at) && at >= v->image.lo &&
              at < v->image.hi;
    for (size_t i = 0; i < v->image.n_writable; i++)
        ok = ok && (at < v->image.writable[i].lo || at >= v->image.writable[i].hi);
    if (!ok)
        return refuse(err, recipe, "its MOLT_CHANGE lies outside the module's code");
    node->edge.change = (molt_any_fn)at;
    atomic_store_explicit(&node->version, v, memory_order_relaxed);
    return 0;
}

static int bind_edge(struct molt_code *code, struct molt_edge_node *node,
                     const struct molt_world *world, struct molt_error *err)
{
    const struct molt_recipe *r = node->recipe;
    node->edge.from = molt_types_find(code->types, r->from_key, r->from_hash, r->from_size);
    node->edge.to = molt_types_find(code->types, r->to_key, r->to_hash, r->to_size);
    const struct molt_type *from = node->edge.from;
    if (!from)
        return 0;
    if (!is_flex_right(r, from, node->edge.to))
        return refuse(err, r, "it has another flexible member than the types");
    if (node->edge.to && node->edge.to->flex_size && !from->flex_size)
        node->recipe->flags |= MOLT_RECIPE_IS_SINGLE;
    struct molt_type *mutable = (struct molt_type *)(uintptr_t)from;
    if (node->edge.to != from)
        atomic_store_explicit(&mutable->is_many, true, memory_order_relaxed);
    return bind_change(node, world, err);
}

static const struct molt_version *version_of(const struct molt_code *code, const char *module,
                                             const uint8_t *digest)
{
    for (const struct molt_version *v = code->versions; v; v = v->next)
        if (strcmp(v->module, module) == 0 && memcmp(v->digest, digest, sizeof(v->digest)) == 0)
            return v;
    return NULL;
}

/* Moves from a version that is gone are of no use, and no lie either. */
static int check_moves(const struct molt_code *code, const struct molt_moves *moves,
                       struct molt_error *err)
{
    if (version_of(code, moves->module, moves->from_digest) ||
        version_of(code, moves->module, moves->to_digest))
        return 0;
    return molt_error_set(err, MOLT_EREFUSED,
                          "moves of %.64s: neither version that they are between is here",
                          moves->module);
}

/* The newest edge between the two does the same already: upgrades back and forth bring
 * the same recipes again and again. */
static bool is_known(const struct molt_edge_node *node)
{
    const struct molt_edge_node *old =
        atomic_load_explicit(&node->edge.from->edges, memory_order_relaxed);
    while (old && (old->edge.from != node->edge.from || old->edge.to != node->edge.to))
        old = old->next;
    return old && atomic_load(&old->version) == atomic_load(&node->version) &&
           old->edge.change == node->edge.change && molt_recipe_is_equal(old->recipe, node->recipe);
}

int molt_layouts_bind(struct molt_code *code, struct molt_stage *stage, struct molt_world *world,
                      struct molt_error *err)
{
    for (struct molt_edge_node **at = &stage->edges; *at;) {
        struct molt_edge_node *node = *at;
        int rc = bind_edge(code, node, world, err);
        if (rc < 0)
            return rc;
        if (node->edge.from && !is_known(node)) { /* from NULL: there are no blocks of it */
            at = &node->stage_next;
            continue;
        }
        *at = node->stage_next;
        free_edge(node);
    }
    for (const struct molt_moves_node *node = stage->moves; node; node = node->stage_next) {
        int rc = check_moves(code, node->moves, err);
        if (rc < 0)
            return rc;
    }
    world->edges = stage->edges;
    world->moves = stage->moves;
    world->carries = stage->carries;
    return 0;
}

/* ---- commit, unload, end ------------------------------------------------------------------ */

static void link_edge(struct molt_edge_node *node)
{
    struct molt_type *type = (struct molt_type *)(uintptr_t)node->edge.from;
    node->next = atomic_load_explicit(&type->edges, memory_order_relaxed);
    /* Release: pairs with the acquire in expand(). */
    atomic_store_explicit(&type->edges, node, memory_order_release);
}

void molt_layouts_commit(struct molt_code *code, struct molt_stage *stage)
{
    for (struct molt_edge_node *node = stage->edges; node; node = node->stage_next)
        link_edge(node);
    stage->edges = NULL;
    for (struct molt_moves_node *node = stage->moves; node; node = node->stage_next) {
        node->next = atomic_load_explicit(&code->moves, memory_order_relaxed);
        /* Release: pairs with the acquire in molt_world_moved(). */
        atomic_store_explicit(&code->moves, node, memory_order_release);
    }
    stage->moves = NULL;
    molt_carries_commit(code, stage);
}

void molt_layouts_forget(struct molt_code *code, const struct molt_version *v)
{
    const struct molt_type *type = molt_types_next(code->types, NULL);
    for (; type; type = molt_types_next(code->types, type)) {
        struct molt_edge_node *node = atomic_load_explicit(&type->edges, memory_order_relaxed);
        for (; node; node = node->next)
            if (atomic_load_explicit(&node->version, memory_order_relaxed) == v)
                atomic_store_explicit(&node->version, NULL, memory_order_relaxed);
    }
}

void molt_layouts_free(struct molt_code *code)
{
    const struct molt_type *type = molt_types_next(code->types, NULL);
    for (; type; type = molt_types_next(code->types, type)) {
        struct molt_edge_node *node = atomic_load_explicit(&type->edges, memory_order_relaxed);
        while (node) {
            struct molt_edge_node *next = node->next;
            free_edge(node);
            node = next;
        }
    }
    struct molt_moves_node *node = atomic_load_explicit(&code->moves, memory_order_relaxed);
    while (node) {
        struct molt_moves_node *next = node->next;
        free_moves(node);
        node = next;
    }
    molt_carries_free_all(code);
}
