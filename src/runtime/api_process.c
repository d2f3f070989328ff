/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The public functions on messages, calls and processes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

/* The caller's runner; NULL where effects are impossible: unknown threads and
 * change functions. */
static struct molt_runner *effective_runner(void)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && !runner->is_converting ? runner : NULL;
}

/* What is consumed also where there is nobody to give it to. */
static int consume(struct molt_runner *runner, void *msg, int code)
{
    struct molt_cargo graph;
    int rc = molt_runner_take(runner, msg, &graph);
    if (rc < 0)
        return rc;
    molt_runner_drop(runner, &graph);
    return code;
}

/* On a thread without effects: what it consumes is freed as far as it is known. */
static int refuse(void *msg)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && msg ? consume(runner, msg, MOLT_ENOPROC) : MOLT_ENOPROC;
}

/* ---- send --------------------------------------------------------------------- */

/* Consumes @graph. */
static int post(struct molt_runner *runner, molt_pid pid, enum molt_message_kind kind,
                struct molt_from from, struct molt_cargo *graph, struct molt_process *caller)
{
    struct molt_process *p = molt_process_find(runner->rt, pid);
    struct molt_message *m = p ? molt_message_new(kind) : NULL;
    if (!m) {
        molt_runner_drop(runner, graph);
        return p ? MOLT_ENOMEM : MOLT_EDEAD;
    }
    m->root = graph->root;
    m->from = from;
    m->bytes = atomic_load_explicit(&graph->transit.bytes, memory_order_relaxed);
    molt_cargo_give(graph, &p->owner, &m->blocks);
    int rc = molt_process_deliver(runner->rt, pid, m, caller);
    if (rc < 0)
        molt_message_free(runner->rt->heap, &runner->cache, m);
    return rc;
}

int molt_send_pid(molt_pid pid, void *msg)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(msg);
    struct molt_cargo graph;
    int rc = molt_runner_take(runner, msg, &graph);
    if (rc < 0)
        return rc;
    return post(runner, pid, MOLT_MESSAGE_CAST, (struct molt_from){0}, &graph, NULL);
}

int molt_send(const char *name, void *msg)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(msg);
    molt_pid pid = name ? molt_names_find(runner->rt, name) : 0;
    if (!pid)
        return consume(runner, msg, name ? MOLT_ENOENT : MOLT_EINVAL);
    return molt_send_pid(pid, msg);
}

/* ---- call --------------------------------------------------------------------- */

/* The ref to complete, or 0 if the process was asked to end: then it doesn't
 * wait at all. */
static uint64_t begin_wait(struct molt_process *p, enum molt_wait_kind kind, const char *what)
{
    uint64_t ref = 0;
    pthread_mutex_lock(&p->lock);
    if (!p->is_exit_wanted) {
        ref = ++p->wait.ref;
        p->wait.kind = kind;
        p->wait.is_done = false;
        p->wait.rc = 0;
        p->wait.root = NULL;
        p->wait.bytes = 0;
        snprintf(p->wait.what, sizeof(p->wait.what), "%s", what);
    }
    pthread_mutex_unlock(&p->lock);
    return ref;
}

/* The result of the wait; a reply becomes the process's. */
static int end_wait(struct molt_process *p, struct molt_block **ret_root)
{
    struct molt_list reply;
    molt_list_init(&reply);
    pthread_mutex_lock(&p->lock);
    int rc = p->wait.rc;
    *ret_root = p->wait.root;
    size_t bytes = p->wait.bytes;
    molt_list_splice(&reply, &p->wait.reply);
    p->wait.kind = MOLT_WAIT_NONE;
    p->wait.is_done = false;
    pthread_mutex_unlock(&p->lock);
    molt_list_splice(&p->owner.blocks, &reply);
    size_t now = atomic_load_explicit(&p->owner.bytes, memory_order_relaxed);
    atomic_store_explicit(&p->owner.bytes, now + bytes, memory_order_relaxed);
    return rc;
}

static void start_wait_timer(struct molt_process *p, unsigned ms)
{
    molt_timer_start(&p->worker->timers, &p->wait_timer, molt_clock_ns() + (uint64_t)ms * 1000000);
}

static void report_locked(struct molt_process *p, const char *what)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_ERR,
                     "%s: %s would block while %u lock%s held, the last at %p: unlock it first",
                     label, what, p->n_locks, p->n_locks == 1 ? " is" : "s are",
                     p->locks[(p->n_locks - 1) % MOLT_LOCKS_KEPT]);
}

static void free_graph(struct molt_runner *runner, struct molt_process *p, struct molt_block *root)
{
    struct molt_cargo graph;
    (void)molt_cargo_collect(runner->rt->heap, &p->owner, root, p->state_block, &graph);
    molt_runner_drop(runner, &graph);
}

/* Post the call and wait. Consumes @graph. */
static int call(struct molt_runner *runner, molt_pid pid, const char *name,
                struct molt_cargo *graph, int timeout_ms, struct molt_block **ret_root)
{
    struct molt_process *p = runner->process;
    char what[MOLT_NAME_MAX + 8];
    if (name)
        snprintf(what, sizeof(what), "call %.63s", name);
    else
        snprintf(what, sizeof(what), "call %llu", (unsigned long long)pid);
    uint64_t ref = begin_wait(p, MOLT_WAIT_CALL, what);
    if (!ref) {
        molt_runner_drop(runner, graph);
        return MOLT_EKILLED;
    }
    struct molt_from from = {atomic_load_explicit(&p->pid, memory_order_relaxed), ref};
    int rc = post(runner, pid, MOLT_MESSAGE_CALL, from, graph, p);
    if (rc == 0) {
        if (timeout_ms >= 0)
            start_wait_timer(p, (unsigned)timeout_ms);
        molt_worker_suspend(p);
        molt_timer_cancel(&p->worker->timers, &p->wait_timer);
        molt_process_forget_call(p);
    }
    int result = end_wait(p, ret_root);
    return rc < 0 ? rc : result;
}

static int check_call(struct molt_runner *runner, const char *name, molt_pid *pid)
{
    struct molt_process *p = runner->process;
    if (name)
        *pid = molt_names_find(runner->rt, name);
    if (!*pid)
        return name ? MOLT_ENOENT : MOLT_EINVAL;
    if (*pid == atomic_load_explicit(&p->pid, memory_order_relaxed))
        return MOLT_EINVAL;
    if (p->n_locks > 0) {
        report_locked(p, "molt_call()");
        return MOLT_ELOCKED;
    }
    return 0;
}

int molt_call_typed(const char *name, molt_pid pid, void *msg, void **ret,
                    const struct molt_type *const *tag, int timeout_ms)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(msg);
    if (!runner->process)
        return consume(runner, msg, MOLT_ENOPROC);
    int rc = check_call(runner, name, &pid);
    if (rc < 0)
        return consume(runner, msg, rc);
    struct molt_cargo graph;
    rc = molt_runner_take(runner, msg, &graph);
    if (rc < 0)
        return rc;
    struct molt_block *root;
    rc = call(runner, pid, name, &graph, timeout_ms, &root);
    if (rc < 0)
        return rc;
    const struct molt_type *type = tag ? *tag : NULL;
    if (type && root->type != type) {
        free_graph(runner, runner->process, root);
        return MOLT_ETYPE;
    }
    *ret = molt_block_payload(root);
    return 0;
}

int molt_reply(const struct molt_from *from, void *reply)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(reply);
    struct molt_cargo graph;
    int rc = molt_runner_take(runner, reply, &graph);
    if (rc < 0)
        return rc;
    if (!from || !molt_process_complete(runner->rt, from->pid, from->ref, 0, &graph))
        molt_runner_drop(runner, &graph);
    return from ? 0 : MOLT_EINVAL;
}

int molt_reply_error(const struct molt_from *from, int code)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return MOLT_ENOPROC;
    if (!from || code >= 0)
        return MOLT_EINVAL;
    molt_process_complete(runner->rt, from->pid, from->ref, code, NULL);
    return 0;
}

int molt_sleep(unsigned ms)
{
    struct molt_runner *runner = effective_runner();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p)
        return MOLT_ENOPROC;
    if (p->n_locks > 0) {
        report_locked(p, "molt_sleep()");
        return MOLT_ELOCKED;
    }
    if (!begin_wait(p, MOLT_WAIT_SLEEP, "sleep"))
        return MOLT_EKILLED;
    start_wait_timer(p, ms);
    molt_worker_suspend(p);
    molt_timer_cancel(&p->worker->timers, &p->wait_timer);
    struct molt_block *root;
    return end_wait(p, &root);
}

/* ---- processes ------------------------------------------------------------------ */

int molt_runtime_spawn(struct molt_runtime *rt, const struct molt_world *world, const char *server,
                       const struct molt_spawn *spawn, molt_pid *ret_pid)
{
    struct molt_spawn full = *spawn;
    full.server_id = molt_code_server_id(rt->code, server);
    const struct molt_server_ref *ref = molt_world_server(world, full.server_id);
    if (!ref)
        return MOLT_ENOENT;
    if (full.arg && ref->init_type && full.arg->root->type != ref->init_type)
        return MOLT_ETYPE;
    return molt_process_spawn(rt, &full, ret_pid);
}

int molt_spawn(const char *server, const char *name, void *arg, molt_pid *ret_pid)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(arg);
    struct molt_cargo graph;
    int rc = arg ? molt_runner_take(runner, arg, &graph) : 0;
    if (rc < 0)
        return rc;
    struct molt_world *world = molt_runner_world(runner);
    struct molt_spawn spawn = {.name = name, .arg = arg ? &graph : NULL, .parent = molt_self()};
    if (!server)
        rc = MOLT_EINVAL;
    else if (!world)
        rc = MOLT_ENOWORLD;
    else
        rc = molt_runtime_spawn(runner->rt, world, server, &spawn, ret_pid);
    if (rc < 0 && arg)
        molt_runner_drop(runner, &graph);
    return rc;
}

molt_pid molt_self(void)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_process *p = runner ? runner->process : NULL;
    return p ? atomic_load_explicit(&p->pid, memory_order_relaxed) : 0;
}

molt_pid molt_whereis(const char *name)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && name ? molt_names_find(runner->rt, name) : 0;
}

int molt_register(const char *name, molt_pid pid)
{
    struct molt_runner *runner = effective_runner();
    return runner ? molt_names_add(runner->rt, name, pid) : MOLT_ENOPROC;
}

int molt_unregister(const char *name)
{
    struct molt_runner *runner = effective_runner();
    return runner ? molt_names_remove(runner->rt, name) : MOLT_ENOPROC;
}

int molt_exit(molt_pid pid, int reason)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return MOLT_ENOPROC;
    if (reason > 0)
        return MOLT_EINVAL;
    return molt_process_exit(runner->rt, pid, reason);
}

int molt_timeout(int ms)
{
    struct molt_runner *runner = effective_runner();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p)
        return MOLT_ENOPROC;
    pthread_mutex_lock(&p->lock);
    p->is_timeout_due = false;
    pthread_mutex_unlock(&p->lock);
    if (ms < 0)
        molt_timer_cancel(&p->worker->timers, &p->timeout_timer);
    else
        molt_timer_start(&p->worker->timers, &p->timeout_timer,
                         molt_clock_ns() + (uint64_t)ms * 1000000);
    return 0;
}

uint64_t molt_now_ms(void)
{
    return molt_clock_ms();
}
