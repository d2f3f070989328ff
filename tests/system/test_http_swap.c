/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Handlers, and the HTTP server itself, are replaced while connections are
 * open, busy, and in the middle of a request: nobody notices but by the answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/load.h"
#include "system/server.h"

#define CONNECTIONS 20

static const char hello_c[] = "#include <molt/http.h>\n"
                              "static int hello(struct molt_http *r)\n"
                              "{\n"
                              "    return molt_http_printf(r, 200, \"Hello 1\\n\");\n"
                              "}\n"
                              "MOLT_ROUTES({\"GET\", \"/\", hello});\n";

static const char app_c[] = "#include <molt/http.h>\n"
                            "MOLT_SUPERVISOR(app, .child = {{.id = \"http\",\n"
                            "                                .server = \"http_listener\"}});\n";

static struct system_server *server;

static int start(void **state)
{
    (void)state;
    server = system_server_new("");
    system_server_write(server, "src/hello.c", hello_c);
    system_server_write(server, "src/app.c", app_c);
    system_server_own_share(server);
    system_server_start(server, true);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    system_server_free(server);
    return 0;
}

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

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One answer ends in @body and has @field in its head. */
static void assert_hears(int fd, const char *field, const char *body)
{
    char text[1024];
    size_t len = 0;
    do {
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
        text[len] = '\0';
    } while (!strstr(text, body));
    assert_non_null(strstr(text, field));
}

/* No event says what connections have seen: look again, with a deadline. */
static struct molt_load_marker await_marker(struct molt_load *load, int marker)
{
    struct molt_load_marker m = {0};
    for (int i = 0; i < 2000 && m.n_seen < CONNECTIONS; i++) {
        assert_int_equal(molt_load_marker(load, marker, &m), 0);
        poll(NULL, 0, 10);
    }
    return m;
}

static void handlers_and_server_are_replaced_under_open_connections(void **state)
{
    struct molt_load_config config = {.port = system_server_port(server),
                                      .connections = CONNECTIONS,
                                      .idle = 50};
    struct molt_load *load;
    struct molt_load_stats s;
    (void)state;
    assert_int_equal(molt_load_start(&config, &load, NULL), 0);
    int one = molt_load_watch(load, "Hello 1\n"), two = molt_load_watch(load, "Hello 2\n"),
        three = molt_load_watch(load, "Hello 3\n");
    assert_int_equal(await_marker(load, one).n_unbroken, CONNECTIONS);
    int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nHo"); /* half a request, in blocks of the old version */

    system_server_edit(server, "src/hello.c", "Hello 1", "Hello 2");
    system_server_await(server, "hello@1 -> 2");
    assert_int_equal(await_marker(load, two).n_unbroken, CONNECTIONS);

    system_server_edit(server, "share/modules/http/http.c", "text/plain; charset=utf-8",
                       "text/x-swapped");
    system_server_edit(server, "src/hello.c", "Hello 2", "Hello 3");
    system_server_await(server, "http@1 -> 2");
    assert_int_equal(await_marker(load, three).n_unbroken, CONNECTIONS);
    say(fd, "st: h\r\n\r\n");
    assert_hears(fd, "text/x-swapped", "Hello 3\n");
    system_server_await(server, "http@1 unloaded");
    say(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_hears(fd, "text/x-swapped", "Hello 3\n");
    close(fd);

    molt_load_stop(load);
    molt_load_snapshot(load, &s);
    assert_int_equal(s.n_failures, 0);
    assert_int_equal(s.lost, 0);
    assert_int_equal(s.reconnects, 0);
    assert_int_equal(s.idle_open, 50);
    assert_int_equal(s.idle_lost, 0);
    molt_load_free(load);
    assert_true(system_server_is_running(server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_and_server_are_replaced_under_open_connections),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
