/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * In steps, each a loop over the blocks or over the pointers between them:
 *
 * 1. number the blocks, and find the way of each type that has to change;
 * 2. mark what points to what changes, over any number of steps (migrate_graph.c);
 * 3. make a new block for each that is marked;
 * 4. fill them: by recipes, or by copying; pointers lead to the new blocks at once;
 * 5. run the author's conversions, and lead the pointers on that they copied by value.
 *
 * A block's number stands in its envelope, which nobody uses while it is on an
 * owner's list. What stands there means nothing by itself: the numbered block has
 * to be that one.
 */
#include "runtime/migrate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port/limits.h"
#include "runtime/migrate_graph.h"

int molt_migration_fail(struct molt_migration_fault *fault, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fault->code = code;
    vsnprintf(fault->why, sizeof(fault->why), fmt, ap);
    va_end(ap);
    return code;
}

static int fail_memory(struct molt_migration_fault *fault, const struct molt_type *type)
{
    return molt_migration_fail(fault, MOLT_ENOMEM, "no memory for what %s becomes", type->name);
}

static struct molt_block *block_of(struct molt_list *node)
{
    return molt_container_of(node, struct molt_block, link);
}

/* ---- which way ------------------------------------------------------------------ */

static bool has_change(const struct molt_way *way)
{
    for (unsigned i = 0; i < way->n; i++)
        if (way->edges[i]->change)
            return true;
    return false;
}

/* The root's way: what is left of it to the author's function of the server. */
static int find_root_way(struct molt_graph *g, struct molt_kind *kind)
{
    const struct molt_migrate *how = g->how;
    int n = molt_world_way(how->world, kind->from, &kind->way);
    bool leads_there = n > 0 && kind->way.edges[n - 1]->to == how->root_type;
    if (!leads_there)
        kind->way.n = 0;
    if (!leads_there || !has_change(&kind->way))
        kind->by_hand = how->root_change;
    kind->to = how->root_type;
    return 0;
}

static int find_way(struct molt_graph *g, struct molt_kind *kind,
                    struct molt_migration_fault *fault)
{
    if (kind->is_root)
        return find_root_way(g, kind);
    int n = molt_world_way(g->how->world, kind->from, &kind->way);
    if (n <= 0)
        return molt_migration_fail(fault, MOLT_ECHANGE,
                                   "the new code has another %s, and nothing leads from the old "
                                   "layout to it",
                                   kind->from->name);
    kind->to = kind->way.edges[n - 1]->to;
    return 0;
}

/* The kind of what is on its way from @type, new if need be. Kinds are few; blocks of
 * one kind tend to stand together. */
static int kind_of(struct molt_graph *g, const struct molt_type *type, bool is_root,
                   uint32_t *ret_kind, struct molt_migration_fault *fault)
{
    for (size_t i = g->n_kinds; i-- > 0;)
        if (g->kinds[i].from == type && g->kinds[i].is_root == is_root) {
            *ret_kind = (uint32_t)i;
            return 0;
        }
    if (g->n_kinds == g->n_kinds_max) {
        size_t n = 4 * g->n_kinds_max;
        struct molt_kind *kinds = malloc(n * sizeof(*kinds));
        if (!kinds)
            return fail_memory(fault, type);
        memcpy(kinds, g->kinds, g->n_kinds * sizeof(*kinds));
        if (g->kinds != g->few)
            free(g->kinds);
        g->kinds = kinds;
        g->n_kinds_max = n;
    }
    struct molt_kind *kind = &g->kinds[g->n_kinds];
    *kind = (struct molt_kind){.from = type, .is_root = is_root};
    int rc = find_way(g, kind, fault);
    if (rc == 0)
        *ret_kind = (uint32_t)g->n_kinds++;
    return rc;
}

static bool must_change(const struct molt_migrate *how, const struct molt_block *block)
{
    return block == how->root || !molt_world_takes(how->world, block->type);
}

/* Number the blocks; what changes gets its kind, which the last one of a type leads to. */
static int number_blocks(struct molt_graph *g, bool is_all, struct molt_migration_fault *fault)
{
    size_t i = 0;
    const struct molt_type *last = NULL;
    uint32_t last_kind = 0;
    for (struct molt_list *node = g->how->blocks->next; node != g->how->blocks;
         node = node->next, i++) {
        struct molt_block *block = block_of(node);
        bool is_root = block == g->how->root;
        g->nodes[i] = (struct molt_node){.old = block, .kind = MOLT_KIND_STAYS};
        block->envelope = i;
        if (!is_root && block->type == last) {
            g->nodes[i].kind = last_kind;
        } else if (is_all || must_change(g->how, block)) {
            int rc = kind_of(g, block->type, is_root, &g->nodes[i].kind, fault);
            if (rc < 0)
                return rc;
        }
        if (!is_root) {
            last = block->type;
            last_kind = g->nodes[i].kind;
        }
    }
    g->owner = molt_block_owner(g->nodes[0].old);
    return 0;
}

/* ---- new blocks ------------------------------------------------------------------ */

static size_t new_bytes(const struct molt_kind *kind, size_t bytes)
{
    for (unsigned i = 0; i < kind->way.n && bytes != SIZE_MAX; i++)
        bytes = molt_recipe_new_bytes(kind->way.edges[i]->recipe, bytes);
    return bytes;
}

static int make_block(struct molt_graph *g, struct molt_node *node,
                      struct molt_migration_fault *fault)
{
    const struct molt_type *type = node->old->type;
    size_t bytes = molt_block_bytes(node->old);
    if (node->kind != MOLT_KIND_COPIED) {
        const struct molt_kind *kind = &g->kinds[node->kind];
        type = kind->to;
        bytes = kind->way.n ? new_bytes(kind, bytes) : type->size;
    }
    if (bytes != SIZE_MAX)
        node->now =
            molt_block_make_bytes(g->how->heap, g->how->cache, &g->migration->made, type, bytes);
    if (!node->now)
        return fail_memory(fault, node->old->type);
    g->migration->n_moved++;
    return 0;
}

static int make_blocks(struct molt_graph *g, struct molt_migration_fault *fault)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->n; i++)
        if (g->nodes[i].kind != MOLT_KIND_STAYS)
            rc = make_block(g, &g->nodes[i], fault);
    return rc;
}

static int by_address(const void *a, const void *b)
{
    const struct molt_moved_block *x = a, *y = b;
    return x->old < y->old ? -1 : x->old > y->old;
}

static int list_moved(struct molt_graph *g, struct molt_migration_fault *fault)
{
    struct molt_migration *m = g->migration;
    size_t n = 0;
    bool is_sorted = true;
    m->moved = malloc(m->n_moved * sizeof(*m->moved));
    if (!m->moved)
        return molt_migration_fail(fault, MOLT_ENOMEM, "no memory for a list of %zu blocks",
                                   m->n_moved);
    for (size_t i = 0; i < g->n; i++) {
        if (!g->nodes[i].now)
            continue;
        is_sorted = is_sorted && (n == 0 || m->moved[n - 1].old < g->nodes[i].old);
        m->moved[n++] = (struct molt_moved_block){g->nodes[i].old, g->nodes[i].now};
    }
    if (!is_sorted)
        qsort(m->moved, n, sizeof(*m->moved), by_address);
    return 0;
}

/* ---- where words lead ------------------------------------------------------------- */

/* Where byte @at of an old block is in the new one. */
static int forward(const struct molt_graph *g, const struct molt_node *node, size_t at,
                   uint64_t type, size_t *ret_at, char *why, size_t why_size)
{
    size_t bytes = molt_block_bytes(node->old);
    *ret_at = at;
    if (node->kind == MOLT_KIND_COPIED)
        return 0;
    const struct molt_way *way = &g->kinds[node->kind].way;
    if (way->n == 0 && at > 0) {
        snprintf(why, why_size,
                 "it leads into the middle of a %s, which a MOLT_CHANGE converts as a whole",
                 node->old->type->name);
        return MOLT_ECHANGE;
    }
    for (unsigned i = 0; i < way->n; i++) {
        const struct molt_recipe *recipe = way->edges[i]->recipe;
        int rc = molt_recipe_forward(recipe, bytes, *ret_at, type, ret_at, why, why_size);
        if (rc < 0)
            return rc;
        bytes = molt_recipe_new_bytes(recipe, bytes);
        if (i + 1 < way->n && type == molt_recipe_type_id(recipe->from_key))
            type = molt_recipe_type_id(recipe->to_key);
    }
    return 0;
}

static int lead_on(const struct molt_graph *g, const struct molt_node *node, uint64_t value,
                   uint64_t type, uint64_t *ret, char *why, size_t why_size)
{
    size_t at = value - (uintptr_t)molt_block_payload(node->old);
    int rc = forward(g, node, at, type, &at, why, why_size);
    if (rc == 0)
        *ret = (uintptr_t)molt_block_payload(node->now) + at;
    return rc;
}

/* As molt_rewire.pointer. */
static int rewire_pointer(void *user, uint64_t value, uint64_t type, uint64_t *ret, char *why,
                          size_t why_size)
{
    const struct molt_graph *g = user;
    *ret = value;
    const struct molt_block *block = molt_graph_block(g, value);
    if (!block) {
        int rc = molt_world_moved(g->how->world, value, type, ret, why, why_size);
        return rc < 0 ? rc : 0;
    }
    const struct molt_node *node = molt_graph_node(g, block);
    return node && node->now ? lead_on(g, node, value, type, ret, why, why_size) : 0;
}

/* As molt_rewire.moves. */
static bool is_moving(void *user, uint64_t value)
{
    const struct molt_graph *g = user;
    char why[16];
    uint64_t now;
    const struct molt_block *block = molt_graph_block(g, value);
    if (!block)
        return molt_world_moved(g->how->world, value, 0, &now, why, sizeof(why)) != 0;
    const struct molt_node *node = molt_graph_node(g, block);
    return node && node->now;
}

/* ---- filling: recipes --------------------------------------------------------------- */

static int fail_field(struct molt_migration_fault *fault, const struct molt_node *node,
                      const struct molt_recipe_fault *why)
{
    return molt_migration_fail(fault, MOLT_ECHANGE, "%s of block %p: %s",
                               why->field ? why->field : node->old->type->name,
                               molt_block_payload(node->old), why->why);
}

static int call_change(struct molt_graph *g, const struct molt_node *node, molt_any_fn change,
                       const void *old, void *now, struct molt_migration_fault *fault)
{
    if (!change)
        return 0;
    g->has_called = true;
    int rc = g->how->call(g->how->user, change, old, now);
    if (rc >= 0)
        return 0;
    return molt_migration_fail(fault, MOLT_ECHANGE,
                               "the MOLT_CHANGE of %s for block %p returned %d (%s)",
                               node->old->type->name, molt_block_payload(node->old), rc,
                               molt_error_text(rc));
}

/* The first edge leads pointers on; those behind it copy them. */
static int run_recipe(struct molt_graph *g, const struct molt_node *node, unsigned edge,
                      const void *old, size_t bytes, void *now, struct molt_migration_fault *fault)
{
    const struct molt_recipe *recipe = g->kinds[node->kind].way.edges[edge]->recipe;
    struct molt_rewire rewire = {.pointer = rewire_pointer, .moves = is_moving, .user = g};
    struct molt_recipe_fault why = {0};
    if (molt_recipe_run(recipe, old, bytes, now, edge == 0 ? &rewire : NULL, &why) < 0)
        return fail_field(fault, node, &why);
    return 0;
}

/* A way of several edges, with what the author's functions do between and after them. */
static int follow_way(struct molt_graph *g, const struct molt_node *node,
                      struct molt_migration_fault *fault)
{
    const struct molt_way *way = &g->kinds[node->kind].way;
    void *old = molt_block_payload(node->old), *made = NULL;
    size_t bytes = molt_block_bytes(node->old);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < way->n; i++) {
        size_t next_bytes = molt_recipe_new_bytes(way->edges[i]->recipe, bytes);
        bool is_last = i + 1 == way->n;
        void *now = is_last ? molt_block_payload(node->now) : calloc(1, next_bytes + 1);
        rc = now ? run_recipe(g, node, i, old, bytes, now, fault)
                 : fail_memory(fault, node->old->type);
        if (rc == 0)
            rc = call_change(g, node, way->edges[i]->change, old, now, fault);
        free(made);
        made = is_last ? NULL : now;
        old = now;
        bytes = next_bytes;
    }
    free(made);
    return rc;
}

/* ---- filling: copies ---------------------------------------------------------------- */

/* A pointer of a block whose type didn't change. Of its pointee nothing is known, but that
 * this didn't change either: constants of an old image are as good as new ones. */
static int lead_copied(struct molt_graph *g, const struct molt_meta_ptr *ptr, uint64_t word,
                       uint64_t *ret, char *why, size_t why_size)
{
    *ret = word;
    if (ptr->kind == MOLT_PTR_WORD) {
        snprintf(why, why_size, "it may be an address of what moves");
        return is_moving(g, word) ? MOLT_ECHANGE : 0;
    }
    int rc = rewire_pointer(g, word, 0, ret, why, why_size);
    if (rc < 0 && ptr->kind != MOLT_PTR_CODE && !molt_graph_block(g, word)) {
        *ret = word;
        return 0;
    }
    return rc;
}

/* Lead on the words of @element that point. */
static int rewire_element(struct molt_graph *g, const struct molt_block *block,
                          const struct molt_block_part *part, char *element,
                          struct molt_migration_fault *fault)
{
    char why[160];
    for (size_t i = 0; i < part->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &part->ptrs[i];
        for (uint32_t k = 0; k < ptr->count; k++) {
            char *at = element + ptr->offset + k * sizeof(uint64_t);
            uint64_t word, now;
            memcpy(&word, at, sizeof(word));
            int rc = word ? lead_copied(g, ptr, word, &now, why, sizeof(why)) : 0;
            if (rc < 0)
                return molt_migration_fail(fault, MOLT_ECHANGE, "%s.%s of block %p: %s",
                                           block->type->name, ptr->field ? ptr->field : "?",
                                           molt_block_payload(block), why);
            if (word)
                memcpy(at, &now, sizeof(now));
        }
    }
    return 0;
}

typedef int element_fn(struct molt_graph *g, const struct molt_block *block,
                       const struct molt_block_part *part, char *element,
                       struct molt_migration_fault *fault);

static int each_element(struct molt_graph *g, const struct molt_block *block, element_fn *fn,
                        struct molt_migration_fault *fault)
{
    struct molt_block_part parts[2];
    unsigned n = molt_block_parts(block, parts);
    int rc = 0;
    for (unsigned p = 0; rc == 0 && p < n; p++)
        for (size_t e = 0; rc == 0 && e < parts[p].n; e++)
            rc = fn(g, block, &parts[p], (char *)(uintptr_t)parts[p].at + e * parts[p].stride,
                    fault);
    return rc;
}

/* As molt_rewire.pointer, for a block whose type didn't change. */
static int rewire_kept(void *user, uint64_t value, uint64_t type, uint64_t *ret, char *why,
                       size_t why_size)
{
    struct molt_graph *g = user;
    int rc = rewire_pointer(g, value, type, ret, why, why_size);
    if (rc < 0 && !molt_graph_block(g, value)) {
        *ret = value; /* check_code() looks whether that may be */
        return 0;
    }
    g->is_lost |= rc < 0;
    return rc;
}

/* A function that is gone isn't as good as a new one. */
static int check_code(struct molt_graph *g, const struct molt_block *block,
                      const struct molt_block_part *part, char *element,
                      struct molt_migration_fault *fault)
{
    char why[160];
    for (size_t i = 0; i < part->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &part->ptrs[i];
        for (uint32_t k = 0; ptr->kind == MOLT_PTR_CODE && k < ptr->count; k++) {
            uint64_t word, now;
            memcpy(&word, element + ptr->offset + k * sizeof(word), sizeof(word));
            if (molt_world_moved(g->how->world, word, 0, &now, why, sizeof(why)) < 0)
                return molt_migration_fail(fault, MOLT_ECHANGE, "%s.%s of block %p: %s",
                                           block->type->name, ptr->field ? ptr->field : "?",
                                           molt_block_payload(block), why);
        }
    }
    return 0;
}

/* Of a block whose pointees are known. */
static int copy_by_recipe(struct molt_graph *g, const struct molt_node *node,
                          const struct molt_recipe *recipe, struct molt_migration_fault *fault)
{
    struct molt_rewire rewire = {.pointer = rewire_kept, .moves = is_moving, .user = g};
    struct molt_recipe_fault why = {0};
    if (molt_recipe_run(recipe, molt_block_payload(node->old), molt_block_bytes(node->old),
                        molt_block_payload(node->now), &rewire, &why) < 0)
        return fail_field(fault, node, &why);
    return each_element(g, node->now, check_code, fault);
}

/* What a recipe can't follow, a tag without a case for one, may still be led on blindly. */
static int copy_block(struct molt_graph *g, const struct molt_node *node,
                      struct molt_migration_fault *fault)
{
    struct molt_migration_fault other;
    const struct molt_recipe *recipe = molt_graph_same(g, node->old->type);
    int rc = recipe ? copy_by_recipe(g, node, recipe, fault) : MOLT_ECHANGE;
    if (rc == 0 || g->is_lost)
        return rc;
    memcpy(molt_block_payload(node->now), molt_block_payload(node->old),
           molt_block_bytes(node->old));
    return each_element(g, node->now, rewire_element, recipe ? &other : fault);
}

/* ---- filling: in which order --------------------------------------------------------- */

/* What waits until all that needs no author is filled: his functions may follow pointers. */
static bool is_later(const struct molt_graph *g, const struct molt_node *node)
{
    return node->kind < g->n_kinds && g->kinds[node->kind].way.n > 1 &&
           has_change(&g->kinds[node->kind].way);
}

static int fill(struct molt_graph *g, const struct molt_node *node,
                struct molt_migration_fault *fault)
{
    if (!node->now || is_later(g, node))
        return 0;
    if (node->kind == MOLT_KIND_COPIED)
        return copy_block(g, node, fault);
    unsigned n_edges = g->kinds[node->kind].way.n;
    if (n_edges == 0)
        return 0;
    return n_edges > 1
               ? follow_way(g, node, fault)
               : run_recipe(g, node, 0, molt_block_payload(node->old), molt_block_bytes(node->old),
                            molt_block_payload(node->now), fault);
}

static int run_changes(struct molt_graph *g, const struct molt_node *node,
                       struct molt_migration_fault *fault)
{
    if (!node->now || node->kind >= g->n_kinds)
        return 0;
    const struct molt_kind *kind = &g->kinds[node->kind];
    const void *old = molt_block_payload(node->old);
    int rc = 0;
    if (is_later(g, node))
        rc = follow_way(g, node, fault);
    else if (kind->way.n == 1)
        rc = call_change(g, node, kind->way.edges[0]->change, old, molt_block_payload(node->now),
                         fault);
    return rc < 0 ? rc
                  : call_change(g, node, kind->by_hand, old, molt_block_payload(node->now), fault);
}

/* Of a word that the author wrote: the old block that it leads to, if that moved. Its
 * start is its start, whatever stands there now. */
static int lead_written(struct molt_graph *g, uint64_t word, uint64_t *ret, char *why,
                        size_t why_size)
{
    const struct molt_block *block = molt_graph_block(g, word);
    const struct molt_node *node = block ? molt_graph_node(g, block) : NULL;
    *ret = word;
    if (!node || !node->now)
        return 0;
    if (word == (uintptr_t)molt_block_payload(node->old)) {
        *ret = (uintptr_t)molt_block_payload(node->now);
        return 0;
    }
    return lead_on(g, node, word, 0, ret, why, why_size);
}

static int rewire_written(struct molt_graph *g, const struct molt_block *block,
                          const struct molt_block_part *part, char *element,
                          struct molt_migration_fault *fault)
{
    char why[160];
    for (size_t i = 0; i < part->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &part->ptrs[i];
        for (uint32_t k = 0; k < ptr->count; k++) {
            char *at = element + ptr->offset + k * sizeof(uint64_t);
            uint64_t word, now;
            memcpy(&word, at, sizeof(word));
            int rc = word ? lead_written(g, word, &now, why, sizeof(why)) : 0;
            if (rc == 0 && word && now != word && ptr->kind == MOLT_PTR_WORD) {
                snprintf(why, sizeof(why), "it may be an address of what moved");
                rc = MOLT_ECHANGE;
            }
            if (rc < 0)
                return molt_migration_fail(fault, MOLT_ECHANGE,
                                           "%s.%s, written by its MOLT_CHANGE: "
                                           "%s",
                                           block->type->name, ptr->field ? ptr->field : "?", why);
            if (word)
                memcpy(at, &now, sizeof(now));
        }
    }
    return 0;
}

static int rewire_list(struct molt_graph *g, const struct molt_list *list,
                       struct molt_migration_fault *fault)
{
    int rc = 0;
    for (struct molt_list *node = list->next; rc == 0 && node != list; node = node->next)
        rc = each_element(g, block_of(node), rewire_written, fault);
    return rc;
}

static int fill_all(struct molt_graph *g, struct molt_migration_fault *fault)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->n; i++)
        rc = fill(g, &g->nodes[i], fault);
    for (size_t i = 0; rc == 0 && i < g->n; i++)
        rc = run_changes(g, &g->nodes[i], fault);
    if (rc == 0 && g->has_called)
        rc = rewire_list(g, &g->migration->made.blocks, fault);
    if (rc == 0 && g->has_called)
        rc = rewire_list(g, &g->migration->written.blocks, fault);
    return rc;
}

/* ---- all together ---------------------------------------------------------------------- */

/* How many blocks there are, and how many of them must change. */
static size_t count(const struct molt_migrate *how, size_t *ret_changing)
{
    size_t n = 0, changing = 0;
    for (struct molt_list *node = how->blocks->next; node != how->blocks; node = node->next) {
        n++;
        changing += must_change(how, block_of(node));
    }
    *ret_changing = changing;
    return n;
}

static int migrate(struct molt_graph *g, size_t n_changing, struct molt_migration_fault *fault)
{
    int rc = number_blocks(g, n_changing == g->n, fault);
    if (rc == 0 && n_changing < g->n)
        rc = molt_graph_mark(g, fault);
    if (rc == 0)
        rc = make_blocks(g, fault);
    if (rc == 0)
        rc = list_moved(g, fault);
    if (rc == 0)
        rc = fill_all(g, fault);
    return rc;
}

/* What most processes have: a block alone, which holds no pointers and follows one recipe.
 * *is_done if it is that. */
static int migrate_alone(const struct molt_migrate *how, struct molt_migration *ret,
                         struct molt_migration_fault *fault, bool *is_done)
{
    struct molt_way way;
    struct molt_recipe_fault why;
    struct molt_node node = {.old = block_of(how->blocks->next)};
    const struct molt_type *type = node.old->type;
    if (node.old == how->root || type->may_point)
        return 0;
    int n = molt_world_way(how->world, type, &way);
    *is_done = n == 0 || (n == 1 && !way.edges[0]->change);
    if (n == 0 || !*is_done)
        return 0;
    const struct molt_recipe *recipe = way.edges[0]->recipe;
    const struct molt_type *to = way.edges[0]->to;
    size_t bytes = molt_block_bytes(node.old), now_bytes = molt_recipe_new_bytes(recipe, bytes);
    if (now_bytes != SIZE_MAX)
        node.now = molt_block_make_bytes(how->heap, how->cache, &ret->made, to, now_bytes);
    if (!node.now)
        return fail_memory(fault, type);
    ret->one = (struct molt_moved_block){node.old, node.now};
    ret->moved = &ret->one;
    ret->n_moved = 1;
    if (molt_recipe_run(recipe, molt_block_payload(node.old), bytes, molt_block_payload(node.now),
                        NULL, &why) < 0)
        return fail_field(fault, &node, &why);
    return 1;
}

static int migrate_graph(const struct molt_migrate *how, struct molt_migration *ret,
                         struct molt_migration_fault *fault)
{
    struct molt_node one;
    size_t n_changing;
    struct molt_graph g;
    g.how = how;
    g.migration = ret;
    g.n = count(how, &n_changing);
    g.kinds = g.few;
    g.n_kinds = 0;
    g.n_kinds_max = MOLT_LIMIT(MOLT_KINDS_FEW, 1);
    g.has_called = false;
    g.is_lost = false;
    memset(g.same, 0, sizeof(g.same));
    if (n_changing == 0)
        return 0;
    g.nodes = g.n == 1 ? &one : malloc(g.n * sizeof(*g.nodes));
    int rc = g.nodes
                 ? migrate(&g, n_changing, fault)
                 : molt_migration_fail(fault, MOLT_ENOMEM, "no memory to look at %zu blocks", g.n);
    if (g.nodes != &one)
        free(g.nodes);
    if (g.kinds != g.few)
        free(g.kinds);
    return rc < 0 ? rc : 1;
}

int molt_migrate(const struct molt_migrate *how, struct molt_migration *ret,
                 struct molt_migration_fault *fault)
{
    const struct molt_list *blocks = how->blocks;
    bool is_done = false;
    int rc = 0;
    ret->n_moved = ret->n_frees = 0;
    ret->moved = NULL;
    ret->frees = NULL;
    molt_owner_init(&ret->made);
    molt_owner_init(&ret->written);
    if (blocks->next != blocks && blocks->next->next == blocks)
        rc = migrate_alone(how, ret, fault, &is_done);
    if (!is_done)
        rc = migrate_graph(how, ret, fault);
    if (rc < 0)
        molt_migration_drop(ret, how->heap, how->cache);
    return rc;
}

/* ---- afterwards ------------------------------------------------------------------------- */

struct molt_block *molt_migration_of(const struct molt_migration *migration, struct molt_block *old)
{
    size_t lo = 0, hi = migration->n_moved;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct molt_moved_block *moved = &migration->moved[mid];
        if (moved->old == old)
            return moved->now;
        if (moved->old < old)
            lo = mid + 1;
        else
            hi = mid;
    }
    return old;
}

void molt_migration_free_later(struct molt_migration *migration, struct molt_block *old)
{
    size_t n = migration->n_frees;
    for (size_t i = 0; i < n; i++)
        if (migration->frees[i] == old)
            return;
    struct molt_block **list = realloc(migration->frees, (n + 1) * sizeof(struct molt_block *));
    if (!list)
        return;
    list[n] = old;
    migration->frees = list;
    migration->n_frees = n + 1;
}

static void forget(struct molt_migration *migration)
{
    if (migration->moved != &migration->one)
        free(migration->moved);
    free(migration->frees);
    migration->moved = NULL;
    migration->frees = NULL;
    migration->n_moved = migration->n_frees = 0;
}

/* A block that stands on both lists is freed once: it has no owner then. */
static void drop_old(struct molt_heap *heap, struct molt_block_cache *cache,
                     const struct molt_owner *owner, struct molt_block *old)
{
    if (molt_block_owner(old) == owner)
        molt_block_drop(heap, cache, old);
}

static void give(struct molt_owner *from, struct molt_owner *to)
{
    molt_list_each (node, tmp, &from->blocks) {
        molt_list_unlink(node);
        molt_owner_add(to, block_of(node));
    }
}

void molt_migration_adopt(struct molt_migration *migration, struct molt_heap *heap,
                          struct molt_block_cache *cache, struct molt_owner *owner)
{
    for (size_t i = 0; i < migration->n_frees; i++)
        drop_old(heap, cache, owner, migration->frees[i]);
    for (size_t i = 0; i < migration->n_moved; i++)
        drop_old(heap, cache, owner, migration->moved[i].old);
    give(&migration->made, owner);
    give(&migration->written, owner);
    forget(migration);
}

static void replace_old(struct molt_heap *heap, struct molt_block_cache *cache,
                        const struct molt_owner *owner, struct molt_block *old)
{
    if (molt_block_owner(old) != owner)
        return;
    molt_list_unlink(&old->link);
    molt_block_release(heap, cache, old);
}

static void give_list(struct molt_owner *from, struct molt_list *to, struct molt_owner *owner)
{
    for (struct molt_list *node = from->blocks.next; node != &from->blocks; node = node->next)
        atomic_store_explicit(&block_of(node)->owner, owner, memory_order_release);
    molt_list_splice(to, &from->blocks);
}

void molt_migration_replace(struct molt_migration *migration, struct molt_heap *heap,
                            struct molt_block_cache *cache, struct molt_list *blocks,
                            struct molt_owner *owner)
{
    for (size_t i = 0; i < migration->n_frees; i++)
        replace_old(heap, cache, owner, migration->frees[i]);
    for (size_t i = 0; i < migration->n_moved; i++)
        replace_old(heap, cache, owner, migration->moved[i].old);
    give_list(&migration->made, blocks, owner);
    give_list(&migration->written, blocks, owner);
    forget(migration);
}

void molt_migration_drop(struct molt_migration *migration, struct molt_heap *heap,
                         struct molt_block_cache *cache)
{
    molt_block_drop_list(heap, cache, &migration->made.blocks);
    molt_block_drop_list(heap, cache, &migration->written.blocks);
    forget(migration);
}
