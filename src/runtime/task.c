/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/task.h"

#include "port/limits.h"
#include "runtime/after.h"
#include "runtime/machine.h"
#include "runtime/rt.h"
#include "runtime/socket.h"
#include "runtime/worker.h"

/* What had come when it looked it may handle, up to so much, or it would never
 * catch up with several senders. */
#define TURN_MAIL MOLT_LIMIT(16000, 1)

/* Take a reason away; what it stands for is looked at afterwards. */
static void consume(struct molt_process *p, unsigned reason)
{
    /* Seq_cst: pairs with who wrote what it stands for and added the reason. */
    atomic_fetch_and(&p->status, ~reason);
}

bool molt_task_is_kill(struct molt_process *p)
{
    int reason;
    consume(p, MOLT_DO_KILL);
    if (!molt_process_is_asked(p, MOLT_EXIT_KILL, &reason))
        return false;
    p->end_reason = MOLT_EKILLED;
    return true;
}

static enum molt_task pick_exit(struct molt_process *p)
{
    int reason;
    consume(p, MOLT_DO_EXIT);
    /* One that is ending already has its reason. */
    if (!molt_process_is_asked(p, MOLT_EXIT_ASKED, &reason) ||
        molt_process_phase(p) == MOLT_PHASE_ENDING)
        return MOLT_TASK_NONE;
    p->end_reason = reason;
    /* Without a state there is nothing to terminate. */
    if (molt_process_phase(p) == MOLT_PHASE_NEW)
        return MOLT_TASK_KILL;
    molt_process_set_phase(p, MOLT_PHASE_ENDING);
    return molt_process_is_supervisor(p) ? MOLT_TASK_EXIT : MOLT_TASK_TERMINATE;
}

static bool is_timeout(struct molt_process *p)
{
    consume(p, MOLT_DO_TIMEOUT);
    /* It may have been cancelled, or started anew, after it had expired. */
    return p->timeout && p->timeout->ref &&
           atomic_load_explicit(&p->timeout_fired, memory_order_relaxed) == p->timeout->ref;
}

static enum molt_task pick_more(struct molt_process *p, unsigned status)
{
    unsigned one = status & MOLT_DO_CONTINUE ? MOLT_DO_CONTINUE
                   : status & MOLT_DO_CONFIG ? MOLT_DO_CONFIG
                                             : MOLT_DO_RUN;
    consume(p, one);
    return one == MOLT_DO_CONTINUE ? MOLT_TASK_CONTINUE
           : one == MOLT_DO_CONFIG ? MOLT_TASK_CONFIG
                                   : MOLT_TASK_RUN;
}

/* A state is entered before anything else; what else the machine has waiting comes
 * after on_continue. A process without one has the late timer of an earlier one. */
static bool is_machine_due(struct molt_process *p, unsigned status)
{
    if (molt_process_is_machine(p) && molt_machine_must_enter(p->machine))
        return true;
    if (status & (MOLT_DO_CONTINUE | MOLT_DO_CONFIG))
        return false;
    consume(p, MOLT_DO_MACHINE);
    return molt_process_is_machine(p) && molt_machine_poll(p);
}

static enum molt_task pick_event(struct molt_process *p, unsigned status)
{
    if (status & MOLT_DO_KILL && molt_task_is_kill(p))
        return MOLT_TASK_KILL;
    if (status & MOLT_DO_EXIT) {
        enum molt_task task = pick_exit(p);
        if (task != MOLT_TASK_NONE)
            return task;
    }
    if (status & MOLT_DO_TERMINATE) {
        consume(p, MOLT_DO_TERMINATE);
        return MOLT_TASK_TERMINATE;
    }
    if (status & MOLT_DO_INIT) {
        consume(p, MOLT_DO_INIT);
        return MOLT_TASK_INIT;
    }
    if (status & MOLT_DO_MACHINE && is_machine_due(p, status))
        return MOLT_TASK_MACHINE;
    unsigned more = status & (MOLT_DO_CONTINUE | MOLT_DO_RUN | MOLT_DO_CONFIG);
    if (more && !molt_process_is_supervisor(p))
        return pick_more(p, more);
    if (status & MOLT_DO_READY) {
        consume(p, MOLT_DO_READY);
        if (molt_socket_has_any(p))
            return MOLT_TASK_READY;
    }
    return status & MOLT_DO_TIMEOUT && is_timeout(p) ? MOLT_TASK_TIMEOUT : MOLT_TASK_NONE;
}

static void add_budget(struct molt_worker *w, unsigned n)
{
    if (__builtin_expect(n > MOLT_TURN, 0))
        w->runner.budget = n < TURN_MAIL ? (int)n : TURN_MAIL;
}

void molt_task_collect(struct molt_worker *w, struct molt_process *p)
{
    add_budget(w, molt_process_collect(p, &w->runner.cache));
}

enum molt_task molt_task_pick(struct molt_worker *w, struct molt_process *p)
{
    /* Acquire: pairs with molt_process_signal(). */
    unsigned status = atomic_load_explicit(&p->status, memory_order_acquire);
    if (__builtin_expect(status & MOLT_DO_ANY & ~MOLT_DO_MAIL, 0)) {
        enum molt_task task = pick_event(p, status);
        if (task != MOLT_TASK_NONE)
            return task;
    }
    if (!p->mail)
        add_budget(w, molt_process_drain(p, &w->runner.cache));
    return p->mail ? MOLT_TASK_MESSAGE : MOLT_TASK_NONE;
}
