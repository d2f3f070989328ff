/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the files of the recipe share: strips of elements, and the loops that do
 * one leaf step for all elements of a strip. Offsets are trusted, values aren't.
 *
 * Threads: a run belongs to one thread.
 */
#ifndef MOLT_CODE_RECIPE_KERNELS_H
#define MOLT_CODE_RECIPE_KERNELS_H

#include "code/recipe.h"

/* @n values or elements, each so many bytes after the one before. */
struct molt_strip {
    const uint8_t *old;
    uint8_t *new;
    size_t old_stride, new_stride;
    size_t n;
};

struct molt_recipe_run {
    const struct molt_recipe *recipe;
    size_t old_bytes; /* of the whole block */
    const struct molt_rewire *rewire;
    struct molt_recipe_fault *fault;
};

/* Fills the fault in and returns MOLT_ECHANGE. */
int molt_recipe_stop(struct molt_recipe_run *run, const struct molt_step *step, const char *fmt,
                     ...) __attribute__((format(printf, 3, 4)));

/* The integer of 1, 2, 4 or 8 bytes at @at; 8 unsigned ones keep their bits. */
int64_t molt_recipe_load(const uint8_t *at, unsigned bytes, bool is_signed);

/* The tag of a UNION in @element. */
int64_t molt_recipe_tag(const struct molt_step *step, const uint8_t *element);

/* @step, which has no children, for each element of @strip. */
int molt_recipe_leaf(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *strip);

/* The step for the flexible member; NULL if there is none. */
static inline const struct molt_step *molt_recipe_flex(const struct molt_recipe *recipe)
{
    for (uint32_t i = recipe->n_top; i-- > 0;)
        if (recipe->steps[i].kind == MOLT_STEP_FLEX)
            return &recipe->steps[i];
    return NULL;
}

/* Elements of a block without a flexible member; empty structs count as one. */
static inline size_t molt_recipe_elements(const struct molt_recipe *recipe, size_t old_bytes)
{
    bool is_one = old_bytes == recipe->from_size || recipe->from_size == 0;
    return is_one ? 1 : old_bytes / recipe->from_size;
}

static inline size_t molt_recipe_flex_elements(const struct molt_step *flex, size_t old_bytes)
{
    return old_bytes > flex->old_at ? (old_bytes - flex->old_at) / flex->old_stride : 0;
}

#endif
