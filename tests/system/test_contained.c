/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A crash of module code that holds no lock ends its process, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system/app.h"

/* Take in a line that holds each of @texts (NULL ends), in that order. */
static void await_line(struct test_app *app, const char *const *texts)
{
    const char *at = test_app_await(app, texts[0]);
    for (; *texts; texts++) {
        const char *found = strstr(at, *texts);
        if (!found)
            fail_msg("'%s' is not in: %s", *texts, at);
        at = found + strlen(*texts);
    }
}

static void the_process_ends_alone_and_its_supervisor_starts_it_again(void **state)
{
    struct test_app *app = *state;
    struct test_client caller, other;
    pid_t host = test_app_host(app);
    test_client_open(&other, app->port);
    test_client_open(&caller, app->port);
    assert_string_equal(test_client_get(&other, "/count"), "1\n");
    test_app_edit(app, "src/counter.c", "static int on_next(",
                  "static long peek(const volatile long *at)\n"
                  "{\n"
                  "    return *at;\n"
                  "}\n"
                  "\n"
                  "static int on_next(");
    test_app_edit(app, "src/counter.c", "t->n = c->n +=",
                  "if (c->n == 3)\n"
                  "        c->n = peek(NULL);\n"
                  "    t->n = c->n +=");
    test_app_await(app, "counter@");
    while (strcmp(test_client_get(&other, "/count"), "3\n") != 0)
        assert_int_equal(other.status, 200);
    test_client_ask(&caller, "/count");
    await_line(app, (const char *[]){"error: process", "'counter' crashed and was ended: SIGSEGV",
                                     "bad address", "address 0x0", " in counter@",
                                     "peek() src/counter.c:", NULL});
    await_line(app, (const char *[]){"called from counter@", ", on_next() src/counter.c:", NULL});
    await_line(app, (const char *[]){"in its callback for call struct next", NULL});
    await_line(app, (const char *[]){"lost: its state (struct counter)", NULL});
    await_line(app, (const char *[]){"supervisor 'app': child 'counter' ended", "crashed", NULL});
    /* The caller was told, and is alive: it answered. */
    test_client_answer(&caller);
    assert_int_equal(caller.status, 500);
    assert_string_equal(test_client_get(&caller, "/count"), "1\n");
    assert_string_equal(test_client_get(&other, "/count"), "2\n");
    assert_int_equal(test_app_host(app), host);
    test_client_close(&caller);
    test_client_close(&other);
}

/* What a client talks to is a process, too. */
static void a_crash_in_a_handler_costs_its_own_connection_only(void **state)
{
    struct test_app *app = *state;
    struct test_client other;
    pid_t host = test_app_host(app);
    /* Used: else clang leaves them out until they are, and nothing has changed. */
    test_app_edit(app, "src/hello.c", "static int hello(",
                  "static int dig(volatile int *n)\n"
                  "{\n"
                  "    volatile int here = *n + 1;\n"
                  "    return dig(&here) + here;\n"
                  "}\n"
                  "__attribute__((used)) static int overflow(struct molt_http *r)\n"
                  "{\n"
                  "    volatile int n = 0;\n"
                  "    return molt_http_printf(r, 200, \"%d\", dig(&n));\n"
                  "}\n"
                  "__attribute__((used)) static int trap(struct molt_http *r)\n"
                  "{\n"
                  "    (void)r;\n"
                  "    __builtin_trap();\n"
                  "}\n"
                  "static int hello(");
    test_app_await(app, "hello@1 -> 2");
    test_app_edit(app, "src/hello.c", "MOLT_ROUTES(",
                  "MOLT_ROUTES({\"GET\", \"/overflow\", overflow}, {\"GET\", \"/trap\", trap}, ");
    test_app_await(app, "hello@2 -> 3");
    test_client_open(&other, app->port);
    assert_string_equal(test_client_get(&other, "/"), "Hello\n");
    static const struct {
        const char *path, *first, *next;
    } cases[] = {
        {"/trap", "trap() src/hello.c:", "called from http@"},
        {"/overflow", "dig() src/hello.c:", "dig() src/hello.c:10, "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct test_client client;
        test_client_open(&client, app->port);
        test_client_ask(&client, cases[i].path);
        await_line(app, (const char *[]){"crashed and was ended: SIG", " in hello@3, ",
                                         cases[i].first, NULL});
        test_app_await(app, cases[i].next);
        test_app_await(app, "the host and all others go on");
        test_client_close(&client);
        assert_string_equal(test_client_get(&other, "/"), "Hello\n");
    }
    assert_int_equal(test_app_host(app), host);
    test_client_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_ends_alone_and_its_supervisor_starts_it_again),
        cmocka_unit_test(a_crash_in_a_handler_costs_its_own_connection_only),
    };
    return cmocka_run_group_tests_name("a crash of a process", tests, test_app_setup,
                                       test_app_teardown);
}
