/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The debug info of one file, opened with libdw, and an index of what lies in
 * it: variables with an address, functions, named types, per compilation unit.
 *
 * libdw is careful with single values but follows what the bytes say; the walk
 * bounds depth, visits and direction, so that no bytes make it run for ever.
 *
 * Threads: belongs to one thread at a time.
 */
#ifndef MOLT_TYPES_DEBUG_H
#define MOLT_TYPES_DEBUG_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

#include "types/arena.h"
#include "types/elf_view.h"

/* A source file. One object per path in a debug, so pointers compare. */
struct molt_source {
    const char *path; /* absolute, without . and .. */
    const char *text; /* as people and keys name it: relative to the project,
                         molt/<rest> for molt's own headers, else absolute */
    const char *base; /* after the last slash */
    bool is_header;   /* declarations in it are shared: it isn't a .c file */
};

/* A compilation unit. */
struct molt_unit {
    Dwarf_Die die;
    const char *folder; /* DW_AT_comp_dir, "" if none */
    Dwarf_Files *files; /* read when first asked for */
    size_t n_files;
    const struct molt_source **sources; /* [n_files], NULL: not yet asked for */
    bool has_files;
};

struct molt_debug_var {
    uint64_t addr; /* from the image's base */
    const char *name;
    const char *scope; /* function that it is static in, or NULL */
    Dwarf_Die die;     /* has DW_AT_type, perhaps by way of its origin */
    size_t unit;
};

struct molt_debug_fn {
    uint64_t addr;
    const char *name;
    Dwarf_Die die; /* the definition, or the origin of it */
    size_t unit;
};

/* A complete struct, union or enum with a tag, or a typedef. */
struct molt_debug_type {
    const char *name;
    Dwarf_Die die;
    size_t unit;
    int tag;           /* DW_TAG_... */
    const char *scope; /* function that it is declared in, or NULL */
};

/* `static T *molt_anchor_f;` */
struct molt_debug_anchor {
    const char *name; /* f */
    Dwarf_Die die;
    size_t unit;
};

struct molt_debug {
    struct molt_arena arena;
    uint8_t *copy;
    Elf *elf;
    Dwarf *dwarf;
    const char *project, *module; /* borrowed; may be NULL */
    size_t n_units, cap_units;
    struct molt_unit *units;
    struct molt_map unit_of_cu, source_of_path;
    size_t n_vars, cap_vars, n_fns, cap_fns, n_types, cap_types, n_anchors, cap_anchors;
    struct molt_debug_var *vars; /* ascending addresses */
    struct molt_debug_fn *fns;   /* ascending addresses */
    struct molt_debug_type *types;
    struct molt_debug_anchor *anchors;
    size_t n_ghosts, cap_ghosts;
    struct molt_debug_var *ghosts; /* of file scope, without an address: the compiler made
                                      constants of them, or dropped them */
    size_t n_enums, cap_enums;
    Dwarf_Die *enums;               /* without a tag, outside of functions */
    struct molt_map scope_of_die;   /* type in a function -> name of the function */
    struct molt_map typedef_of_die; /* anonymous type -> name of its first typedef */
    uint64_t budget;                /* visits left */
};

/* Open the debug info of @elf and index it. @project and @module name source
 * files and may be NULL; @elf, and both, outlive the debug. Rules debug-none,
 * debug-compressed, debug-split, debug-bad. */
int molt_debug_open(const struct molt_elf *elf, const char *project, const char *module,
                    struct molt_debug *ret, struct molt_error *err);
void molt_debug_fini(struct molt_debug *debug);

/* The unit of @die; NULL if it is none that was indexed. */
struct molt_unit *molt_debug_unit(struct molt_debug *debug, const Dwarf_Die *die);

/* File that @die was declared in; NULL if unknown. */
const struct molt_source *molt_debug_source(struct molt_debug *debug, Dwarf_Die *die);
int molt_debug_line(Dwarf_Die *die); /* 0 if unknown */
/* "src/counter.c:21" into @buf ("an unknown place" if so). */
void molt_debug_place(struct molt_debug *debug, Dwarf_Die *die, char *buf, size_t size);

/* By address; NULL if there is none. */
const struct molt_debug_var *molt_debug_var_at(const struct molt_debug *debug, uint64_t addr);
const struct molt_debug_fn *molt_debug_fn_at(const struct molt_debug *debug, uint64_t addr);

/* "counter.c:12" of the code at @addr into @buf; false if unknown. */
bool molt_debug_code_place(struct molt_debug *debug, uint64_t addr, char *buf, size_t size);

/* What the units declare as external @name without defining it. */
enum molt_debug_extern { MOLT_EXTERN_UNKNOWN, MOLT_EXTERN_FUNCTION, MOLT_EXTERN_VARIABLE };
enum molt_debug_extern molt_debug_find_extern(struct molt_debug *debug, const char *name,
                                              Dwarf_Die *ret);

#endif
