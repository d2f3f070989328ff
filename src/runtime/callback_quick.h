/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The two ends of every callback, inline, because most have nothing else to do.
 *
 * Threads: as callback.h.
 */
#ifndef MOLT_RUNTIME_CALLBACK_QUICK_H
#define MOLT_RUNTIME_CALLBACK_QUICK_H

#include "runtime/block_quick.h"
#include "runtime/callback.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

static inline void molt_callback_begin(struct molt_worker *w, struct molt_process *p,
                                       struct molt_world *world, const struct molt_server_ref *ref)
{
    if (atomic_load_explicit(&p->world, memory_order_relaxed) != world) {
        atomic_store_explicit(&p->world, world, memory_order_relaxed);
        atomic_store_explicit(&p->version, ref ? ref->version : NULL, memory_order_relaxed);
    }
    molt_worker_count(&w->n_callbacks);
    *w->errno_at = 0;
}

/* The message and what it brought are freed, unless they were kept or sent. */
static inline void molt_callback_drop_single(struct molt_worker *w, struct molt_process *p,
                                             struct molt_activation *act)
{
    struct molt_block *block = act->single;
    act->single = NULL;
    if (molt_block_owner(block) != &p->owner || !molt_list_is_empty(&block->link))
        return;
    molt_owner_count(&p->owner, -molt_block_bytes(block));
    if (__builtin_expect(!molt_block_release_quick(&w->runner.cache, block), 0))
        molt_block_release(w->rt->heap, &w->runner.cache, block);
}

static inline void molt_callback_end(struct molt_worker *w, struct molt_process *p,
                                     struct molt_activation *act)
{
    if (act->single)
        molt_callback_drop_single(w, p, act);
    if (__builtin_expect(!molt_list_is_empty(&act->arrived) || act->n_locks > 0 ||
                             act->is_holding_world || act->requests || act->callback.message ||
                             molt_process_phase(p) == MOLT_PHASE_NEW,
                         0))
        molt_callback_tidy(w, p, act);
    act->callback.kind = MOLT_CALLBACK_NONE;
    molt_worker_count(&p->n_callbacks);
}

static inline int molt_callback_call(struct molt_process *p, molt_any_fn fn, const void *a,
                                     const void *b, const void *c)
{
    return (int)molt_flow_call(&p->fiber->flow, fn, a, b, c, NULL);
}

static inline const void *molt_callback_state(const struct molt_process *p)
{
    return p->state_block ? molt_block_payload(p->state_block) : NULL;
}

#endif
