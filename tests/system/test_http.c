/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The HTTP server as people run it: the real `molt`, real sockets, and clients
 * that behave as badly as they like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/load.h"
#include "system/server.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define BIG 3000000
#define REQUEST_MS "1500"

static const char hello_c[] =
    "#include <stdlib.h>\n"
    "#include <string.h>\n"
    "#include <molt/http.h>\n"
    "static int hello(struct molt_http *r)\n"
    "{\n"
    "    return molt_http_printf(r, 200, \"Hello\\n\");\n"
    "}\n"
    "static int echo(struct molt_http *r)\n"
    "{\n"
    "    size_t len;\n"
    "    const char *body = molt_http_body(r, &len);\n"
    "    return molt_http_reply(r, 200, \"text/plain\", body, len);\n"
    "}\n"
    "static int big(struct molt_http *r)\n"
    "{\n"
    "    size_t n = strtoul(molt_http_query(r), NULL, 10);\n"
    "    char *data = molt_new_array(char, n);\n"
    "    if (!data)\n"
    "        return MOLT_ENOMEM;\n"
    "    memset(data, 'b', n);\n"
    "    int rc = molt_http_reply(r, 200, \"text/plain\", data, n);\n"
    "    molt_free(data);\n"
    "    return rc;\n"
    "}\n"
    "static int late(struct molt_http *r)\n"
    "{\n"
    "    int rc = molt_sleep(300);\n"
    "    return rc < 0 ? rc : molt_http_printf(r, 200, \"late\\n\");\n"
    "}\n"
    "MOLT_ROUTES({\"GET\", \"/\", hello}, {\"POST\", \"/echo\", echo}, {\"GET\", \"/big\", big},\n"
    "            {\"GET\", \"/late\", late});\n";

static const char app_c[] = "#include <molt/http.h>\n"
                            "MOLT_SUPERVISOR(app, .child = {{.id = \"http\",\n"
                            "                                .server = \"http_listener\"}});\n";

static struct system_server *server;

static int start(void **state)
{
    struct rlimit limit;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    server = system_server_new("http.request_ms = " REQUEST_MS "\n");
    system_server_write(server, "src/hello.c", hello_c);
    system_server_write(server, "src/app.c", app_c);
    system_server_start(server, false);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    system_server_free(server);
    return 0;
}

/* ---- a client ---------------------------------------------------------------- */

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)system_server_port(server))};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say_bytes(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
}

static void say(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

/* All that comes until the server ends its side; *ret_len bytes. */
static char *hear_all(int fd, size_t *ret_len)
{
    size_t len = 0, cap = 1 << 16;
    char *text = malloc(cap + 1);
    ssize_t n;
    while ((n = recv(fd, text + len, cap - len, 0)) > 0) {
        len += (size_t)n;
        if (len == cap)
            text = realloc(text, (cap *= 2) + 1);
    }
    assert_int_equal(n, 0); /* neither reset nor too late */
    text[len] = '\0';
    *ret_len = len;
    return text;
}

static int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : -1;
}

/* Exactly @n answers "Hello"; what they are made of is the same but for Date. */
static void hear_hellos(int fd, unsigned n)
{
    static const char one[] = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                              "Content-Length: 6\r\n"
                              "Content-Type: text/plain; charset=utf-8\r\n\r\nHello\n";
    size_t len = (sizeof(one) - 1) * n;
    char *text = malloc(len + 1);
    assert_int_equal(recv(fd, text, len, MSG_WAITALL), len);
    for (unsigned i = 0; i < n; i++) {
        const char *answer = text + i * (sizeof(one) - 1);
        assert_memory_equal(answer, one, 17);
        assert_memory_equal(answer + sizeof(one) - 1 - 6, "Hello\n", 6);
    }
    free(text);
}

static void assert_well(void)
{
    int fd = dial();
    say(fd, GET("/"));
    hear_hellos(fd, 1);
    close(fd);
    assert_true(system_server_is_running(server));
}

/* ---- tests -------------------------------------------------------------------- */

static void an_open_connection_is_served_again_and_again(void **state)
{
    char batch[50 * sizeof(GET("/"))] = "";
    int fd = dial();
    (void)state;
    for (int i = 0; i < 500; i++) {
        say(fd, GET("/"));
        hear_hellos(fd, 1);
    }
    for (int i = 0; i < 50; i++)
        strcat(batch, GET("/"));
    for (int i = 0; i < 50; i++) {
        say(fd, batch);
        hear_hellos(fd, 50);
    }
    for (const char *c = GET("/") GET("/"); *c; c++)
        say_bytes(fd, c, 1);
    hear_hellos(fd, 2);
    close(fd);
}

static void a_body_comes_back_whole(void **state)
{
    char *body = malloc(1 << 20), head[128];
    size_t len;
    int fd = dial();
    (void)state;
    for (int i = 0; i < 1 << 20; i++)
        body[i] = (char)(i * 7 + i / 251);
    snprintf(head, sizeof(head),
             "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
             1 << 20);
    say(fd, head);
    say_bytes(fd, body, 1 << 20);
    char *answer = hear_all(fd, &len);
    assert_int_equal(status_of(answer), 200);
    assert_true(len > 1 << 20);
    assert_memory_equal(answer + len - (1 << 20), body, 1 << 20);
    free(answer);
    free(body);
    close(fd);
}

static const struct {
    const char *request;
    int status;
} bad[] = {
    {"rubbish\r\n\r\n", 400},
    {"\x16\x03\x01\x02\x00\x01", 400},
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
    {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
    {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\nxx", 413},
    {"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz", 400},
    {"POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417},
    {"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 405},
    {"GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404},
};

/* Sent together with much that nobody will read: the answer arrives even so. */
static void bad_requests_get_their_status_however_much_follows(void **state)
{
    char *waste = calloc(1, 300000);
    (void)state;
    memset(waste, 'x', 300000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t len;
        int fd = dial();
        say(fd, bad[i].request);
        if (bad[i].status != 404 && bad[i].status != 405)
            send(fd, waste, 300000, MSG_NOSIGNAL | MSG_DONTWAIT);
        shutdown(fd, SHUT_WR);
        char *answer = hear_all(fd, &len);
        if (status_of(answer) != bad[i].status)
            fail_msg("%d instead of %d for: %s", status_of(answer), bad[i].status, bad[i].request);
        free(answer);
        close(fd);
    }
    free(waste);
    assert_well();
}

static void a_half_closed_client_gets_all_its_answers(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        size_t len;
        int fd = dial();
        say(fd, GET("/late") GET("/"));
        shutdown(fd, SHUT_WR);
        char *answers = hear_all(fd, &len);
        assert_non_null(strstr(answers, "late\n"));
        assert_non_null(strstr(answers, "Hello\n"));
        free(answers);
        close(fd);
    }
}

static void clients_that_reset_in_the_middle_hurt_nobody(void **state)
{
    static const char *const requests[] = {GET("/late"),
                                           GET("/big?"
                                               "2000000"),
                                           GET("/"), "GET / HTTP/1.1\r\nHo", ""};
    struct linger reset = {.l_onoff = 1};
    (void)state;
    for (int i = 0; i < 300; i++) {
        int fd = dial();
        say(fd, requests[i % 5]);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
    }
    assert_well();
}

static void a_client_that_reads_late_gets_every_byte(void **state)
{
    size_t len;
    int fd = dial();
    char request[128];
    (void)state;
    snprintf(request, sizeof(request),
             "GET /big?%d HTTP/1.1\r\nHost: h\r\n\r\n"
             "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
             BIG);
    say(fd, request);
    assert_well(); /* others are served meanwhile */
    char *answers = hear_all(fd, &len);
    assert_true(len > BIG);
    const char *body = strstr(answers, "\r\n\r\n") + 4;
    for (int i = 0; i < BIG; i++)
        assert_true(body[i] == 'b');
    assert_int_equal(status_of(body + BIG), 200);
    free(answers);
    close(fd);
}

static int expect_hello(void *user, unsigned connection, const char *body, size_t len)
{
    (void)user;
    (void)connection;
    return len == 6 && memcmp(body, "Hello\n", 6) == 0 ? 0 : MOLT_EINVAL;
}

static struct molt_load *start_load(unsigned connections, unsigned idle, unsigned duration_ms)
{
    struct molt_load_config config = {.port = system_server_port(server),
                                      .connections = connections,
                                      .idle = idle,
                                      .duration_ms = duration_ms,
                                      .check = expect_hello};
    struct molt_load *load;
    assert_int_equal(molt_load_start(&config, &load, NULL), 0);
    return load;
}

static void assert_no_failure(struct molt_load *load)
{
    struct molt_load_stats s;
    molt_load_snapshot(load, &s);
    assert_int_equal(s.n_failures, 0);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.reconnects, 0);
    assert_true(s.requests > 100);
}

/* 300 clients drip a field's line every tenth of a second: each is refused
 * after its time, and those who ask properly notice nothing. */
static void slow_requests_are_refused_and_others_served_meanwhile(void **state)
{
    enum { N = 300 };
    int fds[N];
    (void)state;
    struct molt_load *load = start_load(4, 0, 0);
    for (int i = 0; i < N; i++) {
        fds[i] = dial();
        say(fds[i], "GET / HTTP/1.1\r\nHost: h\r\n");
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < N; i++)
            send(fds[i], "X: y\r\n", 6, MSG_NOSIGNAL);
        poll(NULL, 0, 100); /* the clients' pace */
    }
    for (int i = 0; i < N; i++) {
        size_t len;
        char *answer = hear_all(fds[i], &len);
        assert_int_equal(status_of(answer), 408);
        free(answer);
        close(fds[i]);
    }
    molt_load_stop(load);
    assert_no_failure(load);
    molt_load_free(load);
}

/* No event says that connections are up: look again, with a deadline. */
static bool await_idle(struct molt_load *load, unsigned n)
{
    struct molt_load_stats s;
    for (int i = 0; i < 3000; i++) {
        molt_load_snapshot(load, &s);
        if (s.idle_open == n)
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}

static void ten_thousand_idle_connections_cost_little_and_slow_nobody(void **state)
{
    enum { N = 10000, BYTES_EACH = 4096 };
    struct rlimit limit;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < N + 200)
        skip();
    size_t before = system_server_memory(server);
    struct molt_load *idle = start_load(0, N, 0);
    assert_true(await_idle(idle, N));
    struct molt_load *load = start_load(20, 0, 1500);
    molt_load_wait(load);
    assert_no_failure(load);
    molt_load_free(load);
    size_t after = system_server_memory(server);
    if (after - before > (size_t)N * BYTES_EACH && after > before)
        fail_msg("%zu bytes for each idle connection", (after - before) / N);
    struct molt_load_stats s;
    molt_load_snapshot(idle, &s);
    assert_int_equal(s.idle_open, N);
    assert_int_equal(s.idle_lost, 0);
    molt_load_free(idle);
    assert_well();
}

static void descriptors_of_gone_clients_are_given_back(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        if (system_server_descriptors(server) < 100)
            return;
        poll(NULL, 0, 10);
    }
    fail_msg("%u descriptors are still open", system_server_descriptors(server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_connection_is_served_again_and_again),
        cmocka_unit_test(a_body_comes_back_whole),
        cmocka_unit_test(bad_requests_get_their_status_however_much_follows),
        cmocka_unit_test(a_half_closed_client_gets_all_its_answers),
        cmocka_unit_test(clients_that_reset_in_the_middle_hurt_nobody),
        cmocka_unit_test(a_client_that_reads_late_gets_every_byte),
        cmocka_unit_test(slow_requests_are_refused_and_others_served_meanwhile),
        cmocka_unit_test(ten_thousand_idle_connections_cost_little_and_slow_nobody),
        cmocka_unit_test(descriptors_of_gone_clients_are_given_back),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
