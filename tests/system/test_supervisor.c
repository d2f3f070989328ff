/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A tree of supervisors in a real app: it follows its specification when that is
 * saved, shows itself, and stops in order, within its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

/* Servers that say when they begin and end. */
static const char workers_c[] =
    "#include <molt/molt.h>\n"
    "struct worker {\n    long n;\n};\n"
    "struct blow {\n    long n;\n};\n"
    "static int blow(struct worker *w, struct blow *m)\n"
    "{\n    (void)w, (void)m;\n    return MOLT_EIO;\n}\n"
    "#define WORKER(name)\\\n"
    "    static int name##_init(struct worker *w, const void *arg)\\\n"
    "    {\\\n        (void)arg;\\\n        w->n = 1;\\\n"
    "        molt_log(MOLT_WARN, #name \" begins\");\\\n        return 0;\\\n    }\\\n"
    "    static void name##_end(struct worker *w, int reason)\\\n"
    "    {\\\n        (void)w, (void)reason;\\\n        molt_log(MOLT_WARN, #name \" ends\");\\\n"
    "    }\\\n"
    "    MOLT_SERVER(name, struct worker, .init = MOLT_FN(name##_init),\\\n"
    "                .terminate = MOLT_FN(name##_end), .on = {MOLT_CAST(struct blow, blow)})\n"
    "WORKER(alpha);\nWORKER(beta);\nWORKER(gamma);\n";

/* One whose end never comes. */
static const char stuck_c[] = "#include <molt/molt.h>\n"
                              "struct stuck {\n    volatile long n;\n};\n"
                              "static void end(struct stuck *s, int reason)\n"
                              "{\n    (void)reason;\n    while (s->n == 0)\n        ;\n}\n"
                              "MOLT_SERVER(stuck, struct stuck, .terminate = MOLT_FN(end));\n";

static const char tree[] = "#include <molt/http.h>\n"
                           "#include <molt/molt.h>\n"
                           "MOLT_SUPERVISOR(inner, .strategy = MOLT_ONE_FOR_ALL,\n"
                           "    .child = {{.id = \"b\", .server = \"beta\"}});\n"
                           "MOLT_SUPERVISOR(app, .strategy = MOLT_REST_FOR_ONE,\n"
                           "    .child = {{.id = \"counter\", .server = \"counter\"},\n"
                           "              {.id = \"http\", .server = \"http_listener\"},\n"
                           "              {.id = \"a\", .server = \"alpha\"},\n"
                           "              {.id = \"inner\", .server = \"inner\"}});\n";

static void write_tree(struct test_app *app)
{
    test_app_save(app, "src/workers.c", workers_c);
    test_app_save(app, "src/app.c", tree);
}

static void a_saved_tree_starts_and_stops_children(void **state)
{
    struct test_app *app = *state;
    write_tree(app);
    test_app_start_live(app, "dev");
    test_app_edit(app, "src/app.c", "{.id = \"inner\", .server = \"inner\"}",
                  "{.id = \"c\", .server = \"gamma\"}");
    const char *const said[] = {"beta ends", "gamma begins", NULL};
    const char *line = test_app_await_any(app, said);
    assert_non_null(strstr(line, "beta ends")); /* what goes before what comes */
    test_app_await(app, "gamma begins");
}

static void an_unsound_tree_is_refused_and_the_old_one_goes_on(void **state)
{
    struct test_app *app = *state;
    test_app_edit(app, "src/app.c", "{.id = \"c\"", "{.id = \"a\"");
    test_app_await(app, "supervisor 'app': two children have the id 'a'");
    test_app_edit(app, "src/app.c", "{.id = \"a\", .server = \"gamma\"}",
                  "{.id = \"c\", .server = \"gamma\"}, {.id = \"d\", .server = \"beta\"}");
    test_app_await(app, "beta begins");
}

static void the_tree_shows_itself(void **state)
{
    struct test_app *app = *state;
    char *text;
    assert_int_equal(test_app_run(app, &text, "tree", NULL), 0);
    const char *const parts[] = {"app", "rest_for_one", "counter", "http", "a", "c", "permanent"};
    const char *at = text;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!(at = strstr(at, parts[i])))
            fail_msg("`%s` expected in order in: %s", parts[i], text);
    assert_null(strstr(text, "down"));
    free(text);
    assert_int_equal(test_app_run(app, &text, "tree", "--json", NULL), 0);
    assert_non_null(strstr(text, "\"rest_for_one\""));
    free(text);
}

static void sigterm_stops_in_reverse_order(void **state)
{
    struct test_app *app = *state;
    kill(app->agent, SIGTERM);
    test_app_await(app, "beta ends");
    test_app_await(app, "gamma ends");
    test_app_await(app, "alpha ends");
    assert_int_equal(test_app_join(app), 0);
}

static void what_does_not_end_in_time_is_named_and_dropped(void **state)
{
    struct test_app *app = *state;
    char *conf = test_app_read(app, "molt.conf"), more[1024];
    snprintf(more, sizeof(more), "%sstop_ms = 300\n", conf);
    free(conf);
    test_app_save(app, "molt.conf", more);
    test_app_save(app, "src/stuck.c", stuck_c);
    test_app_edit(app, "src/app.c", "{.id = \"c\"",
                  "{.id = \"s\", .server = \"stuck\"}, {.id = \"c\"");
    test_app_start_live(app, "dev");
    kill(app->agent, SIGTERM);
    test_app_await(app, "'s' did not end in time and is dropped");
    assert_int_equal(test_app_join(app), 1);
}

static void a_time_to_stop_that_is_none_is_refused(void **state)
{
    struct test_app *app = *state;
    char *said;
    test_app_edit(app, "molt.conf", "stop_ms = 300", "stop_ms = soon");
    assert_int_equal(test_app_run(app, &said, "build", NULL), 1);
    assert_non_null(strstr(said, "`stop_ms = soon`: expected milliseconds from 0 to 600000"));
    free(said);
}

static int setup(void **state)
{
    static struct test_app app;
    test_app_init(&app);
    *state = &app;
    return 0;
}

static int teardown(void **state)
{
    test_app_fini(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_tree_starts_and_stops_children),
        cmocka_unit_test(an_unsound_tree_is_refused_and_the_old_one_goes_on),
        cmocka_unit_test(the_tree_shows_itself),
        cmocka_unit_test(sigterm_stops_in_reverse_order),
        cmocka_unit_test(what_does_not_end_in_time_is_named_and_dropped),
        cmocka_unit_test(a_time_to_stop_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
