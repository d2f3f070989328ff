/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Answers: routes, the handlers' interface, what goes wrong in handlers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/http/fake_molt.h"
#include "unit/http/support.h"

static int setup(void **state)
{
    (void)state;
    molt_http_support_setup();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    molt_fake_reset();
    return 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define PLAIN "Content-Type: text/plain; charset=utf-8\r\n"

static int ask(const char *request)
{
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, request);
    return fd;
}

static bool has(int fd, const char *text)
{
    return strstr(molt_fake_received(fd, NULL), text) != NULL;
}

static void an_exact_path_goes_before_a_prefix_and_a_method_before_any(void **state)
{
    (void)state;
    assert_true(has(ask(GET("/users/me")), "\r\n\r\nHello\n"));
    assert_true(has(ask(GET("/users/you")), "GET /users/you"));
    assert_true(has(ask(GET("/any")), "GET /any"));
    assert_true(has(ask("PATCH /anything HTTP/1.1\r\nHost: h\r\n\r\n"), "PATCH /anything"));
    assert_int_equal(molt_http_support_status(ask(GET("/users"))), 404);
    assert_int_equal(molt_http_support_status(ask(GET("/Users/me"))), 404);
}

static int no_call(struct molt_http *r)
{
    (void)r;
    fail();
    return 0;
}

static void a_known_path_with_another_method_gets_405_and_the_methods(void **state)
{
    (void)state;
    int fd = ask(GET("/echo"));
    assert_int_equal(molt_http_support_status(fd), 405);
    assert_true(has(fd, "\r\nAllow: POST, PUT\r\n"));
    assert_true(molt_fake_is_open(fd));
    fd = ask("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(has(fd, "\r\nAllow: GET, HEAD\r\n"));
    static const struct molt_route again[] = {{"GET", "/", no_call},
                                              {"HEAD", "/", no_call},
                                              {"PUT", "/", no_call},
                                              {NULL, NULL, NULL}};
    molt_fake_routes(again);
    fd = ask("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(has(fd, "\r\nAllow: GET, HEAD, PUT\r\n"));
}

static int greet(struct molt_http *r)
{
    return molt_http_printf(r, 200, "from another table\n");
}

static void routes_are_found_at_each_request_in_all_tables(void **state)
{
    static const struct molt_route more[] = {{"GET", "/more", greet}, {NULL, NULL, NULL}};
    (void)state;
    int fd = ask(GET("/more"));
    assert_int_equal(molt_http_support_status(fd), 404);
    molt_fake_routes(more); /* the next world */
    molt_fake_send_text(fd, GET("/more"));
    assert_true(has(fd, "from another table"));
}

static void head_is_answered_like_get_without_the_body(void **state)
{
    (void)state;
    int fd = ask("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" GET("/"));
    const char *head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n" PLAIN "\r\n";
    char both[512];
    snprintf(both, sizeof(both), "%s%sHello\n", head, head);
    assert_true(molt_http_support_got(fd, both));
    fd = ask("HEAD /missing HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(
        molt_http_support_got(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n" PLAIN "\r\n"));
}

static void a_failing_handler_gives_500_and_its_reason_goes_to_the_log_alone(void **state)
{
    (void)state;
    int fd = ask(GET("/fail") GET("/"));
    assert_int_equal(molt_http_support_count(fd), 2);
    assert_true(has(fd, "HTTP/1.1 500 Internal Server Error\r\n"));
    assert_false(has(fd, "MOLT_EDEAD"));
    assert_false(has(fd, "X-Secret"));
    assert_false(has(fd, "never seen"));
    assert_non_null(strstr(molt_fake_log(), "GET /fail failed with MOLT_EDEAD"));
    assert_true(molt_fake_is_open(fd));
}

static unsigned count_lines(const char *text)
{
    unsigned n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void a_handler_that_fails_all_the_time_does_not_flood_the_log(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    for (int i = 0; i < 100; i++)
        molt_fake_send_text(fd, GET("/fail"));
    assert_int_equal(molt_http_support_count(fd), 100);
    assert_int_equal(count_lines(molt_fake_log()), 1);
    molt_fake_advance(1000);
    molt_fake_send_text(fd, GET("/fail") GET("/fail"));
    assert_int_equal(count_lines(molt_fake_log()), 2);
}

static void a_handler_without_an_answer_gives_500(void **state)
{
    (void)state;
    int fd = ask(GET("/silent"));
    assert_int_equal(molt_http_support_status(fd), 500);
    assert_non_null(strstr(molt_fake_log(), "/silent returned without an answer"));
}

static void a_handler_that_is_being_ended_gives_503_and_closes(void **state)
{
    (void)state;
    int fd = ask(GET("/killed"));
    assert_int_equal(molt_http_support_status(fd), 503);
    assert_false(molt_fake_is_open(fd));
}

static int check_interface(struct molt_http *r)
{
    assert_int_equal(molt_http_add_header(r, "X-A", "one"), 0);
    assert_int_equal(molt_http_add_header(r, "X-B", "two\twords"), 0);
    assert_int_equal(molt_http_add_header(r, "X-C", "a\r\nSet-Cookie: x"), MOLT_EINVAL);
    assert_int_equal(molt_http_add_header(r, "X-C", "a\nb"), MOLT_EINVAL);
    assert_int_equal(molt_http_add_header(r, "X C", "a"), MOLT_EINVAL);
    assert_int_equal(molt_http_add_header(r, "", "a"), MOLT_EINVAL);
    assert_int_equal(molt_http_add_header(r, "X\r\n", "a"), MOLT_EINVAL);
    assert_int_equal(molt_http_add_header(r, "Content-Length", "5"), MOLT_EINVAL);
    assert_int_equal(molt_http_add_header(r, "transfer-encoding", "chunked"), MOLT_EINVAL);
    assert_int_equal(molt_http_add_header(r, "Connection", "upgrade"), MOLT_EINVAL);
    assert_int_equal(molt_http_reply(r, 100, NULL, "x", 1), MOLT_EINVAL);
    assert_int_equal(molt_http_reply(r, 1000, NULL, "x", 1), MOLT_EINVAL);
    assert_int_equal(molt_http_reply(r, 200, "a\r\nb", "x", 1), MOLT_EINVAL);
    assert_int_equal(molt_http_reply(r, 200, NULL, NULL, 1), MOLT_EINVAL);
    assert_null(molt_http_header(r, "absent"));
    assert_string_equal(molt_http_header(r, "hOST"), "h");
    assert_int_equal(molt_http_reply(r, 201, "a/b", "x\0y", 3), 0);
    assert_int_equal(molt_http_reply(r, 200, NULL, "x", 1), MOLT_EINVAL);
    assert_int_equal(molt_http_printf(r, 200, "x"), MOLT_EINVAL);
    assert_int_equal(molt_http_add_header(r, "X-D", "late"), MOLT_EINVAL);
    return 0;
}

static void the_interface_refuses_what_would_break_an_answer(void **state)
{
    static const struct molt_route table[] = {{"GET", "/check", check_interface},
                                              {NULL, NULL, NULL}};
    (void)state;
    molt_fake_routes(table);
    int fd = ask(GET("/check") GET("/"));
    size_t len;
    const char *got = molt_fake_received(fd, &len);
    char *head = molt_http_support_answers(fd);
    const char *expected = "HTTP/1.1 201 Created\r\nContent-Length: 3\r\nContent-Type: a/b\r\n"
                           "X-A: one\r\nX-B: two\twords\r\n\r\nx";
    assert_memory_equal(head, expected, strlen(expected));
    static const char behind[] = "\r\n\r\nx\0yHTTP/1.1 200 OK";
    assert_non_null(memmem(got, len, behind, sizeof(behind) - 1));
    free(head);
}

static int no_content(struct molt_http *r)
{
    return molt_http_reply(r, 204, NULL, "ignored", 7);
}

static int closing(struct molt_http *r)
{
    molt_http_add_header(r, "Connection", "close");
    return molt_http_reply(r, 299, NULL, "x", 1);
}

static void answers_without_body_and_closing_answers_are_framed_rightly(void **state)
{
    static const struct molt_route table[] = {{"GET", "/204", no_content},
                                              {"GET", "/close", closing},
                                              {NULL, NULL, NULL}};
    (void)state;
    molt_fake_routes(table);
    int fd = ask(GET("/204") GET("/204") GET("/close"));
    assert_true(molt_http_support_got(fd, "HTTP/1.1 204 No Content\r\n\r\n"
                                          "HTTP/1.1 204 No Content\r\n\r\n"
                                          "HTTP/1.1 299 Status\r\nContent-Length: 1\r\n"
                                          "Connection: close\r\n\r\nx"));
    assert_false(molt_fake_is_open(fd));
}

static int long_text(struct molt_http *r)
{
    return molt_http_printf(r, 200, "%05000d|%s", 7, molt_http_path(r));
}

static void long_formatted_answers_are_whole(void **state)
{
    static const struct molt_route table[] = {{"GET", "/long", long_text}, {NULL, NULL, NULL}};
    (void)state;
    molt_fake_routes(table);
    int fd = ask(GET("/long"));
    assert_true(has(fd, "Content-Length: 5006\r\n"));
    assert_true(has(fd, "0007|/long"));
    assert_true(molt_http_support_is_well_formed(fd));
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
}

/* Whatever allocation fails: a whole answer, or a closed connection. */
static void without_memory_an_answer_is_whole_or_the_connection_closes(void **state)
{
    unsigned n_failed = 0;
    for (unsigned nth = 1; nth < 12; nth++) {
        setup(state);
        int fd = molt_fake_connect();
        molt_fake_fail_alloc(nth);
        molt_fake_send_text(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
        if (molt_fake_is_open(fd))
            molt_fake_send_text(fd, "cde" GET("/big?100000"));
        assert_true(molt_http_support_is_well_formed(fd));
        molt_fake_fail_alloc(0);
        bool is_all = molt_http_support_count(fd) == 2 && molt_http_support_status(fd) == 200;
        n_failed += !is_all;
        if (!is_all && molt_fake_is_open(fd)) {
            /* 500: the handler was told, and said so */
            int status = molt_http_support_status(fd);
            assert_true(status == 503 || status == 500);
        }
    }
    assert_true(n_failed >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(an_exact_path_goes_before_a_prefix_and_a_method_before_any),
        T(a_known_path_with_another_method_gets_405_and_the_methods),
        T(routes_are_found_at_each_request_in_all_tables),
        T(head_is_answered_like_get_without_the_body),
        T(a_failing_handler_gives_500_and_its_reason_goes_to_the_log_alone),
        T(a_handler_that_fails_all_the_time_does_not_flood_the_log),
        T(a_handler_without_an_answer_gives_500),
        T(a_handler_that_is_being_ended_gives_503_and_closes),
        T(the_interface_refuses_what_would_break_an_answer),
        T(answers_without_body_and_closing_answers_are_framed_rightly),
        T(long_formatted_answers_are_whole),
        T(without_memory_an_answer_is_whole_or_the_connection_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
