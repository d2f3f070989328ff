/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The steps that touch bytes, each as a loop over a strip. Bytes are little-endian
 * and may lie anywhere: packed structs are read as well.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "code/recipe_int.h"

int molt_recipe_stop(struct molt_recipe_run *run, const struct molt_step *step, const char *fmt,
                     ...)
{
    const struct molt_recipe *recipe = run->recipe;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(run->fault->why, sizeof(run->fault->why), fmt, ap);
    va_end(ap);
    run->fault->field = step->text < recipe->n_texts ? recipe->texts[step->text] : NULL;
    return MOLT_ECHANGE;
}

/* ---- bytes ------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void copy_sized(const struct molt_strip *s,
                                                             size_t bytes)
{
    const uint8_t *old = s->old;
    uint8_t *new = s->new;
    for (size_t i = 0; i < s->n; i++) {
        memcpy(new, old, bytes);
        old += s->old_stride;
        new += s->new_stride;
    }
}

static int copy(const struct molt_strip *s, size_t bytes)
{
    if (s->old_stride == bytes && s->new_stride == bytes) {
        memcpy(s->new, s->old, s->n * bytes);
        return 0;
    }
    /* A size that the compiler knows makes a copy one or two moves. */
    switch (bytes) {
    case 4:
        copy_sized(s, 4);
        break;
    case 8:
        copy_sized(s, 8);
        break;
    case 16:
        copy_sized(s, 16);
        break;
    case 24:
        copy_sized(s, 24);
        break;
    case 32:
        copy_sized(s, 32);
        break;
    default:
        copy_sized(s, bytes);
    }
    return 0;
}

static int set(const struct molt_recipe_run *run, const struct molt_step *step,
               const struct molt_strip *s)
{
    const uint8_t *bytes = run->recipe->bytes + step->first;
    for (size_t i = 0; i < s->n; i++)
        memcpy(s->new + i * s->new_stride, bytes, step->count);
    return 0;
}

static int string(struct molt_recipe_run *run, const struct molt_step *step,
                  const struct molt_strip *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!memchr(s->old + i * s->old_stride, '\0', step->count))
            return molt_recipe_stop(run, step, "no end of the text within %u bytes", step->count);
    return 0;
}

static int zero(struct molt_recipe_run *run, const struct molt_step *step,
                const struct molt_strip *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const uint8_t *at = s->old + i * s->old_stride;
        if (step->count && (at[0] || memcmp(at, at + 1, step->count - 1) != 0))
            return molt_recipe_stop(run, step, "what it held would be lost, and it isn't zero");
    }
    return 0;
}

/* ---- addresses ----------------------------------------------------------------------- */

static int pointers(struct molt_recipe_run *run, const struct molt_step *step,
                    const struct molt_strip *s)
{
    const struct molt_rewire *rewire = run->rewire;
    if (!rewire)
        return copy(s, sizeof(void *));
    bool must_own = (step->flags & MOLT_STEP_MUST_OWN) && rewire->owns;
    for (size_t i = 0; i < s->n; i++) {
        uintptr_t word;
        uint64_t now;
        memcpy(&word, s->old + i * s->old_stride, sizeof(word));
        if (!word) {
            memcpy(s->new + i * s->new_stride, &word, sizeof(word));
            continue;
        }
        if (must_own && !rewire->owns(rewire->user, word))
            return molt_recipe_stop(run, step,
                                    "what it points to has another layout now, and %#llx is "
                                    "neither a block nor in a module",
                                    (unsigned long long)word);
        int rc = rewire->pointer(rewire->user, word, step->type, &now, run->fault->why,
                                 sizeof(run->fault->why));
        if (rc < 0) {
            run->fault->field =
                step->text < run->recipe->n_texts ? run->recipe->texts[step->text] : NULL;
            return rc;
        }
        word = (uintptr_t)now;
        memcpy(s->new + i * s->new_stride, &word, sizeof(word));
    }
    return 0;
}

static int words(struct molt_recipe_run *run, const struct molt_step *step,
                 const struct molt_strip *s)
{
    const struct molt_rewire *rewire = run->rewire;
    for (size_t i = 0; rewire && i < s->n; i++) {
        uintptr_t word;
        memcpy(&word, s->old + i * s->old_stride, sizeof(word));
        if (word && rewire->moves(rewire->user, word))
            return molt_recipe_stop(run, step, "%#llx may be an address, of something that moves",
                                    (unsigned long long)word);
    }
    return copy(s, sizeof(void *));
}

/* ---- floats -------------------------------------------------------------------------- */

static long double load_float(const uint8_t *at, unsigned bytes)
{
    float f;
    double d;
    long double l;
    if (bytes == 4)
        return memcpy(&f, at, 4), f;
    if (bytes == 8)
        return memcpy(&d, at, 8), d;
    return memcpy(&l, at, sizeof(l)), l;
}

static void store_float(uint8_t *at, unsigned bytes, long double value)
{
    float f = (float)value;
    double d = (double)value;
    if (bytes == 4)
        memcpy(at, &f, 4);
    else if (bytes == 8)
        memcpy(at, &d, 8);
    else
        memcpy(at, &value, sizeof(value));
}

static void float_to_double(const struct molt_strip *s)
{
    for (size_t i = 0; i < s->n; i++) {
        float f;
        memcpy(&f, s->old + i * s->old_stride, sizeof(f));
        double d = f;
        memcpy(s->new + i * s->new_stride, &d, sizeof(d));
    }
}

static int floats(struct molt_recipe_run *run, const struct molt_step *step,
                  const struct molt_strip *s)
{
    if (step->old_bytes == step->new_bytes)
        return copy(s, step->old_bytes);
    if (step->old_bytes == 4 && step->new_bytes == 8) {
        float_to_double(s);
        return 0;
    }
    for (size_t i = 0; i < s->n; i++) {
        uint8_t *at = s->new + i * s->new_stride;
        long double value = load_float(s->old + i * s->old_stride, step->old_bytes);
        store_float(at, step->new_bytes, value);
        long double now = load_float(at, step->new_bytes);
        if (now != value && value == value) /* a NaN stays one */
            return molt_recipe_stop(run, step, "%.21Lg doesn't fit into a float of %u bytes", value,
                                    step->new_bytes);
    }
    return 0;
}

/* ---- all leaves ------------------------------------------------------------------------ */

typedef int kernel_fn(struct molt_recipe_run *run, const struct molt_step *step,
                      const struct molt_strip *strip);

/* @step->count values per element, @old_unit and @new_unit bytes apart: in one
 * loop if they follow each other, else along the longer side. */
static int spread(struct molt_recipe_run *run, const struct molt_step *step, kernel_fn *kernel,
                  const struct molt_strip *strip, size_t old_unit, size_t new_unit)
{
    struct molt_strip s = *strip;
    size_t count = step->count, n_runs = count, old_skip = old_unit, new_skip = new_unit;
    if (count == 1)
        return kernel(run, step, &s);
    if (count >= strip->n) {
        n_runs = strip->n;
        s.n = count;
        old_skip = strip->old_stride;
        new_skip = strip->new_stride;
        s.old_stride = old_unit;
        s.new_stride = new_unit;
    } else if (strip->old_stride == count * old_unit && strip->new_stride == count * new_unit) {
        n_runs = 1;
        s.n = strip->n * count;
        s.old_stride = old_unit;
        s.new_stride = new_unit;
    }
    for (size_t i = 0; i < n_runs; i++) {
        int rc = kernel(run, step, &s);
        if (rc < 0)
            return rc;
        s.old += old_skip;
        s.new += new_skip;
    }
    return 0;
}

int molt_recipe_leaf(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *strip)
{
    struct molt_strip s = *strip;
    /* Those whose offsets may count bits add them themselves. */
    switch (step->kind) {
    case MOLT_STEP_BITS:
        return molt_recipe_bits(run, step, &s);
    case MOLT_STEP_FITS:
        return molt_recipe_fits(run, step, &s);
    case MOLT_STEP_ENUM:
        if (step->flags & MOLT_STEP_IN_BITS)
            return molt_recipe_enum_bits(run, step, &s);
        break;
    default:
        break;
    }
    s.old += step->old_at;
    s.new += step->new_at;
    switch (step->kind) {
    case MOLT_STEP_COPY:
        return copy(&s, step->count);
    case MOLT_STEP_SET:
        return set(run, step, &s);
    case MOLT_STEP_STRING:
        return string(run, step, &s);
    case MOLT_STEP_ZERO:
        return zero(run, step, &s);
    case MOLT_STEP_POINTER:
        return spread(run, step, pointers, &s, sizeof(void *), sizeof(void *));
    case MOLT_STEP_WORD:
        return spread(run, step, words, &s, sizeof(void *), sizeof(void *));
    case MOLT_STEP_INT:
        return spread(run, step, molt_recipe_ints, &s, step->old_bytes, step->new_bytes);
    case MOLT_STEP_FLOAT:
        return spread(run, step, floats, &s, step->old_bytes, step->new_bytes);
    case MOLT_STEP_ENUM:
        return spread(run, step, molt_recipe_enums, &s, step->old_bytes, step->new_bytes);
    default:
        return 0; /* no leaf */
    }
}
