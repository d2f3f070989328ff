/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * recv() and send() that are no cancellation points. The C library's make two
 * atomic exchanges for each call in a program with threads, and nobody here is
 * cancelled. Under a sanitizer they are the library's, which it watches.
 *
 * They never block. A result and errno as those of the library.
 *
 * Threads: any.
 */
#ifndef MOLT_PORT_TRANSFER_H
#define MOLT_PORT_TRANSFER_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "port/sanitize.h"

#if defined(MOLT_HAS_ASAN) || defined(MOLT_HAS_TSAN)
#define MOLT_PORT_IS_WATCHED 1
#endif

static inline ssize_t molt_port_recv(int fd, void *buf, size_t len)
{
#ifdef MOLT_PORT_IS_WATCHED
    return recv(fd, buf, len, MSG_DONTWAIT);
#else
    return syscall(SYS_recvfrom, fd, buf, len, MSG_DONTWAIT, NULL, NULL);
#endif
}

/* Without SIGPIPE. */
static inline ssize_t molt_port_send(int fd, const void *buf, size_t len)
{
#ifdef MOLT_PORT_IS_WATCHED
    return send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
#else
    return syscall(SYS_sendto, fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
#endif
}

#endif
