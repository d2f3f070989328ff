/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* examples/door, as it stands there, and the changes that its README proposes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

static void copy(struct test_app *app, const char *name)
{
    char from[512], to[64], text[1 << 14];
    snprintf(from, sizeof(from), MOLT_SOURCE_DIR "/examples/door/src/%s", name);
    snprintf(to, sizeof(to), "src/%s", name);
    FILE *file = fopen(from, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    assert_true(n > 0 && n < sizeof(text) - 1);
    text[n] = '\0';
    fclose(file);
    test_app_save(app, to, text);
}

/* Until `molt ps` has a line of the door with @text. */
static void await_ps(struct test_app *app, const char *text)
{
    for (;;) {
        char *ps;
        assert_int_equal(test_app_run(app, &ps, "ps", NULL), 0);
        bool is = strstr(ps, text) != NULL;
        free(ps);
        if (is)
            return;
        sched_yield();
    }
}

static void rename_all(struct test_app *app, const char *path, const char *from, const char *to)
{
    char *text = test_app_read(app, path), renamed[1 << 14];
    size_t len = 0;
    for (const char *at = text; *at;) {
        bool is = strncmp(at, from, strlen(from)) == 0;
        len += (size_t)snprintf(renamed + len, sizeof(renamed) - len, "%.*s", is ? 99 : 1,
                                is ? to : at);
        at += is ? strlen(from) : 1;
        assert_true(len < sizeof(renamed));
    }
    free(text);
    test_app_save(app, path, renamed);
}

static void the_door_does_what_its_readme_says(void **state)
{
    struct test_app *app = *state;
    struct test_client pusher, other;
    const char *const files[] = {"app.c", "door.h", "door.c", "knob.c"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        copy(app, files[i]);
    test_app_start_live(app, "dev");
    test_client_open(&pusher, app->port);
    test_client_open(&other, app->port);
    await_ps(app, "state LOCKED");
    test_client_ask(&pusher, "/push");
    await_ps(app, "call door");
    /* States in another order: who waits goes on waiting. */
    test_app_edit(app, "src/door.c", "enum { LOCKED, SHUT, OPEN };",
                  "enum { OPEN, LOCKED, SHUT };");
    test_app_await(app, "door@1 -> 2");
    await_ps(app, "state LOCKED");
    assert_string_equal(test_client_get(&other, "/unlock"), "unlocked\n");
    assert_string_equal(test_client_answer(&pusher), "opened, 1 so far\n");
    await_ps(app, "state OPEN");
    /* A second one waits until it falls shut, and is let in then. */
    test_app_edit(app, "src/door.c", "molt_state_timeout(5000)", "molt_state_timeout(1)");
    test_app_await(app, "door@2 -> 3");
    assert_string_equal(test_client_get(&other, "/push"), "opened, 2 so far\n");
    await_ps(app, "state SHUT");
    /* A state that is called otherwise is another one. */
    rename_all(app, "src/door.c", "SHUT", "CLOSED");
    (void)test_app_await(app, "'door' is in state SHUT, which server 'door' would no longer have");
    assert_string_equal(test_client_get(&other, "/lock"), "locked\n");
    await_ps(app, "state LOCKED");
    rename_all(app, "src/door.c", "CLOSED", "CLOSED "); /* saved again */
    (void)test_app_await(app, "door@3 -> ");
    await_ps(app, "state LOCKED");
    test_client_close(&pusher);
    test_client_close(&other);
    assert_int_equal(test_app_stop(app), 0);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_door_does_what_its_readme_says)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
