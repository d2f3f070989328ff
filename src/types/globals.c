/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Mutable globals: what lies in writable sections that stay writable after
 * relocation, but for molt's own tables and what is marked MOLT_FRESH.
 *
 * Compilers shrink, split and drop static variables. What the debug info describes at
 * one address and in just the bytes that the symbol has is the variable that the
 * author wrote; of anything else the value can't follow.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types/image.h"

#define DEPTH_MAX 48

struct global_list {
    struct molt_meta_global *all;
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

/* ---- what can't follow ------------------------------------------------------ */

/* Types whose values others wait on, or that know their own address. */
static bool is_lock_name(const char *name)
{
    static const char *const names[] = {"pthread_mutex_t",
                                        "pthread_rwlock_t",
                                        "pthread_cond_t",
                                        "pthread_spinlock_t",
                                        "pthread_barrier_t",
                                        "pthread_once_t",
                                        "mtx_t",
                                        "cnd_t",
                                        "once_flag",
                                        "sem_t",
                                        "FILE",
                                        "_IO_FILE"};
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* What a value of @type contains that can't be copied: "a lock (mtx_t)" into @buf. */
static bool find_obstacle(const struct molt_graph *g, uint32_t type, int depth, char *buf,
                          size_t size)
{
    const struct molt_node *node = &g->nodes[type];
    for (int i = 0; i < MOLT_CHAIN_MAX; i++) {
        bool is_atomic = node->kind == MOLT_KIND_QUALIFIED && node->quals == MOLT_QUAL_ATOMIC;
        bool is_lock = node->kind != MOLT_KIND_QUALIFIED && node->kind != MOLT_KIND_POINTER &&
                       is_lock_name(node->name);
        if (is_atomic || is_lock) {
            snprintf(buf, size, "it contains %s%s%s%s", is_lock ? "a lock" : "an atomic",
                     is_lock ? " (" : "", is_lock ? node->name : "", is_lock ? ")" : "");
            return true;
        }
        if (node->kind != MOLT_KIND_QUALIFIED && node->kind != MOLT_KIND_TYPEDEF &&
            node->kind != MOLT_KIND_ARRAY)
            break;
        node = &g->nodes[node->target];
    }
    if (node->kind != MOLT_KIND_RECORD || depth > DEPTH_MAX)
        return false;
    if (node->completed != MOLT_NODE_NONE)
        node = &g->nodes[node->completed];
    for (uint32_t i = 0; i < node->n_members; i++)
        if (find_obstacle(g, node->members[i].type, depth + 1, buf, size))
            return true;
    return false;
}

/* ---- the list ----------------------------------------------------------------- */

/* "src/counter.c:hits", a static local as "src/counter.c:tick:hits"; malloc'd. */
static char *name_of(struct molt_image *image, const char *symbol, const struct molt_debug_var *var)
{
    const struct molt_source *source = NULL;
    if (var) {
        Dwarf_Die die = var->die;
        source = molt_debug_source(&image->debug, &die);
    }
    const char *scope = var && var->scope ? var->scope : "";
    char *name = NULL;
    int n = asprintf(&name, "%s%s%s%s%s", source ? source->text : "", source ? ":" : "", scope,
                     *scope ? ":" : "", var ? var->name : symbol);
    return n < 0 ? NULL : name;
}

/* Fill type and obstacle; *ret may already have bytes (the symbol's). */
static int describe(struct molt_image *image, const struct molt_debug_var *var,
                    struct molt_meta_global *ret, struct molt_error *err)
{
    char why[128] = "";
    struct molt_buf type = MOLT_BUF_INIT;
    uint32_t node = MOLT_NODE_VOID;
    uint64_t bytes = 0;
    if (var) {
        Dwarf_Die die = var->die;
        int rc = molt_graph_add_type_of(&image->graph, &die, &node, err);
        if (rc < 0)
            return rc;
        bytes = molt_graph_size(&image->graph, node);
        molt_graph_print(&image->graph, node, &type);
    }
    /* Sanitizers put a zone that nobody may touch behind it. */
    bool is_padded = (image->meta->flags & MOLT_META_SANITIZED) && ret->bytes > bytes;
    if (ret->bytes == 0 || is_padded)
        ret->bytes = bytes;
    if (!var || bytes == 0)
        snprintf(why, sizeof why, "its type isn't known");
    else if (ret->bytes != bytes)
        snprintf(why, sizeof why,
                 "it takes %" PRIu64 " bytes and its type %" PRIu64
                 " (a flexible member, or the compiler took it apart)",
                 ret->bytes, bytes);
    else if (bytes > UINT32_MAX)
        snprintf(why, sizeof why, "it is larger than 4 GiB");
    else
        (void)find_obstacle(&image->graph, node, 0, why, sizeof why);
    molt_buf_printf(&type, "%s", "");
    ret->type = molt_buf_take(&type);
    molt_buf_fini(&type);
    ret->obstacle = strdup(why);
    return ret->type && ret->obstacle ? 0 : MOLT_ENOMEM;
}

static int add_global(struct molt_image *image, struct global_list *list, const char *symbol,
                      struct molt_meta_global global, const struct molt_debug_var *var,
                      struct molt_error *err)
{
    global.name = name_of(image, symbol, var);
    int rc = global.name ? describe(image, var, &global, err) : MOLT_ENOMEM;
    if (rc == 0 && molt_array_grow(list->all, list->n, list->cap) < 0)
        rc = MOLT_ENOMEM;
    if (rc < 0) {
        free(global.name);
        free(global.type);
        free(global.obstacle);
        return rc;
    }
    list->all[list->n++] = global;
    return 0;
}

/* Symbols also see what has no debug info; without them, the variables. */
static int collect(struct molt_image *image, struct global_list *list, struct molt_error *err)
{
    const struct molt_elf *elf = &image->elf;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < elf->symtab.n; i++) {
        const Elf64_Sym *sym = &elf->symtab.syms[i];
        const char *name = molt_elf_symbol_name(&elf->symtab, sym);
        if (ELF64_ST_TYPE(sym->st_info) != STT_OBJECT || sym->st_size == 0 ||
            sym->st_shndx == SHN_UNDEF || is_own_name(name) || !is_mutable(elf, sym->st_value))
            continue;
        struct molt_meta_global global = {.at = sym->st_value, .bytes = sym->st_size};
        rc = add_global(image, list, name, global, molt_debug_var_at(&image->debug, sym->st_value),
                        err);
    }
    size_t n_symbols = elf->symtab.n;
    for (size_t i = 0; rc == 0 && i < image->debug.n_vars; i++) {
        const struct molt_debug_var *var = &image->debug.vars[i];
        bool is_repeated = i > 0 && var[-1].addr == var->addr;
        if (n_symbols || is_repeated || is_own_name(var->name) || !is_mutable(elf, var->addr))
            continue;
        rc = add_global(image, list, var->name, (struct molt_meta_global){.at = var->addr}, var,
                        err);
    }
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct molt_meta_global *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* Which of two is which nobody can say: blocks of one function, or units that share a
 * header, have variables of one name. */
static int mark_twins(struct global_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        bool is_twin = (i > 0 && strcmp(list->all[i].name, list->all[i - 1].name) == 0) ||
                       (i + 1 < list->n && strcmp(list->all[i].name, list->all[i + 1].name) == 0);
        if (!is_twin || *list->all[i].obstacle)
            continue;
        char *why = strdup("there is another one of that name");
        if (!why)
            return MOLT_ENOMEM;
        free(list->all[i].obstacle);
        list->all[i].obstacle = why;
    }
    return 0;
}

int molt_image_read_globals(struct molt_image *image, struct molt_error *err)
{
    struct global_list list = {0};
    int rc = collect(image, &list, err);
    if (list.n)
        qsort(list.all, list.n, sizeof *list.all, by_name);
    if (rc == 0)
        rc = mark_twins(&list);
    image->meta->globals = list.all;
    image->meta->n_globals = list.n;
    return rc == MOLT_ENOMEM ? molt_error_set(err, rc, "reading globals: out of memory") : rc;
}
