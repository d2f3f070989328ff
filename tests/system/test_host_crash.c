/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A crash that can't be contained: where it was is told, and the app comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/app.h"

/* qsort() may be in the middle of anything: its caller can't be ended alone. */
static void a_crash_is_told_with_module_function_and_line(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    pid_t host = test_app_host(app);
    assert_true(host > 0);
    test_app_edit(app, "src/hello.c", "static int hello(",
                  "#include <stdlib.h>\n"
                  "static int peek(const void *a, const void *b)\n"
                  "{\n"
                  "    return **(volatile int *const *)a - !b;\n"
                  "}\n"
                  "static int crash(struct molt_http *r)\n"
                  "{\n"
                  "    volatile int *none[2] = {NULL, NULL};\n"
                  "    qsort(none, 2, sizeof(none[0]), peek);\n"
                  "    return molt_http_printf(r, 200, \"%d\", 7);\n"
                  "}\n"
                  "static int hello(");
    test_app_await(app, "hello@1 -> 2");
    test_app_edit(app, "src/hello.c", "MOLT_ROUTES(", "MOLT_ROUTES({\"GET\", \"/crash\", crash}, ");
    test_app_await(app, "hello@2 -> 3");
    test_client_open(&client, app->port);
    test_client_ask(&client, "/crash");
    const char *line = test_app_await(app, "the host crashed: SIGSEGV");
    assert_non_null(strstr(line, "in hello@3, peek() src/hello.c:10"));
    assert_non_null(strstr(test_app_await(app, "called from"), "hello@3, crash() src/hello.c:15"));
    test_app_await(app, "lost: 3 processes with their states, 1 connection");
    test_app_await(app, "the host runs again");
    test_client_close(&client);
    assert_true(test_app_host(app) > 0);
    assert_int_not_equal(test_app_host(app), host);
}

static void the_next_save_goes_live_as_before(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_app_edit(app, "src/hello.c", "return **(volatile int *const *)a - !b;",
                  "return *(volatile int *const *)a ? -1 : !b;");
    test_app_await(app, "hello@1 -> 2");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/crash"), "7");
    assert_string_equal(test_client_get(&client, "/count"), "1\n");
    test_client_close(&client);
}

static void a_killed_host_is_told_and_comes_back(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    kill(test_app_host(app), SIGKILL);
    test_app_await(app, "the host was killed by SIGKILL (9)");
    test_app_await(app, "lost: 3 processes with their states, ");
    test_app_await(app, "the host runs again");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/crash"), "7");
    test_client_close(&client);
}

/* One that can't run: its init gives up each time. */
static void a_set_that_crashes_at_every_start_gives_way_to_the_one_before(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    char *text = test_app_read(app, "src/counter.c");
    test_app_edit(app, "src/counter.c", "return 0;", "__builtin_abort();\n    return 0;");
    test_app_await(app, "counter@1 -> 2");
    kill(test_app_host(app), SIGKILL); /* what runs was initialised before */
    test_app_await(app, "the host was killed by SIGKILL (9)");
    test_app_await(app, "the host crashed: SIG");
    test_app_await(app, "going back to the set before");
    test_app_await(app, "the host runs again");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), "1\n");
    test_client_close(&client);
    test_app_save(app, "src/counter.c", text);
    free(text);
    test_app_await(app, "nothing to change");
}

/* Without one before, it is tried again, slower and slower, and each save at
 * once. */
static void a_set_that_never_ran_is_given_time_until_it_is_mended(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    char *text = test_app_read(app, "src/counter.c");
    assert_int_equal(test_app_stop(app), 0);
    test_app_edit(app, "src/counter.c", "return 0;", "__builtin_abort();\n    return 0;");
    test_app_start(app, "dev");
    test_app_await(app, "the host crashed: SIG");
    test_app_save(app, "src/counter.c", text);
    free(text);
    test_app_await(app, "app is live");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), "1\n");
    test_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_is_told_with_module_function_and_line),
        cmocka_unit_test(the_next_save_goes_live_as_before),
        cmocka_unit_test(a_killed_host_is_told_and_comes_back),
        cmocka_unit_test(a_set_that_crashes_at_every_start_gives_way_to_the_one_before),
        cmocka_unit_test(a_set_that_never_ran_is_given_time_until_it_is_mended),
    };
    return cmocka_run_group_tests_name("a crash of the host", tests, test_app_setup,
                                       test_app_teardown);
}
