/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Conversions: new states beside the old ones, all or nothing.
 *
 * | step      | processes of the listed servers | others                     |
 * |-----------|---------------------------------|----------------------------|
 * | prepare   | claimed one by one, let go      | not touched                |
 * | hold      | claimed, all at once            | mailboxes are looked at    |
 * | adopt     | state swapped, let go           | not touched                |
 * | unprepare | prepared state dropped, let go  | not touched                |
 *
 * A change function gets the old state as it is and makes the new one on the
 * side: what it allocates belongs to the process's prepared owner, what it
 * frees is only noted. So dropping the prepared owner's blocks undoes it.
 * The new state takes over the old one's pointers by value; adopting frees the
 * old root block alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/rt.h"
#include "runtime/thread.h"

/* Longer than that nobody is held because somebody else computes. */
#define CLAIM_MS 20

typedef int change_fn(const void *old, void *new);

/* Why a hold can't be had now. */
struct blocker {
    struct molt_process *process; /* NULL: none */
    molt_pid pid;
    const struct molt_type *gone; /* in its mailbox; NULL: it is in a callback */
    char text[256];
};

static size_t listed(const struct molt_conversion *conv, int server_id)
{
    size_t i = 0;
    while (i < conv->n_servers && conv->server_ids[i] != server_id)
        i++;
    return i;
}

/* ---- one state --------------------------------------------------------------- */

static void drop_prepared(struct molt_runtime *rt, struct molt_process *p)
{
    molt_block_drop_list(rt->heap, &rt->executor.cache, &p->prepared_owner.blocks);
    atomic_store_explicit(&p->prepared_owner.bytes, 0, memory_order_relaxed);
    p->prepared = NULL;
    free(p->prepared_frees);
    p->prepared_frees = NULL;
    p->n_prepared_frees = 0;
}

/* Run @fn in @world on this thread, as @p. */
static int run_change(struct molt_runtime *rt, struct molt_process *p, struct molt_world *world,
                      change_fn *fn)
{
    struct molt_runner *before = molt_runner_here();
    rt->executor.process = p;
    rt->executor.is_converting = true;
    rt->executor.is_failed = false;
    molt_runner_set(&rt->executor);
    molt_participant_visit(&rt->participant, world);
    int rc = fn(molt_block_payload(p->state_block), molt_block_payload(p->prepared));
    /* Back to where this thread was: the executor may be a registered one. */
    molt_participant_return(before ? before->participant : &rt->participant);
    molt_runner_set(before);
    rt->executor.process = NULL;
    rt->executor.is_converting = false;
    return rt->executor.is_failed ? MOLT_EUNDEF : rc;
}

static int fail_change(struct molt_process *p, const struct molt_server_ref *ref, int rc,
                       struct molt_error *err)
{
    char label[128], version[96];
    molt_process_label(p, label, sizeof(label));
    molt_version_print(ref->version, version, sizeof(version));
    return molt_error_set(err, MOLT_ECHANGE,
                          "%s: the MOLT_CHANGE of server '%s' in %s returned %d (%s); every "
                          "process goes on with its old state",
                          label, ref->desc->name, version, rc, molt_error_text(rc));
}

/* Make the new state of @p, which is claimed and has one to convert. */
static int convert(struct molt_runtime *rt, struct molt_process *p, struct molt_world *world,
                   const struct molt_server_ref *ref, size_t change, struct molt_error *err)
{
    if (change >= ref->n_changes || !ref->desc->change[change].fn ||
        ref->change_types[change]->shape != p->state_block->type->shape) {
        char label[128];
        molt_process_label(p, label, sizeof(label));
        return molt_error_set(err, MOLT_ECHANGE,
                              "%s has a state of layout '%s' (%016llx), for which server '%s' has "
                              "no MOLT_CHANGE",
                              label, p->state_block->type->name,
                              (unsigned long long)p->state_block->type->hash, ref->desc->name);
    }
    p->prepared =
        molt_block_make(rt->heap, &rt->executor.cache, &p->prepared_owner, ref->state_type, 1);
    if (!p->prepared)
        return molt_error_set(err, MOLT_ENOMEM, "no memory for a converted state of '%s'",
                              ref->desc->name);
    int rc = run_change(rt, p, world, (change_fn *)ref->desc->change[change].fn);
    if (rc < 0) {
        drop_prepared(rt, p);
        return fail_change(p, ref, rc, err);
    }
    p->prepared_at = p->n_callbacks;
    return 0;
}

/* Bring the prepared state of @p, which is claimed, up to date. *ret_n: of
 * states converted; *ret_redone: those that had to be once more. */
static int prepare_one(struct molt_runtime *rt, struct molt_process *p,
                       const struct molt_conversion *conv, size_t index, struct molt_error *err)
{
    const struct molt_server_ref *ref = molt_world_server(conv->new_world, conv->server_ids[index]);
    /* No state before init: it will be made in the new layout. */
    if (!ref || !p->state_block || p->phase == MOLT_PHASE_NEW ||
        p->state_block->type == ref->state_type)
        return 0;
    if (p->prepared && p->prepared_at == p->n_callbacks && p->prepared->type == ref->state_type)
        return 0;
    bool is_redone = p->prepared != NULL;
    drop_prepared(rt, p);
    int rc = convert(rt, p, conv->new_world, ref, conv->change_indexes[index], err);
    if (rc < 0)
        return rc;
    if (is_redone)
        rt->converted.n_redone++;
    return 0;
}

/* ---- prepare ------------------------------------------------------------------- */

/* Convert @p if it is between callbacks; else hold() will. */
static int try_prepare(struct molt_runtime *rt, struct molt_process *p,
                       const struct molt_conversion *conv, struct molt_error *err)
{
    pthread_mutex_lock(&p->lock);
    size_t index = listed(conv, p->server_id);
    bool is_claimed = atomic_load_explicit(&p->pid, memory_order_relaxed) &&
                      index < conv->n_servers && molt_process_claim(p);
    pthread_mutex_unlock(&p->lock);
    if (!is_claimed)
        return 0;
    int rc = p->fiber ? 0 : prepare_one(rt, p, conv, index, err);
    pthread_mutex_lock(&p->lock);
    molt_process_unclaim(p);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int molt_runtime_prepare(struct molt_runtime *rt, const struct molt_conversion *conv,
                         struct molt_error *err)
{
    rt->converted = (struct molt_conversion_result){0};
    int rc = 0;
    unsigned n = conv->n_servers ? atomic_load(&rt->table.n_slots) : 0;
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        if (atomic_load_explicit(&p->pid, memory_order_acquire))
            rc = try_prepare(rt, p, conv, err);
    }
    if (rc < 0)
        molt_runtime_unprepare(rt, conv);
    return rc;
}

/* ---- hold ---------------------------------------------------------------------- */

static const struct molt_type *find_gone(const struct molt_conversion *conv,
                                         const struct molt_list *blocks)
{
    for (struct molt_list *node = blocks->next; node != blocks; node = node->next) {
        const struct molt_type *type = molt_container_of(node, struct molt_block, link)->type;
        for (size_t i = 0; i < conv->n_types; i++)
            if (conv->gone_types[i] == type)
                return type;
    }
    return NULL;
}

/* Under the lock of @p. */
static const struct molt_type *find_gone_mail(const struct molt_conversion *conv,
                                              const struct molt_process *p)
{
    const struct molt_type *gone = NULL;
    for (struct molt_list *node = p->mailbox.next; conv->n_types && !gone && node != &p->mailbox;
         node = node->next)
        gone = find_gone(conv, &molt_container_of(node, struct molt_message, link)->blocks);
    return gone;
}

/* Under the lock of @p. */
static void set_blocker(struct blocker *blocker, struct molt_process *p,
                        const struct molt_type *gone)
{
    char label[128];
    molt_process_label_locked(p, label, sizeof(label));
    blocker->process = p;
    blocker->pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
    blocker->gone = gone;
    if (gone)
        snprintf(blocker->text, sizeof(blocker->text),
                 "%s has a message of the old layout of '%s' in its mailbox", label, gone->name);
    else
        snprintf(blocker->text, sizeof(blocker->text), "%s is in an old callback%s%s", label,
                 p->wait.kind != MOLT_WAIT_NONE ? " that waits: " : "",
                 p->wait.kind != MOLT_WAIT_NONE ? p->wait.what : "");
}

/* Hold @p, of a listed server. Returns 1 if it is held now, 0 if it is blocked. */
static int hold_one(struct molt_process *p, const struct molt_conversion *conv,
                    uint64_t deadline_ns, struct blocker *blocker)
{
    int is_held = 0;
    pthread_mutex_lock(&p->lock);
    molt_pid pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
    if (!pid || p->is_held || listed(conv, p->server_id) == conv->n_servers) {
        is_held = pid && p->is_held;
    } else if (!molt_process_claim_wait(p, pid, deadline_ns)) {
        if (atomic_load_explicit(&p->pid, memory_order_relaxed) == pid)
            set_blocker(blocker, p, NULL);
    } else if (p->fiber) {
        set_blocker(blocker, p, NULL);
        molt_process_unclaim(p);
    } else {
        p->is_held = true;
        is_held = 1;
    }
    pthread_mutex_unlock(&p->lock);
    return is_held;
}

/* Whether a gone layout waits in the mail of @p, or @p waits in an old callback
 * that may still send one. */
static void check_mail(struct molt_process *p, const struct molt_conversion *conv,
                       struct blocker *blocker)
{
    pthread_mutex_lock(&p->lock);
    const struct molt_type *gone = find_gone_mail(conv, p);
    bool is_straggler = p->fiber && p->state == MOLT_PROCESS_SUSPENDED && !p->native;
    if ((gone || is_straggler) && atomic_load_explicit(&p->pid, memory_order_relaxed))
        set_blocker(blocker, p, gone);
    pthread_mutex_unlock(&p->lock);
}

/* Under the lock of @p: if it is held, let it go, and count for how long. */
static void release_held(struct molt_runtime *rt, struct molt_process *p)
{
    if (!p->is_held)
        return;
    molt_process_unclaim(p);
    molt_stops_add(molt_code_stops(rt->code)->processes, molt_clock_ns() - rt->held_since_ns);
}

static void let_go(struct molt_runtime *rt)
{
    for (int id = 0; id < MOLT_SERVERS_MAX; id++)
        if (atomic_load_explicit(&rt->held[id], memory_order_relaxed))
            atomic_store(&rt->held[id], false);
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        pthread_mutex_lock(&p->lock);
        release_held(rt, p);
        pthread_mutex_unlock(&p->lock);
    }
    rt->is_holding = false;
}

static int hold_all(struct molt_runtime *rt, const struct molt_conversion *conv,
                    uint64_t deadline_ns, struct blocker *blocker, struct molt_error *err)
{
    for (size_t i = 0; i < conv->n_servers; i++)
        if (conv->server_ids[i] >= 0 && conv->server_ids[i] < MOLT_SERVERS_MAX)
            atomic_store(&rt->held[conv->server_ids[i]], true);
    rt->is_holding = true;
    rt->held_since_ns = molt_clock_ns();
    uint64_t soon = molt_runtime_deadline(CLAIM_MS);
    int rc = 0;
    /* Seq_cst: pairs with spawners; a process in a later slot is born held. */
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; rc == 0 && !blocker->process && i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        if (hold_one(p, conv, soon < deadline_ns ? soon : deadline_ns, blocker))
            rc = prepare_one(rt, p, conv, listed(conv, p->server_id), err);
    }
    for (unsigned i = 0; rc == 0 && conv->n_types && !blocker->process && i < n; i++)
        check_mail(molt_process_at(rt, i), conv, blocker);
    return rc;
}

/* Wait until what blocked is over; nothing is held meanwhile. */
static bool wait_for(const struct blocker *blocker, const struct molt_conversion *conv,
                     uint64_t deadline_ns)
{
    struct molt_process *p = blocker->process;
    bool is_in_time = true, is_blocked = true;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        if (atomic_load_explicit(&p->pid, memory_order_relaxed) != blocker->pid)
            is_blocked = false;
        else if (blocker->gone)
            is_blocked = find_gone_mail(conv, p) != NULL;
        else
            is_blocked = p->state == MOLT_PROCESS_RUNNING || p->fiber;
        if (!is_blocked || !is_in_time)
            break;
        is_in_time = molt_process_watch(p, deadline_ns);
    }
    pthread_mutex_unlock(&p->lock);
    return !is_blocked;
}

int molt_runtime_hold(struct molt_runtime *rt, const struct molt_conversion *conv, int deadline_ms,
                      struct molt_error *err)
{
    uint64_t deadline = molt_runtime_deadline(deadline_ms);
    for (;;) {
        struct blocker blocker = {.process = NULL};
        int rc = hold_all(rt, conv, deadline, &blocker, err);
        if (rc == 0 && !blocker.process)
            return 0;
        let_go(rt);
        if (rc < 0) {
            molt_runtime_unprepare(rt, conv);
            return rc;
        }
        if (!wait_for(&blocker, conv, deadline))
            return molt_error_set(err, MOLT_ETIMEDOUT, "%s; waited %d ms for it", blocker.text,
                                  deadline_ms);
    }
}

/* ---- adopt and unprepare ----------------------------------------------------------- */

static void free_noted(struct molt_runtime *rt, struct molt_process *p)
{
    for (size_t i = 0; i < p->n_prepared_frees; i++)
        if (molt_block_owner(p->prepared_frees[i]) == &p->owner)
            molt_block_drop(rt->heap, &rt->executor.cache, p->prepared_frees[i]);
}

/* @p is held. */
static void adopt_one(struct molt_runtime *rt, struct molt_process *p)
{
    if (!p->prepared)
        return;
    free_noted(rt, p);
    molt_block_drop(rt->heap, &rt->executor.cache, p->state_block);
    molt_list_each (node, tmp, &p->prepared_owner.blocks) {
        molt_list_unlink(node);
        molt_owner_add(&p->owner, molt_container_of(node, struct molt_block, link));
    }
    p->state_block = p->prepared;
    drop_prepared(rt, p);
    rt->converted.n_processes++;
}

/* Under the lock of @p. A process that has ended drops its own. */
static void adopt_or_drop(struct molt_runtime *rt, struct molt_process *p, bool is_adopted)
{
    if (!atomic_load_explicit(&p->pid, memory_order_relaxed))
        return;
    if (is_adopted && p->is_held)
        adopt_one(rt, p);
    else
        drop_prepared(rt, p);
    release_held(rt, p);
}

static void end_conversion(struct molt_runtime *rt, bool is_adopted)
{
    for (int id = 0; rt->is_holding && id < MOLT_SERVERS_MAX; id++)
        atomic_store(&rt->held[id], false);
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        pthread_mutex_lock(&p->lock);
        adopt_or_drop(rt, p, is_adopted);
        pthread_mutex_unlock(&p->lock);
    }
    if (rt->is_holding)
        rt->converted.held_ns = molt_clock_ns() - rt->held_since_ns;
    rt->is_holding = false;
}

void molt_runtime_adopt(struct molt_runtime *rt, const struct molt_conversion *conv,
                        struct molt_conversion_result *ret)
{
    (void)conv;
    end_conversion(rt, true);
    if (ret)
        *ret = rt->converted;
    rt->converted = (struct molt_conversion_result){0};
    molt_runtime_reconcile(rt);
}

void molt_runtime_unprepare(struct molt_runtime *rt, const struct molt_conversion *conv)
{
    (void)conv;
    end_conversion(rt, false);
    rt->converted = (struct molt_conversion_result){0};
}
