/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What is converted without a word: each rule with real bytes. */
#include "unit/types/match_fixture.h"

/* number, old, new: in the modules point_old and point_new are both called point. */
/* clang-format off */
#define POINT_OLD { int x, y; }
#define POINT_NEW { int z; long x; int y; }
#define CASES(X)                                                                                   \
    X(1, { int n; char c; }, { char c; long max; int n; })                                         \
    X(2, { int a; unsigned b; short c; signed char d; unsigned char e; },                          \
      { long a; unsigned long b; int c; long d; int e; })                                          \
    X(3, { int a; unsigned b; long c; }, { unsigned a; int b; unsigned long c; })                  \
    X(4, { float a; double b; float c[3]; }, { double a; long double b; long double c[3]; })       \
    X(5, { bool a; bool b[2]; }, { int a; unsigned char b[2]; })                                   \
    X(6, { unsigned a : 3; int b : 5; bool c : 1; unsigned d : 7; },                               \
      { unsigned d : 9; int b : 7; bool c; unsigned a; })                                          \
    X(7, { char name[16]; int v[2]; }, { long pad; char name[8]; int v[4]; })                      \
    X(8, { struct { int a; struct { short b; }; }; int c; }, { int c; short b; long a; })          \
    X(9, { struct point_old p; struct point_old q[3]; int n; },                                    \
      { int n; struct point_new q[3]; struct point_new p; })                                       \
    X(10, { int a[2][3]; char s[2][9]; }, { long a[2][4]; char s[3][9]; })                         \
    X(11, { union { int i; float f; char b[12]; } u; int n; },                                     \
      { int n; union { int i; float f; char b[12]; } u; })                                         \
    X(12, { _Atomic int a; volatile int b; __int128 c; long double d; float _Complex e; },         \
      { _Atomic long a; __int128 b; __int128 c; long double d; double _Complex e; })               \
    X(13, { int gone; short kept; char alsogone[3]; }, { short kept; })                            \
    X(14, { unsigned a : 3; unsigned b : 9; unsigned c : 20; long n; },                            \
      { long n; long m; unsigned a : 3; unsigned b : 9; unsigned c : 20; })
#define N_CASES 14
/* clang-format on */

struct point_old POINT_OLD;
struct point_new POINT_NEW;
#define NATIVE_(number, old, new)                                                                  \
    struct old_##number old;                                                                       \
    struct new_##number new;
CASES(NATIVE_)

#define OLD_TEXT_(number, old, new) "struct t" #number " " MATCH_TEXT(old) ";\n"
#define NEW_TEXT_(number, old, new) "struct t" #number " " MATCH_TEXT(new) ";\n"
static const char old_text[] = MATCH_HEAD
    "#define point_old point\nstruct point " MATCH_TEXT(POINT_OLD) ";\n" CASES(OLD_TEXT_);
static const char new_text[] = MATCH_HEAD
    "#define point_new point\nstruct point " MATCH_TEXT(POINT_NEW) ";\n" CASES(NEW_TEXT_);

static struct match_fixture pairs[2];
static size_t n_pairs;

static int build(void **state)
{
    (void)state;
    match_init(&pairs[0], "gcc", "clang", "-O0", old_text, new_text, N_CASES);
    match_init(&pairs[1], "clang", "gcc", "-O2 -gdwarf-4", old_text, new_text, N_CASES);
    n_pairs = 2;
    return 0;
}

static int clean(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_pairs; i++)
        match_fini(&pairs[i]);
    return 0;
}

static const struct molt_match_type *type_of(const struct match_fixture *p, const char *name)
{
    return match_verdict(p, name, MOLT_MATCH_AUTOMATIC);
}

/* Convert old_<number> @was in each pair to @now. */
#define FOR_EACH(number, was, now)                                                                 \
    for (size_t i_ = 0; i_ < n_pairs; i_++)                                                        \
        if (match_convert(type_of(&pairs[i_], "struct t" #number), &(was), sizeof(was), &(now),    \
                          sizeof(now)) < 0)                                                        \
            fail_msg("not converted");                                                             \
        else
#define FOR_NONE(number, was, now)                                                                 \
    for (size_t i_ = 0; i_ < n_pairs; i_++)                                                        \
    assert_int_equal(match_convert(type_of(&pairs[i_], "struct t" #number), &(was), sizeof(was),   \
                                   &(now), sizeof(now)),                                           \
                     MOLT_ECHANGE)

static void fields_go_where_their_names_are(void **state)
{
    (void)state;
    struct old_1 was = {.n = -7, .c = 'x'};
    struct new_1 now;
    FOR_EACH(1, was, now)
    {
        assert_int_equal(now.n, -7);
        assert_int_equal(now.c, 'x');
        assert_int_equal(now.max, 0);
        assert_string_equal(type_of(&pairs[i_], "struct t1")->lines, "+max = 0\n");
    }
}

static void integers_keep_their_sign_when_they_widen(void **state)
{
    (void)state;
    struct old_2 was = {.a = -1, .b = UINT32_MAX, .c = -2, .d = -3, .e = 255};
    struct new_2 now;
    FOR_EACH(2, was, now)
    {
        assert_true(now.a == -1 && now.b == UINT32_MAX && now.c == -2 && now.d == -3);
        assert_int_equal(now.e, 255);
    }
}

static void another_sign_is_checked_for_each_value(void **state)
{
    (void)state;
    struct old_3 was = {.a = 1, .b = 2, .c = 3};
    struct new_3 now;
    FOR_EACH(3, was, now)
    {
        assert_true(now.a == 1 && now.b == 2 && now.c == 3);
    }
    was.a = -1;
    FOR_NONE(3, was, now);
    was = (struct old_3){.b = UINT32_MAX};
    FOR_NONE(3, was, now);
}

static void floats_widen(void **state)
{
    (void)state;
    struct old_4 was = {.a = 0.1f, .b = 0.2, .c = {1, 2, 0.3f}};
    struct new_4 now;
    FOR_EACH(4, was, now)
    {
        assert_true(now.a == 0.1f && now.b == 0.2 && now.c[1] == 2 && now.c[2] == 0.3f);
    }
}

static void bool_becomes_zero_or_one(void **state)
{
    (void)state;
    struct old_5 was = {.a = true, .b = {false, true}};
    struct new_5 now;
    FOR_EACH(5, was, now)
    {
        assert_true(now.a == 1 && now.b[0] == 0 && now.b[1] == 1);
    }
}

static void bitfields_widen_and_become_plain(void **state)
{
    (void)state;
    struct old_6 was = {.a = 5, .b = -9, .c = true, .d = 100};
    struct new_6 now;
    FOR_EACH(6, was, now)
    {
        assert_true(now.a == 5 && now.b == -9 && now.c && now.d == 100);
    }
}

static void arrays_grow_with_zeroes_and_strings_shrink_if_they_fit(void **state)
{
    (void)state;
    struct old_7 was = {.name = "seven77", .v = {1, 2}};
    struct new_7 now;
    FOR_EACH(7, was, now)
    {
        assert_string_equal(now.name, "seven77");
        assert_true(now.v[0] == 1 && now.v[1] == 2 && now.v[2] == 0 && now.v[3] == 0);
        assert_int_equal(now.pad, 0);
    }
    strcpy(was.name, "eight888");
    FOR_NONE(7, was, now);
}

static void fields_leave_anonymous_structs(void **state)
{
    (void)state;
    struct old_8 was = {.a = -4, .b = 5, .c = 6};
    struct new_8 now;
    FOR_EACH(8, was, now)
    {
        assert_true(now.a == -4 && now.b == 5 && now.c == 6);
    }
}

static void structs_inside_are_converted_one_by_one(void **state)
{
    (void)state;
    struct old_9 was = {.p = {1, 2}, .q = {{3, 4}, {5, 6}, {7, 8}}, .n = 9};
    struct new_9 now;
    FOR_EACH(9, was, now)
    {
        assert_true(now.p.x == 1 && now.p.y == 2 && now.p.z == 0 && now.n == 9);
        for (int k = 0; k < 3; k++)
            assert_true(now.q[k].x == 3 + 2 * k && now.q[k].y == 4 + 2 * k && now.q[k].z == 0);
    }
}

static void arrays_of_arrays_grow_inside(void **state)
{
    (void)state;
    struct old_10 was = {.a = {{1, 2, 3}, {4, 5, -6}}, .s = {"abc", "defghijk"}};
    struct new_10 now;
    FOR_EACH(10, was, now)
    {
        assert_true(now.a[0][2] == 3 && now.a[0][3] == 0 && now.a[1][0] == 4 && now.a[1][2] == -6);
        assert_string_equal(now.s[0], "abc");
        assert_string_equal(now.s[1], "defghijk");
        assert_string_equal(now.s[2], "");
    }
}

static void equal_unions_are_copied(void **state)
{
    (void)state;
    struct old_11 was = {.u = {.b = "hello union"}, .n = 3};
    struct new_11 now;
    FOR_EACH(11, was, now)
    {
        assert_memory_equal(now.u.b, "hello union", 12);
        assert_int_equal(now.n, 3);
    }
}

static void rare_numbers_are_numbers(void **state)
{
    (void)state;
    struct old_12 was = {.a = -1, .b = -2, .c = (__int128)1 << 100, .d = 1.5L, .e = 2.5f};
    struct new_12 now;
    FOR_EACH(12, was, now)
    {
        assert_true(now.a == -1 && now.b == -2 && now.c == (__int128)1 << 100);
        assert_true(now.d == 1.5L && now.e == 2.5f);
    }
}

static void what_is_gone_is_listed(void **state)
{
    (void)state;
    struct old_13 was = {.kept = 5};
    struct new_13 now;
    FOR_EACH(13, was, now)
    {
        const struct molt_match_type *t = type_of(&pairs[i_], "struct t13");
        assert_int_equal(now.kept, 5);
        assert_int_equal(t->recipe->n_lost, 2);
        assert_string_equal(t->recipe->lost[0], "t13.gone (int)");
        assert_string_equal(t->lines, "-gone\n-alsogone\n");
    }
}

static void neighbours_are_copied_together(void **state)
{
    (void)state;
    struct old_14 was = {.a = 5, .b = 500, .c = 1000000, .n = 9};
    struct new_14 now;
    FOR_EACH(14, was, now)
    {
        assert_true(now.a == 5 && now.b == 500 && now.c == 1000000 && now.n == 9 && now.m == 0);
        assert_int_equal(type_of(&pairs[i_], "struct t14")->recipe->n_steps, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_go_where_their_names_are),
        cmocka_unit_test(integers_keep_their_sign_when_they_widen),
        cmocka_unit_test(another_sign_is_checked_for_each_value),
        cmocka_unit_test(floats_widen),
        cmocka_unit_test(bool_becomes_zero_or_one),
        cmocka_unit_test(bitfields_widen_and_become_plain),
        cmocka_unit_test(arrays_grow_with_zeroes_and_strings_shrink_if_they_fit),
        cmocka_unit_test(fields_leave_anonymous_structs),
        cmocka_unit_test(structs_inside_are_converted_one_by_one),
        cmocka_unit_test(arrays_of_arrays_grow_inside),
        cmocka_unit_test(equal_unions_are_copied),
        cmocka_unit_test(rare_numbers_are_numbers),
        cmocka_unit_test(what_is_gone_is_listed),
        cmocka_unit_test(neighbours_are_copied_together),
    };
    return cmocka_run_group_tests(tests, build, clean);
}
