/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* When the root supervisor gives up the app is over: the host ends, and the agent
 * brings it back as after a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

enum { INTENSITY = 3 }; /* restarts that the app's supervisor allows */

/* There is no event for it outside of the host. */
static void await_restart(struct test_app *app)
{
    bool is_there = false;
    while (!is_there) {
        char *text;
        assert_int_equal(test_app_run(app, &text, "ps", NULL), 0);
        is_there = strstr(text, "counter") != NULL;
        free(text);
    }
}

/* Each request ends the counter, until the app is over: the line that says so. */
static const char *wear_out(struct test_app *app)
{
    struct test_client client;
    test_client_open(&client, app->port);
    for (int i = 0; i < INTENSITY; i++) {
        test_client_get(&client, "/count");
        assert_int_equal(client.status, 500);
        test_app_await(app, "child 'counter' ended: crashed");
        await_restart(app);
    }
    test_client_ask(&client, "/count");
    const char *line = test_app_await(app, "the app is over");
    test_client_close(&client);
    return line;
}

/* At address 0: ThreadSanitizer itself would fail at others that can't be. */
static void make_counter_fail(struct test_app *app, const char *line)
{
    test_app_edit(app, "src/counter.c",
                  "t->n = c->n +=", "c->n = *(volatile long *)(c->n & 0);\n    t->n = c->n +=");
    if (line)
        test_app_await(app, line);
}

static void a_root_that_gives_up_ends_the_host_and_the_app_comes_back(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    pid_t host = test_app_host(app);
    make_counter_fail(app, "counter@1 -> 2");
    const char *line = wear_out(app);
    assert_non_null(strstr(line, "its root supervisor 'app' ended (MOLT_ELIMIT"));
    assert_non_null(strstr(app->text, "'counter' crashed and was ended: SIGSEGV"));
    assert_non_null(strstr(app->text, "supervisor 'app' ends: child 'counter' ended too often"));
    test_app_await(app, "lost: 3 processes with their states, ");
    test_app_await(app, "starting again in ");
    test_app_await(app, "the host runs again");
    assert_int_not_equal(test_app_host(app), host);
    assert_true(test_app_host(app) > 0);
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hello\n");
    test_client_close(&client);
}

static void an_orderly_stop_says_nothing_of_an_end(void **state)
{
    struct test_app *app = *state;
    size_t before = app->len;
    assert_int_equal(test_app_stop(app), 0);
    assert_null(strstr(app->text + before, "the app is over"));
    test_app_start_live(app, "dev");
}

/* Its counter can't be started. */
static void a_tree_that_can_not_start_gives_way_to_the_set_before(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    char *text = test_app_read(app, "src/counter.c");
    test_app_edit(app, "src/counter.c", "return 0;", "return MOLT_EIO;");
    test_app_await(app, "counter@1 -> 2");
    kill(test_app_host(app), SIGKILL); /* what runs was initialised before */
    test_app_await(app, "the host was killed by SIGKILL (9)");
    test_app_await(app, "the app is over: its root supervisor 'app' ended");
    test_app_await(app, "going back to the set before");
    test_app_await(app, "the host runs again");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hello\n");
    test_client_close(&client);
    test_app_save(app, "src/counter.c", text);
    free(text);
    test_app_await(app, "nothing to change");
}

/* The same in production. */
static void molt_run_says_so_too_and_starts_again(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    assert_int_equal(test_app_stop(app), 0);
    make_counter_fail(app, NULL);
    assert_int_equal(test_app_run(app, NULL, "build", NULL), 0);
    test_app_start_live(app, "run");
    wear_out(app);
    test_app_await(app, "the host runs again");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hello\n");
    test_client_close(&client);
}

/* The counter is what the app is there for, and it is done after one request. */
static void make_an_app_that_ends(struct test_app *app)
{
    test_app_edit(app, "src/app.c", "MOLT_SUPERVISOR(app, .child",
                  "MOLT_SUPERVISOR(app, .auto_shutdown = MOLT_AUTO_ANY, .child");
    test_app_edit(app, "src/app.c", ".server = \"counter\"",
                  ".server = \"counter\", .restart = MOLT_TRANSIENT | MOLT_SIGNIFICANT");
    test_app_edit(app, "src/counter.c", "return molt_reply(from, t);",
                  "molt_exit(molt_self(), MOLT_ESHUTDOWN);\n    return molt_reply(from, t);");
}

static void ask_once(struct test_app *app)
{
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), "1\n");
    test_client_close(&client);
}

static int start_ending(void **state)
{
    struct test_app *app = calloc(1, sizeof(*app));
    assert_non_null(app);
    *state = app;
    test_app_init(app);
    make_an_app_that_ends(app);
    return 0;
}

static void an_app_that_is_done_ends_molt_run_with_0(void **state)
{
    struct test_app *app = *state;
    assert_int_equal(test_app_run(app, NULL, "build", NULL), 0);
    test_app_start_live(app, "run");
    ask_once(app);
    test_app_await(app, "the app is done: its root supervisor ended in order");
    assert_int_equal(test_app_join(app), 0);
    assert_int_equal(test_app_host(app), 0);
    assert_null(strstr(app->text, "starting again"));
}

static void under_molt_dev_a_save_starts_it_again(void **state)
{
    struct test_app *app = *state;
    test_app_start_live(app, "dev");
    ask_once(app);
    test_app_await(app, "the app is done: its root supervisor ended in order; the next save");
    test_app_edit(app, "src/hello.c", "Hello\\n", "Welcome\\n");
    test_app_await(app, "hello@");
    ask_once(app);
    test_app_await(app, "the app is done");
}

static int run_of_apps_that_end(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_app_that_is_done_ends_molt_run_with_0),
        cmocka_unit_test(under_molt_dev_a_save_starts_it_again),
    };
    return cmocka_run_group_tests_name("an app that is done", tests, start_ending,
                                       test_app_teardown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_root_that_gives_up_ends_the_host_and_the_app_comes_back),
        cmocka_unit_test(an_orderly_stop_says_nothing_of_an_end),
        cmocka_unit_test(a_tree_that_can_not_start_gives_way_to_the_set_before),
        cmocka_unit_test(molt_run_says_so_too_and_starts_again),
    };
    int failed = cmocka_run_group_tests_name("an app that is over", tests, test_app_setup,
                                             test_app_teardown);
    return failed + run_of_apps_that_end();
}
