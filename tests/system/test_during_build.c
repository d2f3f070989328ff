/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Saves while a build runs, and agents that die in the middle of one. The
 * compiler is a script that waits at a gate when it is to compile hello.c; a
 * build that is overtaken has to be given up, or the test would wait for ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/app.h"

/* Tells through `reached`, then waits until somebody writes to `gate`. */
static const char compiler[] = "#!/bin/sh\n"
                               "case \"$*\" in\n" /* compilers run in the project's folder */
                               "*-c*hello.tu.c*)\n"
                               "    if [ -e hold ]; then\n"
                               "        echo . > reached\n"
                               "        cat gate > /dev/null\n"
                               "    fi;;\n"
                               "esac\n"
                               "exec %s \"$@\"\n";

static int reached = -1; /* read end; the write end is ours, too, so that none is the last */

static void full(const struct test_app *app, const char *path, char ret[1024])
{
    snprintf(ret, 1024, "%s/%s", app->root, path);
}

static int setup(void **state)
{
    struct test_app *app = calloc(1, sizeof(*app));
    char text[2048], path[1024];
    assert_non_null(app);
    *state = app;
    test_app_init(app);
    snprintf(text, sizeof(text), compiler, MOLT_TEST_CC);
    test_app_overwrite(app, "cc.sh", text);
    full(app, "cc.sh", path);
    assert_int_equal(chmod(path, 0755), 0);
    char *conf = test_app_read(app, "molt.conf"), *edited;
    assert_true(asprintf(&edited, "%s\ncc = %s\n", conf, path) > 0);
    char *old = strstr(edited, "cc = ");
    old[0] = '#'; /* the compiler before */
    test_app_overwrite(app, "molt.conf", edited);
    free(edited);
    free(conf);
    full(app, "gate", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    full(app, "reached", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    reached = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    assert_true(reached >= 0);
    test_app_start_live(app, "dev");
    return 0;
}

static int teardown(void **state)
{
    close(reached);
    return test_app_teardown(state);
}

static void hold(struct test_app *app)
{
    test_app_overwrite(app, "hold", "");
}

/* The compiler stands at the gate. */
static void await_compiler(void)
{
    char text[16];
    struct pollfd p = {.fd = reached, .events = POLLIN};
    assert_int_equal(poll(&p, 1, TEST_APP_PATIENCE_MS), 1);
    assert_true(read(reached, text, sizeof(text)) > 0);
}

static void assert_answers(struct test_app *app, const char *path, const char *body)
{
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, path), body);
    test_client_close(&client);
}

static void a_save_of_the_same_file_overtakes_the_build(void **state)
{
    struct test_app *app = *state;
    hold(app);
    test_app_edit(app, "src/hello.c", "Hello\\n", "First\\n");
    await_compiler();
    test_app_remove(app, "hold");
    test_app_edit(app, "src/hello.c", "First\\n", "Second\\n");
    test_app_await(app, "hello@1 -> 2");
    assert_answers(app, "/", "Second\n");
}

static void several_saves_overtake_it_and_the_last_text_wins(void **state)
{
    struct test_app *app = *state;
    char from[32] = "Second\\n", to[32];
    hold(app);
    for (int i = 0; i < 7; i++) {
        snprintf(to, sizeof(to), "Text %d\\n", i);
        test_app_edit(app, "src/hello.c", from, to);
        await_compiler();
        strcpy(from, to);
    }
    test_app_await(app, "waiting for a pause");
    test_app_remove(app, "hold");
    test_app_edit(app, "src/hello.c", from, "Last\\n");
    test_app_await(app, "hello@2 -> 3");
    assert_answers(app, "/", "Last\n");
}

/* counter.c is compiled with the old text before the gate, hello.c not at all:
 * both have to come from the time after the last save. */
static void a_save_of_another_file_leads_to_one_upgrade_of_both(void **state)
{
    struct test_app *app = *state;
    hold(app);
    test_app_edit(app, "src/counter.c", "+= m->by", "+= 10 * m->by");
    test_app_edit(app, "src/hello.c", "Last\\n", "Both\\n");
    await_compiler();
    test_app_remove(app, "hold");
    test_app_edit(app, "src/counter.c", "+= 10 * m->by", "+= 100 * m->by");
    const char *line = test_app_await(app, "live in");
    assert_non_null(strstr(line, "hello@3 -> 4"));
    assert_non_null(strstr(line, "counter@1 -> 2"));
    assert_answers(app, "/", "Both\n");
    assert_answers(app, "/count", "100\n");
}

static void an_error_that_was_mended_meanwhile_is_never_shown(void **state)
{
    struct test_app *app = *state;
    hold(app);
    test_app_edit(app, "src/counter.c", "+= 100 * m->by", "+= nonsense(m->by)");
    test_app_edit(app, "src/hello.c", "Both\\n", "Mended\\n");
    await_compiler();
    test_app_remove(app, "hold");
    test_app_edit(app, "src/counter.c", "+= nonsense(m->by)", "+= m->by");
    assert_non_null(strstr(test_app_await(app, "live in"), "hello@4 -> 5"));
    assert_null(strstr(app->text, "nonsense"));
    assert_answers(app, "/", "Mended\n");
    assert_answers(app, "/count", "101\n");
}

static void a_stop_does_not_wait_for_the_compiler(void **state)
{
    struct test_app *app = *state;
    hold(app);
    test_app_edit(app, "src/hello.c", "Mended\\n", "Stopped\\n");
    await_compiler();
    assert_int_equal(test_app_stop(app), 0);
    test_app_remove(app, "hold");
    test_app_start_live(app, "dev");
    assert_answers(app, "/", "Stopped\n");
}

static void after_the_death_of_an_agent_that_built_the_next_one_builds_what_was_saved(void **state)
{
    struct test_app *app = *state;
    pid_t host = test_app_host(app);
    char path[1024];
    assert_answers(app, "/count", "1\n");
    hold(app);
    test_app_edit(app, "src/hello.c", "Stopped\\n", "Orphan\\n");
    await_compiler();
    test_app_kill_agent(app);
    test_app_edit(app, "src/hello.c", "Orphan\\n", "Heir\\n");
    test_app_remove(app, "hold");
    test_app_start_live(app, "dev");
    test_app_await(app, "hello@1 -> 2");
    assert_answers(app, "/", "Heir\n");
    assert_answers(app, "/count", "2\n");
    assert_int_equal(test_app_host(app), host);
    /* The compiler of the dead agent goes on, and hits nothing. */
    full(app, "gate", path);
    int gate = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(gate >= 0);
    close(gate);
    test_app_edit(app, "src/hello.c", "Heir\\n", "After\\n");
    test_app_await(app, "hello@2 -> 3");
    assert_answers(app, "/", "After\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_save_of_the_same_file_overtakes_the_build),
        cmocka_unit_test(several_saves_overtake_it_and_the_last_text_wins),
        cmocka_unit_test(a_save_of_another_file_leads_to_one_upgrade_of_both),
        cmocka_unit_test(an_error_that_was_mended_meanwhile_is_never_shown),
        cmocka_unit_test(a_stop_does_not_wait_for_the_compiler),
        cmocka_unit_test(after_the_death_of_an_agent_that_built_the_next_one_builds_what_was_saved),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("saves during a build", tests, setup, teardown);
}
