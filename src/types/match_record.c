/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Structs: which field is which, what is new, what is gone. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "types/match_work.h"

/* ---- one field ---------------------------------------------------------- */

static struct molt_match_place place_of(struct molt_matcher *m, const struct molt_match_place *at,
                                        const struct molt_match_pairing *p,
                                        const struct molt_field *old, const struct molt_field *new)
{
    const struct molt_field *shown = new ? new : old;
    const struct molt_field *hinted = m->options->is_backward ? old : new;
    struct molt_match_place inner = {.old = old ? old->type : MOLT_NODE_VOID,
                                     .new = new ? new->type : MOLT_NODE_VOID,
                                     .old_at = old ? at->old_at + old->bit_offset / 8 : 0,
                                     .new_at = new ? at->new_at + new->bit_offset / 8 : 0,
                                     .path = at->path,
                                     .owner = p->owner,
                                     .field = hinted && hinted->name
                                                  ? molt_match_hint_path(m, p, hinted->name)
                                                  : NULL,
                                     .old_field = old,
                                     .new_field = new,
                                     .peers = p,
                                     .is_tail = at->is_tail &&
                                                (!old || old == &p->old.items[p->old.n - 1]) &&
                                                (!new || new == &p->new.items[p->new.n - 1]),
                                     .is_element = p->is_element,
                                     .old_align = at->old_align,
                                     .depth = at->depth + 1};
    if (shown->name)
        inner.path = molt_match_text(m, "%s%s%s", at->path, *at->path ? "." : "", shown->name);
    return inner;
}

static bool is_open(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[molt_graph_whole(g, type)];
    return node->kind == MOLT_KIND_ARRAY && node->count == MOLT_COUNT_OPEN;
}

static void line_bits(struct molt_matcher *m, const struct molt_match_place *at)
{
    uint32_t a = at->old_field->bit_size, b = at->new_field->bit_size;
    if (a && b && a != b)
        molt_match_line(m, "%s  %" PRIu32 " bits -> %" PRIu32 " bits", at->path, a, b);
    else if (!a || !b)
        molt_match_line(m, "%s  %s -> %s", at->path, a ? "bitfield" : "no bitfield",
                        b ? "bitfield" : "no bitfield");
}

/* Both fields are there. */
static void match_field(struct molt_matcher *m, struct molt_step_list *list,
                        const struct molt_match_place *at, const struct molt_match_pairing *p,
                        const struct molt_field *old, const struct molt_field *new)
{
    struct molt_match_place inner = place_of(m, at, p, old, new);
    const struct molt_node *kind = molt_match_new(m, molt_graph_whole(&m->to.graph, new->type));
    if (kind->kind != MOLT_KIND_RECORD && kind->kind != MOLT_KIND_ARRAY)
        molt_match_line_types(m, &inner);
    if (old->bit_size || new->bit_size) {
        line_bits(m, &inner);
        inner.old_at = 8 * at->old_at + old->bit_offset;
        inner.new_at = 8 * at->new_at + new->bit_offset;
        molt_match_bits(m, list, inner);
        return;
    }
    bool was_open = is_open(&m->from.graph, old->type),
         is_open_now = is_open(&m->to.graph, new->type);
    if (!was_open && !is_open_now) {
        molt_match_value(m, list, inner);
    } else if (inner.is_tail) {
        if (was_open != is_open_now)
            molt_match_refuse_types(m, &inner, MOLT_MATCH_FLEXIBLE, NULL,
                                    "only one of them is flexible");
        else
            molt_match_flexible(m, list, inner);
    } else if (was_open != is_open_now || old == &p->old.items[p->old.n - 1]) {
        molt_match_refuse_types(m, &inner, MOLT_MATCH_FLEXIBLE, NULL,
                                "it isn't the last member of the whole type in both");
    }
}

/* ---- new fields --------------------------------------------------------- */

static bool is_zero(const uint8_t *bytes, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (bytes[i])
            return false;
    return true;
}

/* The bytes that a new field gets; NULL: zero. @ret_bit: where in the first of them it starts. */
static const uint8_t *value_of(struct molt_matcher *m, const struct molt_match_pairing *p,
                               const struct molt_field *field, unsigned *ret_bit)
{
    *ret_bit = 0;
    if (m->options->is_backward || p->is_element || !field->name)
        return NULL;
    const char *path = molt_match_hint_path(m, p, field->name);
    const struct molt_image_hint *h =
        molt_match_hint(m, MOLT_HINT_DEFAULT, p->owner, path, NULL, NULL);
    if (h)
        return h->value;
    h = molt_match_hint(m, MOLT_HINT_EXAMPLE, p->owner, NULL, NULL, NULL);
    struct molt_field found;
    if (!h || !molt_field_at(&m->to.graph, p->owner, path, &found))
        return NULL;
    *ret_bit = found.bit_offset % 8;
    return h->value + found.bit_offset / 8;
}

static void line_added(struct molt_matcher *m, const struct molt_match_place *at,
                       const uint8_t *bytes, uint64_t size)
{
    unsigned width;
    bool is_signed;
    uint64_t word = 0;
    if (!bytes && m->subject.is_variable) {
        molt_match_line(m, "+%s, as it is initialised", at->path);
    } else if (!bytes || is_zero(bytes, size)) {
        molt_match_line(m, "+%s = 0", at->path);
    } else if (molt_match_integer(&m->to.graph, at->new, &width, &is_signed) && size <= 8) {
        memcpy(&word, bytes, size);
        int64_t value = (int64_t)(word << (64 - 8 * size)) >> (64 - 8 * size);
        if (is_signed)
            molt_match_line(m, "+%s = %" PRId64, at->path, value);
        else
            molt_match_line(m, "+%s = %" PRIu64, at->path, word);
    } else {
        molt_match_line(m, "+%s = its default", at->path);
    }
}

static void add_field(struct molt_matcher *m, struct molt_step_list *list,
                      const struct molt_match_place *at, const struct molt_match_pairing *p,
                      const struct molt_field *field)
{
    unsigned bit;
    struct molt_match_place inner = place_of(m, at, p, NULL, field);
    const uint8_t *bytes = value_of(m, p, field, &bit);
    uint64_t size = molt_graph_size(&m->to.graph, field->type);
    molt_make_gap(list);
    if (field->bit_size) {
        molt_match_line(m, "+%s", inner.path);
        return;
    }
    line_added(m, &inner, bytes, size);
    if (bytes && (m->subject.is_variable || !is_zero(bytes, size)))
        molt_make_set(&m->maker, list, molt_match_at(m, &inner), bytes, size);
}

/* Bits of an example go first: bitfields beside them are written over the same bytes. */
static void set_bits(struct molt_matcher *m, struct molt_step_list *list,
                     const struct molt_match_place *at, const struct molt_match_pairing *p)
{
    uint32_t new = molt_graph_whole(&m->to.graph, at->new);
    uint64_t size = molt_match_new(m, new)->size;
    uint8_t *bytes = NULL;
    for (size_t i = 0; i < p->new.n; i++) {
        const struct molt_field *field = &p->new.items[i];
        unsigned bit;
        if (!field->bit_size || p->old_of[i] != SIZE_MAX)
            continue;
        const uint8_t *from = value_of(m, p, field, &bit);
        if (from && !bytes && !(bytes = molt_arena_alloc(&m->arena, size + 1))) {
            molt_match_fail(m, MOLT_ENOMEM);
            return;
        }
        for (uint64_t k = 0; from && k < field->bit_size; k++) {
            uint64_t to = field->bit_offset + k;
            if (from[(bit + k) / 8] >> ((bit + k) % 8) & 1 && to / 8 < size)
                bytes[to / 8] |= (uint8_t)(1u << to % 8);
        }
    }
    for (uint64_t i = 0; bytes && i < size; i++) {
        if (!bytes[i])
            continue;
        struct molt_make_at one = molt_match_at(m, at);
        one.new_at += i;
        molt_make_set(&m->maker, list, one, bytes + i, 1);
    }
}

/* ---- fields that are gone ------------------------------------------------ */

/* The new field that @old could have become; NULL: none. */
static const struct molt_field *successor(struct molt_matcher *m, const struct molt_match_place *at,
                                          const struct molt_match_pairing *p,
                                          const struct molt_field *old)
{
    for (size_t i = 0; i < p->new.n; i++) {
        const struct molt_field *new = &p->new.items[i];
        struct molt_match_pairing blind = *p;
        struct molt_step_list scratch = {0};
        if (p->old_of[i] != SIZE_MAX || !new->name || !old->name)
            continue;
        unsigned before = m->denials;
        size_t n_steps = m->maker.n_steps;
        blind.owner = MOLT_NODE_NONE; /* hints about the new field say nothing of this one */
        m->trials++;
        match_field(m, &scratch, at, &blind, old, new);
        m->trials--;
        molt_step_list_fini(&scratch);
        bool could = m->denials == before;
        m->denials = before;
        m->maker.n_steps = n_steps;
        if (could)
            return new;
    }
    return NULL;
}

static void refuse_ambiguous(struct molt_matcher *m, const struct molt_match_place *at,
                             const struct molt_match_pairing *p, const struct molt_field *old,
                             const struct molt_field *new)
{
    struct molt_match_place inner = place_of(m, at, p, old, NULL);
    const char *owner = molt_match_owner_text(m, &inner);
    const char *a = molt_match_hint_path(m, p, old->name),
               *b = molt_match_hint_path(m, p, new->name);
    molt_match_refuse(m, &inner, MOLT_MATCH_AMBIGUOUS,
                      molt_match_text(m,
                                      "MOLT_RENAMED(%s, %s, %s);  /* %s was called %s */\n"
                                      "MOLT_DROP(%s, %s);  /* or: %s is gone */\n",
                                      owner, b, a, b, a, owner, a, a),
                      "%s is gone and %s is new: renamed, or not?", old->name, new->name);
}

/* Where a name went that was a field's, into or out of an anonymous union. */
static bool is_in_union(const struct molt_graph *g, const struct molt_fields *fields,
                        const char *name)
{
    struct molt_field unused;
    for (size_t i = 0; i < fields->n; i++)
        if (!fields->items[i].name &&
            molt_field_at(g, molt_graph_whole(g, fields->items[i].type), name, &unused))
            return true;
    return false;
}

static bool has_new_union(const struct molt_match_pairing *p)
{
    for (size_t i = 0; i < p->new.n; i++)
        if (!p->new.items[i].name && p->old_of[i] == SIZE_MAX)
            return true;
    return false;
}

/* A union without a name that is gone: is one of its members a new field, or has
 * it become another union? */
static bool has_left_union(const struct molt_matcher *m, const struct molt_match_pairing *p,
                           const struct molt_field *old)
{
    struct molt_field unused;
    uint32_t whole = molt_graph_whole(&m->from.graph, old->type);
    for (size_t i = 0; i < p->new.n; i++)
        if (p->new.items[i].name &&
            p->old_of[i] ==
                SIZE_MAX &&molt_field_at(&m->from.graph, whole, p->new.items[i].name, &unused))
            return true;
    return has_new_union(p);
}

static void drop_field(struct molt_matcher *m, struct molt_step_list *list,
                       const struct molt_match_place *at, const struct molt_match_pairing *p,
                       const struct molt_field *old)
{
    struct molt_match_place inner = place_of(m, at, p, old, NULL);
    bool was_union_member =
        old->name ? is_in_union(&m->to.graph, &p->new, old->name) : has_left_union(m, p, old);
    if (was_union_member) {
        molt_match_refuse(m, &inner, MOLT_MATCH_UNION, NULL,
                          "it moved into, out of or between unions");
        return;
    }
    if (is_open(&m->from.graph, old->type) && old == &p->old.items[p->old.n - 1] && at->is_tail) {
        const char *path = old->name ? molt_match_hint_path(m, p, old->name) : "";
        if (!m->options->is_backward &&
            !molt_match_hint(m, MOLT_HINT_DROP, p->owner, NULL, path, NULL)) {
            molt_match_refuse(m, &inner, MOLT_MATCH_FLEXIBLE,
                              molt_match_text(m, "MOLT_DROP(%s, %s);\n",
                                              molt_match_owner_text(m, &inner), path),
                              "its elements would be lost");
            return;
        }
        molt_match_flexible(m, list, inner);
    }
    const char *path = old->name ? molt_match_hint_path(m, p, old->name) : NULL;
    bool is_decided = m->options->is_backward || !path;
    if (!is_decided) {
        const struct molt_field *new = successor(m, at, p, old);
        if (new && !molt_match_hint(m, MOLT_HINT_DROP, p->owner, NULL, path, NULL)) {
            refuse_ambiguous(m, at, p, old, new);
            return;
        }
    }
    molt_match_line(m, "-%s", old->name ? inner.path : "a union");
    molt_match_lose(m, old->name ? inner.path : at->path, old->type);
}

/* ---- the whole ------------------------------------------------------------ */

static void check_semantic(struct molt_matcher *m, const struct molt_match_place *at)
{
    uint64_t a = 0, b = 0;
    uint32_t old = molt_graph_whole(&m->from.graph, at->old);
    uint32_t new = molt_graph_whole(&m->to.graph, at->new);
    molt_map_get(&m->from.graph.semantics, molt_match_old(m, old)->identity, &a);
    molt_map_get(&m->to.graph.semantics, molt_match_new(m, new)->identity, &b);
    if (a != b)
        molt_match_refuse(m, at, MOLT_MATCH_SEMANTIC, NULL, "MOLT_SEMANTIC %" PRId64 " -> %" PRId64,
                          (int64_t)a, (int64_t)b);
}

static void match_fields(struct molt_matcher *m, struct molt_step_list *list,
                         const struct molt_match_place *at, const struct molt_match_pairing *p)
{
    for (size_t i = 0; i < p->old.n; i++)
        list->is_tight |= !p->is_used[i];
    set_bits(m, list, at, p);
    for (size_t i = 0; i < p->new.n && m->code == 0; i++) {
        if (p->old_of[i] == SIZE_MAX)
            add_field(m, list, at, p, &p->new.items[i]);
        else
            match_field(m, list, at, p, &p->old.items[p->old_of[i]], &p->new.items[i]);
    }
    for (size_t i = 0; i < p->old.n && m->code == 0; i++)
        if (!p->is_used[i])
            drop_field(m, list, at, p, &p->old.items[i]);
}

/* Places only matter when nothing else explains a difference. */
static void line_places(struct molt_matcher *m, const struct molt_match_place *at,
                        const struct molt_match_pairing *p)
{
    uint64_t old_size = molt_graph_size(&m->from.graph, at->old);
    uint64_t new_size = molt_graph_size(&m->to.graph, at->new);
    for (size_t i = 0; i < p->new.n; i++) {
        const struct molt_field *new = &p->new.items[i];
        if (p->old_of[i] == SIZE_MAX || !new->name)
            continue;
        const struct molt_field *old = &p->old.items[p->old_of[i]];
        if (old->bit_offset != new->bit_offset)
            molt_match_line(m, "%s%s%s  moved from byte %" PRIu64 " to %" PRIu64, at->path,
                            *at->path ? "." : "", new->name, old->bit_offset / 8,
                            new->bit_offset / 8);
    }
    if (old_size != new_size)
        molt_match_line(m, "%s  %" PRIu64 " bytes -> %" PRIu64 " bytes",
                        *at->path ? at->path : m->subject.bare, old_size, new_size);
}

void molt_match_record(struct molt_matcher *m, struct molt_step_list *list,
                       struct molt_match_place at)
{
    struct molt_match_pairing p;
    unsigned lines = m->subject.n_lines;
    if (!molt_match_pairing_init(m, &at, &p)) {
        molt_match_fail(m, MOLT_ENOMEM);
        molt_match_pairing_fini(&p);
        return;
    }
    check_semantic(m, &at);
    match_fields(m, list, &at, &p);
    if (m->subject.n_lines == lines)
        line_places(m, &at, &p);
    molt_match_pairing_fini(&p);
}
