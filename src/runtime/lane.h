/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A lane: a queue of stackless processes, the sockets that they wait for,
 * and timers. A worker runs a lane; other threads may push, steal, poll and
 * expire at any time, so a lane whose worker is stuck can be run by another.
 *
 * Threads: any.
 * Locks:   molt_lane.lock guards the queues; nothing nests in it. The timers
 *          have their own.
 */
#ifndef MOLT_RUNTIME_LANE_H
#define MOLT_RUNTIME_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "port/spin.h"
#include "runtime/timer.h"

struct molt_process;
struct molt_runtime;
struct molt_worker;

#define MOLT_PRIORITIES 3

struct molt_queue {
    struct molt_process *first, *last; /* through run_next */
};

/* By whoever has the queue's lock; @p is in no queue. */
void molt_queue_append(struct molt_queue *queue, struct molt_process *p);
struct molt_process *molt_queue_take(struct molt_queue *queue); /* NULL: it is empty */

struct molt_lane {
    struct molt_runtime *rt;
    unsigned index;

    struct molt_spin lock; /* guards what follows, down to n_skipped */
    struct molt_queue queues[MOLT_PRIORITIES];
    unsigned n_skipped; /* processes run since one of low priority was */
    atomic_uint n_queued;

    atomic_bool is_asleep; /* its worker waits in epoll, or is about to */
    int epoll, event;
    atomic_uint n_fds;
    struct molt_timers timers;

    _Atomic(struct molt_worker *) worker; /* who runs it */
    struct molt_worker *home;             /* who runs it usually */
    atomic_bool is_wanted;                /* by its home, which is back */
    atomic_bool is_stuck; /* its worker is with one process for long: steal also the last one */
};

/* Descriptors. MOLT_EIO. */
int molt_lane_init(struct molt_lane *lane, struct molt_runtime *rt, unsigned index);
void molt_lane_fini(struct molt_lane *lane);

/* Queue @p, which is in no queue. Wakes the lane's worker, or another one if
 * there is more than that one will do soon. */
void molt_lane_push(struct molt_lane *lane, struct molt_process *p);
/* The same, where everybody can take it. */
void molt_lane_put(struct molt_lane *lane, struct molt_process *p);

/* The next process to run; NULL if there is none. */
struct molt_process *molt_lane_pop(struct molt_lane *lane);
/* The next one of high priority. */
struct molt_process *molt_lane_pop_high(struct molt_lane *lane);

/* Move half of what is queued in @from to @to, which is the caller's. Returns
 * how many. */
unsigned molt_lane_steal(struct molt_lane *from, struct molt_lane *to);

/* Wake somebody who may steal from @lane. */
void molt_lane_call_help(struct molt_lane *lane);

/* Have whoever sleeps in the lane look around. */
void molt_lane_wake(struct molt_lane *lane);

/* Do what timers that are due stand for. */
void molt_lane_run_timers(struct molt_lane *lane, uint64_t now_ns);

/* The lane of the worker that runs here, which sees new timers in time; that of
 * @p where there is none. */
struct molt_lane *molt_lane_here(const struct molt_process *p);

/* Start @timer there, for @p. Another worker that has the lane by now is woken,
 * since it may sleep for longer than that. */
void molt_lane_start_timer(const struct molt_process *p, struct molt_timer *timer,
                           uint64_t deadline_ns, const struct molt_timer_event *event);

/* Wait at most @timeout_ms (< 0: for ever) for descriptors or a wake. Whether
 * molt_lane_wake() ended it. */
bool molt_lane_poll(struct molt_lane *lane, int timeout_ms);

/* Have epoll tell molt_socket_note() @data about @fd, edge-triggered. MOLT_EINVAL
 * (not pollable), MOLT_ENOMEM. */
int molt_lane_watch(struct molt_lane *lane, int fd, uint64_t data);
/* No longer. */
void molt_lane_unwatch(struct molt_lane *lane, int fd);

static inline bool molt_lane_has_queued(const struct molt_lane *lane)
{
    /* Seq_cst: pairs with molt_lane_push(), see there. */
    return atomic_load(&lane->n_queued) > 0;
}

#endif
