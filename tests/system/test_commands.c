/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the commands answer, for people and for programs, and with which exit
 * code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/app.h"

/* `molt @verb @arg --json` has to exit with @code and print one document. */
static json_t *ask(struct test_app *app, int code, const char *verb, const char *arg)
{
    char *text;
    json_error_t why;
    if (arg)
        assert_int_equal(test_app_run(app, &text, verb, arg, "--json", NULL), code);
    else
        assert_int_equal(test_app_run(app, &text, verb, "--json", NULL), code);
    json_t *doc = json_loads(text, 0, &why);
    if (!doc)
        fail_msg("molt %s --json: %s in: %s", verb, why.text, text);
    free(text);
    return doc;
}

static const char *string_of(json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return text ? text : "";
}

/* The command exits with @code and says @text. */
static void assert_says(struct test_app *app, int code, const char *text, const char *verb,
                        const char *arg)
{
    char *said;
    int got = test_app_run(app, &said, verb, arg, NULL);
    if (got != code || !strstr(said, text))
        fail_msg("molt %s %s: %d instead of %d, `%s` expected in: %s", verb, arg ? arg : "", got,
                 code, text, said);
    free(said);
}

static void status_names_app_and_processes(void **state)
{
    struct test_app *app = *state;
    json_t *doc = ask(app, 0, "status", NULL);
    assert_string_equal(string_of(doc, "app"), "app");
    assert_string_equal(string_of(doc, "state"), "live");
    assert_int_equal(json_integer_value(json_object_get(doc, "agent_pid")), app->agent);
    assert_int_equal(json_integer_value(json_object_get(doc, "host_pid")), test_app_host(app));
    assert_true(json_is_null(json_object_get(doc, "problem")));
    json_decref(doc);
    assert_says(app, 0, "app is live: http://localhost:", "status", NULL);
}

static void modules_worlds_and_ps_are_lists(void **state)
{
    struct test_app *app = *state;
    json_t *doc = ask(app, 0, "modules", NULL), *item;
    size_t i, n = 0;
    json_array_foreach(doc, i, item) n += strcmp(string_of(item, "name"), "hello@1") == 0 &&
                                          json_is_true(json_object_get(item, "is_current"));
    assert_int_equal(n, 1);
    assert_int_equal(json_array_size(doc), 4);
    json_decref(doc);
    doc = ask(app, 0, "worlds", NULL);
    assert_true(json_array_size(doc) >= 1);
    json_decref(doc);
    doc = ask(app, 0, "ps", NULL);
    n = 0;
    json_array_foreach(doc, i, item) n += strcmp(string_of(item, "server"), "counter") == 0;
    assert_int_equal(n, 1);
    json_decref(doc);
}

static void load_brings_in_one_more_file_which_stays(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_app_save(app, "extra.c",
                  "#include <molt/http.h>\n"
                  "static int extra(struct molt_http *r)\n"
                  "{\n    return molt_http_printf(r, 200, \"extra\\n\");\n}\n"
                  "MOLT_ROUTES({\"GET\", \"/extra\", extra});\n");
    test_client_open(&client, app->port);
    test_client_get(&client, "/extra");
    assert_int_equal(client.status, 404);
    json_t *doc = ask(app, 0, "load", "extra.c");
    assert_non_null(strstr(string_of(doc, "text"), "extra@1 added"));
    json_decref(doc);
    assert_string_equal(test_client_get(&client, "/extra"), "extra\n");
    test_app_edit(app, "src/hello.c", "Hello\\n", "Hallo\\n");
    test_app_await(app, "hello@1 -> 2");
    assert_string_equal(test_client_get(&client, "/extra"), "extra\n");
    test_app_edit(app, "extra.c", "extra\\n", "more\\n");
    assert_says(app, 0, "extra@1 -> 2", "load", "extra.c");
    assert_string_equal(test_client_get(&client, "/extra"), "more\n");
    test_client_close(&client);
}

static void load_refuses_what_is_no_good_module(void **state)
{
    struct test_app *app = *state;
    assert_says(app, 1, "No such file", "load", "missing.c");
    test_app_save(app, "bad.c", "int broken(\n");
    assert_says(app, 1, "bad.c:", "load", "bad.c");
    json_t *doc = ask(app, 1, "load", "bad.c");
    assert_string_equal(string_of(json_object_get(doc, "error"), "code"), "MOLT_ECOMPILE");
    json_decref(doc);
    test_app_save(app, "note.txt", "no C file\n");
    assert_says(app, 1, "a C file is needed", "load", "note.txt");
    assert_says(app, 2, "FILE.c is missing", "load", NULL);
}

static void purge_says_what_was_unloaded(void **state)
{
    struct test_app *app = *state;
    json_t *doc = ask(app, 0, "purge", NULL);
    assert_true(json_is_integer(json_object_get(doc, "unloaded")));
    assert_int_equal(json_integer_value(json_object_get(doc, "killed")), 0);
    json_decref(doc);
    assert_says(app, 2, "a version is MODULE@N", "purge", "hello@x");
    assert_says(app, 2, "--hard needs", "purge", "--hard");
}

static void misuse_is_answered_with_usage_and_2(void **state)
{
    struct test_app *app = *state;
    assert_says(app, 2, "unknown command frobnicate", "frobnicate", NULL);
    assert_says(app, 2, "did you mean status?", "statsu", NULL);
    assert_says(app, 2, "unknown option --colour", "status", "--colour");
    assert_says(app, 2, "unexpected argument", "status", "hello");
    assert_says(app, 0, "usage: molt dev", "dev", "--help");
    assert_says(app, 0, "molt", "version", NULL);
}

static void a_second_agent_is_refused(void **state)
{
    assert_says(*state, 1, "molt dev (pid ", "dev", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_names_app_and_processes),
        cmocka_unit_test(modules_worlds_and_ps_are_lists),
        cmocka_unit_test(load_brings_in_one_more_file_which_stays),
        cmocka_unit_test(load_refuses_what_is_no_good_module),
        cmocka_unit_test(purge_says_what_was_unloaded),
        cmocka_unit_test(misuse_is_answered_with_usage_and_2),
        cmocka_unit_test(a_second_agent_is_refused),
    };
    return cmocka_run_group_tests_name("commands", tests, test_app_setup, test_app_teardown);
}
