/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A worker: an OS thread with a queue of processes, epoll, and timers. A
 * process is run by its home worker only.
 *
 * An idle worker is blocked in epoll_wait() and offline, so it neither costs
 * time nor keeps a world.
 *
 * Threads: push, wake_up and the counters from any thread; the rest from the
 * worker's own.
 * Locks:   molt_worker.queue_lock; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_WORKER_H
#define MOLT_RUNTIME_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/list.h"
#include "port/context.h"
#include "runtime/fiber.h"
#include "runtime/process.h"
#include "runtime/runner.h"
#include "runtime/timer.h"

struct molt_worker {
    struct molt_runtime *rt;
    unsigned index;
    pthread_t thread;
    bool is_started;

    pthread_mutex_t queue_lock; /* guards queue and n_queued */
    struct molt_list queue;
    size_t n_queued;
    atomic_bool is_asleep; /* or about to be: write to the eventfd */
    int epoll, event;
    unsigned n_fds;
    bool is_starved; /* no stack could be had */

    struct molt_runner runner;
    struct molt_participant participant;
    struct molt_context context; /* the thread's own flow */
    struct molt_fiber_pool fibers;
    struct molt_timers timers;
    atomic_ullong n_callbacks, n_messages; /* written by the worker */
};

/* Descriptors and pools; no thread yet. MOLT_EIO, MOLT_ENOMEM. */
int molt_worker_init(struct molt_worker *w, struct molt_runtime *rt, unsigned index);
void molt_worker_fini(struct molt_worker *w);
int molt_worker_start(struct molt_worker *w);
/* After molt_runtime.is_stopping was set. */
void molt_worker_join(struct molt_worker *w);

struct molt_worker *molt_worker_at(struct molt_runtime *rt, unsigned index);

/* Queue @p, which is in no queue. */
void molt_worker_push(struct molt_worker *w, struct molt_process *p);
void molt_worker_wake_up(struct molt_worker *w);

/* Have epoll tell about @fd, as @p's. MOLT_EEXIST, MOLT_EINVAL (not pollable),
 * MOLT_ENOMEM. */
int molt_worker_attach(struct molt_worker *w, struct molt_process *p, int fd);
/* Close @p's descriptor, if it has one. */
void molt_worker_detach(struct molt_worker *w, struct molt_process *p);

/* Run what @p has to do, a bounded number of callbacks (dispatch.c). */
void molt_worker_run(struct molt_worker *w, struct molt_process *p);

/* On the fiber of @p: let others run until @p->wait.is_done. errno is kept. */
void molt_worker_suspend(struct molt_process *p);
/* On the fiber of @p: end the callback and the process here and now. */
__attribute__((noreturn)) void molt_worker_fail(struct molt_process *p);

#endif
