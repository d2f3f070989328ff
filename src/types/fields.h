/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The fields of a struct as its users see them: those of anonymous structs inside
 * are its own, an anonymous union is one field without a name.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_TYPES_FIELDS_H
#define MOLT_TYPES_FIELDS_H

#include "types/graph.h"

struct molt_field {
    const char *name; /* NULL: an anonymous union */
    uint32_t type;
    uint64_t bit_offset; /* from the start of the outermost struct */
    uint32_t bit_size;   /* of a bitfield, else 0 */
    uint32_t line;       /* 0 if unknown */
    const struct molt_source *file;
};

struct molt_fields {
    struct molt_field *items;
    size_t n, cap;
};

/* The fields of record @record (a whole one), ascending offsets. MOLT_ENOMEM. */
int molt_fields_init(struct molt_fields *fields, const struct molt_graph *graph, uint32_t record);
void molt_fields_fini(struct molt_fields *fields);

/* By name; NULL if there is none. */
const struct molt_field *molt_fields_find(const struct molt_fields *fields, const char *name);

/* The field at @path ("pos.x") of @record, its offset from the start of @record. Finds members
 * of anonymous unions too. */
bool molt_field_at(const struct molt_graph *graph, uint32_t record, const char *path,
                   struct molt_field *ret);

#endif
