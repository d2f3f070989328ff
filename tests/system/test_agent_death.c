/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* An agent that is killed takes nothing along, and the next one goes on with the
 * host that is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void a_loaded_module_stays_with_the_next_agent(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_app_save(app, "extra.c",
                  "#include <molt/http.h>\n"
                  "static int extra(struct molt_http *r)\n"
                  "{\n    return molt_http_printf(r, 200, \"extra\\n\");\n}\n"
                  "MOLT_ROUTES({\"GET\", \"/extra\", extra});\n");
    assert_int_equal(test_app_run(app, NULL, "load", "extra.c", NULL), 0);
    test_app_kill_agent(app);
    test_client_open(&client, app->port);
    test_app_start_live(app, "dev");
    test_app_await(app, "nothing to change");
    assert_string_equal(test_client_get(&client, "/extra"), "extra\n");
    test_app_edit(app, "src/hello.c", "Hallo\\n", "Hullo\\n");
    test_app_await(app, "hello@2 -> 3");
    assert_string_equal(test_client_get(&client, "/extra"), "extra\n");
    test_client_close(&client);
}

static void a_module_that_was_deleted_meanwhile_goes(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_app_save(app, "src/more.c",
                  "#include <molt/http.h>\n"
                  "static int more(struct molt_http *r)\n"
                  "{\n    return molt_http_printf(r, 200, \"more\\n\");\n}\n"
                  "MOLT_ROUTES({\"GET\", \"/more\", more});\n");
    test_app_await(app, "more@1 added");
    test_app_kill_agent(app);
    test_app_remove(app, "src/more.c");
    test_app_start_live(app, "dev");
    test_app_await(app, "more@1 deleted");
    test_client_open(&client, app->port);
    test_client_get(&client, "/more");
    assert_int_equal(client.status, 404);
    assert_string_equal(test_client_get(&client, "/extra"), "extra\n");
    test_client_close(&client);
}

/* Taking over needs no sources that compile, nor does starting it again. */
static void a_host_is_taken_over_and_kept_alive_while_the_sources_are_broken(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    pid_t host = test_app_host(app);
    char *text;
    test_app_kill_agent(app);
    test_app_edit(app, "src/hello.c", "Hullo\\n\"", "Hullo\\n\" broken");
    test_app_start_live(app, "dev");
    test_app_await(app, "compile error, nothing changed");
    assert_int_equal(test_app_host(app), host);
    assert_int_equal(test_app_run(app, &text, "status", NULL), 0);
    assert_non_null(strstr(text, "app is live"));
    free(text);
    kill(host, SIGKILL);
    test_app_await(app, "the host ended");
    test_app_await(app, "the host runs again");
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hullo\n");
    assert_string_equal(test_client_get(&client, "/extra"), "extra\n");
    test_client_close(&client);
    test_app_edit(app, "src/hello.c", "Hullo\\n\" broken", "Mended\\n\"");
    test_app_await(app, "hello@1 -> 2");
}

/* on_load tells through one FIFO that it runs, and waits for the other. */
#define SLOW_C                                                                                     \
    "#include <fcntl.h>\n#include <molt/molt.h>\n#include <unistd.h>\n"                            \
    "static int slow(void)\n{\n"                                                                   \
    "    int out = open(\"%s/reached\", O_WRONLY);\n"                                              \
    "    close(out);\n"                                                                            \
    "    int in = open(\"%s/gate\", O_RDONLY);\n"                                                  \
    "    close(in);\n"                                                                             \
    "    return 0;\n}\nMOLT_ON_LOAD(slow);\n"

static int open_fifo(struct test_app *app, const char *name, int flags)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", app->root, name);
    int fd = open(path, flags | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void an_agent_that_dies_in_the_middle_of_an_upgrade_leaves_all_or_nothing(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    pid_t host = test_app_host(app);
    char path[1024], text[4096];
    const char *const names[] = {"reached", "gate"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", app->root, names[i]);
        assert_int_equal(mkfifo(path, 0600), 0);
    }
    snprintf(text, sizeof(text), SLOW_C, app->root, app->root);
    test_app_save(app, "src/slow.c", text);
    int reached = open_fifo(app, "reached", O_RDONLY); /* on_load runs now */
    test_app_kill_agent(app);
    test_app_edit(app, "src/hello.c", "Mended\\n", "Later\\n");
    test_app_start(app, "dev");
    int gate = open_fifo(app, "gate", O_WRONLY);
    test_app_await(app, "app is live");
    test_app_await(app, "was running already, and went on");
    assert_non_null(strstr(test_app_await(app, "live in"), "hello@2 -> 3"));
    close(gate);
    close(reached);
    assert_int_equal(test_app_host(app), host);
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Later\n");
    test_client_close(&client);
    test_app_remove(app, "src/slow.c");
    test_app_await(app, "slow@1 deleted");
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
        cmocka_unit_test(a_loaded_module_stays_with_the_next_agent),
        cmocka_unit_test(a_module_that_was_deleted_meanwhile_goes),
        cmocka_unit_test(a_host_is_taken_over_and_kept_alive_while_the_sources_are_broken),
        cmocka_unit_test(an_agent_that_dies_in_the_middle_of_an_upgrade_leaves_all_or_nothing),
        cmocka_unit_test(its_end_is_the_end_of_the_host),
    };
    return cmocka_run_group_tests_name("the agent's death", tests, test_app_setup,
                                       test_app_teardown);
}
