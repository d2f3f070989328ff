/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Sockets: TCP, Unix and UDP, in three styles.
 *
 * A socket is a descriptor that belongs to one process and is closed when that
 * ends. Its number is the descriptor's; what other functions of the system do
 * with it is up to the author, except closing it.
 *
 * Blocking: a call with @timeout_ms waits inside the callback while others run,
 *   as molt_call() does; < 0: however long it takes.
 * Never blocking: with a timeout of 0 it answers MOLT_EBUSY instead.
 * By message: after molt_net_active_once() the process gets what comes, one
 *   piece for each time that it asked: on_data of its server.
 * By edge: after molt_net_attach() on_ready is called when readiness changes;
 *   read and write with timeout 0 until MOLT_EBUSY or a short count.
 *
 * Nothing is read ahead and nothing is kept for sending, so a process that is
 * slow slows its peer down.
 *
 * All calls: MOLT_EINVAL (what was given makes no sense, or isn't a socket of
 * that kind), MOLT_EOWNER (it isn't the caller's), MOLT_ENOPROC, MOLT_EIO (errno
 * says more). Those that wait: MOLT_ETIMEDOUT, MOLT_EKILLED (the process was
 * asked to end), MOLT_ELOCKED (a lock is held), MOLT_ENOMEM.
 *
 * Threads: process only, unless said otherwise.
 */
#ifndef MOLT_NET_H
#define MOLT_NET_H

#include <stddef.h>
#include <stdint.h>

#include <molt/molt.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct iovec;

/* ---- addresses ------------------------------------------------------------- */

/* Host and port, or a path. Plain data; may be kept and sent. */
struct molt_net_address {
    uint32_t length; /* bytes used; 0: none */
    uint32_t reserved;
    uint64_t bytes[16]; /* struct sockaddr of the system */
};

/* "127.0.0.1", "fe80::1%eth0", "*" (any, of both families); "/path", "./path" and
 * "@name" (abstract) are Unix addresses, @port is 0 then. Any thread. Names are
 * for molt_net_resolve(). */
int molt_net_address_parse(const char *text, unsigned port, struct molt_net_address *ret);

#define MOLT_NET_TEXT_MAX 128
/* "127.0.0.1:80", "[::1]:80", "/path", "@name", "" for none. Returns the length,
 * or MOLT_EINVAL where @size is too small. Any thread. */
int molt_net_address_print(const struct molt_net_address *address, char *buf, size_t size);

/* The addresses of @name, at most @max, in the order in which to try them; how
 * many. The name service is asked on a thread of the runtime, so nobody else
 * waits; what is numeric is answered at once. MOLT_ENOENT: there is no such
 * name. MOLT_EBUSY: timeout 0 and it has to be asked, or the name service said
 * to try again. */
int molt_net_resolve(const char *name, unsigned port, struct molt_net_address *ret, size_t max,
                     int timeout_ms);

/* ---- opening ---------------------------------------------------------------- */

#define MOLT_NET_REUSE_PORT 1u /* several listeners share the port, each gets its part */
#define MOLT_NET_V6_ONLY 2u    /* "*" and "::" without IPv4 */
#define MOLT_NET_DELAY 4u      /* TCP: may wait to send more at once (no TCP_NODELAY) */
#define MOLT_NET_KEEP_ALIVE 8u /* TCP: find out about dead peers */
#define MOLT_NET_BROADCAST 16u /* UDP */

struct molt_net_options {
    uint32_t size; /* sizeof(struct molt_net_options) */
    uint32_t flags;
    int backlog;        /* connections that wait to be accepted; 0: the system's most */
    int send_buffer;    /* bytes; 0: the system's default */
    int receive_buffer; /* bytes; 0: the system's default */
};

/* Listen for streams at @address as in molt_net_address_parse(), @port 0 takes a
 * free one: see molt_net_port(). @options may be NULL. A Unix path that nobody
 * listens at any more is taken over. The socket, or MOLT_EEXIST (taken),
 * MOLT_EREFUSED (not permitted), MOLT_ELIMIT (no descriptors). */
int molt_net_listen(const char *address, unsigned port, const struct molt_net_options *options);

/* A connection of listener @sock. MOLT_ELIMIT: out of descriptors; the call took
 * 100 ms then, so that repeating it doesn't spin, unless the timeout is 0. */
int molt_net_accept(int sock, int timeout_ms);

/* Connect to @host, a name or an address, trying all addresses of a name. Also:
 * MOLT_EREFUSED (nobody listens there, or not permitted), MOLT_ENOENT (no such
 * name or path), MOLT_ECLOSED (reset), MOLT_EIO (no way there). The timeout
 * must not be 0. */
int molt_net_connect(const char *host, unsigned port, const struct molt_net_options *options,
                     int timeout_ms);

/* A datagram socket at @address: for UDP an address or "*", for Unix a path or
 * @name. Connections aren't needed: send_to and recv_from. */
int molt_net_bind(const char *address, unsigned port, const struct molt_net_options *options);

/* Close it now; what was written still goes out. */
int molt_net_close(int sock);

/* ---- moving bytes ------------------------------------------------------------- */

/* Bytes moved, at least one unless @len is 0; 0 at the end of input; MOLT_ECLOSED
 * when the peer is gone. write may take less than @len. */
long molt_net_read(int sock, void *buf, size_t len, int timeout_ms);
long molt_net_readv(int sock, const struct iovec *parts, int n, int timeout_ms);
long molt_net_write(int sock, const void *buf, size_t len, int timeout_ms);
long molt_net_writev(int sock, const struct iovec *parts, int n, int timeout_ms);

/* All of it. On failure part of it may be out: close the socket then. */
int molt_net_write_all(int sock, const void *buf, size_t len, int timeout_ms);

/* One datagram. What doesn't fit into @len is cut off; *ret_from may be NULL. */
long molt_net_recv_from(int sock, struct molt_net_address *ret_from, void *buf, size_t len,
                        int timeout_ms);
long molt_net_send_to(int sock, const struct molt_net_address *to, const void *buf, size_t len,
                      int timeout_ms);

#define MOLT_NET_READ 1u
#define MOLT_NET_WRITE 2u
#define MOLT_NET_HANGUP 4u /* the peer sends no more: read until 0, then finish */
#define MOLT_NET_GIVEN 8u  /* new here: another process gave it */

/* End one or both directions (MOLT_NET_READ, MOLT_NET_WRITE). */
int molt_net_shutdown(int sock, unsigned directions);

/* ---- by message, by edge ------------------------------------------------------ */

#define MOLT_NET_DATA_MAX 16384

/* What on_data gets; good until it returns. */
struct molt_net_data {
    int sock;
    int accepted;  /* of a listener: the new connection, the process's own; else -1 */
    int rc;        /* 0, or why nothing more comes: MOLT_ECLOSED, MOLT_EIO; MOLT_ELIMIT: out
                      of descriptors, or the datagram was longer than length */
    int is_given;  /* nothing came yet, but the socket itself: molt_net_give() */
    size_t length; /* 0 with all else 0: the end of input */
    const char *bytes;
    struct molt_net_address from; /* of a datagram */
};

/* Have on_data called once when something comes: up to MOLT_NET_DATA_MAX bytes, a
 * datagram, a connection, or the end. Then ask again. After MOLT_ELIMIT it takes
 * 100 ms, as molt_net_accept(). MOLT_ENOTSUP: the server has no on_data. */
int molt_net_active_once(int sock);

/* Have on_ready called when readiness changes, and once at first. @sock may also
 * be a descriptor of a socket that nobody owns yet: then it is the process's from
 * now on. MOLT_EEXIST: attached already. MOLT_ENOTSUP: no on_ready. */
int molt_net_attach(int sock);

/* ---- between processes ---------------------------------------------------------- */

/* @pid owns it from now on. If its server has on_ready, that is called with
 * MOLT_NET_GIVEN, READ and WRITE, as attached; else on_data with is_given; else,
 * or before, molt_net_take() has it. Unread input goes along. MOLT_EDEAD: it is
 * still the caller's. */
int molt_net_give(int sock, molt_pid pid);

/* The next socket that was given to the process. */
int molt_net_take(int timeout_ms);

/* ---- about a socket --------------------------------------------------------------- */

/* Its own address, and its peer's (MOLT_ECLOSED without one). */
int molt_net_name(int sock, struct molt_net_address *ret);
int molt_net_peer(int sock, struct molt_net_address *ret);
/* The port it is bound to. Any thread, any descriptor. */
int molt_net_port(int sock);

enum molt_net_option {
    MOLT_NET_OPTION_NODELAY = 1,    /* TCP; 0 or 1 */
    MOLT_NET_OPTION_KEEP_ALIVE,     /* 0, or the seconds of silence before it asks */
    MOLT_NET_OPTION_SEND_BUFFER,    /* bytes; the system may take twice of that */
    MOLT_NET_OPTION_RECEIVE_BUFFER, /* the same */
};
int molt_net_set(int sock, enum molt_net_option option, int value);
/* Its value, not negative. */
int molt_net_get(int sock, enum molt_net_option option);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
