/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Opening debug info, and questions to it. The walk is in debug_walk.c. */
#include "types/debug.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types/debug_walk.h"
#include "types/rules.h"

/* Compressed sections make libelf write into the bytes; other files would be
 * opened by names that the image gives. Neither happens. */
static int check_sections(const struct molt_elf *elf, struct molt_error *err)
{
    bool has_info = false;
    for (size_t i = 1; i < elf->n_sections; i++) {
        const Elf64_Shdr *s = &elf->sections[i];
        const char *name = molt_elf_section_name(elf, s);
        if (strncmp(name, ".zdebug", 7) == 0 ||
            (s->sh_flags & SHF_COMPRESSED && strncmp(name, ".debug", 6) == 0))
            return molt_rule_break(err, MOLT_RULE_DEBUG_COMPRESSED, "section %s", name);
        if (strcmp(name, ".gnu_debugaltlink") == 0 || strcmp(name, ".debug_sup") == 0)
            return molt_rule_break(err, MOLT_RULE_DEBUG_SPLIT, "section %s", name);
        has_info |= strcmp(name, ".debug_info") == 0 && s->sh_type != SHT_NOBITS && s->sh_size;
    }
    if (!has_info)
        return molt_rule_break(err, MOLT_RULE_DEBUG_NONE, "there is no section .debug_info");
    return 0;
}

static int begin(struct molt_debug *d, const struct molt_elf *elf, struct molt_error *err)
{
    d->copy = malloc(elf->len);
    if (!d->copy)
        return molt_error_set(err, MOLT_ENOMEM, "reading debug info: out of memory");
    memcpy(d->copy, elf->bytes, elf->len);
    int rc = elf->header.e_type == ET_REL ? molt_elf_relocate_debug(elf, d->copy, err) : 0;
    if (rc < 0)
        return rc;
    elf_version(EV_CURRENT);
    d->elf = elf_memory((char *)d->copy, elf->len);
    d->dwarf = d->elf ? dwarf_begin_elf(d->elf, DWARF_C_READ, NULL) : NULL;
    if (!d->dwarf)
        return molt_rule_break(err, MOLT_RULE_DEBUG_BAD, "libdw says: %s", dwarf_errmsg(-1));
    return 0;
}

static int open_debug(struct molt_debug *d, const struct molt_elf *elf, struct molt_error *err)
{
    int rc = check_sections(elf, err);
    if (rc < 0 || (rc = begin(d, elf, err)) < 0)
        return rc;
    const Elf64_Shdr *info = molt_elf_section(elf, ".debug_info");
    d->budget = 4 * info->sh_size + 1024;
    return molt_debug_walk(d, err);
}

int molt_debug_open(const struct molt_elf *elf, const char *project, const char *module,
                    struct molt_debug *ret, struct molt_error *err)
{
    *ret = (struct molt_debug){.project = project, .module = module};
    int rc = open_debug(ret, elf, err);
    if (rc < 0)
        molt_debug_fini(ret);
    return rc;
}

void molt_debug_fini(struct molt_debug *d)
{
    dwarf_end(d->dwarf);
    elf_end(d->elf);
    free(d->copy);
    free(d->units);
    free(d->vars);
    free(d->fns);
    free(d->types);
    free(d->anchors);
    free(d->ghosts);
    free(d->enums);
    molt_map_fini(&d->unit_of_cu);
    molt_map_fini(&d->source_of_path);
    molt_map_fini(&d->scope_of_die);
    molt_map_fini(&d->typedef_of_die);
    molt_arena_fini(&d->arena);
    *d = (struct molt_debug){0};
}

struct molt_unit *molt_debug_unit(struct molt_debug *d, const Dwarf_Die *die)
{
    uint64_t index;
    if (!molt_map_get(&d->unit_of_cu, (uint64_t)(uintptr_t)die->cu, &index))
        return NULL;
    return &d->units[index];
}

int molt_debug_line(Dwarf_Die *die)
{
    int line = 0;
    return dwarf_decl_line(die, &line) == 0 ? line : 0;
}

void molt_debug_place(struct molt_debug *d, Dwarf_Die *die, char *buf, size_t size)
{
    const struct molt_source *source = molt_debug_source(d, die);
    if (source)
        snprintf(buf, size, "%s:%d", source->text, molt_debug_line(die));
    else
        snprintf(buf, size, "an unknown place");
}

const struct molt_debug_var *molt_debug_var_at(const struct molt_debug *d, uint64_t addr)
{
    size_t lo = 0, hi = d->n_vars;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (d->vars[mid].addr < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < d->n_vars && d->vars[lo].addr == addr ? &d->vars[lo] : NULL;
}

const struct molt_debug_fn *molt_debug_fn_at(const struct molt_debug *d, uint64_t addr)
{
    size_t lo = 0, hi = d->n_fns;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (d->fns[mid].addr < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < d->n_fns && d->fns[lo].addr == addr ? &d->fns[lo] : NULL;
}

/* What a compiler moved to the front of a block belongs to no line, which is
 * line 0 (DWARF 5, 6.2.2): then it is the line of what comes next. */
#define NO_LINE_BYTES 64

static const char *line_at(Dwarf_Die *unit, uint64_t addr, int *ret_number)
{
    const char *file = NULL;
    *ret_number = 0;
    for (uint64_t at = addr; *ret_number == 0 && at < addr + NO_LINE_BYTES; at += 4) {
        Dwarf_Line *line = dwarf_getsrc_die(unit, at);
        file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
        if (!file || dwarf_lineno(line, ret_number) != 0)
            return NULL;
    }
    return file;
}

bool molt_debug_code_place(struct molt_debug *d, uint64_t addr, char *buf, size_t size)
{
    for (size_t i = 0; i < d->n_units; i++) {
        if (dwarf_haspc(&d->units[i].die, addr) <= 0)
            continue;
        int number;
        const char *file = line_at(&d->units[i].die, addr, &number);
        if (!file)
            return false;
        const struct molt_source *source = molt_debug_source_named(d, &d->units[i], file);
        snprintf(buf, size, "%s:%d", source ? source->text : file, number);
        return true;
    }
    return false;
}

static enum molt_debug_extern extern_kind(Dwarf_Die *die, const char *name)
{
    int tag = dwarf_tag(die);
    bool is_declared = false;
    Dwarf_Attribute attr;
    if (tag != DW_TAG_subprogram && tag != DW_TAG_variable)
        return MOLT_EXTERN_UNKNOWN;
    if (!dwarf_attr(die, DW_AT_declaration, &attr) || dwarf_formflag(&attr, &is_declared) != 0 ||
        !is_declared)
        return MOLT_EXTERN_UNKNOWN;
    const char *found = dwarf_diename(die);
    if (!found || strcmp(found, name) != 0)
        return MOLT_EXTERN_UNKNOWN;
    return tag == DW_TAG_variable ? MOLT_EXTERN_VARIABLE : MOLT_EXTERN_FUNCTION;
}

enum molt_debug_extern molt_debug_find_extern(struct molt_debug *d, const char *name,
                                              Dwarf_Die *ret)
{
    for (size_t i = 0; i < d->n_units; i++) {
        Dwarf_Die die, next;
        int rc = dwarf_child(&d->units[i].die, &die);
        for (; rc == 0; rc = dwarf_siblingof(&die, &next), die = next) {
            enum molt_debug_extern kind = extern_kind(&die, name);
            if (kind != MOLT_EXTERN_UNKNOWN) {
                *ret = die;
                return kind;
            }
            next = die;
        }
    }
    return MOLT_EXTERN_UNKNOWN;
}
