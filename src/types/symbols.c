/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Dynamic symbols: what the module exports to other modules and imports from
 * them, each with the signature that its own debug info shows, and what it
 * takes from libraries.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include <molt/abi.h>

#include "types/image.h"
#include "types/libc_names.h"
#include "types/returned.h"
#include "types/rules.h"
#include "types/uses.h"

#define NAME_BYTES 512

struct symbol_list {
    struct molt_meta_symbol *items;
    size_t n, cap;
};

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "reading symbols: out of memory");
}

static int add_symbol(struct symbol_list *list, const char *module, const char *name, uint64_t sig,
                      uint32_t ret_bytes, struct molt_error *err)
{
    if (molt_array_grow(list->items, list->n, list->cap) < 0)
        return no_memory(err);
    struct molt_meta_symbol symbol = {strdup(module), strdup(name), sig, ret_bytes};
    if (!symbol.module || !symbol.name) {
        free(symbol.module);
        free(symbol.name);
        return no_memory(err);
    }
    list->items[list->n++] = symbol;
    return 0;
}

/* ---- exports ------------------------------------------------------------ */

static int check_export(struct molt_image *image, const Elf64_Sym *sym, const char *name,
                        uint64_t sig, uint32_t *ret_bytes, struct molt_error *err)
{
    const struct molt_debug_fn *fn = molt_debug_fn_at(&image->debug, sym->st_value);
    if (!fn)
        return molt_rule_break(err, MOLT_RULE_EXPORT_SIGNATURE, "%s has no debug info", name);
    Dwarf_Die die = fn->die;
    char place[256];
    molt_debug_place(&image->debug, &die, place, sizeof place);
    uint32_t function = MOLT_NODE_VOID;
    int rc = molt_graph_add(&image->graph, &die, &function, err);
    if (rc < 0)
        return rc;
    *ret_bytes = molt_returned_bytes(&image->graph, function, image->elf.header.e_machine);
    rc = molt_canon_has_signature(&image->canon, function, sig, err);
    if (rc == 0) {
        struct molt_buf type = MOLT_BUF_INIT;
        molt_graph_print(&image->graph, function, &type);
        rc = molt_rule_break(err, MOLT_RULE_EXPORT_SIGNATURE,
                             "%s %s is defined as %.200s, the header says something else", place,
                             name, type.data ? type.data : "?");
        molt_buf_fini(&type);
    }
    return rc < 0 ? rc : molt_image_add_reached(image, function, err);
}

static int add_export(struct molt_image *image, const Elf64_Sym *sym, const char *elf_name,
                      struct symbol_list *list, struct molt_error *err)
{
    char buf[NAME_BYTES];
    const char *module, *name;
    uint64_t sig;
    if (strcmp(elf_name, MOLT_MODULE_SYMBOL) == 0)
        return 0;
    if (molt_meta_symbol_parse(elf_name, buf, sizeof buf, &module, &name, &sig) < 0 ||
        ELF64_ST_TYPE(sym->st_info) != STT_FUNC)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the exported symbol %.200s", elf_name);
    if (strcmp(module, image->module) != 0)
        return molt_rule_break(err, MOLT_RULE_OTHER_MODULE,
                               "module %s defines %.100s of module %.100s", image->module, name,
                               module);
    uint32_t ret_bytes = 0;
    int rc = check_export(image, sym, name, sig, &ret_bytes, err);
    return rc < 0 ? rc : add_symbol(list, module, name, sig, ret_bytes, err);
}

/* ---- imports ------------------------------------------------------------ */

/* The anchors are sorted by name. */
static size_t first_anchor(const struct molt_debug *d, const char *name)
{
    size_t lo = 0, hi = d->n_anchors;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(d->anchors[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The function type that the anchor @i points to. */
static int anchor_function(struct molt_image *image, size_t i, uint32_t *ret,
                           struct molt_error *err)
{
    uint32_t type;
    Dwarf_Die die = image->debug.anchors[i].die;
    int rc = molt_graph_add_type_of(&image->graph, &die, &type, err);
    if (rc < 0)
        return rc;
    type = molt_graph_strip(&image->graph, type, NULL);
    if (image->graph.nodes[type].kind == MOLT_KIND_POINTER)
        type = molt_graph_strip(&image->graph, image->graph.nodes[type].target, NULL);
    if (image->graph.nodes[type].kind != MOLT_KIND_FUNCTION)
        return molt_rule_break(err, MOLT_RULE_ANCHOR,
                               "the anchor of %s is no pointer to a function",
                               image->debug.anchors[i].name);
    *ret = type;
    return 0;
}

static int check_import(struct molt_image *image, const char *module, const char *name,
                        uint64_t sig, uint32_t *ret_bytes, struct molt_error *err)
{
    const struct molt_debug *d = &image->debug;
    size_t first = first_anchor(d, name), i = first;
    for (; i < d->n_anchors && strcmp(d->anchors[i].name, name) == 0; i++) {
        uint32_t function = MOLT_NODE_VOID;
        int rc = anchor_function(image, i, &function, err);
        if (rc < 0 || (rc = molt_canon_has_signature(&image->canon, function, sig, err)) < 0)
            return rc;
        if (rc == 0) {
            Dwarf_Attribute attr;
            Dwarf_Die unit = d->units[d->anchors[i].unit].die;
            const char *file =
                dwarf_attr(&unit, DW_AT_name, &attr) ? dwarf_formstring(&attr) : NULL;
            return molt_rule_break(err, MOLT_RULE_IMPORT_SIGNATURE,
                                   "%s of module %s, as %s declares it", name, module,
                                   file ? file : "a file of it");
        }
        *ret_bytes = molt_returned_bytes(&image->graph, function, image->elf.header.e_machine);
        if ((rc = molt_image_add_reached(image, function, err)) < 0)
            return rc;
    }
    if (i == first)
        return molt_rule_break(err, MOLT_RULE_ANCHOR, "%s of module %s", name, module);
    return 0;
}

static int add_import(struct molt_image *image, const char *elf_name, struct symbol_list *list,
                      struct molt_error *err)
{
    char buf[NAME_BYTES];
    const char *module, *name;
    uint64_t sig;
    if (molt_meta_symbol_parse(elf_name, buf, sizeof buf, &module, &name, &sig) < 0)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "the undefined symbol %.200s", elf_name);
    uint32_t ret_bytes = 0;
    int rc = check_import(image, module, name, sig, &ret_bytes, err);
    return rc < 0 ? rc : add_symbol(list, module, name, sig, ret_bytes, err);
}

/* ---- libraries and undefined names -------------------------------------- */

static int add_pin(struct molt_image *image, const char *name, struct molt_error *err)
{
    struct molt_meta *meta = image->meta;
    char **pins = reallocarray(meta->pins, meta->n_pins + 1, sizeof *pins);
    if (!pins)
        return no_memory(err);
    meta->pins = pins;
    if (!(pins[meta->n_pins] = strdup(name)))
        return no_memory(err);
    meta->n_pins++;
    return 0;
}

static int check_undefined(struct molt_image *image, size_t index, const char *name,
                           struct molt_error *err)
{
    const Elf64_Sym *sym = &image->elf.dynsym.syms[index];
    bool is_weak = ELF64_ST_BIND(sym->st_info) == STB_WEAK;
    if (is_weak && ELF64_ST_VISIBILITY(sym->st_other) == STV_HIDDEN)
        return 0; /* NULL for good */
    /* The linker takes the type of an undefined symbol from the library that
     * it was found in; those that were found nowhere have none. */
    bool is_found =
        molt_elf_is_versioned(&image->elf, index) || ELF64_ST_TYPE(sym->st_info) != STT_NOTYPE;
    if (is_found || molt_libc_is_provided(name, is_weak))
        return 0;
    if (molt_image_is_sanitizer_name(name)) {
        if (image->options->allow_sanitizer)
            return 0;
        return molt_rule_break_with(err, MOLT_RULE_UNDEFINED,
                                    "build without -fsanitize, or run molt with that sanitizer",
                                    "%s of a sanitizer's run time", name);
    }
    char place[256] = "";
    if (molt_uses_find(image, index, place, sizeof place) == MOLT_USE_DATA)
        return molt_rule_break(err, MOLT_RULE_IMPORTED_DATA,
                               "%.100s%s%s; write a function such as `get_%.100s()` in its module",
                               name, *place ? ", used in " : "", place, name);
    return molt_rule_break(err, MOLT_RULE_UNDEFINED, "%.200s%s%s", name, *place ? ", used in " : "",
                           place);
}

static int add_undefined(struct molt_image *image, size_t index, const char *name,
                         struct symbol_list *imports, struct molt_error *err)
{
    if (strncmp(name, "molt$", 5) == 0)
        return add_import(image, name, imports, err);
    const char *plain = strncmp(name, "__wrap_", 7) == 0 ? name + 7 : name;
    const char *alternative = molt_libc_alternative(plain);
    if (alternative)
        return molt_rule_break_with(err, MOLT_RULE_FORBIDDEN_IMPORT, alternative, "%s", plain);
    if (molt_libc_pins(plain))
        return add_pin(image, plain, err);
    if (molt_image_is_sanitizer_name(name))
        image->meta->flags |= MOLT_META_SANITIZED;
    if (molt_libc_is_uncounted(name))
        image->meta->flags |= MOLT_META_UNCOUNTED;
    return check_undefined(image, index, name, err);
}

static int by_name(const void *a, const void *b)
{
    const struct molt_meta_symbol *x = a, *y = b;
    int order = strcmp(x->module, y->module);
    return order ? order : strcmp(x->name, y->name);
}

static int by_anchor_name(const void *a, const void *b)
{
    const struct molt_debug_anchor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int by_string(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static int read_all(struct molt_image *image, struct symbol_list *exports,
                    struct symbol_list *imports, struct molt_error *err)
{
    const struct molt_elf_table *t = &image->elf.dynsym;
    for (size_t i = 1; i < t->n; i++) {
        const char *name = molt_elf_symbol_name(t, &t->syms[i]);
        int rc = 0;
        if (t->syms[i].st_shndx == SHN_UNDEF)
            rc = *name ? add_undefined(image, i, name, imports, err) : 0;
        else if (strncmp(name, "molt$", 5) == 0)
            rc = add_export(image, &t->syms[i], name, exports, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int molt_image_read_symbols(struct molt_image *image, struct molt_error *err)
{
    struct symbol_list exports = {0}, imports = {0};
    struct molt_meta *meta = image->meta;
    if (image->debug.n_anchors)
        qsort(image->debug.anchors, image->debug.n_anchors, sizeof *image->debug.anchors,
              by_anchor_name);
    int rc = read_all(image, &exports, &imports, err);
    if (exports.n)
        qsort(exports.items, exports.n, sizeof *exports.items, by_name);
    if (imports.n)
        qsort(imports.items, imports.n, sizeof *imports.items, by_name);
    if (meta->n_pins)
        qsort(meta->pins, meta->n_pins, sizeof *meta->pins, by_string);
    meta->exports = exports.items;
    meta->n_exports = exports.n;
    meta->imports = imports.items;
    meta->n_imports = imports.n;
    return rc;
}
