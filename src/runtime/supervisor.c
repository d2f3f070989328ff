/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/supervisor.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/fiber.h"
#include "runtime/rt.h"
#include "runtime/supervisor_call.h"
#include "runtime/supervisor_spec.h"
#include "runtime/wait.h"

struct supervisor {
    char name[MOLT_NAME_MAX]; /* in the modules' tables */
    struct molt_runtime *rt;
    struct molt_supervise core;
    struct molt_supervise_spec *first; /* until the core has it */
    uint64_t timer;                    /* last armed, as the core calls it */
    bool is_asked;                     /* to end */
    bool is_over;                      /* the core has ended */
    int reason;
};

struct request {
    struct molt_supervise_request node;
    struct molt_from from;
    size_t n; /* of LOOK: how many to list */
};

static struct molt_world *world_of(const struct molt_process *p)
{
    return atomic_load_explicit(&p->world, memory_order_relaxed);
}

static const struct molt_supervisor *read_table(const struct molt_process *p)
{
    const struct supervisor *s = p->native_state;
    return molt_world_supervisor(world_of(p), s->name);
}

static void free_child(struct molt_supervised *node)
{
    struct molt_supervisor_child *child = molt_supervisor_child_of(node);
    struct molt_runner *runner = molt_runner_here();
    struct molt_block *root;
    /* With all that it leads to. */
    if (child->arg && molt_runner_take(runner, molt_block_payload(child->arg), &root) == 0)
        molt_runner_drop(runner, root);
    molt_supervisor_child_free(child);
}

/* ---- telling others ------------------------------------------------------------ */

/* Of native processes there are only supervisors, and all that they start are
 * their children. If the parent ends meanwhile, it can't be told. */
static bool has_supervisor(const struct molt_process *p)
{
    const struct molt_process *parent = p->parent ? molt_process_find(p->rt, p->parent) : NULL;
    return parent && parent->server_id < 0;
}

int molt_supervisor_tell_started(struct molt_process *p)
{
    if (!has_supervisor(p))
        return 0;
    struct molt_runner *runner = molt_runner_here();
    struct molt_block *m =
        molt_message_new_notice(p->rt->heap, &runner->cache, MOLT_MESSAGE_CHILD_STARTED);
    if (!m)
        return MOLT_ENOMEM;
    struct molt_exit_notice *notice = molt_block_payload(m);
    notice->pid = molt_process_pid(p);
    if (molt_process_post(p->rt, p->parent, m, MOLT_MESSAGE_CHILD_STARTED, (struct molt_from){0}) <
        0)
        molt_message_drop(p->rt->heap, &runner->cache, m);
    return 0;
}

static void tell_ready(struct molt_process *p)
{
    struct supervisor *s = p->native_state;
    if (molt_supervisor_tell_started(p) < 0)
        molt_supervise_stop(&s->core, MOLT_ENOMEM);
    /* Release: pairs with molt_runtime_start(). */
    if (atomic_load(&p->rt->root) == molt_process_pid(p))
        atomic_store_explicit(&p->rt->is_root_ready, true, memory_order_release);
}

static const char *name_of_child(const struct molt_supervised *node)
{
    return !node ? "?" : node->id[0] ? node->id : "of its template";
}

static void report(struct molt_process *p, const struct molt_supervise_action *a)
{
    const struct supervisor *s = p->native_state;
    const char *child = name_of_child(a->child), *why = molt_error_text(a->reason);
    switch (a->report) {
    case MOLT_REPORT_ENDED:
        molt_runtime_log(p->rt, MOLT_WARN, "supervisor '%s': child '%s' ended: %s", s->name, child,
                         why);
        break;
    case MOLT_REPORT_START_FAILED:
        molt_runtime_log(p->rt, MOLT_ERR, "supervisor '%s': child '%s' can't start: %s", s->name,
                         child, why);
        break;
    case MOLT_REPORT_RESTART:
        atomic_fetch_add_explicit(&p->rt->n_restarts, 1, memory_order_relaxed);
        molt_supervisor_child_of(a->child)->n_restarts++;
        break;
    case MOLT_REPORT_SHUTDOWN:
        molt_runtime_log(p->rt, MOLT_WARN,
                         "supervisor '%s': child '%s' did not end as it was asked to: %s", s->name,
                         child, why);
        break;
    case MOLT_REPORT_INTENSITY:
        molt_runtime_log(p->rt, MOLT_ERR,
                         "supervisor '%s' ends: child '%s' ended too often in too short a time: %s",
                         s->name, child, why);
        break;
    }
}

/* ---- starting a child ------------------------------------------------------------ */

/* A copy of a block without pointers, for one start. */
static int copy_arg(struct molt_process *p, const struct molt_block *arg,
                    struct molt_block **ret_arg)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_block *copy = molt_block_make_bytes(p->rt->heap, &runner->cache, &p->owner,
                                                    arg->type, molt_block_bytes(arg));
    if (!copy)
        return MOLT_ENOMEM;
    memcpy(molt_block_payload(copy), molt_block_payload(arg), molt_block_bytes(arg));
    return molt_runner_take(runner, molt_block_payload(copy), ret_arg);
}

/* The argument is made by code of the module, hence here, inside a callback. */
static int make_arg(const struct molt_child *entry, struct molt_block **ret_arg)
{
    void *arg = NULL;
    int rc = entry && entry->arg ? entry->arg(&arg) : 0;
    if (rc < 0 || !arg)
        return rc < 0 ? rc : 0;
    return molt_runner_take(molt_runner_here(), arg, ret_arg);
}

static int get_arg(struct molt_process *p, struct molt_supervisor_child *child,
                   const struct molt_child *entry, struct molt_block **ret_arg)
{
    *ret_arg = NULL;
    if (!child->arg)
        return make_arg(entry, ret_arg);
    if (child->node.policy.restart != MOLT_TEMPORARY)
        return copy_arg(p, child->arg, ret_arg);
    struct molt_block *arg = child->arg;
    child->arg = NULL;
    return molt_runner_take(molt_runner_here(), molt_block_payload(arg), ret_arg);
}

static int spawn_child(struct molt_process *p, const struct molt_supervised *node,
                       const char *server, struct molt_block *arg, molt_pid *ret_pid)
{
    molt_pid self = molt_process_pid(p);
    const char *name = node->id[0] ? node->id : NULL;
    struct molt_spawn spawn = {.name = name, .arg = arg, .parent = self, .supervisor = self};
    int rc = molt_runtime_spawn(p->rt, world_of(p), server, &spawn, ret_pid);
    if (rc < 0 && arg)
        molt_runner_drop(molt_runner_here(), arg);
    if (rc == MOLT_ENOENT)
        rc = molt_supervisor_start(p->rt, world_of(p), server, name, self, self, ret_pid);
    return rc;
}

/* What a child is started by: an entry of the table, or NULL. False: it isn't
 * listed any more. */
static bool find_entry(const struct molt_process *p, const struct molt_supervisor_child *child,
                       const struct molt_child **ret_entry)
{
    const struct supervisor *s = p->native_state;
    const struct molt_supervisor *table = read_table(p);
    *ret_entry = NULL;
    if (child->server[0])
        return true;
    if (s->core.spec->strategy == MOLT_SIMPLE_ONE_FOR_ONE)
        *ret_entry = table ? &table->child[0] : NULL;
    else
        *ret_entry = molt_supervisor_entry(table, child->node.id);
    return *ret_entry && (*ret_entry)->server;
}

static void start_child(struct molt_process *p, struct molt_supervised *node)
{
    struct supervisor *s = p->native_state;
    struct molt_supervisor_child *child = molt_supervisor_child_of(node);
    const struct molt_child *entry;
    if (!find_entry(p, child, &entry)) {
        molt_supervise_start_failed(&s->core, node, 0);
        return;
    }
    struct molt_block *arg;
    molt_pid pid = 0;
    int rc = get_arg(p, child, entry, &arg);
    if (rc == 0)
        rc = spawn_child(p, node, entry ? entry->server : child->server, arg, &pid);
    if (rc < 0)
        molt_supervise_start_failed(&s->core, node, rc);
    else
        molt_supervise_spawned(&s->core, node, pid);
}

/* ---- answering ----------------------------------------------------------------- */

static void list_children(const struct supervisor *s, struct molt_child_reply *reply, size_t n)
{
    static const struct molt_type *const tag = &molt_child_info_type;
    struct molt_supervised *c = NULL;
    while ((c = molt_supervise_each(&s->core, c)))
        reply->n_children++;
    n = n < reply->n_children ? n : reply->n_children;
    if (n == 0)
        return;
    reply->infos = molt_block_new(&tag, sizeof(*reply->infos), n);
    if (!reply->infos)
        reply->code = MOLT_ENOMEM;
    for (size_t i = 0; reply->infos && i < n; i++) {
        c = molt_supervise_each(&s->core, c);
        struct molt_child_info *info = &reply->infos[i];
        memcpy(info->id, c->id, sizeof(info->id));
        info->pid = c->pid;
        info->restart =
            (uint32_t)c->policy.restart | (c->policy.is_significant ? MOLT_SIGNIFICANT : 0u);
        info->is_supervisor = c->policy.is_supervisor;
    }
}

static void answer(struct molt_process *p, struct molt_supervise_action *a)
{
    static const struct molt_type *const tag = &molt_child_reply_type;
    struct request *request = molt_container_of(a->request, struct request, node);
    struct molt_child_reply *reply = molt_block_new(&tag, sizeof(*reply), 1);
    if (reply) {
        reply->code = a->reason;
        reply->pid = a->pid;
        if (a->request->kind == MOLT_SUPERVISE_LOOK && a->reason == 0)
            list_children(p->native_state, reply, request->n);
        (void)molt_reply(&request->from, reply);
    } else {
        (void)molt_reply_error(&request->from, MOLT_ENOMEM);
    }
    free(request);
}

/* ---- carrying out ---------------------------------------------------------------- */

static void arm(struct molt_process *p, const struct molt_supervise_action *a)
{
    struct supervisor *s = p->native_state;
    s->timer = a->timer;
    /* Its memory was set aside when the supervisor began. */
    (void)molt_timeout(a->ms);
}

static void carry_out(struct molt_process *p, struct molt_supervise_action *a)
{
    struct supervisor *s = p->native_state;
    switch (a->kind) {
    case MOLT_SUPERVISE_START:
        start_child(p, a->child);
        break;
    case MOLT_SUPERVISE_ASK:
        (void)molt_process_exit(p->rt, a->pid, MOLT_ESHUTDOWN);
        break;
    case MOLT_SUPERVISE_KILL:
        (void)molt_process_kill(p->rt, a->pid);
        break;
    case MOLT_SUPERVISE_ARM:
        arm(p, a);
        break;
    case MOLT_SUPERVISE_DISARM:
        (void)molt_timeout(-1);
        break;
    case MOLT_SUPERVISE_REPORT:
        report(p, a);
        break;
    case MOLT_SUPERVISE_REPLY:
        answer(p, a);
        break;
    case MOLT_SUPERVISE_RELEASE:
        free_child(a->child);
        break;
    case MOLT_SUPERVISE_RELEASE_SPEC:
        molt_supervisor_spec_free(a->spec);
        break;
    case MOLT_SUPERVISE_READY:
        tell_ready(p);
        break;
    case MOLT_SUPERVISE_END:
        s->is_over = true;
        s->reason = a->reason < 0 ? a->reason : MOLT_ESHUTDOWN;
        break;
    }
}

/* ---- events ---------------------------------------------------------------------- */

static int begin(struct molt_process *p)
{
    struct supervisor *s = p->native_state;
    p->timeout = calloc(1, sizeof(*p->timeout));
    if (!p->timeout)
        return MOLT_ENOMEM;
    molt_supervise_init(&s->core, s->first);
    s->first = NULL;
    return 0;
}

/* The modules' tables may say something else now. Whether they may was checked
 * before the upgrade. */
static void reconcile(struct molt_process *p)
{
    struct supervisor *s = p->native_state;
    const struct molt_supervisor *table = read_table(p);
    struct molt_supervise_spec *spec;
    struct molt_error err = {0};
    if (!table)
        return;
    int rc = molt_supervisor_spec_new(p->rt->code, world_of(p), table, &spec, &err);
    if (rc == 0 && (rc = molt_supervise_check_change(s->core.spec, spec, &err)) < 0)
        molt_supervisor_spec_free(spec);
    if (rc < 0)
        molt_runtime_log(p->rt, MOLT_ERR, "supervisor '%s' keeps its old specification: %s",
                         s->name, err.text);
    else
        molt_supervise_change(&s->core, spec);
}

/* The child that is to be added; NULL and a code. */
static struct molt_supervisor_child *make_child(struct molt_process *p,
                                                const struct molt_child_request *r, int *ret_code)
{
    const struct supervisor *s = p->native_state;
    bool is_simple = s->core.spec->strategy == MOLT_SIMPLE_ONE_FOR_ONE;
    struct molt_block *arg = r->arg ? molt_heap_find(p->rt->heap, r->arg) : NULL;
    *ret_code = MOLT_EINVAL;
    if (is_simple != !r->server[0] || (r->arg && (!arg || molt_block_payload(arg) != r->arg)))
        return NULL;
    struct molt_child_policy policy =
        molt_supervisor_policy(r->restart, r->shutdown_ms,
                               molt_supervisor_is(p->rt->code, world_of(p), r->server));
    if (is_simple)
        policy =
            molt_container_of(s->core.spec->children.next, struct molt_supervised, link)->policy;
    if (arg && arg->type->may_point && policy.restart != MOLT_TEMPORARY)
        return NULL;
    struct molt_supervisor_child *child = molt_supervisor_child_new(r->id, r->server);
    *ret_code = MOLT_ENOMEM;
    if (!child)
        return NULL;
    child->node.policy = policy;
    child->arg = arg;
    return child;
}

static int take_request(struct molt_process *p, const struct molt_child_request *r,
                        struct molt_from from)
{
    struct supervisor *s = p->native_state;
    struct molt_supervisor_child *child = NULL;
    int rc = 0;
    if (r->kind == MOLT_SUPERVISE_ADD && !(child = make_child(p, r, &rc)))
        return rc;
    struct request *request = calloc(1, sizeof(*request));
    if (!request || !molt_process_defer(p, from)) {
        free(request);
        molt_supervisor_child_free(child);
        return MOLT_ENOMEM;
    }
    request->from = from;
    request->n = r->n;
    request->node.kind = r->kind;
    request->node.pid = r->pid;
    request->node.child = child ? &child->node : NULL;
    memcpy(request->node.id, r->id, sizeof(r->id));
    molt_supervise_ask(&s->core, &request->node);
    return 0;
}

/* What came is the supervisor's: the argument of a child stays until it ends. */
static void take_call(struct molt_process *p, struct molt_block *m)
{
    struct molt_from from = molt_message_from(m);
    if (m->type != &molt_child_request_type) {
        molt_process_complete(p->rt, from.pid, from.ref, MOLT_ETYPE, NULL);
        return;
    }
    p->fiber->act.callback.message = NULL;
    molt_wait_accept(p, m);
    struct molt_child_request *request = molt_block_payload(m);
    int rc = take_request(p, request, from);
    if (rc < 0) {
        struct molt_runner *runner = molt_runner_here();
        struct molt_block *root;
        molt_process_complete(p->rt, from.pid, from.ref, rc, NULL);
        if (molt_runner_take(runner, request, &root) == 0)
            molt_runner_drop(runner, root);
        return;
    }
    molt_free(request);
}

static void take_message(struct molt_process *p, struct molt_block *m)
{
    struct supervisor *s = p->native_state;
    const struct molt_exit_notice *notice = molt_block_payload(m);
    switch (molt_message_kind(m)) {
    case MOLT_MESSAGE_CHILD_EXIT:
        molt_supervise_exited(&s->core, notice->pid, notice->reason);
        break;
    case MOLT_MESSAGE_CHILD_STARTED:
        molt_supervise_started(&s->core, notice->pid);
        break;
    case MOLT_MESSAGE_RECONCILE:
        reconcile(p);
        break;
    case MOLT_MESSAGE_CALL:
        take_call(p, m);
        break;
    case MOLT_MESSAGE_LINK_EXIT:
    case MOLT_MESSAGE_DOWN:
    case MOLT_MESSAGE_CAST:
        break;
    }
}

/* Without a message: its start, a request to end (once), or its timer. */
static int take_event(struct molt_process *p)
{
    struct supervisor *s = p->native_state;
    enum molt_phase phase = (enum molt_phase)atomic_load(&p->phase);
    if (phase == MOLT_PHASE_NEW)
        return begin(p);
    if (phase == MOLT_PHASE_ENDING && !s->is_asked) {
        s->is_asked = true;
        molt_supervise_stop(&s->core, p->end_reason);
        return 0;
    }
    p->timeout->ref = 0;
    molt_supervise_timeout(&s->core, s->timer);
    return 0;
}

int molt_supervisor_run(struct molt_process *p, struct molt_block *m)
{
    struct supervisor *s = p->native_state;
    int rc = 0;
    if (m)
        take_message(p, m);
    else
        rc = take_event(p);
    struct molt_supervise_action action;
    while (rc == 0 && molt_supervise_next(&s->core, molt_clock_ms(), &action))
        carry_out(p, &action);
    return s->is_over ? s->reason : rc;
}

/* ---- life ------------------------------------------------------------------------ */

int molt_supervisor_start(struct molt_runtime *rt, const struct molt_world *world,
                          const char *table_name, const char *name, molt_pid parent,
                          molt_pid supervisor, molt_pid *ret_pid)
{
    const struct molt_supervisor *table = molt_world_supervisor(world, table_name);
    if (!table)
        return MOLT_ENOENT;
    struct supervisor *s = calloc(1, sizeof(*s));
    if (!s)
        return MOLT_ENOMEM;
    struct molt_error err = {0};
    int rc = molt_supervisor_spec_new(rt->code, world, table, &s->first, &err);
    if (rc < 0) {
        molt_runtime_log(rt, MOLT_ERR, "%s", err.text);
        free(s);
        return rc;
    }
    s->rt = rt;
    strcpy(s->name, table->name); /* it fits: see molt_supervisor_spec_new() */
    struct molt_spawn spawn = {.server_id = -1,
                               .native_state = s,
                               .name = name,
                               .parent = parent,
                               .supervisor = supervisor};
    rc = molt_process_spawn(rt, &spawn, ret_pid);
    if (rc < 0) {
        molt_supervisor_spec_free(s->first);
        free(s);
    }
    return rc;
}

/* Its blocks are gone, and its callers have their answer. */
static void free_quietly(const struct molt_supervise_action *a)
{
    if (a->kind == MOLT_SUPERVISE_REPLY)
        free(molt_container_of(a->request, struct request, node));
    else if (a->kind == MOLT_SUPERVISE_RELEASE)
        molt_supervisor_child_free(molt_supervisor_child_of(a->child));
    else if (a->kind == MOLT_SUPERVISE_RELEASE_SPEC)
        molt_supervisor_spec_free(a->spec);
}

static void kill_children(struct supervisor *s)
{
    struct molt_supervise_action action;
    /* Code that makes an argument may have ended the supervisor. */
    for (struct molt_supervised *c = NULL; (c = molt_supervise_each(&s->core, c));)
        molt_supervise_start_failed(&s->core, c, MOLT_EKILLED);
    molt_supervise_kill(&s->core);
    while (molt_supervise_next(&s->core, molt_clock_ms(), &action)) {
        if (action.kind == MOLT_SUPERVISE_KILL)
            (void)molt_process_kill(s->rt, action.pid);
        else
            free_quietly(&action);
    }
}

void molt_supervisor_free(void *native_state)
{
    struct supervisor *s = native_state;
    if (!s)
        return;
    if (!s->first && s->core.spec) {
        struct molt_supervised *node;
        if (!s->is_over)
            kill_children(s);
        while ((node = molt_supervise_take(&s->core)))
            molt_supervisor_child_free(molt_supervisor_child_of(node));
        molt_supervisor_spec_free(s->core.spec);
    }
    molt_supervisor_spec_free(s->first);
    free(s);
}

int molt_supervisor_each(struct molt_process *p, molt_runtime_child_fn *fn, void *user)
{
    const struct supervisor *s = p->native_state;
    int count = 0;
    if (!s || s->first || !s->core.spec)
        return 0;
    struct molt_runtime_child info = {.supervisor = molt_process_pid(p),
                                      .supervisor_name = s->name,
                                      .strategy = s->core.spec->strategy,
                                      .is_self = true,
                                      .id = ""};
    fn(user, &info);
    info.is_self = false;
    for (struct molt_supervised *c = NULL; (c = molt_supervise_each(&s->core, c)); count++) {
        info.id = c->id;
        info.pid = c->pid;
        info.restart = c->policy.restart;
        info.is_supervisor = c->policy.is_supervisor;
        info.n_restarts = molt_supervisor_child_of(c)->n_restarts;
        fn(user, &info);
    }
    return count + 1;
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
