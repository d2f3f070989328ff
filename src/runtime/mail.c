/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/mail.h"

#include "runtime/block_quick.h"
#include "runtime/callback_quick.h"
#include "runtime/dispatch.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

/* A cast or a call, and no further blocks. */
static inline bool is_usual(const struct molt_block *m)
{
    _Static_assert(MOLT_MESSAGE_CAST == 0 && MOLT_MESSAGE_CALL == 1, "one bit of the kind");
    size_t word = atomic_load_explicit(&m->bytes, memory_order_relaxed);
    size_t other = (MOLT_MESSAGE_KIND_MASK | MOLT_MESSAGE_HAS_MORE) &
                   ~((size_t)MOLT_MESSAGE_CALL << MOLT_MESSAGE_SHIFT);
    return !(word & other);
}

static inline bool is_over(const struct molt_worker *w, const struct molt_process *p, unsigned tick)
{
    /* Acquire: pairs with molt_process_signal(). */
    unsigned status = atomic_load_explicit(&p->status, memory_order_acquire);
    return status & ((MOLT_DO_ANY & ~MOLT_DO_MAIL) | MOLT_IS_CLAIM_WANTED) ||
           atomic_load_explicit(&w->rt->tick, memory_order_relaxed) != tick;
}

/* It has no bounds, so nobody waits for its room. */
static inline void take(struct molt_process *p, const struct molt_block *m)
{
    p->mail = molt_message_after(m);
    if (p->mail)
        __builtin_prefetch(p->mail->link.next);
    unsigned n = atomic_load_explicit(&p->n_mail, memory_order_relaxed);
    atomic_store_explicit(&p->n_mail, n - 1, memory_order_relaxed);
}

/* The handler that takes @m as it is; else NULL. */
static inline const struct molt_handler *find(const struct molt_server_ref *ref,
                                              const struct molt_block *m, bool is_call)
{
    uint32_t kind = is_call ? MOLT_HANDLER_CALL : MOLT_HANDLER_CAST;
    for (size_t i = 0; ref && i < ref->n_handlers; i++)
        if (ref->handler_types[i] == m->type)
            return ref->desc->on[i].kind == kind ? &ref->desc->on[i] : NULL;
    return NULL;
}

static inline void describe(struct molt_callback *cb, const struct molt_handler *handler,
                            const struct molt_block *m, bool is_call)
{
    cb->kind = is_call ? MOLT_CALLBACK_CALL : MOLT_CALLBACK_CAST;
    cb->is_call = is_call;
    cb->is_answered = false;
    cb->fn = handler->fn;
    cb->arg = molt_block_payload(m);
    cb->type = m->type;
    if (is_call)
        cb->from = molt_message_from(m);
}

static inline enum molt_outcome handle(struct molt_worker *w, struct molt_process *p,
                                       struct molt_block *m)
{
    struct molt_activation *act = molt_callback_activation(p);
    bool is_call = molt_message_kind(m) == MOLT_MESSAGE_CALL;
    molt_worker_count(&w->n_messages);
    /* The boundary comes after the message was taken. */
    struct molt_world *world = molt_participant_boundary(&w->participant, w->rt->current);
    const struct molt_server_ref *ref = molt_world_server(world, p->server_id);
    const struct molt_handler *handler = find(ref, m, is_call);
    if (__builtin_expect(!handler, 0))
        return molt_dispatch_taken(w, p, world, ref, m);
    describe(&act->callback, handler, m, is_call);
    act->single = m;
    molt_owner_count(&p->owner, molt_message_unpack_single(m));
    w->runner.known = m;
    return molt_callback_run_message(w, p, world, ref);
}

enum molt_outcome molt_mail_run(struct molt_worker *w, struct molt_process *p, unsigned tick)
{
    enum molt_outcome outcome = MOLT_TURN_DONE;
    if (p->bounds || molt_process_is_machine(p) || molt_process_is_supervisor(p))
        return outcome;
    for (struct molt_block *m; outcome == MOLT_TURN_DONE && (m = p->mail) && is_usual(m) &&
                               w->runner.budget > 0 && !is_over(w, p, tick);) {
        w->runner.budget--;
        take(p, m);
        outcome = handle(w, p, m);
    }
    return outcome;
}
