/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What builds, but would lose something, is refused with the way out, and what
 * ran goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

static void assert_counts(struct test_app *app, const char *body)
{
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), body);
    test_client_close(&client);
}

static void a_field_that_is_added_needs_nothing(void **state)
{
    struct test_app *app = *state;
    assert_counts(app, "1\n");
    test_app_edit(app, "src/counter.c", "    long n;\n};\nstruct next",
                  "    int calls;\n    long n;\n};\nstruct next");
    const char *line = test_app_await(app, "counter@1 -> 2");
    assert_non_null(strstr(line, "counter: +calls = 0"));
    assert_counts(app, "2\n");
}

static void a_field_that_could_lose_values_is_refused_by_name(void **state)
{
    struct test_app *app = *state;
    test_app_edit(app, "src/counter.c", "    long n;\n};\nstruct next",
                  "    short n;\n};\nstruct next");
    test_app_await(app, "counter@2 goes on");
    test_app_await(app, "struct counter.n");
    test_app_await(app, "long -> short");
    test_app_await(app, "MOLT_CHANGE(struct counter");
    assert_counts(app, "3\n");
}

static void a_failing_change_is_refused_and_the_state_stays(void **state)
{
    struct test_app *app = *state;
    test_app_edit(app, "src/counter.c", "static int init(",
                  "struct counter_v2 {\n    int calls;\n    long n;\n};\n"
                  "static int from_v2(const struct counter_v2 *old, struct counter *now)\n"
                  "{\n    now->n = (short)old->n;\n    return MOLT_EINVAL;\n}\n"
                  "static int init(");
    test_app_await(app, "long -> short");
    test_app_edit(app, "src/counter.c", ".on = {",
                  ".change = {MOLT_CHANGE(struct counter_v2, from_v2)}, .on = {");
    test_app_await(app, "refused, nothing changed");
    assert_counts(app, "4\n");
}

static void a_state_moves_with_its_change(void **state)
{
    struct test_app *app = *state;
    test_app_edit(app, "src/counter.c", "return MOLT_EINVAL;", "return 0;");
    assert_non_null(strstr(test_app_await(app, "counter@2 -> "), "n  long -> short"));
    assert_counts(app, "5\n");
    test_app_edit(app, "src/counter.c", "t->n = c->n += m->by;",
                  "c->calls++;\n    t->n = 100 * c->calls + (c->n += m->by);");
    test_app_await(app, " -> ");
    assert_counts(app, "106\n");
}

static void a_mutable_global_follows(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    char *text = test_app_read(app, "src/hello.c"), *edited = NULL;
    const char *at = strstr(text, "static int hello("), *body = strstr(text, "\"Hello\\n\"");
    assert_true(at && body);
    assert_true(asprintf(&edited, "%.*sstatic int hits = 1;\n%.*s\"Hello %%d\\n\", hits++%s",
                         (int)(at - text), text, (int)(body - at), at,
                         body + strlen("\"Hello\\n\"")) > 0);
    test_app_save(app, "src/hello.c", edited);
    free(edited);
    free(text);
    test_app_await(app, "hello@1 -> 2");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hello 1\n");
    test_app_edit(app, "src/hello.c", "\"Hello %d", "\"Hallo %d");
    test_app_await(app, "hello@2 -> ");
    assert_string_equal(test_client_get(&client, "/"), "Hallo 2\n");
    test_client_close(&client);
    assert_counts(app, "207\n");
}

static void a_mutable_global_that_could_lose_its_value_is_refused(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_app_edit(app, "src/hello.c", "static int hits", "static unsigned char hits");
    test_app_await(app, "src/hello.c:hits");
    test_app_await(app, "MOLT_FRESH");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hallo 3\n");
    test_client_close(&client);
}

static void marked_as_fresh_it_starts_anew_in_each_version(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    test_app_edit(app, "src/hello.c", "static unsigned char hits", "static MOLT_FRESH int hits");
    test_app_await(app, "starts anew");
    assert_string_equal(test_client_get(&client, "/"), "Hallo 1\n");
    assert_string_equal(test_client_get(&client, "/"), "Hallo 2\n");
    test_app_edit(app, "src/hello.c", "\"Hallo %d", "\"Hullo %d");
    test_app_await(app, " -> ");
    assert_string_equal(test_client_get(&client, "/"), "Hullo 1\n");
    test_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_that_is_added_needs_nothing),
        cmocka_unit_test(a_field_that_could_lose_values_is_refused_by_name),
        cmocka_unit_test(a_failing_change_is_refused_and_the_state_stays),
        cmocka_unit_test(a_state_moves_with_its_change),
        cmocka_unit_test(a_mutable_global_follows),
        cmocka_unit_test(a_mutable_global_that_could_lose_its_value_is_refused),
        cmocka_unit_test(marked_as_fresh_it_starts_anew_in_each_version),
    };
    return cmocka_run_group_tests_name("what would lose something", tests, test_app_setup,
                                       test_app_teardown);
}
