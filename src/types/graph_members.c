/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Members of structs and unions, and the names of base types. DWARF 5, 5.7.6;
 * DWARF 3, 5.5.6 for the older form of bitfields, which clang 14 still writes. */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "types/graph_read.h"
#include "types/rules.h"

#define MEMBERS_MAX 1000000u
#define RECORD_BYTES_MAX (UINT64_C(1) << 40)

static int bad(struct molt_error *err, const char *found)
{
    return molt_rule_break(err, MOLT_RULE_DEBUG_BAD, "%s", found);
}

static bool number_of(Dwarf_Die *die, unsigned name, uint64_t *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Word value;
    if (!dwarf_attr(die, name, &attr) || dwarf_formudata(&attr, &value) != 0)
        return false;
    *ret = value;
    return true;
}

/* Bytes from the record's start: a constant; 0 in unions, which have none. */
static int byte_offset_of(Dwarf_Die *die, uint64_t *ret, struct molt_error *err)
{
    *ret = 0;
    if (!dwarf_hasattr(die, DW_AT_data_member_location) ||
        number_of(die, DW_AT_data_member_location, ret))
        return 0;
    return bad(err, "a member at a computed offset");
}

static uint64_t size_of(const struct molt_graph *g, uint32_t type)
{
    return g->nodes[molt_graph_strip(g, type, NULL)].size;
}

/* DW_AT_data_bit_offset counts from the record's start. DW_AT_bit_offset counts
 * from the most significant bit of a storage unit of DW_AT_byte_size bytes. */
static int bits_of(struct molt_graph *g, Dwarf_Die *die, struct molt_member *member,
                   struct molt_error *err)
{
    uint64_t bytes, bit_size = 0, offset, unit;
    int rc = byte_offset_of(die, &bytes, err);
    if (rc < 0)
        return rc;
    if (bytes > RECORD_BYTES_MAX)
        return bad(err, "a member outside of its record");
    member->bit_offset = 8 * bytes;
    if (!number_of(die, DW_AT_bit_size, &bit_size))
        return 0;
    if (bit_size > 1024)
        return bad(err, "a bitfield that is too wide");
    member->bit_size = (uint32_t)bit_size;
    if (number_of(die, DW_AT_data_bit_offset, &offset)) {
        member->bit_offset = offset;
    } else if (number_of(die, DW_AT_bit_offset, &offset)) {
        if (!number_of(die, DW_AT_byte_size, &unit))
            unit = size_of(g, member->type);
        member->bit_offset += 8 * unit - offset - bit_size;
    }
    if (member->bit_offset > 8 * RECORD_BYTES_MAX)
        return bad(err, "a member outside of its record");
    return 0;
}

static int read_member(struct molt_graph *g, Dwarf_Die *die, struct molt_member *ret,
                       struct molt_error *err)
{
    uint64_t line = 0;
    number_of(die, DW_AT_decl_line, &line);
    *ret = (struct molt_member){.name = dwarf_diename(die), .line = (uint32_t)line};
    int rc = molt_graph_read_type_of(g, die, 0, &ret->type, err);
    return rc < 0 ? rc : bits_of(g, die, ret, err);
}

/* Only anonymous structs and unions count without a name: a nameless bitfield
 * is padding. */
static bool counts(const struct molt_graph *g, const struct molt_member *member)
{
    uint32_t type = molt_graph_strip(g, member->type, NULL);
    return member->name || g->nodes[type].kind == MOLT_KIND_RECORD;
}

static int collect(struct molt_graph *g, Dwarf_Die *die, struct molt_member **members, size_t *n,
                   struct molt_error *err)
{
    size_t cap = 0;
    Dwarf_Die part, next;
    int rc = dwarf_child(die, &part);
    for (; rc == 0; part = next) {
        struct molt_member member;
        if (dwarf_tag(&part) == DW_TAG_member) {
            int failed = read_member(g, &part, &member, err);
            if (failed < 0)
                return failed;
            if (*n >= MEMBERS_MAX)
                return bad(err, "a record with too many members");
            if (molt_array_grow(*members, *n, cap) < 0)
                return molt_error_set(err, MOLT_ENOMEM, "reading types: out of memory");
            if (counts(g, &member))
                (*members)[(*n)++] = member;
        }
        rc = dwarf_siblingof(&part, &next);
        if (rc == 0 && (const char *)next.addr <= (const char *)part.addr)
            return bad(err, "members lead backwards");
    }
    return rc < 0 ? bad(err, "members are cut off") : 0;
}

int molt_graph_read_members(struct molt_graph *g, uint32_t node, Dwarf_Die *die,
                            struct molt_error *err)
{
    struct molt_member *members = NULL;
    size_t n = 0;
    int rc = collect(g, die, &members, &n, err);
    if (rc == 0) {
        struct molt_member *kept = molt_arena_alloc(&g->debug->arena, n * sizeof *kept + 1);
        if (kept && n)
            memcpy(kept, members, n * sizeof *kept);
        if (!kept)
            rc = molt_error_set(err, MOLT_ENOMEM, "reading types: out of memory");
        g->nodes[node].members = kept;
        g->nodes[node].n_members = kept ? (uint32_t)n : 0;
    }
    free(members);
    return rc;
}

struct words {
    int n_long;
    bool is_unsigned, is_signed, is_short, is_char, is_double, is_other;
};

static void take_word(struct words *w, const char *word, size_t len)
{
    if (len == 4 && memcmp(word, "long", 4) == 0)
        w->n_long++;
    else if (len == 8 && memcmp(word, "unsigned", 8) == 0)
        w->is_unsigned = true;
    else if (len == 6 && memcmp(word, "signed", 6) == 0)
        w->is_signed = true;
    else if (len == 5 && memcmp(word, "short", 5) == 0)
        w->is_short = true;
    else if (len == 4 && memcmp(word, "char", 4) == 0)
        w->is_char = true;
    else if (len != 3 || memcmp(word, "int", 3) != 0)
        w->is_other = true;
}

const char *molt_graph_base_name(struct molt_arena *arena, const char *name)
{
    struct words w = {0};
    for (const char *at = name; *at;) {
        size_t len = strcspn(at, " ");
        if (len)
            take_word(&w, at, len);
        at += len + (at[len] == ' ');
    }
    if (w.is_other)
        return molt_arena_strdup(arena, name);
    if (w.is_char)
        return w.is_unsigned ? "unsigned char" : w.is_signed ? "signed char" : "char";
    if (w.is_short)
        return w.is_unsigned ? "unsigned short" : "short";
    if (w.n_long == 1)
        return w.is_unsigned ? "unsigned long" : "long";
    if (w.n_long > 1)
        return w.is_unsigned ? "unsigned long long" : "long long";
    return w.is_unsigned ? "unsigned int" : "int";
}
