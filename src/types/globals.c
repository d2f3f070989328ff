/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Mutable globals: what lies in writable sections that stay writable after
 * relocation, but for molt's own tables and what is marked MOLT_FRESH.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types/image.h"

struct global_list {
    char **names;
    size_t n, cap;
};

static bool is_exempt(const char *section)
{
    static const char *const names[] = {"molt_tags",       "molt_servers", "molt_supervisors",
                                        "molt_extensions", "molt_views",   "molt_fresh",
                                        "molt_hints"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(section, names[i]) == 0)
            return true;
    return false;
}

static bool is_relro(const struct molt_elf *elf, uint64_t addr)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        const Elf64_Phdr *p = &elf->segments[i];
        if (p->p_type == PT_GNU_RELRO && addr >= p->p_vaddr && addr - p->p_vaddr < p->p_memsz)
            return true;
    }
    return false;
}

static bool is_mutable(const struct molt_elf *elf, uint64_t addr)
{
    const Elf64_Shdr *s = molt_elf_section_at(elf, addr);
    return s && (s->sh_flags & SHF_WRITE) && !is_exempt(molt_elf_section_name(elf, s)) &&
           !is_relro(elf, addr);
}

static bool is_own_name(const char *name)
{
    return strncmp(name, "molt_anchor_", 12) == 0 || molt_image_is_sanitizer_name(name);
}

/* "counter.c:hits", a static local as "counter.c:tick:hits". Takes nothing. */
static int add_global(struct molt_image *image, struct global_list *list, const char *symbol,
                      const struct molt_debug_var *var)
{
    const char *file = NULL;
    if (var) {
        Dwarf_Die die = var->die;
        const struct molt_source *source = molt_debug_source(&image->debug, &die);
        file = source ? source->base : NULL;
    }
    const char *scope = var && var->scope ? var->scope : "";
    char *name = NULL;
    if (asprintf(&name, "%s%s%s%s%s", file ? file : "", file ? ":" : "", scope, *scope ? ":" : "",
                 var ? var->name : symbol) < 0)
        return MOLT_ENOMEM;
    if (molt_array_grow(list->names, list->n, list->cap) < 0) {
        free(name);
        return MOLT_ENOMEM;
    }
    list->names[list->n++] = name;
    return 0;
}

/* Symbols also see what has no debug info; without them, the variables. */
static int collect(struct molt_image *image, struct global_list *list)
{
    const struct molt_elf *elf = &image->elf;
    for (size_t i = 0; i < elf->symtab.n; i++) {
        const Elf64_Sym *sym = &elf->symtab.syms[i];
        const char *name = molt_elf_symbol_name(&elf->symtab, sym);
        if (ELF64_ST_TYPE(sym->st_info) != STT_OBJECT || sym->st_size == 0 ||
            sym->st_shndx == SHN_UNDEF || is_own_name(name) || !is_mutable(elf, sym->st_value))
            continue;
        if (add_global(image, list, name, molt_debug_var_at(&image->debug, sym->st_value)) < 0)
            return MOLT_ENOMEM;
    }
    size_t n_symbols = elf->symtab.n;
    for (size_t i = 0; i < image->debug.n_vars; i++) {
        const struct molt_debug_var *var = &image->debug.vars[i];
        bool is_repeated = i > 0 && var[-1].addr == var->addr;
        if (n_symbols || is_repeated || is_own_name(var->name) || !is_mutable(elf, var->addr))
            continue;
        if (add_global(image, list, var->name, var) < 0)
            return MOLT_ENOMEM;
    }
    return 0;
}

static int by_string(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

int molt_image_read_globals(struct molt_image *image, struct molt_error *err)
{
    struct global_list list = {0};
    int rc = collect(image, &list);
    if (list.n)
        qsort(list.names, list.n, sizeof *list.names, by_string);
    image->meta->globals = list.names;
    image->meta->n_globals = list.n;
    return rc < 0 ? molt_error_set(err, rc, "reading globals: out of memory") : 0;
}
