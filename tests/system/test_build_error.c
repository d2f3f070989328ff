/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What does not build changes nothing, is shown with file and line in the
 * terminal and on the page, and is over with the next good save. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

/* What the page for the browser shows now. */
static void assert_page(const struct test_app *app, const char *text, bool is_there)
{
    struct test_client page;
    test_client_open(&page, app->page_port);
    const char *body = test_client_get(&page, "/");
    assert_int_equal(page.status, 200);
    if ((strstr(body, text) != NULL) != is_there)
        fail_msg("`%s` should %sbe on the page: %s", text, is_there ? "" : "not ", body);
    test_client_close(&page);
}

static void assert_answer(struct test_app *app, const char *body)
{
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), body);
    test_client_close(&client);
}

static void a_compile_error_is_shown_and_changes_nothing(void **state)
{
    struct test_app *app = *state;
    assert_page(app, "app is live", true);
    test_app_edit(app, "src/hello.c", "\"Hello\\n\"", "\"<b>\" & missing");
    test_app_await(app, "compile error, nothing changed");
    test_app_await(app, "src/hello.c:9:");
    assert_answer(app, "Hello\n");
}

static void the_page_shows_it_with_html_escaped(void **state)
{
    struct test_app *app = *state;
    test_app_edit(app, "src/hello.c", "missing", "missing(\"<i>\" < x)");
    test_app_await(app, "compile error, nothing changed");
    assert_page(app, "compile error", true);
    assert_page(app, "src/hello.c:9:", true);
    assert_page(app, "app is live", false);
    test_app_edit(app, "src/hello.c", "#include <molt/http.h>", "#include \"<i>&.h\"");
    test_app_await(app, "compile error, nothing changed");
    assert_page(app, "&lt;i&gt;&amp;.h", true);
    assert_page(app, "<i>", false);
}

static void the_fix_makes_it_go_away(void **state)
{
    struct test_app *app = *state;
    test_app_edit(app, "src/hello.c", "#include \"<i>&.h\"", "#include <molt/http.h>");
    test_app_await(app, "compile error, nothing changed");
    test_app_edit(app, "src/hello.c", "\"<b>\" & missing(\"<i>\" < x)", "\"Fixed\\n\"");
    test_app_await(app, "hello@1 -> 2");
    assert_answer(app, "Fixed\n");
    assert_page(app, "app is live", true);
    assert_page(app, "compile error", false);
}

static void an_undefined_function_is_a_link_error_with_file_and_line(void **state)
{
    struct test_app *app = *state;
    if (MOLT_TEST_SLOWNESS > 1)
        skip(); /* a sanitizer's library defines names that no link can know */
    test_app_edit(app, "src/hello.c", "static int hello(", "int nowhere(void);\nstatic int hello(");
    test_app_await(app, "nothing to change"); /* a declaration is no code */
    test_app_edit(app, "src/hello.c", "    return molt_http_printf(r, 200, \"Fixed",
                  "    nowhere();\n    return molt_http_printf(r, 200, \"Undefined");
    test_app_await(app, "link error, nothing changed");
    assert_non_null(strstr(test_app_await(app, "src/hello.c:10:"), "nowhere"));
    assert_answer(app, "Fixed\n");
    assert_page(app, "link error", true);
    test_app_edit(app, "src/hello.c", "nowhere();", "(void)0;");
    test_app_await(app, "hello@2 -> 3");
    assert_answer(app, "Undefined\n");
    assert_page(app, "link error", false);
}

static void an_error_in_one_of_two_files_keeps_both_as_they_were(void **state)
{
    struct test_app *app = *state;
    test_app_edit(app, "src/counter.h", "long counter_next(void);", "long counter_next(long by);");
    test_app_await(app, "compile error, nothing changed");
    assert_answer(app, MOLT_TEST_SLOWNESS > 1 ? "Fixed\n" : "Undefined\n");
    test_app_edit(app, "src/counter.h", "long counter_next(long by);", "long counter_next(void);");
    test_app_await(app, "nothing to change");
    assert_page(app, "app is live", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compile_error_is_shown_and_changes_nothing),
        cmocka_unit_test(the_page_shows_it_with_html_escaped),
        cmocka_unit_test(the_fix_makes_it_go_away),
        cmocka_unit_test(an_undefined_function_is_a_link_error_with_file_and_line),
        cmocka_unit_test(an_error_in_one_of_two_files_keeps_both_as_they_were),
    };
    return cmocka_run_group_tests_name("what does not build", tests, test_app_setup,
                                       test_app_teardown);
}
