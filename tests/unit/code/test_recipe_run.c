/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Each kind of step, and each way in which it can stop. */
#include "recipe_maker.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

/* Run @recipe (freed) over @old, expecting @want in the new bytes. */
static void assert_gives(struct molt_recipe *recipe, const void *old, size_t old_bytes,
                         const void *want, size_t want_bytes)
{
    struct molt_recipe_fault fault = {0};
    assert_int_equal(molt_recipe_new_bytes(recipe, old_bytes), want_bytes);
    void *now = calloc(1, want_bytes + 1);
    int rc = maker_run(recipe, old, old_bytes, now, NULL, &fault);
    if (rc < 0)
        fail_msg("%s", fault.why);
    assert_memory_equal(now, want, want_bytes);
    free(now);
    molt_recipe_free(recipe);
}

/* Run @recipe (freed) over @old, expecting that it stops with @why at "s.f". */
static void assert_stops(struct molt_recipe *recipe, const void *old, size_t old_bytes,
                         const char *why)
{
    struct molt_recipe_fault fault = {0};
    size_t bytes = molt_recipe_new_bytes(recipe, old_bytes);
    void *now = calloc(1, bytes + 1);
    assert_int_equal(maker_run(recipe, old, old_bytes, now, NULL, &fault), MOLT_ECHANGE);
    assert_string_equal(fault.field, "s.f");
    assert_string_equal(fault.why, why);
    free(now);
    molt_recipe_free(recipe);
}

static struct molt_step int_step(unsigned old_bytes, unsigned new_bytes, unsigned flags)
{
    return (struct molt_step){.kind = MOLT_STEP_INT,
                              .flags = (uint8_t)flags,
                              .old_bytes = (uint8_t)old_bytes,
                              .new_bytes = (uint8_t)new_bytes,
                              .count = 1};
}

static struct molt_recipe *int_recipe(unsigned old_bytes, unsigned new_bytes, unsigned flags)
{
    return MAKE(old_bytes, new_bytes, int_step(old_bytes, new_bytes, flags));
}

/* ---- leaves ---------------------------------------------------------------------- */

static void bytes_are_copied_to_their_new_place(void **state)
{
    (void)state;
    struct molt_recipe *r =
        MAKE(8, 12, {.kind = MOLT_STEP_COPY, .old_at = 1, .new_at = 6, .count = 5});
    assert_gives(r, "abcdefgh", 8, "\0\0\0\0\0\0bcdef\0", 12);
}

static void every_element_of_a_block_is_converted(void **state)
{
    (void)state;
    int32_t old[1000];
    int64_t want[1000];
    for (int i = 0; i < 1000; i++)
        want[i] = old[i] = i - 500;
    assert_gives(int_recipe(4, 8, BOTH), old, sizeof old, want, sizeof want);
}

static void an_integer_grows_with_its_sign(void **state)
{
    (void)state;
    static const unsigned widths[] = {1, 2, 4, 8, 16};
    uint8_t old[16], want[16];
    for (int i = 0; i < 5; i++) {
        for (int j = i; j < 5; j++) {
            memset(old, 0xff, sizeof old);
            memset(want, 0xff, sizeof want);
            old[0] = want[0] = 0x85;
            assert_gives(int_recipe(widths[i], widths[j], BOTH), old, widths[i], want, widths[j]);
            memset(want + widths[i], 0, sizeof want - widths[i]);
            assert_gives(int_recipe(widths[i], widths[j], 0), old, widths[i], want, widths[j]);
        }
    }
}

static void an_integer_that_does_not_fit_stops(void **state)
{
    (void)state;
    assert_stops(int_recipe(8, 4, BOTH), &(int64_t){INT64_C(4294967296)}, 8,
                 "4294967296 doesn't fit into a signed integer of 32 bits");
    assert_stops(int_recipe(8, 4, BOTH), &(int64_t){(int64_t)INT32_MIN - 1}, 8,
                 "-2147483649 doesn't fit into a signed integer of 32 bits");
    assert_stops(int_recipe(4, 8, OLD), &(int32_t){-1}, 4,
                 "-1 doesn't fit into an unsigned integer of 64 bits");
    assert_stops(int_recipe(8, 8, NEW), &(uint64_t){UINT64_MAX}, 8,
                 "18446744073709551615 doesn't fit into a signed integer of 64 bits");
    assert_stops(int_recipe(1, 1, NEW), &(uint8_t){128}, 1,
                 "128 doesn't fit into a signed integer of 8 bits");
    assert_stops(int_recipe(8, 16, OLD), &(int64_t){-2}, 8,
                 "0xfffffffffffffffffffffffffffffffe doesn't fit into an integer of 128 bits");
    assert_stops(int_recipe(16, 8, BOTH), (uint64_t[]){0, 1}, 16,
                 "0x10000000000000000 doesn't fit into an integer of 64 bits");
    assert_stops(int_recipe(16, 8, BOTH), (uint64_t[]){1, UINT64_MAX}, 16,
                 "0xffffffffffffffff0000000000000001 doesn't fit into an integer of 64 bits");
    assert_stops(int_recipe(16, 16, NEW), (uint64_t[]){0, UINT64_MAX}, 16,
                 "0xffffffffffffffff0000000000000000 doesn't fit into an integer of 128 bits");
}

static void the_outermost_integers_that_fit_are_kept(void **state)
{
    (void)state;
    assert_gives(int_recipe(8, 4, BOTH), &(int64_t){INT32_MIN}, 8, &(int32_t){INT32_MIN}, 4);
    assert_gives(int_recipe(8, 4, BOTH), &(int64_t){INT32_MAX}, 8, &(int32_t){INT32_MAX}, 4);
    assert_gives(int_recipe(8, 4, OLD), &(int64_t){UINT32_MAX}, 8, &(uint32_t){UINT32_MAX}, 4);
    assert_gives(int_recipe(16, 8, BOTH), (uint64_t[]){UINT64_C(1) << 63, UINT64_MAX}, 16,
                 &(int64_t){INT64_MIN}, 8);
    assert_gives(int_recipe(16, 8, 0), (uint64_t[]){UINT64_MAX, 0}, 16, &(uint64_t){UINT64_MAX}, 8);
}

static void arrays_inside_elements_are_converted(void **state)
{
    (void)state;
    /* More elements than values, as many, and fewer; packed and with a gap. */
    static const unsigned shapes[][2] = {{2, 9}, {3, 3}, {9, 2}, {1, 4}};
    for (size_t k = 0; k < 4; k++) {
        for (unsigned gap = 0; gap < 3; gap++) {
            unsigned count = shapes[k][0], n = shapes[k][1];
            uint32_t from = 2 * count + gap, to = 4 * count + gap;
            uint8_t old[256] = {0}, want[256] = {0};
            for (unsigned i = 0; i < n; i++) {
                for (unsigned j = 0; j < count; j++) {
                    int16_t v = (int16_t)(i * 100 - j * 7);
                    int32_t w = v;
                    memcpy(old + i * from + 2 * j, &v, 2);
                    memcpy(want + i * to + 4 * j + gap, &w, 4);
                }
            }
            struct molt_step step = int_step(2, 4, BOTH);
            step.count = count;
            step.new_at = gap;
            assert_gives(MAKE(from, to, step), old, n * (size_t)from, want, n * (size_t)to);
        }
    }
}

static struct molt_recipe *float_recipe(unsigned old_bytes, unsigned new_bytes)
{
    return MAKE(old_bytes, new_bytes,
                {.kind = MOLT_STEP_FLOAT,
                 .old_bytes = (uint8_t)old_bytes,
                 .new_bytes = (uint8_t)new_bytes,
                 .count = 1});
}

static void floats_keep_their_number_or_stop(void **state)
{
    (void)state;
    double d = 0;
    assert_gives(float_recipe(4, 8), &(float){1.5f}, 4, &(double){1.5}, 8);
    assert_gives(float_recipe(8, 4), &(double){-0.25}, 8, &(float){-0.25f}, 4);
    assert_gives(float_recipe(8, 4), &(double){INFINITY}, 8, &(float){INFINITY}, 4);
    assert_stops(float_recipe(8, 4), &(double){0.5 + DBL_EPSILON}, 8,
                 "0.500000000000000222045 doesn't fit into a float of 4 bytes");
    struct molt_recipe *r = float_recipe(4, 8);
    struct molt_recipe_fault fault;
    assert_int_equal(maker_run(r, &(float){NAN}, 4, &d, NULL, &fault), 0);
    assert_true(isnan(d));
    molt_recipe_free(r);
    if (sizeof(long double) == 16) {
        long double l = 0;
        r = float_recipe(8, 16);
        assert_int_equal(maker_run(r, &(double){0.1}, 8, &l, NULL, &fault), 0);
        assert_true(l == (long double)0.1);
        molt_recipe_free(r);
    }
}

static struct molt_recipe *bits_recipe(unsigned old_at, unsigned old_bits, unsigned new_at,
                                       unsigned new_bits, unsigned flags)
{
    return MAKE(16, 16,
                {.kind = MOLT_STEP_BITS,
                 .flags = (uint8_t)flags,
                 .old_at = old_at,
                 .new_at = new_at,
                 .count = 1,
                 .old_bytes = (uint8_t)old_bits,
                 .new_bytes = (uint8_t)new_bits});
}

static void bitfields_are_found_where_the_compiler_puts_them(void **state)
{
    (void)state;
    struct old {
        unsigned a : 3;
        int b : 7;
        unsigned long long c : 54;
        unsigned long long rest;
    } old = {5, -37, UINT64_C(0x2abbccddeeff11), 0};
    struct new
    {
        unsigned long long c : 60;
        int b : 12;
        unsigned a : 9;
        unsigned rest;
    }
    want = {UINT64_C(0x2abbccddeeff11), -37, 5, 0}, now = {0};
    _Static_assert(sizeof old == 16 && sizeof now == 16, "");
    struct molt_recipe *r = MAKE(16, 16,
                                 {.kind = MOLT_STEP_BITS,
                                  .old_at = 0,
                                  .old_bytes = 3,
                                  .new_at = 76,
                                  .new_bytes = 9,
                                  .count = 1},
                                 {.kind = MOLT_STEP_BITS,
                                  .flags = BOTH,
                                  .old_at = 3,
                                  .old_bytes = 7,
                                  .new_at = 64,
                                  .new_bytes = 12,
                                  .count = 1},
                                 {.kind = MOLT_STEP_BITS,
                                  .old_at = 10,
                                  .old_bytes = 54,
                                  .new_at = 0,
                                  .new_bytes = 60,
                                  .count = 1});
    struct molt_recipe_fault fault;
    assert_int_equal(maker_run(r, &old, 16, &now, NULL, &fault), 0);
    assert_true(now.a == want.a);
    assert_true(now.b == want.b);
    assert_true(now.c == want.c);
    molt_recipe_free(r);
}

static void a_bitfield_of_64_bits_may_lie_across_nine_bytes(void **state)
{
    (void)state;
    uint8_t old[16] = {0}, want[16] = {0};
    old[0] = 0xf0;
    memset(old + 1, 0xff, 7);
    old[8] = 0x0f;
    memset(want + 3, 0xff, 8);
    want[2] = 0x80;
    want[10] = 0x7f;
    assert_gives(bits_recipe(4, 64, 23, 64, 0), old, 16, want, 16);
}

static void a_bitfield_that_does_not_fit_stops(void **state)
{
    (void)state;
    uint8_t old[16] = {0xff};
    assert_stops(bits_recipe(0, 8, 0, 7, 0), old, 16,
                 "255 doesn't fit into an unsigned integer of 7 bits");
    assert_stops(bits_recipe(0, 8, 0, 8, OLD), old, 16,
                 "-1 doesn't fit into an unsigned integer of 8 bits");
}

static struct molt_recipe *enum_recipe(void)
{
    struct molt_recipe *r = MAKE(12, 3,
                                 {.kind = MOLT_STEP_ENUM,
                                  .flags = OLD,
                                  .old_bytes = 4,
                                  .new_bytes = 1,
                                  .count = 3,
                                  .first = 1,
                                  .n_steps = 4});
    maker_maps(r, (struct molt_recipe_map[]){{0, 99}, {-3, 7}, {-2, 6}, {5, 255}, {90, 0}}, 5);
    return r;
}

static void enums_are_mapped_by_value(void **state)
{
    (void)state;
    assert_gives(enum_recipe(), (int32_t[]){-2, 90, 5}, 12, "\6\0\377", 3);
    assert_gives(enum_recipe(), (int32_t[]){-3, -3, 90}, 12, "\7\7\0", 3);
}

static void an_enum_value_without_a_name_stops(void **state)
{
    (void)state;
    assert_stops(enum_recipe(), (int32_t[]){-2, 0, 5}, 12,
                 "0 is no value that has a name in both versions");
}

static void a_default_fills_new_bytes_of_each_element(void **state)
{
    (void)state;
    struct molt_recipe *r = MAKE(1, 4, {.kind = MOLT_STEP_SET, .new_at = 1, .first = 2, .count = 3},
                                 {.kind = MOLT_STEP_COPY, .count = 1});
    maker_bytes(r, "..xyz", 5);
    assert_gives(r, "ab", 2, "axyzbxyz", 8);
}

/* ---- conditions -------------------------------------------------------------------- */

static void conditions_let_pass_what_they_allow(void **state)
{
    (void)state;
    struct molt_step fits = {
        .kind = MOLT_STEP_FITS, .flags = OLD, .old_bytes = 4, .count = 1, .limit = 8};
    struct molt_step zero = {.kind = MOLT_STEP_ZERO, .count = 4};
    struct molt_step string = {.kind = MOLT_STEP_STRING, .count = 4};
    assert_gives(MAKE(4, 0, fits), &(int32_t){8}, 4, "", 0);
    assert_gives(MAKE(4, 0, fits), &(int32_t){0}, 4, "", 0);
    assert_stops(MAKE(4, 0, fits), &(int32_t){9}, 4, "9 isn't in 0 to 8");
    assert_stops(MAKE(4, 0, fits), &(int32_t){-1}, 4, "-1 isn't in 0 to 8");
    assert_gives(MAKE(4, 0, string), "abc\0abc", 8, "", 0);
    assert_stops(MAKE(4, 0, string), "abc\0abcd", 8, "no end of the text within 4 bytes");
    assert_gives(MAKE(4, 0, zero), "\0\0\0\0", 4, "", 0);
    assert_stops(MAKE(4, 0, zero), "\0\0\0\1", 4, "what it held would be lost, and it isn't zero");
    assert_stops(MAKE(4, 0, zero), "\1\1\1\1", 4, "what it held would be lost, and it isn't zero");
    fits.old_bytes = 16;
    assert_stops(MAKE(16, 0, fits), (uint64_t[]){1, 1}, 16, "1 isn't in 0 to 8");
}

/* ---- steps with children --------------------------------------------------------------- */

static void arrays_of_structs_are_converted_one_by_one(void **state)
{
    (void)state;
    struct old {
        int16_t x, y;
    };
    struct new
    {
        int32_t y, x;
    };
    struct {
        struct old at[3];
    } old[5];
    struct {
        int32_t fresh;
        struct new at[3];
    } want[5];
    for (int i = 0; i < 5; i++) {
        want[i].fresh = 0;
        for (int j = 0; j < 3; j++) {
            old[i].at[j] = (struct old){(int16_t)(i * j), (int16_t)-i};
            want[i].at[j] = (struct new){-i, i * j};
        }
    }
    struct molt_step x = int_step(2, 4, BOTH), y = int_step(2, 4, BOTH);
    x.new_at = 4;
    y.old_at = 2;
    for (size_t n = 1; n <= 5; n += 2) {
        struct molt_recipe *r = MAKE(sizeof *old, sizeof *want,
                                     {.kind = MOLT_STEP_EACH,
                                      .new_at = 4,
                                      .count = 3,
                                      .old_stride = 4,
                                      .new_stride = 8,
                                      .first = 1,
                                      .n_steps = 2},
                                     x, y);
        r->n_top = 1;
        assert_gives(r, old, n * sizeof *old, want, n * sizeof *want);
    }
}

static struct molt_recipe *union_recipe(void)
{
    /* struct { signed char kind; union { int8_t i; char text[3]; } u; } with an int of 4 bytes. */
    struct molt_recipe *r = MAKE(4, 8,
                                 {.kind = MOLT_STEP_UNION,
                                  .flags = OLD,
                                  .old_at = 0,
                                  .old_bytes = 1,
                                  .first = 2,
                                  .n_steps = 3},
                                 {.kind = MOLT_STEP_COPY, .count = 1},
                                 {.kind = MOLT_STEP_CASE, .limit = -1, .first = 5, .n_steps = 1},
                                 {.kind = MOLT_STEP_CASE, .limit = 2, .first = 6, .n_steps = 1},
                                 {.kind = MOLT_STEP_CASE, .limit = 7}, int_step(1, 4, BOTH),
                                 {.kind = MOLT_STEP_COPY, .old_at = 1, .new_at = 4, .count = 3});
    r->n_top = 2;
    r->steps[5].old_at = 1;
    r->steps[5].new_at = 4;
    return r;
}

static void the_tag_says_which_member_of_a_union_holds(void **state)
{
    (void)state;
    assert_gives(union_recipe(), "\2abc\377\376..\7abc", 12,
                 "\2\0\0\0abc\0\377\0\0\0\376\377\377\377\7\0\0\0\0\0\0", 24);
}

static void a_tag_without_a_case_stops(void **state)
{
    (void)state;
    assert_stops(union_recipe(), "\3abc", 4, "no MOLT_CASE for 3");
}

static struct molt_recipe *flex_recipe(void)
{
    struct molt_step each = int_step(2, 8, BOTH), n = int_step(4, 4, BOTH);
    struct molt_recipe *r = MAKE(4, 8, n,
                                 {.kind = MOLT_STEP_FLEX,
                                  .old_at = 4,
                                  .new_at = 8,
                                  .old_stride = 2,
                                  .new_stride = 8,
                                  .first = 2,
                                  .n_steps = 1},
                                 each);
    r->n_top = 2;
    return r;
}

static void a_flexible_member_keeps_all_its_elements(void **state)
{
    (void)state;
    struct {
        int32_t n;
        int16_t at[3];
    } old = {3, {-1, 2, -3}};
    int64_t want[4] = {3, -1, 2, -3};
    assert_gives(flex_recipe(), &old, 10, want, 32);
    assert_gives(flex_recipe(), &old, 4, want, 8);
    assert_gives(flex_recipe(), &old, 9, want, 24); /* half an element is none */
}

static void a_flexible_member_can_be_dropped(void **state)
{
    (void)state;
    struct molt_recipe *r = MAKE(4, 4, {.kind = MOLT_STEP_COPY, .count = 4},
                                 {.kind = MOLT_STEP_FLEX, .old_at = 4, .old_stride = 2});
    assert_gives(r, "abcdxxxxxx", 10, "abcd", 4);
}

static void a_block_that_cannot_hold_its_type_stops(void **state)
{
    (void)state;
    struct molt_recipe_fault fault = {.field = "?"};
    uint8_t now[64];
    struct molt_recipe *r = flex_recipe();
    assert_int_equal(maker_run(r, "abc", 3, now, NULL, &fault), MOLT_ECHANGE);
    assert_null(fault.field);
    assert_string_equal(fault.why, "a block of 3 bytes can't hold one of 4");
    molt_recipe_free(r);
    r = int_recipe(4, 8, 0);
    assert_int_equal(maker_run(r, "abcdef", 6, now, NULL, &fault), MOLT_ECHANGE);
    assert_string_equal(fault.why, "a block of 6 bytes can't hold whole ones of 4");
    molt_recipe_free(r);
}

static void an_array_cannot_get_a_flexible_member(void **state)
{
    (void)state;
    struct molt_recipe_fault fault;
    uint8_t now[64];
    struct molt_recipe *r = int_recipe(4, 8, 0);
    r->flags = MOLT_RECIPE_IS_SINGLE;
    assert_int_equal(maker_run(r, "abcdefgh", 8, now, NULL, &fault), MOLT_ECHANGE);
    assert_string_equal(fault.why, "an array can't become a struct with a flexible member");
    assert_gives(r, "\1\0\0\0", 4, "\1\0\0\0\0\0\0\0", 8);
}

static void an_empty_struct_can_grow(void **state)
{
    (void)state;
    struct molt_recipe *r = MAKE(0, 2, {.kind = MOLT_STEP_SET, .count = 2});
    maker_bytes(r, "xy", 2);
    assert_gives(r, "", 0, "xy", 2);
}

static void a_size_that_cannot_be_is_said(void **state)
{
    (void)state;
    struct molt_recipe *r = int_recipe(1, 16, 0);
    assert_true(molt_recipe_new_bytes(r, SIZE_MAX / 2) == SIZE_MAX);
    molt_recipe_free(r);
    r = flex_recipe();
    assert_true(molt_recipe_new_bytes(r, SIZE_MAX / 2) == SIZE_MAX);
    molt_recipe_free(r);
}

/* ---- addresses ------------------------------------------------------------------------ */

static int add_type(void *user, uint64_t value, uint64_t type, uint64_t *ret, char *why,
                    size_t why_size)
{
    ++*(int *)user;
    if (value == 13) {
        snprintf(why, why_size, "13 is gone");
        return MOLT_ECHANGE;
    }
    *ret = value + type;
    return 0;
}

static bool moves_13(void *user, uint64_t value)
{
    ++*(int *)user;
    return value == 13;
}

static void pointers_are_rewired_by_their_type(void **state)
{
    (void)state;
    int n = 0;
    struct molt_rewire rewire = {.pointer = add_type, .moves = moves_13, .user = &n};
    struct molt_recipe *r =
        MAKE(24, 24, {.kind = MOLT_STEP_POINTER, .count = 2, .type = 1000},
             {.kind = MOLT_STEP_POINTER, .old_at = 16, .new_at = 16, .count = 1, .type = 5});
    uintptr_t old[6] = {1, 0, 3, 4, 5, 6}, now[6] = {0};
    struct molt_recipe_fault fault;
    assert_int_equal(maker_run(r, old, sizeof old, now, &rewire, &fault), 0);
    uintptr_t want[6] = {1001, 0, 8, 1004, 1005, 11};
    assert_memory_equal(now, want, sizeof want);
    assert_int_equal(n, 5); /* not about the null pointer */
    old[5] = 13;
    assert_int_equal(maker_run(r, old, sizeof old, now, &rewire, &fault), MOLT_ECHANGE);
    assert_string_equal(fault.field, "s.f");
    assert_string_equal(fault.why, "13 is gone");
    assert_int_equal(maker_run(r, old, sizeof old, now, NULL, &fault), 0);
    assert_memory_equal(now, old, sizeof old);
    molt_recipe_free(r);
}

static void a_word_that_leads_to_what_moves_stops(void **state)
{
    (void)state;
    int n = 0;
    struct molt_rewire rewire = {.pointer = add_type, .moves = moves_13, .user = &n};
    struct molt_recipe *r = MAKE(16, 16, {.kind = MOLT_STEP_WORD, .count = 2});
    uintptr_t old[4] = {1, 0, 3, 4}, now[4] = {0};
    struct molt_recipe_fault fault;
    assert_int_equal(maker_run(r, old, sizeof old, now, &rewire, &fault), 0);
    assert_memory_equal(now, old, sizeof old);
    assert_int_equal(n, 3);
    old[3] = 13;
    assert_int_equal(maker_run(r, old, sizeof old, now, &rewire, &fault), MOLT_ECHANGE);
    assert_string_equal(fault.why, "0xd may be an address, of something that moves");
    molt_recipe_free(r);
}

static bool owns_below_100(void *user, uint64_t value)
{
    (void)user;
    return value < 100;
}

static void a_pointer_whose_pointee_changed_must_lead_to_what_molt_owns(void **state)
{
    (void)state;
    int n = 0;
    struct molt_rewire rewire = {.pointer = add_type, .user = &n, .owns = owns_below_100};
    struct molt_step may = {.kind = MOLT_STEP_POINTER, .count = 1, .type = 1000};
    struct molt_step must = may;
    must.flags = MOLT_STEP_MUST_OWN;
    must.old_at = must.new_at = 8;
    struct molt_recipe *r = MAKE(16, 16, may, must);
    uintptr_t old[2] = {200, 99}, now[2] = {0}, want[2] = {1200, 1099};
    struct molt_recipe_fault fault;
    assert_int_equal(maker_run(r, old, sizeof old, now, &rewire, &fault), 0);
    assert_memory_equal(now, want, sizeof want);
    old[1] = 0;
    assert_int_equal(maker_run(r, old, sizeof old, now, &rewire, &fault), 0);
    old[1] = 100;
    assert_int_equal(maker_run(r, old, sizeof old, now, &rewire, &fault), MOLT_ECHANGE);
    assert_string_equal(fault.why, "what it points to has another layout now, and 0x64 is neither "
                                   "a block nor in a module");
    molt_recipe_free(r);
}

/* ---- what is a bitfield ----------------------------------------------------------------- */

static void an_enum_can_be_a_bitfield(void **state)
{
    (void)state;
    struct molt_step step = {.kind = MOLT_STEP_ENUM,
                             .flags = OLD | MOLT_STEP_IN_BITS,
                             .old_at = 6,
                             .old_bytes = 5,
                             .new_at = 12,
                             .new_bytes = 3,
                             .count = 1,
                             .n_steps = 2};
    struct molt_recipe *r = MAKE(2, 2, step);
    maker_maps(r, (struct molt_recipe_map[]){{-1, 5}, {4, 2}}, 2);
    /* 11111 and 00100 from bit 6 on; 101 and 010 from bit 12 on. */
    assert_gives(r, "\300\7\0\1", 4, "\0\120\0\40", 4);
    r = MAKE(2, 2, step);
    maker_maps(r, (struct molt_recipe_map[]){{-1, 5}, {4, 2}}, 2);
    assert_stops(r, "\300\1", 2, "7 is no value that has a name in both versions");
}

static void a_length_can_be_a_bitfield(void **state)
{
    (void)state;
    struct molt_step step = {.kind = MOLT_STEP_FITS,
                             .flags = MOLT_STEP_IN_BITS,
                             .old_at = 4,
                             .old_bytes = 4,
                             .count = 1,
                             .limit = 9};
    assert_gives(MAKE(1, 0, step), "\237", 1, "", 0);
    assert_stops(MAKE(1, 0, step), "\240", 1, "10 isn't in 0 to 9");
    step.flags |= OLD;
    assert_stops(MAKE(1, 0, step), "\360", 1, "-1 isn't in 0 to 9");
}

static void a_tag_can_be_a_bitfield(void **state)
{
    (void)state;
    struct molt_recipe *r = MAKE(2, 1,
                                 {.kind = MOLT_STEP_UNION,
                                  .flags = MOLT_STEP_IN_BITS,
                                  .old_at = 1,
                                  .old_bytes = 3,
                                  .first = 1,
                                  .n_steps = 1},
                                 {.kind = MOLT_STEP_CASE, .limit = 5, .first = 2, .n_steps = 1},
                                 {.kind = MOLT_STEP_COPY, .old_at = 1, .count = 1});
    r->n_top = 1;
    assert_gives(r, "\372x", 2, "x", 1); /* 101 from bit 1 on */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_copied_to_their_new_place),
        cmocka_unit_test(every_element_of_a_block_is_converted),
        cmocka_unit_test(an_integer_grows_with_its_sign),
        cmocka_unit_test(an_integer_that_does_not_fit_stops),
        cmocka_unit_test(the_outermost_integers_that_fit_are_kept),
        cmocka_unit_test(arrays_inside_elements_are_converted),
        cmocka_unit_test(floats_keep_their_number_or_stop),
        cmocka_unit_test(bitfields_are_found_where_the_compiler_puts_them),
        cmocka_unit_test(a_bitfield_of_64_bits_may_lie_across_nine_bytes),
        cmocka_unit_test(a_bitfield_that_does_not_fit_stops),
        cmocka_unit_test(enums_are_mapped_by_value),
        cmocka_unit_test(an_enum_value_without_a_name_stops),
        cmocka_unit_test(a_default_fills_new_bytes_of_each_element),
        cmocka_unit_test(conditions_let_pass_what_they_allow),
        cmocka_unit_test(arrays_of_structs_are_converted_one_by_one),
        cmocka_unit_test(the_tag_says_which_member_of_a_union_holds),
        cmocka_unit_test(a_tag_without_a_case_stops),
        cmocka_unit_test(a_flexible_member_keeps_all_its_elements),
        cmocka_unit_test(a_flexible_member_can_be_dropped),
        cmocka_unit_test(a_block_that_cannot_hold_its_type_stops),
        cmocka_unit_test(an_array_cannot_get_a_flexible_member),
        cmocka_unit_test(an_empty_struct_can_grow),
        cmocka_unit_test(a_size_that_cannot_be_is_said),
        cmocka_unit_test(pointers_are_rewired_by_their_type),
        cmocka_unit_test(a_word_that_leads_to_what_moves_stops),
        cmocka_unit_test(a_pointer_whose_pointee_changed_must_lead_to_what_molt_owns),
        cmocka_unit_test(an_enum_can_be_a_bitfield),
        cmocka_unit_test(a_length_can_be_a_bitfield),
        cmocka_unit_test(a_tag_can_be_a_bitfield),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
