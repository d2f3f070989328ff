/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Integers, floats, bool, bitfields. */
#include <dwarf.h>
#include <string.h>

#include "types/match_work.h"

#define BITS_MAX 64u /* of a bitfield in a step */

enum class { CLASS_BOOL, CLASS_INTEGER, CLASS_FLOAT, CLASS_COMPLEX, CLASS_OTHER };

struct scalar {
    enum class class;
    unsigned bytes;
    bool is_signed;
    const char *name;
};

static enum class class_of(unsigned encoding) {
    switch (encoding){
        case DW_ATE_boolean : return CLASS_BOOL; case DW_ATE_signed : case DW_ATE_signed_char : case
        DW_ATE_unsigned : case DW_ATE_unsigned_char : case DW_ATE_UTF : return CLASS_INTEGER;
        case DW_ATE_float : return CLASS_FLOAT;
        case DW_ATE_complex_float : return CLASS_COMPLEX;
        default : return CLASS_OTHER;
    }
}

static bool is_negative(const struct molt_node *enumeration)
{
    for (uint32_t i = 0; i < enumeration->n_members; i++)
        if (enumeration->members[i].value < 0)
            return true;
    return false;
}

static bool is_step_width(uint64_t bytes)
{
    return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16;
}

static struct scalar scalar_of(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[molt_graph_whole(g, type)];
    struct scalar s = {.class = CLASS_OTHER, .bytes = (unsigned)node->size, .name = node->name};
    if (node->kind == MOLT_KIND_ENUM) {
        s.class = CLASS_INTEGER;
        s.is_signed = is_negative(node);
    } else if (node->kind == MOLT_KIND_BASE) {
        s.class = class_of(node->encoding);
        s.is_signed = node->encoding == DW_ATE_signed || node->encoding == DW_ATE_signed_char;
    }
    /* How many bits of a _BitInt count is only in its name. */
    if (s.class == CLASS_INTEGER &&
        (!is_step_width(node->size) || (s.name && strstr(s.name, "_BitInt"))))
        s.class = CLASS_OTHER;
    return s;
}

bool molt_match_integer(const struct molt_graph *g, uint32_t type, unsigned *ret_bytes,
                        bool *ret_is_signed)
{
    struct scalar s = scalar_of(g, type);
    *ret_bytes = s.bytes;
    *ret_is_signed = s.is_signed;
    return s.class == CLASS_INTEGER;
}

bool molt_match_is_bool(const struct molt_graph *g, uint32_t type)
{
    return scalar_of(g, type).class == CLASS_BOOL;
}

bool molt_match_is_byte(const struct molt_graph *g, uint32_t type)
{
    struct scalar s = scalar_of(g, type);
    return s.class == CLASS_INTEGER && s.bytes == 1 &&
           g->nodes[molt_graph_whole(g, type)].kind == MOLT_KIND_BASE;
}

/* A typedef on the way says that it holds an address. */
static bool is_intptr(const struct molt_graph *g, uint32_t type)
{
    for (;;) {
        const struct molt_node *node = &g->nodes[type];
        if (node->kind == MOLT_KIND_TYPEDEF &&
            (strcmp(node->name, "intptr_t") == 0 || strcmp(node->name, "uintptr_t") == 0))
            return true;
        if (node->kind != MOLT_KIND_TYPEDEF && node->kind != MOLT_KIND_QUALIFIED)
            return false;
        type = node->target;
    }
}

static unsigned sign_flags(const struct scalar *old, const struct scalar *new)
{
    return (old->is_signed ? MOLT_STEP_OLD_SIGNED : 0) |
           (new->is_signed ? MOLT_STEP_NEW_SIGNED : 0);
}

static void make(struct molt_matcher *m, struct molt_step_list *list,
                 const struct molt_match_place *at, enum molt_step_kind kind, unsigned old_bytes,
                 unsigned new_bytes, unsigned flags, uint32_t count)
{
    struct molt_step step = {.kind = (uint8_t)kind,
                             .flags = (uint8_t)flags,
                             .old_bytes = (uint8_t)old_bytes,
                             .new_bytes = (uint8_t)new_bytes,
                             .count = count,
                             .type = molt_match_type_id(m, at->old)};
    molt_make_leaf(&m->maker, list, molt_match_at(m, at), step);
}

/* Is it the same kind of number in the same bytes? 16 bytes are long double or, under
 * another name, a quadruple. */
static bool is_equal(const struct scalar *a, const struct scalar *b)
{
    if (a->class != b->class || a->bytes != b->bytes || a->is_signed != b->is_signed)
        return false;
    bool goes_by_name = a->class == CLASS_OTHER || (a->class == CLASS_FLOAT && a->bytes == 16) ||
                        (a->class == CLASS_COMPLEX && a->bytes == 32);
    return !goes_by_name || (a->name && b->name && strcmp(a->name, b->name) == 0);
}

static void copy(struct molt_matcher *m, struct molt_step_list *list,
                 const struct molt_match_place *at, unsigned bytes)
{
    bool is_word = bytes == 8 && at->old_at % 8 == 0 &&
                   (is_intptr(&m->from.graph, at->old) || is_intptr(&m->to.graph, at->new));
    if (is_word)
        make(m, list, at, MOLT_STEP_WORD, 0, 0, 0, 1);
    else
        molt_make_copy(&m->maker, list, molt_match_at(m, at), bytes,
                       molt_match_type_id(m, at->old));
}

static void match_integers(struct molt_matcher *m, struct molt_step_list *list,
                           const struct molt_match_place *at, const struct scalar *old,
                           const struct scalar *new)
{
    if (new->bytes < old->bytes && !m->options->is_backward) {
        molt_match_refuse_types(m, at, MOLT_MATCH_NARROWING, NULL, "a value could be too large");
        return;
    }
    make(m, list, at, MOLT_STEP_INT, old->bytes, new->bytes, sign_flags(old, new), 1);
}

/* 0 and 1 are true and false; others would be neither. */
static void match_to_bool(struct molt_matcher *m, struct molt_step_list *list,
                          const struct molt_match_place *at, const struct scalar *old)
{
    if (!m->options->is_backward) {
        molt_match_refuse_types(m, at, MOLT_MATCH_OTHER_KIND, NULL,
                                "only a rule of yours can make it true or false");
        return;
    }
    struct molt_step fits = {.kind = MOLT_STEP_FITS,
                             .flags = old->is_signed ? MOLT_STEP_OLD_SIGNED : 0,
                             .old_bytes = (uint8_t)old->bytes,
                             .count = 1,
                             .limit = 1};
    molt_make_leaf(&m->maker, list, molt_match_at(m, at), fits);
    make(m, list, at, MOLT_STEP_INT, old->bytes, 1, sign_flags(old, &(struct scalar){0}), 1);
}

static bool is_float_width(const struct scalar *s, unsigned parts)
{
    unsigned bytes = s->bytes / parts;
    return bytes == 4 || bytes == 8 || (bytes == 16 && s->name && strstr(s->name, "long double"));
}

static void match_floats(struct molt_matcher *m, struct molt_step_list *list,
                         const struct molt_match_place *at, const struct scalar *old,
                         const struct scalar *new)
{
    unsigned parts = old->class == CLASS_COMPLEX ? 2 : 1;
    if (!is_float_width(old, parts) || !is_float_width(new, parts) || old->bytes == new->bytes) {
        molt_match_refuse_types(m, at, MOLT_MATCH_OTHER_KIND, NULL, "another kind of number");
        return;
    }
    if (new->bytes < old->bytes && !m->options->is_backward) {
        molt_match_refuse_types(m, at, MOLT_MATCH_NARROWING, NULL, "values could lose digits");
        return;
    }
    make(m, list, at, MOLT_STEP_FLOAT, old->bytes / parts, new->bytes / parts, 0, parts);
}

void molt_match_scalar(struct molt_matcher *m, struct molt_step_list *list,
                       struct molt_match_place at)
{
    struct scalar old = scalar_of(&m->from.graph, at.old), new = scalar_of(&m->to.graph, at.new);
    if (is_equal(&old, &new))
        copy(m, list, &at, old.bytes);
    else if (old.class == CLASS_INTEGER && new.class == CLASS_INTEGER)
        match_integers(m, list, &at, &old, &new);
    else if (old.class == CLASS_BOOL && new.class == CLASS_INTEGER)
        make(m, list, &at, MOLT_STEP_INT, old.bytes, new.bytes, sign_flags(&old, &new), 1);
    else if (old.class == CLASS_INTEGER && new.class == CLASS_BOOL)
        match_to_bool(m, list, &at, &old);
    else if (old.class == new.class && (old.class == CLASS_FLOAT || old.class == CLASS_COMPLEX))
        match_floats(m, list, &at, &old, &new);
    else
        molt_match_refuse_types(m, &at, MOLT_MATCH_OTHER_KIND, NULL, "another kind of value");
}

static unsigned bits_of(const struct molt_field *field, const struct scalar *s)
{
    return field->bit_size ? field->bit_size : s->class == CLASS_BOOL ? 8 : 8 * s->bytes;
}

void molt_match_bits(struct molt_matcher *m, struct molt_step_list *list,
                     struct molt_match_place at)
{
    struct scalar old = scalar_of(&m->from.graph, at.old), new = scalar_of(&m->to.graph, at.new);
    unsigned a = bits_of(at.old_field, &old), b = bits_of(at.new_field, &new);
    bool are_numbers = (old.class == CLASS_INTEGER || old.class == CLASS_BOOL) &&
                       (new.class == CLASS_INTEGER || new.class == CLASS_BOOL);
    bool is_to_bool = new.class == CLASS_BOOL &&old.class != CLASS_BOOL;
    bool are_bools = new.class == CLASS_BOOL &&old.class == CLASS_BOOL;
    if (!are_numbers || a > BITS_MAX || b > BITS_MAX || (is_to_bool && !m->options->is_backward)) {
        molt_match_refuse_types(m, &at, MOLT_MATCH_OTHER_KIND, NULL, "another kind of value");
        return;
    }
    if (molt_match_old(m, molt_graph_whole(&m->from.graph, at.old))->kind == MOLT_KIND_ENUM ||
        molt_match_new(m, molt_graph_whole(&m->to.graph, at.new))->kind == MOLT_KIND_ENUM) {
        molt_match_enum(m, list, at, a, b);
        return;
    }
    if (at.old_at > UINT32_MAX || at.new_at > UINT32_MAX) {
        molt_match_refuse(m, &at, MOLT_MATCH_TOO_BIG, NULL, "a bitfield behind 512 MiB");
        return;
    }
    if (b < a && !are_bools && !m->options->is_backward) {
        molt_match_refuse(m, &at, MOLT_MATCH_NARROWING, NULL, "%u bits -> %u bits", a, b);
        return;
    }
    molt_make_bits(&m->maker, list, molt_match_at(m, &at), a, new.class == CLASS_BOOL ? 1 : b,
                   sign_flags(&old, &new));
}
