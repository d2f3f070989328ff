/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Connections: back-pressure, deadlines, ends, and what they cost. */
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

static void an_idle_connection_owns_no_buffers(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
    molt_fake_send_text(fd, GET("/"));
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
    molt_fake_send_text(fd, "GET / HT");
    assert_true(molt_fake_blocks(fd, NULL) > 0);
    molt_fake_send_text(fd, "TP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
    assert_int_equal(molt_http_support_count(fd), 2);
    assert_true(molt_fake_state_size("http_connection") <= 320);
}

static void a_slow_reader_gets_every_byte_and_nothing_is_read_meanwhile(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_room(fd, 1000);
    molt_fake_send_text(fd, GET("/big?300000") GET("/"));
    assert_true(molt_fake_blocks(fd, NULL) > 0);
    unsigned reads = molt_fake_reads(fd);
    molt_fake_send_text(fd, GET("/users/me"));
    assert_int_equal(molt_fake_reads(fd), reads);
    size_t len = 0, last = 1;
    while (len != last) {
        last = len;
        molt_fake_room(fd, 0);
        molt_fake_room(fd, 7001);
        molt_fake_received(fd, &len);
    }
    assert_int_equal(molt_http_support_count(fd), 3);
    assert_true(molt_http_support_is_well_formed(fd));
    assert_true(len > 300000);
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
}

static void many_big_pipelined_answers_do_not_pile_up(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    char burst[200 * sizeof(GET("/big?60000"))] = "";
    for (int i = 0; i < 200; i++)
        strcat(burst, GET("/big?60000"));
    molt_fake_room(fd, 0);
    molt_fake_send_text(fd, burst);
    size_t bytes;
    molt_fake_blocks(fd, &bytes);
    assert_true(bytes < 400 << 10);
    molt_fake_room(fd, SIZE_MAX);
    assert_int_equal(molt_http_support_count(fd), 200);
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
}

static void one_write_of_a_byte_at_a_time_is_enough(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_room(fd, 0);
    molt_fake_send_text(fd, GET("/") GET("/missing"));
    for (int i = 0; i < 600; i++) {
        molt_fake_room(fd, 0);
        molt_fake_room(fd, 1);
    }
    assert_int_equal(molt_http_support_count(fd), 2);
    assert_int_equal(molt_http_support_status(fd), 404);
}

static void a_flood_of_pipelined_requests_is_served_in_several_callbacks(void **state)
{
    (void)state;
    enum { N = 20000 };
    static const char one[] = GET("/");
    char *all = malloc(N * (sizeof(one) - 1));
    for (size_t i = 0; i < N; i++)
        memcpy(all + i * (sizeof(one) - 1), one, sizeof(one) - 1);
    int fd = molt_fake_connect();
    molt_fake_send(fd, all, N * (sizeof(one) - 1));
    assert_int_equal(molt_http_support_count(fd), N);
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
    free(all);
}

static void an_idle_connection_is_closed_in_silence(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_advance(59999);
    assert_true(molt_fake_is_open(fd));
    molt_fake_send_text(fd, GET("/"));
    molt_fake_take(fd);
    molt_fake_advance(59999);
    assert_true(molt_fake_is_open(fd));
    molt_fake_advance(1);
    assert_false(molt_fake_is_open(fd));
    assert_int_equal(molt_fake_reason(fd), 0);
    assert_string_equal(molt_fake_received(fd, NULL), "");
}

static void half_a_request_is_answered_408_after_its_time_however_it_drips(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_advance(50000);
    molt_fake_send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 29; i++) {
        molt_fake_advance(1000);
        molt_fake_send_text(fd, "X: y\r\n");
    }
    assert_string_equal(molt_fake_received(fd, NULL), "");
    molt_fake_advance(1000);
    assert_int_equal(molt_http_support_status(fd), 408);
    assert_int_equal(molt_http_support_count(fd), 1);
    molt_fake_send_text(fd, "X: y\r\n\r\n");
    assert_true(molt_fake_is_open(fd)); /* lingering */
    molt_fake_advance(2000);
    assert_false(molt_fake_is_open(fd));
}

static void the_time_of_a_request_begins_with_its_first_byte(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, "GET / HT");
    molt_fake_advance(20000);
    molt_fake_send_text(fd, "TP/1.1\r\nHost: h\r\n\r\nGET /us"); /* the next one's begin */
    assert_int_equal(molt_http_support_count(fd), 1);
    molt_fake_advance(29999);
    assert_int_equal(molt_http_support_count(fd), 1);
    molt_fake_send_text(fd, "ers/me HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(molt_http_support_count(fd), 2);
    assert_int_equal(molt_http_support_status(fd), 200);
}

static void a_reader_that_takes_nothing_is_dropped(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_room(fd, 10);
    molt_fake_send_text(fd, GET("/"));
    molt_fake_advance(29000);
    molt_fake_room(fd, 10); /* takes something */
    molt_fake_advance(29000);
    assert_true(molt_fake_is_open(fd));
    molt_fake_advance(1000);
    assert_false(molt_fake_is_open(fd));
}

static void an_end_of_input_still_gets_the_answers_to_what_came_before(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_send_and_shutdown(fd, GET("/") GET("/users/me"));
    assert_int_equal(molt_http_support_count(fd), 2);
    assert_false(molt_fake_is_open(fd));
    assert_int_equal(molt_fake_reason(fd), 0);
    fd = molt_fake_connect();
    molt_fake_room(fd, 0);
    molt_fake_send_text(fd, GET("/"));
    molt_fake_shutdown(fd);
    assert_true(molt_fake_is_open(fd));
    molt_fake_room(fd, SIZE_MAX);
    assert_int_equal(molt_http_support_count(fd), 1);
    assert_false(molt_fake_is_open(fd));
}

static void an_end_of_input_in_the_middle_of_a_request_gets_400(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_send_and_shutdown(fd, GET("/") "GET / HTTP/1.1\r\nHo");
    assert_int_equal(molt_http_support_count(fd), 2);
    assert_int_equal(molt_http_support_status(fd), 400);
    assert_false(molt_fake_is_open(fd));
}

static void a_client_that_goes_in_silence_ends_the_process_normally(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_shutdown(fd);
    assert_false(molt_fake_is_open(fd));
    assert_int_equal(molt_fake_reason(fd), 0);
    fd = molt_fake_connect();
    molt_fake_send_text(fd, "GET / HTTP/1.1\r\n");
    molt_fake_break(fd);
    assert_false(molt_fake_is_open(fd));
    assert_int_equal(molt_fake_reason(fd), 0);
    assert_string_equal(molt_fake_log(), "");
}

static int current_fd;

static void break_current(void)
{
    molt_fake_break(current_fd);
}

static void a_connection_that_dies_while_its_handler_waits_ends_normally(void **state)
{
    (void)state;
    current_fd = molt_fake_connect();
    molt_http_support_blocking = break_current;
    molt_fake_send_text(current_fd, GET("/late") GET("/"));
    assert_false(molt_fake_is_open(current_fd));
    assert_int_equal(molt_fake_reason(current_fd), 0);
    assert_string_equal(molt_fake_received(current_fd, NULL), "");
}

static void a_refused_client_that_floods_is_cut_off(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, "BAD\x01\r\n\r\n");
    assert_int_equal(molt_http_support_status(fd), 400);
    char *flood = calloc(1, 1 << 20);
    molt_fake_send(fd, flood, 1 << 20);
    assert_false(molt_fake_is_open(fd));
    free(flood);
}

static void empty_lines_between_requests_are_no_request(void **state)
{
    (void)state;
    int fd = molt_fake_connect();
    molt_fake_send_text(fd, "\r\n\r\n");
    assert_int_equal(molt_fake_blocks(fd, NULL), 0);
    molt_fake_advance(31000);
    assert_true(molt_fake_is_open(fd));
    molt_fake_shutdown(fd);
    assert_string_equal(molt_fake_received(fd, NULL), "");
    assert_false(molt_fake_is_open(fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(an_idle_connection_owns_no_buffers),
        T(a_slow_reader_gets_every_byte_and_nothing_is_read_meanwhile),
        T(many_big_pipelined_answers_do_not_pile_up),
        T(one_write_of_a_byte_at_a_time_is_enough),
        T(a_flood_of_pipelined_requests_is_served_in_several_callbacks),
        T(an_idle_connection_is_closed_in_silence),
        T(half_a_request_is_answered_408_after_its_time_however_it_drips),
        T(the_time_of_a_request_begins_with_its_first_byte),
        T(a_reader_that_takes_nothing_is_dropped),
        T(an_end_of_input_still_gets_the_answers_to_what_came_before),
        T(an_end_of_input_in_the_middle_of_a_request_gets_400),
        T(a_client_that_goes_in_silence_ends_the_process_normally),
        T(a_connection_that_dies_while_its_handler_waits_ends_normally),
        T(a_refused_client_that_floods_is_cut_off),
        T(empty_lines_between_requests_are_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
