/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Type objects: what the host knows of a block's type. Interned by (key,
 * hash), so equal identity and layout means equal address, whatever image or
 * version it came from. They live as long as the host and never point into an
 * image, so blocks don't pin code by having a type.
 *
 * Threads: molt_types_...() under the code table's lock; a type object is
 * immutable but for its atomics and may be read from any thread.
 */
#ifndef MOLT_CODE_TYPE_H
#define MOLT_CODE_TYPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "code/meta.h"

struct molt_type_key;  /* one per key, shared by its layouts */
struct molt_edge_node; /* table.h */

struct molt_type {
    const struct molt_type_key *key; /* equal for all layouts of one type */
    const char *key_text;
    const char *name;
    uint64_t hash, shape;
    uint32_t size;
    bool is_from_header;
    bool may_point; /* a word of it may hold an address: n_ptrs or n_flex_ptrs > 0 */
    size_t n_ptrs;
    const struct molt_meta_ptr *ptrs;
    uint32_t flex_at, flex_size; /* see struct molt_meta_type */
    size_t n_flex_ptrs;
    const struct molt_meta_ptr *flex_ptrs;
    /* The key has other layouts, or a recipe leads away from this one; never false again. */
    atomic_bool is_many;
    /* Recipes that lead away, newest first; see layout.c. */
    _Atomic(struct molt_edge_node *) edges;
};

struct molt_types; /* the table */

int molt_types_new(struct molt_types **ret);
void molt_types_free(struct molt_types *types);

/* The type object for @meta; NULL when out of memory. */
const struct molt_type *molt_types_intern(struct molt_types *types,
                                          const struct molt_meta_type *meta);

/* The type object with this key and layout; NULL if there is none. */
const struct molt_type *molt_types_find(struct molt_types *types, const char *key, uint64_t hash,
                                        uint32_t size);

/* All type objects: after NULL the first, after the last NULL. */
const struct molt_type *molt_types_next(struct molt_types *types, const struct molt_type *after);

#endif
