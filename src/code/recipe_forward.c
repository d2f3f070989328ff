/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where a pointer into a converted block goes. An offset may mean several
 * things: a struct, its first member, the end of the array before it. All that it
 * may mean is collected; the pointee's type chooses, by ranks, and what is left
 * must agree on one new offset.
 */
#include <stdio.h>
#include <string.h>

#include "code/recipe_kernels.h"

enum meaning {
    IS_OF_TYPE,  /* a struct or value of just the pointee's type */
    ENDS_TYPE,   /* one past an array of just that type */
    IS_VALUE,    /* in a value of another or unknown type */
    ENDS_VALUES, /* one past an array of such */
    IS_STRUCT,   /* a struct, and the pointer says nothing: void * */
    N_MEANINGS
};

struct search {
    const struct molt_recipe *recipe;
    uint64_t type;
    struct {
        uint64_t at;
        bool is_found, is_split;
    } found[N_MEANINGS];
    bool is_bitfield; /* one is there: it has no address */
};

static void add(struct search *s, enum meaning meaning, uint64_t new_at)
{
    if (s->found[meaning].is_found && s->found[meaning].at != new_at)
        s->found[meaning].is_split = true;
    s->found[meaning].is_found = true;
    s->found[meaning].at = new_at;
}

static void add_struct(struct search *s, uint64_t type, uint64_t new_at)
{
    if (s->type && s->type == type)
        add(s, IS_OF_TYPE, new_at);
    else if (!s->type)
        add(s, IS_STRUCT, new_at);
}

static void add_value(struct search *s, uint64_t type, uint64_t new_at)
{
    add(s, s->type && s->type == type ? IS_OF_TYPE : IS_VALUE, new_at);
}

static void add_end(struct search *s, uint64_t type, uint64_t new_at)
{
    if (s->type && s->type == type)
        add(s, ENDS_TYPE, new_at);
    else if (!s->type || !type)
        add(s, ENDS_VALUES, new_at);
}

/* @at lies in @step's values, @unit bytes each, or just behind them. */
static void meet_leaf(struct search *s, const struct molt_step *step, uint64_t at,
                      uint64_t old_unit, uint64_t new_unit, uint64_t new_base)
{
    uint64_t type = step->kind == MOLT_STEP_POINTER ? 0 : step->type;
    uint64_t i = at / old_unit, rest = at % old_unit;
    if (i == step->count) {
        /* Nobody points one past a single value. A run of bytes may be a text. */
        bool is_array = step->count > (step->kind == MOLT_STEP_COPY ? 8 : 1);
        if (is_array)
            add_end(s, type, new_base + step->count * new_unit);
        return;
    }
    if (rest == 0 || old_unit == new_unit)
        add_value(s, type, new_base + i * new_unit + rest);
}

static void meet_steps(struct search *s, uint32_t first, uint32_t n, uint64_t at,
                       uint64_t new_base);

/* @count structs that begin @at bytes before the place. */
static void meet_each(struct search *s, const struct molt_step *step, uint64_t count, uint64_t at,
                      uint64_t new_base)
{
    if (step->old_stride == 0 || step->new_stride == 0)
        return;
    uint64_t i = at / step->old_stride, rest = at % step->old_stride;
    if (rest == 0 && i < count)
        add_struct(s, step->type, new_base + i * step->new_stride);
    if (rest == 0 && i == count && count > 1)
        add_end(s, step->type, new_base + i * step->new_stride);
    if (i < count)
        meet_steps(s, step->first, step->n_steps, rest, new_base + i * step->new_stride);
    /* The place may also be the end of an array at the end of the one before. */
    if (rest == 0 && i > 0)
        meet_steps(s, step->first, step->n_steps, step->old_stride,
                   new_base + (i - 1) * step->new_stride);
}

static void meet_cases(struct search *s, const struct molt_step *step, uint64_t at,
                       uint64_t new_base)
{
    for (uint32_t i = step->first; i < step->first + step->n_steps; i++) {
        const struct molt_step *one = &s->recipe->steps[i];
        meet_steps(s, one->first, one->n_steps, at, new_base);
    }
}

static void meet(struct search *s, const struct molt_step *step, uint64_t at, uint64_t new_base)
{
    uint64_t inner = at - step->old_at, now = new_base + step->new_at;
    uint64_t old_unit = step->old_bytes, new_unit = step->new_bytes;
    switch (step->kind) {
    case MOLT_STEP_UNION:
        meet_cases(s, step, at, new_base);
        return;
    case MOLT_STEP_EACH:
        if (at >= step->old_at && inner <= (uint64_t)step->count * step->old_stride)
            meet_each(s, step, step->count, inner, now);
        return;
    case MOLT_STEP_COPY:
        old_unit = new_unit = 1;
        break;
    case MOLT_STEP_POINTER:
    case MOLT_STEP_WORD:
        old_unit = new_unit = sizeof(void *);
        break;
    case MOLT_STEP_INT:
    case MOLT_STEP_FLOAT:
        break;
    case MOLT_STEP_ENUM:
        if (!(step->flags & MOLT_STEP_IN_BITS))
            break;
        __attribute__((fallthrough));
    case MOLT_STEP_BITS:
        s->is_bitfield |=
            8 * at >= step->old_at && 8 * at < (uint64_t)step->old_at + step->old_bytes;
        return;
    default:
        return; /* no address, or nothing that was there before */
    }
    if (at >= step->old_at && inner <= step->count * old_unit)
        meet_leaf(s, step, inner, old_unit, new_unit, now);
}

/* A place in or at the end of an element whose new one begins at @new_base. */
static void meet_steps(struct search *s, uint32_t first, uint32_t n, uint64_t at, uint64_t new_base)
{
    for (uint32_t i = first; i < first + n; i++)
        meet(s, &s->recipe->steps[i], at, new_base);
}

/* ---- the block ------------------------------------------------------------------------ */

static uint64_t type_of(const struct molt_recipe *recipe)
{
    return recipe->from_type ? recipe->from_type : molt_recipe_type_id(recipe->from_key);
}

static void meet_block(struct search *s, size_t old_bytes, uint64_t at)
{
    const struct molt_recipe *r = s->recipe;
    const struct molt_step *flex = molt_recipe_flex(r);
    struct molt_step root = {
        .old_stride = r->from_size,
        .new_stride = r->to_size,
        .n_steps = r->n_top,
        .type = type_of(r),
    };
    if (!flex) {
        meet_each(s, &root, molt_recipe_elements(r, old_bytes), at, 0);
        return;
    }
    if (at == 0)
        add_struct(s, root.type, 0);
    meet_steps(s, 0, r->n_top, at, 0);
    if (at >= flex->old_at)
        meet_each(s, flex, molt_recipe_flex_elements(flex, old_bytes), at - flex->old_at,
                  flex->new_at);
}

/* Without a type all meanings must agree; with one, those of the best rank. */
static int choose(const struct search *s, size_t *ret, char *why, size_t why_size)
{
    uint64_t at = 0;
    bool is_found = false, is_split = false;
    for (enum meaning m = 0; m < N_MEANINGS; m++) {
        if (!s->found[m].is_found)
            continue;
        is_split |= s->found[m].is_split || (is_found && s->found[m].at != at);
        at = s->found[m].at;
        is_found = true;
        if (m == IS_OF_TYPE || m == ENDS_TYPE)
            break;
    }
    if (is_found && !is_split) {
        *ret = (size_t)at;
        return 0;
    }
    snprintf(why, why_size, "%s",
             is_split ? "it could be one of several things there, which part: the start of a "
                        "struct, its first member, the end of an array"
                      : "the field there is gone");
    return MOLT_ECHANGE;
}

/* A struct whose first member is gone: void * may have meant either. */
static bool is_headless(const struct search *s)
{
    return s->found[IS_STRUCT].is_found && !s->found[IS_VALUE].is_found && !s->is_bitfield;
}

int molt_recipe_forward(const struct molt_recipe *recipe, size_t old_bytes, size_t old_at,
                        uint64_t type, size_t *ret_new_at, char *why, size_t why_size)
{
    if (type == MOLT_RECIPE_TYPE_TEXT)
        type = 0;
    struct search s = {.recipe = recipe, .type = type};
    bool is_whole = type && type == type_of(recipe) && recipe->from_size && recipe->to_size;
    if (is_whole && old_at % recipe->from_size == 0 && !molt_recipe_flex(recipe)) {
        *ret_new_at = old_at / recipe->from_size * recipe->to_size;
        return 0;
    }
    if (old_at <= old_bytes)
        meet_block(&s, old_bytes, old_at);
    if (old_at == old_bytes)
        add(&s, ENDS_VALUES, molt_recipe_new_bytes(recipe, old_bytes));
    else if (is_headless(&s)) {
        snprintf(why, why_size,
                 "it could be the start of a struct or its first member, which is gone");
        return MOLT_ECHANGE;
    }
    return choose(&s, ret_new_at, why, why_size);
}
