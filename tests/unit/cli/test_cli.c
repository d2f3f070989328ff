/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/report.h"

static int run(const struct molt_cli_args *args)
{
    (void)args;
    return 0;
}

static const struct molt_command sample = {.name = "sample",
                                           .args = "NAME [OTHER]",
                                           .help = "a sample",
                                           .min_args = 1,
                                           .max_args = 2,
                                           .options = {{"json", NULL, "as JSON"},
                                                       {"timeout", "MS", "how long"}},
                                           .run = run};

static int parse(struct molt_cli_args *args, struct molt_error *err, int argc, ...)
{
    char *argv[8];
    va_list ap;
    va_start(ap, argc);
    for (int i = 0; i < argc; i++)
        argv[i] = va_arg(ap, char *);
    va_end(ap);
    *err = (struct molt_error){0};
    return molt_cli_args_parse(&sample, argc, argv, args, err);
}

static void options_and_arguments_mix_in_any_order(void **state)
{
    (void)state;
    struct molt_cli_args args;
    struct molt_error err;
    unsigned long n;
    assert_int_equal(parse(&args, &err, 5, "--timeout", "5", "a", "--json", "b"), 0);
    assert_int_equal(args.n_args, 2);
    assert_string_equal(args.args[0], "a");
    assert_string_equal(args.args[1], "b");
    assert_true(molt_cli_args_has(&args, "json"));
    assert_int_equal(molt_cli_args_number(&args, "timeout", 0, 10, 7, &n, &err), 0);
    assert_int_equal(n, 5);
    assert_int_equal(parse(&args, &err, 2, "--timeout=6", "a"), 0);
    assert_string_equal(molt_cli_args_value(&args, "timeout"), "6");
    assert_false(molt_cli_args_has(&args, "json"));
    assert_int_equal(parse(&args, &err, 1, "a"), 0);
    assert_int_equal(molt_cli_args_number(&args, "timeout", 0, 10, 7, &n, &err), 0);
    assert_int_equal(n, 7);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    struct molt_cli_args args;
    struct molt_error err;
    assert_int_equal(parse(&args, &err, 3, "--", "--json", "-"), 0);
    assert_int_equal(args.n_args, 2);
    assert_string_equal(args.args[0], "--json");
    assert_false(molt_cli_args_has(&args, "json"));
}

static void wrong_command_lines_say_what_is_wrong(void **state)
{
    (void)state;
    struct molt_cli_args args;
    struct molt_error err;
    assert_int_equal(parse(&args, &err, 2, "a", "--frob"), MOLT_EINVAL);
    assert_string_equal(err.text, "unknown option --frob");
    assert_int_equal(parse(&args, &err, 2, "a", "-x"), MOLT_EINVAL);
    assert_int_equal(parse(&args, &err, 2, "a", "--json=1"), MOLT_EINVAL);
    assert_int_equal(parse(&args, &err, 2, "a", "--timeout"), MOLT_EINVAL);
    assert_string_equal(err.text, "--timeout needs a value: MS");
    assert_int_equal(parse(&args, &err, 3, "a", "--json", "--json"), MOLT_EINVAL);
    assert_int_equal(parse(&args, &err, 3, "a", "b", "c"), MOLT_EINVAL);
    assert_string_equal(err.text, "unexpected argument c");
    assert_int_equal(parse(&args, &err, 0), MOLT_EINVAL);
    assert_string_equal(err.text, "NAME [OTHER] is missing");
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "-1", "5x", "11", "99999999999999999999999"};
    struct molt_cli_args args;
    struct molt_error err;
    unsigned long n = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(&args, &err, 3, "a", "--timeout", bad[i]), 0);
        assert_int_equal(molt_cli_args_number(&args, "timeout", 0, 10, 7, &n, &err), MOLT_EINVAL);
        assert_int_equal(n, 1);
    }
}

static void help_needs_no_arguments(void **state)
{
    (void)state;
    struct molt_cli_args args;
    struct molt_error err;
    assert_int_equal(parse(&args, &err, 1, "--help"), 0);
    assert_true(args.is_help);
    assert_int_equal(parse(&args, &err, 1, "-h"), 0);
    assert_true(args.is_help);
}

static void every_command_is_found_and_explained(void **state)
{
    (void)state;
    size_t n;
    const struct molt_command *const *list = molt_command_list(&n);
    assert_true(n >= 13);
    for (size_t i = 0; i < n; i++) {
        struct molt_buf help = MOLT_BUF_INIT;
        assert_ptr_equal(molt_command_find(list[i]->name), list[i]);
        assert_non_null(list[i]->run);
        assert_true(list[i]->max_args <= MOLT_ARGS_MAX);
        assert_true(list[i]->min_args <= list[i]->max_args);
        molt_command_print_help(list[i], &help);
        assert_non_null(strstr(help.data, list[i]->help));
        assert_non_null(strstr(help.data, "--help"));
        molt_buf_fini(&help);
    }
    assert_null(molt_command_find("frobnicate"));
}

static void a_misspelt_command_gets_a_guess(void **state)
{
    (void)state;
    assert_string_equal(molt_command_guess("statsu"), "status");
    assert_string_equal(molt_command_guess("biuld"), "build");
    assert_null(molt_command_guess("frobnicate"));
}

static void responses_are_read_whole_or_not_yet(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 409 Conflict\r\nX: y\r\ncontent-length: 4\r\n\r\nbody";
    unsigned status;
    const char *body;
    size_t len;
    for (size_t n = 0; n < strlen(text); n++)
        assert_int_equal(molt_client_parse(text, n, &status, &body, &len), 0);
    assert_int_equal(molt_client_parse(text, strlen(text), &status, &body, &len), 1);
    assert_int_equal(status, 409);
    assert_int_equal(len, 4);
    assert_memory_equal(body, "body", 4);
}

static void malformed_responses_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    };
    unsigned status;
    const char *body;
    size_t len;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(molt_client_parse(bad[i], strlen(bad[i]), &status, &body, &len),
                         MOLT_EFORMAT);
}

static char *report(struct molt_upgrade_record *u, const struct molt_build_result *built)
{
    struct molt_buf out = MOLT_BUF_INIT;
    molt_report_upgrade(u, built, 96400000, &out);
    return molt_buf_take(&out);
}

static void an_upgrade_is_one_line(void **state)
{
    (void)state;
    char hello[] = "hello", counter[] = "counter";
    struct molt_change_record changes[] = {{hello, 1, 2}, {counter, 0, 1}, {counter, 3, 0}};
    struct molt_upgrade_record u = {.n_changes = 1,
                                    .changes = changes,
                                    .check_ns = 1500000,
                                    .switch_ns = 400000,
                                    .n_processes = 1};
    struct molt_build_result built = {.compile_ns = 81000000,
                                      .link_ns = 6000000,
                                      .read_ns = 500000};
    char *line = report(&u, &built);
    assert_string_equal(line, "hello@1 -> 2   live in 96 ms (compile 81, link 6, check 2, "
                              "switch 0.4)   1 process moved");
    free(line);
    u.n_changes = 3;
    u.n_processes = 0;
    u.wait_ns = 7000000;
    line = report(&u, NULL);
    assert_string_equal(line, "hello@1 -> 2, counter@1 added, counter@3 deleted   live in 96 ms "
                              "(check 2, wait 7, switch 0.4)");
    free(line);
}

static void a_build_failure_lists_errors_with_their_places(void **state)
{
    (void)state;
    char file[] = "/p/src/a.c", message[] = "expected ';'", warning[] = "unused",
         output[] = "ld: x\n";
    struct molt_diagnostic list[] = {{file, 3, 5, true, message}, {file, 4, 0, false, warning}};
    struct molt_build_result built = {.code = MOLT_ECOMPILE,
                                      .n_diagnostics = 2,
                                      .diagnostics = list,
                                      .output = output};
    struct molt_buf out = MOLT_BUF_INIT;
    molt_report_build_failure(&built, "/p", &out);
    assert_string_equal(out.data,
                        "compile error, nothing changed\nsrc/a.c:3:5: error: expected ';'");
    molt_buf_fini(&out);
    molt_report_warnings(&built, "/p", &out);
    molt_buf_adds(&out, "");
    assert_memory_equal(out.data, "src/a.c:4: warning: unused", 26);
    molt_buf_fini(&out);
    built = (struct molt_build_result){.code = MOLT_ELINK, .output = output};
    molt_report_build_failure(&built, "/p", &out);
    assert_string_equal(out.data, "link error, nothing changed\nld: x");
    molt_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_mix_in_any_order),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(wrong_command_lines_say_what_is_wrong),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(help_needs_no_arguments),
        cmocka_unit_test(every_command_is_found_and_explained),
        cmocka_unit_test(a_misspelt_command_gets_a_guess),
        cmocka_unit_test(responses_are_read_whole_or_not_yet),
        cmocka_unit_test(malformed_responses_are_refused),
        cmocka_unit_test(an_upgrade_is_one_line),
        cmocka_unit_test(a_build_failure_lists_errors_with_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
