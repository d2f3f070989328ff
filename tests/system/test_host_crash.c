/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A crash of the app: where it was is told, and the app comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "system/app.h"

static void a_crash_is_told_with_module_function_and_line(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    pid_t host = test_app_host(app);
    assert_true(host > 0);
    test_app_edit(app, "src/hello.c", "static int hello(",
                  "static int peek(volatile int *at)\n"
                  "{\n"
                  "    return *at;\n"
                  "}\n"
                  "static int crash(struct molt_http *r)\n"
                  "{\n"
                  "    return molt_http_printf(r, 200, \"%d\", peek(NULL));\n"
                  "}\n"
                  "static int hello(");
    test_app_await(app, "hello@1 -> 2");
    test_app_edit(app, "src/hello.c", "MOLT_ROUTES(", "MOLT_ROUTES({\"GET\", \"/crash\", crash}, ");
    test_app_await(app, "hello@2 -> 3");
    test_client_open(&client, app->port);
    test_client_ask(&client, "/crash");
    const char *line = test_app_await(app, "the host crashed: SIGSEGV");
    assert_non_null(strstr(line, "in hello@3, peek() src/hello.c:9"));
    assert_non_null(strstr(test_app_await(app, "called from"), "hello@3, crash() src/hello.c:13"));
    test_app_await(app, "lost: all connections");
    test_app_await(app, "the host runs again");
    test_client_close(&client);
    assert_true(test_app_host(app) > 0);
    assert_int_not_equal(test_app_host(app), host);
}

static void the_next_save_goes_live_as_before(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_app_edit(app, "src/hello.c", "return *at;", "return at ? *at : 7;");
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
    test_app_await(app, "the host runs again");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/crash"), "7");
    test_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_is_told_with_module_function_and_line),
        cmocka_unit_test(the_next_save_goes_live_as_before),
        cmocka_unit_test(a_killed_host_is_told_and_comes_back),
    };
    return cmocka_run_group_tests_name("a crash of the app", tests, test_app_setup,
                                       test_app_teardown);
}
