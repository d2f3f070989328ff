/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Modules for tests: compiles C into shared objects with the flags that the
 * build uses (docs/design/spine.md), and interface objects from the text that
 * port/thunk_asm.h makes. Everything goes to a folder of its own that dies
 * with the maker.
 *
 * Whatever goes wrong in here fails the running test with the tool's output.
 *
 * Threads: a maker belongs to one thread at a time.
 */
#ifndef MOLT_TESTS_MODULE_MAKER_H
#define MOLT_TESTS_MODULE_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/interface_text.h"

struct module_maker {
    char dir[128];
    const char *cc;      /* "gcc" or "clang" */
    const char *opt;     /* "-O0" */
    const char *linker;  /* "gold" or "bfd" */
    const char *include; /* folder of molt's headers, for test_module.h; set by the test */
    unsigned n_commands;
};

void module_maker_init(struct module_maker *maker, const char *cc, const char *opt,
                       const char *linker);
/* Removes the folder and what is in it. */
void module_maker_fini(struct module_maker *maker);

#define MODULE_SOURCES_MAX 4
#define MODULE_FLAGS_MAX 12

struct module_source {
    const char *output;                      /* base name of the object: "a-1" */
    const char *sources[MODULE_SOURCES_MAX]; /* paths of C files; NULL ends */
    const char *cflags[MODULE_FLAGS_MAX];    /* after the usual ones; NULL ends */
    const char *ldflags[MODULE_FLAGS_MAX];   /* the same */
    bool is_library;                         /* a plain library: no flags of modules */
};

/* Compile and link. The path is the caller's to free. */
char *module_maker_build(struct module_maker *maker, const struct module_source *source);

/* Write @text to file @name in the maker's folder. The path is the caller's. */
char *module_maker_write(struct module_maker *maker, const char *name, const char *text);

/* Assemble and link an interface object with the thunks of @exports. The path
 * is the caller's to free. */
char *module_maker_interface(struct module_maker *maker, const char *output, size_t n_exports,
                             const struct module_export *exports);

#endif
