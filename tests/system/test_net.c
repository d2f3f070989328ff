/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The modules of docs/guide/sockets.md, as they stand there: TCP, Unix, UDP and
 * names, blocking and by message, before and after an upgrade. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "system/app.h"

static const char app_c[] =
    "#include <molt/http.h>\n"
    "#include <molt/molt.h>\n"
    "MOLT_SUPERVISOR(app, .child = {{.id = \"counter\", .server = \"counter\"},\n"
    "    {.id = \"http\", .server = \"http_listener\"},\n"
    "    {.id = \"echo_listener\", .server = \"echo_listener\"},\n"
    "    {.id = \"lines\", .server = \"lines\"}, {.id = \"ping\", .server = \"ping\"}});\n";

static unsigned echo_port, ping_port;
static char lines_path[100];

/* ---- the project ------------------------------------------------------------------ */

static char *read_guide(void)
{
    FILE *file = fopen(MOLT_SOURCE_DIR "/docs/guide/sockets.md", "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

/* Each block that begins with its file's name. */
static unsigned save_modules(struct test_app *app)
{
    static const char mark[] = "```c\n/* ";
    char *guide = read_guide(), path[64];
    unsigned n = 0;
    for (char *at = guide; (at = strstr(at, mark)) != NULL; n++) {
        char *code = at + sizeof(mark) - 1, *end = strstr(code, "\n```");
        assert_non_null(end);
        assert_int_equal(sscanf(code, "%63s", path), 1);
        end[1] = '\0';
        test_app_save(app, path, code - 3);
        at = end + 2;
    }
    free(guide);
    return n;
}

/* One that nobody uses now. */
static unsigned free_port(int type)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t len = sizeof(name);
    int fd = socket(AF_INET, type, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    close(fd);
    return ntohs(name.sin_port);
}

static int setup(void **state)
{
    static struct test_app app;
    test_app_init(&app);
    echo_port = free_port(SOCK_STREAM);
    ping_port = free_port(SOCK_DGRAM);
    snprintf(lines_path, sizeof(lines_path), "/tmp/molt-test-lines-%d", (int)getpid());
    char *old = test_app_read(&app, "molt.conf"), *conf;
    assert_true(asprintf(&conf, "%s\necho.port = %u\nping.port = %u\nlines.path = %s\n", old,
                         echo_port, ping_port, lines_path) > 0);
    test_app_save(&app, "molt.conf", conf);
    free(old);
    free(conf);
    assert_int_equal(save_modules(&app), 4);
    test_app_save(&app, "src/app.c", app_c);
    test_app_start_live(&app, "dev");
    *state = &app;
    return 0;
}

static int teardown(void **state)
{
    test_app_fini(*state);
    unlink(lines_path);
    return 0;
}

/* ---- clients ------------------------------------------------------------------------ */

static void be_patient(int fd)
{
    struct timeval patience = {.tv_sec = TEST_APP_PATIENCE_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static int dial_ip(int type, unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    be_patient(fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static int dial_lines(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, lines_path, strlen(lines_path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    be_patient(fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* Say @text; hear @expected. */
static void exchange(int fd, const char *text, const char *expected)
{
    char heard[256];
    size_t len = 0, want = strlen(expected);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    while (len < want) {
        ssize_t n = recv(fd, heard + len, want - len, 0);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_memory_equal(heard, expected, want);
}

static void hear_end(int fd)
{
    char byte;
    shutdown(fd, SHUT_WR);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

/* ---- tests ---------------------------------------------------------------------------- */

static void blocking_processes_serve_tcp(void **state)
{
    int fd[50];
    (void)state;
    for (int i = 0; i < 50; i++)
        fd[i] = dial_ip(SOCK_STREAM, echo_port);
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < 50; i++)
            exchange(fd[i], "over and over", "over and over");
    for (int i = 0; i < 50; i++)
        hear_end(fd[i]);
}

static void one_process_serves_many_by_message(void **state)
{
    (void)state;
    int a = dial_lines(), b = dial_lines();
    exchange(a, "one\ntwo\n", "2\n");
    exchange(b, "three\n", "3\n");
    exchange(a, "no end", "3\n");
    hear_end(a);
    exchange(b, "\n", "4\n");
    hear_end(b);
}

static void datagrams_come_back(void **state)
{
    (void)state;
    int fd = dial_ip(SOCK_DGRAM, ping_port);
    for (int i = 0; i < 20; i++)
        exchange(fd, "ping", "ping");
    close(fd);
}

static void a_handler_connects_by_name(void **state)
{
    struct test_app *app = *state;
    struct test_client client;
    test_client_open(&client, app->port);
    assert_string_equal(test_client_get(&client, "/relay?hello"), "hello");
    assert_int_equal(client.status, 200);
    test_client_close(&client);
}

static void sockets_outlive_an_upgrade(void **state)
{
    struct test_app *app = *state;
    int waiting = dial_ip(SOCK_STREAM, echo_port), lines = dial_lines();
    exchange(waiting, "old", "old");
    exchange(lines, "five\n", "5\n");
    test_app_edit(app, "src/lines.c", "%ld\\n", "%ld lines\\n");
    test_app_await(app, "lines@1 -> 2");
    test_app_edit(app, "src/echo.c", "long bytes;\n", "long bytes, reads;\n");
    test_app_edit(app, "src/echo.c", "e->bytes += n;", "e->bytes += n;\n        e->reads++;");
    exchange(lines, "six\n", "6 lines\n");
    exchange(waiting, "still there", "still there");
    hear_end(waiting);
    hear_end(lines);
    test_app_await(app, "echo@");
    blocking_processes_serve_tcp(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocking_processes_serve_tcp),
        cmocka_unit_test(one_process_serves_many_by_message),
        cmocka_unit_test(datagrams_come_back),
        cmocka_unit_test(a_handler_connects_by_name),
        cmocka_unit_test(sockets_outlive_an_upgrade),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
