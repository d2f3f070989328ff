/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The leaf steps that handle integers; see recipe_kernels.h.
 *
 * Threads: a run belongs to one thread.
 */
#ifndef MOLT_CODE_RECIPE_INT_H
#define MOLT_CODE_RECIPE_INT_H

#include "code/recipe_kernels.h"

/* The strip's addresses are those of the values. */
int molt_recipe_ints(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *s);
int molt_recipe_enums(struct molt_recipe_run *run, const struct molt_step *step,
                      const struct molt_strip *s);
/* One value of at most 8 bytes on either side. */
int molt_recipe_int(struct molt_recipe_run *run, const struct molt_step *step, const uint8_t *old,
                    uint8_t *new);
/* The strip's addresses are those of the elements. */
int molt_recipe_fits(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *s);
int molt_recipe_enum_bits(struct molt_recipe_run *run, const struct molt_step *step,
                          const struct molt_strip *s);
int molt_recipe_bits(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *s);

#endif
