/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt log: what processes say, then and while somebody looks on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/app.h"

static int start(void **state)
{
    struct test_app *app = calloc(1, sizeof(*app));
    assert_non_null(app);
    *state = app;
    test_app_init(app);
    test_app_edit(app, "src/hello.c", "    return molt_http_printf(r, 200, \"Hello\\n\");",
                  "    molt_log(MOLT_INFO, \"somebody came\");\n"
                  "    molt_log(MOLT_DEBUG, \"a detail\");\n"
                  "    return molt_http_printf(r, 200, \"Hello\\n\");");
    test_app_start_live(app, "dev");
    return 0;
}

static void visit(struct test_app *app)
{
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hello\n");
    test_client_close(&client);
}

/* `molt log --follow @more` as a child; its output comes through a pipe. */
struct follower {
    pid_t pid;
    int out;
    char text[8192];
    size_t len;
};

static void follow(struct test_app *app, const char *more, struct follower *f)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    f->pid = fork();
    assert_true(f->pid >= 0);
    if (f->pid == 0) {
        dup2(out[1], 1);
        dup2(out[1], 2);
        close(out[0]);
        if (chdir(app->root) == 0)
            execl(MOLT_COMMAND, "molt", "log", "--follow", more, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    f->out = out[0];
    f->len = 0;
}

/* Returns where in its output @text is. */
static const char *await(struct follower *f, const char *text)
{
    for (;;) {
        f->text[f->len] = '\0';
        const char *found = strstr(f->text, text);
        if (found)
            return found;
        struct pollfd p = {.fd = f->out, .events = POLLIN};
        ssize_t n = poll(&p, 1, TEST_APP_PATIENCE_MS) > 0
                        ? read(f->out, f->text + f->len, sizeof(f->text) - 1 - f->len)
                        : 0;
        if (n <= 0)
            fail_msg("waited for `%s`, in vain, in: %s", text, f->text);
        f->len += (size_t)n;
    }
}

static int join(struct follower *f)
{
    int status;
    close(f->out);
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    return status;
}

static void what_was_said_is_shown_with_time_and_level(void **state)
{
    struct test_app *app = *state;
    char *text;
    visit(app);
    test_app_await(app, "somebody came");
    assert_int_equal(test_app_run(app, &text, "log", NULL), 0);
    assert_non_null(strstr(text, " info: somebody came"));
    assert_null(strstr(text, "a detail"));
    free(text);
}

static void json_is_one_message_a_line(void **state)
{
    char *text;
    assert_int_equal(test_app_run(*state, &text, "log", "--lines", "1", "--json", NULL), 0);
    json_t *doc = json_loads(text, 0, NULL);
    if (!doc)
        fail_msg("%s", text);
    assert_string_equal(json_string_value(json_object_get(doc, "text")), "somebody came");
    assert_string_equal(json_string_value(json_object_get(doc, "level")), "info");
    json_decref(doc);
    free(text);
}

static void a_follower_sees_what_comes(void **state)
{
    struct test_app *app = *state;
    struct follower f;
    follow(app, "--debug", &f);
    f.text[await(&f, "a detail") - f.text] = 'A'; /* that one was there before */
    visit(app);
    await(&f, "a detail");
    kill(f.pid, SIGTERM);
    join(&f);
}

/* Dead followers aren't noticed while they wait: they must not use up the places. */
static void many_followers_that_went_leave_room_for_others(void **state)
{
    struct test_app *app = *state;
    struct follower f;
    for (int i = 0; i < 20; i++) {
        follow(app, "--lines=1", &f);
        await(&f, "somebody came");
        kill(f.pid, SIGKILL);
        join(&f);
    }
    follow(app, "--lines=1", &f);
    f.text[await(&f, "somebody came") - f.text] = 'S';
    visit(app);
    await(&f, "somebody came");
    kill(f.pid, SIGTERM);
    join(&f);
}

static void upgrades_stand_in_the_log(void **state)
{
    struct test_app *app = *state;
    char *text;
    test_app_edit(app, "src/hello.c", "somebody came", "a visitor came");
    test_app_await(app, "hello@1 -> 2");
    assert_int_equal(test_app_run(app, &text, "log", NULL), 0);
    if (!strstr(text, " info: hello@1 -> 2"))
        fail_msg("%s", text);
    free(text);
}

static void a_follower_does_not_keep_the_app_from_stopping(void **state)
{
    struct test_app *app = *state;
    struct follower f;
    follow(app, "--lines=1", &f);
    await(&f, "hello@1 -> 2");
    assert_int_equal(test_app_run(app, NULL, "stop", NULL), 0);
    assert_int_equal(test_app_join(app), 0);
    await(&f, "agent");
    assert_int_equal(WEXITSTATUS(join(&f)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_said_is_shown_with_time_and_level),
        cmocka_unit_test(json_is_one_message_a_line),
        cmocka_unit_test(a_follower_sees_what_comes),
        cmocka_unit_test(many_followers_that_went_leave_room_for_others),
        cmocka_unit_test(upgrades_stand_in_the_log),
        cmocka_unit_test(a_follower_does_not_keep_the_app_from_stopping),
    };
    return cmocka_run_group_tests_name("log", tests, start, test_app_teardown);
}
