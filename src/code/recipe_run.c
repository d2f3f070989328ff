/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Following a recipe. Each step is done for many elements at once, a strip that
 * stays in the first cache, so that an array of a million structs costs a
 * million runs of tight loops and not of the interpreter. A checked recipe is
 * trusted here: only values are looked at, never offsets.
 */
#include <stdio.h>
#include <string.h>

#include "code/recipe_int.h"

/* Old and new bytes of the elements that a list of steps is done for at a time. */
#define STRIP_BYTES 8192u

size_t molt_recipe_new_bytes(const struct molt_recipe *recipe, size_t old_bytes)
{
    const struct molt_step *flex = molt_recipe_flex(recipe);
    size_t n, bytes;
    if (!flex) {
        n = molt_recipe_elements(recipe, old_bytes);
        return __builtin_mul_overflow(n, recipe->to_size, &bytes) ? SIZE_MAX : bytes;
    }
    n = molt_recipe_flex_elements(flex, old_bytes);
    if (__builtin_mul_overflow(n, flex->new_stride, &bytes) ||
        __builtin_add_overflow(bytes, flex->new_at, &bytes))
        return SIZE_MAX;
    return bytes < recipe->to_size ? recipe->to_size : bytes;
}

static int run_steps(struct molt_recipe_run *run, uint32_t first, uint32_t n,
                     const struct molt_strip *strip);

/* ---- steps with children --------------------------------------------------------- */

/* @count structs inside each element of @strip: along the longer side. */
static int run_each(struct molt_recipe_run *run, const struct molt_step *step,
                    const struct molt_strip *strip)
{
    struct molt_strip inner = *strip;
    size_t outer = strip->n, count = step->count;
    inner.old += step->old_at;
    inner.new += step->new_at;
    if (count >= outer) {
        inner.old_stride = step->old_stride;
        inner.new_stride = step->new_stride;
        inner.n = count;
    }
    size_t n_runs = count >= outer ? outer : count;
    size_t old_skip = count >= outer ? strip->old_stride : step->old_stride;
    size_t new_skip = count >= outer ? strip->new_stride : step->new_stride;
    for (size_t i = 0; i < n_runs; i++) {
        int rc = run_steps(run, step->first, step->n_steps, &inner);
        if (rc < 0)
            return rc;
        inner.old += old_skip;
        inner.new += new_skip;
    }
    return 0;
}

static const struct molt_step *case_of(const struct molt_recipe *recipe,
                                       const struct molt_step *step, int64_t tag)
{
    uint32_t lo = step->first, hi = step->first + step->n_steps;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (recipe->steps[mid].limit == tag)
            return &recipe->steps[mid];
        if (recipe->steps[mid].limit < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static int run_union(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *strip)
{
    struct molt_strip one = *strip;
    one.n = 1;
    for (size_t i = 0; i < strip->n; i++) {
        int64_t tag = molt_recipe_tag(step, one.old);
        const struct molt_step *found = case_of(run->recipe, step, tag);
        if (!found)
            return molt_recipe_stop(run, step, "no MOLT_CASE for %lld", (long long)tag);
        int rc = run_steps(run, found->first, found->n_steps, &one);
        if (rc < 0)
            return rc;
        one.old += strip->old_stride;
        one.new += strip->new_stride;
    }
    return 0;
}

static int run_flex(struct molt_recipe_run *run, const struct molt_step *step,
                    const struct molt_strip *strip)
{
    const struct molt_strip elements = {
        .old = strip->old + step->old_at,
        .new = strip->new + step->new_at,
        .old_stride = step->old_stride,
        .new_stride = step->new_stride,
        .n = step->n_steps ? molt_recipe_flex_elements(step, run->old_bytes) : 0,
    };
    return run_steps(run, step->first, step->n_steps, &elements);
}

/* ---- all steps --------------------------------------------------------------------- */

static int run_step(struct molt_recipe_run *run, const struct molt_step *step,
                    const struct molt_strip *strip)
{
    switch (step->kind) {
    case MOLT_STEP_EACH:
        return run_each(run, step, strip);
    case MOLT_STEP_UNION:
        return run_union(run, step, strip);
    case MOLT_STEP_FLEX:
        return run_flex(run, step, strip);
    default:
        return molt_recipe_leaf(run, step, strip);
    }
}

static inline void copy_one(const uint8_t *old, uint8_t *new, size_t bytes)
{
    if (bytes == 8)
        memcpy(new, old, 8);
    else if (bytes == 4)
        memcpy(new, old, 4);
    else
        memcpy(new, old, bytes);
}

/* A single element: what is usual, without the detour over strips. */
static int run_alone(struct molt_recipe_run *run, uint32_t first, uint32_t n,
                     const struct molt_strip *strip)
{
    const struct molt_step *end = run->recipe->steps + first + n;
    const uint8_t *old = strip->old;
    uint8_t *new = strip->new;
    int rc = 0;
    for (const struct molt_step *step = end - n; step < end && rc == 0; step++) {
        if (step->kind == MOLT_STEP_COPY)
            copy_one(old + step->old_at, new + step->new_at, step->count);
        else if (step->kind == MOLT_STEP_INT && step->count == 1 &&
                 (step->old_bytes | step->new_bytes) < 16)
            rc = molt_recipe_int(run, step, old + step->old_at, new + step->new_at);
        else
            rc = run_step(run, step, strip);
    }
    return rc;
}

static int run_steps(struct molt_recipe_run *run, uint32_t first, uint32_t n,
                     const struct molt_strip *strip)
{
    if (strip->n == 1)
        return run_alone(run, first, n, strip);
    size_t pair = strip->old_stride + strip->new_stride;
    size_t most = pair < STRIP_BYTES / 2 ? STRIP_BYTES / (pair ? pair : 1) : 1;
    struct molt_strip part = *strip;
    for (size_t left = strip->n; left; left -= part.n) {
        part.n = left < most ? left : most;
        for (uint32_t i = first; i < first + n; i++) {
            int rc = run_step(run, &run->recipe->steps[i], &part);
            if (rc < 0)
                return rc;
        }
        part.old += part.n * part.old_stride;
        part.new += part.n *part.new_stride;
    }
    return 0;
}

/* A block of a size that its type can't have: nothing is known of its bytes. */
static int check_size(struct molt_recipe_run *run, const struct molt_step *flex)
{
    size_t from = run->recipe->from_size;
    if ((run->recipe->flags & MOLT_RECIPE_IS_SINGLE) && run->old_bytes != from) {
        run->fault->field = NULL;
        snprintf(run->fault->why, sizeof(run->fault->why),
                 "an array can't become a struct with a flexible member");
        return MOLT_ECHANGE;
    }
    bool ok = flex ? run->old_bytes >= from
                   : run->old_bytes == from || from == 0 || run->old_bytes % from == 0;
    if (ok)
        return 0;
    run->fault->field = NULL;
    snprintf(run->fault->why, sizeof(run->fault->why), "a block of %zu bytes can't hold %s of %zu",
             run->old_bytes, flex ? "one" : "whole ones", from);
    return MOLT_ECHANGE;
}

int molt_recipe_run(const struct molt_recipe *recipe, const void *old, size_t old_bytes, void *new,
                    const struct molt_rewire *rewire, struct molt_recipe_fault *fault)
{
    const struct molt_step *flex = molt_recipe_flex(recipe);
    struct molt_recipe_run run = {
        .recipe = recipe,
        .old_bytes = old_bytes,
        .rewire = rewire,
        .fault = fault,
    };
    const struct molt_strip all = {
        .old = old,
        .new = new,
        .old_stride = recipe->from_size,
        .new_stride = recipe->to_size,
        .n = flex ? 1 : molt_recipe_elements(recipe, old_bytes),
    };
    int rc = check_size(&run, flex);
    return rc < 0 ? rc : run_steps(&run, 0, recipe->n_top, &all);
}
