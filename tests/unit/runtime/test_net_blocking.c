/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Sockets in the blocking style: each side is a process that waits inside a
 * callback. */
#include "unit/runtime/fake_world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { LISTENING, STEP, DONE };

#define LONG 20000 /* ms; beyond what a test takes */

/* What the jobs of a test share. */
static struct shared {
    _Atomic int port, sock, rc;
    molt_pid pid;
    char path[128];
} shared;

static struct fake_module module;

static int setup(void **state)
{
    static struct fake f;
    static const char *const names[] = {"a", "b", "c"};
    fake_init(&f, 2);
    memset(&shared, 0, sizeof(shared));
    snprintf(shared.path, sizeof(shared.path), "%s.sock", f.store);
    fake_module_init(&module, "net", 1);
    for (int i = 0; i < 3; i++)
        fake_runner(&module, names[i]);
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    static struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(molt_spawn(names[i], names[i], NULL, i == 1 ? &shared.pid : NULL), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    molt_thread_unregister(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    fake_fini(*state);
    unlink(shared.path);
    return 0;
}

static void post(const char *name, void (*fn)(void *), void *arg)
{
    assert_int_equal(fake_post(name, fn, arg, DONE), 0);
}

static int listen_here(void)
{
    int sock = molt_net_listen("127.0.0.1", 0, NULL);
    assert_true(sock >= 0);
    shared.port = molt_net_port(sock);
    fake_add(LISTENING, 1);
    return sock;
}

static int dial(void)
{
    int sock = molt_net_connect("127.0.0.1", (unsigned)shared.port, NULL, LONG);
    assert_true(sock >= 0);
    return sock;
}

static void check_text(int (*fn)(int, struct molt_net_address *), int sock, const char *expected)
{
    struct molt_net_address address;
    char text[MOLT_NET_TEXT_MAX];
    assert_int_equal(fn(sock, &address), 0);
    assert_int_equal(molt_net_address_print(&address, text, sizeof(text)), strlen(expected));
    assert_string_equal(text, expected);
}

/* ---- streams ------------------------------------------------------------------- */

static void serve_echo(void *arg)
{
    char buf[5000];
    int sock = *(int *)arg ? molt_net_listen(shared.path, 0, NULL) : listen_here();
    assert_true(sock >= 0);
    if (*(int *)arg)
        fake_add(LISTENING, 1);
    int conn = molt_net_accept(sock, LONG);
    assert_true(conn >= 0);
    long n;
    while ((n = molt_net_read(conn, buf, sizeof(buf), LONG)) > 0)
        assert_int_equal(molt_net_write_all(conn, buf, (size_t)n, LONG), 0);
    assert_int_equal(n, 0);
    assert_int_equal(molt_net_close(conn), 0);
    assert_int_equal(molt_net_close(sock), 0);
    assert_int_equal(molt_net_close(sock), MOLT_EOWNER);
}

/* A process can't read while it waits for writing, so this one doesn't expect
 * more than the buffers hold at a time. */
static void use_echo(int sock)
{
    char out[4096], in[4096];
    for (int i = 0; i < 200; i++) {
        memset(out, i, sizeof(out));
        struct iovec parts[] = {{out, 1000}, {out + 1000, sizeof(out) - 1000}};
        assert_int_equal(molt_net_writev(sock, parts, 2, LONG), sizeof(out));
        size_t got = 0;
        while (got < sizeof(in)) {
            size_t half = (sizeof(in) - got) / 2;
            struct iovec into[] = {{in + got, half}, {in + got + half, sizeof(in) - got - half}};
            long n = molt_net_readv(sock, into, 2, LONG);
            assert_true(n > 0);
            got += (size_t)n;
        }
        assert_memory_equal(in, out, sizeof(in));
    }
    assert_int_equal(molt_net_shutdown(sock, MOLT_NET_WRITE), 0);
    assert_int_equal(molt_net_read(sock, in, sizeof(in), LONG), 0);
    assert_int_equal(molt_net_read(sock, in, sizeof(in), LONG), 0);
    assert_int_equal(molt_net_close(sock), 0);
}

static void call_tcp(void *arg)
{
    (void)arg;
    char peer[64];
    int sock = dial();
    snprintf(peer, sizeof(peer), "127.0.0.1:%d", shared.port);
    check_text(molt_net_peer, sock, peer);
    use_echo(sock);
}

static void tcp_is_read_and_written_to_the_end(void **state)
{
    int is_unix = 0;
    (void)state;
    post("a", serve_echo, &is_unix);
    fake_await(LISTENING, 1);
    post("b", call_tcp, NULL);
    fake_await(DONE, 2);
}

static void call_unix(void *arg)
{
    (void)arg;
    int sock = molt_net_connect(shared.path, 0, NULL, LONG);
    assert_true(sock >= 0);
    check_text(molt_net_peer, sock, shared.path);
    use_echo(sock);
}

static void unix_paths_serve_as_well(void **state)
{
    int is_unix = 1;
    (void)state;
    post("a", serve_echo, &is_unix);
    fake_await(LISTENING, 1);
    post("b", call_unix, NULL);
    fake_await(DONE, 2);
    /* The file of the listener that is closed is still there. */
    struct stat st;
    assert_int_equal(stat(shared.path, &st), 0);
    post("a", serve_echo, &is_unix);
    fake_await(LISTENING, 2);
    post("b", call_unix, NULL);
    fake_await(DONE, 4);
}

/* ---- back-pressure ----------------------------------------------------------------- */

#define BULK (3 << 20)

static char bulk_at(long i)
{
    return (char)(i * 7 + i / 1000);
}

static void accept_one(void *arg)
{
    (void)arg;
    int sock = listen_here();
    shared.sock = molt_net_accept(sock, LONG);
    assert_true(shared.sock >= 0);
}

static void read_bulk(void *arg)
{
    char buf[60000];
    long n, sum = 0;
    (void)arg;
    while ((n = molt_net_read(shared.sock, buf, sizeof(buf), LONG)) > 0)
        for (long i = 0; i < n; i++, sum++)
            assert_int_equal(buf[i], bulk_at(sum));
    assert_int_equal(n, 0);
    assert_int_equal(sum, BULK);
}

static void write_bulk(void *arg)
{
    (void)arg;
    char *bytes = malloc(BULK);
    for (long i = 0; i < BULK; i++)
        bytes[i] = bulk_at(i);
    int sock = dial();
    assert_int_equal(molt_net_set(sock, MOLT_NET_OPTION_SEND_BUFFER, 20000), 0);
    assert_true(molt_net_get(sock, MOLT_NET_OPTION_SEND_BUFFER) >= 20000);
    long sent = 0, n;
    /* Nobody reads yet. */
    while ((n = molt_net_write(sock, bytes + sent, 100000, 50)) > 0 && sent + n < BULK - 100000)
        sent += n;
    assert_int_equal(n, MOLT_ETIMEDOUT);
    assert_int_equal(molt_net_write(sock, bytes, 1, 0), MOLT_EBUSY);
    assert_int_equal(molt_net_write_all(sock, bytes, 1000, 20), MOLT_ETIMEDOUT);
    post("a", read_bulk, NULL);
    assert_int_equal(molt_net_write_all(sock, bytes + sent, (size_t)(BULK - sent), LONG), 0);
    assert_int_equal(molt_net_close(sock), 0);
    free(bytes);
}

static void a_slow_reader_holds_up_its_writer(void **state)
{
    (void)state;
    post("a", accept_one, NULL);
    fake_await(LISTENING, 1);
    post("b", write_bulk, NULL);
    fake_await(DONE, 3);
}

/* ---- limits of waiting --------------------------------------------------------------- */

static void wait_in_vain(void *arg)
{
    char buf[8];
    (void)arg;
    int sock = listen_here();
    uint64_t from = molt_clock_ns();
    assert_int_equal(molt_net_accept(sock, 0), MOLT_EBUSY);
    assert_int_equal(molt_net_accept(sock, 30), MOLT_ETIMEDOUT);
    assert_true(molt_clock_ns() - from >= 29000000);
    int conn = dial();
    assert_int_equal(molt_net_read(conn, buf, sizeof(buf), 0), MOLT_EBUSY);
    assert_int_equal(molt_net_read(conn, buf, sizeof(buf), 20), MOLT_ETIMEDOUT);
    assert_int_equal(molt_net_take(0), MOLT_EBUSY);
    assert_int_equal(molt_net_take(20), MOLT_ETIMEDOUT);
    int other = molt_net_accept(sock, LONG);
    assert_true(other >= 0);
    assert_int_equal(molt_net_write(other, "abc", 3, 0), 3);
    assert_int_equal(molt_net_read(conn, buf, sizeof(buf), LONG), 3);
    /* What is refused changes nothing. */
    assert_int_equal(molt_net_read(conn, NULL, 1, LONG), MOLT_EINVAL);
    assert_int_equal(molt_net_readv(conn, NULL, 1, LONG), MOLT_EINVAL);
    assert_int_equal(molt_net_accept(conn, LONG), MOLT_EINVAL);
    assert_int_equal(molt_net_shutdown(conn, 0), MOLT_EINVAL);
    assert_int_equal(molt_net_active_once(conn), MOLT_ENOTSUP);
    assert_int_equal(molt_net_attach(conn), MOLT_ENOTSUP);
    assert_int_equal(molt_net_read(-1, buf, 1, LONG), MOLT_EINVAL);
    assert_int_equal(molt_net_read(0, buf, 1, LONG), MOLT_EOWNER);
    assert_int_equal(molt_net_connect("127.0.0.1", 1, NULL, 0), MOLT_EINVAL);
    assert_int_equal(molt_net_connect("127.0.0.1", 70000, NULL, LONG), MOLT_EINVAL);
    struct molt_net_options bad = {.size = 1};
    assert_int_equal(molt_net_listen("127.0.0.1", 0, &bad), MOLT_EINVAL);
}

static void waiting_ends_in_time(void **state)
{
    (void)state;
    post("a", wait_in_vain, NULL);
    fake_await(DONE, 1);
}

static void wait_with_lock(void *arg)
{
    char buf[8];
    (void)arg;
    int sock = listen_here(), conn = dial();
    molt_lock_enter(&shared);
    assert_int_equal(molt_net_read(conn, buf, sizeof(buf), 10), MOLT_ELOCKED);
    assert_int_equal(molt_net_accept(sock, -1), MOLT_ELOCKED);
    assert_int_equal(molt_net_take(-1), MOLT_ELOCKED);
    assert_int_equal(molt_net_resolve("localhost", 1, &(struct molt_net_address){0}, 1, 10),
                     MOLT_ELOCKED);
    assert_int_equal(molt_net_read(conn, buf, sizeof(buf), 0), MOLT_EBUSY);
    molt_lock_leave(&shared);
}

static void nobody_waits_with_a_lock(void **state)
{
    (void)state;
    post("a", wait_with_lock, NULL);
    fake_await(DONE, 1);
    fake_await_log("molt_net_read() would block while 1 lock is held");
}

static void wait_for_ever(void *arg)
{
    char buf[8];
    int conn = dial();
    fake_add(STEP, 1);
    shared.rc = (int)molt_net_read(conn, buf, sizeof(buf), -1);
    assert_int_equal(molt_net_read(conn, buf, sizeof(buf), -1), MOLT_EKILLED);
    assert_int_equal(molt_net_read(conn, buf, sizeof(buf), 0), MOLT_EBUSY);
    (void)arg;
}

static void who_is_asked_to_end_waits_no_longer(void **state)
{
    (void)state;
    post("a", accept_one, NULL);
    fake_await(LISTENING, 1);
    post("b", wait_for_ever, NULL);
    fake_await(STEP, 1);
    assert_int_equal(molt_exit(shared.pid, 0), 0);
    fake_await(DONE, 2);
    assert_int_equal(shared.rc, MOLT_EKILLED);
    fake_await_processes(2);
}

static void see_end(void *arg)
{
    char byte;
    (void)arg;
    assert_int_equal(molt_net_read(shared.sock, &byte, 1, LONG), 0);
}

static void who_is_killed_loses_its_sockets(void **state)
{
    struct fake *f = *state;
    post("a", accept_one, NULL);
    fake_await(LISTENING, 1);
    post("b", wait_for_ever, NULL);
    fake_await(STEP, 1);
    fake_await(DONE, 1);
    assert_int_equal(molt_runtime_kill(f->rt, shared.pid), 0);
    post("a", see_end, NULL);
    fake_await(DONE, 2);
    fake_await_processes(2);
}

/* ---- peers ------------------------------------------------------------------------------ */

static void see_reset(void *arg)
{
    char byte;
    (void)arg;
    assert_int_equal(molt_net_read(shared.sock, &byte, 1, LONG), MOLT_ECLOSED);
    assert_int_equal(molt_net_write(shared.sock, &byte, 1, LONG), MOLT_ECLOSED);
}

static void reset(void *arg)
{
    struct linger now = {.l_onoff = 1};
    (void)arg;
    int sock = dial();
    setsockopt(sock, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    molt_net_close(sock);
}

static void a_reset_is_told(void **state)
{
    (void)state;
    post("a", accept_one, NULL);
    fake_await(LISTENING, 1);
    post("b", reset, NULL);
    fake_await(DONE, 2);
    post("a", see_reset, NULL);
    fake_await(DONE, 3);
}

static void meet_nobody(void *arg)
{
    (void)arg;
    int sock = listen_here();
    assert_int_equal(molt_net_listen("127.0.0.1", (unsigned)shared.port, NULL), MOLT_EEXIST);
    assert_int_equal(molt_net_close(sock), 0);
    assert_int_equal(molt_net_connect("127.0.0.1", (unsigned)shared.port, NULL, LONG),
                     MOLT_EREFUSED);
    assert_int_equal(molt_net_connect(shared.path, 0, NULL, LONG), MOLT_ENOENT);
    assert_int_equal(molt_net_connect(shared.path, 1, NULL, LONG), MOLT_EINVAL);
    sock = molt_net_listen(shared.path, 0, NULL);
    assert_true(sock >= 0);
    /* Somebody serves it. */
    assert_int_equal(molt_net_listen(shared.path, 0, NULL), MOLT_EEXIST);
    /* One that accepts nobody. */
    struct molt_net_options few = {.size = sizeof(few), .backlog = 1};
    int full = molt_net_listen("@molt-test-full", 0, &few), rc = 0;
    assert_true(full >= 0);
    check_text(molt_net_name, full, "@molt-test-full");
    for (int i = 0; i < 4 && rc >= 0; i++)
        rc = molt_net_connect("@molt-test-full", 0, NULL, 30);
    assert_int_equal(rc, MOLT_ETIMEDOUT);
}

static void who_is_not_there_is_told(void **state)
{
    (void)state;
    post("a", meet_nobody, NULL);
    fake_await(DONE, 1);
}

static void call_by_name(void *arg)
{
    struct molt_net_address address[4];
    char text[MOLT_NET_TEXT_MAX];
    (void)arg;
    assert_int_equal(molt_net_resolve("localhost", 80, address, 4, 0), MOLT_EBUSY);
    int n = molt_net_resolve("localhost", 80, address, 4, LONG);
    assert_in_range(n, 1, 4);
    assert_true(molt_net_address_print(&address[0], text, sizeof(text)) > 0);
    assert_true(strcmp(text, "127.0.0.1:80") == 0 || strcmp(text, "[::1]:80") == 0);
    assert_int_equal(molt_net_resolve("::1", 80, address, 4, 0), 1);
    assert_int_equal(molt_net_resolve("not a/name", 80, address, 4, LONG), MOLT_EINVAL);
    int sock = molt_net_connect("localhost", (unsigned)shared.port, NULL, LONG);
    assert_true(sock >= 0);
    assert_int_equal(molt_net_close(sock), 0);
    for (int i = 0; i < 50; i++) /* also after a thread has gone idle */
        assert_true(molt_net_resolve("localhost", 80, address, 1, LONG) == 1);
}

static void names_are_resolved(void **state)
{
    (void)state;
    post("a", accept_one, NULL);
    fake_await(LISTENING, 1);
    post("b", call_by_name, NULL);
    fake_await(DONE, 2);
}

static void ask_and_die(void *arg)
{
    struct molt_net_address address;
    (void)arg;
    fake_add(STEP, 1);
    for (;;)
        if (molt_net_resolve("localhost", 80, &address, 1, -1) == MOLT_EKILLED)
            return;
}

static void an_answer_that_nobody_fetches_is_dropped(void **state)
{
    struct fake *f = *state;
    post("b", ask_and_die, NULL);
    fake_await(STEP, 1);
    assert_int_equal(molt_runtime_kill(f->rt, shared.pid), 0);
    fake_await_processes(2);
}

/* ---- datagrams ----------------------------------------------------------------------------- */

static void serve_udp(void *arg)
{
    char buf[64];
    struct molt_net_address from;
    (void)arg;
    int sock = molt_net_bind("127.0.0.1", 0, NULL);
    assert_true(sock >= 0);
    shared.port = molt_net_port(sock);
    assert_int_equal(molt_net_recv_from(sock, &from, buf, sizeof(buf), 0), MOLT_EBUSY);
    fake_add(LISTENING, 1);
    for (int i = 0; i < 100; i++) {
        long n = molt_net_recv_from(sock, &from, buf, sizeof(buf), LONG);
        assert_true(n >= 0);
        assert_int_equal(molt_net_send_to(sock, &from, buf, (size_t)n, LONG), n);
    }
}

static void call_udp(void *arg)
{
    char buf[64];
    struct molt_net_address to, from;
    (void)arg;
    int sock = molt_net_bind("*", 0, NULL);
    assert_true(sock >= 0);
    assert_int_equal(molt_net_address_parse("::ffff:127.0.0.1", (unsigned)shared.port, &to), 0);
    for (int i = 0; i < 100; i++) {
        size_t len = (size_t)(i % 60);
        memset(buf, i, sizeof(buf));
        assert_int_equal(molt_net_send_to(sock, &to, buf, len, LONG), len);
        memset(buf, 0xee, sizeof(buf));
        assert_int_equal(molt_net_recv_from(sock, &from, buf, sizeof(buf), LONG), len);
        assert_true(len == 0 || buf[len - 1] == i);
    }
    char text[MOLT_NET_TEXT_MAX], expected[64];
    snprintf(expected, sizeof(expected), "127.0.0.1:%d", shared.port);
    assert_true(molt_net_address_print(&from, text, sizeof(text)) > 0);
    assert_string_equal(text, expected);
    assert_int_equal(molt_net_address_print(&from, text, 5), MOLT_EINVAL);
}

static void datagrams_come_whole(void **state)
{
    (void)state;
    post("a", serve_udp, NULL);
    fake_await(LISTENING, 1);
    post("b", call_udp, NULL);
    fake_await(DONE, 2);
}

/* ---- between processes ------------------------------------------------------------------------
 */

static void take_and_answer(void *arg)
{
    char byte;
    (void)arg;
    int sock = molt_net_take(LONG);
    assert_true(sock >= 0);
    assert_int_equal(molt_net_read(sock, &byte, 1, LONG), 1);
    byte++;
    assert_int_equal(molt_net_write_all(sock, &byte, 1, LONG), 0);
}

static void give(void *arg)
{
    (void)arg;
    int sock = listen_here(), conn = molt_net_accept(sock, LONG);
    assert_true(conn >= 0);
    assert_int_equal(molt_net_give(conn, (molt_pid)12345 << 24 | 1), MOLT_EDEAD);
    assert_int_equal(molt_net_give(conn, molt_self()), 0);
    assert_int_equal(molt_net_give(conn, shared.pid), 0);
    assert_int_equal(molt_net_write(conn, "x", 1, LONG), MOLT_EOWNER);
    assert_int_equal(molt_net_close(conn), MOLT_EOWNER);
}

static void ask_one(void *arg)
{
    char byte = 'a';
    (void)arg;
    int sock = dial();
    assert_int_equal(molt_net_write_all(sock, &byte, 1, LONG), 0);
    assert_int_equal(molt_net_read(sock, &byte, 1, LONG), 1);
    assert_int_equal(byte, 'b');
}

static void a_socket_is_given_away(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        post("a", give, NULL);
        fake_await(LISTENING, round + 1);
        /* Before it is there, and when it is there already. */
        if (round == 0)
            post("b", take_and_answer, NULL);
        post("c", ask_one, NULL);
        if (round == 1) {
            fake_await(DONE, 4); /* given */
            post("b", take_and_answer, NULL);
        }
        fake_await(DONE, 3 * (round + 1));
    }
}

/* ---- descriptors run out ------------------------------------------------------------------------
 */

static void accept_without_descriptors(void *arg)
{
    (void)arg;
    int sock = listen_here(), conn = dial(), spare[1024], n = 0;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 256;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (n < 1024 && (spare[n] = dup(0)) >= 0)
        n++;
    uint64_t from = molt_clock_ns();
    assert_int_equal(molt_net_accept(sock, 0), MOLT_ELIMIT);
    assert_true(molt_clock_ns() - from < 90000000);
    assert_int_equal(molt_net_accept(sock, LONG), MOLT_ELIMIT);
    assert_true(molt_clock_ns() - from >= 99000000);
    assert_int_equal(molt_net_connect("127.0.0.1", (unsigned)shared.port, NULL, 10), MOLT_ELIMIT);
    while (n > 0)
        close(spare[--n]);
    assert_true(molt_net_accept(sock, LONG) >= 0);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_NOFILE, &limit);
    molt_net_close(conn);
}

static void running_out_of_descriptors_is_told_slowly(void **state)
{
    (void)state;
    post("a", accept_without_descriptors, NULL);
    fake_await(DONE, 1);
}

static void addresses_are_read_and_printed(void **state)
{
    static const struct {
        const char *text;
        unsigned port;
        const char *printed;
    } good[] = {{"127.0.0.1", 80, "127.0.0.1:80"},
                {"::1", 0, "[::1]:0"},
                {"*", 9, "[::]:9"},
                {"fe80::1%lo", 7, "[fe80::1%1]:7"},
                {"fe80::1%1", 7, "[fe80::1%1]:7"},
                {"/tmp/x", 0, "/tmp/x"},
                {"./x", 0, "./x"},
                {"@x", 0, "@x"}};
    static const struct {
        const char *text;
        unsigned port;
    } bad[] = {{"localhost", 1}, {"127.0.0.1", 65536},    {"", 1},
               {"@", 0},         {"/tmp/x", 1},           {"1.2.3", 1},
               {"::g", 1},       {"fe80::1%nosuchif", 1}, {"[::1]", 1}};
    struct molt_net_address address;
    char text[MOLT_NET_TEXT_MAX], path[200];
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(molt_net_address_parse(good[i].text, good[i].port, &address), 0);
        assert_int_equal(molt_net_address_print(&address, text, sizeof(text)),
                         strlen(good[i].printed));
        assert_string_equal(text, good[i].printed);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(molt_net_address_parse(bad[i].text, bad[i].port, &address), MOLT_EINVAL);
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[199] = '\0';
    assert_int_equal(molt_net_address_parse(path, 0, &address), MOLT_EINVAL);
    address = (struct molt_net_address){0};
    assert_int_equal(molt_net_address_print(&address, text, sizeof(text)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(tcp_is_read_and_written_to_the_end),
        TEST(unix_paths_serve_as_well),
        TEST(a_slow_reader_holds_up_its_writer),
        TEST(waiting_ends_in_time),
        TEST(nobody_waits_with_a_lock),
        TEST(who_is_asked_to_end_waits_no_longer),
        TEST(who_is_killed_loses_its_sockets),
        TEST(a_reset_is_told),
        TEST(who_is_not_there_is_told),
        TEST(names_are_resolved),
        TEST(an_answer_that_nobody_fetches_is_dropped),
        TEST(datagrams_come_whole),
        TEST(a_socket_is_given_away),
        TEST(running_out_of_descriptors_is_told_slowly),
        TEST(addresses_are_read_and_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
