/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* From DWARF entries to nodes. DWARF 5, chapter 5 "Type entries". */
#include "types/graph_read.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "types/rules.h"

#define MEMBERS_MAX 1000000u

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "reading types: out of memory");
}

static int bad(struct molt_error *err, const char *found)
{
    return molt_rule_break(err, MOLT_RULE_DEBUG_BAD, "%s", found);
}

static bool number_of(Dwarf_Die *die, unsigned name, uint64_t *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Word value;
    if (!dwarf_attr_integrate(die, name, &attr) || dwarf_formudata(&attr, &value) != 0)
        return false;
    *ret = value;
    return true;
}

static bool flag_of(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attr;
    bool value = false;
    return dwarf_attr(die, name, &attr) && dwarf_formflag(&attr, &value) == 0 && value;
}

static const char *name_of(Dwarf_Die *die)
{
    Dwarf_Attribute attr;
    return dwarf_attr_integrate(die, DW_AT_name, &attr) ? dwarf_formstring(&attr) : NULL;
}

/* The next entry; guards against a DW_AT_sibling that leads back. */
static int next_of(Dwarf_Die *die, struct molt_error *err)
{
    Dwarf_Die next;
    int rc = dwarf_siblingof(die, &next);
    if (rc < 0 || (rc == 0 && (const char *)next.addr <= (const char *)die->addr))
        return bad(err, "a type's parts don't end");
    *die = next;
    return rc == 0;
}

static int add_node(struct molt_graph *g, Dwarf_Die *die, enum molt_node_kind kind, uint32_t *ret,
                    struct molt_error *err)
{
    if (g->n_nodes >= MOLT_NODE_NONE || molt_array_grow(g->nodes, g->n_nodes, g->cap_nodes) < 0)
        return no_memory(err);
    *ret = (uint32_t)g->n_nodes++;
    struct molt_node *node = &g->nodes[*ret];
    *node = (struct molt_node){.kind = kind, .completed = *ret, .unit = SIZE_MAX};
    if (!die)
        return 0;
    const struct molt_unit *unit = molt_debug_unit(g->debug, die);
    if (unit)
        node->unit = (size_t)(unit - g->debug->units);
    if (molt_map_put(&g->node_of_die, (uintptr_t)die->addr, *ret) < 0)
        return no_memory(err);
    return 0;
}

static int read_base(struct molt_graph *g, Dwarf_Die *die, uint32_t *ret, struct molt_error *err)
{
    uint64_t size = 0, encoding = 0;
    int rc = add_node(g, die, MOLT_KIND_BASE, ret, err);
    if (rc < 0)
        return rc;
    if (!number_of(die, DW_AT_byte_size, &size) || !number_of(die, DW_AT_encoding, &encoding) ||
        encoding > UINT8_MAX)
        return bad(err, "a base type without size or encoding");
    const char *name = name_of(die);
    struct molt_node *node = &g->nodes[*ret];
    node->size = size;
    node->encoding = (uint8_t)encoding;
    node->name = molt_graph_base_name(&g->debug->arena, name ? name : "?");
    return node->name ? 0 : no_memory(err);
}

/* Pointers, typedefs and qualifiers: one target. */
static int read_wrapper(struct molt_graph *g, Dwarf_Die *die, enum molt_node_kind kind,
                        unsigned quals, int depth, uint32_t *ret, struct molt_error *err)
{
    uint32_t target;
    int rc = molt_graph_read_type_of(g, die, depth + 1, &target, err);
    if (rc < 0 || (rc = add_node(g, die, kind, ret, err)) < 0)
        return rc;
    struct molt_node *node = &g->nodes[*ret];
    node->target = target;
    node->quals = (uint8_t)quals;
    node->size = kind == MOLT_KIND_POINTER ? sizeof(uint64_t) : 0;
    if (kind == MOLT_KIND_TYPEDEF) {
        node->name = name_of(die);
        if (!node->name)
            return bad(err, "a typedef without a name");
    }
    return 0;
}

/* The number of elements: DW_AT_count, or DW_AT_upper_bound + 1 (also of -1),
 * as constants; nothing or a variable bound leaves the length open. */
static uint64_t length_of(Dwarf_Die *subrange)
{
    Dwarf_Attribute attr;
    Dwarf_Word count;
    Dwarf_Sword upper;
    if (dwarf_attr(subrange, DW_AT_count, &attr) && dwarf_formudata(&attr, &count) == 0)
        return count == 0 || count > UINT64_MAX / 2 ? MOLT_COUNT_OPEN : count;
    if (dwarf_attr(subrange, DW_AT_upper_bound, &attr)) {
        unsigned form = dwarf_whatform(&attr);
        bool is_signed = form == DW_FORM_sdata || form == DW_FORM_implicit_const;
        if (is_signed && dwarf_formsdata(&attr, &upper) == 0 && upper >= 0)
            return (uint64_t)upper + 1;
        if (!is_signed && dwarf_formudata(&attr, &count) == 0 && count < UINT64_MAX / 2)
            return count + 1;
    }
    return MOLT_COUNT_OPEN;
}

#define DIMENSIONS_MAX 64

static int lengths_of(Dwarf_Die *die, uint64_t *counts, size_t *ret_n, struct molt_error *err)
{
    Dwarf_Die part;
    size_t n = 0;
    int more = dwarf_child(die, &part) == 0;
    while (more > 0) {
        if (dwarf_tag(&part) == DW_TAG_subrange_type) {
            if (n == DIMENSIONS_MAX)
                return bad(err, "an array with too many dimensions");
            counts[n++] = length_of(&part);
        }
        more = next_of(&part, err);
    }
    *ret_n = n;
    return more;
}

/* One node per dimension, the innermost first. */
static int read_array(struct molt_graph *g, Dwarf_Die *die, int depth, uint32_t *ret,
                      struct molt_error *err)
{
    uint64_t counts[DIMENSIONS_MAX];
    size_t n = 0;
    uint32_t element;
    int rc = lengths_of(die, counts, &n, err);
    if (rc < 0 || (rc = molt_graph_read_type_of(g, die, depth + 1, &element, err)) < 0)
        return rc;
    if (n == 0)
        return bad(err, "an array without dimensions");
    while (n-- > 0) {
        rc = add_node(g, n == 0 ? die : NULL, MOLT_KIND_ARRAY, ret, err);
        if (rc < 0)
            return rc;
        g->nodes[*ret].count = counts[n];
        g->nodes[*ret].target = element;
        element = *ret;
    }
    return 0;
}

static int add_member(struct molt_member **members, size_t *n, size_t *cap,
                      struct molt_member member, struct molt_error *err)
{
    if (*n >= MEMBERS_MAX)
        return bad(err, "a type with too many members");
    if (molt_array_grow(*members, *n, *cap) < 0)
        return no_memory(err);
    (*members)[(*n)++] = member;
    return 0;
}

/* Move @members to the arena and into @node. Frees @members. */
static int keep_members(struct molt_graph *g, uint32_t node, struct molt_member *members, size_t n,
                        struct molt_error *err)
{
    struct molt_member *kept = molt_arena_alloc(&g->debug->arena, n * sizeof *kept + 1);
    if (kept && n)
        memcpy(kept, members, n * sizeof *kept);
    free(members);
    if (!kept)
        return no_memory(err);
    g->nodes[node].members = kept;
    g->nodes[node].n_members = (uint32_t)n;
    return 0;
}

/* gcc writes sdata only for negative values, data1 to data8 mean unsigned. */
static int64_t value_of(Dwarf_Die *die)
{
    Dwarf_Attribute attr;
    Dwarf_Sword value = 0;
    Dwarf_Word word = 0;
    if (!dwarf_attr(die, DW_AT_const_value, &attr))
        return 0;
    unsigned form = dwarf_whatform(&attr);
    if (form == DW_FORM_sdata || form == DW_FORM_implicit_const)
        dwarf_formsdata(&attr, &value);
    else if (dwarf_formudata(&attr, &word) == 0)
        value = (int64_t)word;
    return value;
}

static int read_enumerators(struct molt_graph *g, uint32_t node, Dwarf_Die *die,
                            struct molt_error *err)
{
    struct molt_member *members = NULL;
    size_t n = 0, cap = 0;
    Dwarf_Die part;
    int more = dwarf_child(die, &part) == 0;
    while (more > 0) {
        struct molt_member member = {.name = name_of(&part)};
        if (dwarf_tag(&part) == DW_TAG_enumerator && member.name) {
            member.value = value_of(&part);
            more = add_member(&members, &n, &cap, member, err);
        }
        if (more >= 0)
            more = next_of(&part, err);
    }
    if (more < 0) {
        free(members);
        return more;
    }
    return keep_members(g, node, members, n, err);
}

/* Name, file and scope of a record or enum, and what they make it. */
static void read_tag(struct molt_graph *g, Dwarf_Die *die, uint32_t index)
{
    struct molt_node *node = &g->nodes[index];
    uint64_t known;
    node->name = name_of(die);
    node->is_incomplete = flag_of(die, DW_AT_declaration);
    if (!node->name && molt_map_get(&g->debug->typedef_of_die, (uintptr_t)die->addr, &known)) {
        node->name = (const char *)(uintptr_t)known;
        node->is_tagless = true;
    }
    if (molt_map_get(&g->debug->scope_of_die, (uintptr_t)die->addr, &known))
        node->scope = (const char *)(uintptr_t)known;
    node->file = molt_debug_source(g->debug, die);
    node->line = (uint32_t)molt_debug_line(die);
    uint64_t size;
    if (!node->is_incomplete && number_of(die, DW_AT_byte_size, &size))
        node->size = size;
}

/* The number that stands for (kind, file, scope, name): equal in all units. */
static int identify(struct molt_graph *g, uint32_t index, struct molt_error *err)
{
    struct molt_node *node = &g->nodes[index];
    if (!node->name || node->is_incomplete)
        return 0;
    const char *text =
        molt_arena_printf(&g->debug->arena, "%d%d%d|%s|%s|%s", node->kind, node->is_union,
                          node->is_tagless, node->file ? node->file->path : "",
                          node->scope ? node->scope : "", node->name);
    if (!text)
        return no_memory(err);
    struct entry {
        const char *text;
        uint32_t number;
    } * entry;
    uint64_t key = molt_map_hash(text), known;
    for (; molt_map_get(&g->identities, key, &known); key++) {
        entry = (struct entry *)(uintptr_t)known;
        if (strcmp(entry->text, text) == 0) {
            node->identity = entry->number;
            return 0;
        }
    }
    entry = molt_arena_alloc(&g->debug->arena, sizeof *entry);
    if (!entry)
        return no_memory(err);
    *entry = (struct entry){.text = text, .number = ++g->n_identities};
    node->identity = entry->number;
    return molt_map_put(&g->identities, key, (uintptr_t)entry) < 0 ? no_memory(err) : 0;
}

static int read_record(struct molt_graph *g, Dwarf_Die *die, bool is_union, uint32_t *ret,
                       struct molt_error *err)
{
    int rc = add_node(g, die, MOLT_KIND_RECORD, ret, err);
    if (rc < 0)
        return rc;
    g->nodes[*ret].is_union = is_union;
    read_tag(g, die, *ret);
    if ((rc = identify(g, *ret, err)) < 0)
        return rc;
    if (molt_array_grow(g->pending, g->n_pending, g->cap_pending) < 0)
        return no_memory(err);
    g->pending[g->n_pending++] = (struct molt_graph_pending){.node = *ret, .die = *die};
    return 0;
}

static int read_enum(struct molt_graph *g, Dwarf_Die *die, uint32_t *ret, struct molt_error *err)
{
    int rc = add_node(g, die, MOLT_KIND_ENUM, ret, err);
    if (rc < 0)
        return rc;
    read_tag(g, die, *ret);
    if ((rc = identify(g, *ret, err)) < 0)
        return rc;
    return read_enumerators(g, *ret, die, err);
}

/* Qualifiers of a parameter itself, or of what is returned, aren't part of the
 * function's type (C17 6.7.6.3); but an atomic type is another type. */
static uint32_t unqualified(const struct molt_graph *g, uint32_t type)
{
    while (g->nodes[type].kind == MOLT_KIND_QUALIFIED && g->nodes[type].quals != MOLT_QUAL_ATOMIC)
        type = g->nodes[type].target;
    return type;
}

static int read_parameters(struct molt_graph *g, Dwarf_Die *die, int depth,
                           struct molt_member **members, size_t *n, bool *is_variadic,
                           struct molt_error *err)
{
    size_t cap = 0;
    Dwarf_Die part;
    int more = dwarf_child(die, &part) == 0;
    while (more > 0) {
        int tag = dwarf_tag(&part);
        *is_variadic |= tag == DW_TAG_unspecified_parameters;
        if (tag == DW_TAG_formal_parameter) {
            struct molt_member member = {0};
            more = molt_graph_read_type_of(g, &part, depth + 1, &member.type, err);
            if (more < 0)
                break;
            member.type = unqualified(g, member.type);
            more = add_member(members, n, &cap, member, err);
        }
        if (more >= 0)
            more = next_of(&part, err);
    }
    return more;
}

static int read_function(struct molt_graph *g, Dwarf_Die *die, int depth, uint32_t *ret,
                         struct molt_error *err)
{
    struct molt_member *members = NULL;
    size_t n = 0;
    bool is_variadic = false;
    uint32_t returned = MOLT_NODE_VOID;
    int rc = molt_graph_read_type_of(g, die, depth + 1, &returned, err);
    if (rc == 0)
        rc = read_parameters(g, die, depth, &members, &n, &is_variadic, err);
    if (rc == 0)
        rc = add_node(g, die, MOLT_KIND_FUNCTION, ret, err);
    if (rc < 0) {
        free(members);
        return rc;
    }
    g->nodes[*ret].target = unqualified(g, returned);
    g->nodes[*ret].is_variadic = is_variadic;
    return keep_members(g, *ret, members, n, err);
}

static int read_new(struct molt_graph *g, Dwarf_Die *die, int depth, uint32_t *ret,
                    struct molt_error *err)
{
    switch (dwarf_tag(die)) {
    case DW_TAG_base_type:
        return read_base(g, die, ret, err);
    case DW_TAG_pointer_type:
        return read_wrapper(g, die, MOLT_KIND_POINTER, 0, depth, ret, err);
    case DW_TAG_typedef:
        return read_wrapper(g, die, MOLT_KIND_TYPEDEF, 0, depth, ret, err);
    case DW_TAG_const_type:
        return read_wrapper(g, die, MOLT_KIND_QUALIFIED, MOLT_QUAL_CONST, depth, ret, err);
    case DW_TAG_volatile_type:
        return read_wrapper(g, die, MOLT_KIND_QUALIFIED, MOLT_QUAL_VOLATILE, depth, ret, err);
    case DW_TAG_restrict_type:
        return read_wrapper(g, die, MOLT_KIND_QUALIFIED, MOLT_QUAL_RESTRICT, depth, ret, err);
    case DW_TAG_atomic_type:
        return read_wrapper(g, die, MOLT_KIND_QUALIFIED, MOLT_QUAL_ATOMIC, depth, ret, err);
    case DW_TAG_array_type:
        return read_array(g, die, depth, ret, err);
    case DW_TAG_structure_type:
        return read_record(g, die, false, ret, err);
    case DW_TAG_union_type:
        return read_record(g, die, true, ret, err);
    case DW_TAG_enumeration_type:
        return read_enum(g, die, ret, err);
    case DW_TAG_subroutine_type:
    case DW_TAG_subprogram:
        return read_function(g, die, depth, ret, err);
    case DW_TAG_unspecified_type: /* nullptr_t and the like: no C type has one */
    default:
        return molt_rule_break(err, MOLT_RULE_DEBUG_BAD, "a type with DWARF tag 0x%x",
                               (unsigned)dwarf_tag(die));
    }
}

int molt_graph_read(struct molt_graph *g, Dwarf_Die *die, int depth, uint32_t *ret,
                    struct molt_error *err)
{
    uint64_t known;
    if (molt_map_get(&g->node_of_die, (uintptr_t)die->addr, &known)) {
        *ret = (uint32_t)known;
        return 0;
    }
    if (depth > MOLT_CHAIN_MAX)
        return bad(err, "a type that contains itself");
    return read_new(g, die, depth, ret, err);
}

int molt_graph_read_type_of(struct molt_graph *g, Dwarf_Die *die, int depth, uint32_t *ret,
                            struct molt_error *err)
{
    Dwarf_Attribute attr;
    Dwarf_Die type;
    *ret = MOLT_NODE_VOID;
    if (!dwarf_attr_integrate(die, DW_AT_type, &attr))
        return 0;
    if (!dwarf_formref_die(&attr, &type))
        return bad(err, "a reference to no type");
    return molt_graph_read(g, &type, depth, ret, err);
}
