/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Headers, and modules that come, go and have several files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "system/app.h"

static void a_header_brings_all_that_include_it_in_one_upgrade(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    test_app_edit(app, "src/counter.c", "m->by = 1;", "m->by = BY;");
    test_app_await(app, "compile error, nothing changed");
    test_app_edit(app, "src/hello.c", "\"Hello\\n\"", "\"by %d\\n\", BY");
    test_app_await(app, "compile error, nothing changed");
    test_app_edit(app, "src/counter.h", "/* The next number", "#define BY 5\n/* The next number");
    const char *line = test_app_await(app, "live in");
    assert_non_null(strstr(line, "counter@1 -> 2"));
    assert_non_null(strstr(line, "hello@1 -> 2"));
    assert_string_equal(test_client_get(&client, "/"), "by 5\n");
    assert_string_equal(test_client_get(&client, "/count"), "5\n");
    test_app_edit(app, "src/counter.h", "#define BY 5", "#define BY 7");
    line = test_app_await(app, "live in");
    assert_non_null(strstr(line, "counter@2 -> 3"));
    assert_non_null(strstr(line, "hello@2 -> 3"));
    assert_string_equal(test_client_get(&client, "/"), "by 7\n");
    assert_string_equal(test_client_get(&client, "/count"), "12\n");
    test_client_close(&client);
}

static void a_changed_signature_brings_caller_and_callee_at_once(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    test_app_edit(app, "src/counter.h", "long counter_next(void);", "long counter_next(int by);");
    test_app_await(app, "compile error, nothing changed");
    test_app_edit(app, "src/hello.c", "counter_next()", "counter_next(100)");
    test_app_await(app, "compile error, nothing changed");
    test_app_edit(app, "src/counter.c", "long counter_next(void)", "long counter_next(int by)");
    const char *line = test_app_await(app, "live in");
    assert_non_null(strstr(line, "counter@3 -> 4"));
    assert_non_null(strstr(line, "hello@3 -> 4"));
    test_app_edit(app, "src/counter.c", "m->by = BY;", "m->by = by;");
    test_app_await(app, "counter@4 -> 5");
    assert_string_equal(test_client_get(&client, "/count"), "112\n");
    test_client_close(&client);
}

static const char more_c[] = "#include <molt/http.h>\n"
                             "static int more(struct molt_http *r)\n"
                             "{\n"
                             "    return molt_http_printf(r, 200, \"more\\n\");\n"
                             "}\n"
                             "MOLT_ROUTES({\"GET\", \"/more\", more});\n";

static void a_new_file_is_a_new_module(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    test_client_get(&client, "/more");
    assert_int_equal(client.status, 404);
    test_app_save(app, "src/more.c", more_c);
    test_app_await(app, "more@1 added");
    assert_string_equal(test_client_get(&client, "/more"), "more\n");
    test_client_close(&client);
}

static void a_removed_file_takes_its_routes_along(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    test_app_remove(app, "src/more.c");
    test_app_await(app, "more@1 deleted");
    test_client_get(&client, "/more");
    assert_int_equal(client.status, 404);
    assert_string_equal(test_client_get(&client, "/"), "by 7\n");
    test_client_close(&client);
}

static void all_files_of_a_folder_are_one_module(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    test_app_mkdir(app, "src/pair");
    test_app_save(app, "src/pair/words.h", "const char *word(void);\n");
    test_app_save(app, "src/pair/words.c",
                  "#include \"words.h\"\nconst char *word(void) { return \"one\\n\"; }\n");
    test_app_save(app, "src/pair/route.c",
                  "#include <molt/http.h>\n"
                  "#include \"words.h\"\n"
                  "static int say(struct molt_http *r) { return molt_http_printf(r, 200, \"%s\", "
                  "word()); }\n"
                  "MOLT_ROUTES({\"GET\", \"/pair\", say});\n");
    test_app_edit(app, "src/hello.c", "\"by %d", "\"By %d"); /* saved last: goes live last */
    test_app_await(app, "hello@4 -> 5");
    assert_string_equal(test_client_get(&client, "/pair"), "one\n");
    test_app_edit(app, "src/pair/words.c", "one", "two");
    test_app_await(app, "pair@1 -> 2");
    assert_string_equal(test_client_get(&client, "/pair"), "two\n");
    test_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_brings_all_that_include_it_in_one_upgrade),
        cmocka_unit_test(a_changed_signature_brings_caller_and_callee_at_once),
        cmocka_unit_test(a_new_file_is_a_new_module),
        cmocka_unit_test(a_removed_file_takes_its_routes_along),
        cmocka_unit_test(all_files_of_a_folder_are_one_module),
    };
    return cmocka_run_group_tests_name("headers and modules", tests, test_app_setup,
                                       test_app_teardown);
}
