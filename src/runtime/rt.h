/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The runtime's own insides, for the files of this layer.
 *
 * Threads: see the members.
 */
#ifndef MOLT_RUNTIME_RT_H
#define MOLT_RUNTIME_RT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/after.h"
#include "runtime/block.h"
#include "runtime/groups.h"
#include "runtime/monitor.h"
#include "runtime/names.h"
#include "runtime/process.h"
#include "runtime/request.h"
#include "runtime/runner.h"
#include "runtime/runtime.h"
#include "runtime/scan.h"
#include "runtime/socket.h"
#include "runtime/sweep.h"
#include "runtime/table.h"

struct molt_resolver;
struct molt_worker;

struct molt_runtime {
    struct molt_runtime_config config;
    struct molt_code *code;
    _Atomic(struct molt_world *) *current;
    struct molt_heap *heap;
    struct molt_process_table table;
    struct molt_names names;
    struct molt_groups groups;
    struct molt_tables tables;
    struct molt_sockets sockets;
    struct molt_resolver *resolver;
    struct molt_sends sends;
    struct molt_request_table requests;

    unsigned n_workers;          /* constant after molt_runtime_new() */
    unsigned n_threads;          /* of workers, spare ones included */
    struct molt_worker *workers; /* [n_threads]; from n_workers on spare ones */
    struct molt_lane *lanes;     /* [n_workers] */
    atomic_uint next_lane;       /* for what comes from outside */
    atomic_uint n_asleep;        /* lanes whose worker waits for something to do */
    atomic_uint n_lanes_away;    /* lanes that a spare worker runs */
    atomic_uint tick;            /* counts while anybody is awake: a turn ends with it */
    struct molt_monitor monitor;
    bool is_started;
    bool can_spin;                 /* a worker may wait for another one without sleeping */
    bool can_preempt, can_contain; /* this machine lets us; constant once started */
    atomic_bool is_stopping;       /* workers leave their loops */
    atomic_ullong root;            /* pid of the root supervisor */
    atomic_bool is_root_ready;     /* its children have started */
    atomic_bool is_root_over;      /* it ended, and on_root_exit was called */
    bool is_stuck;                 /* a worker didn't end: its callback doesn't return */

    /* Of the executor: one thread at a time. */
    struct molt_runner executor;
    struct molt_participant participant;
    pthread_mutex_t quiet_lock; /* nothing nests in it */
    pthread_cond_t quiet;       /* a process it waits for changed */
    struct molt_sweep sweep;
    atomic_ullong n_kept;     /* callbacks that passed a boundary and went on */
    atomic_bool is_upgrading; /* an upgrade waits for processes: `run` stays due */
    uint64_t paused_since_ns; /* 0: nobody pauses */

    struct molt_scan scan;

    pthread_mutex_t threads_lock; /* guards threads; an owner's lock nests in it */
    struct molt_thread *threads;

    atomic_ullong n_restarts, n_crashes;
    atomic_ullong n_preempt_requests, n_preempted, n_handovers;
};

/* The slot of @index < n_slots, whoever is in it. */
static inline struct molt_process *molt_process_at(const struct molt_runtime *rt, unsigned index)
{
    return molt_process_table_at(&rt->table, index);
}

/* The slot that @pid names, whoever is in it; NULL if there never was one. */
static inline struct molt_process *molt_process_slot(const struct molt_runtime *rt, molt_pid pid)
{
    return molt_process_table_slot(&rt->table, pid);
}

/* The same, if it is still that process. */
static inline struct molt_process *molt_process_find(const struct molt_runtime *rt, molt_pid pid)
{
    struct molt_process *p = molt_process_slot(rt, pid);
    return p && atomic_load_explicit(&p->pid, memory_order_acquire) == pid ? p : NULL;
}

#define molt_runtime_log(rt, ...) molt_sink_log(&(rt)->config.sink, __VA_ARGS__)

/* A thread of the runtime's own: signals are for the host's, but faults are not
 * blocked, because a thread that fails has to be able to say where. MOLT_ENOMEM. */
int molt_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);

/* Absolute time for waits: @ms from now, or as good as never if negative. */
uint64_t molt_runtime_deadline(int ms);

/* Wait for `quiet`, whose lock the caller has. False at @deadline_ns. */
bool molt_runtime_wait_quiet(struct molt_runtime *rt, uint64_t deadline_ns);

/* Leave @p, whose `run` ended at an upgrade point, so that it begins again. */
void molt_run_leave(struct molt_process *p);
/* No upgrade waits any more: what is due begins. By the executor. */
void molt_run_end_upgrade(struct molt_runtime *rt);

/* Start a process of server @server of @world, as molt_spawn() does; the server and
 * its limits are added to @spawn. */
int molt_runtime_spawn(struct molt_runtime *rt, const struct molt_world *world, const char *server,
                       struct molt_spawn *spawn, molt_pid *ret_pid);

/* @pid ended; called on its worker, after its supervisor was told. */
void molt_runtime_ended(struct molt_runtime *rt, molt_pid pid, int reason);

#endif
