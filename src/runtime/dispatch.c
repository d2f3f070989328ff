/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a worker does with a process: pick the next thing under its lock, find
 * the code for it in the current world, run that on a fiber, and settle what
 * follows from the result.
 *
 * The world boundary comes after the message was taken, so whatever a newer
 * world caused is handled in that world or a later one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "port/limits.h"
#include "runtime/rt.h"
#include "runtime/supervisor.h"
#include "runtime/worker.h"

/* Callbacks of one process before others have a turn. */
#define TURN MOLT_LIMIT(16, 1)

enum task {
    TASK_NONE,
    TASK_KILL,
    TASK_RESUME,
    TASK_INIT,
    TASK_TERMINATE,
    TASK_EXIT, /* a native process is asked to end */
    TASK_READY,
    TASK_TIMEOUT,
    TASK_MESSAGE,
};

struct work {
    enum task task;
    unsigned events;
    struct molt_message *message;
};

/* What became of a task. */
enum outcome { DONE, SUSPENDED, ENDED, STARVED };

/* ---- picking, under the lock ------------------------------------------------ */

static struct molt_message *take_message(struct molt_process *p)
{
    struct molt_message *m = molt_container_of(p->mailbox.next, struct molt_message, link);
    molt_list_unlink(&m->link);
    p->n_mail--;
    p->mail_bytes -= m->bytes;
    return m;
}

static enum task pick_exit(struct molt_process *p)
{
    p->is_exit_wanted = false;
    p->end_reason = p->exit_reason;
    /* Without a state there is nothing to terminate. */
    if (p->phase == MOLT_PHASE_NEW)
        return TASK_KILL;
    p->phase = MOLT_PHASE_ENDING;
    return p->native ? TASK_EXIT : TASK_TERMINATE;
}

static struct work pick(struct molt_process *p)
{
    struct work work = {TASK_NONE, 0, NULL};
    if (p->is_kill_wanted) {
        p->end_reason = MOLT_EKILLED;
        work.task = TASK_KILL;
    } else if (p->fiber) {
        work.task = p->wait.is_done ? TASK_RESUME : TASK_NONE;
    } else if (p->is_exit_wanted) {
        work.task = pick_exit(p);
    } else if (p->phase == MOLT_PHASE_ENDING && !p->native) {
        work.task = TASK_TERMINATE;
    } else if (p->phase == MOLT_PHASE_NEW) {
        work.task = TASK_INIT;
    } else if (p->ready) {
        work.task = TASK_READY;
        work.events = p->ready;
        p->ready = 0;
    } else if (p->is_timeout_due) {
        work.task = TASK_TIMEOUT;
        p->is_timeout_due = false;
    } else if (p->n_mail > 0) {
        work.task = TASK_MESSAGE;
        work.message = take_message(p);
    }
    return work;
}

/* The task could not be started for want of a stack: put it back. */
static void unpick(struct molt_process *p, const struct work *work)
{
    pthread_mutex_lock(&p->lock);
    p->ready |= work->events;
    p->is_timeout_due |= work->task == TASK_TIMEOUT;
    p->is_exit_wanted |= work->task == TASK_EXIT;
    if (work->message) {
        struct molt_message *m = work->message;
        p->mailbox.next->prev = &m->link;
        m->link.next = p->mailbox.next;
        m->link.prev = &p->mailbox;
        p->mailbox.next = &m->link;
        p->n_mail++;
        p->mail_bytes += m->bytes;
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- reports ------------------------------------------------------------------ */

static void version_of(const struct molt_server_ref *ref, char *buf, size_t size)
{
    if (ref)
        molt_version_print(ref->version, buf, size);
    else
        snprintf(buf, size, "absent");
}

static void refuse_message(struct molt_process *p, struct molt_message *m, int code,
                           const struct molt_server_ref *ref, const char *why)
{
    char label[128], version[96];
    molt_process_label(p, label, sizeof(label));
    version_of(ref, version, sizeof(version));
    molt_runtime_log(p->rt, MOLT_WARN, "%s (%s): %s of type '%s' %s: %s", label, version,
                     m->kind == MOLT_MESSAGE_CALL ? "call" : "message", m->root->type->name,
                     m->kind == MOLT_MESSAGE_CALL ? "answered with an error" : "dropped", why);
    if (m->kind == MOLT_MESSAGE_CALL)
        molt_process_complete(p->rt, m->from.pid, m->from.ref, code, NULL);
}

static void report_end(struct molt_process *p, int reason, const char *what)
{
    char label[128], version[96] = "absent";
    molt_process_label(p, label, sizeof(label));
    if (p->version)
        molt_version_print(p->version, version, sizeof(version));
    molt_runtime_log(p->rt, MOLT_WARN, "%s (%s) ends: %s returned %d, %s", label, version, what,
                     reason, molt_error_text(reason));
}

/* ---- running ------------------------------------------------------------------ */

typedef int init_fn(void *state, const void *arg);
typedef int call_fn(void *state, void *message, struct molt_from *from);
typedef int cast_fn(void *state, void *message);
typedef int other_fn(void *state, const char *type, void *message);
typedef int ready_fn(void *state, int fd, unsigned events);
typedef int timeout_fn(void *state);
typedef void terminate_fn(void *state, int reason);

/* The bottom of a fiber. */
static void invoke(void *arg)
{
    struct molt_process *p = arg;
    struct molt_callback *cb = &p->callback;
    void *state = p->state_block ? molt_block_payload(p->state_block) : NULL;
    errno = 0;
    switch (cb->kind) {
    case MOLT_CALLBACK_NONE:
        break;
    case MOLT_CALLBACK_INIT:
        cb->rc = ((init_fn *)cb->fn)(state, cb->arg);
        break;
    case MOLT_CALLBACK_CALL: {
        /* A copy: the handler may change it. */
        struct molt_from from = cb->from;
        cb->rc = ((call_fn *)cb->fn)(state, cb->arg, &from);
        break;
    }
    case MOLT_CALLBACK_CAST:
        cb->rc = ((cast_fn *)cb->fn)(state, cb->arg);
        break;
    case MOLT_CALLBACK_OTHER:
        cb->rc = ((other_fn *)cb->fn)(state, cb->type_name, cb->arg);
        break;
    case MOLT_CALLBACK_READY:
        cb->rc = ((ready_fn *)cb->fn)(state, p->fd, cb->events);
        break;
    case MOLT_CALLBACK_TIMEOUT:
        cb->rc = ((timeout_fn *)cb->fn)(state);
        break;
    case MOLT_CALLBACK_TERMINATE:
        ((terminate_fn *)cb->fn)(state, p->end_reason);
        cb->rc = 0;
        break;
    case MOLT_CALLBACK_NATIVE:
        cb->rc = p->native(p, cb->message);
        break;
    }
}

/* Switch to the fiber of @p until it is done or suspended. */
static void enter(struct molt_worker *w, struct molt_process *p)
{
    w->runner.process = p;
    molt_context_enter(&w->context, &p->fiber->context);
    w->runner.process = NULL;
}

void molt_worker_suspend(struct molt_process *p)
{
    int saved = errno;
    if (!p->is_holding_world) {
        molt_world_hold(p->world);
        p->is_holding_world = true;
    }
    molt_context_leave(&p->fiber->context);
    errno = saved;
}

void molt_worker_fail(struct molt_process *p)
{
    p->is_failed = true;
    molt_context_leave(&p->fiber->context);
    __builtin_unreachable();
}

static void leave_world(struct molt_worker *w, struct molt_process *p)
{
    if (p->is_visiting)
        molt_participant_return(&w->participant);
    if (p->is_holding_world)
        molt_world_release(p->world);
    p->is_visiting = p->is_holding_world = false;
}

static void warn_of_locks(struct molt_process *p)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_ERR, "%s: a callback returned with %u lock%s held, the last at %p",
                     label, p->n_locks, p->n_locks == 1 ? "" : "s",
                     p->locks[(p->n_locks - 1) % MOLT_LOCKS_KEPT]);
}

/* The message and what it brought are freed, unless they were kept or sent. */
static void drop_arrived(struct molt_worker *w, struct molt_process *p)
{
    molt_list_each (node, tmp, &p->arrived)
        molt_block_drop(w->rt->heap, &w->runner.cache,
                        molt_container_of(node, struct molt_block, link));
}

/* A callback asked to end the process: what is the reason? One that was asked
 * to end from outside has that one. */
static void decide_reason(struct molt_process *p)
{
    pthread_mutex_lock(&p->lock);
    bool is_asked = p->is_exit_wanted;
    p->end_reason = is_asked ? p->exit_reason : p->callback.rc;
    pthread_mutex_unlock(&p->lock);
    if (!is_asked)
        report_end(p, p->callback.rc,
                   p->callback.kind == MOLT_CALLBACK_INIT ? "init" : "a callback");
}

/* What the result of a finished callback means. */
static enum outcome conclude(struct molt_process *p)
{
    struct molt_callback *cb = &p->callback;
    if (cb->is_call && cb->rc < 0)
        molt_process_complete(p->rt, cb->from.pid, cb->from.ref, cb->rc, NULL);
    if (cb->kind == MOLT_CALLBACK_TERMINATE)
        return ENDED;
    if (cb->rc >= 0)
        return DONE;
    if (cb->kind == MOLT_CALLBACK_NATIVE) {
        p->end_reason = cb->rc;
        return ENDED;
    }
    decide_reason(p);
    return cb->kind == MOLT_CALLBACK_INIT ? ENDED : DONE;
}

static enum outcome finish(struct molt_worker *w, struct molt_process *p)
{
    struct molt_fiber *fiber = p->fiber;
    enum outcome outcome = conclude(p);
    bool is_ending = p->callback.rc < 0 && p->callback.kind != MOLT_CALLBACK_NATIVE;
    drop_arrived(w, p);
    if (p->callback.message)
        molt_message_free(w->rt->heap, &w->runner.cache, p->callback.message);
    if (p->n_locks > 0)
        warn_of_locks(p);
    leave_world(w, p);
    pthread_mutex_lock(&p->lock);
    p->fiber = NULL;
    p->world = NULL;
    p->version = NULL;
    p->n_callbacks++;
    if (p->phase == MOLT_PHASE_NEW)
        p->phase = MOLT_PHASE_ALIVE;
    if (is_ending)
        p->phase = MOLT_PHASE_ENDING;
    p->callback = (struct molt_callback){0};
    pthread_mutex_unlock(&p->lock);
    molt_fiber_give(&w->fibers, fiber);
    return outcome;
}

/* The callback met a function that its world doesn't define. */
static enum outcome fail(struct molt_process *p)
{
    p->is_failed = false;
    p->end_reason = MOLT_EUNDEF;
    if (p->callback.is_call)
        molt_process_complete(p->rt, p->callback.from.pid, p->callback.from.ref, MOLT_EUNDEF, NULL);
    if (p->n_locks > 0)
        warn_of_locks(p);
    return ENDED;
}

static enum outcome proceed(struct molt_worker *w, struct molt_process *p)
{
    enter(w, p);
    if (p->is_failed)
        return fail(p);
    return p->fiber->is_done ? finish(w, p) : SUSPENDED;
}

static enum outcome start(struct molt_worker *w, struct molt_process *p, struct molt_world *world,
                          const struct molt_server_ref *ref)
{
    pthread_mutex_lock(&p->lock);
    p->world = world;
    p->version = ref ? ref->version : NULL;
    pthread_mutex_unlock(&p->lock);
    p->fiber = molt_fiber_take(&w->fibers); /* reserved by run_task() */
    p->fiber->is_done = false;
    p->fiber->fn = invoke;
    p->fiber->arg = p;
    atomic_store_explicit(&w->n_callbacks,
                          atomic_load_explicit(&w->n_callbacks, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    return proceed(w, p);
}

static enum outcome resume(struct molt_worker *w, struct molt_process *p)
{
    /* Online first, so that a grace period waits for this callback, too. */
    struct molt_world *now = molt_participant_boundary(&w->participant, w->rt->current);
    if (now != p->world) {
        molt_participant_visit(&w->participant, p->world);
        p->is_visiting = true;
    }
    enum outcome outcome = proceed(w, p);
    if (outcome == SUSPENDED && p->is_visiting) {
        molt_participant_return(&w->participant);
        p->is_visiting = false;
    }
    return outcome;
}

/* ---- tasks -> callbacks --------------------------------------------------------- */

/* What came goes to the process, until the callback returns. */
static void accept_blocks(struct molt_process *p, struct molt_message *m)
{
    molt_list_splice(&p->arrived, &m->blocks);
    size_t now = atomic_load_explicit(&p->owner.bytes, memory_order_relaxed);
    atomic_store_explicit(&p->owner.bytes, now + m->bytes, memory_order_relaxed);
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
    struct molt_message *arg = p->arg;
    if (arg && ref->init_type && arg->root->type != ref->init_type)
        return end_new(p, MOLT_ETYPE, "its argument is of another type than its init takes");
    if (!p->state_block)
        p->state_block =
            molt_block_make(w->rt->heap, &w->runner.cache, &p->owner, ref->state_type, 1);
    if (!p->state_block)
        return end_new(p, MOLT_ENOMEM, "no memory for its state");
    p->callback = (struct molt_callback){.kind = MOLT_CALLBACK_INIT, .fn = ref->desc->init};
    if (arg) {
        p->callback.arg = molt_block_payload(arg->root);
        accept_blocks(p, arg);
        free(arg);
        p->arg = NULL;
    }
    if (!ref->desc->init)
        p->callback.kind = MOLT_CALLBACK_NONE;
    return start(w, p, world, ref);
}

static enum outcome run_terminate(struct molt_worker *w, struct molt_process *p,
                                  struct molt_world *world, const struct molt_server_ref *ref)
{
    if (!ref || !ref->desc->terminate || !p->state_block)
        return ENDED;
    p->callback =
        (struct molt_callback){.kind = MOLT_CALLBACK_TERMINATE, .fn = ref->desc->terminate};
    return start(w, p, world, ref);
}

static enum outcome run_simple(struct molt_worker *w, struct molt_process *p,
                               struct molt_world *world, const struct molt_server_ref *ref,
                               const struct work *work)
{
    p->callback = (struct molt_callback){.events = work->events};
    if (ref && work->task == TASK_READY) {
        p->callback.kind = MOLT_CALLBACK_READY;
        p->callback.fn = ref->desc->on_ready;
    } else if (ref) {
        p->callback.kind = MOLT_CALLBACK_TIMEOUT;
        p->callback.fn = ref->desc->on_timeout;
    }
    if (p->callback.fn)
        return start(w, p, world, ref);
    p->callback = (struct molt_callback){0};
    return DONE;
}

/* The handler for @m; NULL and a reason if there is none. */
static const struct molt_handler *find_handler(const struct molt_server_ref *ref,
                                               const struct molt_message *m, const char **ret_why)
{
    uint32_t kind = m->kind == MOLT_MESSAGE_CALL ? MOLT_HANDLER_CALL : MOLT_HANDLER_CAST;
    *ret_why = NULL;
    for (size_t i = 0; i < ref->n_handlers; i++) {
        if (ref->handler_types[i] != m->root->type)
            continue;
        if (ref->desc->on[i].kind == kind)
            return &ref->desc->on[i];
        *ret_why = kind == MOLT_HANDLER_CALL ? "its handler takes casts, not calls"
                                             : "its handler takes calls, not casts";
        return NULL;
    }
    return NULL;
}

/* Fill in the callback for @m. False: nothing to run, @m was refused. */
static bool prepare_message(struct molt_process *p, struct molt_message *m,
                            const struct molt_server_ref *ref)
{
    if (!ref) {
        refuse_message(p, m, MOLT_EUNDEF, ref, "its server is gone from the current world");
        return false;
    }
    const char *why;
    const struct molt_handler *handler = find_handler(ref, m, &why);
    struct molt_callback *cb = &p->callback;
    *cb = (struct molt_callback){.arg = molt_block_payload(m->root),
                                 .from = m->from,
                                 .is_call = m->kind == MOLT_MESSAGE_CALL};
    if (handler) {
        cb->kind = cb->is_call ? MOLT_CALLBACK_CALL : MOLT_CALLBACK_CAST;
        cb->fn = handler->fn;
        return true;
    }
    if (why || !ref->desc->on_other) {
        refuse_message(p, m, MOLT_ETYPE, ref, why ? why : "it has no handler for that");
        return false;
    }
    /* on_other can't answer, so a call gets its error at once. */
    if (cb->is_call)
        molt_process_complete(p->rt, m->from.pid, m->from.ref, MOLT_ETYPE, NULL);
    cb->is_call = false;
    cb->kind = MOLT_CALLBACK_OTHER;
    cb->fn = ref->desc->on_other;
    cb->type_name = m->root->type->name;
    return true;
}

static enum outcome run_message(struct molt_worker *w, struct molt_process *p,
                                struct molt_world *world, const struct molt_server_ref *ref,
                                struct molt_message *m)
{
    atomic_store_explicit(&w->n_messages,
                          atomic_load_explicit(&w->n_messages, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    bool is_taken = prepare_message(p, m, ref);
    if (is_taken)
        accept_blocks(p, m);
    molt_message_free(w->rt->heap, &w->runner.cache, m);
    return is_taken ? start(w, p, world, ref) : DONE;
}

static enum outcome run_native(struct molt_worker *w, struct molt_process *p,
                               struct molt_world *world, struct molt_message *m)
{
    p->callback = (struct molt_callback){.kind = MOLT_CALLBACK_NATIVE, .message = m};
    return start(w, p, world, NULL);
}

static enum outcome run_task(struct molt_worker *w, struct molt_process *p, const struct work *work)
{
    if (work->task == TASK_KILL)
        return ENDED;
    if (work->task == TASK_RESUME)
        return resume(w, p);
    if (!molt_fiber_reserve(&w->fibers))
        return STARVED;
    struct molt_world *world = molt_participant_boundary(&w->participant, w->rt->current);
    if (p->native)
        return run_native(w, p, world, work->message);
    const struct molt_server_ref *ref = molt_world_server(world, p->server_id);
    switch (work->task) {
    case TASK_INIT:
        return run_init(w, p, world, ref);
    case TASK_TERMINATE:
        return run_terminate(w, p, world, ref);
    case TASK_MESSAGE:
        return run_message(w, p, world, ref, work->message);
    default:
        return run_simple(w, p, world, ref, work);
    }
}

void molt_worker_run(struct molt_worker *w, struct molt_process *p)
{
    pthread_mutex_lock(&p->lock);
    p->is_in_queue = false;
    if (p->state != MOLT_PROCESS_QUEUED) {
        pthread_mutex_unlock(&p->lock);
        return;
    }
    p->state = MOLT_PROCESS_RUNNING;
    enum outcome outcome = DONE;
    for (int i = 0; i < TURN && outcome == DONE && !p->is_claim_wanted; i++) {
        struct work work = pick(p);
        if (work.task == TASK_NONE)
            break;
        pthread_mutex_unlock(&p->lock);
        outcome = run_task(w, p, &work);
        if (outcome == ENDED) {
            molt_process_destroy(p, p->end_reason);
            return;
        }
        if (outcome == STARVED) {
            w->is_starved = true;
            unpick(p, &work);
        }
        pthread_mutex_lock(&p->lock);
    }
    molt_process_settle(p);
    pthread_mutex_unlock(&p->lock);
}
