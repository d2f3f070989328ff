/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build/text.h"

static void dependencies_are_unescaped(void **state)
{
    (void)state;
    struct molt_args deps = MOLT_ARGS_INIT;
    molt_text_deps("out.o: a.c dir/b.h \\\n  with\\ space.h \\\n money$$.h hash\\#.h\n\nb.h:\n",
                   &deps);
    assert_int_equal(deps.n, 5);
    assert_string_equal(deps.v[0], "a.c");
    assert_string_equal(deps.v[1], "dir/b.h");
    assert_string_equal(deps.v[2], "with space.h");
    assert_string_equal(deps.v[3], "money$.h");
    assert_string_equal(deps.v[4], "hash#.h");
    molt_args_fini(&deps);
}

static void messages_of_compilers_are_understood(void **state)
{
    (void)state;
    struct molt_diagnostics d = {0};
    molt_text_diagnostics("src/a.c: In function 'f':\n"
                          "src/a.c:7:9: error: expected ';' before 'x'\n"
                          "    7 |  int y: error: z\n"
                          "src/b.h:3: warning: careful: it bites\n"
                          "src/c.c:1:10: fatal error: no.h: No such file or directory\n"
                          "cc1: error: bad option\n",
                          &d);
    assert_int_equal(d.n, 5);
    assert_string_equal(d.v[0].file, "src/a.c");
    assert_int_equal(d.v[0].line, 7);
    assert_int_equal(d.v[0].column, 9);
    assert_true(d.v[0].is_error);
    assert_string_equal(d.v[0].message, "expected ';' before 'x'");
    assert_string_equal(d.v[2].file, "src/b.h");
    assert_int_equal(d.v[2].line, 3);
    assert_false(d.v[2].is_error);
    assert_string_equal(d.v[2].message, "careful: it bites");
    assert_true(d.v[3].is_error);
    assert_string_equal(d.v[3].message, "no.h: No such file or directory");
    assert_null(d.v[4].file);
    molt_diagnostics_fini(&d);
}

static void messages_of_linkers_are_understood(void **state)
{
    (void)state;
    struct molt_diagnostics d = {0};
    molt_text_diagnostics(".molt/obj/feed/feed.o:src/feed.c:12: error: undefined reference to 'x'\n"
                          "ld.gold: error: b.o: multiple definition of 'helper'\n"
                          "a.o: in function `f':\nsrc/a.c:5: undefined reference to `x'\n",
                          &d);
    assert_int_equal(d.n, 3);
    assert_string_equal(d.v[2].file, "src/a.c");
    assert_true(d.v[2].is_error);
    assert_string_equal(d.v[0].file, "src/feed.c");
    assert_int_equal(d.v[0].line, 12);
    assert_string_equal(d.v[0].message, "undefined reference to 'x'");
    assert_null(d.v[1].file);
    assert_string_equal(d.v[1].message, "b.o: multiple definition of 'helper'");
    molt_diagnostics_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dependencies_are_unescaped),
        cmocka_unit_test(messages_of_compilers_are_understood),
        cmocka_unit_test(messages_of_linkers_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
