/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Integers. Up to 8 bytes a value is held as int64_t, an unsigned one of 8 bytes
 * by its bits. Whether it fits is one comparison: value + bias <= span, unsigned.
 */
#include "code/recipe_int.h"

#include <string.h>

/* ---- values of 1 to 8 bytes -------------------------------------------------------- */

static inline __attribute__((always_inline)) int64_t load(const uint8_t *at, unsigned bytes,
                                                          bool is_signed)
{
    uint64_t v = 0;
    memcpy(&v, at, bytes);
    unsigned shift = 64 - 8 * bytes;
    return is_signed ? (int64_t)(v << shift) >> shift : (int64_t)v;
}

int64_t molt_recipe_load(const uint8_t *at, unsigned bytes, bool is_signed)
{
    switch (bytes) {
    case 1:
        return load(at, 1, is_signed);
    case 2:
        return load(at, 2, is_signed);
    case 4:
        return load(at, 4, is_signed);
    default:
        return load(at, 8, is_signed);
    }
}

struct range {
    uint64_t bias, span;
};

/* What integers of @bits can hold of what others held. */
static struct range range_of(bool was_signed, unsigned bits, bool is_signed)
{
    uint64_t half = UINT64_C(1) << (bits - 1);
    if (is_signed)
        return was_signed ? (struct range){half, half + (half - 1)} : (struct range){0, half - 1};
    if (bits == 64)
        return (struct range){0, was_signed ? INT64_MAX : UINT64_MAX};
    return (struct range){0, half + (half - 1)};
}

static int stop_at(struct molt_recipe_run *run, const struct molt_step *step, int64_t value,
                   unsigned bits)
{
    const char *sign = step->flags & MOLT_STEP_NEW_SIGNED ? "a signed" : "an unsigned";
    if (step->flags & MOLT_STEP_OLD_SIGNED)
        return molt_recipe_stop(run, step, "%lld doesn't fit into %s integer of %u bits",
                                (long long)value, sign, bits);
    return molt_recipe_stop(run, step, "%llu doesn't fit into %s integer of %u bits",
                            (unsigned long long)value, sign, bits);
}

/* One loop for each pair of widths and each sign of the old. Returns the first
 * value's index that doesn't fit, or n. */
static inline __attribute__((always_inline)) size_t convert(const struct molt_strip *s,
                                                            unsigned old_bytes, unsigned new_bytes,
                                                            bool was_signed, struct range range)
{
    const uint8_t *old = s->old;
    uint8_t *new = s->new;
    for (size_t i = 0; i < s->n; i++) {
        int64_t v = load(old, old_bytes, was_signed);
        if ((uint64_t)v + range.bias > range.span)
            return i;
        memcpy(new, &v, new_bytes);
        old += s->old_stride;
        new += s->new_stride;
    }
    return s->n;
}

static inline __attribute__((always_inline)) size_t
convert_from(const struct molt_strip *s, unsigned old_bytes, bool was_signed, unsigned new_bytes,
             struct range range)
{
    switch (new_bytes) {
    case 1:
        return convert(s, old_bytes, 1, was_signed, range);
    case 2:
        return convert(s, old_bytes, 2, was_signed, range);
    case 4:
        return convert(s, old_bytes, 4, was_signed, range);
    default:
        return convert(s, old_bytes, 8, was_signed, range);
    }
}

static size_t convert_signed(const struct molt_strip *s, unsigned old_bytes, unsigned new_bytes,
                             struct range range)
{
    switch (old_bytes) {
    case 1:
        return convert_from(s, 1, true, new_bytes, range);
    case 2:
        return convert_from(s, 2, true, new_bytes, range);
    case 4:
        return convert_from(s, 4, true, new_bytes, range);
    default:
        return convert_from(s, 8, true, new_bytes, range);
    }
}

static size_t convert_unsigned(const struct molt_strip *s, unsigned old_bytes, unsigned new_bytes,
                               struct range range)
{
    switch (old_bytes) {
    case 1:
        return convert_from(s, 1, false, new_bytes, range);
    case 2:
        return convert_from(s, 2, false, new_bytes, range);
    case 4:
        return convert_from(s, 4, false, new_bytes, range);
    default:
        return convert_from(s, 8, false, new_bytes, range);
    }
}

/* ---- 16 bytes, on one side at least -------------------------------------------------- */

struct wide {
    uint64_t lo, hi; /* two's complement; an unsigned one may have bit 127 */
    bool is_negative;
};

static struct wide load_wide(const uint8_t *at, unsigned bytes, bool is_signed)
{
    struct wide w = {0};
    if (bytes == 16) {
        memcpy(&w.lo, at, 8);
        memcpy(&w.hi, at + 8, 8);
        w.is_negative = is_signed && w.hi >> 63;
        return w;
    }
    int64_t v = molt_recipe_load(at, bytes, is_signed);
    w.lo = (uint64_t)v;
    w.is_negative = is_signed && v < 0;
    w.hi = w.is_negative ? UINT64_MAX : 0;
    return w;
}

static bool fits_wide(const struct wide *w, unsigned new_bytes, bool is_signed)
{
    if (!is_signed && w->is_negative)
        return false;
    if (new_bytes == 16)
        return !is_signed || w->is_negative || !(w->hi >> 63);
    if (w->hi != (w->is_negative ? UINT64_MAX : 0) || (w->is_negative && !(w->lo >> 63)))
        return false;
    struct range range = range_of(w->is_negative, 8 * new_bytes, is_signed);
    return w->lo + range.bias <= range.span;
}

static int convert_wide(struct molt_recipe_run *run, const struct molt_step *step,
                        const struct molt_strip *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct wide w = load_wide(s->old + i * s->old_stride, step->old_bytes,
                                  step->flags & MOLT_STEP_OLD_SIGNED);
        uint8_t *at = s->new + i * s->new_stride;
        if (!fits_wide(&w, step->new_bytes, step->flags & MOLT_STEP_NEW_SIGNED))
            return molt_recipe_stop(run, step,
                                    "0x%llx%016llx doesn't fit into an integer of %u bits",
                                    (unsigned long long)w.hi, (unsigned long long)w.lo,
                                    8u * step->new_bytes);
        memcpy(at, &w.lo, step->new_bytes < 8 ? step->new_bytes : 8);
        if (step->new_bytes == 16)
            memcpy(at + 8, &w.hi, 8);
    }
    return 0;
}

static void store(uint8_t *at, unsigned bytes, int64_t value)
{
    switch (bytes) {
    case 1:
        memcpy(at, &value, 1);
        break;
    case 2:
        memcpy(at, &value, 2);
        break;
    case 4:
        memcpy(at, &value, 4);
        break;
    default:
        memcpy(at, &value, 8);
    }
}

/* ---- steps ------------------------------------------------------------------------- */

int molt_recipe_int(struct molt_recipe_run *run, const struct molt_step *step, const uint8_t *old,
                    uint8_t *new)
{
    bool was_signed = step->flags & MOLT_STEP_OLD_SIGNED;
    bool is_signed = step->flags & MOLT_STEP_NEW_SIGNED;
    int64_t value = molt_recipe_load(old, step->old_bytes, was_signed);
    bool always_fits = was_signed == is_signed && step->new_bytes >= step->old_bytes;
    if (!always_fits) {
        struct range range = range_of(was_signed, 8u * step->new_bytes, is_signed);
        if ((uint64_t)value + range.bias > range.span)
            return stop_at(run, step, value, 8u * step->new_bytes);
    }
    store(new, step->new_bytes, value);
    return 0;
}

int molt_recipe_ints(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *s)
{
    if (step->old_bytes == 16 || step->new_bytes == 16)
        return convert_wide(run, step, s);
    bool was_signed = step->flags & MOLT_STEP_OLD_SIGNED;
    bool is_signed = step->flags & MOLT_STEP_NEW_SIGNED;
    struct range range = range_of(was_signed, 8u * step->new_bytes, is_signed);
    size_t n = was_signed ? convert_signed(s, step->old_bytes, step->new_bytes, range)
                          : convert_unsigned(s, step->old_bytes, step->new_bytes, range);
    if (n == s->n)
        return 0;
    int64_t value = molt_recipe_load(s->old + n * s->old_stride, step->old_bytes, was_signed);
    return stop_at(run, step, value, 8u * step->new_bytes);
}

/* Most enums count up from their first value. NULL: the run is stopped. */
static const struct molt_recipe_map *find_map(struct molt_recipe_run *run,
                                              const struct molt_step *step, int64_t value)
{
    const struct molt_recipe_map *maps = run->recipe->maps + step->first;
    size_t lo = 0, hi = step->n_steps;
    uint64_t guess = hi ? (uint64_t)value - (uint64_t)maps[0].old : 0;
    if (guess < hi && maps[guess].old == value)
        return &maps[guess];
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (maps[mid].old == value)
            return &maps[mid];
        if (maps[mid].old < value)
            lo = mid + 1;
        else
            hi = mid;
    }
    molt_recipe_stop(run, step, "%lld is no value that has a name in both versions",
                     (long long)value);
    return NULL;
}

int molt_recipe_enums(struct molt_recipe_run *run, const struct molt_step *step,
                      const struct molt_strip *s)
{
    for (size_t i = 0; i < s->n; i++) {
        int64_t value = molt_recipe_load(s->old + i * s->old_stride, step->old_bytes,
                                         step->flags & MOLT_STEP_OLD_SIGNED);
        const struct molt_recipe_map *map = find_map(run, step, value);
        if (!map)
            return MOLT_ECHANGE;
        memcpy(s->new + i * s->new_stride, &map->new, step->new_bytes);
    }
    return 0;
}

/* ---- bitfields ---------------------------------------------------------------------- */

/* A field of 64 bits may touch nine bytes; no others are read or written. */
static uint64_t load_bits(const uint8_t *element, uint64_t at, unsigned bits)
{
    const uint8_t *p = element + at / 8;
    unsigned shift = at % 8, bytes = (shift + bits + 7) / 8;
    uint64_t v = 0;
    memcpy(&v, p, bytes < 8 ? bytes : 8);
    v >>= shift;
    if (bytes == 9)
        v |= (uint64_t)p[8] << (64 - shift);
    return bits < 64 ? v & ((UINT64_C(1) << bits) - 1) : v;
}

static void store_bits(uint8_t *element, uint64_t at, unsigned bits, uint64_t value)
{
    uint8_t *p = element + at / 8;
    unsigned shift = at % 8, bytes = (shift + bits + 7) / 8;
    uint64_t all = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
    uint64_t low = (value & all) << shift, mask = all << shift;
    for (unsigned i = 0; i < bytes && i < 8; i++)
        p[i] = (uint8_t)((p[i] & ~(mask >> 8 * i)) | low >> 8 * i);
    if (bytes == 9)
        p[8] = (uint8_t)((p[8] & ~(all >> (64 - shift))) | (value & all) >> (64 - shift));
}

int molt_recipe_bits(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *s)
{
    bool was_signed = step->flags & MOLT_STEP_OLD_SIGNED;
    struct range range = range_of(was_signed, step->new_bytes, step->flags & MOLT_STEP_NEW_SIGNED);
    unsigned shift = 64u - step->old_bytes;
    for (size_t i = 0; i < s->n; i++) {
        uint64_t raw = load_bits(s->old + i * s->old_stride, step->old_at, step->old_bytes);
        int64_t v = was_signed ? (int64_t)(raw << shift) >> shift : (int64_t)raw;
        if ((uint64_t)v + range.bias > range.span)
            return stop_at(run, step, v, step->new_bytes);
        store_bits(s->new + i * s->new_stride, step->new_at, step->new_bytes, (uint64_t)v);
    }
    return 0;
}

static int64_t load_field(const uint8_t *element, uint64_t at, unsigned bits, bool is_signed)
{
    uint64_t raw = load_bits(element, at, bits);
    return is_signed ? (int64_t)(raw << (64 - bits)) >> (64 - bits) : (int64_t)raw;
}

int molt_recipe_enum_bits(struct molt_recipe_run *run, const struct molt_step *step,
                          const struct molt_strip *s)
{
    for (size_t i = 0; i < s->n; i++) {
        int64_t value = load_field(s->old + i * s->old_stride, step->old_at, step->old_bytes,
                                   step->flags & MOLT_STEP_OLD_SIGNED);
        const struct molt_recipe_map *map = find_map(run, step, value);
        if (!map)
            return MOLT_ECHANGE;
        store_bits(s->new + i * s->new_stride, step->new_at, step->new_bytes, (uint64_t)map->new);
    }
    return 0;
}

/* ---- integers that decide ------------------------------------------------------------ */

int64_t molt_recipe_tag(const struct molt_step *step, const uint8_t *element)
{
    bool is_signed = step->flags & MOLT_STEP_OLD_SIGNED;
    if (step->flags & MOLT_STEP_IN_BITS)
        return load_field(element, step->old_at, step->old_bytes, is_signed);
    return molt_recipe_load(element + step->old_at, step->old_bytes, is_signed);
}

static struct wide load_length(const struct molt_step *step, const uint8_t *element)
{
    bool is_signed = step->flags & MOLT_STEP_OLD_SIGNED;
    if (!(step->flags & MOLT_STEP_IN_BITS))
        return load_wide(element + step->old_at, step->old_bytes, is_signed);
    int64_t v = load_field(element, step->old_at, step->old_bytes, is_signed);
    return (struct wide){.lo = (uint64_t)v, .is_negative = is_signed && v < 0};
}

int molt_recipe_fits(struct molt_recipe_run *run, const struct molt_step *step,
                     const struct molt_strip *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct wide w = load_length(step, s->old + i * s->old_stride);
        if (w.is_negative)
            return molt_recipe_stop(run, step, "%lld isn't in 0 to %lld", (long long)w.lo,
                                    (long long)step->limit);
        if (w.hi || w.lo > (uint64_t)step->limit)
            return molt_recipe_stop(run, step, "%llu isn't in 0 to %lld", (unsigned long long)w.lo,
                                    (long long)step->limit);
    }
    return 0;
}
