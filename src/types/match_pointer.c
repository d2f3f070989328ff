/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Pointers: does the new one lead to the type that the old one led to? */
#include <dwarf.h>
#include <string.h>

#include "types/match_work.h"

#define DEPTH_MAX 64

/* ---- types in both images ------------------------------------------------ */

static const char *key_of(struct molt_matcher *m, struct molt_image *image, uint32_t type)
{
    const char *key = molt_graph_key(&image->graph, type, 0);
    if (!key)
        molt_match_fail(m, MOLT_ENOMEM);
    return key ? key : "";
}

/* A key that says which type it is: no hash instead of a name, no file unknown. */
static bool is_key_certain(const struct molt_graph *g, uint32_t type, const char *key)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        const struct molt_node *node = &g->nodes[molt_graph_whole(g, type)];
        if (node->kind == MOLT_KIND_RECORD && node->is_incomplete)
            return false;
        if (node->kind != MOLT_KIND_POINTER && node->kind != MOLT_KIND_ARRAY)
            break;
        type = node->target;
    }
    return !strchr(key, '{');
}

uint64_t molt_match_type_id(struct molt_matcher *m, uint32_t old)
{
    const struct molt_graph *g = &m->from.graph;
    uint32_t whole = molt_graph_whole(g, old);
    enum molt_node_kind kind = g->nodes[whole].kind;
    if (m->trials || kind == MOLT_KIND_VOID || kind == MOLT_KIND_FUNCTION)
        return 0;
    const char *key = key_of(m, &m->from, whole);
    return is_key_certain(g, whole, key) ? molt_recipe_type_id(key) : 0;
}

static bool is_name_same(const struct molt_node *a, const struct molt_node *b)
{
    return a->name && b->name ? strcmp(a->name, b->name) == 0 : !a->name && !b->name;
}

bool molt_match_is_type(struct molt_matcher *m, uint32_t old, uint32_t new, bool needs_key)
{
    old = molt_graph_whole(&m->from.graph, old);
    new = molt_graph_whole(&m->to.graph, new);
    const struct molt_node *a = molt_match_old(m, old), *b = molt_match_new(m, new);
    if (a->kind != b->kind || a->is_union != b->is_union)
        return false;
    const struct molt_match_renamed *renamed = molt_match_renamed(m, old, new);
    if (renamed) {
        m->subject.was_hinted |= m->trials == 0 && renamed->is_hinted;
        return true;
    }
    if (!needs_key)
        return is_name_same(a, b) || !a->name || !b->name;
    /* Foreign types are known by name in one or the other version. */
    if (a->is_incomplete || b->is_incomplete)
        return a->name && is_name_same(a, b);
    if (!a->name || !b->name)
        return !a->name && !b->name && molt_match_is_kept(m, old, new, 0);
    return strcmp(key_of(m, &m->from, old), key_of(m, &m->to, new)) == 0;
}

static bool is_hash_known(struct molt_map *map, struct molt_image *image, uint32_t type,
                          uint64_t *ret, struct molt_matcher *m)
{
    if (molt_map_get(map, type, ret))
        return true;
    int rc = molt_canon_type(&image->canon, type, MOLT_REACH_ALL, false, ret, m->err);
    if (rc == 0)
        rc = molt_map_put(map, type, *ret);
    if (rc < 0)
        molt_match_fail(m, rc);
    return rc == 0;
}

bool molt_match_is_changed(struct molt_matcher *m, uint32_t old, uint32_t new)
{
    uint64_t a, b;
    old = molt_graph_strip(&m->from.graph, old, NULL);
    new = molt_graph_strip(&m->to.graph, new, NULL);
    if (molt_match_old(m, old)->kind == MOLT_KIND_FUNCTION)
        return false;
    return !is_hash_known(&m->hash_of_old, &m->from, old, &a, m) ||
           !is_hash_known(&m->hash_of_new, &m->to, new, &b, m) || a != b;
}

/* ---- pointees ------------------------------------------------------------- */

static bool is_function_same(struct molt_matcher *m, const struct molt_node *a,
                             const struct molt_node *b, unsigned depth)
{
    if (a->n_members != b->n_members || a->is_variadic != b->is_variadic ||
        !molt_match_is_pointee(m, a->target, b->target, depth + 1))
        return false;
    for (uint32_t i = 0; i < a->n_members; i++)
        if (!molt_match_is_pointee(m, a->members[i].type, b->members[i].type, depth + 1))
            return false;
    return true;
}

bool molt_match_is_pointee(struct molt_matcher *m, uint32_t old, uint32_t new, unsigned depth)
{
    unsigned old_quals = 0, new_quals = 0;
    molt_graph_strip(&m->from.graph, old, &old_quals);
    molt_graph_strip(&m->to.graph, new, &new_quals);
    old = molt_graph_whole(&m->from.graph, old);
    new = molt_graph_whole(&m->to.graph, new);
    const struct molt_node *a = molt_match_old(m, old), *b = molt_match_new(m, new);
    if (a->kind != b->kind || depth > DEPTH_MAX ||
        ((old_quals ^ new_quals) & MOLT_QUAL_ATOMIC) != 0)
        return false;
    switch (a->kind) {
    case MOLT_KIND_BASE:
        return a->encoding == b->encoding && a->size == b->size;
    case MOLT_KIND_RECORD:
    case MOLT_KIND_ENUM:
        return molt_match_is_type(m, old, new, true);
    case MOLT_KIND_ARRAY:
        return a->count == b->count && molt_match_is_pointee(m, a->target, b->target, depth + 1);
    case MOLT_KIND_POINTER:
        return molt_match_is_pointee(m, a->target, b->target, depth + 1);
    case MOLT_KIND_FUNCTION:
        return is_function_same(m, a, b, depth);
    default:
        return true;
    }
}

static void refuse_pointee(struct molt_matcher *m, const struct molt_match_place *at, uint32_t old,
                           uint32_t new)
{
    const struct molt_node *a = molt_match_old(m, molt_graph_whole(&m->from.graph, old));
    const struct molt_node *b = molt_match_new(m, molt_graph_whole(&m->to.graph, new));
    const char *remedy = NULL;
    if (a->kind == MOLT_KIND_FUNCTION && b->kind == MOLT_KIND_FUNCTION) {
        molt_match_refuse_types(m, at, MOLT_MATCH_FUNCTION, NULL, "another signature");
        return;
    }
    if (a->kind == b->kind && (a->kind == MOLT_KIND_RECORD || a->kind == MOLT_KIND_ENUM) &&
        a->is_union == b->is_union && a->name && b->name)
        remedy =
            molt_match_text(m, "MOLT_RENAMED_TYPE(%s, %s);\n", molt_match_type_text(m, &m->to, new),
                            molt_match_type_text(m, &m->from, old));
    molt_match_refuse_types(m, at, MOLT_MATCH_POINTEE, remedy, "it leads to another type");
}

/* What a step says of its target; bytes and void may be anything, but only bytes a text. */
static uint64_t target_id(struct molt_matcher *m, uint32_t target)
{
    return molt_match_is_byte(&m->from.graph, target) ? MOLT_RECIPE_TYPE_TEXT
                                                      : molt_match_type_id(m, target);
}

static void add_pointer(struct molt_matcher *m, struct molt_step_list *list,
                        const struct molt_match_place *at, uint64_t type, bool must_own)
{
    molt_make_leaf(&m->maker, list, molt_match_at(m, at),
                   (struct molt_step){.kind = MOLT_STEP_POINTER,
                                      .flags = must_own ? MOLT_STEP_MUST_OWN : 0,
                                      .count = 1,
                                      .type = type});
}

void molt_match_pointer(struct molt_matcher *m, struct molt_step_list *list,
                        struct molt_match_place at)
{
    uint32_t old = molt_match_old(m, molt_graph_whole(&m->from.graph, at.old))->target;
    uint32_t new = molt_match_new(m, molt_graph_whole(&m->to.graph, at.new))->target;
    uint32_t whole = molt_graph_whole(&m->from.graph, old);
    if (!molt_match_is_pointee(m, old, new, 0)) {
        refuse_pointee(m, &at, old, new);
        return;
    }
    if (molt_match_old(m, whole)->kind == MOLT_KIND_VOID && molt_match_tagged(m, list, &at))
        return;
    bool is_changed = molt_match_is_changed(m, old, new);
    if (is_changed && molt_match_old(m, whole)->kind == MOLT_KIND_RECORD)
        molt_match_line(m, "%s  -> %s, which changes", at.path,
                        molt_match_type_text(m, &m->from, old));
    add_pointer(m, list, &at, target_id(m, old), is_changed);
}
