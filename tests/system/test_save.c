/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What molt is for: a save reaches a connection that is open, and no state is
 * lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

static void a_save_by_rename_answers_the_next_request_of_an_open_connection(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hello\n");
    test_app_edit(app, "src/hello.c", "Hello\\n", "Hallo\\n");
    const char *line = test_app_await(app, "hello@1 -> 2");
    double ms;
    assert_int_equal(sscanf(line, "hello@1 -> 2   live in %lf ms (compile ", &ms), 1);
    assert_string_equal(test_client_get(&client, "/"), "Hallo\n");
    test_client_close(&client);
}

static void the_old_version_leaves_memory_when_nobody_runs_it(void **state)
{
    test_app_await(*state, "hello@1 unloaded after ");
}

static void a_save_by_truncating_answers_the_next_request_too(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hallo\n");
    char *text = test_app_read(app, "src/hello.c"), *at = strstr(text, "Hallo\\n");
    assert_non_null(at);
    at[1] = 'u';
    test_app_overwrite(app, "src/hello.c", text);
    free(text);
    test_app_await(app, "hello@2 -> 3");
    assert_string_equal(test_client_get(&client, "/"), "Hullo\n");
    test_client_close(&client);
}

static void state_survives_a_save_of_its_own_module(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), "1\n");
    assert_string_equal(test_client_get(&client, "/count"), "2\n");
    test_app_edit(app, "src/counter.c", "+= m->by", "+= 10 * m->by");
    test_app_await(app, "counter@1 -> 2");
    assert_string_equal(test_client_get(&client, "/count"), "12\n");
    test_client_close(&client);
}

static void a_save_without_a_change_of_text_changes_nothing(void **state)
{
    struct test_app *app = *state;
    char *text = test_app_read(app, "src/hello.c");
    test_app_save(app, "src/hello.c", text);
    free(text);
    test_app_await(app, "nothing to change");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_by_rename_answers_the_next_request_of_an_open_connection),
        cmocka_unit_test(the_old_version_leaves_memory_when_nobody_runs_it),
        cmocka_unit_test(a_save_by_truncating_answers_the_next_request_too),
        cmocka_unit_test(state_survives_a_save_of_its_own_module),
        cmocka_unit_test(a_save_without_a_change_of_text_changes_nothing),
    };
    return cmocka_run_group_tests_name("saves go live", tests, test_app_setup, test_app_teardown);
}
