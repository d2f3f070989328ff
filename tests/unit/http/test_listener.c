/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The listener: taken ports, full tables, clients. */
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

static void all_waiting_clients_get_a_process_each(void **state)
{
    (void)state;
    int early = molt_fake_queue_client();
    assert_int_equal(molt_fake_listen(), 0);
    int fds[5];
    for (int i = 0; i < 5; i++)
        fds[i] = molt_fake_queue_client();
    molt_fake_announce();
    molt_fake_send_text(early, GET("/"));
    assert_int_equal(molt_http_support_status(early), 200);
    for (int i = 0; i < 5; i++) {
        molt_fake_send_text(fds[i], GET("/users/me"));
        assert_int_equal(molt_http_support_status(fds[i]), 200);
    }
    assert_non_null(strstr(molt_fake_log(), "listening on 127.0.0.1 port 4711"));
}

static void a_taken_port_is_named_with_a_remedy(void **state)
{
    (void)state;
    molt_fake_config("http.port", "8080");
    molt_fake_listen_error(MOLT_EEXIST);
    assert_int_equal(molt_fake_listen(), MOLT_EEXIST);
    assert_non_null(strstr(molt_fake_log(), "port 8080 on 127.0.0.1 is taken"));
    assert_non_null(strstr(molt_fake_log(), "http.port"));
}

static void a_port_that_is_none_is_refused(void **state)
{
    static const char *const bad[] = {"abc", "65536", "-1", "", "80x", " 80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setup(state);
        molt_fake_config("http.port", bad[i]);
        assert_int_equal(molt_fake_listen(), MOLT_EINVAL);
        assert_non_null(strstr(molt_fake_log(), "is no port number"));
    }
}

static void a_bad_limit_is_reported_once_and_its_default_used(void **state)
{
    (void)state;
    molt_fake_config("http.idle_ms", "soon");
    assert_int_equal(molt_fake_listen(), 0);
    assert_non_null(strstr(molt_fake_log(), "http.idle_ms = soon is not a number"));
    molt_fake_queue_client();
    int fd = molt_fake_queue_client();
    molt_fake_announce();
    assert_null(strstr(strstr(molt_fake_log(), "soon") + 4, "soon"));
    molt_fake_advance(59999);
    assert_true(molt_fake_is_open(fd));
}

static void out_of_descriptors_it_says_so_once_waits_and_goes_on(void **state)
{
    (void)state;
    assert_int_equal(molt_fake_listen(), 0);
    int fd = molt_fake_queue_client();
    molt_fake_accept_error(MOLT_ELIMIT);
    molt_fake_announce();
    unsigned accepts = molt_fake_accepts();
    molt_fake_announce();
    assert_int_equal(molt_fake_accepts(), accepts); /* it pauses */
    molt_fake_advance(5000);
    assert_true(molt_fake_accepts() <= accepts + 50);
    const char *first = strstr(molt_fake_log(), "MOLT_ELIMIT");
    assert_non_null(first);
    assert_null(strstr(first + 1, "MOLT_ELIMIT"));
    molt_fake_accept_error(0);
    molt_fake_advance(100); /* without a new event */
    molt_fake_announce();
    molt_fake_send_text(fd, GET("/"));
    assert_int_equal(molt_http_support_status(fd), 200);
    assert_non_null(strstr(molt_fake_log(), "accepting connections again"));
}

static void without_memory_for_a_connection_it_goes_on(void **state)
{
    (void)state;
    assert_int_equal(molt_fake_listen(), 0);
    molt_fake_queue_client();
    molt_fake_fail_alloc(1);
    molt_fake_announce();
    int fd = molt_fake_queue_client();
    molt_fake_advance(100);
    molt_fake_announce();
    molt_fake_send_text(fd, GET("/"));
    assert_int_equal(molt_http_support_status(fd), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(all_waiting_clients_get_a_process_each),
        T(a_taken_port_is_named_with_a_remedy),
        T(a_port_that_is_none_is_refused),
        T(a_bad_limit_is_reported_once_and_its_default_used),
        T(out_of_descriptors_it_says_so_once_waits_and_goes_on),
        T(without_memory_for_a_connection_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
