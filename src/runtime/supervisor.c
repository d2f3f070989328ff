/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/supervisor.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/rt.h"

#define INTENSITY_DEFAULT 3
#define PERIOD_DEFAULT_MS 5000
#define RESTARTS_KEPT 64

struct child {
    char id[MOLT_NAME_MAX]; /* "": a free place */
    molt_pid pid;           /* 0: not running */
};

struct supervisor {
    char name[MOLT_NAME_MAX];
    struct child children[MOLT_CHILDREN_MAX]; /* in the order of their start */
    size_t n_children;
    uint64_t restarts_ms[RESTARTS_KEPT]; /* ring */
    size_t n_restarts;
    bool is_ending;
    int reason;
};

static struct molt_world *world_of(const struct molt_process *p)
{
    return atomic_load_explicit(&p->world, memory_order_relaxed);
}

static const struct molt_supervisor *read_spec(const struct molt_process *p)
{
    const struct supervisor *s = p->native_state;
    return molt_world_supervisor(world_of(p), s->name);
}

static const struct molt_child *find_spec(const struct molt_supervisor *spec, const char *id)
{
    for (size_t i = 0; spec && i < MOLT_CHILDREN_MAX && spec->child[i].id; i++)
        if (strcmp(spec->child[i].id, id) == 0)
            return &spec->child[i];
    return NULL;
}

static void forget(struct supervisor *s, struct child *child)
{
    size_t at = (size_t)(child - s->children);
    memmove(child, child + 1, (s->n_children - at - 1) * sizeof(*child));
    s->n_children--;
}

/* ---- starting ---------------------------------------------------------------- */

/* The argument is made by code of the module, hence here, inside a callback. */
static int make_arg(const struct molt_child *spec, struct molt_block **ret_arg)
{
    void *arg = NULL;
    *ret_arg = NULL;
    int rc = spec->arg ? spec->arg(&arg) : 0;
    if (rc < 0 || !arg)
        return rc < 0 ? rc : 0;
    return molt_runner_take(molt_runner_here(), arg, ret_arg);
}

static int start_server(struct molt_process *p, const struct molt_child *spec, molt_pid *ret_pid)
{
    struct molt_block *arg;
    int rc = make_arg(spec, &arg);
    if (rc < 0)
        return rc;
    molt_pid self = molt_self();
    struct molt_spawn spawn = {.name = spec->id, .arg = arg, .parent = self, .supervisor = self};
    rc = molt_runtime_spawn(p->rt, world_of(p), spec->server, &spawn, ret_pid);
    if (rc < 0 && arg)
        molt_runner_drop(molt_runner_here(), arg);
    return rc;
}

static int start_child(struct molt_process *p, const struct molt_child *spec, molt_pid *ret_pid)
{
    int rc = start_server(p, spec, ret_pid);
    if (rc == MOLT_ENOENT)
        rc = molt_supervisor_start(p->rt, world_of(p), spec->server, molt_self(), molt_self(),
                                   ret_pid);
    if (rc < 0)
        molt_runtime_log(p->rt, MOLT_ERR,
                         "supervisor '%s': child '%s' (server '%s') can't start: %s",
                         ((struct supervisor *)p->native_state)->name, spec->id, spec->server,
                         molt_error_text(rc));
    return rc;
}

/* ---- ending ------------------------------------------------------------------ */

/* Ask the last child that runs to end; when none is left the supervisor ends. */
static int end_next(struct molt_process *p)
{
    struct supervisor *s = p->native_state;
    while (s->n_children > 0) {
        struct child *last = &s->children[s->n_children - 1];
        if (last->pid && molt_process_exit(p->rt, last->pid, MOLT_ESHUTDOWN) == 0)
            return 0; /* its exit comes as a message */
        forget(s, last);
    }
    return s->reason;
}

static int begin_end(struct molt_process *p, int reason)
{
    struct supervisor *s = p->native_state;
    if (s->is_ending)
        return 0;
    s->is_ending = true;
    s->reason = reason < 0 ? reason : MOLT_ESHUTDOWN;
    return end_next(p);
}

/* ---- restarting ----------------------------------------------------------------- */

/* Note a restart; true if there were too many. */
static bool is_too_often(struct supervisor *s, const struct molt_supervisor *spec)
{
    uint32_t intensity = spec && spec->intensity ? spec->intensity : INTENSITY_DEFAULT;
    uint64_t period = spec && spec->period_ms ? spec->period_ms : PERIOD_DEFAULT_MS;
    if (intensity >= RESTARTS_KEPT)
        intensity = RESTARTS_KEPT - 1;
    uint64_t now = molt_clock_ms();
    s->restarts_ms[s->n_restarts++ % RESTARTS_KEPT] = now;
    if (s->n_restarts <= intensity)
        return false;
    /* When the restart happened that must be older than the period. */
    uint64_t earlier = s->restarts_ms[(s->n_restarts - 1 - intensity) % RESTARTS_KEPT];
    return now - earlier <= period;
}

static bool is_to_restart(const struct molt_child *spec, int reason)
{
    bool is_normal = reason == 0 || reason == MOLT_ESHUTDOWN;
    return spec->restart == MOLT_PERMANENT || (spec->restart == MOLT_TRANSIENT && !is_normal);
}

/* A start that fails counts as a restart, too, so this ends. */
static int restart(struct molt_process *p, struct child *child)
{
    struct supervisor *s = p->native_state;
    for (;;) {
        const struct molt_supervisor *spec = read_spec(p);
        const struct molt_child *how = find_spec(spec, child->id);
        if (!how) {
            forget(s, child);
            return 0;
        }
        if (is_too_often(s, spec)) {
            molt_runtime_log(p->rt, MOLT_ERR,
                             "supervisor '%s' ends: child '%s' ended too often in too short a time",
                             s->name, child->id);
            return begin_end(p, MOLT_ELIMIT);
        }
        atomic_fetch_add_explicit(&p->rt->n_restarts, 1, memory_order_relaxed);
        if (start_child(p, how, &child->pid) == 0)
            return 0;
    }
}

static int child_ended(struct molt_process *p, const struct molt_exit_notice *m)
{
    struct supervisor *s = p->native_state;
    struct child *child = NULL;
    for (size_t i = 0; i < s->n_children && !child; i++)
        if (s->children[i].pid == m->pid)
            child = &s->children[i];
    if (!child)
        return 0;
    child->pid = 0;
    if (s->is_ending)
        return end_next(p);
    const struct molt_child *how = find_spec(read_spec(p), child->id);
    if (how && is_to_restart(how, m->reason))
        return restart(p, child);
    if (!how)
        forget(s, child);
    return 0;
}

/* ---- what the specification says now ---------------------------------------------- */

static bool has_child(const struct supervisor *s, const char *id)
{
    for (size_t i = 0; i < s->n_children; i++)
        if (strcmp(s->children[i].id, id) == 0)
            return true;
    return false;
}

/* Start the children that the specification lists and that were never started
 * or are new in it. One that it no longer lists runs on until it ends. */
static int reconcile(struct molt_process *p, bool is_first)
{
    struct supervisor *s = p->native_state;
    const struct molt_supervisor *spec = read_spec(p);
    if (!spec && is_first)
        return MOLT_EUNDEF;
    for (size_t i = 0; spec && i < MOLT_CHILDREN_MAX && spec->child[i].id; i++) {
        const struct molt_child *how = &spec->child[i];
        if (has_child(s, how->id) || s->n_children == MOLT_CHILDREN_MAX)
            continue;
        if (how->restart == MOLT_TEMPORARY && !is_first)
            continue;
        struct child *child = &s->children[s->n_children];
        *child = (struct child){.pid = 0};
        strncpy(child->id, how->id, sizeof(child->id) - 1);
        int rc = start_child(p, how, &child->pid);
        if (rc == 0)
            s->n_children++;
        else if (is_first)
            return begin_end(p, rc);
    }
    return 0;
}

static int supervise(struct molt_process *p, struct molt_block *m)
{
    struct supervisor *s = p->native_state;
    if (!m)
        return atomic_load(&p->phase) == MOLT_PHASE_NEW ? reconcile(p, true)
                                                        : begin_end(p, p->end_reason);
    struct molt_from from;
    switch (molt_message_kind(m)) {
    case MOLT_MESSAGE_CHILD_EXIT:
        return child_ended(p, molt_block_payload(m));
    case MOLT_MESSAGE_RECONCILE:
        return s->is_ending ? 0 : reconcile(p, false);
    case MOLT_MESSAGE_CALL:
        from = molt_message_from(m);
        return molt_reply_error(&from, MOLT_ETYPE);
    case MOLT_MESSAGE_LINK_EXIT:
    case MOLT_MESSAGE_DOWN:
    case MOLT_MESSAGE_CAST:
        return 0;
    }
    return 0;
}

int molt_supervisor_start(struct molt_runtime *rt, const struct molt_world *world, const char *name,
                          molt_pid parent, molt_pid supervisor, molt_pid *ret_pid)
{
    if (!molt_world_supervisor(world, name))
        return MOLT_ENOENT;
    struct supervisor *s = calloc(1, sizeof(*s));
    if (!s)
        return MOLT_ENOMEM;
    strncpy(s->name, name, sizeof(s->name) - 1);
    struct molt_spawn spawn = {.server_id = -1,
                               .native = supervise,
                               .native_state = s,
                               .parent = parent,
                               .supervisor = supervisor};
    int rc = molt_process_spawn(rt, &spawn, ret_pid);
    if (rc < 0)
        free(s);
    return rc;
}

void molt_supervisor_free(void *native_state)
{
    free(native_state);
}

void molt_runtime_reconcile(struct molt_runtime *rt)
{
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load(&p->pid);
        /* Only supervisors are of no server; another process that has the slot
         * by now drops what it doesn't know. */
        if (!pid || p->server_id >= 0)
            continue;
        struct molt_block *m =
            molt_message_new_notice(rt->heap, &rt->executor.cache, MOLT_MESSAGE_RECONCILE);
        if (m && molt_process_post(rt, pid, m, MOLT_MESSAGE_RECONCILE, (struct molt_from){0}) < 0)
            molt_message_drop(rt->heap, &rt->executor.cache, m);
    }
}
