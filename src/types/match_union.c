/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Unions, and pointers to void: what they hold is known if it doesn't matter, or if a
 * field says it (MOLT_TAGGED). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "types/match_work.h"
#include "types/words.h"

#define DEPTH_MAX 64

/* ---- equal bytes ---------------------------------------------------------- */

static bool is_enum_kept(const struct molt_node *a, const struct molt_node *b)
{
    if (a->size != b->size)
        return false;
    for (uint32_t i = 0; i < a->n_members; i++) {
        const struct molt_member *now = NULL;
        for (uint32_t k = 0; k < b->n_members && !now; k++)
            if (strcmp(a->members[i].name, b->members[k].name) == 0)
                now = &b->members[k];
        if (!now || now->value != a->members[i].value)
            return false;
    }
    return true;
}

static bool is_member_kept(struct molt_matcher *m, const struct molt_member *a,
                           const struct molt_member *b, unsigned depth)
{
    bool is_named_same = a->name && b->name ? strcmp(a->name, b->name) == 0 : a->name == b->name;
    return is_named_same && a->bit_offset == b->bit_offset && a->bit_size == b->bit_size &&
           molt_match_is_kept(m, a->type, b->type, depth + 1);
}

static bool has_one_meaning(const struct molt_matcher *m, const struct molt_node *a,
                            const struct molt_node *b)
{
    uint64_t x = 0, y = 0;
    molt_map_get(&m->from.graph.semantics, a->identity, &x);
    molt_map_get(&m->to.graph.semantics, b->identity, &y);
    return x == y;
}

static bool is_record_kept(struct molt_matcher *m, const struct molt_node *a,
                           const struct molt_node *b, unsigned depth)
{
    if (a->size != b->size || a->n_members != b->n_members || !has_one_meaning(m, a, b))
        return false;
    for (uint32_t i = 0; i < a->n_members; i++)
        if (!is_member_kept(m, &a->members[i], &b->members[i], depth))
            return false;
    return true;
}

bool molt_match_is_kept(struct molt_matcher *m, uint32_t old, uint32_t new, unsigned depth)
{
    old = molt_graph_whole(&m->from.graph, old);
    new = molt_graph_whole(&m->to.graph, new);
    const struct molt_node *a = molt_match_old(m, old), *b = molt_match_new(m, new);
    if (a->kind != b->kind || depth > DEPTH_MAX || m->visits == 0)
        return false;
    m->visits--;
    switch (a->kind) {
    case MOLT_KIND_BASE:
        return a->encoding == b->encoding && a->size == b->size &&
               (a->size < 16 || strcmp(a->name, b->name) == 0);
    case MOLT_KIND_POINTER:
        return molt_match_is_pointee(m, a->target, b->target, 0) &&
               (m->ignores_pointees || !molt_match_is_changed(m, a->target, b->target));
    case MOLT_KIND_ARRAY:
        return a->count == b->count && molt_match_is_kept(m, a->target, b->target, depth + 1);
    case MOLT_KIND_ENUM:
        return molt_match_is_type(m, old, new, false) && is_enum_kept(a, b);
    case MOLT_KIND_RECORD:
        return molt_match_is_type(m, old, new, false) && is_record_kept(m, a, b, depth);
    default:
        return true;
    }
}

/* ---- tags ----------------------------------------------------------------- */

static const struct molt_member *numbered(const struct molt_node *node, int64_t number)
{
    for (uint32_t i = 0; i < node->n_members; i++)
        if (node->members[i].value == number)
            return &node->members[i];
    return NULL;
}

static const struct molt_member *called(const struct molt_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_members; i++)
        if (strcmp(node->members[i].name, name) == 0)
            return &node->members[i];
    return NULL;
}

/* The number that the old tag had for what is @number now; false: it had none. */
static bool old_number(const struct molt_matcher *m, const struct molt_image_hint *tagged,
                       uint32_t old_tag, int64_t number, int64_t *ret)
{
    struct molt_field field;
    const struct molt_node *old = molt_match_old(m, molt_graph_whole(&m->from.graph, old_tag));
    *ret = number;
    if (m->options->is_backward || old->kind != MOLT_KIND_ENUM ||
        !molt_field_at(&m->to.graph, tagged->type, tagged->text, &field))
        return true;
    const struct molt_node *new = molt_match_new(m, molt_graph_whole(&m->to.graph, field.type));
    if (new->kind != MOLT_KIND_ENUM)
        return true;
    const struct molt_member *now = numbered(new, number);
    const struct molt_member *was = now ? called(old, now->name) : NULL;
    if (was)
        *ret = was->value;
    return was != NULL;
}

static bool union_member(const struct molt_graph *g, uint32_t type, const char *name,
                         struct molt_field *ret)
{
    return molt_field_at(g, molt_graph_whole(g, type), name, ret);
}

/* One member of a union, in both. False: old values can't hold it. */
static bool match_member(struct molt_matcher *m, struct molt_step_list *list,
                         const struct molt_match_place *at, const char *name)
{
    struct molt_field old, new;
    if (!union_member(&m->from.graph, at->old, name, &old))
        return false;
    if (!union_member(&m->to.graph, at->new, name, &new)) {
        molt_match_refuse(m, at, MOLT_MATCH_UNION, NULL, "its member %s is gone", name);
        return true;
    }
    struct molt_match_place inner = *at;
    inner.old = old.type;
    inner.new = new.type;
    inner.old_at += old.bit_offset / 8;
    inner.new_at += new.bit_offset / 8;
    inner.path = molt_match_text(m, "%s.%s", at->path, name);
    inner.field = NULL;
    inner.is_tail = false;
    inner.depth++;
    if (old.bit_size || new.bit_size)
        molt_match_refuse(m, &inner, MOLT_MATCH_UNION, NULL, "a bitfield in a union");
    else
        molt_match_value(m, list, inner);
    return true;
}

/* What a void pointer leads to when the tag says @h. */
static void match_target(struct molt_matcher *m, struct molt_step_list *list,
                         const struct molt_match_place *at, const struct molt_image_hint *h)
{
    uint32_t own = h->text_type, old = MOLT_NODE_NONE;
    if (own != MOLT_NODE_NONE)
        old = m->options->is_backward ? own : molt_match_counterpart(m, own);
    uint64_t type = old == MOLT_NODE_NONE ? 0 : molt_match_type_id(m, old);
    molt_make_leaf(&m->maker, list, molt_match_at(m, at),
                   (struct molt_step){.kind = MOLT_STEP_POINTER, .count = 1, .type = type});
}

static int by_tag(const void *a, const void *b)
{
    const struct molt_made_step *x = a, *y = b;
    return (x->step.limit > y->step.limit) - (x->step.limit < y->step.limit);
}

static bool is_new_case(const struct molt_step_list *cases, int64_t tag)
{
    for (size_t i = 0; i < cases->n; i++)
        if (cases->items[i].step.limit == tag)
            return false;
    return true;
}

static void add_cases(struct molt_matcher *m, struct molt_step_list *cases,
                      const struct molt_match_place *at, const struct molt_image_hint *tagged,
                      uint32_t old_tag)
{
    bool is_pointer =
        molt_match_old(m, molt_graph_whole(&m->from.graph, at->old))->kind == MOLT_KIND_POINTER;
    for (size_t i = 0; i < m->hinted->hints.n && m->code == 0; i++) {
        const struct molt_image_hint *h = &m->hinted->hints.items[i];
        struct molt_step_list inner = {0};
        int64_t tag;
        if (h->kind != MOLT_HINT_CASE || !h->field || strcmp(h->field, tagged->field) != 0 ||
            !molt_graph_is_same(&m->hinted->graph, h->type, tagged->type) ||
            !old_number(m, tagged, old_tag, h->number, &tag) || !is_new_case(cases, tag))
            continue;
        bool is_there = true;
        if (is_pointer)
            match_target(m, &inner, at, h);
        else
            is_there = match_member(m, &inner, at, h->text);
        if (is_there)
            molt_make_parent(&m->maker, cases, molt_match_at(m, at),
                             (struct molt_step){.kind = MOLT_STEP_CASE, .count = 1, .limit = tag},
                             &inner);
        molt_step_list_fini(&inner);
    }
    if (cases->n)
        qsort(cases->items, cases->n, sizeof *cases->items, by_tag);
}

bool molt_match_tagged(struct molt_matcher *m, struct molt_step_list *list,
                       const struct molt_match_place *at)
{
    unsigned bytes;
    bool is_signed;
    struct molt_step_list cases = {0};
    const struct molt_image_hint *h =
        at->field && at->peers
            ? molt_match_hint(m, MOLT_HINT_TAGGED, at->owner, at->field, NULL, NULL)
            : NULL;
    const struct molt_field *tag = h ? molt_match_peer(m, at, h->text) : NULL;
    if (!tag || !molt_match_integer(&m->from.graph, tag->type, &bytes, &is_signed))
        return false;
    add_cases(m, &cases, at, h, tag->type);
    struct molt_make_at here = molt_match_at(m, at);
    struct molt_step step = {.kind = MOLT_STEP_UNION,
                             .flags = is_signed ? MOLT_STEP_OLD_SIGNED : 0,
                             .old_bytes = (uint8_t)bytes,
                             .count = 1};
    here.new_at = 0;
    here.old_at = at->peers->old_at + tag->bit_offset / 8;
    if (tag->bit_size) {
        here.old_at = 8 * at->peers->old_at + tag->bit_offset;
        step.old_bytes = (uint8_t)tag->bit_size;
        step.flags |= MOLT_STEP_IN_BITS;
    }
    if (cases.n == 0)
        molt_match_refuse(m, at, MOLT_MATCH_UNION, NULL, "no MOLT_CASE is about an old member");
    molt_make_parent(&m->maker, list, here, step, &cases);
    molt_make_gap(list);
    return true;
}

/* The words that could be addresses, and the bytes between them. */
static void copy_union(struct molt_matcher *m, struct molt_step_list *list,
                       const struct molt_match_place *at, uint32_t old, uint64_t size)
{
    struct molt_meta_type words = {0};
    uint64_t done = 0;
    int rc = molt_words_of(&m->from.graph, old, &words, m->err);
    if (rc < 0) {
        molt_match_fail(m, rc);
        return;
    }
    /* Pointers can be followed if it is known that they are some. */
    if (words.n_ptrs && molt_match_tagged(m, list, at)) {
        molt_words_free(&words);
        return;
    }
    if (molt_match_align(at->old_align, at->old_at) < 8) {
        molt_match_copy_bytes(m, list, at, size);
        molt_words_free(&words);
        molt_make_gap(list);
        return;
    }
    struct molt_make_at base = molt_match_at(m, at);
    for (size_t i = 0; i < words.n_ptrs; i++) {
        struct molt_make_at here = {base.old_at + done, base.new_at + done, base.text};
        molt_make_copy(&m->maker, list, here, words.ptrs[i].offset - done, 0);
        here.old_at = base.old_at + words.ptrs[i].offset;
        here.new_at = base.new_at + words.ptrs[i].offset;
        molt_make_leaf(&m->maker, list, here,
                       (struct molt_step){.kind = MOLT_STEP_WORD, .count = words.ptrs[i].count});
        done = words.ptrs[i].offset + UINT64_C(8) * words.ptrs[i].count;
    }
    struct molt_make_at rest = {base.old_at + done, base.new_at + done, base.text};
    molt_make_copy(&m->maker, list, rest, size - done, 0);
    molt_words_free(&words);
    molt_make_gap(list);
}

/* ---- nothing but pointers ------------------------------------------------------ */

static bool is_data_pointer(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[molt_graph_whole(g, type)];
    return node->kind == MOLT_KIND_POINTER &&
           g->nodes[molt_graph_whole(g, node->target)].kind != MOLT_KIND_FUNCTION;
}

/* Whichever member it holds, it is a pointer to data, of the same types as before. To which
 * of them isn't known, as for a void pointer; and what changes must be a block. */
static bool match_pointers(struct molt_matcher *m, struct molt_step_list *list,
                           const struct molt_match_place *at, uint32_t old, uint32_t new)
{
    const struct molt_node *a = molt_match_old(m, old);
    if (a->n_members == 0 || molt_match_align(at->old_align, at->old_at) < 8)
        return false;
    for (uint32_t i = 0; i < a->n_members; i++)
        if (!is_data_pointer(&m->from.graph, a->members[i].type))
            return false;
    m->ignores_pointees = true;
    bool is_same = molt_match_is_kept(m, old, new, 0);
    m->ignores_pointees = false;
    if (!is_same)
        return false;
    molt_make_leaf(&m->maker, list, molt_match_at(m, at),
                   (struct molt_step){.kind = MOLT_STEP_POINTER,
                                      .flags = MOLT_STEP_MUST_OWN,
                                      .count = 1});
    return true;
}

/* ---- the whole -------------------------------------------------------------- */

static const char *remedy_of(struct molt_matcher *m, const struct molt_match_place *at)
{
    struct molt_buf text = MOLT_BUF_INIT;
    const struct molt_node *old = molt_match_old(m, molt_graph_whole(&m->from.graph, at->old));
    if (!at->field)
        return NULL;
    const char *owner = molt_match_owner_text(m, at);
    molt_buf_printf(&text, "MOLT_TAGGED(%s, %s, kind);  /* kind: the field that says which */\n",
                    owner, at->field);
    for (uint32_t i = 0; i < old->n_members; i++)
        if (old->members[i].name)
            molt_buf_printf(&text, "MOLT_CASE(%s, %s, %" PRIu32 ", %s);  /* kind for %s */\n",
                            owner, at->field, i, old->members[i].name, old->members[i].name);
    const char *kept = molt_match_text(m, "%s", text.data ? text.data : "");
    molt_buf_fini(&text);
    return kept;
}

void molt_match_union(struct molt_matcher *m, struct molt_step_list *list,
                      struct molt_match_place at)
{
    uint32_t old = molt_graph_whole(&m->from.graph, at.old);
    uint32_t new = molt_graph_whole(&m->to.graph, at.new);
    const struct molt_node *a = molt_match_old(m, old), *b = molt_match_new(m, new);
    if (!a->is_union || !b->is_union) {
        molt_match_refuse_types(m, &at, MOLT_MATCH_OTHER_KIND, NULL, "one of them is a union");
        return;
    }
    if (molt_match_is_kept(m, old, new, 0)) {
        copy_union(m, list, &at, old, a->size);
        return;
    }
    molt_match_line(m, "%s  a union whose members changed", *at.path ? at.path : m->subject.bare);
    if (!molt_match_tagged(m, list, &at) && !match_pointers(m, list, &at, old, new))
        molt_match_refuse(m, &at, MOLT_MATCH_UNION, remedy_of(m, &at),
                          "it may hold any of its members, and they changed");
}
