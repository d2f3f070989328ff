/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What timers stand for: the end of a wait, a process's timeout, a message to
 * be sent.
 *
 * Threads: any.
 * Locks:   molt_sends.lock; nothing nests in it. molt_send_lane.lock.
 */
#ifndef MOLT_RUNTIME_AFTER_H
#define MOLT_RUNTIME_AFTER_H

#include <pthread.h>

#include "port/limits.h"
#include "port/spin.h"
#include "runtime/block.h"
#include "runtime/timer.h"

struct molt_runtime;

enum molt_timer_kind {
    MOLT_TIMER_WAIT,    /* the wait `ref` of `pid` ends with MOLT_ETIMEDOUT */
    MOLT_TIMER_SLEEP,   /* the same, with 0 */
    MOLT_TIMER_TIMEOUT, /* molt_timeout() number `ref` of `pid` */
    MOLT_TIMER_MACHINE, /* `pid`'s state machine looks what is due */
    MOLT_TIMER_SEND,    /* molt_send_after() number `ref`: `data`, packed, to `pid` */
};

/* Do what an expired timer was for. On a thread with a runner. */
void molt_timer_event_run(struct molt_runtime *rt, const struct molt_timer_event *event);

/* ---- messages that wait for their time ----------------------------------------- */

#define MOLT_SENDS_CHUNK MOLT_LIMIT(256, 2)
#define MOLT_SENDS_BITS 24

/* A chunk of timers; they are one lane's for ever. */
struct molt_send_chunk {
    struct molt_send_lane *lane;
    struct molt_timer timers[MOLT_SENDS_CHUNK];
};

/* What a lane has of them. */
struct molt_send_lane {
    struct molt_spin lock;   /* guards free; nothing nests in it */
    struct molt_timer *free; /* through `next` */
};

/*
 * All of a runtime. A timer's number is its place and, above that, how often the
 * place was used. Places are type-stable, so any number may be looked up at any
 * time; the lock of the lane's timers says whether it still runs.
 */
struct molt_sends {
    pthread_mutex_t lock;    /* guards growth */
    struct molt_owner owner; /* of all that wait: nobody */
    struct molt_send_lane *lanes;
    atomic_uint n_chunks; /* grows only */
    atomic_bool is_watched;
    _Atomic(struct molt_send_chunk *) chunks[1u << (MOLT_SENDS_BITS - 8)];
};

/* That of molt_timeout(). */
struct molt_timeout {
    struct molt_timer timer;
    uint64_t ref; /* of the one that runs; 0: none */
};

/* Do what the timer of kind SEND was for. */
void molt_send_now(struct molt_runtime *rt, const struct molt_timer_event *event);

/* After the lanes. MOLT_ENOMEM. */
int molt_sends_init(struct molt_runtime *rt);
/* The lanes are gone, or nobody runs them. The messages go with the heap. */
void molt_sends_fini(struct molt_runtime *rt);

/* Look at each message that waits, under the lock of its lane's timers: @fn must
 * not block. Until it returns false. */
void molt_sends_each(struct molt_runtime *rt,
                     bool (*fn)(void *user, const struct molt_timer_event *event), void *user);

/* Wait until the message with this number doesn't wait any more. False at
 * @deadline_ns. By the executor. */
bool molt_sends_watch(struct molt_runtime *rt, uint64_t number, uint64_t deadline_ns);

#endif
