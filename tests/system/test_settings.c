/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt.conf in production: the scheduler's settings, and a file that is read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

static char conf[1024]; /* as test_app_init() left it */

static void configure(struct test_app *app, const char *more)
{
    char text[2048];
    snprintf(text, sizeof(text), "%s%s", conf, more);
    test_app_overwrite(app, "molt.conf", text);
}

#define SCHEDULER "workers = 3\nworkers.pinned = yes\nworkers.spare = 2\nworkers.stack_kib = 512\n"

static int start(void **state)
{
    struct test_app *app = calloc(1, sizeof(*app));
    assert_non_null(app);
    *state = app;
    test_app_init(app);
    char *text = test_app_read(app, "molt.conf");
    snprintf(conf, sizeof(conf), "%s\n", text);
    free(text);
    test_app_edit(app, "src/counter.c", "MOLT_SERVER(counter,",
                  "static int on_config(struct counter *c)\n{\n"
                  "    molt_log(MOLT_INFO, \"the word is %s at %ld\",\n"
                  "             molt_config(\"my.word\", \"none\"), c->n);\n"
                  "    return 0;\n}\n\n"
                  "MOLT_SERVER(counter, .on_config = MOLT_FN(on_config),");
    test_app_edit(app, "src/counter.c", ".on_config = MOLT_FN(on_config), struct counter,",
                  "struct counter, .on_config = MOLT_FN(on_config),");
    configure(app, "my.word = one\n" SCHEDULER);
    assert_int_equal(test_app_run(app, &text, "build", NULL), 0);
    free(text);
    return 0;
}

static json_int_t stat_of(struct test_app *app, const char *key)
{
    char *text;
    assert_int_equal(test_app_run(app, &text, "status", "--json", NULL), 0);
    json_t *doc = json_loads(text, 0, NULL);
    json_t *value = json_object_get(json_object_get(doc, "stats"), key);
    if (!json_is_integer(value))
        fail_msg("no stats.%s in %s", key, text);
    json_int_t n = json_integer_value(value);
    json_decref(doc);
    free(text);
    return n;
}

/* `molt @verb` has to fail, and say @why. */
static void assert_fails(struct test_app *app, const char *verb, const char *why)
{
    char *text;
    assert_int_equal(test_app_run(app, &text, verb, NULL), 1);
    if (!strstr(text, why))
        fail_msg("`%s` is not in: %s", why, text);
    free(text);
}

static void a_bad_value_is_refused_before_anything_starts(void **state)
{
    struct test_app *app = *state;
    configure(app, "workers = many\n");
    assert_fails(app, "run", "`workers = many`: expected a number from 1 to 256");
    configure(app, "workers.spares = 4\n");
    assert_fails(app, "run", "did you mean `workers.spare`?");
    assert_int_equal(test_app_host(app), 0);
    configure(app, "my.word = one\n" SCHEDULER);
}

static void the_host_has_the_scheduler_that_was_asked_for(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_app_start_live(app, "run");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), "1\n");
    test_client_close(&client);
    assert_int_equal(stat_of(app, "workers"), 3);
    assert_int_equal(stat_of(app, "spares_max"), 2);
    assert_int_equal(stat_of(app, "stack_bytes"), 512 * 1024);
    assert_in_range(stat_of(app, "stack_deepest"), 4096, 512 * 1024);
    assert_in_range(stat_of(app, "stacks"), 1, 1000);
}

static void status_says_how_deep_stacks_went(void **state)
{
    char *text;
    assert_int_equal(test_app_run(*state, &text, "status", NULL), 0);
    if (!strstr(text, "stacks of 512 KiB, the deepest used "))
        fail_msg("%s", text);
    free(text);
}

static void reload_calls_on_config_in_the_processes(void **state)
{
    struct test_app *app = *state;
    char *text;
    configure(app, "my.word = two\n" SCHEDULER);
    assert_int_equal(test_app_run(app, &text, "reload", NULL), 0);
    assert_non_null(strstr(text, "my.word changed, and holds now"));
    free(text);
    test_app_await(app, "the word is two at 1");
}

static void a_second_reload_changes_nothing(void **state)
{
    char *text;
    assert_int_equal(test_app_run(*state, &text, "reload", NULL), 0);
    assert_non_null(strstr(text, "nothing changed"));
    free(text);
}

static void what_holds_from_the_next_start_is_named(void **state)
{
    struct test_app *app = *state;
    char *text;
    configure(app, "my.word = two\nworkers = 2\n");
    assert_int_equal(test_app_run(app, &text, "reload", NULL), 0);
    assert_non_null(strstr(text, "workers, workers.pinned, workers.spare, workers.stack_kib "
                                 "changed: restart `molt run`"));
    free(text);
    assert_int_equal(stat_of(app, "workers"), 3);
}

static void a_bad_file_changes_nothing(void **state)
{
    struct test_app *app = *state;
    configure(app, "my.word = three\nworkers = 0\n");
    assert_fails(app, "reload", "`workers = 0`: expected a number from 1 to 256");
    configure(app, "my.word = three\nthis is no setting\n");
    assert_fails(app, "reload", "expected `key = value`");
    assert_int_equal(kill(app->agent, SIGHUP), 0);
    test_app_await(app, "nothing changed");
}

static void sighup_to_the_agent_reads_it_again(void **state)
{
    struct test_app *app = *state;
    configure(app, "my.word = four\nworkers = 2\n");
    assert_int_equal(kill(app->agent, SIGHUP), 0);
    test_app_await(app, "the word is four at 1");
}

static void sighup_to_the_host_reads_it_again(void **state)
{
    struct test_app *app = *state;
    configure(app, "my.word = five\nworkers = 2\n");
    assert_int_equal(kill(test_app_host(app), SIGHUP), 0);
    test_app_await(app, "the word is five at 1");
}

static void a_host_without_an_agent_survives_sighup(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    pid_t host = test_app_host(app);
    test_app_kill_agent(app);
    configure(app, "my.word = six\nworkers = 2\n");
    assert_int_equal(kill(host, SIGHUP), 0);
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/count"), "2\n");
    test_client_close(&client);
    test_app_start(app, "run");
    test_app_await(app, "the word is six at 2");
    test_app_await(app, "was running already");
    assert_int_equal(test_app_host(app), host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_value_is_refused_before_anything_starts),
        cmocka_unit_test(the_host_has_the_scheduler_that_was_asked_for),
        cmocka_unit_test(status_says_how_deep_stacks_went),
        cmocka_unit_test(reload_calls_on_config_in_the_processes),
        cmocka_unit_test(a_second_reload_changes_nothing),
        cmocka_unit_test(what_holds_from_the_next_start_is_named),
        cmocka_unit_test(a_bad_file_changes_nothing),
        cmocka_unit_test(sighup_to_the_agent_reads_it_again),
        cmocka_unit_test(sighup_to_the_host_reads_it_again),
        cmocka_unit_test(a_host_without_an_agent_survives_sighup),
    };
    return cmocka_run_group_tests_name("settings", tests, start, test_app_teardown);
}
