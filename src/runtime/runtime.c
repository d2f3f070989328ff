/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/runtime.h"
#include "runtime/adopt.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "runtime/fiber.h"
#include "runtime/lane.h"
#include "runtime/machine.h"
#include "runtime/resolve.h"
#include "runtime/rt.h"
#include "runtime/rt_table.h"
#include "runtime/supervisor.h"
#include "runtime/thread.h"
#include "runtime/worker.h"

#define START_WAIT_MS 5000 /* for the inits of the supervision tree */
#define LOOK_WAIT_MS 100   /* for a supervisor that is at work */
#define LEAVE_MS 1000      /* for callbacks that run, after the deadline of a stop */
#define NAMED_MAX 16
#define STACK_DEFAULT (256 * 1024)
#define STACK_MIN (16 * 1024)
#define WORKERS_MAX 256
#define SPARES_DEFAULT 8
#define NEVER_NS (UINT64_C(1) << 60)

uint64_t molt_runtime_deadline(int ms)
{
    return ms < 0 ? NEVER_NS : molt_clock_ns() + (uint64_t)ms * 1000000;
}

static unsigned count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

/* ---- new and free ------------------------------------------------------------- */

static int init_lanes(struct molt_runtime *rt)
{
    unsigned n = rt->config.workers;
    rt->lanes = calloc(n, sizeof(*rt->lanes));
    if (!rt->lanes)
        return MOLT_ENOMEM;
    for (; rt->n_workers < n; rt->n_workers++) {
        int rc = molt_lane_init(&rt->lanes[rt->n_workers], rt, rt->n_workers);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int init_workers(struct molt_runtime *rt)
{
    unsigned n = rt->config.workers + rt->config.spares;
    int rc = init_lanes(rt);
    rt->workers = calloc(n, sizeof(*rt->workers));
    if (rc < 0 || !rt->workers)
        return rc < 0 ? rc : MOLT_ENOMEM;
    for (; rt->n_threads < n; rt->n_threads++) {
        struct molt_lane *lane = rt->n_threads < rt->n_workers ? &rt->lanes[rt->n_threads] : NULL;
        struct molt_worker *w = &rt->workers[rt->n_threads];
        molt_worker_init(w, rt, rt->n_threads, lane);
        if (lane) {
            lane->home = w;
            atomic_init(&lane->worker, w);
        }
    }
    return 0;
}

static void init_locks(struct molt_runtime *rt)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&rt->quiet, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&rt->quiet_lock, NULL);
    pthread_mutex_init(&rt->threads_lock, NULL);
    pthread_mutex_init(&rt->scan.lock, NULL);
}

static int init_parts(struct molt_runtime *rt)
{
    init_locks(rt);
    molt_monitor_init(&rt->monitor, rt);
    molt_process_table_init(&rt->table);
    molt_runtime_init_tables(rt);
    int rc = molt_names_init(&rt->names);
    molt_sockets_init(&rt->sockets);
    if (rc == 0)
        rc = molt_groups_init(&rt->groups);
    if (rc == 0)
        rc = molt_resolver_new(rt, &rt->resolver);
    if (rc == 0)
        rc = molt_heap_new(&rt->heap);
    if (rc < 0)
        return rc;
    molt_code_join(rt->code, &rt->participant, "executor", false);
    molt_runner_init(&rt->executor, rt, &rt->participant);
    rc = init_workers(rt);
    molt_requests_init(&rt->requests);
    return rc < 0 ? rc : molt_sends_init(rt);
}

int molt_runtime_new(const struct molt_runtime_config *config, struct molt_runtime **ret,
                     struct molt_error *err)
{
    struct molt_runtime *rt = calloc(1, sizeof(*rt));
    if (!rt)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for the runtime");
    rt->config = *config;
    rt->code = config->code;
    rt->current = molt_code_current_cell(config->code);
    if (rt->config.workers == 0)
        rt->config.workers = count_cores();
    if (rt->config.workers > WORKERS_MAX)
        rt->config.workers = WORKERS_MAX;
    if (rt->config.spares == 0)
        rt->config.spares = SPARES_DEFAULT;
    if (rt->config.spares > WORKERS_MAX)
        rt->config.spares = WORKERS_MAX;
    if (rt->config.stack_bytes == 0)
        rt->config.stack_bytes = STACK_DEFAULT;
    if (rt->config.stack_bytes < STACK_MIN)
        rt->config.stack_bytes = STACK_MIN;
    int rc = init_parts(rt);
    if (rc < 0) {
        unsigned workers = rt->config.workers;
        molt_runtime_free(rt);
        return molt_error_set(err, rc, "can't set up %u workers: %s", workers, molt_error_text(rc));
    }
    molt_runtime_catch_failed_calls();
    *ret = rt;
    return 0;
}

/* The workers are gone: whoever is left is dropped on this thread. */
static void drop_processes(struct molt_runtime *rt)
{
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        if (atomic_load_explicit(&p->pid, memory_order_relaxed))
            molt_process_destroy(p, MOLT_EKILLED);
    }
}

static void stop_workers(struct molt_runtime *rt, int timeout_ms)
{
    uint64_t deadline = molt_runtime_deadline(timeout_ms);
    molt_monitor_stop(&rt->monitor);
    atomic_store(&rt->is_stopping, true);
    for (unsigned i = 0; i < rt->n_threads; i++)
        if (!molt_worker_join(&rt->workers[i], deadline))
            rt->is_stuck = true;
    rt->is_started = false;
    if (rt->is_stuck)
        molt_runtime_log(rt, MOLT_ERR, "a callback does not return: its memory stays in use");
}

bool molt_runtime_is_stuck(const struct molt_runtime *rt)
{
    return rt->is_stuck;
}

void molt_runtime_free(struct molt_runtime *rt)
{
    if (!rt)
        return;
    if (rt->is_started)
        molt_runtime_stop(rt, 0);
    if (rt->is_stuck)
        return;
    molt_resolver_free(rt->resolver);
    if (rt->heap && rt->names.index)
        drop_processes(rt);
    for (unsigned i = 0; i < rt->n_threads; i++)
        molt_worker_fini(&rt->workers[i]);
    for (unsigned i = 0; i < rt->n_workers; i++)
        molt_lane_fini(&rt->lanes[i]);
    molt_monitor_fini(&rt->monitor);
    free(rt->workers);
    free(rt->lanes);
    if (rt->executor.rt) {
        molt_runner_fini(&rt->executor);
        molt_code_leave(rt->code, &rt->participant);
    }
    molt_sweep_fini(rt);
    molt_tables_fini(&rt->tables);
    molt_sends_fini(rt);
    molt_requests_fini(&rt->requests);
    molt_names_fini(&rt->names);
    molt_groups_fini(&rt->groups);
    molt_sockets_fini(&rt->sockets);
    molt_process_table_fini(&rt->table);
    molt_heap_free(rt->heap);
    pthread_mutex_destroy(&rt->scan.lock);
    pthread_mutex_destroy(&rt->threads_lock);
    pthread_cond_destroy(&rt->quiet);
    pthread_mutex_destroy(&rt->quiet_lock);
    free(rt);
}

/* ---- start and stop ------------------------------------------------------------- */

static int start_root(struct molt_runtime *rt, const char *root, struct molt_error *err)
{
    /* The current world can't go while this thread announces it. */
    struct molt_world *world = molt_participant_boundary(&rt->participant, rt->current);
    molt_pid pid = 0;
    int rc = world ? molt_supervisor_start(rt, world, root, root, 0, 0, &pid) : MOLT_ENOWORLD;
    /* Set before the supervisor can have ended: it ends through the same lock. */
    atomic_store(&rt->root, pid);
    molt_participant_offline(&rt->participant);
    if (rc < 0)
        return molt_error_set(err, rc,
                              "no supervisor '%s' in the current world: %s; define it with "
                              "MOLT_SUPERVISOR(%s, ...)",
                              root, molt_error_text(rc), root);
    return 0;
}

static bool has_begun(struct molt_process *p, void *user)
{
    const molt_pid *root = user;
    return atomic_load_explicit(&p->rt->is_root_ready, memory_order_acquire) ||
           molt_process_pid(p) != *root;
}

/* Wait until the tree below the root has run its inits, so that who is told of
 * the start finds listeners listening. */
static void wait_initialised(struct molt_runtime *rt)
{
    molt_pid root = atomic_load(&rt->root);
    struct molt_process *p = molt_process_find(rt, root);
    if (p)
        (void)molt_process_watch(p, has_begun, &root, molt_runtime_deadline(START_WAIT_MS));
    /* One that couldn't start its children has gone, and is about to say so. */
    pthread_mutex_lock(&rt->quiet_lock);
    while (!molt_process_find(rt, root) && !atomic_load(&rt->is_root_over))
        (void)molt_runtime_wait_quiet(rt, molt_runtime_deadline(START_WAIT_MS));
    pthread_mutex_unlock(&rt->quiet_lock);
}

/* What the machine doesn't let us do is said once, and done without. */
static void install_handlers(struct molt_runtime *rt)
{
    struct molt_error err;
    if (rt->config.is_uncontained)
        return;
    rt->can_preempt = molt_preempt_install(&err) == 0;
    if (!rt->can_preempt)
        molt_runtime_log(rt, MOLT_WARN, "callbacks can't be preempted: %s", err.text);
    rt->can_contain = molt_fault_install(&err) == 0;
    if (!rt->can_contain)
        molt_runtime_log(rt, MOLT_WARN, "crashes can't be contained: %s", err.text);
}

int molt_runtime_start(struct molt_runtime *rt, const char *root, struct molt_error *err)
{
    if (rt->is_started)
        return molt_error_set(err, MOLT_EBUSY, "the runtime runs already");
    atomic_store(&rt->is_stopping, false);
    rt->can_spin = rt->n_workers > 1 && count_cores() > 1;
    install_handlers(rt);
    rt->is_started = true;
    atomic_store(&rt->is_root_ready, false);
    atomic_store(&rt->is_root_over, false);
    /* The root first: the workers find it in a queue, so nothing that it does
     * can come before its pid is known. */
    int rc = root ? start_root(rt, root, err) : 0;
    if (rc < 0) {
        rt->is_started = false;
        return rc;
    }
    for (unsigned i = 0; i < rt->n_workers; i++) {
        rc = molt_worker_start(&rt->workers[i]);
        if (rc < 0) {
            stop_workers(rt, -1);
            return molt_error_set(err, rc, "can't start worker %u", i);
        }
    }
    if (molt_monitor_start(&rt->monitor) < 0) {
        stop_workers(rt, -1);
        return molt_error_set(err, MOLT_ENOMEM, "can't start the monitor");
    }
    if (root)
        wait_initialised(rt);
    return 0;
}

void molt_runtime_ended(struct molt_runtime *rt, molt_pid pid, int reason)
{
    /* Not when what is left is dropped with the runtime. */
    if (atomic_load(&rt->root) != pid || !rt->is_started)
        return;
    molt_runtime_log(rt, MOLT_INFO, "the root supervisor ended: %s", molt_error_text(reason));
    if (rt->config.on_root_exit)
        rt->config.on_root_exit(rt->config.config_user, reason);
    pthread_mutex_lock(&rt->quiet_lock);
    atomic_store(&rt->is_root_over, true);
    pthread_cond_broadcast(&rt->quiet);
    pthread_mutex_unlock(&rt->quiet_lock);
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

/* Under the table's lock. */
static bool has_ended(struct molt_runtime *rt, molt_pid pid)
{
    return pid ? !molt_process_find(rt, pid) : molt_process_table_live(&rt->table) == 0;
}

/* Wait until @pid (0: everybody) has ended. */
static bool wait_ended(struct molt_runtime *rt, molt_pid pid, uint64_t deadline_ns)
{
    struct molt_process_table *table = &rt->table;
    struct timespec until = timespec_of(deadline_ns);
    int rc = 0;
    atomic_fetch_add(&table->n_waiting, 1);
    molt_process_table_fence(table);
    pthread_mutex_lock(&table->lock);
    while (rc == 0 && !has_ended(rt, pid))
        rc = pthread_cond_timedwait(&table->changed, &table->lock, &until);
    bool is_ended = has_ended(rt, pid);
    pthread_mutex_unlock(&table->lock);
    atomic_fetch_sub(&table->n_waiting, 1);
    return is_ended;
}

static void ask_all(struct molt_runtime *rt)
{
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load_explicit(&p->pid, memory_order_acquire);
        if (pid)
            molt_process_exit(rt, pid, MOLT_ESHUTDOWN);
    }
}

/* The first few by name. */
static void name_those_left(struct molt_runtime *rt)
{
    unsigned n = atomic_load(&rt->table.n_slots), n_left = 0;
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        char label[128];
        if (!molt_process_pid(p) || n_left++ >= NAMED_MAX)
            continue;
        molt_process_label(p, label, sizeof(label));
        molt_runtime_log(rt, MOLT_WARN, "%s did not end in time and is dropped", label);
    }
    if (n_left > NAMED_MAX)
        molt_runtime_log(rt, MOLT_WARN, "... and %u more", n_left - NAMED_MAX);
}

int molt_runtime_stop(struct molt_runtime *rt, int timeout_ms)
{
    if (!rt->is_started)
        return 0;
    uint64_t deadline = molt_runtime_deadline(timeout_ms);
    molt_pid root = atomic_load(&rt->root);
    bool is_ended = true;
    if (root && molt_process_exit(rt, root, MOLT_ESHUTDOWN) == 0)
        is_ended = wait_ended(rt, root, deadline);
    if (is_ended)
        ask_all(rt);
    is_ended = wait_ended(rt, 0, deadline);
    if (!is_ended)
        name_those_left(rt);
    stop_workers(rt, LEAVE_MS);
    return is_ended ? 0 : MOLT_ETIMEDOUT;
}

/* ---- listings --------------------------------------------------------------------- */

/* What may be looked at while somebody runs @p. */
static void describe(struct molt_process *p, struct molt_process_info *info)
{
    static const enum molt_process_state states[] = {
        [MOLT_STATE_IDLE] = MOLT_PROCESS_IDLE,
        [MOLT_STATE_QUEUED] = MOLT_PROCESS_QUEUED,
        [MOLT_STATE_RUNNING] = MOLT_PROCESS_RUNNING,
        [MOLT_STATE_CLAIMED] = MOLT_PROCESS_CLAIMED,
    };
    unsigned status = molt_process_status(p);
    unsigned state = status & MOLT_STATE_MASK;
    const char *server =
        p->server_id >= 0 ? molt_code_server_name(p->rt->code, p->server_id) : "supervisor";
    *info = (struct molt_process_info){
        .pid = molt_process_pid(p),
        .server = server ? server : "?",
        .version = atomic_load_explicit(&p->version, memory_order_relaxed),
        .state = status & MOLT_IS_SUSPENDED && state != MOLT_STATE_CLAIMED ? MOLT_PROCESS_SUSPENDED
                                                                           : states[state],
        .mailbox = molt_process_mailbox(p),
        .bytes = atomic_load_explicit(&p->owner.bytes, memory_order_relaxed),
        .callbacks = atomic_load_explicit(&p->n_callbacks, memory_order_relaxed),
        .parent = p->parent,
    };
}

static bool add_bytes(void *user, const struct molt_block *root)
{
    for (const struct molt_block *b = root; b; b = molt_message_next(root, b))
        *(size_t *)user += molt_block_bytes(b);
    return true;
}

/* What may be looked at while nobody runs it. */
static void describe_claimed(struct molt_process *p, struct molt_process_info *info, char *wait,
                             size_t size)
{
    const struct molt_world *world = atomic_load_explicit(&p->world, memory_order_relaxed);
    info->world = p->fiber && world ? world->id : 0;
    const struct molt_world *behind = molt_adopt_behind(p);
    info->behind = behind ? behind->id : 0;
    info->state_type = p->state_block ? p->state_block->type : NULL;
    for (const struct molt_block *m = p->mail; m; m = molt_message_after(m))
        (void)add_bytes(&info->bytes, m);
    (void)molt_machine_each(p, add_bytes, &info->bytes);
    molt_process_describe_wait(p, wait, size);
    molt_machine_describe(p, wait, size);
    if (behind && !wait[0])
        snprintf(wait, size, "conversion, in world %llu", (unsigned long long)behind->id);
}

int molt_runtime_each_process(struct molt_runtime *rt,
                              void (*fn)(void *user, const struct molt_process_info *), void *user)
{
    unsigned n = atomic_load(&rt->table.n_slots);
    int count = 0;
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        if (!atomic_load_explicit(&p->pid, memory_order_acquire))
            continue;
        struct molt_process_info info;
        char name[MOLT_NAME_MAX] = "", wait[2 * MOLT_NAME_MAX + 32] = "";
        describe(p, &info);
        if (molt_process_claim(p)) {
            describe_claimed(p, &info, wait, sizeof(wait));
            molt_process_leave(p, 0, 0);
        }
        molt_names_of(rt, p, name, sizeof(name));
        info.name = name;
        info.waiting_for = wait;
        if (!info.pid || molt_process_pid(p) != info.pid)
            continue; /* it has ended */
        fn(user, &info);
        count++;
    }
    return count;
}

int molt_runtime_each_child(struct molt_runtime *rt, molt_runtime_child_fn *fn, void *user)
{
    unsigned n = atomic_load(&rt->table.n_slots);
    int count = 0;
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = molt_process_pid(p);
        if (!pid || p->server_id >= 0 ||
            !molt_process_claim_wait(p, pid, molt_runtime_deadline(LOOK_WAIT_MS)))
            continue;
        count += molt_supervisor_each(p, fn, user);
        molt_process_leave(p, 0, 0);
    }
    return count;
}

int molt_runtime_kill(struct molt_runtime *rt, molt_pid pid)
{
    int rc = molt_process_kill(rt, pid);
    struct molt_process *p = rc == 0 ? molt_process_find(rt, pid) : NULL;
    if (rc < 0)
        return rc;
    if (p)
        wait_ended(rt, pid, NEVER_NS);
    return 0;
}

size_t molt_runtime_count(struct molt_runtime *rt, int server_id)
{
    size_t count = 0;
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        if (atomic_load(&p->pid) && p->server_id == server_id)
            count++;
    }
    return count;
}

/* Whether the suspended callback of @p holds @world, or one before @before. */
static bool is_straggler(struct molt_process *p, const struct molt_world *world, uint64_t before)
{
    if (!(molt_process_status(p) & MOLT_IS_SUSPENDED) || !molt_process_claim(p))
        return false;
    const struct molt_world *mine = atomic_load_explicit(&p->world, memory_order_relaxed);
    bool is = p->fiber && mine && (world ? mine == world : mine->id < before);
    molt_process_leave(p, 0, 0);
    return is;
}

size_t molt_runtime_stragglers(struct molt_runtime *rt, const struct molt_world *world,
                               uint64_t before_world, molt_pid *ret_pids, size_t n_max)
{
    size_t count = 0;
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load(&p->pid);
        if (!pid || !is_straggler(p, world, before_world))
            continue;
        if (count < n_max)
            ret_pids[count] = pid;
        count++;
    }
    return count;
}

void molt_runtime_stats(struct molt_runtime *rt, struct molt_runtime_stats *ret)
{
    *ret = (struct molt_runtime_stats){.n_workers = rt->n_workers};
    pthread_mutex_lock(&rt->table.lock);
    ret->n_processes = molt_process_table_live(&rt->table);
    pthread_mutex_unlock(&rt->table.lock);
    ret->n_spares = atomic_load_explicit(&rt->n_lanes_away, memory_order_relaxed);
    ret->n_spares_max = rt->n_threads - rt->n_workers;
    ret->preempted = atomic_load_explicit(&rt->n_preempted, memory_order_relaxed);
    ret->handovers = atomic_load_explicit(&rt->n_handovers, memory_order_relaxed);
    ret->stack_bytes = rt->config.stack_bytes;
    ret->n_behind = atomic_load_explicit(&rt->sweep.n_behind, memory_order_relaxed);
    if (rt->sweep.is_on)
        ret->n_unswept = atomic_load(&rt->table.n_slots) - rt->sweep.next;
    for (unsigned i = 0; i < rt->n_threads; i++) {
        struct molt_worker *w = &rt->workers[i];
        size_t deepest = molt_fiber_measure(&w->fibers);
        if (deepest > ret->stack_deepest)
            ret->stack_deepest = deepest;
        ret->n_stacks += atomic_load_explicit(&w->fibers.n_fibers, memory_order_relaxed);
        ret->callbacks += atomic_load_explicit(&w->n_callbacks, memory_order_relaxed);
        ret->messages += atomic_load_explicit(&w->n_messages, memory_order_relaxed);
    }
    ret->crashes = atomic_load_explicit(&rt->n_crashes, memory_order_relaxed);
    ret->restarts = atomic_load_explicit(&rt->n_restarts, memory_order_relaxed);
}
