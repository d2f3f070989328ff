/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/wait.h"

#include <string.h>

#include "base/clock.h"
#include "runtime/after.h"
#include "runtime/fiber.h"
#include "runtime/lane.h"
#include "runtime/rt.h"
#include "runtime/translate.h"
#include "runtime/worker.h"

uint64_t molt_wait_next_ref(struct molt_process *p)
{
    p->ref = (p->ref + 1) & MOLT_REF_MASK;
    p->ref += p->ref == 0;
    return p->ref;
}

uint64_t molt_wait_begin(struct molt_process *p, enum molt_wait_kind kind)
{
    return molt_wait_begin_as(p, kind, molt_wait_next_ref(p));
}

uint64_t molt_wait_begin_as(struct molt_process *p, enum molt_wait_kind kind, uint64_t number)
{
    int reason;
    uint64_t ref = number;
    p->wait_root = NULL;
    p->wait_rc = 0;
    /* Seq_cst, before exit_word: see molt_process_exit(). */
    atomic_store(&p->wait_ref, ref);
    bool is_ending = atomic_load_explicit(&p->phase, memory_order_relaxed) == MOLT_PHASE_ENDING;
    if (!is_ending && molt_process_is_asked(p, MOLT_EXIT_ASKED, &reason) &&
        atomic_compare_exchange_strong(&p->wait_ref, &ref, 0))
        return 0;
    p->fiber->act.wait_kind = kind;
    return number;
}

void molt_wait_note_whom(struct molt_process *p, const char *name, molt_pid pid)
{
    struct molt_activation *act = &p->fiber->act;
    act->whom_pid = pid;
    act->whom[0] = '\0';
    if (name && !memccpy(act->whom, name, '\0', sizeof(act->whom)))
        act->whom[sizeof(act->whom) - 1] = '\0';
}

void molt_wait_accept(struct molt_process *p, struct molt_block *root)
{
    molt_owner_count(&p->owner, molt_message_unpack(root, &p->owner.blocks));
}

int molt_wait_end(struct molt_process *p, struct molt_block **ret_root)
{
    p->fiber->act.wait_kind = MOLT_WAIT_NONE;
    struct molt_block *root = p->wait_root;
    p->wait_root = NULL;
    int rc = root ? molt_translate_reply(p, &root) : 0;
    if (root)
        molt_wait_accept(p, root);
    *ret_root = root;
    return rc < 0 ? rc : p->wait_rc;
}

static void start_timer(struct molt_process *p, uint64_t ref, unsigned ms)
{
    struct molt_timer_event event = {.pid = molt_process_pid(p),
                                     .ref = ref,
                                     .kind = MOLT_TIMER_WAIT};
    if (p->fiber->act.wait_kind == MOLT_WAIT_SLEEP)
        event.kind = MOLT_TIMER_SLEEP;
    molt_lane_start_timer(p, &p->fiber->act.wait_timer, molt_clock_ns() + (uint64_t)ms * 1000000,
                          &event);
}

void molt_wait_for(struct molt_process *p, uint64_t ref, int timeout_ms)
{
    if (timeout_ms >= 0)
        start_timer(p, ref, (unsigned)timeout_ms);
    molt_worker_suspend(p);
    if (timeout_ms >= 0)
        molt_timer_cancel(&p->fiber->act.wait_timer);
}

void molt_wait_abort(struct molt_process *p, uint64_t ref)
{
    struct molt_block *root;
    if (!atomic_compare_exchange_strong(&p->wait_ref, &ref, 0)) {
        /* Who did is about to say so; nothing else counts until then. */
        p->fiber->act.wait_kind = MOLT_WAIT_SLEEP;
        molt_worker_suspend(p);
    }
    (void)molt_wait_end(p, &root);
}

int molt_wait_stop(struct molt_process *p, uint64_t ref)
{
    struct molt_block *root;
    if (p->fiber->act.is_completed)
        return molt_wait_end(p, &root);
    molt_wait_abort(p, ref);
    return 0;
}

int molt_wait_check_locks(struct molt_process *p, const char *what)
{
    char label[128];
    const struct molt_activation *act = &p->fiber->act;
    if (act->n_locks == 0)
        return 0;
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_ERR,
                     "%s: %s would block while %u lock%s held, the last at %p: unlock it first",
                     label, what, act->n_locks, act->n_locks == 1 ? " is" : "s are",
                     act->locks[(act->n_locks - 1) % MOLT_LOCKS_KEPT]);
    return MOLT_ELOCKED;
}
