/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * One key or value, from one layout to another.
 *
 * Threads: any, as long as the way's recipes and the world stay.
 */
#ifndef MOLT_RUNTIME_TABLE_CONVERT_H
#define MOLT_RUNTIME_TABLE_CONVERT_H

#include <stdbool.h>

#include "code/layout.h"
#include "code/recipe.h"
#include "runtime/table_layout.h"

/* What lies at @old, of @old_bytes, at the way's other end, where it has @new_bytes. Pointers
 * into images are led on to those of @world; NULL: they are copied. MOLT_ECHANGE with
 * @fault; MOLT_ENOMEM. The authors' functions on the way aren't called. */
int molt_table_convert(const struct molt_way *way, const struct molt_world *world, const void *old,
                       size_t old_bytes, void *new, size_t new_bytes,
                       struct molt_recipe_fault *fault);

/* An encoded key from one layout to the other; as above. MOLT_EINVAL: what the recipe made is
 * no key. */
int molt_table_convert_key(const struct molt_way *way, const struct molt_table_layout *from,
                           const uint64_t *words, const struct molt_table_layout *to,
                           uint64_t *ret_words, struct molt_recipe_fault *fault);

/* Whether an author's function is on the way. */
bool molt_table_way_has_change(const struct molt_way *way);

/* Copy a value, with its pointers led on to the images of @world, which knows its type. False:
 * none changed. What leads to something that is gone stays. */
bool molt_table_lead_on(const struct molt_type *type, const struct molt_world *world,
                        const void *value, void *ret_value);

#endif
