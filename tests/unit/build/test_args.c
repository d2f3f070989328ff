/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <molt/error.h>

#include "build/args.h"

static void words_are_split_like_a_shell_does(void **state)
{
    (void)state;
    struct molt_args a = MOLT_ARGS_INIT;
    assert_int_equal(molt_args_words(&a, "  -O2 '-DX=a b' -DY=\"c \\\" d\"\t-I\\ x '' "), 0);
    assert_int_equal(a.n, 5);
    assert_string_equal(a.v[0], "-O2");
    assert_string_equal(a.v[1], "-DX=a b");
    assert_string_equal(a.v[2], "-DY=c \" d");
    assert_string_equal(a.v[3], "-I x");
    assert_string_equal(a.v[4], "");
    assert_null(a.v[5]);
    molt_args_fini(&a);
}

static void an_open_quote_adds_nothing(void **state)
{
    (void)state;
    struct molt_args a = MOLT_ARGS_INIT;
    molt_args_add(&a, "before");
    assert_int_equal(molt_args_words(&a, "one 'two"), MOLT_EFORMAT);
    assert_int_equal(a.n, 1);
    assert_null(a.v[1]);
    molt_args_fini(&a);
}

static void sorting_drops_duplicates(void **state)
{
    (void)state;
    struct molt_args a = MOLT_ARGS_INIT;
    molt_args_words(&a, "b a c a b");
    molt_args_sort(&a);
    assert_int_equal(a.n, 3);
    assert_string_equal(a.v[0], "a");
    assert_string_equal(a.v[2], "c");
    assert_null(a.v[3]);
    molt_args_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split_like_a_shell_does),
        cmocka_unit_test(an_open_quote_adds_nothing),
        cmocka_unit_test(sorting_drops_duplicates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
