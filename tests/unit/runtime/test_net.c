/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { LISTENING, ATTACHED, ENDED, DONE };

struct conn {
    int fd;
};
FAKE_TYPE(conn, struct conn, 0x31);

static int port;

static int echo_init(struct fake_state *s, const struct conn *conn)
{
    (void)s;
    int rc = molt_net_attach(conn->fd);
    assert_int_equal(molt_net_attach(conn->fd), MOLT_EEXIST);
    fake_add(ATTACHED, 1);
    return rc;
}

static int echo_ready(struct fake_state *s, int fd, unsigned events)
{
    char buf[512];
    (void)s;
    (void)events;
    for (;;) {
        long n = molt_net_read(fd, buf, sizeof(buf));
        if (n == MOLT_EBUSY)
            return 0;
        if (n <= 0)
            return molt_exit(molt_self(), 0);
        if (molt_net_write(fd, buf, (size_t)n) != n)
            return MOLT_EIO;
    }
}

static void echo_terminate(struct fake_state *s, int reason)
{
    (void)s;
    (void)reason;
    fake_add(ENDED, 1);
}

static int accept_init(struct fake_state *s, const void *arg)
{
    (void)s;
    (void)arg;
    int fd = molt_net_listen("127.0.0.1", 0, 1024);
    assert_true(fd >= 0);
    port = molt_net_port(fd);
    assert_int_equal(molt_net_listen("127.0.0.1", (unsigned)port, 1), MOLT_EEXIST);
    assert_int_equal(molt_net_listen("localhost", 0, 1), MOLT_EINVAL);
    assert_int_equal(molt_net_listen("127.0.0.1", 70000, 1), MOLT_EINVAL);
    int rc = molt_net_attach(fd);
    fake_add(LISTENING, 1);
    return rc;
}

static int accept_ready(struct fake_state *s, int fd, unsigned events)
{
    (void)s;
    (void)events;
    for (;;) {
        int client = molt_net_accept(fd);
        if (client == MOLT_EBUSY)
            return 0;
        assert_true(client >= 0);
        struct conn *conn = fake_new(struct conn, conn);
        conn->fd = client;
        assert_int_equal(molt_spawn("echo", NULL, conn, NULL), 0);
    }
}

static struct fake_module module;

static int setup(void **state)
{
    static struct fake f;
    fake_init(&f, 2);
    fake_module_init(&module, "net", 1);
    struct fake_server *echo = fake_server(&module, "echo", &fake_state_type);
    echo->init_type = &conn_type;
    echo->desc.init = MOLT_FN(echo_init);
    echo->desc.on_ready = MOLT_FN(echo_ready);
    echo->desc.terminate = MOLT_FN(echo_terminate);
    struct fake_server *accept = fake_server(&module, "accept", &fake_state_type);
    accept->desc.init = MOLT_FN(accept_init);
    accept->desc.on_ready = MOLT_FN(accept_ready);
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    static struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    assert_int_equal(molt_spawn("accept", "accept", NULL, NULL), 0);
    fake_await(LISTENING, 1);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    molt_thread_unregister(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    fake_fini(*state);
    return 0;
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    union {
        const struct sockaddr_in *in;
        const struct sockaddr *any;
    } address = {&to};
    assert_int_equal(connect(fd, address.any, sizeof(to)), 0);
    return fd;
}

static void exchange(int fd, int turn)
{
    char out[32], in[32];
    int len = snprintf(out, sizeof(out), "%d:%d", fd, turn);
    assert_int_equal(send(fd, out, (size_t)len, 0), len);
    int got = 0;
    while (got < len) {
        ssize_t n = recv(fd, in + got, sizeof(in) - (size_t)got, 0);
        assert_true(n > 0);
        got += (int)n;
    }
    assert_memory_equal(in, out, (size_t)len);
}

static void a_thousand_connections_are_echoed(void **state)
{
    enum { N = 1000 };
    static int fd[N];
    (void)state;
    for (int i = 0; i < N; i++)
        fd[i] = dial();
    for (int turn = 0; turn < 5; turn++)
        for (int i = 0; i < N; i++)
            exchange(fd[i], turn);
    fake_await(ATTACHED, N);
    for (int i = 0; i < N; i++)
        close(fd[i]);
    fake_await(ENDED, N);
    fake_await_processes(1);
}

static void a_dead_process_closes_its_descriptor(void **state)
{
    struct fake *f = *state;
    char byte;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(fcntl(pair[0], F_SETFL, 0), 0);
    struct conn *conn = fake_new(struct conn, conn);
    conn->fd = pair[1];
    molt_pid pid;
    assert_int_equal(molt_spawn("echo", NULL, conn, &pid), 0);
    exchange(pair[0], 1);
    assert_int_equal(molt_runtime_kill(f->rt, pid), 0);
    assert_int_equal(recv(pair[0], &byte, 1, 0), 0);
    assert_int_equal(fcntl(pair[1], F_GETFD), -1);
    assert_int_equal(errno, EBADF);
    close(pair[0]);
}

static void nothing_to_do_costs_no_time(void **state)
{
    (void)state;
    struct timespec wall = {.tv_nsec = 200000000}, before, after;
    int fd = dial();
    exchange(fd, 1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    /* What is measured is time that passes. */
    clock_nanosleep(CLOCK_MONOTONIC, 0, &wall, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    long used = (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec;
    assert_in_range(used, 0, 10000000);
    close(fd);
}

static void sockets_are_for_processes(void **state)
{
    (void)state;
    assert_int_equal(molt_net_attach(0), MOLT_ENOPROC);
    assert_int_equal(molt_net_close(), MOLT_ENOPROC);
    assert_int_equal(molt_net_port(-1), MOLT_EINVAL);
    assert_int_equal(molt_timeout(1), MOLT_ENOPROC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    struct rlimit files = {8192, 8192};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_connections_are_echoed),
        TEST(a_dead_process_closes_its_descriptor),
        TEST(nothing_to_do_costs_no_time),
        TEST(sockets_are_for_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
