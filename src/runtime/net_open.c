/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Listening, binding, connecting. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/net.h"
#include "runtime/rt.h"
#include "runtime/wait.h"

/* Addresses of one name that connecting tries. */
#define ADDRESSES_MAX 8
/* A Unix listener whose queue is full says so at once, and nothing tells when
 * there is room: so connecting tries again. */
#define RETRY_MS 5

static const struct molt_net_options defaults = {.size = sizeof(defaults)};

/* NULL: those of a caller with other headers. */
static const struct molt_net_options *check_options(const struct molt_net_options *options)
{
    if (!options)
        return &defaults;
    return options->size == sizeof(*options) ? options : NULL;
}

static bool is_unix(const struct molt_net_address *address)
{
    return molt_net_sockaddr(address)->sa_family == AF_UNIX;
}

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_stream(int fd, const struct molt_net_options *o)
{
    if (!(o->flags & MOLT_NET_DELAY))
        set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (o->flags & MOLT_NET_KEEP_ALIVE)
        set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* The descriptor. Errors of single options show later, where they matter. */
static int open_socket(const struct molt_net_address *address, int type,
                       const struct molt_net_options *o)
{
    int family = molt_net_sockaddr(address)->sa_family;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return molt_net_code(errno);
    if (family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, (o->flags & MOLT_NET_V6_ONLY) != 0);
    if (o->flags & MOLT_NET_REUSE_PORT)
        set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (o->flags & MOLT_NET_BROADCAST)
        set(fd, SOL_SOCKET, SO_BROADCAST, 1);
    if (o->send_buffer > 0)
        set(fd, SOL_SOCKET, SO_SNDBUF, o->send_buffer);
    if (o->receive_buffer > 0)
        set(fd, SOL_SOCKET, SO_RCVBUF, o->receive_buffer);
    if (type == SOCK_STREAM && family != AF_UNIX)
        set_stream(fd, o);
    return fd;
}

/* The socket's number, or the code, and @fd is closed. errno stays. */
static int adopt(struct molt_process *p, int fd, enum molt_socket_kind kind, int rc)
{
    struct molt_socket *s;
    if (rc == 0)
        rc = molt_socket_adopt(p, fd, kind, &s);
    if (rc == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

/* ---- binding --------------------------------------------------------------------- */

/* Whether the socket at the path is one that nobody serves any more. */
static bool is_abandoned(const struct molt_net_address *address, int type)
{
    const struct sockaddr_un *name = (const void *)address->bytes;
    struct stat st;
    if (name->sun_path[0] == '\0' || stat(name->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool is_refused =
        connect(fd, molt_net_sockaddr(address), address->length) < 0 && errno == ECONNREFUSED;
    close(fd);
    return is_refused;
}

static int bind_address(int fd, const struct molt_net_address *address, int type)
{
    if (bind(fd, molt_net_sockaddr(address), address->length) == 0)
        return 0;
    if (errno == EADDRINUSE && is_unix(address) && is_abandoned(address, type)) {
        const struct sockaddr_un *name = (const void *)address->bytes;
        if (unlink(name->sun_path) == 0 &&
            bind(fd, molt_net_sockaddr(address), address->length) == 0)
            return 0;
    }
    return errno == EADDRNOTAVAIL ? MOLT_EINVAL : molt_net_code(errno);
}

static int open_bound(const char *text, unsigned port, int type, const struct molt_net_options *o,
                      struct molt_net_address *address)
{
    int rc = molt_net_address_parse(text, port, address);
    if (rc < 0)
        return rc;
    int fd = open_socket(address, type, o);
    /* "*" on a machine without IPv6. */
    if (fd < 0 && errno == EAFNOSUPPORT && strcmp(text, "*") == 0) {
        (void)molt_net_address_parse("0.0.0.0", port, address);
        fd = open_socket(address, type, o);
    }
    if (fd < 0)
        return fd;
    if (type == SOCK_STREAM && !is_unix(address))
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    rc = bind_address(fd, address, type);
    if (rc == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

int molt_net_listen(const char *address, unsigned port, const struct molt_net_options *options)
{
    struct molt_process *p = molt_net_caller();
    const struct molt_net_options *o = check_options(options);
    struct molt_net_address bound;
    if (!p)
        return MOLT_ENOPROC;
    if (!o)
        return MOLT_EINVAL;
    int fd = open_bound(address, port, SOCK_STREAM, o, &bound);
    if (fd < 0)
        return fd;
    int rc = listen(fd, o->backlog > 0 ? o->backlog : SOMAXCONN) < 0 ? molt_net_code(errno) : 0;
    return adopt(p, fd, MOLT_SOCKET_LISTENER, rc);
}

int molt_net_bind(const char *address, unsigned port, const struct molt_net_options *options)
{
    struct molt_process *p = molt_net_caller();
    const struct molt_net_options *o = check_options(options);
    struct molt_net_address bound;
    if (!p)
        return MOLT_ENOPROC;
    if (!o)
        return MOLT_EINVAL;
    int fd = open_bound(address, port, SOCK_DGRAM, o, &bound);
    return fd < 0 ? fd : adopt(p, fd, MOLT_SOCKET_DATAGRAM, 0);
}

/* ---- connecting ------------------------------------------------------------------ */

/* How a connection under way ended. */
static int finish(struct molt_process *p, struct molt_socket *s, uint64_t deadline_ns)
{
    molt_socket_expect(s, MOLT_NET_WRITE);
    int rc = molt_socket_wait(p, s, MOLT_NET_WRITE, deadline_ns);
    if (rc < 0)
        return rc;
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    errno = error;
    return error ? molt_net_code(error) : 0;
}

static int try_connect(struct molt_process *p, struct molt_socket *s,
                       const struct molt_net_address *to, uint64_t deadline_ns)
{
    for (;;) {
        if (connect(s->fd, molt_net_sockaddr(to), to->length) == 0)
            return 0;
        if (errno == EINPROGRESS)
            return finish(p, s, deadline_ns);
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return molt_net_code(errno);
        int rc = molt_socket_pause(p, RETRY_MS, deadline_ns);
        if (rc < 0)
            return rc;
        if (deadline_ns != UINT64_MAX && molt_clock_ns() >= deadline_ns)
            return MOLT_ETIMEDOUT;
    }
}

static int connect_to(struct molt_process *p, const struct molt_net_address *to,
                      const struct molt_net_options *o, uint64_t deadline_ns)
{
    int fd = open_socket(to, SOCK_STREAM, o);
    if (fd < 0)
        return fd;
    fd = adopt(p, fd, MOLT_SOCKET_STREAM, 0);
    if (fd < 0)
        return fd;
    struct molt_socket *s = molt_socket_find(p, fd);
    int rc = try_connect(p, s, to, deadline_ns);
    if (rc == 0)
        return fd;
    int saved = errno;
    molt_socket_close(p, s);
    errno = saved;
    return rc;
}

static int left_ms(uint64_t deadline_ns)
{
    uint64_t now = molt_clock_ns();
    if (deadline_ns == UINT64_MAX)
        return -1;
    return deadline_ns > now ? (int)((deadline_ns - now + 999999) / 1000000) : 0;
}

int molt_net_connect(const char *host, unsigned port, const struct molt_net_options *options,
                     int timeout_ms)
{
    struct molt_process *p = molt_net_caller();
    const struct molt_net_options *o = check_options(options);
    struct molt_net_address to[ADDRESSES_MAX];
    if (!p)
        return MOLT_ENOPROC;
    if (!o || !host || port > 65535 || timeout_ms == 0)
        return MOLT_EINVAL;
    int rc = molt_wait_check_locks(p, "molt_net_connect()");
    if (rc < 0)
        return rc;
    uint64_t deadline_ns = molt_socket_deadline(timeout_ms);
    int n = molt_net_resolve(host, port, to, ADDRESSES_MAX, timeout_ms);
    rc = n < 0 ? n : MOLT_ENOENT;
    for (int i = 0; i < n; i++) {
        /* Each gets its part of the time, so that one which doesn't answer
         * leaves some for the others. */
        int left = left_ms(deadline_ns);
        uint64_t until =
            left < 0 || i == n - 1 ? deadline_ns : molt_socket_deadline(left / (n - i) + 1);
        rc = connect_to(p, &to[i], o, until);
        if (rc >= 0 || rc == MOLT_EKILLED)
            break;
    }
    return rc;
}
