/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tool/bench.h"
#include "tool/stats.h"
#include "tool/talk.h"

static void quantiles_are_interpolated(void **state)
{
    (void)state;
    struct molt_bench_series s = {0};
    assert_true(molt_bench_median(&s) == 0);
    const double values[] = {5, 1, 4, 2, 3};
    for (int i = 0; i < 5; i++)
        molt_bench_add(&s, values[i]);
    assert_true(molt_bench_median(&s) == 3);
    assert_true(molt_bench_quantile(&s, 0.25) == 2);
    assert_true(molt_bench_quantile(&s, 1) == 5);
    molt_bench_add(&s, 6);
    assert_true(molt_bench_median(&s) == 3.5);
    molt_bench_series_fini(&s);
}

static void both_ways_of_saving_leave_the_text(void **state)
{
    (void)state;
    struct stat first, second;
    char *path = molt_bench_text("%s/a/b.c", molt_bench_folder());
    char *dir = molt_bench_text("%s/a", molt_bench_folder());
    molt_bench_mkdir(dir);
    uint64_t before = molt_clock_ns();
    assert_true(molt_bench_write(path, "one two") >= before);
    stat(path, &first);
    char *old = molt_bench_read(path), *text = molt_bench_replace(old, "two", "three");
    molt_bench_rename(path, text);
    stat(path, &second);
    free(old);
    old = molt_bench_read(path);
    assert_string_equal(old, "one three");
    assert_true(first.st_ino != second.st_ino); /* another file under the name */
    free(old);
    free(text);
    free(path);
    free(dir);
}

static void copies_leave_out_what_builds_made(void **state)
{
    (void)state;
    const char *folder = molt_bench_folder();
    char *made = molt_bench_text("%s/p/.molt", folder), *from = molt_bench_text("%s/p", folder);
    char *file = molt_bench_text("%s/p/src.c", folder), *to = molt_bench_text("%s/q", folder);
    char *copied = molt_bench_text("%s/q/src.c", folder);
    char *left_out = molt_bench_text("%s/q/.molt", folder);
    molt_bench_mkdir(made);
    molt_bench_write(file, "int x;\n");
    molt_bench_copy(from, to);
    assert_int_equal(access(copied, R_OK), 0);
    assert_int_not_equal(access(left_out, F_OK), 0);
    free(made);
    free(from);
    free(file);
    free(to);
    free(copied);
    free(left_out);
}

static void child_that_ignores_sigterm_is_killed(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "trap '' TERM; echo ready; while :; do read x; done", NULL};
    char line[8];
    struct molt_bench_child child = molt_bench_start(argv, NULL, NULL, MOLT_BENCH_PIPES);
    assert_int_equal(read(child.out, line, 6), 6);
    assert_false(molt_bench_stop(&child, 50));
    assert_int_equal(child.pid, 0);
}

static void program_that_is_missing_ends_with_127(void **state)
{
    (void)state;
    const char *argv[] = {"no-such-program", NULL};
    assert_int_equal(molt_bench_run(argv, NULL, NULL), 127);
    assert_false(molt_bench_has_program("no-such-program"));
    assert_true(molt_bench_has_program("sh"));
}

/* A server in a child that answers each connection's one request with @answer,
 * a few bytes at a time, then closes. */
static pid_t serve(const char *path, const char *answer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    pid_t pid = fork();
    if (pid > 0) {
        close(fd);
        return pid;
    }
    char request[1024];
    int conn = accept(fd, NULL, NULL);
    if (read(conn, request, sizeof(request)) <= 0)
        _exit(1);
    for (size_t at = 0; at < strlen(answer); at += 5)
        (void)!write(conn, answer + at, strlen(answer + at) < 5 ? strlen(answer + at) : 5);
    _exit(0);
}

static int ask(const char *name, const char *answer, char **ret_body)
{
    char *path = molt_bench_text("%s/%s", molt_bench_folder(), name);
    pid_t pid = serve(path, answer);
    struct molt_bench_talk talk = molt_bench_talk_unix(path, 5000);
    int status = molt_bench_talk(&talk, "GET", "/", NULL, ret_body);
    molt_bench_talk_close(&talk);
    waitpid(pid, NULL, 0);
    free(path);
    return status;
}

static void answers_come_whole_in_pieces(void **state)
{
    (void)state;
    char *body = NULL;
    assert_int_equal(ask("l", "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world", &body),
                     200);
    assert_string_equal(body, "hello world");
    free(body);
    assert_int_equal(ask("c",
                         "HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
                         &body),
                     201);
    assert_string_equal(body, "hello world");
    free(body);
}

static void answer_cut_short_is_none(void **state)
{
    (void)state;
    assert_int_equal(ask("s", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello", NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_interpolated),
        cmocka_unit_test(both_ways_of_saving_leave_the_text),
        cmocka_unit_test(copies_leave_out_what_builds_made),
        cmocka_unit_test(child_that_ignores_sigterm_is_killed),
        cmocka_unit_test(program_that_is_missing_ends_with_127),
        cmocka_unit_test(answers_come_whole_in_pieces),
        cmocka_unit_test(answer_cut_short_is_none),
    };
    molt_bench_init("test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
