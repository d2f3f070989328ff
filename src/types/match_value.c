/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* One value, whatever its kind; structs that lie inside. And the questions about
 * types and hints that all kinds ask. */
#include <inttypes.h>
#include <string.h>

#include "types/match_work.h"

#define DEPTH_MAX 48 /* of structs and arrays in each other */

const struct molt_image_hint *molt_match_hint(struct molt_matcher *m, enum molt_hint_kind kind,
                                              uint32_t owner, const char *field, const char *text,
                                              const int64_t *number)
{
    if (owner == MOLT_NODE_NONE)
        return NULL;
    for (size_t i = 0; i < m->hinted->hints.n; i++) {
        const struct molt_image_hint *h = &m->hinted->hints.items[i];
        if (h->kind != kind || (field && (!h->field || strcmp(h->field, field) != 0)) ||
            (text && (!h->text || strcmp(h->text, text) != 0)) ||
            (number && h->number != *number) ||
            !molt_graph_is_same(&m->hinted->graph, h->type, owner))
            continue;
        m->subject.was_hinted |= m->trials == 0;
        return h;
    }
    return NULL;
}

const struct molt_match_renamed *molt_match_renamed(const struct molt_matcher *m, uint32_t old,
                                                    uint32_t new)
{
    for (size_t i = 0; i < m->n_renamed; i++)
        if (molt_graph_is_same(&m->from.graph, m->renamed[i].old, old) &&
            molt_graph_is_same(&m->to.graph, m->renamed[i].new, new))
            return &m->renamed[i];
    return NULL;
}

uint32_t molt_match_counterpart(struct molt_matcher *m, uint32_t new)
{
    new = molt_graph_whole(&m->to.graph, new);
    for (size_t i = 0; i < m->n_renamed; i++)
        if (molt_graph_is_same(&m->to.graph, m->renamed[i].new, new))
            return m->renamed[i].old;
    for (size_t i = 0; i < m->from.meta->n_types; i++) {
        uint32_t old = molt_graph_whole(&m->from.graph, m->from.type_nodes[i]);
        if (molt_match_old(m, old)->kind == molt_match_new(m, new)->kind &&
            molt_match_is_pointee(m, old, new, 0))
            return old;
    }
    return MOLT_NODE_NONE;
}

/* MOLT_OPAQUE: the bytes as they are. */
static bool match_opaque(struct molt_matcher *m, struct molt_step_list *list,
                         const struct molt_match_place *at)
{
    if (!at->field || at->is_element ||
        !molt_match_hint(m, MOLT_HINT_OPAQUE, at->owner, at->field, NULL, NULL))
        return false;
    uint64_t old = molt_graph_size(&m->from.graph, at->old);
    uint64_t new = molt_graph_size(&m->to.graph, at->new);
    if (new < old) {
        molt_match_refuse(m, at, MOLT_MATCH_NARROWING, NULL, "%" PRIu64 " bytes -> %" PRIu64, old,
                          new);
        return true;
    }
    molt_make_copy(&m->maker, list, molt_match_at(m, at), old, 0);
    molt_make_gap(list);
    return true;
}

static bool is_flat_leaf(const struct molt_made_step *made)
{
    const struct molt_step *s = &made->step;
    return (s->kind == MOLT_STEP_COPY || s->kind == MOLT_STEP_POINTER ||
            s->kind == MOLT_STEP_WORD) &&
           s->old_at == s->new_at;
}

/* All members are where they were: start and members of the struct move together, so
 * its steps can be the outer's. */
static bool is_flat(const struct molt_step_list *steps, uint64_t old_size, uint64_t new_size)
{
    if (old_size != new_size || steps->is_tight || steps->n == 0 ||
        steps->items[0].step.old_at != 0)
        return false;
    for (size_t i = 0; i < steps->n; i++)
        if (!is_flat_leaf(&steps->items[i]))
            return false;
    return true;
}

static void splice(struct molt_matcher *m, struct molt_step_list *list, struct molt_make_at base,
                   struct molt_step_list *steps)
{
    for (size_t i = 0; i < steps->n; i++) {
        struct molt_step step = steps->items[i].step;
        struct molt_make_at here = {.old_at = base.old_at + step.old_at,
                                    .new_at = base.new_at + step.new_at,
                                    .text = steps->items[i].text};
        if (step.kind == MOLT_STEP_COPY)
            molt_make_copy(&m->maker, list, here, step.count, step.type);
        else
            molt_make_leaf(&m->maker, list, here, step);
    }
    molt_step_list_fini(steps);
}

static void refuse_other_record(struct molt_matcher *m, const struct molt_match_place *at)
{
    const char *a = molt_match_type_text(m, &m->from, molt_graph_whole(&m->from.graph, at->old));
    const char *b = molt_match_type_text(m, &m->to, molt_graph_whole(&m->to.graph, at->new));
    molt_match_refuse_types(m, at, MOLT_MATCH_RENAMED_TYPE,
                            molt_match_text(m, "MOLT_RENAMED_TYPE(%s, %s);\n", b, a),
                            "another struct in the same place");
}

static void match_inner(struct molt_matcher *m, struct molt_step_list *list,
                        const struct molt_match_place *at)
{
    struct molt_step_list steps = {0};
    struct molt_match_place inner = *at;
    uint32_t old = molt_graph_whole(&m->from.graph, at->old);
    uint64_t old_size = molt_graph_size(&m->from.graph, at->old);
    uint64_t new_size = molt_graph_size(&m->to.graph, at->new);
    if (!molt_match_is_type(m, at->old, at->new, false)) {
        refuse_other_record(m, at);
        return;
    }
    inner.old_align = molt_match_align(at->old_align, at->old_at);
    inner.old_at = inner.new_at = 0;
    molt_match_record(m, &steps, inner);
    molt_make_end(&steps, old_size, new_size);
    if (is_flat(&steps, old_size, new_size)) {
        splice(m, list, molt_match_at(m, at), &steps);
        return;
    }
    molt_make_parent(&m->maker, list, molt_match_at(m, at),
                     (struct molt_step){.kind = MOLT_STEP_EACH,
                                        .count = 1,
                                        .old_stride = (uint32_t)old_size,
                                        .new_stride = (uint32_t)new_size,
                                        .type = molt_match_type_id(m, old)},
                     &steps);
}

static void match_records(struct molt_matcher *m, struct molt_step_list *list,
                          const struct molt_match_place *at)
{
    bool is_union = molt_match_old(m, molt_graph_whole(&m->from.graph, at->old))->is_union ||
                    molt_match_new(m, molt_graph_whole(&m->to.graph, at->new))->is_union;
    bool is_own_element = at->is_element && at->old_at == 0 && at->new_at == 0 && !at->peers;
    if (is_union) {
        molt_match_union(m, list, *at);
    } else if (at->depth == 0) {
        molt_match_record(m, list, *at);
    } else if (is_own_element) {
        /* The list is an array element's already. */
        if (molt_match_is_type(m, at->old, at->new, false))
            molt_match_record(m, list, *at);
        else
            refuse_other_record(m, at);
    } else {
        match_inner(m, list, at);
    }
}

void molt_match_value(struct molt_matcher *m, struct molt_step_list *list,
                      struct molt_match_place at)
{
    enum molt_node_kind old = molt_match_old(m, molt_graph_whole(&m->from.graph, at.old))->kind;
    enum molt_node_kind new = molt_match_new(m, molt_graph_whole(&m->to.graph, at.new))->kind;
    if (m->code)
        return;
    if (at.depth > DEPTH_MAX || m->visits == 0) {
        molt_match_refuse(m, &at, MOLT_MATCH_TOO_BIG, NULL, "it has too many parts");
        return;
    }
    m->visits--;
    if (match_opaque(m, list, &at))
        return;
    bool are_scalars = (old == MOLT_KIND_BASE || old == MOLT_KIND_ENUM) &&
                       (new == MOLT_KIND_BASE || new == MOLT_KIND_ENUM);
    if (are_scalars && (old == MOLT_KIND_ENUM || new == MOLT_KIND_ENUM))
        molt_match_enum(m, list, at, 0, 0);
    else if (are_scalars)
        molt_match_scalar(m, list, at);
    else if (old == MOLT_KIND_POINTER && new == MOLT_KIND_POINTER)
        molt_match_pointer(m, list, at);
    else if (old == MOLT_KIND_ARRAY && new == MOLT_KIND_ARRAY)
        molt_match_array(m, list, at);
    else if (old == MOLT_KIND_RECORD && new == MOLT_KIND_RECORD)
        match_records(m, list, &at);
    else
        molt_match_refuse_types(m, &at, MOLT_MATCH_OTHER_KIND, NULL, "another kind of value");
}
