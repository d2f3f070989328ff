/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The way of most messages out of a process: a block without pointers that was
 * made or received just before. Inline, because each is a few instructions;
 * what doesn't go this way gets NULL, with nothing changed.
 *
 * Threads: the runner's.
 */
#ifndef MOLT_RUNTIME_RUNNER_QUICK_H
#define MOLT_RUNTIME_RUNNER_QUICK_H

#include "runtime/block_quick.h"
#include "runtime/rt.h"
#include "runtime/runner.h"

/* As molt_runner_take(): the packed message of @payload. */
static inline struct molt_block *molt_runner_take_quick(const struct molt_runner *runner,
                                                        const void *payload)
{
    struct molt_block *block = molt_runner_known(runner, payload);
    /* Seq_cst: pairs with turn() of scan.c, through a grace period. */
    if (__builtin_expect(!block || block->type->may_point || atomic_load(&runner->rt->scan.is_on),
                         0))
        return NULL;
    molt_owner_take_quick(runner->quick_owner, block);
    return block;
}

/* As molt_free(). False: not this way. */
static inline bool molt_runner_free_quick(struct molt_runner *runner, const void *payload)
{
    struct molt_block *block = molt_runner_known(runner, payload);
    if (__builtin_expect(!block, 0))
        return false;
    molt_owner_take_quick(runner->quick_owner, block);
    if (__builtin_expect(!molt_block_release_quick(&runner->cache, block), 0))
        molt_block_release(runner->rt->heap, &runner->cache, block);
    return true;
}

#endif
