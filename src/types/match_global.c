/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What concerns two images as a whole: enums that were renumbered. */
#include <dwarf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "types/match_work.h"

#define DEPTH_MAX 48

/* ---- enums of both ---------------------------------------------------------- */

static const struct molt_member *named(const struct molt_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_members; i++)
        if (strcmp(node->members[i].name, name) == 0)
            return &node->members[i];
    return NULL;
}

static const struct molt_member *numbered(const struct molt_node *node, int64_t value)
{
    for (uint32_t i = 0; i < node->n_members; i++)
        if (node->members[i].value == value)
            return &node->members[i];
    return NULL;
}

/* The first name with another number, or whose number has another name; NULL: none. */
static const struct molt_member *renumbered(const struct molt_node *old,
                                            const struct molt_node *new)
{
    for (uint32_t i = 0; i < old->n_members; i++) {
        const struct molt_member *was = &old->members[i], *now = named(new, was->name);
        if (now ? now->value != was->value : numbered(new, was->value) != NULL)
            return was;
    }
    return NULL;
}

/* The enums of an image by key, at file scope. */
static int index_enums(struct molt_matcher *m, struct molt_image *image, struct molt_map *map)
{
    const struct molt_debug *d = &image->debug;
    for (size_t i = 0; i < d->n_types; i++) {
        uint32_t node;
        Dwarf_Die die = d->types[i].die;
        if (d->types[i].scope ||
            (d->types[i].tag != DW_TAG_enumeration_type && d->types[i].tag != DW_TAG_typedef))
            continue;
        int rc = molt_graph_add(&image->graph, &die, &node, m->err);
        if (rc < 0)
            return rc;
        node = molt_graph_whole(&image->graph, node);
        if (image->graph.nodes[node].kind != MOLT_KIND_ENUM || !image->graph.nodes[node].name)
            continue;
        const char *key = molt_graph_key(&image->graph, node, 0);
        uint64_t known;
        if (!key)
            return MOLT_ENOMEM;
        if (molt_map_get(map, molt_map_hash(key), &known))
            continue;
        if ((rc = molt_map_put(map, molt_map_hash(key), node)) < 0)
            return rc;
    }
    return 0;
}

static int pair_enums(struct molt_matcher *m, const struct molt_map *old,
                      const struct molt_map *new)
{
    for (size_t i = 0; i < old->cap; i++) {
        uint64_t now;
        if (!old->entries[i].is_used || !molt_map_get(new, old->entries[i].key, &now))
            continue;
        struct molt_match_enum_pair pair = {.old = (uint32_t)old->entries[i].value,
                                            .new = (uint32_t)now};
        pair.is_renumbered =
            renumbered(molt_match_old(m, pair.old), molt_match_new(m, pair.new)) != NULL;
        if (molt_array_grow(m->enums, m->n_enums, m->cap_enums) < 0)
            return MOLT_ENOMEM;
        m->enums[m->n_enums++] = pair;
    }
    return 0;
}

void molt_match_find_enums(struct molt_matcher *m)
{
    struct molt_map old = {0}, new = {0};
    int rc = index_enums(m, &m->from, &old);
    if (rc == 0)
        rc = index_enums(m, &m->to, &new);
    if (rc == 0)
        rc = pair_enums(m, &old, &new);
    if (rc < 0)
        molt_match_fail(m, rc);
    molt_map_fini(&old);
    molt_map_fini(&new);
}

static bool is_hinted(const struct molt_matcher *m, uint32_t old, uint32_t new)
{
    uint32_t own = m->options->is_backward ? old : new;
    for (size_t i = 0; i < m->hinted->hints.n; i++) {
        const struct molt_image_hint *h = &m->hinted->hints.items[i];
        if (h->kind == MOLT_HINT_RENUMBERED && molt_graph_is_same(&m->hinted->graph, h->type, own))
            return true;
    }
    return false;
}

/* The states of machines: the runtime keeps the number of the one that a process is in, and
 * finds its new number by name. */
static bool is_of_states(const struct molt_matcher *m, uint32_t enumeration)
{
    const struct molt_node *node = molt_match_old(m, enumeration);
    for (uint32_t i = 0; i < node->n_members; i++)
        if (!molt_image_has_state(&m->from, node->members[i].name))
            return false;
    return node->n_members > 0;
}

/* ---- constants of enums without a tag ------------------------------------------ */

static uint64_t constant_key(const struct molt_node *node, const char *name)
{
    return molt_map_hash(node->file ? node->file->text : "") ^ (molt_map_hash(name) * 31);
}

static int add_constants(const struct molt_node *node, uint32_t index, struct molt_map *map)
{
    for (uint32_t i = 0; i < node->n_members; i++)
        if (molt_map_put(map, constant_key(node, node->members[i].name),
                         (uint64_t)index << 32 | i) < 0)
            return MOLT_ENOMEM;
    return 0;
}

/* File and name -> where the constant is, of all enums outside of functions. */
static int index_constants(struct molt_matcher *m, struct molt_image *image, struct molt_map *map)
{
    const struct molt_debug *d = &image->debug;
    for (size_t i = 0; i < d->n_types + d->n_enums; i++) {
        bool is_tagged = i < d->n_types;
        uint32_t node;
        Dwarf_Die die = is_tagged ? d->types[i].die : d->enums[i - d->n_types];
        if (is_tagged && (d->types[i].scope || d->types[i].tag != DW_TAG_enumeration_type))
            continue;
        int rc = molt_graph_add(&image->graph, &die, &node, m->err);
        if (rc == 0)
            rc = add_constants(&image->graph.nodes[node], node, map);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void refuse_constant(struct molt_matcher *m, uint32_t old, uint32_t new, const char *name,
                            int64_t was, int64_t now, const char *holder)
{
    struct molt_match_place at = {.path = "", .owner = MOLT_NODE_NONE};
    m->subject.old = old;
    m->subject.new = new;
    m->subject.name = "enum {...}";
    molt_match_refuse(m, &at, MOLT_MATCH_RENUMBERED,
                      molt_match_text(m, "MOLT_RENUMBERED(enum NAME);  /* give it a name */\n"),
                      "%s %" PRId64 " -> %" PRId64 ", and %s may hold one", name, was, now, holder);
}

static void check_constants(struct molt_matcher *m, const struct molt_map *map,
                            uint32_t enumeration, const char *holder)
{
    const struct molt_node *old = molt_match_old(m, enumeration);
    for (uint32_t i = 0; i < old->n_members; i++) {
        const struct molt_member *was = &old->members[i];
        uint64_t found;
        if (!molt_map_get(map, constant_key(old, was->name), &found))
            continue;
        uint32_t new = (uint32_t)(found >> 32);
        const struct molt_member *now = &molt_match_new(m, new)->members[(uint32_t)found];
        if (now->value == was->value || is_hinted(m, enumeration, new) ||
            is_of_states(m, enumeration))
            continue;
        refuse_constant(m, enumeration, new, was->name, was->value, now->value, holder);
        break;
    }
}

/* A header's enum is in each unit that includes it. */
static bool is_new_enum(const struct molt_matcher *m, uint32_t enumeration, struct molt_map *seen,
                        int *ret_code)
{
    const struct molt_node *node = molt_match_old(m, enumeration);
    uint64_t known;
    if (node->n_members == 0)
        return false;
    uint64_t key = constant_key(node, node->members[0].name);
    if (molt_map_get(seen, key, &known))
        return false;
    *ret_code = molt_map_put(seen, key, 1);
    return true;
}

/* Constants have no type to find them by: their names are compared, file by file. */
static void check_unnamed(struct molt_matcher *m, const char *holder)
{
    struct molt_map map = {0}, seen = {0};
    int rc = index_constants(m, &m->to, &map);
    for (size_t i = 0; rc == 0 && i < m->from.debug.n_enums; i++) {
        uint32_t node;
        Dwarf_Die die = m->from.debug.enums[i];
        rc = molt_graph_add(&m->from.graph, &die, &node, m->err);
        if (rc == 0 && !molt_match_old(m, node)->name && is_new_enum(m, node, &seen, &rc))
            check_constants(m, &map, node, holder);
    }
    if (rc < 0)
        molt_match_fail(m, rc);
    molt_map_fini(&map);
    molt_map_fini(&seen);
}

/* ---- who may hold a number ---------------------------------------------------- */

/* A field that is an integer without being an enum, a character or bool. */
static bool find_integer(const struct molt_graph *g, uint32_t type, int depth,
                         const char **ret_field)
{
    type = molt_graph_whole(g, type);
    const struct molt_node *node = &g->nodes[type];
    if (depth > DEPTH_MAX)
        return true;
    if (node->kind == MOLT_KIND_BASE)
        return (node->encoding == DW_ATE_signed || node->encoding == DW_ATE_unsigned ||
                node->encoding == DW_ATE_signed_char || node->encoding == DW_ATE_unsigned_char) &&
               strcmp(node->name, "char") != 0;
    if (node->kind == MOLT_KIND_ARRAY)
        return find_integer(g, node->target, depth + 1, ret_field);
    for (uint32_t i = 0; node->kind == MOLT_KIND_RECORD && i < node->n_members; i++)
        if (find_integer(g, node->members[i].type, depth + 1, ret_field)) {
            if (node->members[i].name)
                *ret_field = node->members[i].name;
            return true;
        }
    return false;
}

/* "struct counter.n" of the old module's blocks; NULL: none. */
static const char *integer_holder(struct molt_matcher *m)
{
    for (size_t i = 0; i < m->from.meta->n_types; i++) {
        const char *field = NULL, *key = m->from.meta->types[i].key;
        size_t len = strlen(key), n = strlen(" in signatures");
        if ((len > n && strcmp(key + len - n, " in signatures") == 0) ||
            strncmp(key, "molt/", 5) == 0)
            continue;
        if (find_integer(&m->from.graph, m->from.type_nodes[i], 0, &field))
            return molt_match_text(m, "%s%s%s", m->from.meta->types[i].name, field ? "." : "",
                                   field ? field : "");
    }
    return NULL;
}

static void refuse_enum(struct molt_matcher *m, const struct molt_match_enum_pair *pair,
                        const char *holder)
{
    const struct molt_node *old = molt_match_old(m, pair->old);
    const struct molt_node *new = molt_match_new(m, pair->new);
    const struct molt_member *was = renumbered(old, new), *now = named(new, was->name);
    struct molt_match_place at = {.path = "", .owner = MOLT_NODE_NONE};
    m->subject.old = pair->old;
    m->subject.new = pair->new;
    m->subject.name = molt_match_type_text(m, &m->to, pair->new);
    const char *what =
        now ? molt_match_text(m, "%s %" PRId64 " -> %" PRId64, was->name, was->value, now->value)
            : molt_match_text(m, "%" PRId64 " was %s, and is %s", was->value, was->name,
                              numbered(new, was->value)->name);
    molt_match_refuse(m, &at, MOLT_MATCH_RENUMBERED,
                      molt_match_text(m, "MOLT_RENUMBERED(%s);\n", m->subject.name),
                      "%s, and %s may hold one", what, holder);
}

void molt_match_check_enums(struct molt_matcher *m)
{
    const char *holder = integer_holder(m);
    for (size_t i = 0; holder && i < m->n_enums && m->code == 0; i++) {
        const struct molt_match_enum_pair *pair = &m->enums[i];
        if (pair->is_renumbered && !is_hinted(m, pair->old, pair->new) &&
            !is_of_states(m, pair->old))
            refuse_enum(m, pair, holder);
    }
    if (holder && m->code == 0)
        check_unnamed(m, holder);
}
