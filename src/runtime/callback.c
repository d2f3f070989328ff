/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/callback_quick.h"

#include "runtime/adopt.h"
#include "runtime/machine.h"
#include "runtime/rt.h"
#include "runtime/supervisor.h"
#include "runtime/worker.h"

/* ---- module code ---------------------------------------------------------------- */

static const void *number(long n)
{
    return (const void *)n; /* NOLINT: as molt_flow_call() wants it */
}

/* The code of the module, between the runtime's frames. Arguments as the table
 * at the top of <molt/abi.h> says. */
static void invoke(struct molt_process *p, struct molt_activation *act)
{
    struct molt_callback *cb = &act->callback;
    const void *state = molt_callback_state(p);
    switch (cb->kind) {
    case MOLT_CALLBACK_NONE:
        break;
    case MOLT_CALLBACK_INIT:
    case MOLT_CALLBACK_CAST:
        cb->rc = molt_callback_call(p, cb->fn, state, cb->arg, NULL);
        break;
    case MOLT_CALLBACK_CALL: {
        /* A copy: the handler may change it. */
        struct molt_from from = cb->from;
        cb->rc = molt_callback_call(p, cb->fn, state, cb->arg, &from);
        break;
    }
    case MOLT_CALLBACK_OTHER:
        cb->rc = molt_callback_call(p, cb->fn, state, cb->type_name, cb->arg);
        break;
    case MOLT_CALLBACK_READY:
        cb->rc = molt_callback_call(p, cb->fn, state, number(cb->fd), number(cb->events));
        break;
    case MOLT_CALLBACK_DATA:
        cb->rc = molt_callback_call(p, cb->fn, state, cb->arg, NULL);
        break;
    case MOLT_CALLBACK_ENTER:
    case MOLT_CALLBACK_NAMED_TIMEOUT:
        cb->rc = molt_callback_call(p, cb->fn, state, number(cb->number), NULL);
        break;
    case MOLT_CALLBACK_TIMEOUT:
    case MOLT_CALLBACK_STATE_TIMEOUT:
    case MOLT_CALLBACK_EVENT_TIMEOUT:
    case MOLT_CALLBACK_RUN:
    case MOLT_CALLBACK_CONTINUE:
    case MOLT_CALLBACK_CONFIG:
        cb->rc = molt_callback_call(p, cb->fn, state, NULL, NULL);
        break;
    case MOLT_CALLBACK_TERMINATE:
        (void)molt_callback_call(p, cb->fn, state, number(p->end_reason), NULL);
        cb->rc = 0;
        break;
    case MOLT_CALLBACK_NATIVE:
        cb->rc = molt_supervisor_run(p, cb->message);
        break;
    case MOLT_CALLBACK_EXIT: {
        struct molt_exit exit = {.pid = cb->from.pid, .reason = cb->reason};
        cb->rc = molt_callback_call(p, cb->fn, state, &exit, NULL);
        break;
    }
    case MOLT_CALLBACK_DOWN: {
        struct molt_down down = {cb->from.ref, cb->from.pid, cb->reason};
        cb->rc = molt_callback_call(p, cb->fn, state, &down, NULL);
        break;
    }
    }
}

/* ---- afterwards ----------------------------------------------------------------- */

static void report_end(struct molt_process *p, int reason, const char *what)
{
    char label[128], version[96] = "absent";
    molt_process_label(p, label, sizeof(label));
    const struct molt_version *v = atomic_load_explicit(&p->version, memory_order_relaxed);
    if (v)
        molt_version_print(v, version, sizeof(version));
    molt_runtime_log(p->rt, MOLT_WARN, "%s (%s) ends: %s returned %d, %s", label, version, what,
                     reason, molt_error_text(reason));
}

static void leave_world(struct molt_worker *w, struct molt_process *p, struct molt_activation *act)
{
    if (act->is_visiting)
        molt_participant_return(&w->participant);
    if (act->is_holding_world) {
        molt_adopt_release(p, atomic_load_explicit(&p->world, memory_order_relaxed));
        molt_worker_count_holding(act->worker, -1L);
    }
    act->is_visiting = act->is_holding_world = false;
    molt_adopt_catch_up(w, p);
}

void molt_callback_warn_of_locks(struct molt_process *p, const struct molt_activation *act)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_ERR, "%s: a callback returned with %u lock%s held, the last at %p",
                     label, act->n_locks, act->n_locks == 1 ? "" : "s",
                     act->locks[(act->n_locks - 1) % MOLT_LOCKS_KEPT]);
}

static void drop_arrived(struct molt_worker *w, struct molt_activation *act)
{
    molt_list_each (node, tmp, &act->arrived)
        molt_block_drop(w->rt->heap, &w->runner.cache,
                        molt_container_of(node, struct molt_block, link));
}

/* A callback asked to end the process: what is the reason? One that was asked
 * to end from outside has that one. */
static void decide_reason(struct molt_process *p, const struct molt_callback *cb)
{
    int reason;
    if (molt_process_is_asked(p, MOLT_EXIT_ASKED, &reason)) {
        p->end_reason = reason;
        return;
    }
    p->end_reason = cb->rc == MOLT_STOP ? 0 : cb->rc;
    if (cb->rc < 0)
        report_end(p, cb->rc, cb->kind == MOLT_CALLBACK_INIT ? "init" : "a callback");
}

/* Nobody has answered the caller, and the handler goes on: the caller has to
 * hear of the process's end. */
static void defer(struct molt_process *p, const struct molt_callback *cb)
{
    if (!molt_process_defer(p, cb->from))
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, MOLT_ENOMEM, NULL);
}

enum molt_outcome molt_callback_conclude(struct molt_process *p, const struct molt_callback *cb)
{
    if (cb->is_call && cb->rc < 0)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, cb->rc, NULL);
    else if (cb->is_call && !cb->is_answered)
        defer(p, cb);
    if (cb->kind == MOLT_CALLBACK_TERMINATE)
        return MOLT_TURN_ENDED;
    if (cb->rc >= 0 && cb->rc != MOLT_STOP)
        return MOLT_TURN_DONE;
    if (cb->kind == MOLT_CALLBACK_NATIVE) {
        p->end_reason = cb->rc;
        return MOLT_TURN_ENDED;
    }
    decide_reason(p, cb);
    if (cb->kind == MOLT_CALLBACK_INIT && cb->rc < 0)
        return MOLT_TURN_ENDED;
    molt_process_set_phase(p, MOLT_PHASE_ENDING);
    atomic_fetch_or(&p->status, MOLT_DO_TERMINATE);
    return MOLT_TURN_DONE;
}

void molt_callback_tidy(struct molt_worker *w, struct molt_process *p, struct molt_activation *act)
{
    if (!molt_list_is_empty(&act->arrived))
        drop_arrived(w, act);
    if (act->callback.message) {
        molt_message_drop(w->rt->heap, &w->runner.cache, act->callback.message);
        act->callback.message = NULL;
    }
    if (act->n_locks > 0)
        molt_callback_warn_of_locks(p, act);
    if (act->is_holding_world)
        leave_world(w, p, act);
    if (act->requests)
        molt_requests_close(p, act, &w->runner.cache);
    if (molt_process_phase(p) == MOLT_PHASE_NEW)
        molt_process_set_phase(p, MOLT_PHASE_ALIVE);
}

enum molt_outcome molt_callback_run(struct molt_worker *w, struct molt_process *p,
                                    struct molt_world *world, const struct molt_server_ref *ref)
{
    struct molt_activation *act = molt_callback_activation(p);
    molt_callback_begin(w, p, world, ref);
    invoke(p, act);
    if (__builtin_expect(molt_process_is_machine(p), 0))
        molt_machine_end(p, act, ref);
    enum molt_outcome outcome = molt_callback_conclude(p, &act->callback);
    molt_callback_end(w, p, act);
    return outcome;
}

/* What came goes to the process, until the callback returns. */
void molt_callback_accept(struct molt_process *p, struct molt_block *root)
{
    struct molt_activation *act = molt_callback_activation(p);
    size_t bytes;
    if (__builtin_expect(molt_message_has_more(root), 0)) {
        bytes = molt_message_unpack(root, &act->arrived);
    } else {
        bytes = molt_message_unpack_single(root);
        act->single = root;
        act->worker->runner.known = p->bounds ? NULL : root;
    }
    molt_owner_count(&p->owner, bytes);
}
