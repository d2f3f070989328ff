/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/runtime.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "runtime/rt.h"
#include "runtime/supervisor.h"
#include "runtime/thread.h"
#include "runtime/worker.h"

#define START_WAIT_MS 5000 /* for the inits of the supervision tree */
#define STACK_DEFAULT (256 * 1024)
#define STACK_MIN (16 * 1024)
#define WORKERS_MAX 256
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

static int init_workers(struct molt_runtime *rt)
{
    unsigned n = rt->config.workers;
    rt->workers = calloc(n, sizeof(*rt->workers));
    if (!rt->workers)
        return MOLT_ENOMEM;
    for (; rt->n_workers < n; rt->n_workers++) {
        int rc = molt_worker_init(&rt->workers[rt->n_workers], rt, rt->n_workers);
        if (rc < 0)
            return rc;
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
    pthread_mutex_init(&rt->threads_lock, NULL);
    pthread_mutex_init(&rt->scan.lock, NULL);
}

static int init_parts(struct molt_runtime *rt)
{
    init_locks(rt);
    molt_process_table_init(&rt->table);
    int rc = molt_names_init(&rt->names);
    if (rc == 0)
        rc = molt_heap_new(&rt->heap);
    if (rc < 0)
        return rc;
    molt_code_join(rt->code, &rt->participant, "executor", false);
    molt_runner_init(&rt->executor, rt, &rt->participant);
    return init_workers(rt);
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

static void stop_workers(struct molt_runtime *rt)
{
    atomic_store(&rt->is_stopping, true);
    for (unsigned i = 0; i < rt->n_workers; i++)
        molt_worker_join(&rt->workers[i]);
    rt->is_started = false;
}

void molt_runtime_free(struct molt_runtime *rt)
{
    if (!rt)
        return;
    if (rt->is_started)
        molt_runtime_stop(rt, 0);
    if (rt->heap && rt->names.buckets)
        drop_processes(rt);
    for (unsigned i = 0; i < rt->n_workers; i++)
        molt_worker_fini(&rt->workers[i]);
    free(rt->workers);
    if (rt->executor.rt) {
        molt_runner_fini(&rt->executor);
        molt_code_leave(rt->code, &rt->participant);
    }
    molt_names_fini(&rt->names);
    molt_process_table_fini(&rt->table);
    molt_heap_free(rt->heap);
    pthread_mutex_destroy(&rt->scan.lock);
    pthread_mutex_destroy(&rt->threads_lock);
    pthread_cond_destroy(&rt->quiet);
    free(rt);
}

/* ---- start and stop ------------------------------------------------------------- */

static int start_root(struct molt_runtime *rt, const char *root, struct molt_error *err)
{
    /* The current world can't go while this thread announces it. */
    struct molt_world *world = molt_participant_boundary(&rt->participant, rt->current);
    molt_pid pid = 0;
    int rc = world ? molt_supervisor_start(rt, world, root, 0, 0, &pid) : MOLT_ENOWORLD;
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

/* Wait until the tree that @root starts has run its inits, so that who is told
 * of the start finds listeners listening. Children stand in later slots than
 * who spawned them, or are missed, which costs only the wait. */
static void wait_initialised(struct molt_runtime *rt)
{
    uint64_t deadline = molt_runtime_deadline(START_WAIT_MS);
    for (unsigned i = 0; i < atomic_load(&rt->table.n_slots); i++) {
        struct molt_process *p = molt_process_at(rt, i);
        pthread_mutex_lock(&p->lock);
        molt_pid pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
        bool is_in_time = true;
        while (is_in_time && pid && p->phase == MOLT_PHASE_NEW &&
               atomic_load_explicit(&p->pid, memory_order_relaxed) == pid)
            is_in_time = molt_process_watch(p, deadline);
        pthread_mutex_unlock(&p->lock);
    }
}

int molt_runtime_start(struct molt_runtime *rt, const char *root, struct molt_error *err)
{
    if (rt->is_started)
        return molt_error_set(err, MOLT_EBUSY, "the runtime runs already");
    atomic_store(&rt->is_stopping, false);
    rt->is_started = true;
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
            stop_workers(rt);
            return molt_error_set(err, rc, "can't start worker %u", i);
        }
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
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

/* Wait until @pid (0: everybody) has ended. */
static bool wait_ended(struct molt_runtime *rt, molt_pid pid, uint64_t deadline_ns)
{
    struct molt_process_table *table = &rt->table;
    struct timespec until = timespec_of(deadline_ns);
    int rc = 0;
    pthread_mutex_lock(&table->lock);
    while (rc == 0 && (pid ? molt_process_find(rt, pid) != NULL : table->n_live > 0))
        rc = pthread_cond_timedwait(&table->changed, &table->lock, &until);
    bool is_ended = pid ? !molt_process_find(rt, pid) : table->n_live == 0;
    pthread_mutex_unlock(&table->lock);
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
    stop_workers(rt);
    return is_ended ? 0 : MOLT_ETIMEDOUT;
}

/* ---- listings --------------------------------------------------------------------- */

/* Under the lock of @p. */
static void describe(const struct molt_process *p, struct molt_process_info *info)
{
    const char *server =
        p->server_id >= 0 ? molt_code_server_name(p->rt->code, p->server_id) : "supervisor";
    bool is_running = p->state == MOLT_PROCESS_RUNNING;
    /* The fiber may be looked at only while nobody runs the process. */
    bool is_suspended = !is_running && p->fiber;
    *info = (struct molt_process_info){
        .pid = atomic_load_explicit(&p->pid, memory_order_relaxed),
        .name = p->name,
        .server = server ? server : "?",
        .version = p->version,
        .world = p->world ? p->world->id : 0,
        .state =
            is_suspended && p->state != MOLT_PROCESS_CLAIMED ? MOLT_PROCESS_SUSPENDED : p->state,
        .waiting_for = p->wait.kind != MOLT_WAIT_NONE ? p->wait.what : "",
        .mailbox = p->n_mail,
        .bytes = atomic_load_explicit(&p->owner.bytes, memory_order_relaxed) + p->mail_bytes,
        .callbacks = p->n_callbacks,
        .state_type = !is_running && p->state_block ? p->state_block->type : NULL,
        .parent = p->parent,
    };
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
        pthread_mutex_lock(&p->lock);
        if (atomic_load_explicit(&p->pid, memory_order_relaxed)) {
            struct molt_process_info info;
            describe(p, &info);
            fn(user, &info);
            count++;
        }
        pthread_mutex_unlock(&p->lock);
    }
    return count;
}

int molt_runtime_kill(struct molt_runtime *rt, molt_pid pid)
{
    struct molt_process *p = molt_process_find(rt, pid);
    if (!p)
        return MOLT_EDEAD;
    pthread_mutex_lock(&p->lock);
    if (atomic_load_explicit(&p->pid, memory_order_relaxed) != pid) {
        pthread_mutex_unlock(&p->lock);
        return MOLT_EDEAD;
    }
    p->is_kill_wanted = true;
    bool is_held = p->state == MOLT_PROCESS_CLAIMED;
    molt_process_wake(p);
    pthread_mutex_unlock(&p->lock);
    /* A held process ends when the upgrade lets it go. */
    if (!is_held)
        wait_ended(rt, pid, NEVER_NS);
    return 0;
}

size_t molt_runtime_count(struct molt_runtime *rt, int server_id)
{
    size_t count = 0;
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        pthread_mutex_lock(&p->lock);
        if (atomic_load_explicit(&p->pid, memory_order_relaxed) && p->server_id == server_id)
            count++;
        pthread_mutex_unlock(&p->lock);
    }
    return count;
}

size_t molt_runtime_stragglers(struct molt_runtime *rt, const struct molt_world *world,
                               uint64_t before_world, molt_pid *ret_pids, size_t n_max)
{
    size_t count = 0;
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        pthread_mutex_lock(&p->lock);
        bool is_suspended = p->state != MOLT_PROCESS_RUNNING && p->fiber && p->world &&
                            atomic_load_explicit(&p->pid, memory_order_relaxed);
        if (is_suspended && (world ? p->world == world : p->world->id < before_world)) {
            if (count < n_max)
                ret_pids[count] = atomic_load_explicit(&p->pid, memory_order_relaxed);
            count++;
        }
        pthread_mutex_unlock(&p->lock);
    }
    return count;
}

void molt_runtime_stats(struct molt_runtime *rt, struct molt_runtime_stats *ret)
{
    *ret = (struct molt_runtime_stats){.n_workers = rt->n_workers};
    pthread_mutex_lock(&rt->table.lock);
    ret->n_processes = rt->table.n_live;
    pthread_mutex_unlock(&rt->table.lock);
    for (unsigned i = 0; i < rt->n_workers; i++) {
        struct molt_worker *w = &rt->workers[i];
        ret->n_stacks += atomic_load_explicit(&w->fibers.n_fibers, memory_order_relaxed);
        ret->callbacks += atomic_load_explicit(&w->n_callbacks, memory_order_relaxed);
        ret->messages += atomic_load_explicit(&w->n_messages, memory_order_relaxed);
    }
    ret->crashes = atomic_load_explicit(&rt->n_crashes, memory_order_relaxed);
    ret->restarts = atomic_load_explicit(&rt->n_restarts, memory_order_relaxed);
}
