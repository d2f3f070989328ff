/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * One visit of every entry (DIE) that can matter. DWARF 5, chapters 2 to 5.
 *
 * Entries come in the order of their bytes: a child or sibling lies behind its
 * predecessor. A DW_AT_sibling that leads elsewhere is refused, and a budget of
 * visits covers what nested wrong lengths could still do.
 */
#include "types/debug_walk.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "types/rules.h"

#define DEPTH_MAX 128
#define ANCHOR_PREFIX "molt_anchor_"

#define GROW(d, what) molt_array_grow((d)->what, (d)->n_##what, (d)->cap_##what)

static int bad(struct molt_error *err, const char *found)
{
    return molt_rule_break(err, MOLT_RULE_DEBUG_BAD, "%s", found);
}

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "reading debug info: out of memory");
}

static const char *name_of(Dwarf_Die *die)
{
    Dwarf_Attribute attr;
    if (!dwarf_attr_integrate(die, DW_AT_name, &attr))
        return NULL;
    return dwarf_formstring(&attr);
}

static bool flag_of(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attr;
    bool value = false;
    return dwarf_attr(die, name, &attr) && dwarf_formflag(&attr, &value) == 0 && value;
}

/* Address of a variable whose location is one fixed address: DW_OP_addr (gcc)
 * or DW_OP_addrx (clang). Locations in registers and lists of them don't count. */
static bool fixed_address(Dwarf_Die *die, uint64_t *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Block block;
    if (!dwarf_attr(die, DW_AT_location, &attr))
        return false;
    unsigned form = dwarf_whatform(&attr);
    if (form != DW_FORM_exprloc && form != DW_FORM_block1 && form != DW_FORM_block)
        return false;
    if (dwarf_formblock(&attr, &block) != 0 || block.length == 0)
        return false;
    if (block.data[0] == DW_OP_addr && block.length == 9) {
        memcpy(ret, block.data + 1, 8);
        return true;
    }
    if (block.data[0] != DW_OP_addrx && block.data[0] != DW_OP_GNU_addr_index)
        return false;
    Dwarf_Op *ops;
    size_t n;
    Dwarf_Attribute where;
    Dwarf_Addr addr;
    if (dwarf_getlocation(&attr, &ops, &n) != 0 || n != 1 ||
        dwarf_getlocation_attr(&attr, ops, &where) != 0 || dwarf_formaddr(&where, &addr) != 0)
        return false;
    *ret = addr;
    return true;
}

static int add_ghost(struct molt_debug *d, Dwarf_Die *die, size_t unit, const char *name,
                     struct molt_error *err)
{
    if (GROW(d, ghosts) < 0)
        return no_memory(err);
    d->ghosts[d->n_ghosts++] = (struct molt_debug_var){.name = name, .die = *die, .unit = unit};
    return 0;
}

static int add_variable(struct molt_debug *d, Dwarf_Die *die, size_t unit, const char *scope,
                        struct molt_error *err)
{
    uint64_t addr;
    const char *name = name_of(die);
    if (!name)
        return 0;
    if (!fixed_address(die, &addr))
        return scope || flag_of(die, DW_AT_declaration) ? 0 : add_ghost(d, die, unit, name, err);
    size_t prefix = strlen(ANCHOR_PREFIX);
    if (!scope && strncmp(name, ANCHOR_PREFIX, prefix) == 0) {
        if (GROW(d, anchors) < 0)
            return no_memory(err);
        d->anchors[d->n_anchors++] =
            (struct molt_debug_anchor){.name = name + prefix, .die = *die, .unit = unit};
        return 0;
    }
    if (GROW(d, vars) < 0)
        return no_memory(err);
    d->vars[d->n_vars++] = (struct molt_debug_var){
        .addr = addr, .name = name, .scope = scope, .die = *die, .unit = unit};
    return 0;
}

/* Where a function is entered: gcc splits cold parts off, then the entry is in
 * the first of its ranges. */
static bool entry_address(Dwarf_Die *die, uint64_t *ret)
{
    Dwarf_Addr base, start, end;
    if (dwarf_lowpc(die, ret) == 0)
        return true;
    if (dwarf_ranges(die, 0, &base, &start, &end) <= 0)
        return false;
    *ret = start;
    return true;
}

/* Follow DW_AT_abstract_origin to where parameters and type are complete. */
static Dwarf_Die origin_of(Dwarf_Die *die)
{
    Dwarf_Attribute attr;
    Dwarf_Die origin;
    if (dwarf_attr(die, DW_AT_abstract_origin, &attr) && dwarf_formref_die(&attr, &origin) &&
        dwarf_tag(&origin) == DW_TAG_subprogram)
        return origin;
    return *die;
}

static int add_function(struct molt_debug *d, Dwarf_Die *die, size_t unit, struct molt_error *err)
{
    uint64_t addr;
    if (flag_of(die, DW_AT_declaration) || !entry_address(die, &addr))
        return 0;
    const char *name = name_of(die);
    if (!name)
        return 0;
    if (GROW(d, fns) < 0)
        return no_memory(err);
    d->fns[d->n_fns++] =
        (struct molt_debug_fn){.addr = addr, .name = name, .die = origin_of(die), .unit = unit};
    return 0;
}

/* The first typedef of an anonymous type gives it its name. */
static int name_anonymous(struct molt_debug *d, Dwarf_Die *die, const char *name,
                          struct molt_error *err)
{
    Dwarf_Attribute attr;
    Dwarf_Die target;
    uint64_t known;
    if (!dwarf_attr(die, DW_AT_type, &attr) || !dwarf_formref_die(&attr, &target))
        return 0;
    int tag = dwarf_tag(&target);
    if ((tag != DW_TAG_structure_type && tag != DW_TAG_union_type &&
         tag != DW_TAG_enumeration_type) ||
        dwarf_hasattr(&target, DW_AT_name) ||
        molt_map_get(&d->typedef_of_die, (uintptr_t)target.addr, &known))
        return 0;
    if (molt_map_put(&d->typedef_of_die, (uintptr_t)target.addr, (uintptr_t)name) < 0)
        return no_memory(err);
    return 0;
}

static int add_type(struct molt_debug *d, Dwarf_Die *die, int tag, size_t unit, const char *scope,
                    struct molt_error *err)
{
    const char *name = name_of(die);
    if (scope && tag != DW_TAG_typedef &&
        molt_map_put(&d->scope_of_die, (uintptr_t)die->addr, (uintptr_t)scope) < 0)
        return no_memory(err);
    if (!name && !scope && tag == DW_TAG_enumeration_type) {
        if (GROW(d, enums) < 0)
            return no_memory(err);
        d->enums[d->n_enums++] = *die;
    }
    if (!name || (tag != DW_TAG_typedef && flag_of(die, DW_AT_declaration)))
        return 0;
    if (GROW(d, types) < 0)
        return no_memory(err);
    d->types[d->n_types++] = (struct molt_debug_type){
        .name = name, .die = *die, .unit = unit, .tag = tag, .scope = scope};
    return tag == DW_TAG_typedef ? name_anonymous(d, die, name, err) : 0;
}

/* Index one entry; *ret_deeper: its children can matter, inside *scope. */
static int visit(struct molt_debug *d, Dwarf_Die *die, size_t unit, const char **scope,
                 bool *ret_deeper, struct molt_error *err)
{
    int tag = dwarf_tag(die);
    *ret_deeper = false;
    switch (tag) {
    case DW_TAG_variable:
        return add_variable(d, die, unit, *scope, err);
    case DW_TAG_subprogram: {
        *ret_deeper = true;
        const char *name = name_of(die);
        *scope = name ? name : "?";
        return add_function(d, die, unit, err);
    }
    case DW_TAG_lexical_block:
    case DW_TAG_inlined_subroutine:
        *ret_deeper = true;
        return 0;
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_typedef:
        return add_type(d, die, tag, unit, *scope, err);
    case DW_TAG_invalid:
        return bad(err, "an entry without a tag");
    default:
        return 0;
    }
}

static int walk_children(struct molt_debug *d, Dwarf_Die *parent, size_t unit, const char *scope,
                         int depth, struct molt_error *err)
{
    Dwarf_Die die, next;
    if (depth > DEPTH_MAX)
        return bad(err, "entries nest too deeply");
    int rc = dwarf_child(parent, &die);
    while (rc == 0) {
        if (d->budget-- == 0)
            return bad(err, "entries overlap");
        const char *inner = scope;
        bool is_deeper;
        int failed = visit(d, &die, unit, &inner, &is_deeper, err);
        if (failed == 0 && is_deeper)
            failed = walk_children(d, &die, unit, inner, depth + 1, err);
        if (failed < 0)
            return failed;
        rc = dwarf_siblingof(&die, &next);
        if (rc == 0 && (const char *)next.addr <= (const char *)die.addr)
            return bad(err, "entries lead backwards");
        die = next;
    }
    return rc < 0 ? bad(err, "an entry is cut off") : 0;
}

static int add_unit(struct molt_debug *d, Dwarf_Die *die, uint8_t type, struct molt_error *err)
{
    if (type == DW_UT_skeleton || type == DW_UT_split_compile || type == DW_UT_split_type ||
        dwarf_hasattr(die, DW_AT_dwo_name) || dwarf_hasattr(die, DW_AT_GNU_dwo_name))
        return molt_rule_break(err, MOLT_RULE_DEBUG_SPLIT, "a unit without its types");
    if (type == DW_UT_type)
        return molt_rule_break(err, MOLT_RULE_DEBUG_SPLIT, "types in units of their own");
    if (GROW(d, units) < 0 || molt_map_put(&d->unit_of_cu, (uintptr_t)die->cu, d->n_units) < 0)
        return no_memory(err);
    Dwarf_Attribute attr;
    const char *folder = dwarf_attr(die, DW_AT_comp_dir, &attr) ? dwarf_formstring(&attr) : NULL;
    d->units[d->n_units++] = (struct molt_unit){.die = *die, .folder = folder ? folder : ""};
    return walk_children(d, die, d->n_units - 1, NULL, 0, err);
}

static int by_var_address(const void *a, const void *b)
{
    const struct molt_debug_var *x = a, *y = b;
    return (x->addr > y->addr) - (x->addr < y->addr);
}

static int by_fn_address(const void *a, const void *b)
{
    const struct molt_debug_fn *x = a, *y = b;
    return (x->addr > y->addr) - (x->addr < y->addr);
}

int molt_debug_walk(struct molt_debug *d, struct molt_error *err)
{
    Dwarf_CU *cu = NULL, *next = NULL;
    Dwarf_Half version;
    uint8_t type;
    Dwarf_Die die;
    int rc;
    while ((rc = dwarf_get_units(d->dwarf, cu, &next, &version, &type, &die, NULL)) == 0) {
        cu = next;
        if (!die.addr || version < 4 || version > 5)
            return molt_rule_break_with(err, MOLT_RULE_DEBUG_BAD,
                                        "compile with -gdwarf-5 or -gdwarf-4", "DWARF version %u",
                                        version);
        int failed = add_unit(d, &die, type, err);
        if (failed < 0)
            return failed;
    }
    if (rc < 0)
        return molt_rule_break(err, MOLT_RULE_DEBUG_BAD, "libdw says: %s", dwarf_errmsg(-1));
    if (d->n_units == 0)
        return molt_rule_break(err, MOLT_RULE_DEBUG_NONE, "there is no unit in it");
    if (d->n_vars)
        qsort(d->vars, d->n_vars, sizeof *d->vars, by_var_address);
    if (d->n_fns)
        qsort(d->fns, d->n_fns, sizeof *d->fns, by_fn_address);
    return 0;
}
