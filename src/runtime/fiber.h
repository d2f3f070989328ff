/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Fibers: the stacks that callbacks run on.
 *
 * A fiber runs an entry loop: it takes a function, runs it, parks. So the same
 * few stacks are used over and over, which keeps their pages few and warm.
 *
 * Threads: a pool and its fibers belong to one worker, but for molt_fiber_measure().
 * Locks:   molt_fiber_pool.lock; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_FIBER_H
#define MOLT_RUNTIME_FIBER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "port/context.h"
#include "port/flow.h"
#include "runtime/activation.h"

struct molt_fiber {
    struct molt_context context;
    struct molt_list link; /* in the pool */
    struct molt_list all;  /* in the pool's list of all */
    void *map;             /* guard page, then the stack */
    size_t map_bytes;
    void (*fn)(void *arg);
    void *arg;
    bool is_done;          /* fn returned; the fiber is parked */
    struct molt_flow flow; /* the module's code on it */
    struct molt_activation act;
};

struct molt_fiber_pool {
    struct molt_worker *worker;
    struct molt_list parked;
    unsigned n_parked;
    atomic_size_t n_fibers; /* all that exist */
    size_t stack_bytes;
    pthread_mutex_t lock;  /* guards `all`: no stack in it is unmapped meanwhile. Held for a
                              few dozen mincore() at most */
    struct molt_list all;  /* fibers; the one that was measured last is the last */
    atomic_size_t deepest; /* bytes of the deepest stack that was measured */
};

void molt_fiber_pool_init(struct molt_fiber_pool *pool, struct molt_worker *worker,
                          size_t stack_bytes);
/* No fiber may be taken. */
void molt_fiber_pool_fini(struct molt_fiber_pool *pool);

/* A parked fiber, or a new one; NULL when out of memory or mappings. */
struct molt_fiber *molt_fiber_take(struct molt_fiber_pool *pool);

/* Give back one that is done. */
void molt_fiber_give(struct molt_fiber_pool *pool, struct molt_fiber *fiber);

/* Give back one that is suspended in the middle and never goes on: what is on
 * its stack is lost. */
void molt_fiber_abandon(struct molt_fiber_pool *pool, struct molt_fiber *fiber);

/* The part of a suspended fiber's stack that module code uses, saved registers included.
 * What the runtime has below that leads to nothing but the callback's world, and
 * holes in its frames keep what earlier callbacks left there. */
void molt_fiber_used(const struct molt_fiber *fiber, const void **ret_from, const void **ret_to);

/* Bytes of the deepest stack that the pool's fibers have used so far, in whole pages:
 * what a stack never reached has no memory. Looks at no more than 1,024 fibers a
 * call, in turn; a stack that gives its memory back is measured then. Any thread. */
size_t molt_fiber_measure(struct molt_fiber_pool *pool);

#endif
