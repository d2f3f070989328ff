/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* For production: molt build, then molt run on a machine without a compiler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "system/app.h"

static int start(void **state)
{
    struct test_app *app = calloc(1, sizeof(*app));
    assert_non_null(app);
    *state = app;
    test_app_init(app);
    return 0;
}

static void run_without_a_build_says_what_to_do(void **state)
{
    char *text;
    assert_int_equal(test_app_run(*state, &text, "run", NULL), 1);
    assert_non_null(strstr(text, "molt build"));
    free(text);
}

static void a_build_that_fails_says_so_and_exits_with_1(void **state)
{
    struct test_app *app = *state;
    char *text;
    json_t *doc, *list;
    test_app_edit(app, "src/hello.c", "\"Hello\\n\"", "missing");
    assert_int_equal(test_app_run(app, &text, "build", NULL), 1);
    assert_non_null(strstr(text, "src/hello.c:9:"));
    free(text);
    assert_int_equal(test_app_run(app, &text, "build", "--json", NULL), 1);
    doc = json_loads(text, 0, NULL);
    assert_true(json_is_false(json_object_get(doc, "ok")));
    assert_string_equal(json_string_value(json_object_get(doc, "code")), "MOLT_ECOMPILE");
    list = json_object_get(doc, "diagnostics");
    assert_true(json_array_size(list) >= 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "line")), 9);
    json_decref(doc);
    free(text);
    test_app_edit(app, "src/hello.c", "missing", "\"Hello\\n\"");
}

static void a_build_leaves_images_that_nobody_may_write(void **state)
{
    struct test_app *app = *state;
    char *text;
    struct stat st;
    assert_int_equal(test_app_run(app, &text, "build", "--json", NULL), 0);
    json_t *doc = json_loads(text, 0, NULL), *module;
    size_t i;
    assert_int_equal(json_array_size(json_object_get(doc, "modules")), 4);
    json_array_foreach(json_object_get(doc, "modules"), i, module)
    {
        const char *image = json_string_value(json_object_get(module, "image"));
        assert_non_null(image);
        assert_int_equal(stat(image, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0444);
    }
    json_decref(doc);
    free(text);
}

static void run_serves_without_a_compiler_and_without_sources(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    char *text = test_app_read(app, "src/counter.c");
    test_app_remove(app, "src/counter.c");
    app->path = "/nowhere";
    test_app_start_live(app, "run");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hello\n");
    assert_string_equal(test_client_get(&client, "/count"), "1\n");
    test_client_close(&client);
    test_app_save(app, "src/counter.c", text);
    free(text);
}

static void load_under_run_says_that_there_is_no_compiler(void **state)
{
    struct test_app *app = *state;
    char *text;
    assert_int_equal(test_app_run(app, &text, "load", "src/hello.c", NULL), 1);
    assert_non_null(strstr(text, "no compiler"));
    free(text);
}

static void stop_ends_it_in_order(void **state)
{
    struct test_app *app = *state;
    assert_int_equal(test_app_run(app, NULL, "stop", NULL), 0);
    assert_int_equal(test_app_join(app), 0);
    assert_int_equal(test_app_host(app), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_without_a_build_says_what_to_do),
        cmocka_unit_test(a_build_that_fails_says_so_and_exits_with_1),
        cmocka_unit_test(a_build_leaves_images_that_nobody_may_write),
        cmocka_unit_test(run_serves_without_a_compiler_and_without_sources),
        cmocka_unit_test(load_under_run_says_that_there_is_no_compiler),
        cmocka_unit_test(stop_ends_it_in_order),
    };
    return cmocka_run_group_tests_name("build and run", tests, start, test_app_teardown);
}
