/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The load generator against a server that misbehaves as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\none\n"
#define OK_TWO "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntwo\n"
#define BAD "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
#define CLOSING "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\none\n"

#define CLIENTS_MAX 16

/* ---- a server: one answer for each arrival, by script ------------------------ */

struct answer {
    const char *text; /* NULL: none */
    bool is_close;
};

static struct server {
    int listener, stop, fds[CLIENTS_MAX];
    unsigned port;
    pthread_t thread;
    struct answer script[8]; /* each step once, then the last one for ever */
    size_t n_script;
    _Atomic(const struct answer *) override;
    atomic_uint n_requests;
} server;

static const struct answer *next_answer(void)
{
    unsigned i = atomic_fetch_add(&server.n_requests, 1);
    const struct answer *override = atomic_load(&server.override);
    if (override)
        return override;
    return &server.script[i < server.n_script ? i : server.n_script - 1];
}

static void serve_client(int *fd)
{
    char request[4096];
    ssize_t n = recv(*fd, request, sizeof(request), 0);
    const struct answer *a = n > 0 ? next_answer() : NULL;
    if (a && a->text)
        (void)!send(*fd, a->text, strlen(a->text), MSG_NOSIGNAL);
    if (!a || a->is_close) {
        close(*fd);
        *fd = -1;
    }
}

static void *server_run(void *unused)
{
    for (;;) {
        struct pollfd polls[CLIENTS_MAX + 2] = {{.fd = server.stop, .events = POLLIN},
                                                {.fd = server.listener, .events = POLLIN}};
        for (int i = 0; i < CLIENTS_MAX; i++)
            polls[i + 2] = (struct pollfd){.fd = server.fds[i], .events = POLLIN};
        poll(polls, CLIENTS_MAX + 2, -1);
        if (polls[0].revents)
            return unused;
        for (int i = 0; i < CLIENTS_MAX; i++)
            if (server.fds[i] >= 0 && polls[i + 2].revents)
                serve_client(&server.fds[i]);
        for (int i = 0; polls[1].revents && i < CLIENTS_MAX; i++)
            if (server.fds[i] < 0) {
                server.fds[i] = accept(server.listener, NULL, NULL);
                break;
            }
    }
}

static int setup(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    (void)state;
    memset(&server, 0, sizeof(server));
    memset(server.fds, -1, sizeof(server.fds));
    server.stop = eventfd(0, EFD_CLOEXEC);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server.listener, 64), 0);
    assert_int_equal(getsockname(server.listener, (struct sockaddr *)&address, &size), 0);
    server.port = ntohs(address.sin_port);
    return 0;
}

static void start_server(size_t n, const struct answer *script)
{
    memcpy(server.script, script, n * sizeof(*script));
    server.n_script = n;
    assert_int_equal(pthread_create(&server.thread, NULL, server_run, NULL), 0);
}

static int teardown(void **state)
{
    uint64_t one = 1;
    (void)state;
    (void)!write(server.stop, &one, sizeof(one));
    if (server.n_script > 0)
        pthread_join(server.thread, NULL);
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (server.fds[i] >= 0)
            close(server.fds[i]);
    close(server.listener);
    close(server.stop);
    return 0;
}

/* ---- tests ---------------------------------------------------------------------- */

static int expect_one(void *user, unsigned connection, const char *body, size_t len)
{
    (void)user;
    (void)connection;
    return len == 4 && memcmp(body, "one\n", 4) == 0 ? 0 : MOLT_EINVAL;
}

static struct molt_load *start_load(unsigned connections, unsigned timeout_ms)
{
    struct molt_load_config config = {.port = server.port,
                                      .connections = connections,
                                      .threads = 2,
                                      .timeout_ms = timeout_ms,
                                      .check = expect_one};
    struct molt_load *load;
    assert_int_equal(molt_load_start(&config, &load, NULL), 0);
    return load;
}

/* There is no event for progress of the load: poll with a deadline. */
static bool reaches(struct molt_load *load, bool (*is_there)(const struct molt_load_stats *),
                    struct molt_load_stats *ret)
{
    for (int i = 0; i < 2000; i++) {
        molt_load_snapshot(load, ret);
        if (is_there(ret))
            return true;
        poll(NULL, 0, 5);
    }
    return false;
}

static bool has_100_successes(const struct molt_load_stats *s)
{
    return s->requests >= 100;
}

static struct molt_load *watched_load;

static bool have_all_5_succeeded(const struct molt_load_stats *s)
{
    struct molt_load_connection c = {0};
    (void)s;
    for (unsigned i = 0; i < 5; i++)
        if (molt_load_connection(watched_load, i, &c) < 0 || c.requests < 20)
            return false;
    return true;
}

static void good_answers_are_counted_and_nothing_else(void **state)
{
    struct molt_load_stats s;
    (void)state;
    start_server(1, (struct answer[]){{OK, false}});
    struct molt_load *load = watched_load = start_load(5, 0);
    assert_true(reaches(load, have_all_5_succeeded, &s));
    assert_int_equal(s.open, 5);
    molt_load_stop(load);
    molt_load_snapshot(load, &s);
    assert_int_equal(s.n_failures, 0);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.reconnects, 0);
    assert_true(s.p50_ns > 0 && s.p50_ns <= s.p99_ns && s.p99_ns <= s.max_ns);
    assert_true(s.longest_gap_ns > 0);
    unsigned n = atomic_load(&server.n_requests);
    assert_true(s.requests <= n && s.requests + 5 >= n);
    uint64_t sum = 0;
    for (unsigned i = 0; i < 5; i++) {
        struct molt_load_connection c;
        assert_int_equal(molt_load_connection(load, i, &c), 0);
        assert_true(c.requests > 0);
        sum += c.requests;
    }
    assert_int_equal(sum, s.requests);
    molt_load_free(load);
}

static void each_kind_of_failure_is_counted_as_what_it_is(void **state)
{
    struct molt_load_stats s;
    (void)state;
    start_server(8, (struct answer[]){{BAD, false},    /* status */
                                      {OK_TWO, false}, /* body */
                                      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\non", true},
                                      {NULL, true},               /* short twice */
                                      {"rubbish\r\n\r\n", false}, /* format */
                                      {OK OK, false},             /* format: one too many */
                                      {CLOSING, true},            /* fine */
                                      {OK, false}});
    struct molt_load *load = start_load(1, 0);
    assert_true(reaches(load, has_100_successes, &s));
    molt_load_stop(load);
    molt_load_snapshot(load, &s);
    assert_int_equal(s.failures[MOLT_LOAD_STATUS], 1);
    assert_int_equal(s.failures[MOLT_LOAD_BODY], 1);
    assert_int_equal(s.failures[MOLT_LOAD_SHORT], 2);
    assert_int_equal(s.failures[MOLT_LOAD_FORMAT], 2);
    assert_int_equal(s.failures[MOLT_LOAD_TIMEOUT], 0);
    assert_int_equal(s.n_failures, 6);
    assert_int_equal(s.lost, 4);
    assert_int_equal(s.reconnects, 5);
    molt_load_free(load);
}

static void an_answer_that_does_not_come_times_out(void **state)
{
    struct molt_load_stats s;
    (void)state;
    start_server(2, (struct answer[]){{NULL, false}, {OK, false}});
    struct molt_load *load = start_load(1, 50);
    assert_true(reaches(load, has_100_successes, &s));
    assert_int_equal(s.failures[MOLT_LOAD_TIMEOUT], 1);
    assert_int_equal(s.lost, 1);
    assert_true(s.longest_gap_ns >= 50000000);
    molt_load_free(load);
}

static bool has_connect_failures(const struct molt_load_stats *s)
{
    return s->failures[MOLT_LOAD_CONNECT] >= 2;
}

static void a_server_that_is_not_there_is_counted_and_tried_again(void **state)
{
    struct molt_load_stats s;
    (void)state;
    close(server.listener);
    server.listener = -1;
    struct molt_load *load = start_load(1, 0);
    assert_true(reaches(load, has_connect_failures, &s));
    assert_int_equal(s.requests, 0);
    molt_load_free(load);
}

static bool is_marker_seen_by_all(const struct molt_load_stats *s)
{
    struct molt_load_marker m;
    (void)s;
    molt_load_marker(watched_load, 0, &m);
    return m.n_seen == 4;
}

static void a_new_body_is_seen_by_each_connection_unbroken_or_not(void **state)
{
    static const struct answer two = {OK_TWO, false};
    struct molt_load_config config = {.port = server.port, .connections = 4, .threads = 2};
    struct molt_load_stats s;
    struct molt_load_marker m;
    (void)state;
    start_server(3, (struct answer[]){{OK, false}, {NULL, true}, {OK, false}});
    assert_int_equal(molt_load_start(&config, &watched_load, NULL), 0);
    assert_true(reaches(watched_load, has_100_successes, &s));
    assert_int_equal(molt_load_watch(watched_load, "two\n"), 0);
    assert_int_equal(molt_load_marker(watched_load, 0, &m), 0);
    assert_int_equal(m.n_seen, 0);
    atomic_store(&server.override, &two);
    assert_true(reaches(watched_load, is_marker_seen_by_all, &s));
    molt_load_marker(watched_load, 0, &m);
    assert_int_equal(m.n_unbroken, 3); /* one had lost its first connection */
    assert_true(m.watched_ns <= m.first_ns && m.first_ns <= m.last_ns);
    assert_int_equal(molt_load_marker(watched_load, 1, &m), MOLT_EINVAL);
    molt_load_free(watched_load);
}

static bool has_5_idle(const struct molt_load_stats *s)
{
    return s->idle_open == 5 && s->requests > 0;
}

static void idle_connections_are_held_and_ask_nothing(void **state)
{
    struct molt_load_config config = {.port = server.port, .connections = 1, .idle = 5};
    struct molt_load *load;
    struct molt_load_stats s;
    (void)state;
    start_server(1, (struct answer[]){{OK, false}});
    assert_int_equal(molt_load_start(&config, &load, NULL), 0);
    assert_true(reaches(load, has_5_idle, &s));
    assert_int_equal(s.idle_lost, 0);
    molt_load_free(load);
}

static void a_load_with_a_duration_ends_by_itself(void **state)
{
    struct molt_load_config config = {.port = server.port, .connections = 1, .duration_ms = 60};
    struct molt_load *load;
    struct molt_load_stats s;
    (void)state;
    start_server(1, (struct answer[]){{OK, false}});
    assert_int_equal(molt_load_start(&config, &load, NULL), 0);
    molt_load_wait(load);
    molt_load_snapshot(load, &s);
    assert_true(s.elapsed_ns >= 60000000);
    assert_true(s.requests > 0);
    molt_load_free(load);
}

static bool has_a_failure_and_successes(const struct molt_load_stats *s)
{
    return s->n_failures > 0 && s->lost > 0 && s->requests >= 10;
}

static void what_came_before_is_forgotten(void **state)
{
    struct molt_load_stats s;
    struct molt_load_connection c;
    (void)state;
    start_server(3, (struct answer[]){{OK, false}, {NULL, true}, {OK, false}});
    struct molt_load *load = start_load(3, 0);
    assert_true(reaches(load, has_a_failure_and_successes, &s));
    molt_load_forget(load);
    assert_true(reaches(load, has_100_successes, &s));
    assert_int_equal(s.n_failures, 0);
    assert_int_equal(s.lost, 0);
    molt_load_stop(load);
    molt_load_forget(load);
    molt_load_snapshot(load, &s);
    assert_int_equal(s.requests, 0);
    assert_int_equal(s.p99_ns, 0);
    assert_int_equal(s.elapsed_ns, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(molt_load_connection(load, i, &c), 0);
        assert_int_equal(c.requests + c.failures, 0);
    }
    molt_load_free(load);
}

static void nonsense_is_refused(void **state)
{
    struct molt_load *load;
    struct molt_error err = {0};
    (void)state;
    struct molt_load_config config = {.port = 80};
    assert_int_equal(molt_load_start(&config, &load, &err), MOLT_EINVAL);
    config = (struct molt_load_config){.connections = 1};
    assert_int_equal(molt_load_start(&config, &load, &err), MOLT_EINVAL);
    config = (struct molt_load_config){.connections = 1, .port = 80, .address = "here"};
    assert_int_equal(molt_load_start(&config, &load, &err), MOLT_EINVAL);
    assert_string_equal(err.text, "here is no IPv4 address");
    molt_load_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(good_answers_are_counted_and_nothing_else),
        T(each_kind_of_failure_is_counted_as_what_it_is),
        T(an_answer_that_does_not_come_times_out),
        T(a_server_that_is_not_there_is_counted_and_tried_again),
        T(a_new_body_is_seen_by_each_connection_unbroken_or_not),
        T(idle_connections_are_held_and_ask_nothing),
        T(a_load_with_a_duration_ends_by_itself),
        T(what_came_before_is_forgotten),
        T(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
