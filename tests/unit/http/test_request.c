/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Requests as they come in: framing, splits, refusals. */
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

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n" PLAIN "\r\nHello\n"
#define PLAIN "Content-Type: text/plain; charset=utf-8\r\n"
#define H "Host: h\r\n"
#define GET "GET / HTTP/1.1\r\n" H "\r\n"

static int status_of(const char *request)
{
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, request);
    return molt_http_support_status(fd);
}

static void a_request_takes_one_write_and_no_more_than_two_reads(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    unsigned reads = molt_fake_reads(fd);
    molt_fake_send_text(fd, GET);
    assert_true(molt_http_support_got(fd, HELLO));
    assert_true(molt_fake_reads(fd) - reads <= 2); /* the second finds nothing */
    assert_int_equal(molt_fake_writes(fd), 1);
    assert_true(molt_fake_is_open(fd));
    assert_non_null(strstr(molt_fake_received(fd, NULL), "\r\nDate: "));
}

static void pipelined_requests_are_answered_in_order_with_one_write(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, "POST /echo?1 HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nab"
                            "POST /echo?2 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
                            "1\r\nc\r\n2\r\nde\r\n0\r\n\r\n" GET);
    assert_int_equal(molt_http_support_count(fd), 3);
    assert_non_null(strstr(molt_fake_received(fd, NULL), "POST /echo ?1 x=(none) [ab]HTTP"));
    assert_non_null(strstr(molt_fake_received(fd, NULL), "POST /echo ?2 x=(none) [cde]HTTP"));
    assert_int_equal(molt_fake_writes(fd), 1);
}

/* A run of requests with everything in it, cut in two at every byte, and sent
 * byte by byte: always the same answers. */
static const char long_run[] =
    "\r\n" GET "POST /echo?q=1&r=2 HTTP/1.1\r\n" H "X:  padded value \t\r\nContent-Length: 11\r\n"
    "\r\nhello\r\nbody"
    "POST /echo HTTP/1.1\r\nhOsT: h\r\nX:\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "5;ext=1\r\nabcde\r\n0a\r\n0123456789\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n"
    "GET http://h:80/users/absolute?a#b HTTP/1.1\r\n" H "\r\n"
    "\r\n\r\nPUT /echo HTTP/1.1\r\n" H "Upgrade: x\r\nConnection: Upgrade\r\nContent-Length: 3"
    "\r\n\r\nxyz"
    "DELETE /any HTTP/1.1\r\n" H "\r\n"
    "GET /missing HTTP/1.1\r\n" H "\r\n"
    "GET /users/me HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n";

static char *answers_cut_at(size_t at, size_t piece)
{
    int fd = molt_fake_connect();
    molt_fake_pieces(fd, piece);
    molt_fake_send(fd, long_run, at);
    molt_fake_send(fd, long_run + at, sizeof(long_run) - 1 - at);
    char *got = molt_http_support_answers(fd);
    assert_false(molt_fake_is_open(fd));
    return got;
}

static void requests_split_at_every_byte_get_the_same_answers(void **state)
{
    char *whole = answers_cut_at(0, SIZE_MAX);
    assert_non_null(strstr(whole, "POST /echo ?q=1&r=2 x=padded value [hello\r\nbody]"));
    assert_non_null(strstr(whole, "POST /echo ? x= [abcde0123456789!]"));
    assert_non_null(strstr(whole, "GET /users/absolute ?a x=(none) []"));
    assert_non_null(strstr(whole, "PUT /echo ? x=(none) [xyz]"));
    assert_non_null(strstr(whole, "DELETE /any ? x=(none) []"));
    assert_non_null(strstr(whole, "404 Not Found"));
    assert_non_null(strstr(whole, "Connection: keep-alive"));
    assert_non_null(strstr(whole, "Connection: close"));
    for (size_t at = 1; at < sizeof(long_run) - 1; at++) {
        setup(state);
        char *got = answers_cut_at(at, SIZE_MAX);
        assert_string_equal(got, whole);
        free(got);
    }
    for (size_t piece = 1; piece < 9; piece++) {
        setup(state);
        char *got = answers_cut_at(0, piece);
        assert_string_equal(got, whole);
        free(got);
    }
    free(whole);
}

static void each_byte_in_an_event_of_its_own_gets_the_same_answers(void **state)
{
    (void)state;
    char *whole = answers_cut_at(0, SIZE_MAX);
    int fd = molt_fake_connect();
    for (size_t i = 0; i < sizeof(long_run) - 1; i++)
        molt_fake_send(fd, long_run + i, 1);
    char *got = molt_http_support_answers(fd);
    assert_string_equal(got, whole);
    free(got);
    free(whole);
}

static const struct {
    const char *request;
    int status;
} refusals[] = {
    {"GET / HTTP/1.1\r\n\r\n", 400},                  /* no Host */
    {"GET / HTTP/1.1\r\n" H H "\r\n", 400},           /* two */
    {"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400}, /* folded */
    {"GET / HTTP/1.1\r\n" H "X:\r\n folded\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "X Y: z\r\n\r\n", 400}, /* space in a name */
    {"GET / HTTP/1.1\r\n" H "X : z\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H ": z\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "X: a\x01z\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "X: a\x7fz\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "X\r\n\r\n", 400},
    {"GET /\x01 HTTP/1.1\r\n" H "\r\n", 400},
    {"GET relative HTTP/1.1\r\n" H "\r\n", 400},
    {"GET http://h:99999/ HTTP/1.1\r\n" H "\r\n", 400},
    {"GET / HTTQ/1.1\r\n" H "\r\n", 400},
    {"GET /\ta HTTP/1.1\r\n" H "\r\n", 400},
    {"GET / HTTP/1.1\r\n" H "\rX", 400}, /* CR without LF */
    {"GET / HTTP/1.1\r\n" H "X:\rY: z\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nabXY0\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2;\nab\r\n0\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nT: x\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n100001\r\n", 413},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"
     "\r\n0\r\n\r\n",
     400},
    {"GET / HTTP/x\r\n" H "\r\n", 400},
    {"GET / HTTP/11.1\r\n" H "\r\n", 400},
    {"\x16\x03\x01\x02", 400}, /* TLS */
    {"GE\x01 / HTTP/1.1\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: x\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2\r\nabX", 400},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", 413},
    {"POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
    {"GRAB / HTTP/1.1\r\n" H "\r\n", 501},
    {"CONNECT h:80 HTTP/1.1\r\n" H "\r\n", 501},
    {"GET / HTTP/2.0\r\n" H "\r\n", 505},
    {"GET /\r\n\r\n", 505}, /* HTTP/0.9 */
    {"POST /echo HTTP/1.1\r\n" H "Expect: miracles\r\nContent-Length: 1\r\n\r\n", 417},
    {"POST /echo HTTP/1.1\r\n" H "Content-Length: 1048577\r\n\r\n", 413},
};

static void bad_requests_get_their_status_and_the_connection_closes(void **state)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        setup(state);
        int fd = molt_fake_connect();
        molt_fake_send_text(fd, refusals[i].request);
        int status = molt_http_support_status(fd);
        if (status != refusals[i].status)
            fail_msg("%d instead of %d for: %s", status, refusals[i].status, refusals[i].request);
        assert_int_equal(molt_http_support_count(fd), 1);
        assert_true(molt_http_support_is_well_formed(fd));
        assert_non_null(strstr(molt_fake_received(fd, NULL), "Connection: close"));
        molt_fake_send_text(fd, GET); /* lingering: read, never answered */
        assert_int_equal(molt_http_support_count(fd), 1);
        molt_fake_shutdown(fd);
        assert_false(molt_fake_is_open(fd));
        assert_int_equal(molt_fake_reason(fd), 0);
    }
}

static void requests_before_a_bad_one_are_answered_and_those_behind_it_never(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, GET GET "BAD\x01\r\n\r\n" GET GET);
    assert_int_equal(molt_http_support_count(fd), 3);
    assert_int_equal(molt_http_support_status(fd), 400);
}

static char *filled(const char *before, char c, size_t n, const char *after)
{
    char *text = malloc(strlen(before) + n + strlen(after) + 1);
    size_t at = strlen(before);
    memcpy(text, before, at);
    memset(text + at, c, n);
    memcpy(text + at + n, after, strlen(after) + 1);
    return text;
}

static int status_filled(const char *before, size_t n, const char *after)
{
    char *text = filled(before, 'a', n, after);
    int status = status_of(text);
    free(text);
    return status;
}

static void a_url_may_have_its_limit_and_no_byte_more(void **state)
{
    (void)state;
    assert_int_equal(status_filled("GET /any", 8192 - 4, " HTTP/1.1\r\n" H "\r\n"), 200);
    assert_int_equal(status_filled("GET /any", 8192 - 3, " HTTP/1.1\r\n" H "\r\n"), 414);
    assert_int_equal(status_filled("GET /any", 20000, ""), 414);
}

static void a_head_may_have_its_limit_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(status_filled("GET / HTTP/1.1\r\n" H "X: ", 16000, "\r\n\r\n"), 200);
    assert_int_equal(status_filled("GET / HTTP/1.1\r\n" H "X: ", 16384, "\r\n\r\n"), 431);
    assert_int_equal(status_filled("GET / HTTP/1.1\r\n" H, 30000, ""), 431);
    assert_int_equal(status_filled("GET / HTTP/1.1\r\n" H "X: ", 200000, ""), 431);
}

static void endless_spaces_in_a_head_are_refused(void **state)
{
    (void)state;
    char *text = filled("GET / HTTP/1.1\r\n" H "X:", ' ', 40000, "");
    assert_int_equal(status_of(text), 431);
    free(text);
}

static void endless_framing_is_refused(void **state)
{
    static const char chunked[] = "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n";
    char before[256];
    (void)state;
    snprintf(before, sizeof(before), "%s5;", chunked);
    assert_int_equal(status_filled(before, 20000, ""), 431);
    snprintf(before, sizeof(before), "%s0\r\nT: ", chunked);
    assert_int_equal(status_filled(before, 20000, ""), 431);
    snprintf(before, sizeof(before), "%s0\r\nT: ", chunked);
    assert_int_equal(status_filled(before, 10000, "\r\n\r\n"), 200);
}

static int status_with_fields(unsigned n)
{
    char text[8192] = "GET / HTTP/1.1\r\n" H;
    for (unsigned i = 1; i < n; i++)
        strcat(text, "A: b\r\n");
    strcat(text, "\r\n");
    return status_of(text);
}

static void a_hundred_fields_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_with_fields(100), 200);
    assert_int_equal(status_with_fields(101), 431);
}

static void limits_come_from_the_configuration(void **state)
{
    (void)state;
    molt_fake_config("http.body_bytes", "4");
    molt_fake_config("http.headers", "3");
    molt_fake_config("http.url_bytes", "20");
    molt_fake_config("http.header_bytes", "rubbish");
    assert_int_equal(status_with_fields(3), 200);
    assert_int_equal(status_with_fields(4), 431);
    assert_int_equal(status_of("POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nabcd"), 200);
    assert_int_equal(status_of("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n"), 413);
    assert_int_equal(status_of("POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
                     413);
    assert_int_equal(status_of("GET /any4567890123456789 HTTP/1.1\r\n" H "\r\n"), 200);
    assert_int_equal(status_of("GET /any45678901234567890 HTTP/1.1\r\n" H "\r\n"), 414);
}

static void a_body_at_its_limit_arrives_whole_in_pieces_and_in_chunks(void **state)
{
    (void)state;
    const size_t n = 1 << 20;
    char head[128];
    snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", n);
    char *text = filled(head, 'q', n, "");
    int fd = molt_fake_connect();
    for (size_t at = 0, len = strlen(text); at < len; at += 7777)
        molt_fake_send(fd, text + at, len - at < 7777 ? len - at : 7777);
    size_t got;
    molt_fake_received(fd, &got);
    assert_int_equal(molt_http_support_status(fd), 200);
    assert_true(got > n);
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
    free(text);

    fd = molt_fake_connect();
    molt_fake_send_text(fd, "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5000; i++)
        molt_fake_send_text(fd, "1\r\nz\r\n");
    size_t bytes;
    molt_fake_blocks(fd, &bytes);
    assert_true(bytes < 64 << 10); /* framing isn't kept */
    molt_fake_send_text(fd, "0\r\n\r\n");
    assert_int_equal(molt_http_support_status(fd), 200);
    assert_non_null(strstr(molt_fake_received(fd, NULL), "[zzzz"));
}

static void expect_100_is_encouraged_only_when_the_body_is_missing(void **state)
{
    (void)state;
    const char *head =
        "POST /echo HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, head);
    assert_string_equal(molt_fake_received(fd, NULL), "HTTP/1.1 100 Continue\r\n\r\n");
    molt_fake_send_text(fd, "a");
    assert_string_equal(molt_fake_received(fd, NULL), "HTTP/1.1 100 Continue\r\n\r\n");
    molt_fake_send_text(fd, "b");
    assert_int_equal(molt_http_support_status(fd), 200);
    molt_fake_take(fd);
    char *whole = filled(head, 'x', 2, "");
    molt_fake_send_text(fd, whole);
    assert_null(strstr(molt_fake_received(fd, NULL), "100 Continue"));
    assert_int_equal(molt_http_support_status(fd), 200);
    free(whole);
}

static void http_1_0_closes_unless_asked_to_keep(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(molt_http_support_status(fd), 200);
    assert_non_null(strstr(molt_fake_received(fd, NULL), "Connection: close"));
    assert_false(molt_fake_is_open(fd));
    fd = molt_fake_connect();
    molt_fake_send_text(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_non_null(strstr(molt_fake_received(fd, NULL), "Connection: keep-alive"));
    assert_true(molt_fake_is_open(fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_request_takes_one_write_and_no_more_than_two_reads),
        T(pipelined_requests_are_answered_in_order_with_one_write),
        T(requests_split_at_every_byte_get_the_same_answers),
        T(each_byte_in_an_event_of_its_own_gets_the_same_answers),
        T(bad_requests_get_their_status_and_the_connection_closes),
        T(requests_before_a_bad_one_are_answered_and_those_behind_it_never),
        T(a_url_may_have_its_limit_and_no_byte_more),
        T(a_head_may_have_its_limit_and_no_more),
        T(endless_spaces_in_a_head_are_refused),
        T(endless_framing_is_refused),
        T(a_hundred_fields_are_taken_and_one_more_is_refused),
        T(limits_come_from_the_configuration),
        T(a_body_at_its_limit_arrives_whole_in_pieces_and_in_chunks),
        T(expect_100_is_encouraged_only_when_the_body_is_missing),
        T(http_1_0_closes_unless_asked_to_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
