/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A pair as C: its types, and tables of what lies where in the objects of the older text
 * and what has to be found in both. Offsets and sizes are written as offsetof and sizeof, so
 * what the compilers make of the layouts is their own business. Bitfields have no offsets:
 * they are set and checked by functions.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_PROPERTY_EMIT_H
#define MOLT_TESTS_PROPERTY_EMIT_H

#include <stdio.h>

#include "model.h"

enum cell_kind {
    CELL_SIGNED,
    CELL_UNSIGNED,
    CELL_FLOAT, /* value: in eighths */
    CELL_TEXT,  /* value: the text's address; what lies behind its end doesn't matter */
    CELL_ZERO,
    CELL_NEVER,  /* a value that doesn't fit: something should have been refused */
    CELL_BLOCK,  /* value: an object, @to: bytes from its start */
    CELL_MARK,   /* value: an index into marks */
    CELL_OPAQUE, /* value: an object whose address it was at first, and is for good */
    CELL_WORD,   /* the same, but it would be wrong if the object moved */
};

/* A value of an object, or what must be there. The texts have the same declarations. */
struct property_cell {
    unsigned line;
    unsigned short kind, object;
    unsigned at, bytes;
    long value;
    unsigned long to;
};

/* What a text offers for each pair, as an extension of kind "property". */
struct property_entry {
    const struct property_cell *values, *expected; /* values: the older text alone */
    unsigned n_values, n_expected;
    int (*build)(void **objects);       /* makes the objects, with their bitfields; 0 or -1 */
    int (*check)(void *const *objects); /* bitfields: 0, or the line of the first wrong one */
    const void *const *marks;           /* MARKS of them; NULL: it is gone */
};

/* A text with @n pairs, which brings the extension @name. */
void emit_text(FILE *out, const struct pair *pairs, int n, bool is_now, const char *name);

/* ---- its parts (emit_values.c) -------------------------------------------------- */

enum pass {
    PASS_VALUES,
    PASS_EXPECTED,
    PASS_SET,  /* bitfields */
    PASS_CHECK /* bitfields */
};

struct emit {
    FILE *out;
    const struct pair *pair;
    const struct version *v;
    bool is_now; /* the newer text */
    enum pass pass;
    int object, element;
};

/* A value that fits into every integer. */
int emit_default_of(const struct field *f);

/* All objects, as far as the pass is concerned. */
void emit_objects(struct emit *e);

#endif
