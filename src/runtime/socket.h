/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Sockets of processes: who owns which descriptor, and what epoll said of it.
 *
 * The table is indexed by descriptor, its slots are type-stable. The word of a
 * slot has a generation in its upper half, which is another for each owner, and
 * what epoll said in the lower. epoll carries generation and descriptor, so what
 * it says late, of a socket that is gone, hits nobody.
 *
 * A socket is in the list of its owner, which only the owner takes from. Whoever
 * gives one away pushes it onto the new owner's. A process that may not have any
 * has MOLT_SOCKETS_CLOSED there.
 *
 * A socket gets into an epoll when somebody has to wait for it first: that of
 * the lane where its process is then, or, if it was given to a process that has
 * on_ready, that with the fewest. It stays there until it is closed or given
 * away, and the process, while it has no stack, goes where its socket is. Readiness is kept in the
 * word: what would block isn't tried twice.
 *
 * Threads: molt_socket_note() any; the rest whoever runs the owner.
 * Locks:   molt_sockets.lock guards growth; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_SOCKET_H
#define MOLT_RUNTIME_SOCKET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/net.h>

#include "port/limits.h"
#include "runtime/process.h"

struct molt_lane;

enum molt_socket_kind { MOLT_SOCKET_STREAM, MOLT_SOCKET_LISTENER, MOLT_SOCKET_DATAGRAM };

/* In the word: what may be ready (MOLT_NET_READ, WRITE, HANGUP), and shifted by
 * this the same, until on_ready was told. */
#define MOLT_SOCKET_NEWS_SHIFT 8
#define MOLT_SOCKET_READY (MOLT_NET_READ | MOLT_NET_WRITE | MOLT_NET_HANGUP)

struct molt_socket {
    _Atomic uint64_t word;
    atomic_ullong owner; /* pid; 0: nobody */

    /* Of the owner. */
    struct molt_socket *next; /* in its list */
    struct molt_lane *lane;   /* in whose epoll it is; NULL: in none yet */
    int fd;
    unsigned char kind; /* enum molt_socket_kind */
    bool is_given;      /* the owner doesn't know of it yet */
    bool is_attached;   /* on_ready is told */
    bool is_active;     /* on_data is, once */
    bool is_short;      /* accepting failed for lack of descriptors */
    bool was_last;      /* the last one that a callback of the owner was for */
};

#define MOLT_SOCKETS_CLOSED ((struct molt_socket *)(uintptr_t)1) /* NOLINT: a mark */

#define MOLT_SOCKET_SEGMENT MOLT_LIMIT(256, 16)
#define MOLT_SOCKET_SEGMENTS_MAX 4096

struct molt_sockets {
    pthread_mutex_t lock;
    _Atomic(struct molt_socket *) segments[MOLT_SOCKET_SEGMENTS_MAX];
};

/* What a callback is due for. */
struct molt_socket_event {
    struct molt_socket *socket;
    unsigned events; /* for on_ready */
    bool is_data;    /* for on_data */
};

void molt_sockets_init(struct molt_sockets *sockets);
/* All are closed. */
void molt_sockets_fini(struct molt_sockets *sockets);

/* The epoll of @lane said @events (MOLT_NET_...) of @data. */
void molt_socket_note(struct molt_lane *lane, uint64_t data, unsigned events);

/* @p owns @fd from now on. On failure @fd is as it was. MOLT_ELIMIT (too large
 * a number), MOLT_ENOMEM, MOLT_EOWNER (owned already), MOLT_EDEAD. */
int molt_socket_adopt(struct molt_process *p, int fd, enum molt_socket_kind kind,
                      struct molt_socket **ret);

/* That of @fd, if it is @p's. NULL if not. */
struct molt_socket *molt_socket_find(struct molt_process *p, int fd);
/* Whether a process owns @fd. */
bool molt_socket_is_owned(struct molt_runtime *rt, int fd);

/* Have epoll tell of it. MOLT_EINVAL, MOLT_ENOMEM. */
int molt_socket_watch(struct molt_process *p, struct molt_socket *s);

/* Take @events away from what may be ready, before it is tried; returns all that
 * was. */
unsigned molt_socket_expect(struct molt_socket *s, unsigned events);
/* It may be ready (still). */
void molt_socket_allow(struct molt_socket *s, unsigned events);

/* Wait until @event may be ready, at most until @deadline_ns (0: not at all,
 * MOLT_EBUSY). MOLT_ETIMEDOUT, MOLT_EKILLED, MOLT_EINVAL, MOLT_ENOMEM. */
int molt_socket_wait(struct molt_process *p, struct molt_socket *s, unsigned event,
                     uint64_t deadline_ns);
/* When @timeout_ms is over: 0 for 0, UINT64_MAX for negative. */
uint64_t molt_socket_deadline(int timeout_ms);

/* Wait @ms, or until @deadline_ns. MOLT_EKILLED. */
int molt_socket_pause(struct molt_process *p, unsigned ms, uint64_t deadline_ns);

void molt_socket_close(struct molt_process *p, struct molt_socket *s);
/* All of a process that ends; it can't get any more. */
void molt_socket_close_all(struct molt_process *p);

/* MOLT_EDEAD: it is still @p's. */
int molt_socket_give(struct molt_process *p, struct molt_socket *s, molt_pid pid);
/* The oldest that was given and isn't known yet; NULL if none. */
struct molt_socket *molt_socket_take(struct molt_process *p);
/* The same, waiting. MOLT_EBUSY, MOLT_ETIMEDOUT, MOLT_EKILLED. */
int molt_socket_await_given(struct molt_process *p, uint64_t deadline_ns, struct molt_socket **ret);

/* The next one in turn that a callback is due for. If others may be due, too, the
 * process is made to look again. */
bool molt_socket_next_event(struct molt_process *p, bool has_on_ready, bool has_on_data,
                            struct molt_socket_event *ret);

/* For on_data: take what @s has into @buf (net.c). False if there is nothing. */
bool molt_socket_take_data(struct molt_process *p, struct molt_socket *s, void *buf, size_t size,
                           struct molt_net_data *ret);

static inline bool molt_socket_has_any(struct molt_process *p)
{
    return atomic_load_explicit(&p->sockets, memory_order_relaxed) != NULL;
}

#endif
