/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * When a process changes over to a world's layouts: between two callbacks, when
 * one is about to begin in a world whose layout epoch isn't the one that its blocks
 * are in, or when the sweep comes by. If that can't be, it goes on in the world that
 * its blocks fit, which it then holds, and is tried again each time.
 *
 * molt_process.epoch is the low byte of the epoch, which is never 0 in a world;
 * 0: unknown, or behind. One byte is enough, because the next upgrade that changes layouts
 * waits until each process was met, and whoever couldn't change over then is 0.
 *
 * Threads: whoever runs or claimed the process.
 */
#ifndef MOLT_RUNTIME_ADOPT_H
#define MOLT_RUNTIME_ADOPT_H

#include <stdbool.h>

#include "runtime/migrate.h"
#include "runtime/process.h"

struct molt_runner;
struct molt_worker;

/* What staging made of a process's blocks. */
struct molt_prepared {
    struct molt_migration migration;
    struct molt_block *state; /* what the state became */
    uint64_t at;              /* n_callbacks */
    uint32_t epoch;           /* of the world that it was made for */
    uint64_t serial;          /* of the staging, see molt_sweep */
};

static inline unsigned char molt_adopt_byte(const struct molt_world *world)
{
    return (unsigned char)molt_world_epoch(world);
}

/* Whether @p, which is about to run a callback in @world, has to change over. */
static inline bool molt_adopt_is_due(const struct molt_process *p, const struct molt_world *world)
{
    return atomic_load_explicit(&p->epoch, memory_order_relaxed) != molt_adopt_byte(world);
}

/* If so: change over, on the fiber of @p. Returns the world that its callback runs in:
 * @world, or the older one, which this thread visits then until the callback's end. NULL:
 * there is none that it fits. */
struct molt_world *molt_adopt_before(struct molt_worker *w, struct molt_process *p,
                                     struct molt_world *world);

/* What was to run then is over: the thread is back, also if no callback ran. */
void molt_adopt_after(struct molt_worker *w, struct molt_process *p);

/* The callback that held @world is over: let go, unless @p has to go on in it. */
void molt_adopt_release(struct molt_process *p, struct molt_world *world);

/* The callback of @p, which was suspended, or ran in the world that @p is behind in, is over:
 * change over, so that nobody has to wait for the next one. */
void molt_adopt_catch_up(struct molt_worker *w, struct molt_process *p);

/* By the executor, who claimed @p: change over to @world now. False if it goes on as it
 * was, or is inside of a callback. */
bool molt_adopt_now(struct molt_process *p, struct molt_world *world);

/* By the executor, who claimed @p: make ready what it needs in @world, beside what it
 * has. 1 if something was made, 0, or a code with @fault. */
int molt_adopt_prepare(struct molt_process *p, struct molt_world *world,
                       struct molt_migration_fault *fault);

/* By the executor, who claimed @p: whether what was made ready for it is still right. */
bool molt_adopt_is_ready(const struct molt_process *p, const struct molt_world *world);

/* @p ends: free what was made ready, let go of the world that it is behind in. */
void molt_adopt_forget(struct molt_process *p, struct molt_block_cache *cache);
void molt_adopt_drop_prepared(struct molt_process *p, struct molt_block_cache *cache);

/* The world that @p goes on in although a newer one is current; NULL if it doesn't. */
struct molt_world *molt_adopt_behind(const struct molt_process *p);

/* The molt_change_call of @user, a struct molt_change_env. */
struct molt_change_env {
    struct molt_runner *runner;
    struct molt_process *process;
    struct molt_migration *migration;
    struct molt_world *world; /* to be visited; NULL: the thread is in it */
};
int molt_adopt_call_change(void *user, molt_any_fn change, const void *old, void *now);

#endif
