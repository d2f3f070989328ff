/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Compiling C text inside a test: a folder of its own, files written into it,
 * gcc or clang with the flags of a module (docs/design/spine.md), a linker.
 * Whatever fails to compile fails the running test with the tool's output.
 *
 * Threads: a folder belongs to one thread at a time.
 */
#ifndef MOLT_TESTS_COMPILE_H
#define MOLT_TESTS_COMPILE_H

#include <stddef.h>
#include <stdint.h>

struct compile {
    char dir[64];       /* absolute; removed by fini */
    const char *cc;     /* "gcc" or "clang" */
    const char *cflags; /* behind the module's own: "-O2 -gdwarf-4" */
    const char *ldflags;
};

void compile_init(struct compile *c, const char *cc, const char *cflags);
void compile_fini(struct compile *c);

/* Write file @name, making its folder. */
void compile_write(struct compile *c, const char *name, const char *text);

/* @source to the object file @object, both inside the folder. */
void compile_object(struct compile *c, const char *source, const char *object);

/* Link @objects (names separated by blanks) into the module @output. */
void compile_link(struct compile *c, const char *objects, const char *output);

/* Run a command line in the folder. */
void compile_run(struct compile *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The bytes of a file, malloc'd. */
uint8_t *compile_read(struct compile *c, const char *name, size_t *ret_len);

/* Absolute path of a file, malloc'd. */
char *compile_path(struct compile *c, const char *name);

#endif
