/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/protocol.h"

/* One end is a connection, the other a raw socket or a connection too. */
struct ends {
    struct molt_conn *a, *b;
    int raw; /* the end of b, while it isn't a connection */
};

static void open_raw(struct ends *e)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(molt_conn_new(pair[0], &e->a), 0);
    e->b = NULL;
    e->raw = pair[1];
}

static void open_both(struct ends *e)
{
    open_raw(e);
    assert_int_equal(molt_conn_new(e->raw, &e->b), 0);
    e->raw = -1;
}

static void close_ends(struct ends *e)
{
    molt_conn_free(e->a);
    molt_conn_free(e->b);
    if (e->raw >= 0)
        close(e->raw);
}

static void a_frame_arrives_as_it_was_sent(void **state)
{
    (void)state;
    struct ends e;
    struct molt_frame f;
    open_both(&e);
    assert_int_equal(molt_conn_send(e.a, MOLT_FRAME_PUT, 7, "hello", 5, -1), 0);
    assert_int_equal(molt_conn_send(e.a, MOLT_FRAME_BEGIN, 8, NULL, 0, -1), 0);
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), 1);
    assert_int_equal(f.type, MOLT_FRAME_PUT);
    assert_int_equal(f.id, 7);
    assert_int_equal(f.len, 5);
    assert_memory_equal(f.payload, "hello", 5);
    assert_int_equal(f.fd, -1);
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), 1);
    assert_int_equal(f.type, MOLT_FRAME_BEGIN);
    assert_int_equal(f.len, 0);
    assert_int_equal(molt_conn_receive(e.b, 0, &f), 0);
    close_ends(&e);
}

static void a_frame_in_single_bytes_is_put_together(void **state)
{
    (void)state;
    struct ends e;
    struct molt_frame f;
    uint8_t bytes[MOLT_FRAME_HEADER + 3];
    open_raw(&e);
    molt_frame_header(bytes, MOLT_FRAME_LOG, 0, 3, 0);
    memcpy(bytes + MOLT_FRAME_HEADER, "abc", 3);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        assert_int_equal(molt_conn_receive(e.a, 0, &f), 0);
        assert_int_equal(write(e.raw, bytes + i, 1), 1);
    }
    assert_int_equal(molt_conn_receive(e.a, 0, &f), 1);
    assert_memory_equal(f.payload, "abc", 3);
    close_ends(&e);
}

static ino_t inode(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static void descriptors_come_with_their_own_frames(void **state)
{
    (void)state;
    struct ends e;
    struct molt_frame f;
    int first = open("/dev/null", O_RDONLY), second = open("/dev/zero", O_RDONLY);
    open_both(&e);
    assert_int_equal(molt_conn_send(e.a, MOLT_FRAME_PUT, 1, "x", 1, first), 0);
    assert_int_equal(molt_conn_send(e.a, MOLT_FRAME_KEEP, 2, "y", 1, -1), 0);
    assert_int_equal(molt_conn_send(e.a, MOLT_FRAME_PUT, 3, "z", 1, second), 0);
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), 1);
    assert_int_equal(inode(f.fd), inode(first));
    assert_true(fcntl(f.fd, F_GETFD) & FD_CLOEXEC);
    close(f.fd);
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), 1);
    assert_int_equal(f.fd, -1);
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), 1);
    assert_int_equal(inode(f.fd), inode(second));
    close(f.fd);
    close(first);
    close(second);
    close_ends(&e);
}

static void a_frame_that_announces_a_descriptor_without_one_is_malformed(void **state)
{
    (void)state;
    struct ends e;
    struct molt_frame f;
    uint8_t header[MOLT_FRAME_HEADER];
    open_raw(&e);
    molt_frame_header(header, MOLT_FRAME_PUT, 1, 0, 1);
    assert_int_equal(write(e.raw, header, sizeof(header)), sizeof(header));
    assert_int_equal(molt_conn_receive(e.a, 1000, &f), MOLT_EFORMAT);
    assert_int_equal(molt_conn_receive(e.a, 0, &f), MOLT_EFORMAT);
    close_ends(&e);
}

/* @bytes with @n descriptors, past molt_conn_send(). */
static void send_fds(int socket, const void *bytes, size_t len, int n)
{
    int fd = open("/dev/null", O_RDONLY);
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = CMSG_SPACE((size_t)n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
    for (int i = 0; i < n; i++)
        memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fd, sizeof(int));
    assert_int_equal(sendmsg(socket, &msg, 0), (ssize_t)len);
    close(fd);
}

static void descriptors_that_nobody_announced_are_malformed(void **state)
{
    (void)state;
    uint8_t header[MOLT_FRAME_HEADER];
    for (int n = 1; n <= 3; n++) {
        struct ends e;
        struct molt_frame f;
        open_raw(&e);
        /* With one descriptor the frame says that there is none; with more it
         * announces one, but a frame has no more than one. */
        molt_frame_header(header, MOLT_FRAME_PUT, 1, 0, n > 1);
        send_fds(e.raw, header, sizeof(header), n);
        assert_int_equal(molt_conn_receive(e.a, 1000, &f), MOLT_EFORMAT);
        close_ends(&e);
    }
}

static void a_longer_payload_than_allowed_is_malformed(void **state)
{
    (void)state;
    struct ends e;
    struct molt_frame f;
    uint8_t header[MOLT_FRAME_HEADER];
    open_raw(&e);
    molt_frame_header(header, MOLT_FRAME_PUT, 1, MOLT_FRAME_MAX + 1, 0);
    assert_int_equal(write(e.raw, header, sizeof(header)), sizeof(header));
    assert_int_equal(molt_conn_receive(e.a, 1000, &f), MOLT_EFORMAT);
    assert_int_equal(molt_conn_send(e.a, MOLT_FRAME_PUT, 1, "", MOLT_FRAME_MAX + 1u, -1),
                     MOLT_ELIMIT);
    close_ends(&e);
}

static void the_end_of_the_stream_is_closed_also_inside_a_frame(void **state)
{
    (void)state;
    uint8_t bytes[MOLT_FRAME_HEADER + 10] = {0};
    molt_frame_header(bytes, MOLT_FRAME_PUT, 1, 10, 0);
    for (size_t n = 0; n < sizeof(bytes); n++) {
        struct ends e;
        struct molt_frame f;
        open_raw(&e);
        assert_int_equal(write(e.raw, bytes, n), (ssize_t)n);
        close(e.raw);
        e.raw = -1;
        assert_int_equal(molt_conn_receive(e.a, 1000, &f), MOLT_ECLOSED);
        close_ends(&e);
    }
}

static void frames_before_the_end_are_still_read(void **state)
{
    (void)state;
    struct ends e;
    struct molt_frame f;
    open_both(&e);
    assert_int_equal(molt_conn_send(e.a, MOLT_FRAME_CRASH, 0, "last", 4, -1), 0);
    molt_conn_free(e.a);
    e.a = NULL;
    /* Sending fails first; what the peer said before it died isn't lost. */
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = molt_conn_send(e.b, MOLT_FRAME_STATS, 1, NULL, 0, -1);
    assert_int_equal(rc, MOLT_ECLOSED);
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), 1);
    assert_int_equal(f.type, MOLT_FRAME_CRASH);
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), MOLT_ECLOSED);
    close_ends(&e);
}

#define BIG (3u << 20) /* more than a socket's buffer */

static void *send_big(void *arg)
{
    char *big = calloc(1, BIG);
    struct molt_conn *conn = arg;
    int rc = molt_conn_send(conn, MOLT_FRAME_LOG, 0, big, BIG, -1);
    free(big);
    return (void *)(intptr_t)rc;
}

/* As both sides do: send, then wait for the other's frame. */
static void *send_and_receive_big(void *conn)
{
    struct molt_frame f;
    void *rc = send_big(conn);
    if (!rc && (molt_conn_receive(conn, 20000, &f) != 1 || f.len != BIG))
        rc = (void *)(intptr_t)MOLT_EFORMAT;
    return rc;
}

static void two_peers_that_send_at_once_do_not_wait_for_each_other(void **state)
{
    (void)state;
    struct ends e;
    pthread_t t;
    void *rc;
    open_both(&e);
    molt_conn_set_stall(e.a, 20000);
    molt_conn_set_stall(e.b, 20000);
    assert_int_equal(pthread_create(&t, NULL, send_and_receive_big, e.a), 0);
    assert_int_equal((intptr_t)send_and_receive_big(e.b), 0);
    pthread_join(t, &rc);
    assert_int_equal((intptr_t)rc, 0);
    close_ends(&e);
}

static void a_peer_that_never_reads_counts_as_gone(void **state)
{
    (void)state;
    struct ends e;
    open_raw(&e);
    molt_conn_set_stall(e.a, 50);
    assert_int_equal((intptr_t)send_big(e.a), MOLT_ECLOSED);
    close_ends(&e);
}

/* Random bytes, and valid streams with a few bytes flipped: never more than an
 * error, and every descriptor closed. Each seed is one stream. */
static void garbage_is_an_error_and_nothing_else(void **state)
{
    (void)state;
    int before = dup(0);
    close(before);
    for (unsigned seed = 1; seed <= 400; seed++) {
        struct ends e;
        struct molt_frame f;
        uint8_t bytes[512];
        unsigned s = seed;
        open_raw(&e);
        size_t at = 0;
        while (at + MOLT_FRAME_HEADER + 16 < sizeof(bytes)) {
            uint32_t len = (uint32_t)rand_r(&s) % 16;
            molt_frame_header(bytes + at, (uint32_t)rand_r(&s) % 70, 1, len, rand_r(&s) % 8 == 0);
            at += MOLT_FRAME_HEADER + len;
        }
        for (unsigned i = 0; i < seed % 8; i++)
            bytes[(size_t)rand_r(&s) % at] ^= (uint8_t)(1 << rand_r(&s) % 8);
        if (seed % 4 == 0)
            for (size_t i = 0; i < at; i++)
                bytes[i] = (uint8_t)rand_r(&s);
        if (seed % 3 == 0)
            send_fds(e.raw, bytes, at, (int)(seed % 4) ? 1 : 4);
        else
            assert_int_equal(write(e.raw, bytes, at), (ssize_t)at);
        close(e.raw);
        e.raw = -1;
        int rc, n = 0;
        while ((rc = molt_conn_receive(e.a, 1000, &f)) == 1) {
            assert_true(f.len <= sizeof(bytes));
            if (f.fd >= 0)
                close(f.fd);
            assert_true(++n < 100);
        }
        if (rc != MOLT_ECLOSED)
            assert_int_equal(rc, MOLT_EFORMAT);
        close_ends(&e);
    }
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

static void a_reply_carries_a_code_and_a_text_or_a_payload(void **state)
{
    (void)state;
    struct ends e;
    struct molt_frame f;
    struct molt_buf payload = MOLT_BUF_INIT;
    open_both(&e);
    molt_buf_u64(&payload, 42);
    assert_int_equal(molt_conn_reply(e.a, 5, 0, NULL, &payload), 0);
    assert_int_equal(molt_conn_reply(e.a, 6, MOLT_EREFUSED, "because", NULL), 0);
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), 1);
    struct molt_reader r = molt_reader_init(f.payload, f.len);
    assert_int_equal(f.type, MOLT_FRAME_REPLY);
    assert_int_equal(f.id, 5);
    assert_int_equal(molt_reader_u32(&r), 0);
    assert_int_equal(molt_reader_u64(&r), 42);
    assert_true(molt_reader_at_end(&r));
    assert_int_equal(molt_conn_receive(e.b, 1000, &f), 1);
    r = molt_reader_init(f.payload, f.len);
    assert_int_equal((int)molt_reader_u32(&r), MOLT_EREFUSED);
    char *text = molt_reader_str(&r);
    assert_string_equal(text, "because");
    free(text);
    molt_buf_fini(&payload);
    close_ends(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_arrives_as_it_was_sent),
        cmocka_unit_test(a_frame_in_single_bytes_is_put_together),
        cmocka_unit_test(descriptors_come_with_their_own_frames),
        cmocka_unit_test(a_frame_that_announces_a_descriptor_without_one_is_malformed),
        cmocka_unit_test(descriptors_that_nobody_announced_are_malformed),
        cmocka_unit_test(a_longer_payload_than_allowed_is_malformed),
        cmocka_unit_test(the_end_of_the_stream_is_closed_also_inside_a_frame),
        cmocka_unit_test(frames_before_the_end_are_still_read),
        cmocka_unit_test(two_peers_that_send_at_once_do_not_wait_for_each_other),
        cmocka_unit_test(a_peer_that_never_reads_counts_as_gone),
        cmocka_unit_test(garbage_is_an_error_and_nothing_else),
        cmocka_unit_test(a_reply_carries_a_code_and_a_text_or_a_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
