/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Which words of a type may hold an address.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_TYPES_WORDS_H
#define MOLT_TYPES_WORDS_H

#include "code/meta.h"
#include "types/graph.h"

#define MOLT_WORDS_MAX 65536

/* Set @ret's ptrs and flex_*: all such words of one element of @type, and where its
 * flexible member is. Arrays and field paths are malloc'd, ascending; empty: NULL and 0.
 * Neighbours of one kind in an array are one entry. MOLT_ENOMEM; MOLT_ELIMIT beyond
 * MOLT_WORDS_MAX entries. */
int molt_words_of(const struct molt_graph *graph, uint32_t type, struct molt_meta_type *ret,
                  struct molt_error *err);
/* Those two arrays of @type. */
void molt_words_free(struct molt_meta_type *type);

#endif
