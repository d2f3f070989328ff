/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Hints of an image (include/molt/migrate.h): section molt_hints, read and compared
 * with the debug info, so that what they name is there.
 *
 * Threads: as the image.
 */
#ifndef MOLT_TYPES_HINT_H
#define MOLT_TYPES_HINT_H

#include <stddef.h>
#include <stdint.h>

#include <molt/migrate.h>

struct molt_image;
struct molt_error;

/* A hint that fits. Strings and bytes live as long as the image. */
struct molt_image_hint {
    enum molt_hint_kind kind;
    size_t unit;       /* where it is written */
    uint32_t type;     /* node, whole: a record, or an enum for RENUMBERED */
    const char *field; /* "pos.x", or NULL */
    const char *text;
    uint32_t text_type; /* node of the type that CASE of a void * names, else NONE */
    const uint8_t *value;
    uint64_t value_size;
    int64_t number;
    const char *place; /* "src/counter.c:12" */
};

struct molt_image_hints {
    struct molt_image_hint *items; /* malloc'd */
    size_t n;
};

/* Reads them into @image and tells the graph of MOLT_SEMANTIC, which is part of the
 * hashes: before any is made. Rule hint: what one names isn't there, with place and
 * remedy. A hint for a type that the module never uses isn't kept. */
int molt_image_read_hints(struct molt_image *image, struct molt_error *err);

#endif
