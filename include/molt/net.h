/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Minimal sockets for modules that ship with molt; not yet the authors' API.
 *
 * One descriptor per process. Readiness is edge-triggered: on_ready is called
 * when it changes (and once after molt_net_attach), so read and write until
 * EAGAIN or a short count before returning. Between callbacks the process has
 * no stack.
 *
 * Threads: process only.
 */
#ifndef MOLT_NET_H
#define MOLT_NET_H

#include <stddef.h>

#include <molt/molt.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define MOLT_NET_READ 1u
#define MOLT_NET_WRITE 2u
#define MOLT_NET_HANGUP 4u /* the peer sends no more: read until 0, then finish */

/* Non-blocking, close-on-exec TCP listener on @address ("127.0.0.1", "::1",
 * "*"); @port 0 takes a free one, see molt_net_port(). SO_REUSEADDR. Returns
 * the descriptor, or MOLT_EEXIST (port taken), MOLT_EINVAL, MOLT_EIO; errno
 * says more. */
int molt_net_listen(const char *address, unsigned port, int backlog);
int molt_net_port(int fd);

/* Accept one connection, non-blocking, TCP_NODELAY; descriptor, or
 * MOLT_EBUSY when none waits, MOLT_ELIMIT out of descriptors, MOLT_EIO. */
int molt_net_accept(int fd);

/* The calling process owns @fd from now on and gets on_ready for it; it is
 * closed when the process ends. MOLT_EEXIST if it has one already. */
int molt_net_attach(int fd);

/* Close the process's descriptor now. */
int molt_net_close(void);

/* Bytes moved, 0 at the end of input, MOLT_EBUSY when it would block,
 * MOLT_ECLOSED when the peer is gone, MOLT_EIO. Never blocks. */
long molt_net_read(int fd, void *buf, size_t len);
long molt_net_write(int fd, const void *buf, size_t len);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
