/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* An agent that is killed takes nothing along, and the next one goes on with the
 * host that is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

static void the_host_goes_on_serving_when_the_agent_is_killed(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    pid_t host = test_app_host(app);
    assert_true(host > 0);
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), "1\n");
    test_app_kill_agent(app);
    assert_string_equal(test_client_get(&client, "/count"), "2\n");
    assert_int_equal(test_app_host(app), host);
    test_client_close(&client);
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), "3\n");
    test_client_close(&client);
}

static void commands_say_that_no_agent_runs(void **state)
{
    struct test_app *app = *state;
    char *text;
    assert_int_equal(test_app_run(app, &text, "status", NULL), 1);
    assert_non_null(strstr(text, "no agent runs for"));
    free(text);
}

static void the_next_agent_goes_on_with_the_same_host(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    pid_t host = test_app_host(app);
    test_client_open(&client, app->port);
    test_app_start_live(app, "dev");
    test_app_await(app, "was running already, and went on");
    assert_int_equal(test_app_host(app), host);
    assert_string_equal(test_client_get(&client, "/count"), "4\n");
    test_app_edit(app, "src/hello.c", "Hello\\n", "Hallo\\n");
    test_app_await(app, "hello@1 -> 2");
    assert_string_equal(test_client_get(&client, "/"), "Hallo\n");
    test_client_close(&client);
}

static void its_end_is_the_end_of_the_host(void **state)
{
    struct test_app *app = *state;
    assert_int_equal(test_app_stop(app), 0);
    assert_int_equal(test_app_host(app), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_goes_on_serving_when_the_agent_is_killed),
        cmocka_unit_test(commands_say_that_no_agent_runs),
        cmocka_unit_test(the_next_agent_goes_on_with_the_same_host),
        cmocka_unit_test(its_end_is_the_end_of_the_host),
    };
    return cmocka_run_group_tests_name("the agent's death", tests, test_app_setup,
                                       test_app_teardown);
}
