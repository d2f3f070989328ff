/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Agents are killed at any moment, also in the middle of an upgrade, and others
 * that talk nonsense take their place before the next good one does: the host
 * serves all the time.
 *
 * MOLT_TORTURE_SECONDS (20) or MOLT_TORTURE_MINUTES: a quarter of it; MOLT_SEED.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "code/meta.h"
#include "control/listen.h"
#include "control/protocol.h"
#include "port/memfd.h"
#include "torture/project.h"

#define ANSWER_MS (15000 * MOLT_TEST_SLOWNESS)

static void fill(struct torture *t, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)torture_random(t, 256);
}

/* The host may still be busy with the end of the last agent. */
static struct molt_conn *attach(struct torture *t)
{
    char path[600];
    uint64_t end = molt_clock_ms() + ANSWER_MS;
    snprintf(path, sizeof(path), "%s/.molt/host.sock", t->app.root);
    while (molt_clock_ms() < end) {
        int fd;
        struct molt_conn *conn;
        struct molt_frame answer;
        struct molt_buf hello = MOLT_BUF_INIT;
        assert_int_equal(molt_connect_unix(path, &fd, NULL), 0);
        assert_int_equal(molt_conn_new(fd, &conn), 0);
        molt_buf_u32(&hello, MOLT_PROTOCOL_VERSION);
        int rc = molt_conn_send(conn, MOLT_FRAME_HELLO, 7, hello.data, hello.len, -1);
        molt_buf_fini(&hello);
        if (rc == 0 && molt_conn_receive(conn, ANSWER_MS, &answer) == 1 && answer.id == 7)
            return conn;
        molt_conn_free(conn);
        poll(NULL, 0, 10);
    }
    fail_msg("the host takes no agent");
    return NULL;
}

/* The code of the answer; *ret (may be NULL) its payload behind it. Events that
 * come before are passed over. */
static int ask(struct molt_conn *conn, uint32_t type, const struct molt_buf *payload, int fd,
               struct molt_buf *ret)
{
    struct molt_frame frame;
    if (molt_conn_send(conn, type, 9, payload ? payload->data : NULL, payload ? payload->len : 0,
                       fd) < 0)
        return MOLT_ECLOSED;
    for (;;) {
        int rc = molt_conn_receive(conn, ANSWER_MS, &frame);
        assert_int_not_equal(rc, 0);
        if (rc < 0)
            return MOLT_ECLOSED;
        if (frame.id != 9)
            continue;
        struct molt_reader r = molt_reader_init(frame.payload, frame.len);
        int code = (int)molt_reader_u32(&r);
        if (ret && code >= 0 && frame.len > 4)
            molt_buf_add(ret, frame.payload + 4, frame.len - 4);
        return code;
    }
}

/* A file that is no image, with or without the head of one. */
static int make_garbage(struct torture *t, uint8_t digest[MOLT_SHA256_BYTES])
{
    uint8_t bytes[8192];
    fill(t, bytes, sizeof(bytes));
    if (torture_random(t, 2))
        memcpy(bytes, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\76\0\1\0\0\0", 24);
    int fd = molt_memfd_open("garbage");
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(molt_sha256_fd(fd, digest), 0);
    return fd;
}

/* Garbage whose digest is right, under the description of a good module. */
static void put_garbage(struct torture *t, struct molt_conn *conn)
{
    struct molt_buf out = MOLT_BUF_INIT, in = MOLT_BUF_INIT, bytes = MOLT_BUF_INIT;
    struct molt_meta *meta;
    uint8_t digest[MOLT_SHA256_BYTES];
    molt_buf_str(&out, "hello");
    molt_buf_u32(&out, 0);
    assert_int_equal(ask(conn, MOLT_FRAME_META, &out, -1, &in), 0);
    struct molt_reader r = molt_reader_init(in.data, in.len);
    uint32_t len = molt_reader_u32(&r);
    assert_int_equal(len + 4, in.len);
    assert_int_equal(molt_meta_decode(in.data + 4, len, &meta, NULL), 0);
    int fd = make_garbage(t, digest);
    memcpy(meta->digest, digest, sizeof(digest));
    assert_int_equal(molt_meta_encode(meta, &bytes), 0);
    molt_meta_free(meta);
    molt_buf_reset(&in);
    assert_int_equal(ask(conn, MOLT_FRAME_BEGIN, NULL, -1, &in), 0);
    molt_buf_reset(&out);
    molt_buf_add(&out, in.data, 8); /* the stage */
    molt_buf_bytes(&out, bytes.data, bytes.len);
    assert_true(ask(conn, MOLT_FRAME_PUT, &out, fd, NULL) < 0);
    close(fd);
    molt_buf_fini(&out);
    molt_buf_fini(&in);
    molt_buf_fini(&bytes);
}

/* Requests that change nothing even if they are understood. */
static void send_nonsense(struct torture *t, struct molt_conn *conn)
{
    static const uint32_t types[] = {
        MOLT_FRAME_REPLY, MOLT_FRAME_HELLO,      MOLT_FRAME_BEGIN,   MOLT_FRAME_INTERFACE,
        MOLT_FRAME_PUT,   MOLT_FRAME_KEEP,       MOLT_FRAME_DELETE,  MOLT_FRAME_APPLY,
        MOLT_FRAME_ABORT, MOLT_FRAME_MODULES,    MOLT_FRAME_WORLDS,  MOLT_FRAME_PROCESSES,
        MOLT_FRAME_META,  MOLT_FRAME_LOG,        MOLT_FRAME_CRASH,   0,
        MOLT_FRAME_STATS, MOLT_FRAME_INTERFACES, MOLT_FRAME_RECIPES, MOLT_FRAME_MOVES};
    for (int i = 0; i < 20; i++) {
        uint8_t bytes[300], digest[MOLT_SHA256_BYTES];
        struct molt_buf payload = MOLT_BUF_INIT;
        fill(t, bytes, sizeof(bytes));
        molt_buf_add(&payload, bytes, torture_random(t, sizeof(bytes)));
        int fd = torture_random(t, 2) ? make_garbage(t, digest) : -1;
        uint32_t type = types[torture_random(t, sizeof(types) / sizeof(*types))];
        int rc = ask(conn, type, &payload, fd, NULL);
        molt_buf_fini(&payload);
        if (fd >= 0)
            close(fd);
        if (rc == MOLT_ECLOSED)
            return;
    }
}

static void be_a_bad_agent(struct torture *t)
{
    struct molt_conn *conn = attach(t);
    if (torture_random(t, 2))
        put_garbage(t, conn);
    if (torture_random(t, 2)) {
        send_nonsense(t, conn);
    } else { /* half a frame, then gone */
        uint8_t bytes[64];
        fill(t, bytes, sizeof(bytes));
        molt_frame_header(bytes, MOLT_FRAME_PUT, 3, (uint32_t)torture_random(t, 1u << 20), 0);
        (void)!send(molt_conn_fd(conn), bytes, sizeof(bytes), MSG_NOSIGNAL);
    }
    molt_conn_free(conn);
}

/* After some saves, the last of which may be under way. */
static void kill_agent(struct torture *t)
{
    for (uint64_t n = torture_random(t, 4); n > 0; n--)
        torture_save(t, true);
    torture_save(t, false);
    poll(NULL, 0, (int)torture_random(t, 400)); /* the moment is the chance's */
    test_app_kill_agent(&t->app);
}

static void the_host_serves_whatever_agents_do(void **state)
{
    struct torture *t = *state;
    pid_t host = test_app_host(&t->app);
    unsigned n_killed = 0;
    do {
        struct molt_load_stats before, after;
        kill_agent(t);
        n_killed++;
        molt_load_snapshot(t->load, &before);
        if (torture_random(t, 3))
            be_a_bad_agent(t);
        test_app_start(&t->app, "dev");
        torture_repair(t);
        test_app_await(&t->app, "was running already, and went on");
        molt_load_snapshot(t->load, &after);
        assert_true(after.requests > before.requests);
        assert_int_equal(after.n_failures, 0);
        torture_check(t);
    } while (!torture_is_over(t));
    torture_finish(t);
    assert_int_equal(test_app_host(&t->app), host);
    print_message("%u agents killed\n", n_killed);
}

static int start(void **state)
{
    struct torture *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    *state = t;
    torture_start(t, 0.25);
    return 0;
}

static int stop(void **state)
{
    torture_fini(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_serves_whatever_agents_do),
    };
    return cmocka_run_group_tests_name("agents that die and lie", tests, start, stop);
}
