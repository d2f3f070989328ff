/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt plan says what would happen and changes nothing; molt apply does it. A conversion that
 * crashes or loops does so in a copy. */
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

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" isn't in:\n%s", part, text);
}

/* ---- molt dev ----------------------------------------------------------------- */

static void nothing_saved_is_nothing_to_do(void **state)
{
    struct test_app *app = *state;
    char *text;
    assert_int_equal(test_app_run(app, &text, "plan", NULL), 0);
    assert_has(text, "nothing to change");
    free(text);
}

static void what_was_refused_is_explained_as_often_as_asked(void **state)
{
    struct test_app *app = *state;
    char *text;
    test_app_edit(app, "src/counter.c", "    long n;\n};\nstruct next",
                  "    short n;\n};\nstruct next");
    test_app_await(app, "counter@1 goes on");
    assert_int_equal(test_app_run(app, &text, "plan", NULL), 3);
    assert_has(text, "counter@1 changes");
    assert_has(text, "struct counter is refused");
    assert_has(text, "long -> short");
    assert_has(text, "server counter: 1 process can't be converted");
    assert_has(text, "MOLT_CHANGE(struct counter");
    assert_has(text, "it would be refused; nothing was changed");
    free(text);
    assert_int_equal(test_app_run(app, &text, "plan", "--json", NULL), 3);
    assert_has(text, "\"refused\": true");
    assert_has(text, "\"rule\": \"narrowing\"");
    assert_has(text, "\"fate\": \"stuck\"");
    free(text);
    assert_counts(app, "1\n");
}

static void the_old_state_comes_as_a_header(void **state)
{
    struct test_app *app = *state;
    char *text;
    assert_int_equal(test_app_run(app, NULL, "plan", "--header", "counter_old.h", NULL), 3);
    text = test_app_read(app, "counter_old.h");
    assert_has(text, "struct counter_1 {\n    long n;\n};");
    free(text);
}

/* Add a conversion that does @does before it returns; refused with @text. */
static void refuse_change(struct test_app *app, const char *does, const char *text)
{
    char *lines = NULL, *source = test_app_read(app, "src/counter.c");
    assert_true(asprintf(&lines,
                         "struct counter_1 {\n    long n;\n};\n"
                         "static int from_1(const struct counter_1 *old, struct counter *now)\n{\n"
                         "    now->n = (short)old->n;\n    %s\n    return 0;\n}\nstatic int init(",
                         does) > 0);
    test_app_edit(app, "src/counter.c", "static int init(", lines);
    test_app_edit(app, "src/counter.c", ".on = {",
                  ".change = {MOLT_CHANGE(struct counter_1, from_1)}, .on = {");
    test_app_await(app, "tried on copies, and it failed");
    test_app_await(app, text);
    assert_has(test_app_await(app, "in from_1()"), "src/counter.c:");
    test_app_save(app, "src/counter.c", source);
    test_app_await(app, "counter@1 goes on");
    free(lines);
    free(source);
}

static void a_conversion_that_crashes_does_so_in_a_copy(void **state)
{
    struct test_app *app = *state;
    pid_t host = test_app_host(app);
    refuse_change(app, "*(volatile int *)16 = 0;", "its MOLT_CHANGE crashed");
    assert_int_equal(test_app_host(app), host);
    assert_counts(app, "2\n");
}

static void a_conversion_that_loops_does_so_in_a_copy(void **state)
{
    struct test_app *app = *state;
    pid_t host = test_app_host(app);
    refuse_change(app, "for (volatile int i = 0;; i++)\n        ;",
                  "its MOLT_CHANGE did not return");
    assert_int_equal(test_app_host(app), host);
    assert_counts(app, "3\n");
}

static void sets_are_not_for_molt_dev(void **state)
{
    struct test_app *app = *state;
    char *text;
    assert_int_equal(test_app_run(app, &text, "apply", app->root, NULL), 1);
    assert_has(text, "there is no set");
    free(text);
}

/* ---- molt run ------------------------------------------------------------------- */

static void a_set_of_another_folder_is_tried_and_applied(void **state)
{
    struct test_app here, there;
    char *text;
    (void)state;
    test_app_init(&here);
    test_app_init(&there);
    assert_int_equal(test_app_run(&here, NULL, "build", NULL), 0);
    test_app_edit(&there, "src/counter.c", "    long n;\n};\nstruct next",
                  "    long max;\n    long n;\n};\nstruct next");
    assert_int_equal(test_app_run(&there, NULL, "build", NULL), 0);
    test_app_start_live(&here, "run");
    assert_counts(&here, "1\n");

    assert_int_equal(test_app_run(&here, &text, "plan", NULL), 0);
    assert_has(text, "nothing to change");
    free(text);
    assert_int_equal(test_app_run(&here, &text, "plan", there.root, NULL), 0);
    assert_has(text, "counter@1 changes");
    assert_has(text, "struct counter follows by itself\n    +max = 0");
    assert_has(text, "server counter: 1 process has its state converted (struct counter)");
    assert_has(text, "a way back would lose: counter.max");
    assert_has(text, "counter: 1 of 1 process tried, 1 converted");
    assert_has(text, "it can go live; nothing was changed yet");
    free(text);
    assert_int_equal(test_app_run(&here, &text, "plan", "--no-trial", there.root, NULL), 0);
    assert_null(strstr(text, "tried"));
    free(text);
    assert_counts(&here, "2\n");

    assert_int_equal(test_app_run(&here, &text, "apply", there.root, NULL), 0);
    assert_has(text, "counter@1 -> ");
    assert_has(text, "+max = 0");
    free(text);
    assert_counts(&here, "3\n");
    /* It is what is started from now on, without the other folder. */
    test_app_fini(&there);
    assert_int_equal(test_app_stop(&here), 0);
    test_app_start_live(&here, "run");
    assert_int_equal(test_app_run(&here, &text, "plan", NULL), 0);
    assert_has(text, "nothing to change");
    free(text);
    assert_counts(&here, "1\n");
    test_app_fini(&here);
}

int main(void)
{
    const struct CMUnitTest dev[] = {
        cmocka_unit_test(nothing_saved_is_nothing_to_do),
        cmocka_unit_test(what_was_refused_is_explained_as_often_as_asked),
        cmocka_unit_test(the_old_state_comes_as_a_header),
        cmocka_unit_test(a_conversion_that_crashes_does_so_in_a_copy),
        cmocka_unit_test(a_conversion_that_loops_does_so_in_a_copy),
        cmocka_unit_test(sets_are_not_for_molt_dev),
    };
    const struct CMUnitTest run[] = {
        cmocka_unit_test(a_set_of_another_folder_is_tried_and_applied),
    };
    int n = cmocka_run_group_tests_name("molt dev", dev, test_app_setup, test_app_teardown);
    return n + cmocka_run_group_tests_name("molt run", run, NULL, NULL);
}
