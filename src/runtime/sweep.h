/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The sweep after an upgrade that changed layouts: it changes over the processes
 * that stay idle, and sees to it that each was met before the next such upgrade.
 *
 * Until it is over the world that was current before is held: whoever can't change
 * over goes on in it.
 *
 * Threads: the executor, but for the atomic members.
 */
#ifndef MOLT_RUNTIME_SWEEP_H
#define MOLT_RUNTIME_SWEEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct molt_error;
struct molt_runtime;
struct molt_world;

struct molt_sweep {
    _Atomic(struct molt_world *) left; /* held from staging until it is over */
    _Atomic uint64_t serial;           /* of the staging that the prepared states are from */
    bool is_staged;                    /* it begins with the commit, or never */
    bool is_on;
    bool has_missed;                   /* somebody who was busy, in this round */
    unsigned next;                     /* slot to look at */
    atomic_size_t n_adopted, n_redone; /* since the last staging */
    atomic_size_t n_behind;            /* now, as far as it is known */
};

/* Before the commit: @old's layouts won't be the current ones. */
void molt_sweep_stage(struct molt_runtime *rt, struct molt_world *old);
/* The commit was made, or wasn't. */
void molt_sweep_begin(struct molt_runtime *rt);
void molt_sweep_cancel(struct molt_runtime *rt);

/* Finish what is on until @deadline_ns. MOLT_ETIMEDOUT, naming whom it waits for. */
int molt_sweep_finish(struct molt_runtime *rt, uint64_t deadline_ns, struct molt_error *err);

/* The runtime ends. */
void molt_sweep_fini(struct molt_runtime *rt);

#endif
