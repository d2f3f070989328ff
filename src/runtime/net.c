/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Moving bytes, and what else is done with a socket that is open. */
#include "runtime/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "port/transfer.h"
#include "runtime/rt.h"
#include "runtime/wait.h"

/* Without descriptors: how long before the next attempt is worth it. */
#define SHORT_MS 100

struct molt_process *molt_net_caller(void)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && !runner->is_converting ? runner->process : NULL;
}

int molt_net_enter(int sock, int timeout_ms, const char *what, struct molt_process **ret_p,
                   struct molt_socket **ret)
{
    struct molt_process *p = molt_net_caller();
    if (!p)
        return MOLT_ENOPROC;
    struct molt_socket *s = molt_socket_find(p, sock);
    if (!s)
        return sock < 0 ? MOLT_EINVAL : MOLT_EOWNER;
    *ret_p = p;
    *ret = s;
    return timeout_ms == 0 ? 0 : molt_wait_check_locks(p, what);
}

int molt_net_code(int error)
{
    switch (error) {
    case EAGAIN:
        return MOLT_EBUSY;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return MOLT_ECLOSED;
    case ETIMEDOUT:
        return MOLT_ETIMEDOUT;
    case ECONNREFUSED:
    case EACCES:
    case EPERM:
        return MOLT_EREFUSED;
    case EADDRINUSE:
        return MOLT_EEXIST;
    case ENOENT:
        return MOLT_ENOENT;
    case EMFILE:
    case ENFILE:
        return MOLT_ELIMIT;
    case ENOMEM:
    case ENOBUFS:
        return MOLT_ENOMEM;
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
    case EDESTADDRREQ:
    case EAFNOSUPPORT:
    case EMSGSIZE:
        return MOLT_EINVAL;
    default:
        return MOLT_EIO;
    }
}

/* ---- reading and writing ------------------------------------------------------------ */

/* A system call on a socket, and what it is about. */
struct transfer {
    ssize_t (*fn)(int fd, struct transfer *t);
    unsigned event; /* what it needs: MOLT_NET_READ or MOLT_NET_WRITE */
    struct msghdr *msg;
    void *to;
    const void *from;
    size_t len; /* asked for; less than that means there is no more */
};

static ssize_t do_recv(int fd, struct transfer *t)
{
    return molt_port_recv(fd, t->to, t->len);
}

static ssize_t do_send(int fd, struct transfer *t)
{
    return molt_port_send(fd, t->from, t->len);
}

static ssize_t do_recvmsg(int fd, struct transfer *t)
{
    return recvmsg(fd, t->msg, MSG_DONTWAIT);
}

static ssize_t do_sendmsg(int fd, struct transfer *t)
{
    return sendmsg(fd, t->msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* One attempt. What an earlier event said is taken away before, so that one that
 * comes meanwhile stays. A stream that gave or took less than it was asked for is
 * empty or full, and says when it isn't any more; but an end that it told of
 * together with its last bytes has no event of its own. */
static long attempt(struct molt_socket *s, struct transfer *t, bool is_told)
{
    unsigned before = molt_socket_expect(s, t->event);
    if (is_told && !(before & t->event))
        return MOLT_EBUSY;
    ssize_t n;
    do
        n = t->fn(s->fd, t);
    while (n < 0 && errno == EINTR);
    bool is_short = s->kind == MOLT_SOCKET_STREAM && (size_t)n < t->len;
    if (n >= 0 ? !is_short || before & MOLT_NET_HANGUP : errno != EAGAIN)
        molt_socket_allow(s, t->event);
    if (n >= 0)
        return n;
    /* The peer stopped answering. */
    return errno == ETIMEDOUT ? MOLT_ECLOSED : molt_net_code(errno);
}

/* Whether it is enough to look at what epoll said. Not for who polls by hand: it
 * may do that without ever letting the worker look at descriptors. */
static bool is_told(const struct molt_socket *s, int timeout_ms)
{
    return s->lane && (s->is_attached || timeout_ms != 0);
}

static long move(int sock, struct transfer *t, int timeout_ms, const char *what)
{
    struct molt_process *p;
    struct molt_socket *s;
    long n = molt_net_enter(sock, timeout_ms, what, &p, &s);
    if (n < 0)
        return n;
    n = attempt(s, t, is_told(s, timeout_ms));
    if (n != MOLT_EBUSY || timeout_ms == 0)
        return n;
    uint64_t deadline_ns = molt_socket_deadline(timeout_ms);
    while (n == MOLT_EBUSY) {
        int rc = molt_socket_wait(p, s, t->event, deadline_ns);
        if (rc < 0)
            return rc;
        n = attempt(s, t, true);
    }
    return n;
}

long molt_net_read(int sock, void *buf, size_t len, int timeout_ms)
{
    struct transfer t = {.fn = do_recv, .event = MOLT_NET_READ, .to = buf, .len = len};
    return buf || len == 0 ? move(sock, &t, timeout_ms, "molt_net_read()") : MOLT_EINVAL;
}

long molt_net_write(int sock, const void *buf, size_t len, int timeout_ms)
{
    struct transfer t = {.fn = do_send, .event = MOLT_NET_WRITE, .from = buf, .len = len};
    return buf || len == 0 ? move(sock, &t, timeout_ms, "molt_net_write()") : MOLT_EINVAL;
}

static long move_parts(int sock, struct transfer *t, const struct iovec *parts, int n,
                       int timeout_ms, const char *what)
{
    if (!parts || n < 1 || n > IOV_MAX)
        return MOLT_EINVAL;
    for (int i = 0; i < n; i++)
        t->len += parts[i].iov_len;
    /* The structure serves both directions, hence it isn't const. */
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)n};
    t->msg = &msg;
    return move(sock, t, timeout_ms, what);
}

long molt_net_readv(int sock, const struct iovec *parts, int n, int timeout_ms)
{
    struct transfer t = {.fn = do_recvmsg, .event = MOLT_NET_READ};
    return move_parts(sock, &t, parts, n, timeout_ms, "molt_net_readv()");
}

long molt_net_writev(int sock, const struct iovec *parts, int n, int timeout_ms)
{
    struct transfer t = {.fn = do_sendmsg, .event = MOLT_NET_WRITE};
    return move_parts(sock, &t, parts, n, timeout_ms, "molt_net_writev()");
}

static int time_left(uint64_t deadline_ns)
{
    uint64_t now = molt_clock_ns();
    if (deadline_ns == UINT64_MAX)
        return -1;
    return deadline_ns > now ? (int)((deadline_ns - now + 999999) / 1000000) : 0;
}

int molt_net_write_all(int sock, const void *buf, size_t len, int timeout_ms)
{
    const char *at = buf, *end = at + len;
    uint64_t deadline_ns = molt_socket_deadline(timeout_ms);
    int left_ms = timeout_ms;
    while (at < end) {
        long n = molt_net_write(sock, at, (size_t)(end - at), left_ms);
        if (n < 0)
            return n == MOLT_EBUSY && timeout_ms != 0 ? MOLT_ETIMEDOUT : (int)n;
        at += n;
        if (at < end && timeout_ms > 0)
            left_ms = time_left(deadline_ns);
    }
    return 0;
}

/* ---- datagrams ------------------------------------------------------------------------ */

long molt_net_recv_from(int sock, struct molt_net_address *ret_from, void *buf, size_t len,
                        int timeout_ms)
{
    struct molt_net_address from = {0};
    struct iovec part = {buf, len};
    struct msghdr msg = {.msg_name = from.bytes, .msg_iov = &part, .msg_iovlen = 1};
    struct transfer t = {.fn = do_recvmsg, .event = MOLT_NET_READ, .msg = &msg, .len = len};
    msg.msg_namelen = sizeof(from.bytes);
    if (!buf && len > 0)
        return MOLT_EINVAL;
    long n = move(sock, &t, timeout_ms, "molt_net_recv_from()");
    if (n >= 0 && ret_from) {
        from.length = msg.msg_namelen;
        *ret_from = from;
    }
    return n;
}

long molt_net_send_to(int sock, const struct molt_net_address *to, const void *buf, size_t len,
                      int timeout_ms)
{
    if (!to || to->length > sizeof(to->bytes) || (!buf && len > 0))
        return MOLT_EINVAL;
    struct molt_net_address name = *to;
    struct iovec part = {(void *)(uintptr_t)buf, len};
    struct msghdr msg = {.msg_name = name.bytes,
                         .msg_namelen = to->length,
                         .msg_iov = &part,
                         .msg_iovlen = 1};
    struct transfer t = {.fn = do_sendmsg, .event = MOLT_NET_WRITE, .msg = &msg, .len = len};
    return move(sock, &t, timeout_ms, "molt_net_send_to()");
}

/* ---- accepting -------------------------------------------------------------------------- */

static int accept_fd(int fd)
{
    for (;;) {
        int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        /* One that is gone already: the next one. */
        if (conn >= 0 || (errno != EINTR && errno != ECONNABORTED))
            return conn;
    }
}

static int accept_now(struct molt_process *p, struct molt_socket *s, bool is_told)
{
    struct molt_socket *accepted;
    if (!(molt_socket_expect(s, MOLT_NET_READ) & MOLT_NET_READ) && is_told)
        return MOLT_EBUSY;
    int fd = accept_fd(s->fd);
    if (fd >= 0 || errno != EAGAIN)
        molt_socket_allow(s, MOLT_NET_READ);
    if (fd < 0) {
        int code = molt_net_code(errno);
        s->is_short = code == MOLT_ELIMIT || code == MOLT_ENOMEM;
        return s->is_short ? MOLT_ELIMIT : code;
    }
    /* Inherited from the listener as far as the system does that: NODELAY is. */
    int rc = molt_socket_adopt(p, fd, MOLT_SOCKET_STREAM, &accepted);
    s->is_short = rc == MOLT_ELIMIT || rc == MOLT_ENOMEM;
    if (rc == 0)
        return fd;
    close(fd);
    return s->is_short ? MOLT_ELIMIT : rc;
}

int molt_net_accept(int sock, int timeout_ms)
{
    struct molt_process *p;
    struct molt_socket *s;
    int fd = molt_net_enter(sock, timeout_ms, "molt_net_accept()", &p, &s);
    if (fd < 0)
        return fd;
    if (s->kind != MOLT_SOCKET_LISTENER)
        return MOLT_EINVAL;
    uint64_t deadline_ns = molt_socket_deadline(timeout_ms);
    fd = accept_now(p, s, is_told(s, timeout_ms));
    while (fd == MOLT_EBUSY && timeout_ms != 0) {
        int rc = molt_socket_wait(p, s, MOLT_NET_READ, deadline_ns);
        if (rc < 0)
            return rc;
        fd = accept_now(p, s, true);
    }
    /* The reason may be over soon; and who calls this in a loop must not spin. */
    if (fd == MOLT_ELIMIT && timeout_ms != 0) {
        int rc = molt_socket_pause(p, SHORT_MS, deadline_ns);
        fd = rc < 0 ? rc : accept_now(p, s, true);
        if (fd == MOLT_EBUSY)
            fd = MOLT_ELIMIT;
    }
    return fd;
}

/* ---- by message, by edge -------------------------------------------------------------- */

static const struct molt_server *server_of(const struct molt_process *p)
{
    struct molt_world *world = atomic_load_explicit(&p->world, memory_order_relaxed);
    const struct molt_server_ref *ref = molt_world_server(world, p->server_id);
    return ref ? ref->desc : NULL;
}

int molt_net_active_once(int sock)
{
    struct molt_process *p;
    struct molt_socket *s;
    int rc = molt_net_enter(sock, 0, NULL, &p, &s);
    if (rc < 0)
        return rc;
    const struct molt_server *desc = server_of(p);
    if (!desc || desc->size < offsetof(struct molt_server, on_data) + sizeof(desc->on_data) ||
        !desc->on_data)
        return MOLT_ENOTSUP;
    if (s->is_short) {
        rc = molt_wait_check_locks(p, "molt_net_active_once()");
        if (rc == 0)
            rc = molt_socket_pause(p, SHORT_MS, UINT64_MAX);
        if (rc < 0)
            return rc;
        s->is_short = false;
    }
    rc = molt_socket_watch(p, s);
    if (rc < 0)
        return rc;
    s->is_active = true;
    molt_process_signal(p, MOLT_DO_READY);
    return 0;
}

/* A descriptor that came from elsewhere. */
static int adopt_foreign(struct molt_process *p, int fd, struct molt_socket **ret)
{
    int type, is_listener = 0;
    socklen_t len = sizeof(type);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return MOLT_EINVAL;
    len = sizeof(is_listener);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &len);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return MOLT_EIO;
    enum molt_socket_kind kind = is_listener           ? MOLT_SOCKET_LISTENER
                                 : type == SOCK_STREAM ? MOLT_SOCKET_STREAM
                                                       : MOLT_SOCKET_DATAGRAM;
    return molt_socket_adopt(p, fd, kind, ret);
}

int molt_net_attach(int sock)
{
    struct molt_process *p = molt_net_caller();
    if (!p)
        return MOLT_ENOPROC;
    if (sock < 0)
        return MOLT_EINVAL;
    const struct molt_server *desc = server_of(p);
    if (!desc || !desc->on_ready)
        return MOLT_ENOTSUP;
    struct molt_socket *s = molt_socket_find(p, sock);
    int rc = s ? 0 : adopt_foreign(p, sock, &s);
    if (rc < 0)
        return rc;
    if (s->is_attached)
        return MOLT_EEXIST;
    rc = molt_socket_watch(p, s);
    if (rc < 0)
        return rc;
    s->is_attached = true;
    /* The first on_ready, also where nothing is ready yet. */
    molt_socket_allow(s, (MOLT_NET_READ | MOLT_NET_WRITE) << MOLT_SOCKET_NEWS_SHIFT);
    molt_process_signal(p, MOLT_DO_READY);
    return 0;
}

static bool take_connection(struct molt_process *p, struct molt_socket *s,
                            struct molt_net_data *ret)
{
    int fd = accept_now(p, s, true);
    if (fd == MOLT_EBUSY)
        return false;
    if (fd < 0)
        ret->rc = fd;
    else
        ret->accepted = fd;
    return true;
}

bool molt_socket_take_data(struct molt_process *p, struct molt_socket *s, void *buf, size_t size,
                           struct molt_net_data *ret)
{
    *ret = (struct molt_net_data){.sock = s->fd, .accepted = -1, .bytes = buf};
    if (s->is_given) {
        s->is_given = false;
        ret->is_given = 1;
        return true;
    }
    bool is_there = true;
    if (s->kind == MOLT_SOCKET_LISTENER) {
        is_there = take_connection(p, s, ret);
    } else {
        struct iovec part = {buf, size};
        struct msghdr msg = {.msg_name = ret->from.bytes,
                             .msg_namelen = sizeof(ret->from.bytes),
                             .msg_iov = &part,
                             .msg_iovlen = 1};
        struct transfer t = {.fn = do_recvmsg, .event = MOLT_NET_READ, .msg = &msg, .len = size};
        long n = attempt(s, &t, true);
        is_there = n != MOLT_EBUSY;
        ret->length = n > 0 ? (size_t)n : 0;
        ret->rc = n < 0 ? (int)n : msg.msg_flags & MSG_TRUNC ? MOLT_ELIMIT : 0;
        ret->from.length = n >= 0 && s->kind == MOLT_SOCKET_DATAGRAM ? msg.msg_namelen : 0;
    }
    if (is_there)
        s->is_active = false;
    return is_there;
}

/* ---- between processes ------------------------------------------------------------------ */

int molt_net_give(int sock, molt_pid pid)
{
    struct molt_process *p;
    struct molt_socket *s;
    int rc = molt_net_enter(sock, 0, NULL, &p, &s);
    return rc < 0 ? rc : molt_socket_give(p, s, pid);
}

int molt_net_take(int timeout_ms)
{
    struct molt_process *p = molt_net_caller();
    struct molt_socket *s = NULL;
    if (!p)
        return MOLT_ENOPROC;
    int rc = timeout_ms == 0 ? 0 : molt_wait_check_locks(p, "molt_net_take()");
    if (rc == 0)
        rc = molt_socket_await_given(p, molt_socket_deadline(timeout_ms), &s);
    return s && rc == 0 ? s->fd : rc;
}

/* ---- about a socket ------------------------------------------------------------------------ */

int molt_net_close(int sock)
{
    struct molt_process *p;
    struct molt_socket *s;
    int rc = molt_net_enter(sock, 0, NULL, &p, &s);
    if (rc == 0)
        molt_socket_close(p, s);
    return rc;
}

int molt_net_shutdown(int sock, unsigned directions)
{
    struct molt_process *p;
    struct molt_socket *s;
    int rc = molt_net_enter(sock, 0, NULL, &p, &s);
    if (rc < 0)
        return rc;
    int how;
    switch (directions) {
    case MOLT_NET_READ:
        how = SHUT_RD;
        break;
    case MOLT_NET_WRITE:
        how = SHUT_WR;
        break;
    case MOLT_NET_READ | MOLT_NET_WRITE:
        how = SHUT_RDWR;
        break;
    default:
        return MOLT_EINVAL;
    }
    return shutdown(s->fd, how) < 0 ? molt_net_code(errno) : 0;
}

typedef int name_fn(int fd, struct sockaddr *name, socklen_t *len);

static int get_name(int sock, name_fn *fn, struct molt_net_address *ret)
{
    struct molt_process *p;
    struct molt_socket *s;
    union {
        struct sockaddr any;
        struct sockaddr_storage room;
    } name;
    socklen_t len = sizeof(name);
    int rc = ret ? molt_net_enter(sock, 0, NULL, &p, &s) : MOLT_EINVAL;
    if (rc < 0)
        return rc;
    if (fn(s->fd, &name.any, &len) < 0)
        return molt_net_code(errno);
    molt_net_address_set(ret, &name, len);
    return 0;
}

static int get_own(int fd, struct sockaddr *name, socklen_t *len)
{
    return getsockname(fd, name, len);
}

static int get_peer(int fd, struct sockaddr *name, socklen_t *len)
{
    return getpeername(fd, name, len);
}

int molt_net_name(int sock, struct molt_net_address *ret)
{
    return get_name(sock, get_own, ret);
}

int molt_net_peer(int sock, struct molt_net_address *ret)
{
    return get_name(sock, get_peer, ret);
}

int molt_net_port(int sock)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } name = {.any = {0}};
    socklen_t len = sizeof(name);
    if (getsockname(sock, &name.any, &len) < 0)
        return MOLT_EINVAL;
    if (name.any.sa_family == AF_INET)
        return ntohs(name.v4.sin_port);
    return name.any.sa_family == AF_INET6 ? ntohs(name.v6.sin6_port) : MOLT_EINVAL;
}

struct option {
    int level, name;
};

static bool find_option(enum molt_net_option which, struct option *ret)
{
    switch (which) {
    case MOLT_NET_OPTION_NODELAY:
        *ret = (struct option){IPPROTO_TCP, TCP_NODELAY};
        return true;
    case MOLT_NET_OPTION_KEEP_ALIVE:
        *ret = (struct option){SOL_SOCKET, SO_KEEPALIVE};
        return true;
    case MOLT_NET_OPTION_SEND_BUFFER:
        *ret = (struct option){SOL_SOCKET, SO_SNDBUF};
        return true;
    case MOLT_NET_OPTION_RECEIVE_BUFFER:
        *ret = (struct option){SOL_SOCKET, SO_RCVBUF};
        return true;
    }
    return false;
}

int molt_net_set(int sock, enum molt_net_option option, int value)
{
    struct molt_process *p;
    struct molt_socket *s;
    struct option o;
    int rc = molt_net_enter(sock, 0, NULL, &p, &s);
    if (rc < 0)
        return rc;
    if (value < 0 || !find_option(option, &o))
        return MOLT_EINVAL;
    if (option == MOLT_NET_OPTION_KEEP_ALIVE && value > 0 &&
        setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof(value)) < 0)
        return MOLT_EINVAL;
    bool is_switch = option == MOLT_NET_OPTION_KEEP_ALIVE || option == MOLT_NET_OPTION_NODELAY;
    int on = is_switch ? value > 0 : value;
    return setsockopt(s->fd, o.level, o.name, &on, sizeof(on)) < 0 ? MOLT_EINVAL : 0;
}

int molt_net_get(int sock, enum molt_net_option option)
{
    struct molt_process *p;
    struct molt_socket *s;
    struct option o;
    int value = 0, rc = molt_net_enter(sock, 0, NULL, &p, &s);
    if (rc < 0)
        return rc;
    socklen_t len = sizeof(value);
    if (!find_option(option, &o) || getsockopt(s->fd, o.level, o.name, &value, &len) < 0)
        return MOLT_EINVAL;
    if (option == MOLT_NET_OPTION_KEEP_ALIVE && value) {
        len = sizeof(value);
        (void)getsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len);
    }
    return value;
}
