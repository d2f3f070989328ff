/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <molt/net.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/lane.h"
#include "runtime/rt.h"

static struct molt_process *caller(void)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && !runner->is_converting ? runner->process : NULL;
}

/* Numeric addresses only: nothing here may wait for a name server. */
static int resolve(const char *address, unsigned port, struct addrinfo **ret)
{
    char service[16];
    snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    bool is_any = strcmp(address, "*") == 0;
    if (is_any)
        hints.ai_family = AF_INET6;
    return getaddrinfo(is_any ? "::" : address, service, &hints, ret) == 0 ? 0 : MOLT_EINVAL;
}

static int open_listener(const struct addrinfo *info, int backlog)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return MOLT_EIO;
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, backlog) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return saved == EADDRINUSE ? MOLT_EEXIST : saved == EADDRNOTAVAIL ? MOLT_EINVAL : MOLT_EIO;
    }
    return fd;
}

int molt_net_listen(const char *address, unsigned port, int backlog)
{
    if (!address || port > 65535)
        return MOLT_EINVAL;
    struct addrinfo *info;
    int rc = resolve(address, port, &info);
    if (rc < 0)
        return rc;
    int fd = open_listener(info, backlog > 0 ? backlog : SOMAXCONN);
    freeaddrinfo(info);
    /* "*" on a machine without IPv6. */
    if (fd == MOLT_EIO && errno == EAFNOSUPPORT && strcmp(address, "*") == 0)
        return molt_net_listen("0.0.0.0", port, backlog);
    return fd;
}

int molt_net_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    socklen_t len = sizeof(name);
    if (getsockname(fd, &name.any, &len) < 0)
        return MOLT_EINVAL;
    if (name.any.sa_family == AF_INET)
        return ntohs(name.v4.sin_port);
    return name.any.sa_family == AF_INET6 ? ntohs(name.v6.sin6_port) : MOLT_EINVAL;
}

int molt_net_accept(int fd)
{
    for (;;) {
        int conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (conn >= 0) {
            int on = 1;
            setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            return conn;
        }
        switch (errno) {
        case EINTR:
        case ECONNABORTED: /* that one is gone, look for the next */
            continue;
        case EAGAIN:
            return MOLT_EBUSY;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return MOLT_ELIMIT;
        default:
            return MOLT_EIO;
        }
    }
}

int molt_net_attach(int fd)
{
    struct molt_process *p = caller();
    if (!p)
        return MOLT_ENOPROC;
    if (fd < 0)
        return MOLT_EINVAL;
    int rc = molt_lane_attach(atomic_load_explicit(&p->lane, memory_order_relaxed), p, fd);
    if (rc < 0)
        return rc;
    /* The first on_ready, also where nothing is ready yet. */
    atomic_fetch_or_explicit(&p->ready, MOLT_NET_READ | MOLT_NET_WRITE, memory_order_relaxed);
    molt_process_signal(p, MOLT_DO_READY);
    return 0;
}

int molt_net_close(void)
{
    struct molt_process *p = caller();
    if (!p)
        return MOLT_ENOPROC;
    if (p->fd < 0)
        return MOLT_ENOENT;
    molt_lane_detach(p);
    atomic_store_explicit(&p->ready, 0, memory_order_relaxed);
    return 0;
}

static long result(ssize_t n)
{
    if (n >= 0)
        return n;
    switch (errno) {
    case EAGAIN:
        return MOLT_EBUSY;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
    case ETIMEDOUT:
        return MOLT_ECLOSED;
    default:
        return MOLT_EIO;
    }
}

long molt_net_read(int fd, void *buf, size_t len)
{
    ssize_t n;
    do
        n = recv(fd, buf, len, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return result(n);
}

long molt_net_write(int fd, const void *buf, size_t len)
{
    ssize_t n;
    do
        n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return result(n);
}
