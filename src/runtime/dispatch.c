/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/dispatch.h"

#include <stddef.h>
#include <stdio.h>

#include "runtime/adopt.h"
#include "runtime/callback.h"
#include "runtime/machine.h"
#include "runtime/relation.h"
#include "runtime/rt.h"
#include "runtime/socket.h"
#include "runtime/supervisor.h"
#include "runtime/translate.h"
#include "runtime/worker.h"

/* ---- tasks -> callbacks --------------------------------------------------------- */

static enum molt_outcome end_new(struct molt_process *p, int code, const char *why)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_WARN, "%s can't start: %s", label, why);
    p->end_reason = code;
    return MOLT_TURN_ENDED;
}

static enum molt_outcome run_init(struct molt_worker *w, struct molt_process *p,
                                  struct molt_world *world, const struct molt_server_ref *ref)
{
    if (!ref)
        return end_new(p, MOLT_EUNDEF, "its server is gone from the current world");
    struct molt_migration_fault fault;
    if (p->arg && !molt_translate_fits(world, p->arg) &&
        molt_translate(&w->runner, p, world, &p->arg, &fault) < 0)
        return end_new(p, fault.code == MOLT_ENOMEM ? MOLT_ENOMEM : MOLT_ETYPE, fault.why);
    struct molt_block *arg = p->arg;
    if (arg && ref->init_type && arg->type != ref->init_type)
        return end_new(p, MOLT_ETYPE, "its argument is of another type than its init takes");
    if (!p->state_block)
        p->state_block =
            molt_block_make(w->rt->heap, &w->runner.cache, &p->owner, ref->state_type, 1);
    if (!p->state_block)
        return end_new(p, MOLT_ENOMEM, "no memory for its state");
    if (ref->states && !molt_process_is_machine(p) && molt_machine_start(p) < 0)
        return end_new(p, MOLT_ENOMEM, "no memory for its state machine");
    struct molt_callback *cb = &molt_callback_activation(p)->callback;
    *cb = (struct molt_callback){.kind = MOLT_CALLBACK_INIT, .fn = ref->desc->init};
    if (arg) {
        cb->arg = molt_block_payload(arg);
        p->arg = NULL;
        molt_callback_accept(p, arg);
    }
    if (!ref->desc->init)
        cb->kind = MOLT_CALLBACK_NONE;
    enum molt_outcome outcome = molt_callback_run(w, p, world, ref);
    bool is_up = outcome == MOLT_TURN_DONE && molt_process_phase(p) == MOLT_PHASE_ALIVE;
    if (is_up && molt_supervisor_tell_started(p) < 0) {
        p->end_reason = MOLT_ENOMEM;
        molt_process_set_phase(p, MOLT_PHASE_ENDING);
        atomic_fetch_or(&p->status, MOLT_DO_TERMINATE);
    }
    if (is_up && ref->desc->run)
        atomic_fetch_or(&p->status, MOLT_DO_RUN);
    return outcome;
}

static enum molt_outcome run_terminate(struct molt_worker *w, struct molt_process *p,
                                       struct molt_world *world, const struct molt_server_ref *ref)
{
    if (!ref || !ref->desc->terminate || !p->state_block)
        return MOLT_TURN_ENDED;
    molt_callback_activation(p)->callback =
        (struct molt_callback){.kind = MOLT_CALLBACK_TERMINATE, .fn = ref->desc->terminate};
    return molt_callback_run(w, p, world, ref);
}

static molt_any_fn data_fn_of(const struct molt_server *desc)
{
    /* Modules that were built with older headers don't have it. */
    bool has_it = desc->size >= offsetof(struct molt_server, on_data) + sizeof(desc->on_data);
    return has_it ? desc->on_data : NULL;
}

/* Hand over what @s has, if it has something after all. */
static enum molt_outcome run_data(struct molt_worker *w, struct molt_process *p,
                                  struct molt_world *world, const struct molt_server_ref *ref,
                                  struct molt_socket *s, char *buf, size_t size)
{
    struct molt_net_data data;
    if (!molt_socket_take_data(p, s, buf, size, &data))
        return MOLT_TURN_DONE;
    molt_callback_activation(p)->callback = (struct molt_callback){.kind = MOLT_CALLBACK_DATA,
                                                                   .fn = data_fn_of(ref->desc),
                                                                   .arg = &data};
    return molt_callback_run(w, p, world, ref);
}

/* Apart, so that only who reads needs the stack. */
__attribute__((noinline)) static enum molt_outcome
run_data_large(struct molt_worker *w, struct molt_process *p, struct molt_world *world,
               const struct molt_server_ref *ref, struct molt_socket *s)
{
    char buf[MOLT_NET_DATA_MAX];
    return run_data(w, p, world, ref, s, buf, sizeof(buf));
}

__attribute__((noinline)) static enum molt_outcome
run_data_small(struct molt_worker *w, struct molt_process *p, struct molt_world *world,
               const struct molt_server_ref *ref, struct molt_socket *s)
{
    char buf[MOLT_NET_DATA_MAX / 16];
    return run_data(w, p, world, ref, s, buf, sizeof(buf));
}

static enum molt_outcome run_ready(struct molt_worker *w, struct molt_process *p,
                                   struct molt_world *world, const struct molt_server_ref *ref)
{
    if (!ref)
        return MOLT_TURN_DONE;
    molt_any_fn on_ready = ref->desc->on_ready, on_data = data_fn_of(ref->desc);
    struct molt_socket_event event;
    if (!molt_socket_next_event(p, on_ready != NULL, on_data != NULL, &event))
        return MOLT_TURN_DONE;
    if (event.is_data)
        return w->rt->config.stack_bytes >= 8 * MOLT_NET_DATA_MAX
                   ? run_data_large(w, p, world, ref, event.socket)
                   : run_data_small(w, p, world, ref, event.socket);
    molt_callback_activation(p)->callback = (struct molt_callback){.kind = MOLT_CALLBACK_READY,
                                                                   .fn = on_ready,
                                                                   .fd = event.socket->fd,
                                                                   .events = event.events};
    return molt_callback_run(w, p, world, ref);
}

static enum molt_outcome run_timeout(struct molt_worker *w, struct molt_process *p,
                                     struct molt_world *world, const struct molt_server_ref *ref)
{
    p->timeout->ref = 0;
    if (!ref || !ref->desc->on_timeout)
        return MOLT_TURN_DONE;
    molt_callback_activation(p)->callback =
        (struct molt_callback){.kind = MOLT_CALLBACK_TIMEOUT, .fn = ref->desc->on_timeout};
    return molt_callback_run(w, p, world, ref);
}

/* One of the callbacks that take nothing but the state. */
static enum molt_outcome run_plain(struct molt_worker *w, struct molt_process *p,
                                   struct molt_world *world, const struct molt_server_ref *ref,
                                   enum molt_callback_kind kind)
{
    molt_any_fn fn = !ref                             ? NULL
                     : kind == MOLT_CALLBACK_RUN      ? ref->desc->run
                     : kind == MOLT_CALLBACK_CONTINUE ? ref->desc->on_continue
                                                      : ref->desc->on_config;
    if (!fn)
        return MOLT_TURN_DONE;
    molt_callback_activation(p)->callback = (struct molt_callback){.kind = kind, .fn = fn};
    return molt_callback_run(w, p, world, ref);
}

/* ---- messages -------------------------------------------------------------------- */

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

/* The handler for @m; NULL if there is none for its type. */
static const struct molt_handler *find_handler(const struct molt_server_ref *ref,
                                               const struct molt_block *m)
{
    for (size_t i = 0; i < ref->n_handlers; i++)
        if (ref->handler_types[i] == m->type)
            return &ref->desc->on[i];
    return NULL;
}

static bool takes(const struct molt_handler *handler, const struct molt_block *m)
{
    bool is_call = molt_message_kind(m) == MOLT_MESSAGE_CALL;
    return (handler->kind & MOLT_HANDLER_KIND_MASK) ==
           (is_call ? MOLT_HANDLER_CALL : MOLT_HANDLER_CAST);
}

static bool prepare_handler(struct molt_callback *cb, const struct molt_handler *handler,
                            const struct molt_block *m)
{
    cb->fn = handler->fn;
    cb->kind = MOLT_CALLBACK_CAST;
    if (molt_message_kind(m) == MOLT_MESSAGE_CALL) {
        cb->kind = MOLT_CALLBACK_CALL;
        cb->is_call = true;
        cb->from = molt_message_from(m);
    }
    return true;
}

static void refuse_type(struct molt_process *p, struct molt_block *m,
                        const struct molt_server_ref *ref, bool has_handler)
{
    bool is_call = molt_message_kind(m) == MOLT_MESSAGE_CALL;
    char why[128] = "it has no handler for that";
    if (molt_process_is_machine(p))
        molt_machine_describe_unhandled(p, why, sizeof(why));
    refuse_message(p, m, MOLT_ETYPE, ref,
                   !has_handler ? why
                   : is_call    ? "its handler takes casts, not calls"
                                : "its handler takes calls, not casts");
}

/* on_other can't answer, so a call gets its error at once; but a machine may
 * postpone it. */
static void settle_call(struct molt_process *p, struct molt_callback *cb, struct molt_block *m)
{
    if (molt_message_kind(m) != MOLT_MESSAGE_CALL)
        return;
    cb->from = molt_message_from(m);
    cb->is_call = molt_process_is_machine(p);
    if (!cb->is_call)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, MOLT_ETYPE, NULL);
}

/* @handler (may be NULL) is of @m's type, but doesn't take it as it is. One of a
 * machine's states may, or on_other. False: it was refused. */
__attribute__((noinline)) static bool prepare_other(struct molt_process *p, struct molt_block *m,
                                                    const struct molt_server_ref *ref,
                                                    const struct molt_handler *handler)
{
    struct molt_callback *cb = &molt_callback_activation(p)->callback;
    if (handler && molt_process_is_machine(p))
        handler = molt_machine_handler(p, ref, handler);
    if (handler && takes(handler, m))
        return prepare_handler(cb, handler, m);
    if (handler || !ref->desc->on_other) {
        refuse_type(p, m, ref, handler != NULL);
        return false;
    }
    settle_call(p, cb, m);
    cb->kind = MOLT_CALLBACK_OTHER;
    cb->fn = ref->desc->on_other;
    cb->type_name = m->type->name;
    return true;
}

/* Fill in the callback for @m. False: nothing to run, @m was refused. */
static bool prepare_message(struct molt_process *p, struct molt_block *m,
                            const struct molt_server_ref *ref)
{
    if (__builtin_expect(!ref, 0)) {
        refuse_message(p, m, MOLT_EUNDEF, ref, "its server is gone from the current world");
        return false;
    }
    bool is_call = molt_message_kind(m) == MOLT_MESSAGE_CALL;
    const struct molt_handler *handler = find_handler(ref, m);
    struct molt_callback *cb = &molt_callback_activation(p)->callback;
    cb->arg = molt_block_payload(m);
    cb->type = m->type;
    cb->is_call = cb->is_answered = false;
    uint32_t kind = is_call ? MOLT_HANDLER_CALL : MOLT_HANDLER_CAST;
    if (__builtin_expect(!handler || handler->kind != kind, 0))
        return prepare_other(p, m, ref, handler);
    return prepare_handler(cb, handler, m);
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

/* Out of memory for @m: it stays in front, and is tried again soon. */
static enum molt_outcome put_back(struct molt_worker *w, struct molt_process *p,
                                  struct molt_block *m)
{
    molt_process_untake(p, m);
    w->is_starved = true;
    w->runner.budget = 0;
    return MOLT_TURN_DONE;
}

/* @m, or what it brings, doesn't fit @world, and can't be converted. */
static void report_unfit(struct molt_process *p, const struct molt_block *m,
                         const struct molt_world *world, const char *why)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_WARN,
                     "%s: a message of type '%s' can't be converted for world %llu: %s", label,
                     m->type->name, (unsigned long long)world->id, why);
}

static enum molt_outcome run_fitting(struct molt_worker *w, struct molt_process *p,
                                     struct molt_world *world, const struct molt_server_ref *ref,
                                     struct molt_block *m);

__attribute__((noinline)) static enum molt_outcome
run_translated(struct molt_worker *w, struct molt_process *p, struct molt_world *world,
               const struct molt_server_ref *ref, struct molt_block *m)
{
    struct molt_migration_fault fault;
    bool is_machine = molt_process_is_machine(p);
    int rc = molt_translate(&w->runner, p, world, &m, &fault);
    if (rc == MOLT_ENOMEM && !is_machine)
        return put_back(w, p, m);
    if (rc < 0)
        report_unfit(p, m, world, fault.why);
    else if (is_machine)
        molt_machine_replace(p, m);
    /* Of a type without a handler, on_other hears; but nobody may look into what it brings. */
    if (rc >= 0 || !molt_world_takes(world, m->type))
        return run_fitting(w, p, world, ref, m);
    refuse_message(p, m, rc == MOLT_ENOMEM ? rc : MOLT_ETYPE, ref,
                   "what it leads to can't be converted");
    molt_message_drop(w->rt->heap, &w->runner.cache, m);
    if (is_machine)
        molt_machine_skip(p);
    return MOLT_TURN_DONE;
}

static enum molt_outcome run_message(struct molt_worker *w, struct molt_process *p,
                                     struct molt_world *world, const struct molt_server_ref *ref,
                                     struct molt_block *m)
{
    return __builtin_expect(molt_translate_fits(world, m), 1) ? run_fitting(w, p, world, ref, m)
                                                              : run_translated(w, p, world, ref, m);
}

static enum molt_outcome run_fitting(struct molt_worker *w, struct molt_process *p,
                                     struct molt_world *world, const struct molt_server_ref *ref,
                                     struct molt_block *m)
{
    if (!prepare_message(p, m, ref)) {
        molt_message_drop(w->rt->heap, &w->runner.cache, m);
        if (molt_process_is_machine(p))
            molt_machine_skip(p);
        return MOLT_TURN_DONE;
    }
    if (__builtin_expect(p->bounds != NULL, 0) && is_too_large(p, m)) {
        if (molt_callback_activation(p)->callback.is_call)
            refuse_message(p, m, MOLT_ELIMIT, ref, "the process ends: its memory is used up");
        molt_message_drop(w->rt->heap, &w->runner.cache, m);
        return MOLT_TURN_ENDED;
    }
    molt_callback_accept(p, m);
    return molt_callback_run(w, p, world, ref);
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
    molt_callback_activation(p)->callback =
        (struct molt_callback){.kind = is_exit ? MOLT_CALLBACK_EXIT : MOLT_CALLBACK_DOWN,
                               .fn = fn,
                               .from = {notice->pid, notice->ref},
                               .reason = notice->reason};
    return true;
}

static enum molt_outcome run_notice(struct molt_worker *w, struct molt_process *p,
                                    struct molt_world *world, const struct molt_server_ref *ref,
                                    struct molt_block *m)
{
    bool is_any = prepare_notice(p, m, ref);
    molt_message_drop(w->rt->heap, &w->runner.cache, m);
    return is_any ? molt_callback_run(w, p, world, ref) : MOLT_TURN_DONE;
}

/* What the state machine does next. */
static enum molt_outcome run_machine(struct molt_worker *w, struct molt_process *p,
                                     struct molt_world *world, const struct molt_server_ref *ref)
{
    struct molt_machine_step step;
    if (!molt_machine_next(p, ref, &step))
        return MOLT_TURN_DONE;
    if (step.message)
        return run_message(w, p, world, ref, step.message);
    molt_callback_activation(p)->callback = step.callback;
    return molt_callback_run(w, p, world, ref);
}

static enum molt_outcome run_native(struct molt_worker *w, struct molt_process *p,
                                    struct molt_world *world, struct molt_block *m)
{
    if (m && molt_message_is_notice(m) &&
        !molt_relation_hears(p, molt_message_kind(m), molt_block_payload(m))) {
        molt_message_drop(w->rt->heap, &w->runner.cache, m);
        return MOLT_TURN_DONE;
    }
    molt_callback_activation(p)->callback =
        (struct molt_callback){.kind = MOLT_CALLBACK_NATIVE, .message = m};
    return molt_callback_run(w, p, world, NULL);
}

enum molt_outcome molt_dispatch_taken(struct molt_worker *w, struct molt_process *p,
                                      struct molt_world *world, const struct molt_server_ref *ref,
                                      struct molt_block *m)
{
    if (molt_message_is_notice(m))
        return run_notice(w, p, world, ref, m);
    if (__builtin_expect(molt_process_is_machine(p), 0))
        molt_machine_take_up(p, m);
    return run_message(w, p, world, ref, m);
}

static enum molt_outcome run_task(struct molt_worker *w, struct molt_process *p,
                                  struct molt_world *world, enum molt_task task,
                                  struct molt_block *m)
{
    const struct molt_server_ref *ref = molt_world_server(world, p->server_id);
    switch (task) {
    case MOLT_TASK_INIT:
        return run_init(w, p, world, ref);
    case MOLT_TASK_TERMINATE:
        return run_terminate(w, p, world, ref);
    case MOLT_TASK_READY:
        return run_ready(w, p, world, ref);
    case MOLT_TASK_TIMEOUT:
        return run_timeout(w, p, world, ref);
    case MOLT_TASK_MACHINE:
        return run_machine(w, p, world, ref);
    case MOLT_TASK_CONTINUE:
        return run_plain(w, p, world, ref, MOLT_CALLBACK_CONTINUE);
    case MOLT_TASK_RUN:
        return run_plain(w, p, world, ref, MOLT_CALLBACK_RUN);
    case MOLT_TASK_CONFIG:
        return run_plain(w, p, world, ref, MOLT_CALLBACK_CONFIG);
    default:
        return molt_dispatch_taken(w, p, world, ref, m);
    }
}

enum molt_outcome molt_dispatch_adopting(struct molt_worker *w, struct molt_process *p,
                                         struct molt_world *world, enum molt_task task,
                                         struct molt_block *m)
{
    world = molt_adopt_before(w, p, world);
    if (world) {
        enum molt_outcome outcome = run_task(w, p, world, task, m);
        molt_adopt_after(w, p);
        return outcome;
    }
    /* It fits no world that there is, which can't be; but if it were, nobody may touch
     * its blocks. */
    if (m)
        molt_message_drop(w->rt->heap, &w->runner.cache, m);
    p->end_reason = MOLT_ECHANGE;
    return MOLT_TURN_ENDED;
}

enum molt_outcome molt_dispatch(struct molt_worker *w, struct molt_process *p, enum molt_task task)
{
    if (task == MOLT_TASK_KILL)
        return MOLT_TURN_ENDED;
    struct molt_block *m = NULL;
    if (task == MOLT_TASK_MESSAGE) {
        m = molt_process_take(p);
        molt_worker_count(&w->n_messages);
    }
    /* The boundary comes after the message was taken. */
    struct molt_world *world = molt_participant_boundary(&w->participant, w->rt->current);
    if (molt_process_is_supervisor(p))
        return run_native(w, p, world, m);
    return __builtin_expect(molt_adopt_is_due(p, world), 0)
               ? molt_dispatch_adopting(w, p, world, task, m)
               : run_task(w, p, world, task, m);
}
