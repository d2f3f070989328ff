/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/mail.h"

#include "runtime/adopt.h"
#include "runtime/block_quick.h"
#include "runtime/callback_quick.h"
#include "runtime/dispatch.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

/* What stays the same from message to message, most of the time. */
struct row {
    struct molt_worker *worker;
    struct molt_process *process;
    struct molt_activation *act;
    struct molt_flow *flow;
    unsigned tick; /* at which the turn began */
    const struct molt_world *world;
    const struct molt_server_ref *ref;  /* in that world; NULL: absent */
    const struct molt_type *type;       /* of the last message */
    bool is_call;                       /* it was one */
    const struct molt_handler *handler; /* for such ones; NULL: not known */
};

static inline bool is_over(const struct row *row)
{
    const struct molt_worker *w = row->worker;
    /* Acquire: pairs with molt_process_signal(). */
    unsigned status = atomic_load_explicit(&row->process->status, memory_order_acquire);
    return status & ((MOLT_DO_ANY & ~MOLT_DO_MAIL) | MOLT_IS_CLAIM_WANTED) ||
           w->runner.budget <= 0 ||
           atomic_load_explicit(&w->rt->tick, memory_order_relaxed) != row->tick;
}

/* It has no bounds, so nobody waits for its room. */
static inline void take(struct molt_process *p, const struct molt_block *m)
{
    struct molt_list *next = m->link.next;
    p->mail = next ? molt_container_of(next, struct molt_block, link) : NULL;
    __builtin_prefetch(next ? next->next : NULL);
    unsigned n = atomic_load_explicit(&p->n_mail, memory_order_relaxed);
    atomic_store_explicit(&p->n_mail, n - 1, memory_order_relaxed);
}

/* The boundary comes after the message was taken. A world's address is not used
 * again as long as the worker is in it, so it stands for the server, too. */
static inline struct molt_world *pass_boundary(struct row *row)
{
    struct molt_worker *w = row->worker;
    struct molt_world *world = molt_participant_boundary(&w->participant, w->rt->current);
    if (__builtin_expect(world != row->world, 0)) {
        row->world = world;
        row->ref = molt_world_server(world, row->process->server_id);
        row->handler = NULL;
    }
    return world;
}

/* The handler that takes @m as it is; else NULL. */
static const struct molt_handler *find(const struct molt_server_ref *ref,
                                       const struct molt_block *m, bool is_call)
{
    uint32_t kind = is_call ? MOLT_HANDLER_CALL : MOLT_HANDLER_CAST;
    for (size_t i = 0; ref && i < ref->n_handlers; i++)
        if (ref->handler_types[i] == m->type)
            return ref->desc->on[i].kind == kind ? &ref->desc->on[i] : NULL;
    return NULL;
}

static inline bool find_again(struct row *row, const struct molt_block *m, bool is_call)
{
    if (__builtin_expect(!row->handler || row->type != m->type || row->is_call != is_call, 0)) {
        row->type = m->type;
        row->is_call = is_call;
        row->handler = find(row->ref, m, is_call);
    }
    return row->handler;
}

static inline void describe(struct molt_callback *cb, const struct row *row,
                            const struct molt_block *m)
{
    cb->kind = row->is_call ? MOLT_CALLBACK_CALL : MOLT_CALLBACK_CAST;
    cb->is_call = row->is_call;
    cb->is_answered = false;
    cb->fn = row->handler->fn;
    cb->arg = molt_block_payload(m);
    cb->type = row->type;
    if (row->is_call)
        cb->from = molt_message_from(m);
}

/* Nothing but the message is to be freed after most handlers. It is on no list: if
 * it is somebody else's, or on one, it was sent, freed or kept. */
static inline void finish(struct row *row, struct molt_block *m, size_t bytes)
{
    struct molt_activation *act = row->act;
    struct molt_process *p = row->process;
    struct molt_worker *w = row->worker;
    act->single = NULL;
    if (molt_block_owner(m) == &p->owner && molt_list_is_empty(&m->link)) {
        molt_owner_count(&p->owner, -bytes);
        if (__builtin_expect(!molt_block_release_quick(&w->runner.cache, m), 0))
            molt_block_release(w->rt->heap, &w->runner.cache, m);
    }
    if (__builtin_expect(act->n_locks > 0 || act->is_holding_world || act->requests, 0)) {
        molt_callback_tidy(w, p, act);
        row->world = NULL; /* it may have waited, in another world than the worker */
    }
    act->callback.kind = MOLT_CALLBACK_NONE;
    molt_worker_count(&p->n_callbacks);
}

static inline enum molt_outcome call_handler(const struct row *row)
{
    struct molt_callback *cb = &row->act->callback;
    const void *state = molt_callback_state(row->process);
    if (!row->is_call) {
        cb->rc = (int)molt_flow_call(row->flow, cb->fn, state, cb->arg, NULL, NULL);
        return __builtin_expect(cb->rc >= 0 && cb->rc != MOLT_STOP, 1)
                   ? MOLT_TURN_DONE
                   : molt_callback_conclude(row->process, cb);
    }
    /* A copy: the handler may change it. */
    struct molt_from from = cb->from;
    cb->rc = (int)molt_flow_call(row->flow, cb->fn, state, cb->arg, &from, NULL);
    return __builtin_expect(cb->rc >= 0 && cb->rc != MOLT_STOP && cb->is_answered, 1)
               ? MOLT_TURN_DONE
               : molt_callback_conclude(row->process, cb);
}

/* @m was taken. */
static inline enum molt_outcome handle(struct row *row, struct molt_block *m)
{
    struct molt_worker *w = row->worker;
    struct molt_process *p = row->process;
    bool is_call = molt_message_kind(m) == MOLT_MESSAGE_CALL;
    molt_worker_count(&w->n_messages);
    struct molt_world *world = pass_boundary(row);
    if (__builtin_expect(molt_adopt_is_due(p, world), 0)) {
        row->world = NULL;
        return molt_dispatch_adopting(w, p, world, MOLT_TASK_MESSAGE, m);
    }
    if (__builtin_expect(!find_again(row, m, is_call), 0)) {
        row->world = NULL;
        return molt_dispatch_taken(w, p, world, row->ref, m);
    }
    describe(&row->act->callback, row, m);
    row->act->single = w->runner.known = m;
    size_t bytes = molt_message_unpack_single(m);
    molt_owner_count(&p->owner, bytes);
    molt_callback_begin(w, p, world, row->ref);
    enum molt_outcome outcome = call_handler(row);
    finish(row, m, bytes);
    return outcome;
}

enum molt_outcome molt_mail_run(struct molt_worker *w, struct molt_process *p, unsigned tick)
{
    struct row row = {.worker = w,
                      .process = p,
                      .act = molt_callback_activation(p),
                      .flow = &p->fiber->flow,
                      .tick = tick};
    for (struct molt_block *m = p->mail;; w->runner.budget--) {
        take(p, m);
        enum molt_outcome outcome = handle(&row, m);
        m = p->mail;
        if (outcome != MOLT_TURN_DONE || !m || !molt_message_is_single(m) || is_over(&row))
            return outcome;
    }
}
