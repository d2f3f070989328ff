/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Who runs on this OS thread: a worker, a registered foreign thread, or the
 * executor while it works on a process. The public functions start here.
 *
 * Threads: a runner belongs to one thread.
 */
#ifndef MOLT_RUNTIME_RUNNER_H
#define MOLT_RUNTIME_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/molt.h>

#include "code/code.h"
#include "runtime/block.h"
#include "runtime/process.h"

struct molt_migration;
struct molt_runtime;
struct molt_trial;
struct molt_worker;

struct molt_runner {
    struct molt_runtime *rt;
    struct molt_worker *worker; /* NULL on other threads */
    struct molt_participant *participant;
    struct molt_process *process; /* whose code runs, or NULL */
    struct molt_block_cache cache;
    struct molt_slot_cache slots;
    int last_server;                  /* id of what was spawned last: likely the next, too */
    struct molt_shared_owner outside; /* of blocks made outside of a process */
    /* For the usual case, in which nothing has to be asked: the process that runs
     * may make and send blocks as it likes, and one that is likely to be used next
     * is known to be a block, and no state. NULL elsewhere. */
    struct molt_owner *quick_owner;
    struct molt_block *known;
    /* The slot that was sent to last, and by which pid. */
    molt_pid target_pid;
    struct molt_process *target;
    int budget;                       /* of the turn that runs */
    bool is_converting;               /* a change function runs */
    bool is_failed;                   /* in it, a thunk stub was met */
    struct molt_migration *migration; /* that it is for */
    struct molt_trial *trial;         /* in the child that tries it; else NULL */
};

/* Joins the heap with its cache; @participant is joined already. */
void molt_runner_init(struct molt_runner *runner, struct molt_runtime *rt,
                      struct molt_participant *participant);
/* Frees what is pending. */
void molt_runner_fini(struct molt_runner *runner);

/* NULL on a thread that no runtime knows. */
struct molt_runner *molt_runner_here(void);
/* Returns the one before. */
struct molt_runner *molt_runner_set(struct molt_runner *runner);

/* @p runs here from now on; NULL: nobody. */
static inline void molt_runner_enter(struct molt_runner *runner, struct molt_process *p)
{
    runner->process = p;
    runner->quick_owner = p && !p->bounds ? &p->owner : NULL;
    runner->known = NULL;
}

/* The block of @payload, if it is the one that is known, and still the process's;
 * else NULL, which doesn't say that it isn't. */
static inline struct molt_block *molt_runner_known(const struct molt_runner *runner,
                                                   const void *payload)
{
    struct molt_block *known = runner->known;
    if (!known || payload != molt_block_payload(known) ||
        molt_block_owner(known) != runner->quick_owner)
        return NULL;
    return known;
}

/* Who owns what this thread makes now. */
struct molt_owner *molt_runner_owner(struct molt_runner *runner);

/* Pack the graph of a block that the caller consumes. On failure what could be
 * taken is freed. MOLT_EINVAL (no block), MOLT_EOWNER. */
int molt_runner_take(struct molt_runner *runner, void *payload, struct molt_block **ret_root);
void molt_runner_drop(struct molt_runner *runner, struct molt_block *root);

/* The world that the caller is in; NULL if offline. */
struct molt_world *molt_runner_world(const struct molt_runner *runner);

#endif
