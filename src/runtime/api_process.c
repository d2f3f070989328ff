/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The public functions on messages, calls and processes. */
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/after.h"
#include "runtime/fiber.h"
#include "runtime/lane.h"
#include "runtime/limit.h"
#include "runtime/rt.h"
#include "runtime/runner_quick.h"
#include "runtime/wait.h"
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
    struct molt_block *root;
    int rc = molt_runner_take(runner, msg, &root);
    if (rc < 0)
        return rc;
    molt_runner_drop(runner, root);
    return code;
}

/* On a thread without effects: what it consumes is freed as far as it is known. */
static int refuse(void *msg)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && msg ? consume(runner, msg, MOLT_ENOPROC) : MOLT_ENOPROC;
}

/* ---- send --------------------------------------------------------------------- */

/* Whether a full mailbox is worth another attempt: 0. */
static int await_room(struct molt_runner *runner, molt_pid pid, struct molt_block *root,
                      int *timeout_ms)
{
    return runner->process ? molt_limit_wait(runner->process, pid, root, timeout_ms) : MOLT_EBUSY;
}

/* Consumes @root. */
static int post(struct molt_runner *runner, molt_pid pid, struct molt_block *root)
{
    int rc, forever = -1;
    struct molt_from nobody = {0};
    runner->budget--;
    do
        rc = molt_process_offer(runner->rt, pid, root, MOLT_MESSAGE_CAST, nobody);
    while (__builtin_expect(rc == MOLT_EBUSY, 0) &&
           (rc = await_room(runner, pid, root, &forever)) == 0);
    if (rc < 0)
        molt_runner_drop(runner, root);
    return rc;
}

__attribute__((noinline)) static int send_any(molt_pid pid, void *msg)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(msg);
    struct molt_block *root;
    int rc = molt_runner_take(runner, msg, &root);
    if (rc < 0)
        return rc;
    return post(runner, pid, root);
}

/* The process @pid, if it is there and takes whatever comes; a sender seldom has
 * many receivers at once. */
static inline struct molt_process *find_target(struct molt_runner *runner, molt_pid pid)
{
    if (runner->target_pid != pid) {
        runner->target = molt_process_slot(runner->rt, pid);
        runner->target_pid = runner->target ? pid : 0;
    }
    struct molt_process *p = runner->target;
    /* Acquire: as in molt_process_find(). */
    if (!p || atomic_load_explicit(&p->pid, memory_order_acquire) != pid ||
        molt_process_status(p) & MOLT_IS_LIMITED)
        return NULL;
    return p;
}

/* Most messages have no pointers, and were made just before. */
int molt_send_pid(molt_pid pid, void *msg)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_process *p = runner ? find_target(runner, pid) : NULL;
    struct molt_block *root = p ? molt_runner_take_quick(runner, msg) : NULL;
    if (__builtin_expect(!root, 0))
        return send_any(pid, msg);
    struct molt_from nobody = {0};
    runner->budget--;
    molt_message_stamp(root, MOLT_MESSAGE_CAST, nobody, molt_pid_generation(pid), &p->owner);
    uint64_t old = molt_process_push(p, root);
    if (__builtin_expect(old == MOLT_INBOX_CLOSED, 0)) {
        molt_runner_drop(runner, root);
        return MOLT_EDEAD;
    }
    if (old == 0)
        molt_process_signal(p, MOLT_DO_MAIL);
    return 0;
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

static void free_graph(struct molt_runner *runner, struct molt_process *p, struct molt_block *root)
{
    (void)molt_message_pack(runner->rt->heap, &p->owner, root, p->state_block);
    molt_runner_drop(runner, root);
}

/* Post a call, and begin to wait for its reply. */
static int post_call(struct molt_runner *runner, molt_pid pid, const char *name,
                     struct molt_block *root, uint64_t *ret_ref)
{
    struct molt_process *p = runner->process;
    uint64_t ref = molt_wait_begin(p, MOLT_WAIT_CALL);
    if (!ref)
        return MOLT_EKILLED;
    molt_wait_note_whom(p, name, pid);
    struct molt_from from = {molt_process_pid(p), ref};
    runner->budget--;
    int rc = molt_process_offer(runner->rt, pid, root, MOLT_MESSAGE_CALL, from);
    if (rc < 0)
        molt_limit_abort(p, pid, root, ref);
    *ret_ref = ref;
    return rc;
}

/* Post the call and wait. Consumes @root. */
static int call(struct molt_runner *runner, molt_pid pid, const char *name, struct molt_block *root,
                int timeout_ms, struct molt_block **ret_root)
{
    struct molt_process *p = runner->process;
    uint64_t ref;
    int rc;
    do
        rc = post_call(runner, pid, name, root, &ref);
    while (__builtin_expect(rc == MOLT_EBUSY, 0) &&
           (rc = await_room(runner, pid, root, &timeout_ms)) == 0);
    if (rc < 0) {
        molt_runner_drop(runner, root);
        return rc;
    }
    molt_wait_for(p, ref, timeout_ms);
    return molt_wait_end(p, ret_root);
}

/* Whom to call: not oneself, one would wait for ever. */
static int find_callee(struct molt_runner *runner, const char *name, molt_pid *pid)
{
    if (name)
        *pid = molt_names_find(runner->rt, name);
    if (!*pid)
        return name ? MOLT_ENOENT : MOLT_EINVAL;
    return *pid == molt_process_pid(runner->process) ? MOLT_EINVAL : 0;
}

/* The answer, if it is of the type that the caller takes. */
static int give_answer(struct molt_runner *runner, struct molt_block *root,
                       const struct molt_type *const *tag, void **ret)
{
    const struct molt_type *type = tag ? *tag : NULL;
    if (type && root->type != type) {
        free_graph(runner, runner->process, root);
        return MOLT_ETYPE;
    }
    *ret = molt_block_payload(root);
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
    int rc = find_callee(runner, name, &pid);
    if (rc == 0)
        rc = molt_wait_check_locks(runner->process, "molt_call()");
    if (rc < 0)
        return consume(runner, msg, rc);
    struct molt_block *root;
    rc = molt_runner_take(runner, msg, &root);
    if (rc < 0)
        return rc;
    rc = call(runner, pid, name, root, timeout_ms, &root);
    return rc < 0 ? rc : give_answer(runner, root, tag, ret);
}

/* ---- requests ------------------------------------------------------------------ */

static int request(struct molt_runner *runner, molt_pid pid, struct molt_block *root,
                   struct molt_request *ret_request)
{
    struct molt_process *p = runner->process;
    struct molt_from from = {molt_process_pid(p), molt_wait_next_ref(p)};
    int rc = molt_request_open(p, from.ref, pid);
    if (rc < 0) {
        molt_runner_drop(runner, root);
        return rc;
    }
    int forever = -1;
    runner->budget--;
    do
        rc = molt_process_offer(runner->rt, pid, root, MOLT_MESSAGE_CALL, from);
    while (__builtin_expect(rc == MOLT_EBUSY, 0) &&
           (rc = await_room(runner, pid, root, &forever)) == 0);
    if (rc == 0) {
        *ret_request = (struct molt_request){.pid = from.pid, .ref = from.ref};
        return 0;
    }
    molt_request_abandon(p, from.ref);
    molt_runner_drop(runner, root);
    return rc;
}

int molt_call_async(const char *name, molt_pid pid, void *msg, struct molt_request *ret_request)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(msg);
    if (!runner->process)
        return consume(runner, msg, MOLT_ENOPROC);
    int rc = ret_request ? find_callee(runner, name, &pid) : MOLT_EINVAL;
    if (rc < 0)
        return consume(runner, msg, rc);
    struct molt_block *root;
    rc = molt_runner_take(runner, msg, &root);
    return rc < 0 ? rc : request(runner, pid, root, ret_request);
}

int molt_await_typed(const struct molt_request *request, void **ret,
                     const struct molt_type *const *tag, int timeout_ms)
{
    struct molt_runner *runner = effective_runner();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p)
        return MOLT_ENOPROC;
    if (!request || request->pid != molt_process_pid(p))
        return MOLT_EINVAL;
    int rc = molt_wait_check_locks(p, "molt_await()");
    struct molt_block *root = NULL;
    if (rc == 0)
        rc = molt_request_await(p, request->ref, timeout_ms, &root);
    return rc < 0 ? rc : give_answer(runner, root, tag, ret);
}

/* If it is the call that is being handled, nobody need remember it. */
static void note_answer(struct molt_runner *runner, const struct molt_from *from)
{
    struct molt_process *p = runner->process;
    if (!p || !p->fiber)
        return;
    struct molt_callback *cb = &p->fiber->act.callback;
    if (cb->is_call && cb->from.ref == from->ref && cb->from.pid == from->pid)
        cb->is_answered = true;
    else
        molt_process_undefer(p, *from);
}

int molt_reply(const struct molt_from *from, void *reply)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(reply);
    struct molt_block *root;
    int rc = molt_runner_take(runner, reply, &root);
    if (rc < 0)
        return rc;
    if (from)
        note_answer(runner, from);
    if (!from || !molt_process_complete(runner->rt, from->pid, from->ref, 0, root))
        molt_runner_drop(runner, root);
    return from ? 0 : MOLT_EINVAL;
}

int molt_reply_error(const struct molt_from *from, int code)
{
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return MOLT_ENOPROC;
    if (!from || code >= 0)
        return MOLT_EINVAL;
    note_answer(runner, from);
    molt_process_complete(runner->rt, from->pid, from->ref, code, NULL);
    return 0;
}

int molt_sleep(unsigned ms)
{
    struct molt_runner *runner = effective_runner();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p)
        return MOLT_ENOPROC;
    int rc = molt_wait_check_locks(p, "molt_sleep()");
    if (rc < 0)
        return rc;
    uint64_t ref = molt_wait_begin(p, MOLT_WAIT_SLEEP);
    if (!ref)
        return MOLT_EKILLED;
    molt_wait_for(p, ref, ms > INT_MAX ? INT_MAX : (int)ms);
    struct molt_block *root;
    return molt_wait_end(p, &root);
}

/* ---- processes ------------------------------------------------------------------ */

/* Who spawns many mostly spawns the same. */
static int server_id(struct molt_runtime *rt, const char *name)
{
    struct molt_runner *runner = molt_runner_here();
    if (!runner || runner->rt != rt)
        return molt_code_server_id(rt->code, name);
    const char *last = molt_code_server_name(rt->code, runner->last_server);
    if (!last || strcmp(last, name) != 0)
        runner->last_server = molt_code_server_id(rt->code, name);
    return runner->last_server;
}

int molt_runtime_spawn(struct molt_runtime *rt, const struct molt_world *world, const char *server,
                       struct molt_spawn *spawn, molt_pid *ret_pid)
{
    spawn->server_id = server_id(rt, server);
    const struct molt_server_ref *ref = molt_world_server(world, spawn->server_id);
    if (!ref)
        return MOLT_ENOENT;
    if (spawn->arg && ref->init_type && spawn->arg->type != ref->init_type)
        return MOLT_ETYPE;
    if (!spawn->limits)
        spawn->limits = &ref->desc->limits;
    if (molt_limits_check(spawn->limits) < 0)
        return MOLT_EINVAL;
    if (!molt_limits_are_any(spawn->limits))
        spawn->limits = NULL;
    return molt_process_spawn(rt, spawn, ret_pid);
}

#define SPAWN_FLAGS (MOLT_SPAWN_LINK | MOLT_SPAWN_MONITOR | MOLT_SPAWN_SPREAD)

static int check_options(const struct molt_runner *runner, const struct molt_spawn_options *options)
{
    unsigned flags = options->flags;
    if (options->size < sizeof(*options) || flags & ~SPAWN_FLAGS ||
        (flags & MOLT_SPAWN_MONITOR && !options->ret_monitor) ||
        (unsigned)options->priority > MOLT_PRIORITY_LOW ||
        (options->limits && molt_limits_check(options->limits) < 0))
        return MOLT_EINVAL;
    return flags & (MOLT_SPAWN_LINK | MOLT_SPAWN_MONITOR) && !runner->process ? MOLT_ENOPROC : 0;
}

static int spawn_checked(struct molt_runner *runner, const char *server, struct molt_block *arg,
                         const struct molt_spawn_options *options, molt_pid *ret_pid)
{
    unsigned flags = options->flags;
    struct molt_world *world = molt_runner_world(runner);
    struct molt_spawn spawn = {
        .name = options->name,
        .arg = arg,
        .parent = molt_self(),
        .priority = (unsigned char)options->priority,
        .is_spread = flags & MOLT_SPAWN_SPREAD,
        .is_linked = flags & MOLT_SPAWN_LINK,
        .ret_monitor = flags & MOLT_SPAWN_MONITOR ? options->ret_monitor : NULL,
        .limits = options->limits,
    };
    if (!server)
        return MOLT_EINVAL;
    if (!world)
        return MOLT_ENOWORLD;
    return molt_runtime_spawn(runner->rt, world, server, &spawn, ret_pid);
}

int molt_spawn_with(const char *server, void *arg, const struct molt_spawn_options *options,
                    molt_pid *ret_pid)
{
    static const struct molt_spawn_options plain = {.size = sizeof(plain)};
    struct molt_runner *runner = effective_runner();
    if (!runner)
        return refuse(arg);
    struct molt_block *root = NULL;
    int rc = arg ? molt_runner_take(runner, arg, &root) : 0;
    if (rc < 0)
        return rc;
    rc = options ? check_options(runner, options) : 0;
    if (rc == 0)
        rc = spawn_checked(runner, server, root, options ? options : &plain, ret_pid);
    if (rc < 0 && root)
        molt_runner_drop(runner, root);
    return rc;
}

int molt_spawn(const char *server, const char *name, void *arg, molt_pid *ret_pid)
{
    struct molt_spawn_options options = {.size = sizeof(options), .name = name};
    return molt_spawn_with(server, arg, &options, ret_pid);
}

int molt_async(const char *server, void *arg, struct molt_request *ret_request)
{
    struct molt_runner *runner = effective_runner();
    molt_pid pid;
    if (!runner)
        return refuse(arg);
    if (!runner->process)
        return consume(runner, arg, MOLT_ENOPROC);
    int rc = arg && ret_request ? molt_spawn(server, NULL, NULL, &pid) : MOLT_EINVAL;
    if (rc < 0)
        return arg ? consume(runner, arg, rc) : rc;
    rc = molt_call_async(NULL, pid, arg, ret_request);
    if (rc < 0)
        (void)molt_process_exit(runner->rt, pid, 0);
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

uint64_t molt_now_ms(void)
{
    return molt_clock_ms();
}
