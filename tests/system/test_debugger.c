/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Debuggers and profilers see swapped code with names, files and lines, as they
 * stand on disk. Skipped where tracing another process is not allowed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/app.h"

/* What @command prints, the caller's to free. */
static char *output_of(const char *command)
{
    char *text = NULL;
    size_t size = 0;
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    ssize_t n = getdelim(&text, &size, '\0', pipe);
    int status = pclose(pipe);
    if (n < 0) {
        free(text);
        text = strdup("");
    }
    if (status != 0)
        print_message("%s: status %d\n", command, status);
    return text;
}

/* The second swap moves lines, and renames and changes the function. */
static void swap_twice(struct test_app *app)
{
    test_app_edit(app, "src/hello.c", "\"Hello\\n\"", "\"Hello %ld\\n\", VERSION(1)");
    test_app_await(app, "error, nothing changed");
    test_app_edit(app, "src/hello.c", "static int hello(",
                  "#define VERSION first_version\n"
                  "static long VERSION(long n)\n{\n    return n + 1;\n}\n"
                  "static int hello(");
    test_app_await(app, "hello@1 -> 2");
    test_app_edit(app, "src/hello.c",
                  "#define VERSION first_version\n"
                  "static long VERSION(long n)\n{\n    return n + 1;",
                  "#define VERSION second_version\n\n\n"
                  "static long VERSION(long n)\n{\n    return n + 2;");
    test_app_await(app, "hello@2 -> 3");
    test_app_await(app, "hello@2 unloaded");
}

static void gdb_shows_the_current_version_with_its_lines(void **state)
{
    struct test_app *app = *state;
    char command[512];
    swap_twice(app);
    snprintf(command, sizeof(command),
             "gdb -nx -batch -iex 'set auto-load no' -iex 'set debuginfod enabled off' -p %d "
             "-ex 'info functions _version' -ex 'break second_version' -ex 'info breakpoints' 2>&1",
             (int)test_app_host(app));
    char *text = output_of(command);
    if (strstr(text, "gdb: not found") || strstr(text, "ptrace: Operation not permitted") ||
        strstr(text, "Could not attach")) {
        print_message("no gdb, or it may not attach: %s\n", text);
        free(text);
        skip();
    }
    if (!strstr(text, "second_version(long)") || strstr(text, "first_version") ||
        !strstr(text, "hello.c:12"))
        fail_msg("gdb said: %s", text);
    free(text);
}

static void the_app_goes_on_after_the_debugger(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/"), "Hello 3\n");
    test_app_edit(app, "src/hello.c", "n + 2", "n + 9");
    test_app_await(app, "hello@3 -> 4");
    assert_string_equal(test_client_get(&client, "/"), "Hello 10\n");
    test_client_close(&client);
}

static void perf_names_the_current_version(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    char command[1400];
    test_app_edit(app, "src/hello.c", "return n + 9;",
                  "volatile long sum = 0;\n"
                  "    for (long i = 0; i < 50000000; i++)\n        sum += i;\n    return n + 3;");
    test_app_await(app, "hello@4 -> 5");
    test_client_open(&client, app->port);
    snprintf(command, sizeof(command),
             "perf record -q -e cpu-clock -o '%s/perf.data' -p %d -- sleep 1 2>&1 && perf report "
             "-q --stdio -i '%s/perf.data' 2>/dev/null",
             app->folder, (int)test_app_host(app), app->folder);
    for (int i = 0; i < 8; i++)
        test_client_ask(&client, "/"); /* work for as long as perf looks */
    char *text = output_of(command);
    bool is_sampled = strstr(text, ".so") != NULL || strstr(text, "molt-host") != NULL;
    if (!is_sampled) {
        print_message("perf can't sample here: %s\n", text);
        free(text);
        test_client_close(&client);
        skip();
    }
    if (!strstr(text, "second_version"))
        fail_msg("perf said: %s", text);
    free(text);
    test_client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gdb_shows_the_current_version_with_its_lines),
        cmocka_unit_test(the_app_goes_on_after_the_debugger),
        cmocka_unit_test(perf_names_the_current_version),
    };
    return cmocka_run_group_tests_name("debuggers", tests, test_app_setup, test_app_teardown);
}
