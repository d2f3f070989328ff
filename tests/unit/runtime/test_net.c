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

enum { LISTENING, ATTACHED, ENDED, PIECES, BYTES, JOBS };

struct conn {
    int fd;
};
FAKE_TYPE(conn, struct conn, 0x31);

static int port;
static _Atomic molt_pid last_pid;

/* With a descriptor from outside, or to be given one. */
static int echo_init(struct fake_state *s, const struct conn *conn)
{
    (void)s;
    if (!conn)
        return 0;
    int rc = molt_net_attach(conn->fd);
    assert_int_equal(molt_net_attach(conn->fd), MOLT_EEXIST);
    return rc;
}

static int echo_ready(struct fake_state *s, int fd, unsigned events)
{
    char buf[512];
    (void)s;
    if (events & MOLT_NET_GIVEN) {
        assert_int_equal(events, MOLT_NET_GIVEN | MOLT_NET_READ | MOLT_NET_WRITE);
        assert_int_equal(molt_net_attach(fd), MOLT_EEXIST);
        fake_add(ATTACHED, 1);
    }
    for (;;) {
        long n = molt_net_read(fd, buf, sizeof(buf), 0);
        if (n == MOLT_EBUSY)
            return 0;
        if (n <= 0)
            return molt_exit(molt_self(), 0);
        if (molt_net_write(fd, buf, (size_t)n, 0) != n)
            return MOLT_EIO;
    }
}

static void echo_terminate(struct fake_state *s, int reason)
{
    (void)s;
    (void)reason;
    fake_add(ENDED, 1);
}

/* ---- with time limits ---------------------------------------------------------- */

/* Begins on the lane of who started it, while its socket goes to another: its
 * waits end in time all the same. */
static int timed_ready(struct fake_state *s, int fd, unsigned events)
{
    if (events & MOLT_NET_GIVEN) {
        assert_int_equal(molt_sleep(5), 0);
        assert_int_equal(molt_timeout(5), 0);
        s->n = fd;
    }
    return 0;
}

static int timed_timeout(struct fake_state *s)
{
    assert_int_equal(molt_net_close((int)s->n), 0);
    return MOLT_STOP;
}

static int accept_init(struct fake_state *s, const void *arg)
{
    (void)s;
    (void)arg;
    int fd = molt_net_listen("127.0.0.1", 0, NULL);
    assert_true(fd >= 0);
    port = molt_net_port(fd);
    assert_int_equal(molt_net_listen("127.0.0.1", (unsigned)port, NULL), MOLT_EEXIST);
    assert_int_equal(molt_net_listen("localhost", 0, NULL), MOLT_EINVAL);
    assert_int_equal(molt_net_listen("127.0.0.1", 70000, NULL), MOLT_EINVAL);
    int rc = molt_net_attach(fd);
    fake_add(LISTENING, 1);
    return rc;
}

static int accept_ready(struct fake_state *s, int fd, unsigned events)
{
    (void)s;
    (void)events;
    for (;;) {
        int client = molt_net_accept(fd, 0);
        if (client == MOLT_EBUSY)
            return 0;
        assert_true(client >= 0);
        molt_pid pid;
        assert_int_equal(molt_spawn("echo", NULL, NULL, &pid), 0);
        last_pid = pid; /* it may be killed from here on */
        int rc = molt_net_give(client, pid);
        assert_true(rc == 0 || rc == MOLT_EDEAD);
        if (rc == MOLT_EDEAD)
            assert_int_equal(molt_net_close(client), 0);
        assert_int_equal(molt_net_give(client, pid), MOLT_EOWNER);
    }
}

/* ---- by message ------------------------------------------------------------------ */

/* A server that is told once for each time it asked. */
struct asker {
    int listener, datagrams;
    int conn;
    long n;
};
FAKE_TYPE(asker, struct asker, 0xa5);

/* Has molt_net_active_once() asked for what was got last. */
struct ask {
    int unused;
};
FAKE_TYPE(ask, struct ask, 0xa6);

static _Atomic int udp_port, last_rc;

static int asker_init(struct asker *s, const void *arg)
{
    (void)arg;
    s->listener = molt_net_listen("127.0.0.1", 0, NULL);
    s->datagrams = molt_net_bind("127.0.0.1", 0, NULL);
    s->conn = -1;
    assert_true(s->listener >= 0 && s->datagrams >= 0);
    assert_int_equal(molt_net_attach(s->listener), MOLT_ENOTSUP);
    port = molt_net_port(s->listener);
    udp_port = molt_net_port(s->datagrams);
    assert_int_equal(molt_net_active_once(s->listener), 0);
    assert_int_equal(molt_net_active_once(s->datagrams), 0);
    fake_add(LISTENING, 1);
    return 0;
}

static int asker_data(struct asker *s, const struct molt_net_data *data)
{
    if (data->sock == s->datagrams) {
        char text[MOLT_NET_TEXT_MAX];
        assert_true(molt_net_address_print(&data->from, text, sizeof(text)) > 0);
        assert_memory_equal(text, "127.0.0.1:", 10);
        assert_int_equal(molt_net_send_to(s->datagrams, &data->from, data->bytes, data->length, 0),
                         data->length);
        return molt_net_active_once(s->datagrams);
    }
    if (data->sock == s->listener || data->is_given) {
        s->conn = data->is_given ? data->sock : data->accepted;
        assert_true(s->conn >= 0);
        fake_add(ATTACHED, 1);
        return 0;
    }
    assert_int_equal(data->sock, s->conn);
    last_rc = data->rc;
    fake_add(BYTES, (long)data->length);
    fake_add(PIECES, 1);
    return 0;
}

static int asker_ask(struct asker *s, struct ask *ask)
{
    (void)ask;
    return molt_net_active_once(s->conn);
}

/* ---- many sockets in one process ---------------------------------------------------- */

#define MANY 20

struct crowd {
    int sock[MANY];
    long told[MANY];
};
FAKE_TYPE(crowd, struct crowd, 0xc0);
static int far_ends[MANY];

static int crowd_init(struct crowd *c, const void *arg)
{
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        far_ends[i] = pair[0];
        c->sock[i] = pair[1];
        assert_int_equal(molt_net_attach(pair[1]), 0);
    }
    fake_add(LISTENING, 1);
    return 0;
}

static int crowd_ready(struct crowd *c, int sock, unsigned events)
{
    char byte;
    (void)events;
    int i = 0;
    while (c->sock[i] != sock)
        i++;
    long n = molt_net_read(sock, &byte, 1, 0);
    while (n == 1) {
        c->told[i]++;
        fake_add(BYTES, 1);
        n = molt_net_read(sock, &byte, 1, 0);
    }
    if (n == 0) {
        assert_int_equal(molt_net_close(sock), 0);
        fake_add(ENDED, 1);
    }
    return 0;
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
    struct fake_server *asker = fake_server(&module, "asker", &asker_type);
    asker->desc.init = MOLT_FN(asker_init);
    asker->desc.on_data = MOLT_FN(asker_data);
    fake_on(asker, MOLT_HANDLER_CAST, &ask_type, MOLT_FN(asker_ask));
    struct fake_server *crowd = fake_server(&module, "crowd", &crowd_type);
    crowd->desc.init = MOLT_FN(crowd_init);
    crowd->desc.on_ready = MOLT_FN(crowd_ready);
    fake_runner(&module, "runner");
    struct fake_server *timed = fake_server(&module, "timed", &fake_state_type);
    timed->desc.on_ready = MOLT_FN(timed_ready);
    timed->desc.on_timeout = MOLT_FN(timed_timeout);
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

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 4096; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* At every moment between accepting, giving and serving. */
static void whoever_is_killed_leaves_no_descriptor_open(void **state)
{
    struct fake *f = *state;
    int fd = dial();
    exchange(fd, 1);
    close(fd);
    fake_await_processes(1);
    unsigned before = count_descriptors();
    for (int i = 0; i < 500; i++) {
        molt_pid last = last_pid;
        fd = dial();
        if (i % 4 == 0)
            exchange(fd, i);
        for (int turn = 0; last_pid == last && turn < 100000; turn++)
            sched_yield();
        for (int turn = 0; turn < i % 50; turn++)
            sched_yield();
        (void)molt_runtime_kill(f->rt, last_pid); /* it may have ended */
        close(fd);
    }
    fake_await_processes(1);
    assert_int_equal(count_descriptors(), before);
}

static void give_to_timed(void *arg)
{
    molt_pid pid;
    (void)arg;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(molt_spawn("timed", NULL, NULL, &pid), 0);
        int sock = molt_net_connect("127.0.0.1", (unsigned)port, NULL, 10000);
        assert_true(sock >= 0);
        assert_int_equal(molt_net_give(sock, pid), 0);
    }
}

static void time_passes_wherever_the_socket_is(void **state)
{
    (void)state;
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    assert_int_equal(fake_post("runner", give_to_timed, NULL, JOBS), 0);
    fake_await(JOBS, 1);
    fake_await_processes(2);
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

static void ask(void)
{
    assert_int_equal(molt_send("asker", fake_new(struct ask, ask)), 0);
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static void a_piece_comes_for_each_time_it_was_asked_for(void **state)
{
    char byte;
    (void)state;
    assert_int_equal(molt_spawn("asker", "asker", NULL, NULL), 0);
    fake_await(LISTENING, 2);
    int fd = dial();
    fake_await(ATTACHED, 1);
    send_text(fd, "one");
    ask();
    fake_await(PIECES, 1);
    assert_int_equal(fake_get(BYTES), 3);
    /* Asked before it is there. */
    ask();
    send_text(fd, "two");
    fake_await(PIECES, 2);
    /* Not asked: it stays where it is, and the process goes on. */
    send_text(fd, "three");
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)udp_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(sendto(udp, "u", 1, 0, (void *)&to, sizeof(to)), 1);
        assert_int_equal(recv(udp, &byte, 1, 0), 1);
    }
    assert_int_equal(fake_get(PIECES), 2);
    shutdown(fd, SHUT_WR);
    ask();
    fake_await(PIECES, 3);
    assert_int_equal(fake_get(BYTES), 11);
    /* The end, as often as it is asked for. */
    ask();
    fake_await(PIECES, 4);
    ask();
    fake_await(PIECES, 5);
    assert_int_equal(fake_get(BYTES), 11);
    assert_int_equal(last_rc, 0);
    /* And what is wrong. */
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
    close(udp);
}

static void give_to_asker(void *arg)
{
    (void)arg;
    int sock = molt_net_connect("127.0.0.1", (unsigned)port, NULL, 10000);
    assert_true(sock >= 0);
    assert_int_equal(molt_net_give(sock, molt_whereis("asker")), 0);
}

static void what_is_given_is_told_by_message(void **state)
{
    (void)state;
    /* The asker listens, too: the connection that is given is accepted by it. */
    assert_int_equal(molt_spawn("asker", "asker", NULL, NULL), 0);
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    fake_await(LISTENING, 2);
    assert_int_equal(fake_post("runner", give_to_asker, NULL, JOBS), 0);
    fake_await(JOBS, 1);
    fake_await(ATTACHED, 2);
}

static void each_of_many_sockets_has_its_turn(void **state)
{
    static char bytes[100];
    (void)state;
    assert_int_equal(molt_spawn("crowd", NULL, NULL, NULL), 0);
    fake_await(LISTENING, 2);
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < MANY; i++)
            assert_int_equal(send(far_ends[i], bytes, sizeof(bytes), 0), sizeof(bytes));
    fake_await(BYTES, 10L * MANY * (long)sizeof(bytes));
    /* The first, the last and some between end; the others go on. */
    for (int i = 0; i < MANY; i += 3)
        close(far_ends[i]);
    fake_await(ENDED, (MANY + 2) / 3);
    for (int i = 0; i < MANY; i++)
        if (i % 3)
            send_text(far_ends[i], "x");
    fake_await(BYTES, 10L * MANY * (long)sizeof(bytes) + MANY - (MANY + 2) / 3);
    for (int i = 0; i < MANY; i++)
        if (i % 3)
            close(far_ends[i]);
    fake_await(ENDED, MANY);
}

static void sockets_are_for_processes(void **state)
{
    (void)state;
    assert_int_equal(molt_net_attach(0), MOLT_ENOPROC);
    assert_int_equal(molt_net_close(0), MOLT_ENOPROC);
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
        TEST(time_passes_wherever_the_socket_is),
        TEST(a_dead_process_closes_its_descriptor),
        TEST(nothing_to_do_costs_no_time),
        TEST(a_piece_comes_for_each_time_it_was_asked_for),
        TEST(what_is_given_is_told_by_message),
        TEST(each_of_many_sockets_has_its_turn),
        TEST(sockets_are_for_processes),
        TEST(whoever_is_killed_leaves_no_descriptor_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
