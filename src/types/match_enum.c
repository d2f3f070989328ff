/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Enums: by name where a field has the enum's type. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "types/match_work.h"

static const struct molt_member *named(const struct molt_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_members; i++)
        if (strcmp(node->members[i].name, name) == 0)
            return &node->members[i];
    return NULL;
}

/* Do all old names have their old numbers? */
static bool has_kept_numbers(const struct molt_node *old, const struct molt_node *new)
{
    for (uint32_t i = 0; i < old->n_members; i++) {
        const struct molt_member *now = named(new, old->members[i].name);
        if (!now || now->value != old->members[i].value)
            return false;
    }
    return true;
}

bool molt_match_is_renumbered(const struct molt_matcher *m, bool is_old, uint32_t type)
{
    const struct molt_graph *g = is_old ? &m->from.graph : &m->to.graph;
    for (size_t i = 0; i < m->n_enums; i++)
        if (m->enums[i].is_renumbered &&
            molt_graph_is_same(g, is_old ? m->enums[i].old : m->enums[i].new, type))
            return true;
    return false;
}

static int by_old(const void *a, const void *b)
{
    const struct molt_recipe_map *x = a, *y = b;
    return (x->old > y->old) - (x->old < y->old);
}

/* Ascending, each old number once; SIZE_MAX: two names of one number part. */
static size_t make_maps(struct molt_matcher *m, const struct molt_match_place *at,
                        const struct molt_node *old, const struct molt_node *new,
                        struct molt_recipe_map *maps)
{
    size_t n = 0, kept = 0;
    for (uint32_t i = 0; i < old->n_members; i++) {
        const struct molt_member *now = named(new, old->members[i].name);
        if (now)
            maps[n++] = (struct molt_recipe_map){old->members[i].value, now->value};
    }
    qsort(maps, n, sizeof *maps, by_old);
    for (size_t i = 0; i < n; i++) {
        if (kept && maps[kept - 1].old == maps[i].old) {
            if (maps[kept - 1].new == maps[i].new)
                continue;
            molt_match_refuse(m, at, MOLT_MATCH_ENUM_VALUES, NULL,
                              "%" PRId64 " is now %" PRId64 " or %" PRId64, maps[i].old,
                              maps[kept - 1].new, maps[i].new);
            return SIZE_MAX;
        }
        maps[kept++] = maps[i];
    }
    return kept;
}

static void line_values(struct molt_matcher *m, const struct molt_match_place *at,
                        const struct molt_node *old, const struct molt_node *new)
{
    for (uint32_t i = 0; i < old->n_members; i++) {
        const struct molt_member *was = &old->members[i], *now = named(new, was->name);
        if (!now)
            molt_match_line(m, "%s  -%s (%" PRId64 ")", at->path, was->name, was->value);
        else if (now->value != was->value)
            molt_match_line(m, "%s  %s %" PRId64 " -> %" PRId64, at->path, was->name, was->value,
                            now->value);
    }
    for (uint32_t i = 0; i < new->n_members; i++)
        if (!named(old, new->members[i].name))
            molt_match_line(m, "%s  +%s (%" PRId64 ")", at->path, new->members[i].name,
                            new->members[i].value);
}

struct widths {
    unsigned old, new; /* bits of a bitfield, else bytes */
    bool are_bits;
    bool is_old_signed, is_new_signed;
};

static bool fits(int64_t value, unsigned bits, bool is_signed)
{
    if (bits >= 64)
        return true;
    if (!is_signed)
        return value >= 0 && (uint64_t)value >> bits == 0;
    return value >= -(INT64_C(1) << (bits - 1)) && value < INT64_C(1) << (bits - 1);
}

static void match_by_name(struct molt_matcher *m, struct molt_step_list *list,
                          const struct molt_match_place *at, const struct molt_node *old,
                          const struct molt_node *new, const struct widths *w)
{
    struct molt_recipe_map *maps =
        molt_arena_alloc(&m->arena, ((size_t)old->n_members + 1) * sizeof *maps);
    if (!maps) {
        molt_match_fail(m, MOLT_ENOMEM);
        return;
    }
    size_t n = make_maps(m, at, old, new, maps);
    if (n == SIZE_MAX)
        return;
    for (size_t i = 0; i < n; i++)
        if (!fits(maps[i].new, w->are_bits ? w->new : 8 * w->new, w->is_new_signed)) {
            molt_match_refuse(m, at, MOLT_MATCH_NARROWING, NULL,
                              "%" PRId64 " doesn't fit into the new field", maps[i].new);
            return;
        }
    struct molt_step step = {.kind = MOLT_STEP_ENUM,
                             .flags = (uint8_t)((w->are_bits ? MOLT_STEP_IN_BITS : 0) |
                                                (w->is_old_signed ? MOLT_STEP_OLD_SIGNED : 0) |
                                                (w->is_new_signed ? MOLT_STEP_NEW_SIGNED : 0)),
                             .old_bytes = (uint8_t)w->old,
                             .new_bytes = (uint8_t)w->new,
                             .count = 1,
                             .n_steps = (uint32_t)n,
                             .type = w->are_bits ? 0 : molt_match_type_id(m, at->old)};
    molt_make_enum(&m->maker, list, molt_match_at(m, at), step, maps);
}

/* The number stays, its bytes may change. */
static void match_numbers(struct molt_matcher *m, struct molt_step_list *list,
                          const struct molt_match_place *at, const struct widths *w)
{
    unsigned flags = (w->is_old_signed ? MOLT_STEP_OLD_SIGNED : 0) |
                     (w->is_new_signed ? MOLT_STEP_NEW_SIGNED : 0);
    struct molt_make_at here = molt_match_at(m, at);
    uint64_t type = w->are_bits ? 0 : molt_match_type_id(m, at->old);
    if (w->new < w->old && !m->options->is_backward)
        molt_match_refuse_types(m, at, MOLT_MATCH_NARROWING, NULL, "a value could be too large");
    else if (w->are_bits)
        molt_make_bits(&m->maker, list, here, w->old, w->new, flags);
    else if (w->old == w->new && w->is_old_signed == w->is_new_signed)
        molt_make_copy(&m->maker, list, here, w->old, type);
    else
        molt_make_leaf(&m->maker, list, here,
                       (struct molt_step){.kind = MOLT_STEP_INT,
                                          .flags = (uint8_t)flags,
                                          .old_bytes = (uint8_t)w->old,
                                          .new_bytes = (uint8_t)w->new,
                                          .count = 1,
                                          .type = type});
}

/* An enum on one side only: numbers must mean the same in both images. */
static void match_plain(struct molt_matcher *m, struct molt_step_list *list,
                        const struct molt_match_place *at, bool is_old_enum, const struct widths *w)
{
    uint32_t other = is_old_enum ? at->new : at->old;
    uint32_t own = molt_graph_whole(is_old_enum ? &m->from.graph : &m->to.graph,
                                    is_old_enum ? at->old : at->new);
    if (molt_match_is_bool(is_old_enum ? &m->to.graph : &m->from.graph, other))
        molt_match_refuse_types(m, at, MOLT_MATCH_OTHER_KIND, NULL, "another kind of value");
    else if (molt_match_is_renumbered(m, is_old_enum, own))
        molt_match_refuse_types(m, at, MOLT_MATCH_RENUMBERED,
                                "keep the enum's old numbers, or the field's type\n",
                                "the enum's numbers changed at the same time");
    else
        match_numbers(m, list, at, w);
}

void molt_match_enum(struct molt_matcher *m, struct molt_step_list *list,
                     struct molt_match_place at, unsigned old_bits, unsigned new_bits)
{
    struct widths w;
    uint32_t a = molt_graph_whole(&m->from.graph, at.old);
    uint32_t b = molt_graph_whole(&m->to.graph, at.new);
    const struct molt_node *old = molt_match_old(m, a), *new = molt_match_new(m, b);
    bool are_integers = molt_match_integer(&m->from.graph, a, &w.old, &w.is_old_signed);
    are_integers &= molt_match_integer(&m->to.graph, b, &w.new, &w.is_new_signed);
    w.are_bits = old_bits > 0;
    if (w.are_bits) {
        w.old = old_bits;
        w.new = new_bits;
    }
    if (old->kind != MOLT_KIND_ENUM || new->kind != MOLT_KIND_ENUM) {
        if (are_integers)
            match_plain(m, list, &at, old->kind == MOLT_KIND_ENUM, &w);
        else
            molt_match_refuse_types(m, &at, MOLT_MATCH_OTHER_KIND, NULL, "another kind of value");
        return;
    }
    if (!are_integers || !molt_match_is_type(m, a, b, false)) {
        molt_match_refuse_types(m, &at, MOLT_MATCH_RENAMED_TYPE, NULL, "another enum");
        return;
    }
    line_values(m, &at, old, new);
    if (has_kept_numbers(old, new) && w.new >= w.old)
        match_numbers(m, list, &at, &w);
    else
        match_by_name(m, list, &at, old, new, &w);
}
