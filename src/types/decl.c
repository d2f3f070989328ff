/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Layout follows the psABI's rules (System V x86-64 3.1.2, AAPCS64 5.9): each member at
 * the next multiple of its alignment, bitfields in units of their type. Where the debug
 * info has something else, there were attributes or nameless bitfields: then the struct
 * is written packed, with nameless bitfields for each gap, which DWARF doesn't count as
 * members.
 */
#include "types/decl.h"

#include <dwarf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 48
#define DECLARATOR_MAX 512

struct printer {
    const struct molt_graph *graph;
    const struct molt_decl_options *options;
    struct molt_buf *out;
    size_t n_done, cap_done;
    uint32_t *done; /* records that are declared */
    int code;
};

enum style { STYLE_NATURAL, STYLE_ALIGNED, STYLE_PACKED };

struct layout {
    enum style style;
    uint64_t align; /* bytes */
};

static struct layout layout_of(const struct molt_graph *g, const struct molt_node *node, int depth);

static uint64_t align_of(const struct molt_graph *g, uint32_t type, int depth)
{
    const struct molt_node *node = &g->nodes[molt_graph_whole(g, type)];
    if (depth > DEPTH_MAX)
        return 1;
    switch (node->kind) {
    case MOLT_KIND_BASE:
        return node->encoding == DW_ATE_complex_float ? node->size / 2 : node->size;
    case MOLT_KIND_ARRAY:
        return align_of(g, node->target, depth + 1);
    case MOLT_KIND_RECORD:
        return layout_of(g, node, depth + 1).align;
    case MOLT_KIND_POINTER:
    case MOLT_KIND_ENUM:
        return node->size;
    default:
        return 1;
    }
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return unit < 2 ? value : (value + unit - 1) / unit * unit;
}

/* Where a member comes to lie behind bit @end; all are bits. */
static uint64_t natural_place(const struct molt_graph *g, const struct molt_member *m,
                              uint64_t align, uint64_t end)
{
    uint64_t unit = 8 * molt_graph_size(g, m->type);
    if (m->bit_size == 0)
        return round_up(end, 8 * align);
    return unit && end % unit + m->bit_size > unit ? round_up(end, unit) : end;
}

static struct layout layout_of(const struct molt_graph *g, const struct molt_node *node, int depth)
{
    struct layout natural = {STYLE_NATURAL, 1};
    static const struct layout packed = {STYLE_PACKED, 1};
    uint64_t end = 0, most = 0;
    for (uint32_t i = 0; i < node->n_members; i++) {
        const struct molt_member *m = &node->members[i];
        uint64_t align = align_of(g, m->type, depth);
        uint64_t bits = m->bit_size ? m->bit_size : 8 * molt_graph_size(g, m->type);
        if (natural_place(g, m, align, node->is_union ? 0 : end) != m->bit_offset)
            return packed;
        natural.align = align > natural.align ? align : natural.align;
        end = m->bit_offset + bits;
        most = end > most ? end : most;
    }
    uint64_t bytes = (most + 7) / 8;
    if (round_up(bytes, natural.align) == node->size)
        return natural;
    for (uint64_t align = natural.align; align <= 4096; align *= 2)
        if (round_up(bytes, align) == node->size)
            return (struct layout){STYLE_ALIGNED, align};
    return packed;
}

/* ---- names ------------------------------------------------------------------ */

static bool is_done(const struct printer *p, uint32_t record)
{
    for (size_t i = 0; i < p->n_done; i++)
        if (p->done[i] == record || molt_graph_is_same(p->graph, p->done[i], record))
            return true;
    return false;
}

static const char *record_word(const struct molt_node *node)
{
    return node->is_union ? "union" : "struct";
}

/* Compilers call complex numbers "complex float", or just "complex". */
static void print_base(const struct molt_node *node, struct molt_buf *out)
{
    if (node->encoding == DW_ATE_complex_float)
        molt_buf_printf(out, "%s _Complex",
                        node->size == 8    ? "float"
                        : node->size == 16 ? "double"
                                           : "long double");
    else
        molt_buf_adds(out, node->name);
}

static void print_enum(const struct molt_node *node, struct molt_buf *out)
{
    bool is_signed = false;
    for (uint32_t i = 0; i < node->n_members; i++)
        is_signed |= node->members[i].value < 0;
    const char *word = node->size == 1   ? "char"
                       : node->size == 2 ? "short"
                       : node->size == 4 ? "int"
                                         : "long";
    molt_buf_printf(out, "%s %s", is_signed ? "signed" : "unsigned", word);
}

static void print_body(struct printer *p, uint32_t record, int depth, int indent);

static void print_target(struct printer *p, uint32_t type, const char *declarator, int depth);

/* A type that a pointer leads to. */
static void print_pointee(struct printer *p, uint32_t type, const char *declarator, int depth)
{
    uint32_t whole = molt_graph_whole(p->graph, type);
    const struct molt_node *node = &p->graph->nodes[whole];
    char inner[DECLARATOR_MAX];
    snprintf(inner, sizeof inner, "*%.500s", declarator);
    switch (node->kind) {
    case MOLT_KIND_FUNCTION:
        molt_buf_printf(p->out, "void (%s)(void)", inner);
        return;
    case MOLT_KIND_RECORD:
        if (!node->name) {
            molt_buf_printf(p->out, "void %s", inner);
        } else if (is_done(p, whole) || p->options->is_changed(p->options->user, whole)) {
            molt_buf_printf(p->out, "%s %s%s %s", record_word(node), node->name, p->options->suffix,
                            inner);
        } else {
            molt_buf_printf(p->out, "%s%s%s %s", node->is_tagless ? "" : record_word(node),
                            node->is_tagless ? "" : " ", node->name, inner);
        }
        return;
    case MOLT_KIND_ARRAY:
        molt_buf_printf(p->out, "void %s", inner);
        return;
    default:
        print_target(p, whole, inner, depth + 1);
    }
}

static void print_array(struct printer *p, const struct molt_node *node, const char *declarator,
                        int depth)
{
    char inner[DECLARATOR_MAX];
    uint64_t count = node->count == MOLT_COUNT_OPEN ? 0 : node->count;
    snprintf(inner, sizeof inner, "%.480s[%" PRIu64 "]", declarator, count);
    print_target(p, node->target, inner, depth + 1);
}

/* "T declarator" for a value of @type. */
static void print_target(struct printer *p, uint32_t type, const char *declarator, int depth)
{
    unsigned quals = 0;
    molt_graph_strip(p->graph, type, &quals);
    uint32_t whole = molt_graph_whole(p->graph, type);
    const struct molt_node *node = &p->graph->nodes[whole];
    if (depth > DEPTH_MAX) {
        p->code = MOLT_ELIMIT;
        return;
    }
    bool is_pointer = node->kind == MOLT_KIND_POINTER;
    char qualified[DECLARATOR_MAX];
    if (is_pointer && (quals & MOLT_QUAL_ATOMIC)) {
        snprintf(qualified, sizeof qualified, " _Atomic %.490s", declarator);
        declarator = qualified;
    } else if (quals & MOLT_QUAL_ATOMIC) {
        molt_buf_adds(p->out, "_Atomic ");
    }
    switch (node->kind) {
    case MOLT_KIND_BASE:
        print_base(node, p->out);
        break;
    case MOLT_KIND_ENUM:
        print_enum(node, p->out);
        break;
    case MOLT_KIND_RECORD:
        if (node->name)
            molt_buf_printf(p->out, "%s %s%s", record_word(node), node->name, p->options->suffix);
        else
            print_body(p, whole, depth + 1, depth + 1);
        break;
    case MOLT_KIND_POINTER:
        print_pointee(p, node->target, declarator, depth);
        return;
    case MOLT_KIND_ARRAY:
        print_array(p, node, declarator, depth);
        return;
    default:
        molt_buf_adds(p->out, "void");
    }
    molt_buf_printf(p->out, "%s%s", *declarator ? " " : "", declarator);
}

/* ---- bodies ------------------------------------------------------------------- */

static void indent_by(struct printer *p, int indent)
{
    for (int i = 0; i < indent; i++)
        molt_buf_adds(p->out, "    ");
}

/* Bits that hold nothing: nameless bitfields, which aren't members. */
static void print_gap(struct printer *p, uint64_t bits, int indent)
{
    for (; bits > 0; bits -= bits > 32 ? 32 : bits) {
        indent_by(p, indent);
        molt_buf_printf(p->out, "unsigned int : %" PRIu64 ";\n", bits > 32 ? 32 : bits);
    }
}

static void print_member(struct printer *p, const struct molt_member *m, int depth, int indent)
{
    char declarator[DECLARATOR_MAX];
    snprintf(declarator, sizeof declarator, "%.500s", m->name ? m->name : "");
    indent_by(p, indent);
    print_target(p, m->type, declarator, depth);
    if (m->bit_size)
        molt_buf_printf(p->out, " : %" PRIu32, m->bit_size);
    molt_buf_adds(p->out, ";\n");
}

static void print_members(struct printer *p, const struct molt_node *node, bool is_packed,
                          int depth, int indent)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < node->n_members && p->code == 0; i++) {
        const struct molt_member *m = &node->members[i];
        if (is_packed && !node->is_union && m->bit_offset > end)
            print_gap(p, m->bit_offset - end, indent);
        print_member(p, m, depth, indent);
        end = m->bit_offset + (m->bit_size ? m->bit_size : 8 * molt_graph_size(p->graph, m->type));
    }
    if (is_packed && !node->is_union && 8 * node->size > end)
        print_gap(p, 8 * node->size - end, indent);
}

/* "struct { ... }", or with a tag. @indent is that of the closing brace. */
static void print_body(struct printer *p, uint32_t record, int depth, int indent)
{
    const struct molt_node *node = &p->graph->nodes[record];
    struct layout layout = layout_of(p->graph, node, 0);
    molt_buf_printf(p->out, "%s ", record_word(node));
    if (node->name)
        molt_buf_printf(p->out, "%s%s ", node->name, p->options->suffix);
    molt_buf_adds(p->out, "{\n");
    print_members(p, node, layout.style == STYLE_PACKED, depth, indent + 1);
    indent_by(p, indent);
    molt_buf_adds(p->out, "}");
    if (layout.style == STYLE_PACKED)
        molt_buf_adds(p->out, " __attribute__((packed))");
    else if (layout.style == STYLE_ALIGNED)
        molt_buf_printf(p->out, " __attribute__((aligned(%" PRIu64 ")))", layout.align);
}

/* What lies inside by value first. */
static void declare(struct printer *p, uint32_t type, int depth)
{
    uint32_t whole = molt_graph_whole(p->graph, type);
    const struct molt_node *node = &p->graph->nodes[whole];
    if (depth > DEPTH_MAX)
        p->code = MOLT_ELIMIT;
    if (p->code)
        return;
    if (node->kind == MOLT_KIND_ARRAY)
        declare(p, node->target, depth + 1);
    if (node->kind != MOLT_KIND_RECORD || is_done(p, whole))
        return;
    if (node->name) {
        if (molt_array_grow(p->done, p->n_done, p->cap_done) < 0) {
            p->code = MOLT_ENOMEM;
            return;
        }
        p->done[p->n_done++] = whole;
    }
    for (uint32_t i = 0; i < node->n_members; i++)
        declare(p, node->members[i].type, depth + 1);
    if (!node->name || p->code)
        return;
    print_body(p, whole, 0, 0);
    molt_buf_adds(p->out, ";\n");
}

int molt_decl_print(const struct molt_graph *graph, uint32_t record,
                    const struct molt_decl_options *options, struct molt_buf *out)
{
    struct printer p = {.graph = graph, .options = options, .out = out};
    declare(&p, record, 0);
    free(p.done);
    if (p.code == 0 && out->is_failed)
        p.code = MOLT_ENOMEM;
    return p.code;
}
