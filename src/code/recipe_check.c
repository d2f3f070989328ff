/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Is it safe to follow a recipe? All sums are of 64 bits over members of 32, so
 * none of them wraps.
 *
 * Work is counted in units of a few nanoseconds: one per step that is met and
 * one per value that it handles. What a compiler lays out needs less than
 * WORK_PER_BYTE (a byte has at most eight bitfields, a struct lies in few others);
 * what needs more, as an array of a million empty structs, is no recipe.
 */
#include <stdlib.h>
#include <string.h>

#include "code/recipe.h"

#define DEPTH_MAX 64
#define WORK_PER_BYTE 64u

struct check {
    const struct molt_recipe *recipe;
    struct molt_error *err;
    uint8_t is_child[MOLT_RECIPE_STEPS_MAX / 8];
};

/* The element that steps are relative to. */
struct frame {
    uint64_t old_size, new_size;
    uint64_t budget; /* of work for the steps of one */
    unsigned depth;  /* 0: the root's */
};

static uint64_t budget_of(const struct molt_recipe *r, uint64_t old_size, uint64_t new_size)
{
    return WORK_PER_BYTE * (old_size + new_size) + 32u * r->n_steps;
}

static int refuse(struct check *check, const struct molt_step *step, const char *why)
{
    const struct molt_recipe *r = check->recipe;
    return molt_error_set(check->err, MOLT_EFORMAT, "recipe for %.200s: step %u (%.200s): %s",
                          r->from_key, (unsigned)(step - r->steps),
                          step->text < r->n_texts ? r->texts[step->text] : "?", why);
}

static bool is_int_width(unsigned bytes, unsigned max)
{
    return bytes <= max && (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16);
}

static bool is_float_width(unsigned bytes)
{
    return bytes == 4 || bytes == 8 || (bytes == 16 && sizeof(long double) == 16);
}

/* Bytes of one value in the old and the new element. */
static uint64_t old_unit(const struct molt_step *step)
{
    switch (step->kind) {
    case MOLT_STEP_COPY:
    case MOLT_STEP_STRING:
    case MOLT_STEP_ZERO:
        return 1;
    case MOLT_STEP_POINTER:
    case MOLT_STEP_WORD:
        return sizeof(void *);
    case MOLT_STEP_SET:
        return 0;
    default:
        return step->old_bytes;
    }
}

static uint64_t new_unit(const struct molt_step *step)
{
    switch (step->kind) {
    case MOLT_STEP_COPY:
    case MOLT_STEP_SET:
        return 1;
    case MOLT_STEP_POINTER:
    case MOLT_STEP_WORD:
        return sizeof(void *);
    case MOLT_STEP_STRING:
    case MOLT_STEP_ZERO:
    case MOLT_STEP_FITS:
        return 0;
    default:
        return step->new_bytes;
    }
}

/* Nothing is read where a step has no old unit, so its offset may be anything. */
static bool is_inside(uint64_t at, uint64_t count, uint64_t unit, uint64_t size)
{
    return unit == 0 || at + count * unit <= size;
}

/* Whether @value can be stored as @step's new integers. */
static bool can_hold(const struct molt_step *step, int64_t value)
{
    bool in_bits = step->flags & MOLT_STEP_IN_BITS;
    if (step->new_bytes == (in_bits ? 64 : 8))
        return true;
    bool is_signed = step->flags & MOLT_STEP_NEW_SIGNED;
    unsigned bits = (in_bits ? 1u : 8u) * step->new_bytes - is_signed;
    int64_t max = (int64_t)((UINT64_C(1) << bits) - 1);
    return value <= max && value >= (is_signed ? -max - 1 : 0);
}

static int check_maps(struct check *check, const struct molt_step *step)
{
    if ((uint64_t)step->first + step->n_steps > check->recipe->n_maps)
        return refuse(check, step, "its values lie outside the recipe");
    for (uint32_t i = 0; i < step->n_steps; i++) {
        const struct molt_recipe_map *map = &check->recipe->maps[step->first + i];
        if (i > 0 && map[-1].old >= map->old)
            return refuse(check, step, "its values don't ascend");
        if (!can_hold(step, map->new))
            return refuse(check, step, "a new value doesn't fit into its bytes");
    }
    return 0;
}

static bool is_bit_width(unsigned bits)
{
    return bits >= 1 && bits <= 64;
}

/* BITS, and what else is a bitfield; FITS and UNION have no new value. */
static int check_bits(struct check *check, const struct molt_step *step, const struct frame *in)
{
    bool is_written = step->kind == MOLT_STEP_BITS || step->kind == MOLT_STEP_ENUM;
    if (!is_bit_width(step->old_bytes) || (is_written && !is_bit_width(step->new_bytes)))
        return refuse(check, step, "no width of a bitfield");
    if (step->kind != MOLT_STEP_UNION && step->count != 1)
        return refuse(check, step, "more than one bitfield");
    if (step->kind == MOLT_STEP_FITS && step->limit < 0)
        return refuse(check, step, "no limit");
    if ((uint64_t)step->old_at + step->old_bytes > 8 * in->old_size ||
        (is_written && (uint64_t)step->new_at + step->new_bytes > 8 * in->new_size))
        return refuse(check, step, "it lies outside its struct");
    return step->kind == MOLT_STEP_ENUM ? check_maps(check, step) : 0;
}

static int check_widths(struct check *check, const struct molt_step *step)
{
    bool ok = true;
    switch (step->kind) {
    case MOLT_STEP_INT:
        ok = is_int_width(step->old_bytes, 16) && is_int_width(step->new_bytes, 16);
        break;
    case MOLT_STEP_FLOAT:
        ok = is_float_width(step->old_bytes) && is_float_width(step->new_bytes);
        break;
    case MOLT_STEP_ENUM:
        ok = is_int_width(step->old_bytes, 8) && is_int_width(step->new_bytes, 8);
        break;
    case MOLT_STEP_FITS:
        ok = is_int_width(step->old_bytes, 16) && step->limit >= 0 && step->count == 1;
        break;
    }
    return ok ? 0 : refuse(check, step, "no width, count or limit of its kind");
}

static int check_leaf(struct check *check, const struct molt_step *step, const struct frame *in,
                      uint64_t *work)
{
    int rc = check_widths(check, step);
    if (rc < 0)
        return rc;
    if (!is_inside(step->old_at, step->count, old_unit(step), in->old_size) ||
        !is_inside(step->new_at, step->count, new_unit(step), in->new_size))
        return refuse(check, step, "it lies outside its struct");
    if (step->kind == MOLT_STEP_SET && (uint64_t)step->first + step->count > check->recipe->n_bytes)
        return refuse(check, step, "its bytes lie outside the recipe");
    *work += step->count;
    return step->kind == MOLT_STEP_ENUM ? check_maps(check, step) : 0;
}

static int check_range(struct check *check, uint32_t first, uint32_t n, const struct frame *in,
                       uint64_t *work);

/* Each step has one parent, before it. */
static int adopt_children(struct check *check, const struct molt_step *step)
{
    uint32_t own = (uint32_t)(step - check->recipe->steps);
    if ((uint64_t)step->first + step->n_steps > check->recipe->n_steps)
        return refuse(check, step, "its steps lie outside the recipe");
    if (step->n_steps && step->first <= own)
        return refuse(check, step, "its steps stand before it");
    for (uint32_t i = step->first; i < step->first + step->n_steps; i++) {
        if (check->is_child[i / 8] & (1u << i % 8))
            return refuse(check, step, "its steps are another's");
        check->is_child[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return 0;
}

static int check_each(struct check *check, const struct molt_step *step, const struct frame *in,
                      uint64_t *work)
{
    struct frame inner = {step->old_stride, step->new_stride, in->budget, in->depth + 1};
    uint64_t each = 0, all;
    if (!is_inside(step->old_at, step->count, step->old_stride, in->old_size) ||
        !is_inside(step->new_at, step->count, step->new_stride, in->new_size))
        return refuse(check, step, "it lies outside its struct");
    int rc = adopt_children(check, step);
    if (rc == 0)
        rc = check_range(check, step->first, step->n_steps, &inner, &each);
    if (__builtin_mul_overflow(each + 1, step->count, &all) || all > in->budget)
        all = in->budget + 1;
    *work += all;
    return rc;
}

static int check_flex(struct check *check, const struct molt_step *step, const struct frame *in)
{
    struct frame inner = {step->old_stride, step->new_stride,
                          budget_of(check->recipe, step->old_stride, step->new_stride),
                          in->depth + 1};
    uint64_t each = 0;
    if (in->depth > 0)
        return refuse(check, step, "a flexible member inside another struct");
    for (uint32_t i = 0; i < check->recipe->n_top; i++)
        if (&check->recipe->steps[i] != step && check->recipe->steps[i].kind == MOLT_STEP_FLEX)
            return refuse(check, step, "a second flexible member");
    if (step->old_at > in->old_size || step->new_at > in->new_size || step->old_stride == 0)
        return refuse(check, step, "it doesn't stand at the end of its struct");
    int rc = adopt_children(check, step);
    if (rc == 0)
        rc = check_range(check, step->first, step->n_steps, &inner, &each);
    return rc;
}

static int check_union(struct check *check, const struct molt_step *step, const struct frame *in,
                       uint64_t *work)
{
    struct frame inner = {in->old_size, in->new_size, in->budget, in->depth + 1};
    uint64_t most = 0;
    int rc = 0;
    if (step->flags & MOLT_STEP_IN_BITS)
        rc = check_bits(check, step, in);
    else if (!is_int_width(step->old_bytes, 8))
        rc = refuse(check, step, "no width of a tag");
    else if (!is_inside(step->old_at, 1, step->old_bytes, in->old_size))
        rc = refuse(check, step, "its tag lies outside its struct");
    if (rc == 0)
        rc = adopt_children(check, step);
    for (uint32_t i = 0; i < step->n_steps && rc == 0; i++) {
        const struct molt_step *one = &check->recipe->steps[step->first + i];
        uint64_t cost = 0;
        if (one->kind != MOLT_STEP_CASE)
            return refuse(check, one, "it is no case of the union that it is in");
        if (i > 0 && one[-1].limit >= one->limit)
            return refuse(check, one, "the union's tags don't ascend");
        rc = adopt_children(check, one);
        if (rc == 0)
            rc = check_range(check, one->first, one->n_steps, &inner, &cost);
        most = cost > most ? cost : most;
    }
    *work += 16 + most; /* the search takes at most 16 looks */
    return rc;
}

/* The flags that mean something for @step; signs do no harm elsewhere. */
static unsigned flags_of(const struct molt_step *step)
{
    unsigned signs = MOLT_STEP_OLD_SIGNED | MOLT_STEP_NEW_SIGNED;
    switch (step->kind) {
    case MOLT_STEP_ENUM:
    case MOLT_STEP_FITS:
    case MOLT_STEP_UNION:
        return signs | MOLT_STEP_IN_BITS;
    case MOLT_STEP_POINTER:
        return signs | MOLT_STEP_MUST_OWN;
    default:
        return signs;
    }
}

static int check_step(struct check *check, const struct molt_step *step, const struct frame *in,
                      uint64_t *work)
{
    ++*work;
    if (step->flags & ~flags_of(step))
        return refuse(check, step, "flags that its kind doesn't have");
    switch (step->kind) {
    case MOLT_STEP_BITS:
        return check_bits(check, step, in);
    case MOLT_STEP_EACH:
        return check_each(check, step, in, work);
    case MOLT_STEP_FLEX:
        return check_flex(check, step, in);
    case MOLT_STEP_UNION:
        return check_union(check, step, in, work);
    case MOLT_STEP_CASE:
        return refuse(check, step, "a case outside a union");
    default:
        if (step->kind >= MOLT_STEP_KINDS)
            return refuse(check, step, "of unknown kind");
        if (step->flags & MOLT_STEP_IN_BITS)
            return check_bits(check, step, in);
        return check_leaf(check, step, in, work);
    }
}

/* The steps of one element; adds what following them once costs. */
static int check_range(struct check *check, uint32_t first, uint32_t n, const struct frame *in,
                       uint64_t *work)
{
    const struct molt_recipe *r = check->recipe;
    for (uint32_t i = first; i < first + n; i++) {
        if (in->depth > DEPTH_MAX)
            return refuse(check, &r->steps[i], "nested too deeply");
        int rc = check_step(check, &r->steps[i], in, work);
        if (rc < 0)
            return rc;
        if (*work > in->budget)
            return refuse(check, &r->steps[i], "too much work for a struct of its size");
    }
    return 0;
}

static int check_members(const struct molt_recipe *r, struct molt_error *err)
{
    const char *why = NULL;
    if (!r->from_key || !r->from_key[0] || !r->to_key || !r->to_key[0])
        return molt_error_set(err, MOLT_EFORMAT, "a recipe names no type");
    if (r->n_steps > MOLT_RECIPE_STEPS_MAX || r->n_texts > MOLT_RECIPE_TEXTS_MAX)
        why = "more steps or texts than a recipe may have";
    else if (r->n_top > r->n_steps)
        why = "more steps at the top than there are";
    else if (r->flags & ~(MOLT_RECIPE_IS_PARTIAL | MOLT_RECIPE_IS_SINGLE))
        why = "unknown flags";
    else if ((r->flags & MOLT_RECIPE_IS_PARTIAL) && !r->change_module)
        why = "it is partial, and nobody makes the rest";
    for (uint32_t i = 0; !why && i < r->n_texts; i++)
        why = r->texts[i] ? NULL : "a text is missing";
    for (uint32_t i = 0; !why && i < r->n_lost; i++)
        why = r->lost[i] ? NULL : "a text is missing";
    if (why)
        return molt_error_set(err, MOLT_EFORMAT, "recipe for %.200s: %s", r->from_key, why);
    return 0;
}

static int check_tree(struct check *check)
{
    const struct molt_recipe *r = check->recipe;
    struct frame top = {r->from_size, r->to_size, budget_of(r, r->from_size, r->to_size), 0};
    uint64_t work = 0;
    for (uint32_t i = 0; i < r->n_top; i++)
        check->is_child[i / 8] |= (uint8_t)(1u << i % 8);
    int rc = check_range(check, 0, r->n_top, &top, &work);
    for (uint32_t i = r->n_top; i < r->n_steps && rc == 0; i++)
        if (!(check->is_child[i / 8] & (1u << i % 8)))
            rc = refuse(check, &r->steps[i], "nobody's step");
    return rc;
}

int molt_recipe_check(const struct molt_recipe *recipe, struct molt_error *err)
{
    int rc = check_members(recipe, err);
    if (rc < 0)
        return rc;
    struct check *check = calloc(1, sizeof(*check));
    if (!check)
        return molt_error_set(err, MOLT_ENOMEM, "no memory to check a recipe");
    check->recipe = recipe;
    check->err = err;
    rc = check_tree(check);
    free(check);
    return rc;
}
