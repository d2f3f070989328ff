/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/fiber.h"
#include "runtime/rt.h"
#include "runtime/supervisor.h"
#include "runtime/worker.h"

/* ---- table ---------------------------------------------------------------- */

int molt_process_table_init(struct molt_process_table *table)
{
    pthread_mutex_init(&table->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&table->changed, &attr);
    pthread_condattr_destroy(&attr);
    molt_list_init(&table->free);
    return 0;
}

void molt_process_table_fini(struct molt_process_table *table)
{
    for (unsigned i = 0; i < MOLT_SEGMENTS_MAX; i++) {
        struct molt_process *segment =
            atomic_load_explicit(&table->segments[i], memory_order_relaxed);
        for (unsigned k = 0; segment && k < MOLT_SEGMENT_SLOTS; k++)
            pthread_mutex_destroy(&segment[k].lock);
        free(segment);
    }
    pthread_cond_destroy(&table->changed);
    pthread_mutex_destroy(&table->lock);
}

struct molt_process *molt_process_at(struct molt_runtime *rt, unsigned index)
{
    /* Acquire: pairs with the release store of grow(). */
    struct molt_process *segment =
        atomic_load_explicit(&rt->table.segments[index / MOLT_SEGMENT_SLOTS], memory_order_acquire);
    return &segment[index % MOLT_SEGMENT_SLOTS];
}

struct molt_process *molt_process_find(struct molt_runtime *rt, molt_pid pid)
{
    unsigned number = pid & ((1u << MOLT_SLOT_BITS) - 1);
    if (number == 0 || number > atomic_load_explicit(&rt->table.n_slots, memory_order_acquire))
        return NULL;
    struct molt_process *p = molt_process_at(rt, number - 1);
    return atomic_load_explicit(&p->pid, memory_order_acquire) == pid ? p : NULL;
}

static void init_slot(struct molt_process *p, struct molt_runtime *rt, uint32_t slot)
{
    p->rt = rt;
    p->slot = slot;
    p->fd = -1;
    p->timeout_timer.is_timeout = true;
    pthread_mutex_init(&p->lock, NULL);
    molt_list_init(&p->free_link);
    molt_list_init(&p->mailbox);
    molt_list_init(&p->calls);
    molt_list_init(&p->call_link);
    molt_list_init(&p->run_link);
    molt_list_init(&p->arrived);
    molt_list_init(&p->wait.reply);
    molt_owner_init(&p->owner, NULL);
    molt_owner_init(&p->prepared_owner, NULL);
}

/* Under the table's lock. */
static int grow(struct molt_runtime *rt)
{
    struct molt_process_table *table = &rt->table;
    unsigned n = atomic_load_explicit(&table->n_slots, memory_order_relaxed);
    if (n / MOLT_SEGMENT_SLOTS + 1 >= MOLT_SEGMENTS_MAX)
        return MOLT_ELIMIT;
    struct molt_process *segment = calloc(MOLT_SEGMENT_SLOTS, sizeof(*segment));
    if (!segment)
        return MOLT_ENOMEM;
    for (unsigned i = 0; i < MOLT_SEGMENT_SLOTS; i++) {
        init_slot(&segment[i], rt, n + i);
        molt_list_append(&table->free, &segment[i].free_link);
    }
    atomic_store_explicit(&table->segments[n / MOLT_SEGMENT_SLOTS], segment, memory_order_release);
    /* Seq_cst: pairs with the executor, which raises a flag in molt_runtime.held
     * and then reads n_slots; a spawner does the reverse. */
    atomic_store(&table->n_slots, n + MOLT_SEGMENT_SLOTS);
    return 0;
}

static int take_slot(struct molt_runtime *rt, struct molt_process **ret)
{
    struct molt_process_table *table = &rt->table;
    int rc = 0;
    pthread_mutex_lock(&table->lock);
    if (molt_list_is_empty(&table->free))
        rc = grow(rt);
    if (rc == 0) {
        *ret = molt_container_of(table->free.next, struct molt_process, free_link);
        molt_list_unlink(&(*ret)->free_link);
        table->n_live++;
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}

static void give_slot(struct molt_process *p)
{
    struct molt_process_table *table = &p->rt->table;
    pthread_mutex_lock(&table->lock);
    p->generation++;
    p->free_link.prev = &table->free;
    p->free_link.next = table->free.next;
    table->free.next->prev = &p->free_link;
    table->free.next = &p->free_link;
    table->n_live--;
    pthread_cond_broadcast(&table->changed);
    pthread_mutex_unlock(&table->lock);
}

/* ---- events --------------------------------------------------------------- */

bool molt_process_has_work(const struct molt_process *p)
{
    if (p->is_kill_wanted)
        return true;
    if (p->fiber)
        return p->wait.is_done;
    return p->phase == MOLT_PHASE_NEW || (p->phase == MOLT_PHASE_ENDING && !p->native) ||
           p->is_exit_wanted || p->ready || p->is_timeout_due || p->n_mail > 0;
}

void molt_process_wake(struct molt_process *p)
{
    if (p->state != MOLT_PROCESS_IDLE || !molt_process_has_work(p))
        return;
    p->state = MOLT_PROCESS_QUEUED;
    if (!p->is_in_queue) {
        p->is_in_queue = true;
        molt_worker_push(p->worker, p);
    }
}

void molt_process_settle(struct molt_process *p)
{
    if (p->is_claim_wanted) {
        p->is_claim_wanted = false;
        p->state = MOLT_PROCESS_CLAIMED;
        pthread_cond_broadcast(&p->rt->quiet);
        return;
    }
    p->state = MOLT_PROCESS_IDLE;
    if (p->is_watched)
        pthread_cond_broadcast(&p->rt->quiet);
    molt_process_wake(p);
}

/* Lock @pid's slot if it is still that process. */
static struct molt_process *find_and_lock(struct molt_runtime *rt, molt_pid pid)
{
    struct molt_process *p = molt_process_find(rt, pid);
    if (!p)
        return NULL;
    pthread_mutex_lock(&p->lock);
    if (atomic_load_explicit(&p->pid, memory_order_relaxed) == pid)
        return p;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int molt_process_deliver(struct molt_runtime *rt, molt_pid pid, struct molt_message *message,
                         struct molt_process *caller)
{
    struct molt_process *p = find_and_lock(rt, pid);
    if (!p)
        return MOLT_EDEAD;
    molt_list_append(&p->mailbox, &message->link);
    p->n_mail++;
    p->mail_bytes += message->bytes;
    if (caller) {
        caller->call_server = p;
        molt_list_append(&p->calls, &caller->call_link);
    }
    molt_process_wake(p);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

bool molt_process_complete(struct molt_runtime *rt, molt_pid pid, uint64_t ref, int rc,
                           struct molt_cargo *graph)
{
    struct molt_process *p = find_and_lock(rt, pid);
    if (!p)
        return false;
    bool is_awaited = p->wait.kind != MOLT_WAIT_NONE && p->wait.ref == ref && !p->wait.is_done;
    if (is_awaited) {
        p->wait.is_done = true;
        p->wait.rc = rc;
        if (graph) {
            p->wait.root = graph->root;
            p->wait.bytes = atomic_load_explicit(&graph->transit.bytes, memory_order_relaxed);
            molt_cargo_give(graph, &p->owner, &p->wait.reply);
        }
        molt_process_wake(p);
    }
    pthread_mutex_unlock(&p->lock);
    return is_awaited;
}

int molt_process_exit(struct molt_runtime *rt, molt_pid pid, int reason)
{
    struct molt_process *p = find_and_lock(rt, pid);
    if (!p)
        return MOLT_EDEAD;
    if (!p->is_exit_wanted && p->phase != MOLT_PHASE_ENDING) {
        p->is_exit_wanted = true;
        p->exit_reason = reason;
        if (p->wait.kind != MOLT_WAIT_NONE && !p->wait.is_done) {
            p->wait.is_done = true;
            p->wait.rc = MOLT_EKILLED;
        }
        molt_process_wake(p);
    }
    pthread_mutex_unlock(&p->lock);
    return 0;
}

void molt_process_label_locked(const struct molt_process *p, char *buf, size_t size)
{
    const char *server =
        p->server_id >= 0 ? molt_code_server_name(p->rt->code, p->server_id) : "supervisor";
    molt_pid pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
    if (p->name[0])
        snprintf(buf, size, "process %llu '%s'", (unsigned long long)pid, p->name);
    else
        snprintf(buf, size, "process %llu (%s)", (unsigned long long)pid, server ? server : "?");
}

void molt_process_label(struct molt_process *p, char *buf, size_t size)
{
    pthread_mutex_lock(&p->lock);
    molt_process_label_locked(p, buf, size);
    pthread_mutex_unlock(&p->lock);
}

/* ---- spawn ------------------------------------------------------------------ */

static void reset(struct molt_process *p, const struct molt_spawn *spawn)
{
    struct molt_runtime *rt = p->rt;
    p->phase = MOLT_PHASE_NEW;
    p->is_kill_wanted = p->is_exit_wanted = p->is_timeout_due = false;
    p->is_failed = false;
    p->exit_reason = 0;
    p->ready = 0;
    p->n_callbacks = 0;
    p->n_locks = 0;
    p->server_id = spawn->server_id;
    p->native = spawn->native;
    p->native_state = spawn->native_state;
    p->parent = spawn->parent;
    p->supervisor = spawn->supervisor;
    unsigned turn = atomic_fetch_add_explicit(&rt->next_worker, 1, memory_order_relaxed);
    p->worker = molt_worker_at(rt, turn % rt->n_workers);
    atomic_store_explicit(&p->owner.bytes, 0, memory_order_relaxed);
}

/* Make room for what must not fail later: the argument's message and the word
 * to the supervisor. */
static int prepare_messages(const struct molt_spawn *spawn, struct molt_message **ret_arg,
                            struct molt_message **ret_exit)
{
    *ret_arg = spawn->arg ? molt_message_new(MOLT_MESSAGE_CAST) : NULL;
    *ret_exit = spawn->supervisor ? molt_message_new(MOLT_MESSAGE_CHILD_EXIT) : NULL;
    if ((*ret_arg || !spawn->arg) && (*ret_exit || !spawn->supervisor))
        return 0;
    free(*ret_arg);
    free(*ret_exit);
    return MOLT_ENOMEM;
}

static void give_arg(struct molt_process *p, struct molt_cargo *graph, struct molt_message *message)
{
    message->root = graph->root;
    message->bytes = atomic_load_explicit(&graph->transit.bytes, memory_order_relaxed);
    molt_cargo_give(graph, &p->owner, &message->blocks);
}

/* The process becomes visible, but as if it were running. */
static molt_pid begin(struct molt_process *p, const struct molt_spawn *spawn)
{
    pthread_mutex_lock(&p->lock);
    reset(p, spawn);
    p->state = MOLT_PROCESS_RUNNING;
    molt_pid pid = (molt_pid)p->generation << MOLT_SLOT_BITS | (p->slot + 1);
    atomic_store_explicit(&p->pid, pid, memory_order_release);
    pthread_mutex_unlock(&p->lock);
    return pid;
}

/* From here on the worker may run it, unless its server is held. */
static void publish(struct molt_process *p)
{
    pthread_mutex_lock(&p->lock);
    /* Seq_cst: see grow(). */
    if (p->server_id >= 0 && atomic_load(&p->rt->held[p->server_id]) && !p->is_claim_wanted) {
        p->is_held = true;
        p->state = MOLT_PROCESS_CLAIMED;
    } else {
        molt_process_settle(p);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- end -------------------------------------------------------------------- */

static void leave_stack(struct molt_process *p)
{
    if (p->fiber)
        molt_fiber_abandon(&p->worker->fibers, p->fiber);
    if (p->is_visiting)
        molt_participant_return(&p->worker->participant);
    if (p->is_holding_world)
        molt_world_release(p->world);
    p->is_visiting = p->is_holding_world = false;
}

/* Nobody gets an answer from this process any more. One caller at a time,
 * because two process locks are never held together. */
static void fail_callers(struct molt_process *p)
{
    for (;;) {
        pthread_mutex_lock(&p->lock);
        if (molt_list_is_empty(&p->calls)) {
            pthread_mutex_unlock(&p->lock);
            return;
        }
        struct molt_process *caller =
            molt_container_of(p->calls.next, struct molt_process, call_link);
        molt_list_unlink(&caller->call_link);
        /* The caller can't end this wait without p's lock. */
        molt_pid pid = atomic_load_explicit(&caller->pid, memory_order_relaxed);
        uint64_t ref = caller->wait.ref;
        pthread_mutex_unlock(&p->lock);
        molt_process_complete(p->rt, pid, ref, MOLT_EDEAD, NULL);
    }
}

static void drop_mail(struct molt_process *p, struct molt_list *mail,
                      struct molt_block_cache *cache)
{
    molt_list_each (node, tmp, mail) {
        struct molt_message *m = molt_container_of(node, struct molt_message, link);
        molt_list_unlink(node);
        if (m->kind == MOLT_MESSAGE_CALL)
            molt_process_complete(p->rt, m->from.pid, m->from.ref, MOLT_EDEAD, NULL);
        molt_message_free(p->rt->heap, cache, m);
    }
}

static void drop_blocks(struct molt_process *p)
{
    struct molt_heap *heap = p->rt->heap;
    struct molt_block_cache *cache = &p->worker->runner.cache;
    molt_block_drop_list(heap, cache, &p->wait.reply);
    molt_block_drop_list(heap, cache, &p->arrived);
    molt_block_drop_list(heap, cache, &p->owner.blocks);
    molt_block_drop_list(heap, cache, &p->prepared_owner.blocks);
    if (p->arg)
        molt_message_free(heap, cache, p->arg);
    if (p->callback.message)
        molt_message_free(heap, cache, p->callback.message);
    p->callback = (struct molt_callback){0};
    if (p->native)
        molt_supervisor_free(p->native_state);
    p->native = NULL;
    p->native_state = NULL;
    p->arg = NULL;
    p->state_block = p->prepared = NULL;
    free(p->prepared_frees);
    p->prepared_frees = NULL;
    p->n_prepared_frees = 0;
}

static void tell_supervisor(struct molt_process *p, molt_pid pid, int reason)
{
    struct molt_message *m = p->exit_message;
    p->exit_message = NULL;
    if (!m)
        return;
    m->from.pid = pid;
    m->reason = reason;
    if (molt_process_deliver(p->rt, p->supervisor, m, NULL) < 0)
        free(m);
}

/* No longer findable; what waits for it is taken along. */
static molt_pid retire(struct molt_process *p, struct molt_list *mail)
{
    pthread_mutex_lock(&p->lock);
    molt_pid pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
    atomic_store_explicit(&p->pid, 0, memory_order_release);
    molt_list_splice(mail, &p->mailbox);
    p->n_mail = p->mail_bytes = 0;
    p->wait.kind = MOLT_WAIT_NONE;
    p->world = NULL;
    p->version = NULL;
    p->fiber = NULL;
    p->is_claim_wanted = p->is_held = false;
    p->state = MOLT_PROCESS_IDLE;
    pthread_cond_broadcast(&p->rt->quiet);
    pthread_mutex_unlock(&p->lock);
    return pid;
}

void molt_process_forget_call(struct molt_process *p)
{
    struct molt_process *server = p->call_server;
    if (!server)
        return;
    pthread_mutex_lock(&server->lock);
    molt_list_unlink(&p->call_link);
    p->call_server = NULL;
    pthread_mutex_unlock(&server->lock);
}

void molt_process_destroy(struct molt_process *p, int reason)
{
    struct molt_list mail;
    molt_list_init(&mail);
    leave_stack(p);
    molt_process_forget_call(p);
    molt_timer_cancel(&p->worker->timers, &p->wait_timer);
    molt_timer_cancel(&p->worker->timers, &p->timeout_timer);
    molt_worker_detach(p->worker, p);
    molt_pid pid = retire(p, &mail);
    molt_names_forget(p->rt, p);
    fail_callers(p);
    drop_mail(p, &mail, &p->worker->runner.cache);
    drop_blocks(p);
    tell_supervisor(p, pid, reason);
    molt_runtime_ended(p->rt, pid, reason);
    give_slot(p);
}

/* ---- spawn, continued ------------------------------------------------------- */

/* A process that never was: its name is taken. Who guessed its pid is told. */
static void release_slot(struct molt_process *p)
{
    struct molt_list mail;
    molt_list_init(&mail);
    retire(p, &mail);
    fail_callers(p);
    drop_mail(p, &mail, &molt_runner_here()->cache);
    give_slot(p);
}

int molt_process_spawn(struct molt_runtime *rt, const struct molt_spawn *spawn, molt_pid *ret_pid)
{
    struct molt_message *arg, *exit_message;
    int rc = prepare_messages(spawn, &arg, &exit_message);
    if (rc < 0)
        return rc;
    struct molt_process *p;
    rc = take_slot(rt, &p);
    if (rc < 0)
        goto fail_messages;
    molt_pid pid = begin(p, spawn);
    if (spawn->name && (rc = molt_names_add(rt, spawn->name, pid)) < 0)
        goto fail_slot;
    if (arg)
        give_arg(p, spawn->arg, arg);
    p->arg = arg;
    p->exit_message = exit_message;
    if (ret_pid)
        *ret_pid = pid;
    publish(p);
    return 0;

fail_slot:
    release_slot(p);
fail_messages:
    free(arg);
    free(exit_message);
    return rc;
}

/* ---- claims ----------------------------------------------------------------- */

static bool wait_quiet(struct molt_process *p, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                             .tv_nsec = (long)(deadline_ns % 1000000000)};
    return pthread_cond_timedwait(&p->rt->quiet, &p->lock, &until) == 0;
}

bool molt_process_claim(struct molt_process *p)
{
    if (p->state != MOLT_PROCESS_IDLE && p->state != MOLT_PROCESS_QUEUED)
        return false;
    p->state = MOLT_PROCESS_CLAIMED;
    return true;
}

bool molt_process_claim_wait(struct molt_process *p, molt_pid pid, uint64_t deadline_ns)
{
    for (;;) {
        if (atomic_load_explicit(&p->pid, memory_order_relaxed) != pid)
            return false;
        /* Handed over by molt_process_settle(). */
        if (p->state == MOLT_PROCESS_CLAIMED || molt_process_claim(p))
            return true;
        p->is_claim_wanted = true;
        if (!wait_quiet(p, deadline_ns) && p->state != MOLT_PROCESS_CLAIMED) {
            p->is_claim_wanted = false;
            return false;
        }
    }
}

void molt_process_unclaim(struct molt_process *p)
{
    p->is_held = false;
    p->state = MOLT_PROCESS_IDLE;
    molt_process_wake(p);
}

bool molt_process_watch(struct molt_process *p, uint64_t deadline_ns)
{
    p->is_watched = true;
    bool is_changed = wait_quiet(p, deadline_ns);
    p->is_watched = false;
    return is_changed;
}
