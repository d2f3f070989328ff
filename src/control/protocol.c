/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "port/limits.h"

#define CHUNK MOLT_LIMIT(65536u, 64u)
#define FDS_MAX 16 /* descriptors that arrived ahead of their frames */
#define STALL_MS 30000

struct molt_conn {
    int fd;
    int stall_ms;
    int broken;    /* code of what ended receiving, 0 while it is fine */
    int tx_broken; /* likewise for sending: what came before can still be read */
    bool is_eof;
    uint8_t *rx;
    size_t rx_len, rx_cap;
    size_t rx_used; /* bytes of the frame that was handed out last */
    int fds[FDS_MAX];
    size_t n_fds;
};

/* ---- helpers ------------------------------------------------------------ */

static void put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void molt_frame_header(uint8_t header[MOLT_FRAME_HEADER], uint32_t type, uint32_t id, uint32_t len,
                       int has_fd)
{
    put_u32(header, MOLT_FRAME_MARK);
    put_u32(header + 4, has_fd ? type | MOLT_FRAME_HAS_FD : type);
    put_u32(header + 8, id);
    put_u32(header + 12, len);
}

static int fail(struct molt_conn *conn, int code)
{
    if (!conn->broken)
        conn->broken = code;
    return conn->broken;
}

static int fail_send(struct molt_conn *conn, int code)
{
    if (!conn->tx_broken)
        conn->tx_broken = code;
    return conn->tx_broken;
}

/* Milliseconds until @deadline, for poll(); -1 for no deadline. */
static int rest_ms(int64_t deadline)
{
    if (deadline < 0)
        return -1;
    int64_t rest = deadline - (int64_t)molt_clock_ms();
    return rest < 0 ? 0 : rest > 1 << 30 ? 1 << 30 : (int)rest;
}

/* ---- life --------------------------------------------------------------- */

int molt_conn_new(int fd, struct molt_conn **ret)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return MOLT_EIO;
    struct molt_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return MOLT_ENOMEM;
    conn->fd = fd;
    conn->stall_ms = STALL_MS;
    *ret = conn;
    return 0;
}

void molt_conn_free(struct molt_conn *conn)
{
    if (!conn)
        return;
    for (size_t i = 0; i < conn->n_fds; i++)
        close(conn->fds[i]);
    close(conn->fd);
    free(conn->rx);
    free(conn);
}

int molt_conn_fd(const struct molt_conn *conn)
{
    return conn->fd;
}

void molt_conn_set_stall(struct molt_conn *conn, int stall_ms)
{
    conn->stall_ms = stall_ms;
}

/* ---- receiving ---------------------------------------------------------- */

/* Take over the descriptors of a message. More than one per message, or more
 * than we keep, is not how this protocol is spoken. */
static int take_fds(struct molt_conn *conn, struct msghdr *msg)
{
    int rc = msg->msg_flags & MSG_CTRUNC ? MOLT_EFORMAT : 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (conn->n_fds < FDS_MAX && n == 1) {
                conn->fds[conn->n_fds++] = fd;
                continue;
            }
            close(fd);
            rc = MOLT_EFORMAT;
        }
    }
    return rc;
}

/* Room for what is still missing of the frame at hand, within CHUNK steps: the
 * length in a header is a claim, memory follows what really arrives. */
static int make_room(struct molt_conn *conn, size_t *ret_room)
{
    if (conn->rx_cap - conn->rx_len < CHUNK / 4) {
        size_t cap = conn->rx_cap ? conn->rx_cap * 2 : CHUNK;
        uint8_t *rx = realloc(conn->rx, cap);
        if (!rx)
            return MOLT_ENOMEM;
        conn->rx = rx;
        conn->rx_cap = cap;
    }
    *ret_room = conn->rx_cap - conn->rx_len;
    return 0;
}

/* Read what is there, once. 1: something came; 0: nothing there now. */
static int fill(struct molt_conn *conn)
{
    size_t room;
    int rc = make_room(conn, &room);
    if (rc < 0)
        return fail(conn, rc);
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 4)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {conn->rx + conn->rx_len, room};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(conn->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (n < 0)
        return fail(conn, errno == ECONNRESET ? MOLT_ECLOSED : MOLT_EIO);
    rc = take_fds(conn, &msg);
    if (rc < 0)
        return fail(conn, rc);
    if (n == 0)
        conn->is_eof = true;
    conn->rx_len += (size_t)n;
    return n > 0;
}

/* Forget the frame that was handed out last. */
static void drop_used(struct molt_conn *conn)
{
    if (!conn->rx_used)
        return;
    conn->rx_len -= conn->rx_used;
    memmove(conn->rx, conn->rx + conn->rx_used, conn->rx_len);
    conn->rx_used = 0;
    if (conn->rx_len == 0 && conn->rx_cap > 16 * CHUNK) {
        free(conn->rx);
        conn->rx = NULL;
        conn->rx_cap = 0;
    }
}

/* The first whole frame of the buffer: 1; 0: not there yet. */
static int next_frame(struct molt_conn *conn, struct molt_frame *ret)
{
    if (conn->rx_len < MOLT_FRAME_HEADER)
        return 0;
    uint32_t type = get_u32(conn->rx + 4), len = get_u32(conn->rx + 12);
    if (get_u32(conn->rx) != MOLT_FRAME_MARK || len > MOLT_FRAME_MAX)
        return fail(conn, MOLT_EFORMAT);
    size_t whole = MOLT_FRAME_HEADER + (size_t)len;
    if (conn->rx_len < whole)
        return 0;
    bool has_fd = type & MOLT_FRAME_HAS_FD;
    if (has_fd && conn->n_fds == 0)
        return fail(conn, MOLT_EFORMAT);
    if (!has_fd && conn->n_fds > 0 && conn->rx_len == whole)
        return fail(conn, MOLT_EFORMAT); /* a descriptor that no frame announced */
    *ret = (struct molt_frame){.type = type & ~MOLT_FRAME_HAS_FD,
                               .id = get_u32(conn->rx + 8),
                               .payload = conn->rx + MOLT_FRAME_HEADER,
                               .len = len,
                               .fd = -1};
    if (has_fd) {
        ret->fd = conn->fds[0];
        memmove(conn->fds, conn->fds + 1, --conn->n_fds * sizeof(int));
    }
    conn->rx_used = whole;
    return 1;
}

int molt_conn_receive(struct molt_conn *conn, int timeout_ms, struct molt_frame *ret)
{
    int64_t deadline = timeout_ms < 0 ? -1 : (int64_t)molt_clock_ms() + timeout_ms;
    drop_used(conn);
    for (;;) {
        if (conn->broken)
            return conn->broken;
        int rc = next_frame(conn, ret);
        if (rc)
            return rc;
        if (conn->is_eof)
            return fail(conn, MOLT_ECLOSED);
        rc = fill(conn);
        if (rc || conn->is_eof)
            continue;
        struct pollfd p = {.fd = conn->fd, .events = POLLIN};
        if (poll(&p, 1, rest_ms(deadline)) <= 0 && rest_ms(deadline) == 0)
            return 0;
    }
}

/* ---- sending ------------------------------------------------------------ */

/* Wait until the socket takes more. Input that comes meanwhile is kept. */
static int wait_writable(struct molt_conn *conn)
{
    int64_t deadline = (int64_t)molt_clock_ms() + conn->stall_ms;
    for (;;) {
        bool may_read = !conn->is_eof && conn->rx_len < MOLT_FRAME_MAX + 2 * CHUNK;
        struct pollfd p = {.fd = conn->fd, .events = (short)(POLLOUT | (may_read ? POLLIN : 0))};
        int n = poll(&p, 1, rest_ms(deadline));
        if (n < 0 && errno != EINTR)
            return fail_send(conn, MOLT_EIO);
        if (n > 0 && (p.revents & (POLLOUT | POLLERR | POLLNVAL)))
            return 0;
        if (n > 0 && (p.revents & (POLLIN | POLLHUP)) && may_read) {
            int rc = fill(conn);
            if (rc < 0)
                return fail_send(conn, rc);
        } else if (n > 0 && (p.revents & POLLHUP)) {
            return fail_send(conn, MOLT_ECLOSED);
        }
        if (rest_ms(deadline) == 0)
            return fail_send(conn, MOLT_ECLOSED);
    }
}

/* One sendmsg of what is left; @fd goes with the first byte only. */
static ssize_t send_some(struct molt_conn *conn, struct iovec *iov, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (fd >= 0) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    return sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void advance(struct iovec *iov, size_t n)
{
    for (int i = 0; i < 2; i++) {
        size_t step = n < iov[i].iov_len ? n : iov[i].iov_len;
        if (!step)
            continue; /* no payload: no pointer to add to */
        iov[i].iov_base = (char *)iov[i].iov_base + step;
        iov[i].iov_len -= step;
        n -= step;
    }
}

int molt_conn_send(struct molt_conn *conn, uint32_t type, uint32_t id, const void *payload,
                   size_t len, int fd)
{
    if (conn->tx_broken)
        return conn->tx_broken;
    if (len > MOLT_FRAME_MAX)
        return MOLT_ELIMIT;
    uint8_t header[MOLT_FRAME_HEADER];
    molt_frame_header(header, type, id, (uint32_t)len, fd >= 0);
    struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)payload, len}};
    while (iov[0].iov_len + iov[1].iov_len > 0) {
        ssize_t n = send_some(conn, iov, fd);
        if (n > 0) {
            advance(iov, (size_t)n);
            fd = -1;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            int rc = wait_writable(conn);
            if (rc < 0)
                return rc;
        } else if (n < 0 && errno != EINTR) {
            bool is_gone = errno == EPIPE || errno == ECONNRESET;
            return fail_send(conn, is_gone ? MOLT_ECLOSED : MOLT_EIO);
        }
    }
    return 0;
}

int molt_conn_reply(struct molt_conn *conn, uint32_t id, int code, const char *text,
                    const struct molt_buf *payload)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    if (payload && payload->is_failed && code >= 0) {
        code = MOLT_ENOMEM;
        text = "the host ran out of memory while it answered";
    }
    molt_buf_u32(&buf, (uint32_t)code);
    if (code < 0)
        molt_buf_str(&buf, text && *text ? text : molt_error_text(code));
    else if (payload)
        molt_buf_add(&buf, payload->data, payload->len);
    int rc = buf.is_failed ? MOLT_ENOMEM
                           : molt_conn_send(conn, MOLT_FRAME_REPLY, id, buf.data, buf.len, -1);
    molt_buf_fini(&buf);
    return rc;
}
