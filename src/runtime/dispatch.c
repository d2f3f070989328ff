/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a worker does with a process: on a fiber, pick the next thing, find the
 * code for it in the current world, call that, and settle what follows from the
 * result; again and again, until its turn is over or it waits.
 *
 * The world boundary comes after the message was taken, so whatever a newer
 * world caused is handled in that world or a later one.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "port/limits.h"
#include "runtime/after.h"
#include "runtime/contained.h"
#include "runtime/fiber.h"
#include "runtime/relation.h"
#include "runtime/rt.h"
#include "runtime/socket.h"
#include "runtime/supervisor.h"
#include "runtime/worker.h"

/* Callbacks and messages sent by one process before others have a turn, as the
 * BEAM's reductions: so who receives keeps up with who sends. */
#define TURN MOLT_LIMIT(1000, 1)
/* What had come when it looked it may handle, up to so much, or it would never
 * catch up with several senders. */
#define TURN_MAIL MOLT_LIMIT(16000, 1)

enum task {
    TASK_NONE,
    TASK_KILL,
    TASK_INIT,
    TASK_TERMINATE,
    TASK_EXIT, /* a native process is asked to end */
    TASK_READY,
    TASK_TIMEOUT,
    TASK_CONTINUE,
    TASK_RUN,
    TASK_CONFIG,
    TASK_MESSAGE,
};

/* What became of a task. */
enum outcome { DONE, ENDED };

static struct molt_activation *activation_of(const struct molt_process *p)
{
    return &p->fiber->act;
}

static enum molt_phase phase_of(const struct molt_process *p)
{
    return (enum molt_phase)atomic_load_explicit(&p->phase, memory_order_relaxed);
}

static void set_phase(struct molt_process *p, enum molt_phase phase)
{
    atomic_store_explicit(&p->phase, (unsigned char)phase, memory_order_relaxed);
}

/* ---- picking ------------------------------------------------------------------ */

/* Take a reason away; what it stands for is looked at afterwards. */
static void consume(struct molt_process *p, unsigned reason)
{
    /* Seq_cst: pairs with who wrote what it stands for and added the reason. */
    atomic_fetch_and(&p->status, ~reason);
}

static bool is_killed(struct molt_process *p)
{
    int reason;
    consume(p, MOLT_DO_KILL);
    if (!molt_process_is_asked(p, MOLT_EXIT_KILL, &reason))
        return false;
    p->end_reason = MOLT_EKILLED;
    return true;
}

static enum task pick_exit(struct molt_process *p)
{
    int reason;
    consume(p, MOLT_DO_EXIT);
    /* One that is ending already has its reason. */
    if (!molt_process_is_asked(p, MOLT_EXIT_ASKED, &reason) || phase_of(p) == MOLT_PHASE_ENDING)
        return TASK_NONE;
    p->end_reason = reason;
    /* Without a state there is nothing to terminate. */
    if (phase_of(p) == MOLT_PHASE_NEW)
        return TASK_KILL;
    set_phase(p, MOLT_PHASE_ENDING);
    return molt_process_is_supervisor(p) ? TASK_EXIT : TASK_TERMINATE;
}

static bool is_timeout(struct molt_process *p)
{
    consume(p, MOLT_DO_TIMEOUT);
    /* It may have been cancelled, or started anew, after it had expired. */
    return p->timeout && p->timeout->ref &&
           atomic_load_explicit(&p->timeout_fired, memory_order_relaxed) == p->timeout->ref;
}

static enum task pick_more(struct molt_process *p, unsigned status)
{
    unsigned one = status & MOLT_DO_CONTINUE ? MOLT_DO_CONTINUE
                   : status & MOLT_DO_CONFIG ? MOLT_DO_CONFIG
                                             : MOLT_DO_RUN;
    consume(p, one);
    return one == MOLT_DO_CONTINUE ? TASK_CONTINUE : one == MOLT_DO_CONFIG ? TASK_CONFIG : TASK_RUN;
}

static enum task pick_event(struct molt_process *p, unsigned status)
{
    if (status & MOLT_DO_KILL && is_killed(p))
        return TASK_KILL;
    if (status & MOLT_DO_EXIT) {
        enum task task = pick_exit(p);
        if (task != TASK_NONE)
            return task;
    }
    if (status & MOLT_DO_TERMINATE) {
        consume(p, MOLT_DO_TERMINATE);
        return TASK_TERMINATE;
    }
    if (status & MOLT_DO_INIT) {
        consume(p, MOLT_DO_INIT);
        return TASK_INIT;
    }
    unsigned more = status & (MOLT_DO_CONTINUE | MOLT_DO_RUN | MOLT_DO_CONFIG);
    if (more && !molt_process_is_supervisor(p))
        return pick_more(p, more);
    if (status & MOLT_DO_READY) {
        consume(p, MOLT_DO_READY);
        if (molt_socket_has_any(p))
            return TASK_READY;
    }
    return status & MOLT_DO_TIMEOUT && is_timeout(p) ? TASK_TIMEOUT : TASK_NONE;
}

static enum task pick(struct molt_worker *w, struct molt_process *p)
{
    /* Acquire: pairs with molt_process_signal(). */
    unsigned status = atomic_load_explicit(&p->status, memory_order_acquire);
    if (__builtin_expect(status & MOLT_DO_ANY & ~MOLT_DO_MAIL, 0)) {
        enum task task = pick_event(p, status);
        if (task != TASK_NONE)
            return task;
    }
    if (!p->mail) {
        unsigned n = molt_process_drain(p, &w->runner.cache);
        if (__builtin_expect(n > TURN, 0))
            w->runner.budget = n < TURN_MAIL ? (int)n : TURN_MAIL;
    }
    return p->mail ? TASK_MESSAGE : TASK_NONE;
}

/* ---- reports ------------------------------------------------------------------ */

static void version_of(const struct molt_server_ref *ref, char *buf, size_t size)
{
    if (ref)
        molt_version_print(ref->version, buf, size);
    else
        snprintf(buf, size, "absent");
}

static void refuse_message(struct molt_process *p, struct molt_block *m, int code,
                           const struct molt_server_ref *ref, const char *why)
{
    char label[128], version[96];
    bool is_call = molt_message_kind(m) == MOLT_MESSAGE_CALL;
    molt_process_label(p, label, sizeof(label));
    version_of(ref, version, sizeof(version));
    molt_runtime_log(p->rt, MOLT_WARN, "%s (%s): %s of type '%s' %s: %s", label, version,
                     is_call ? "call" : "message", m->type->name,
                     is_call ? "answered with an error" : "dropped", why);
    struct molt_from from = molt_message_from(m);
    if (is_call)
        molt_process_complete(p->rt, from.pid, from.ref, code, NULL);
}

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

/* ---- running ------------------------------------------------------------------ */

static int call_module(struct molt_process *p, molt_any_fn fn, const void *a, const void *b,
                       const void *c)
{
    return (int)molt_flow_call(&p->fiber->flow, fn, a, b, c, NULL);
}

static const void *number(long n)
{
    return (const void *)n; /* NOLINT: as molt_flow_call() wants it */
}

/* The code of the module, between the runtime's frames. Arguments as the table
 * at the top of <molt/abi.h> says. */
static void invoke(struct molt_process *p, struct molt_activation *act)
{
    struct molt_callback *cb = &act->callback;
    const void *state = p->state_block ? molt_block_payload(p->state_block) : NULL;
    errno = 0;
    switch (cb->kind) {
    case MOLT_CALLBACK_NONE:
        break;
    case MOLT_CALLBACK_INIT:
    case MOLT_CALLBACK_CAST:
        cb->rc = call_module(p, cb->fn, state, cb->arg, NULL);
        break;
    case MOLT_CALLBACK_CALL: {
        /* A copy: the handler may change it. */
        struct molt_from from = cb->from;
        cb->rc = call_module(p, cb->fn, state, cb->arg, &from);
        break;
    }
    case MOLT_CALLBACK_OTHER:
        cb->rc = call_module(p, cb->fn, state, cb->type_name, cb->arg);
        break;
    case MOLT_CALLBACK_READY:
        cb->rc = call_module(p, cb->fn, state, number(cb->fd), number(cb->events));
        break;
    case MOLT_CALLBACK_DATA:
        cb->rc = call_module(p, cb->fn, state, cb->arg, NULL);
        break;
    case MOLT_CALLBACK_TIMEOUT:
    case MOLT_CALLBACK_RUN:
    case MOLT_CALLBACK_CONTINUE:
    case MOLT_CALLBACK_CONFIG:
        cb->rc = call_module(p, cb->fn, state, NULL, NULL);
        break;
    case MOLT_CALLBACK_TERMINATE:
        (void)call_module(p, cb->fn, state, number(p->end_reason), NULL);
        cb->rc = 0;
        break;
    case MOLT_CALLBACK_NATIVE:
        cb->rc = molt_supervisor_run(p, cb->message);
        break;
    case MOLT_CALLBACK_EXIT: {
        struct molt_exit exit = {.pid = cb->from.pid, .reason = cb->reason};
        cb->rc = call_module(p, cb->fn, state, &exit, NULL);
        break;
    }
    case MOLT_CALLBACK_DOWN: {
        struct molt_down down = {cb->from.ref, cb->from.pid, cb->reason};
        cb->rc = call_module(p, cb->fn, state, &down, NULL);
        break;
    }
    }
}

void molt_worker_suspend(struct molt_process *p)
{
    struct molt_activation *act = activation_of(p);
    int saved = errno;
    if (!act->is_holding_world) {
        molt_world_hold(atomic_load_explicit(&p->world, memory_order_relaxed));
        act->is_holding_world = true;
        molt_worker_count_holding(act->worker, 1);
    }
    molt_context_leave(&p->fiber->context);
    errno = saved;
}

void molt_worker_yield(struct molt_process *p)
{
    atomic_fetch_add_explicit(&p->rt->n_preempted, 1, memory_order_relaxed);
    activation_of(p)->is_preempted = true;
    molt_worker_suspend(p);
}

void molt_worker_restart(struct molt_process *p)
{
    activation_of(p)->is_restarted = true;
    molt_context_leave(&p->fiber->context);
    __builtin_unreachable();
}

void molt_worker_fail(struct molt_process *p)
{
    activation_of(p)->is_failed = true;
    molt_context_leave(&p->fiber->context);
    __builtin_unreachable();
}

static void leave_world(struct molt_worker *w, struct molt_process *p, struct molt_activation *act)
{
    if (act->is_visiting)
        molt_participant_return(&w->participant);
    if (act->is_holding_world) {
        molt_world_release(atomic_load_explicit(&p->world, memory_order_relaxed));
        molt_worker_count_holding(act->worker, -1L);
    }
    act->is_visiting = act->is_holding_world = false;
}

static void warn_of_locks(struct molt_process *p, const struct molt_activation *act)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_ERR, "%s: a callback returned with %u lock%s held, the last at %p",
                     label, act->n_locks, act->n_locks == 1 ? "" : "s",
                     act->locks[(act->n_locks - 1) % MOLT_LOCKS_KEPT]);
}

/* The message and what it brought are freed, unless they were kept or sent. */
static void drop_single(struct molt_worker *w, struct molt_process *p, struct molt_activation *act)
{
    struct molt_block *block = act->single;
    act->single = NULL;
    if (molt_block_owner(block) == &p->owner && molt_list_is_empty(&block->link))
        molt_block_drop(w->rt->heap, &w->runner.cache, block);
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

/* What the result of a finished callback means. */
static enum outcome conclude(struct molt_process *p, const struct molt_callback *cb)
{
    if (cb->is_call && cb->rc < 0)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, cb->rc, NULL);
    else if (cb->is_call && !cb->is_answered)
        defer(p, cb);
    if (cb->kind == MOLT_CALLBACK_TERMINATE)
        return ENDED;
    if (cb->rc >= 0 && cb->rc != MOLT_STOP)
        return DONE;
    if (cb->kind == MOLT_CALLBACK_NATIVE) {
        p->end_reason = cb->rc;
        return ENDED;
    }
    decide_reason(p, cb);
    if (cb->kind == MOLT_CALLBACK_INIT && cb->rc < 0)
        return ENDED;
    set_phase(p, MOLT_PHASE_ENDING);
    atomic_fetch_or(&p->status, MOLT_DO_TERMINATE);
    return DONE;
}

static void add_one(atomic_ullong *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Run the callback that @p's activation describes, in @world, here. */
static enum outcome run(struct molt_worker *w, struct molt_process *p, struct molt_world *world,
                        const struct molt_server_ref *ref)
{
    struct molt_activation *act = activation_of(p);
    if (atomic_load_explicit(&p->world, memory_order_relaxed) != world) {
        atomic_store_explicit(&p->world, world, memory_order_relaxed);
        atomic_store_explicit(&p->version, ref ? ref->version : NULL, memory_order_relaxed);
    }
    add_one(&w->n_callbacks);
    invoke(p, act);
    enum outcome outcome = conclude(p, &act->callback);
    if (act->single)
        drop_single(w, p, act);
    else if (__builtin_expect(!molt_list_is_empty(&act->arrived), 0))
        drop_arrived(w, act);
    if (act->callback.message) {
        molt_message_drop(w->rt->heap, &w->runner.cache, act->callback.message);
        act->callback.message = NULL;
    }
    if (act->n_locks > 0)
        warn_of_locks(p, act);
    if (__builtin_expect(act->is_holding_world, 0))
        leave_world(w, p, act);
    if (__builtin_expect(act->requests != NULL, 0))
        molt_requests_close(p, act, &w->runner.cache);
    act->callback.kind = MOLT_CALLBACK_NONE;
    add_one(&p->n_callbacks);
    if (__builtin_expect(phase_of(p) == MOLT_PHASE_NEW, 0))
        set_phase(p, MOLT_PHASE_ALIVE);
    return outcome;
}

/* ---- tasks -> callbacks --------------------------------------------------------- */

/* What came goes to the process, until the callback returns. */
static void accept(struct molt_process *p, struct molt_block *root)
{
    struct molt_activation *act = activation_of(p);
    size_t bytes;
    if (__builtin_expect(molt_message_has_more(root), 0)) {
        bytes = molt_message_unpack(root, &act->arrived);
    } else {
        bytes = molt_message_unpack_single(root);
        act->single = root;
    }
    molt_owner_count(&p->owner, bytes);
}

static enum outcome end_new(struct molt_process *p, int code, const char *why)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_WARN, "%s can't start: %s", label, why);
    p->end_reason = code;
    return ENDED;
}

static enum outcome run_init(struct molt_worker *w, struct molt_process *p,
                             struct molt_world *world, const struct molt_server_ref *ref)
{
    if (!ref)
        return end_new(p, MOLT_EUNDEF, "its server is gone from the current world");
    struct molt_block *arg = p->arg;
    if (arg && ref->init_type && arg->type != ref->init_type)
        return end_new(p, MOLT_ETYPE, "its argument is of another type than its init takes");
    if (!p->state_block)
        p->state_block =
            molt_block_make(w->rt->heap, &w->runner.cache, &p->owner, ref->state_type, 1);
    if (!p->state_block)
        return end_new(p, MOLT_ENOMEM, "no memory for its state");
    struct molt_callback *cb = &activation_of(p)->callback;
    *cb = (struct molt_callback){.kind = MOLT_CALLBACK_INIT, .fn = ref->desc->init};
    if (arg) {
        cb->arg = molt_block_payload(arg);
        p->arg = NULL;
        accept(p, arg);
    }
    if (!ref->desc->init)
        cb->kind = MOLT_CALLBACK_NONE;
    enum outcome outcome = run(w, p, world, ref);
    bool is_up = outcome == DONE && phase_of(p) == MOLT_PHASE_ALIVE;
    if (is_up && molt_supervisor_tell_started(p) < 0) {
        p->end_reason = MOLT_ENOMEM;
        set_phase(p, MOLT_PHASE_ENDING);
        atomic_fetch_or(&p->status, MOLT_DO_TERMINATE);
    }
    if (is_up && ref->desc->run)
        atomic_fetch_or(&p->status, MOLT_DO_RUN);
    return outcome;
}

static enum outcome run_terminate(struct molt_worker *w, struct molt_process *p,
                                  struct molt_world *world, const struct molt_server_ref *ref)
{
    if (!ref || !ref->desc->terminate || !p->state_block)
        return ENDED;
    activation_of(p)->callback =
        (struct molt_callback){.kind = MOLT_CALLBACK_TERMINATE, .fn = ref->desc->terminate};
    return run(w, p, world, ref);
}

static molt_any_fn data_fn_of(const struct molt_server *desc)
{
    /* Modules that were built with older headers don't have it. */
    bool has_it = desc->size >= offsetof(struct molt_server, on_data) + sizeof(desc->on_data);
    return has_it ? desc->on_data : NULL;
}

/* Hand over what @s has, if it has something after all. */
static enum outcome run_data(struct molt_worker *w, struct molt_process *p,
                             struct molt_world *world, const struct molt_server_ref *ref,
                             struct molt_socket *s, char *buf, size_t size)
{
    struct molt_net_data data;
    if (!molt_socket_take_data(p, s, buf, size, &data))
        return DONE;
    activation_of(p)->callback = (struct molt_callback){.kind = MOLT_CALLBACK_DATA,
                                                        .fn = data_fn_of(ref->desc),
                                                        .arg = &data};
    return run(w, p, world, ref);
}

/* Apart, so that only who reads needs the stack. */
__attribute__((noinline)) static enum outcome
run_data_large(struct molt_worker *w, struct molt_process *p, struct molt_world *world,
               const struct molt_server_ref *ref, struct molt_socket *s)
{
    char buf[MOLT_NET_DATA_MAX];
    return run_data(w, p, world, ref, s, buf, sizeof(buf));
}

__attribute__((noinline)) static enum outcome
run_data_small(struct molt_worker *w, struct molt_process *p, struct molt_world *world,
               const struct molt_server_ref *ref, struct molt_socket *s)
{
    char buf[MOLT_NET_DATA_MAX / 16];
    return run_data(w, p, world, ref, s, buf, sizeof(buf));
}

static enum outcome run_ready(struct molt_worker *w, struct molt_process *p,
                              struct molt_world *world, const struct molt_server_ref *ref)
{
    if (!ref)
        return DONE;
    molt_any_fn on_ready = ref->desc->on_ready, on_data = data_fn_of(ref->desc);
    struct molt_socket_event event;
    if (!molt_socket_next_event(p, on_ready != NULL, on_data != NULL, &event))
        return DONE;
    if (event.is_data)
        return w->rt->config.stack_bytes >= 8 * MOLT_NET_DATA_MAX
                   ? run_data_large(w, p, world, ref, event.socket)
                   : run_data_small(w, p, world, ref, event.socket);
    activation_of(p)->callback = (struct molt_callback){.kind = MOLT_CALLBACK_READY,
                                                        .fn = on_ready,
                                                        .fd = event.socket->fd,
                                                        .events = event.events};
    return run(w, p, world, ref);
}

static enum outcome run_timeout(struct molt_worker *w, struct molt_process *p,
                                struct molt_world *world, const struct molt_server_ref *ref)
{
    p->timeout->ref = 0;
    if (!ref || !ref->desc->on_timeout)
        return DONE;
    activation_of(p)->callback =
        (struct molt_callback){.kind = MOLT_CALLBACK_TIMEOUT, .fn = ref->desc->on_timeout};
    return run(w, p, world, ref);
}

/* One of the callbacks that take nothing but the state. */
static enum outcome run_plain(struct molt_worker *w, struct molt_process *p,
                              struct molt_world *world, const struct molt_server_ref *ref,
                              enum molt_callback_kind kind)
{
    molt_any_fn fn = !ref                             ? NULL
                     : kind == MOLT_CALLBACK_RUN      ? ref->desc->run
                     : kind == MOLT_CALLBACK_CONTINUE ? ref->desc->on_continue
                                                      : ref->desc->on_config;
    if (!fn)
        return DONE;
    activation_of(p)->callback = (struct molt_callback){.kind = kind, .fn = fn};
    return run(w, p, world, ref);
}

/* The handler for @m; NULL and a reason if there is none. */
static const struct molt_handler *find_handler(const struct molt_server_ref *ref,
                                               const struct molt_block *m, bool is_call,
                                               const char **ret_why)
{
    uint32_t kind = is_call ? MOLT_HANDLER_CALL : MOLT_HANDLER_CAST;
    *ret_why = NULL;
    for (size_t i = 0; i < ref->n_handlers; i++) {
        if (ref->handler_types[i] != m->type)
            continue;
        if (ref->desc->on[i].kind == kind)
            return &ref->desc->on[i];
        *ret_why =
            is_call ? "its handler takes casts, not calls" : "its handler takes calls, not casts";
        return NULL;
    }
    return NULL;
}

/* Fill in the callback for @m. False: nothing to run, @m was refused. */
static bool prepare_message(struct molt_process *p, struct molt_block *m,
                            const struct molt_server_ref *ref)
{
    if (!ref) {
        refuse_message(p, m, MOLT_EUNDEF, ref, "its server is gone from the current world");
        return false;
    }
    const char *why;
    bool is_call = molt_message_kind(m) == MOLT_MESSAGE_CALL;
    const struct molt_handler *handler = find_handler(ref, m, is_call, &why);
    struct molt_callback *cb = &activation_of(p)->callback;
    cb->arg = molt_block_payload(m);
    cb->type = m->type;
    cb->is_call = is_call;
    cb->is_answered = false;
    if (is_call)
        cb->from = molt_message_from(m);
    if (handler) {
        cb->kind = is_call ? MOLT_CALLBACK_CALL : MOLT_CALLBACK_CAST;
        cb->fn = handler->fn;
        return true;
    }
    if (why || !ref->desc->on_other) {
        refuse_message(p, m, MOLT_ETYPE, ref, why ? why : "it has no handler for that");
        return false;
    }
    /* on_other can't answer, so a call gets its error at once. */
    if (is_call)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, MOLT_ETYPE, NULL);
    cb->is_call = false;
    cb->kind = MOLT_CALLBACK_OTHER;
    cb->fn = ref->desc->on_other;
    cb->type_name = m->type->name;
    return true;
}

/* Whether a process that may not have that much can't live with it. */
static bool is_too_large(struct molt_process *p, struct molt_block *m)
{
    size_t bytes = 0;
    for (struct molt_block *b = m; b; b = molt_message_next(m, b))
        bytes += molt_block_bytes(b);
    if (molt_limit_allows(p, bytes) || !molt_limit_is_fatal(p))
        return false;
    molt_limit_report_memory(p, bytes);
    p->end_reason = MOLT_ELIMIT;
    return true;
}

static enum outcome run_message(struct molt_worker *w, struct molt_process *p,
                                struct molt_world *world, const struct molt_server_ref *ref,
                                struct molt_block *m)
{
    if (!prepare_message(p, m, ref)) {
        molt_message_drop(w->rt->heap, &w->runner.cache, m);
        return DONE;
    }
    if (__builtin_expect(p->bounds != NULL, 0) && is_too_large(p, m)) {
        if (activation_of(p)->callback.is_call)
            refuse_message(p, m, MOLT_ELIMIT, ref, "the process ends: its memory is used up");
        molt_message_drop(w->rt->heap, &w->runner.cache, m);
        return ENDED;
    }
    accept(p, m);
    return run(w, p, world, ref);
}

/* The version that is current by now has no on_exit: as if it didn't trap. */
static void end_untrapped(struct molt_process *p, const struct molt_exit_notice *notice)
{
    char label[128];
    bool is_to_end = notice->reason != 0 || notice->ref == 0;
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_WARN, "%s traps exits, but its server has no on_exit any more: %s",
                     label, is_to_end ? "it is asked to end" : "a normal end is dropped");
    if (is_to_end)
        (void)molt_process_exit(p->rt, molt_process_pid(p), notice->reason);
}

/* Fill in the callback for a notice. False: there is nothing to run. */
static bool prepare_notice(struct molt_process *p, struct molt_block *m,
                           const struct molt_server_ref *ref)
{
    const struct molt_exit_notice *notice = molt_block_payload(m);
    bool is_exit = molt_message_kind(m) == MOLT_MESSAGE_LINK_EXIT;
    molt_any_fn fn = !ref ? NULL : is_exit ? ref->desc->on_exit : ref->desc->on_down;
    /* Only supervisors have children. */
    if (!molt_relation_hears(p, molt_message_kind(m), notice) ||
        molt_message_kind(m) == MOLT_MESSAGE_CHILD_EXIT)
        return false;
    if (!fn && is_exit)
        end_untrapped(p, notice);
    else if (!fn)
        refuse_message(p, m, 0, ref, "its server has no on_down");
    if (!fn)
        return false;
    activation_of(p)->callback =
        (struct molt_callback){.kind = is_exit ? MOLT_CALLBACK_EXIT : MOLT_CALLBACK_DOWN,
                               .fn = fn,
                               .from = {notice->pid, notice->ref},
                               .reason = notice->reason};
    return true;
}

static enum outcome run_notice(struct molt_worker *w, struct molt_process *p,
                               struct molt_world *world, const struct molt_server_ref *ref,
                               struct molt_block *m)
{
    bool is_any = prepare_notice(p, m, ref);
    molt_message_drop(w->rt->heap, &w->runner.cache, m);
    return is_any ? run(w, p, world, ref) : DONE;
}

static enum outcome run_native(struct molt_worker *w, struct molt_process *p,
                               struct molt_world *world, struct molt_block *m)
{
    if (m && molt_message_is_notice(m) &&
        !molt_relation_hears(p, molt_message_kind(m), molt_block_payload(m))) {
        molt_message_drop(w->rt->heap, &w->runner.cache, m);
        return DONE;
    }
    activation_of(p)->callback = (struct molt_callback){.kind = MOLT_CALLBACK_NATIVE, .message = m};
    return run(w, p, world, NULL);
}

static enum outcome run_task(struct molt_worker *w, struct molt_process *p, enum task task)
{
    struct molt_block *m = NULL;
    if (task == TASK_KILL)
        return ENDED;
    if (task == TASK_MESSAGE) {
        m = molt_process_take(p);
        add_one(&w->n_messages);
    }
    /* The boundary comes after the message was taken. */
    struct molt_world *world = molt_participant_boundary(&w->participant, w->rt->current);
    if (molt_process_is_supervisor(p))
        return run_native(w, p, world, m);
    const struct molt_server_ref *ref = molt_world_server(world, p->server_id);
    switch (task) {
    case TASK_INIT:
        return run_init(w, p, world, ref);
    case TASK_TERMINATE:
        return run_terminate(w, p, world, ref);
    case TASK_READY:
        return run_ready(w, p, world, ref);
    case TASK_TIMEOUT:
        return run_timeout(w, p, world, ref);
    case TASK_CONTINUE:
        return run_plain(w, p, world, ref, MOLT_CALLBACK_CONTINUE);
    case TASK_RUN:
        return run_plain(w, p, world, ref, MOLT_CALLBACK_RUN);
    case TASK_CONFIG:
        return run_plain(w, p, world, ref, MOLT_CALLBACK_CONFIG);
    default:
        return molt_message_is_notice(m) ? run_notice(w, p, world, ref, m)
                                         : run_message(w, p, world, ref, m);
    }
}

/* ---- a turn --------------------------------------------------------------------- */

/* The bottom of a fiber: what a process has to do, until it is somebody else's
 * turn. The stack belongs to one worker, so that is the same after a wait. */
static void turn(void *arg)
{
    struct molt_process *p = arg;
    struct molt_activation *act = activation_of(p);
    struct molt_worker *w = act->worker;
    enum outcome outcome = DONE;
    unsigned tick = atomic_load_explicit(&w->rt->tick, memory_order_relaxed);
    w->runner.budget = TURN;
    while (w->runner.budget-- > 0 && outcome == DONE) {
        if (atomic_load_explicit(&w->rt->tick, memory_order_relaxed) != tick)
            break;
        if (molt_process_status(p) & MOLT_IS_CLAIM_WANTED)
            break;
        enum task task = pick(w, p);
        if (task == TASK_NONE)
            break;
        outcome = run_task(w, p, task);
    }
    act->outcome = outcome == ENDED ? MOLT_TURN_ENDED : MOLT_TURN_DONE;
}

/* The callback met a function that its world doesn't define, or crashed. */
static void fail(struct molt_process *p, int code)
{
    struct molt_activation *act = activation_of(p);
    struct molt_callback *cb = &act->callback;
    p->end_reason = code;
    if (cb->is_call)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, code, NULL);
    if (act->n_locks > 0)
        warn_of_locks(p, act);
    molt_process_destroy(p, code);
}

/* The callback waits. */
static void leave_suspended(struct molt_worker *w, struct molt_process *p)
{
    struct molt_activation *act = activation_of(p);
    if (act->is_visiting) {
        molt_participant_return(&w->participant);
        act->is_visiting = false;
    }
    unsigned set = MOLT_IS_SUSPENDED;
    if (act->is_preempted)
        set |= MOLT_DO_RESUME; /* it waits for nothing but its turn */
    act->is_preempted = false;
    if (act->wait_kind == MOLT_WAIT_RECEIVE)
        set |= MOLT_IS_RECEIVING;
    if (act->wait_kind == MOLT_WAIT_SOCKET)
        set |= MOLT_IS_POLLING;
    molt_process_leave(p, set, 0);
}

/* The callback `run` ended at an upgrade point. */
static void restart(struct molt_worker *w, struct molt_process *p)
{
    add_one(&p->n_callbacks);
    molt_process_leave_stack(p, &w->runner);
    atomic_store_explicit(&p->world, NULL, memory_order_relaxed);
    atomic_store_explicit(&p->version, NULL, memory_order_relaxed);
    molt_run_leave(p);
}

/* Switch to the fiber of @p until its turn is over or it waits. */
static void enter(struct molt_worker *w, struct molt_process *p)
{
    struct molt_fiber *fiber = p->fiber;
    w->runner.process = p;
    atomic_store_explicit(&w->flow, &fiber->flow, memory_order_relaxed);
    molt_context_enter(&w->context, &fiber->context);
    atomic_store_explicit(&w->flow, NULL, memory_order_relaxed);
    w->runner.process = NULL;
    if (__builtin_expect(w->fault.has_fault, 0)) {
        molt_crash_report_contained(w, p);
        fail(p, MOLT_ECRASH);
        return;
    }
    if (fiber->act.is_failed) {
        fail(p, fiber->act.fail_reason ? fiber->act.fail_reason : MOLT_EUNDEF);
        return;
    }
    if (__builtin_expect(fiber->act.is_restarted, 0)) {
        restart(w, p);
        return;
    }
    if (!fiber->is_done) {
        leave_suspended(w, p);
        return;
    }
    p->fiber = NULL;
    atomic_store_explicit(&p->world, NULL, memory_order_relaxed);
    atomic_store_explicit(&p->version, NULL, memory_order_relaxed);
    bool is_ended = fiber->act.outcome == MOLT_TURN_ENDED;
    molt_fiber_give(&w->fibers, fiber);
    if (is_ended)
        molt_process_destroy(p, p->end_reason);
    else
        molt_process_leave(p, 0, 0);
}

static void resume(struct molt_worker *w, struct molt_process *p)
{
    unsigned status = molt_process_status(p);
    if (status & MOLT_DO_KILL && is_killed(p)) {
        molt_process_destroy(p, p->end_reason);
        return;
    }
    unsigned gone = MOLT_IS_SUSPENDED | MOLT_IS_RECEIVING | MOLT_IS_POLLING | MOLT_DO_RESUME;
    unsigned before = atomic_fetch_and(&p->status, ~gone);
    activation_of(p)->is_completed = (before & MOLT_DO_RESUME) != 0;
    /* Online first, so that a grace period waits for this callback, too. */
    struct molt_world *now = molt_participant_boundary(&w->participant, w->rt->current);
    struct molt_world *mine = atomic_load_explicit(&p->world, memory_order_relaxed);
    if (now != mine) {
        molt_participant_visit(&w->participant, mine);
        activation_of(p)->is_visiting = true;
    }
    enter(w, p);
}

static void run_turn(struct molt_worker *w, struct molt_process *p)
{
    if (p->fiber) {
        resume(w, p);
        return;
    }
    struct molt_fiber *fiber = molt_fiber_take(&w->fibers);
    if (!fiber) {
        /* Out of memory or mappings: tried again soon; suspended ones go on. */
        w->is_starved = true;
        molt_process_leave(p, 0, 0);
        return;
    }
    p->fiber = fiber;
    fiber->is_done = false;
    fiber->fn = turn;
    fiber->arg = p;
    molt_activation_clear(&fiber->act);
    enter(w, p);
}

static void count_turn(struct molt_worker *w)
{
    unsigned long n = atomic_load_explicit(&w->n_turns, memory_order_relaxed);
    /* Release, and the end's load of is_suspected after it: see monitor.c. */
    atomic_store_explicit(&w->n_turns, n + 1, memory_order_release);
}

void molt_worker_run(struct molt_worker *w, struct molt_process *p)
{
    if (!molt_process_begin(p))
        return;
    count_turn(w);
    run_turn(w, p);
    count_turn(w);
    if (__builtin_expect(atomic_load_explicit(&w->is_suspected, memory_order_relaxed), 0)) {
        /* Whatever the monitor does is done when the lock is had. */
        pthread_mutex_lock(&w->handover_lock);
        atomic_store(&w->is_suspected, false);
        pthread_mutex_unlock(&w->handover_lock);
    }
}
