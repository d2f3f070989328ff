/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* How processes begin and end. A free slot is in state running, so that nobody
 * can claim or queue it; what signals come late add flags that spawning takes
 * away, or that mean nothing by their generation. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/adopt.h"
#include "runtime/after.h"
#include "runtime/fiber.h"
#include "runtime/lane.h"
#include "runtime/machine.h"
#include "runtime/process.h"
#include "runtime/relation.h"
#include "runtime/rt.h"
#include "runtime/rt_table.h"
#include "runtime/socket.h"
#include "runtime/supervisor.h"
#include "runtime/worker.h"

/* Who waits for the slot, not for the process, keeps waiting. */
#define OF_THE_SLOT (MOLT_IS_CLAIM_WANTED | MOLT_IS_WATCHED)

/* The thread's own, or the executor's where the workers are gone. */
static struct molt_runner *runner_for(struct molt_runtime *rt)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && runner->rt == rt ? runner : &rt->executor;
}

/* ---- spawn ------------------------------------------------------------------ */

/* A child of a process starts in its lane; what comes from outside goes round. */
static struct molt_lane *choose_lane(struct molt_runtime *rt, const struct molt_runner *runner,
                                     const struct molt_spawn *spawn)
{
    struct molt_lane *lane = runner->worker ? molt_worker_lane(runner->worker) : NULL;
    if (spawn->lane)
        return spawn->lane;
    if (lane && !spawn->is_spread)
        return lane;
    unsigned turn = atomic_fetch_add_explicit(&rt->next_lane, 1, memory_order_relaxed);
    return &rt->lanes[turn % rt->n_workers];
}

/* The process becomes visible, but as if it were running. */
static molt_pid begin(struct molt_process *p, const struct molt_spawn *spawn,
                      struct molt_lane *lane)
{
    p->server_id = (short)spawn->server_id;
    p->native_state = spawn->native_state;
    uint64_t generation = p->generation + 1;
    p->parent = spawn->parent;
    p->priority = spawn->priority;
    p->end_reason = 0;
    atomic_store_explicit(&p->phase, MOLT_PHASE_NEW, memory_order_relaxed);
    atomic_store_explicit(&p->epoch, 0, memory_order_relaxed);
    atomic_store_explicit(&p->sockets, NULL, memory_order_relaxed);
    atomic_store_explicit(&p->n_callbacks, 0, memory_order_relaxed);
    atomic_store_explicit(&p->owner.bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&p->lane, lane, memory_order_relaxed);
    atomic_store_explicit(&p->inbox, 0, memory_order_relaxed);
    molt_pid pid = (molt_pid)generation << MOLT_SLOT_BITS | (p->slot + 1);
    atomic_store_explicit(&p->pid, pid, memory_order_release);
    return pid;
}

/* From here on a worker may run it. */
static void publish(struct molt_process *p)
{
    /* Somebody may have sent already, or asked it to end; if that was meant for
     * an earlier process, whoever looks will see. */
    unsigned keep =
        MOLT_IS_NAMED | MOLT_IS_GROUPED | MOLT_IS_TIED | MOLT_DO_MAIL | MOLT_DO_EXIT | MOLT_DO_KILL;
    unsigned clear = ~(OF_THE_SLOT | keep | MOLT_STATE_MASK);
    unsigned set = MOLT_DO_INIT | (p->bounds ? MOLT_IS_LIMITED : 0);
    molt_process_leave(p, set, clear);
}

/* No longer findable. Returns how it stood. */
static unsigned retire(struct molt_process *p)
{
    molt_pid pid = molt_process_pid(p);
    unsigned old = molt_process_status(p);
    atomic_store_explicit(&p->pid, 0, memory_order_relaxed);
    /* Who names, groups or relates the process adds a flag and then looks at the
     * pid. Acq_rel on one word: either the flag is seen here, or what was stored
     * before this is seen there. */
    while (!atomic_compare_exchange_weak_explicit(&p->status, &old,
                                                  (old & OF_THE_SLOT) | MOLT_STATE_RUNNING,
                                                  memory_order_acq_rel, memory_order_relaxed))
        ;
    if (old & MOLT_IS_NAMED)
        molt_names_forget(p->rt, pid);
    if (old & MOLT_IS_GROUPED)
        molt_groups_forget(p->rt, pid);
    atomic_store_explicit(&p->world, NULL, memory_order_relaxed);
    atomic_store_explicit(&p->version, NULL, memory_order_relaxed);
    if (old & OF_THE_SLOT) {
        pthread_mutex_lock(&p->rt->quiet_lock);
        pthread_cond_broadcast(&p->rt->quiet);
        pthread_mutex_unlock(&p->rt->quiet_lock);
    }
    return old;
}

/* The relations and bounds of one that is retired. */
static void untie(struct molt_process *p, struct molt_runner *runner, unsigned status, int reason)
{
    if (p->bounds)
        molt_bounds_end(p);
    if (status & MOLT_IS_TIED)
        molt_relation_end(p, &runner->cache, reason);
}

/* A process that never was: its name is taken. Who guessed its pid is told. */
static void take_back(struct molt_process *p, struct molt_runner *runner)
{
    molt_pid pid = molt_process_pid(p);
    unsigned status = retire(p);
    molt_socket_close_all(p);
    molt_process_close_mail(p, &runner->cache);
    untie(p, runner, status, MOLT_EDEAD);
    p->generation = pid >> MOLT_SLOT_BITS;
    molt_slot_give(p->rt, &runner->slots, p);
}

int molt_process_spawn(struct molt_runtime *rt, const struct molt_spawn *spawn, molt_pid *ret_pid)
{
    struct molt_runner *runner = runner_for(rt);
    struct molt_relation_set relations = {0};
    bool is_tied = spawn->supervisor || spawn->ret_monitor || spawn->is_linked;
    int rc = is_tied ? molt_relation_prepare(rt, &runner->cache, spawn, &relations) : 0;
    if (rc < 0)
        return rc;
    struct molt_bounds *bounds = spawn->limits ? molt_bounds_new(spawn->limits) : NULL;
    struct molt_process *p;
    rc = spawn->limits && !bounds ? MOLT_ENOMEM : molt_slot_take(rt, &runner->slots, &p);
    if (rc < 0)
        goto fail_relations;
    molt_pid pid = begin(p, spawn, choose_lane(rt, runner, spawn));
    if (spawn->name && (rc = molt_names_add(rt, spawn->name, pid)) < 0)
        goto fail_slot;
    if (is_tied && (rc = molt_relation_settle(p, spawn, &relations)) < 0)
        goto fail_slot;
    if (spawn->arg)
        molt_message_address(spawn->arg, &p->owner);
    p->arg = spawn->arg;
    if (bounds)
        molt_bounds_set(p, bounds);
    if (ret_pid)
        *ret_pid = pid;
    publish(p);
    return 0;

fail_slot:
    take_back(p, runner);
fail_relations:
    molt_bounds_free(bounds);
    molt_relation_discard(rt, &runner->cache, &relations);
    return rc;
}

/* ---- end -------------------------------------------------------------------- */

/* Nobody may answer any more. Who has begun to is waited for: it is between two
 * of its instructions. */
static void end_wait(struct molt_process *p, struct molt_runner *runner)
{
    if (!p->fiber || p->fiber->act.wait_kind == MOLT_WAIT_NONE)
        return;
    molt_timer_cancel(&p->fiber->act.wait_timer);
    if (atomic_exchange(&p->wait_ref, 0) == 0) {
        while (!(atomic_load_explicit(&p->status, memory_order_acquire) & MOLT_DO_RESUME))
            molt_cpu_relax();
        if (p->wait_root)
            molt_message_drop(p->rt->heap, &runner->cache, p->wait_root);
    }
    p->wait_root = NULL;
    p->fiber->act.wait_kind = MOLT_WAIT_NONE;
    struct molt_block *unsent = molt_limit_end_wait(&p->fiber->act.sender);
    if (unsent)
        molt_message_drop(p->rt->heap, &runner->cache, unsent);
}

void molt_process_leave_stack(struct molt_process *p, struct molt_runner *runner)
{
    struct molt_fiber *fiber = p->fiber;
    if (!fiber)
        return;
    struct molt_activation *act = &fiber->act;
    const struct molt_callback *cb = &act->callback;
    /* The caller, unless the callback's end has told it already. */
    bool is_message = cb->kind == MOLT_CALLBACK_CALL || cb->kind == MOLT_CALLBACK_OTHER;
    if (is_message && cb->is_call)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, MOLT_EDEAD, NULL);
    molt_block_drop_list(p->rt->heap, &runner->cache, &act->arrived);
    if (act->single && molt_block_owner(act->single) == &p->owner &&
        molt_list_is_empty(&act->single->link))
        molt_block_release(p->rt->heap, &runner->cache, act->single);
    if (act->callback.message)
        molt_message_drop(p->rt->heap, &runner->cache, act->callback.message);
    molt_requests_close(p, act, &runner->cache);
    if (act->is_visiting)
        molt_participant_return(runner->participant);
    if (act->is_holding_world) {
        molt_adopt_release(p, atomic_load_explicit(&p->world, memory_order_relaxed));
        molt_worker_count_holding(act->worker, -1L);
    }
    molt_activation_clear(act);
    p->fiber = NULL;
    molt_fiber_abandon(&act->worker->fibers, fiber);
}

static void drop_blocks(struct molt_process *p, struct molt_block_cache *cache)
{
    molt_block_drop_list(p->rt->heap, cache, &p->owner.blocks);
    if (molt_process_is_supervisor(p))
        molt_supervisor_free(p->native_state);
    p->state_block = NULL;
    p->native_state = NULL;
}

static void drop_arg(struct molt_process *p, struct molt_block_cache *cache)
{
    if (p->arg)
        molt_message_drop(p->rt->heap, cache, p->arg);
    p->arg = NULL;
}

static void drop_timeout(struct molt_process *p)
{
    if (!p->timeout)
        return;
    molt_timer_cancel(&p->timeout->timer);
    free(p->timeout);
    p->timeout = NULL;
}

void molt_process_destroy(struct molt_process *p, int reason)
{
    struct molt_runtime *rt = p->rt;
    struct molt_runner *runner = runner_for(rt);
    end_wait(p, runner);
    molt_process_leave_stack(p, runner);
    molt_adopt_forget(p, &runner->cache);
    if (molt_process_is_machine(p))
        molt_machine_free(p, &runner->cache);
    drop_timeout(p);
    molt_socket_close_all(p);
    molt_pid pid = molt_process_pid(p);
    unsigned status = retire(p);
    molt_process_close_mail(p, &runner->cache);
    if (atomic_load_explicit(&p->phase, memory_order_relaxed) == MOLT_PHASE_NEW)
        drop_arg(p, &runner->cache);
    else
        molt_process_fail_deferred(p);
    drop_blocks(p, &runner->cache);
    molt_runtime_bequeath_tables(rt, &runner->cache, pid);
    untie(p, runner, status, reason);
    molt_runtime_ended(rt, pid, reason);
    p->generation = pid >> MOLT_SLOT_BITS;
    molt_slot_give(rt, &runner->slots, p);
}
