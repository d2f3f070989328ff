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
#include "runtime/fiber.h"
#include "runtime/machine.h"
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
    uint64_t timer;               /* its message is of the type `gone`; 0: none */
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

static struct molt_prepared *prepared_of(struct molt_process *p)
{
    return atomic_load_explicit(&p->prepared, memory_order_relaxed);
}

static void drop_prepared(struct molt_runtime *rt, struct molt_process *p)
{
    molt_process_drop_prepared(p, &rt->executor.cache);
}

static bool make_prepared(struct molt_runtime *rt, struct molt_process *p,
                          const struct molt_type *type)
{
    struct molt_prepared *prepared = calloc(1, sizeof(*prepared));
    if (!prepared)
        return false;
    molt_owner_init(&prepared->owner);
    atomic_store_explicit(&p->prepared, prepared, memory_order_relaxed);
    prepared->state = molt_block_make(rt->heap, &rt->executor.cache, &prepared->owner, type, 1);
    if (prepared->state)
        return true;
    drop_prepared(rt, p);
    return false;
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
    int rc = fn(molt_block_payload(p->state_block), molt_block_payload(prepared_of(p)->state));
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
    if (!make_prepared(rt, p, ref->state_type))
        return molt_error_set(err, MOLT_ENOMEM, "no memory for a converted state of '%s'",
                              ref->desc->name);
    int rc = run_change(rt, p, world, (change_fn *)ref->desc->change[change].fn);
    if (rc < 0) {
        drop_prepared(rt, p);
        return fail_change(p, ref, rc, err);
    }
    prepared_of(p)->at = atomic_load_explicit(&p->n_callbacks, memory_order_relaxed);
    return 0;
}

/* Bring the prepared state of @p, which is claimed, up to date. *ret_n: of
 * states converted; *ret_redone: those that had to be once more. */
static int prepare_one(struct molt_runtime *rt, struct molt_process *p,
                       const struct molt_conversion *conv, size_t index, struct molt_error *err)
{
    const struct molt_server_ref *ref = molt_world_server(conv->new_world, conv->server_ids[index]);
    /* No state before init: it will be made in the new layout. */
    if (!ref || !p->state_block ||
        atomic_load_explicit(&p->phase, memory_order_relaxed) == MOLT_PHASE_NEW ||
        p->state_block->type == ref->state_type)
        return 0;
    if (prepared_of(p) && prepared_of(p)->state->type == ref->state_type &&
        prepared_of(p)->at == atomic_load_explicit(&p->n_callbacks, memory_order_relaxed))
        return 0;
    bool is_redone = prepared_of(p) != NULL;
    drop_prepared(rt, p);
    int rc = convert(rt, p, conv->new_world, ref, conv->change_indexes[index], err);
    if (rc < 0)
        return rc;
    if (is_redone)
        rt->converted.n_redone++;
    return 0;
}

/* The same of @p, which is held; and its state machine, which stays where it is. */
static int prepare_held(struct molt_runtime *rt, struct molt_process *p,
                        const struct molt_conversion *conv, size_t index, struct molt_error *err)
{
    int id = conv->server_ids[index];
    int rc = molt_machine_prepare(p, molt_world_server(conv->old_world, id),
                                  molt_world_server(conv->new_world, id), err);
    return rc < 0 ? rc : prepare_one(rt, p, conv, index, err);
}

/* ---- prepare ------------------------------------------------------------------- */

/* Convert @p if it is between callbacks; else hold() will. */
static int try_prepare(struct molt_runtime *rt, struct molt_process *p,
                       const struct molt_conversion *conv, struct molt_error *err)
{
    size_t index = listed(conv, p->server_id);
    if (index == conv->n_servers || !molt_process_claim(p))
        return 0;
    /* Perhaps another process by now. */
    index = listed(conv, p->server_id);
    int rc = p->fiber || index == conv->n_servers ? 0 : prepare_one(rt, p, conv, index, err);
    molt_process_leave(p, 0, 0);
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
                                         const struct molt_block *m)
{
    for (const struct molt_block *b = m; b; b = molt_message_next(m, b))
        for (size_t i = 0; i < conv->n_types; i++)
            if (conv->gone_types[i] == b->type)
                return b->type;
    return NULL;
}

struct gone_mail {
    const struct molt_conversion *conv;
    const struct molt_type *gone;
};

static bool check_waiting(void *user, const struct molt_block *root)
{
    struct gone_mail *mail = user;
    mail->gone = find_gone(mail->conv, root);
    return !mail->gone;
}

/* @p is claimed and its inbox drained. */
static const struct molt_type *find_gone_mail(const struct molt_conversion *conv,
                                              const struct molt_process *p)
{
    struct gone_mail waiting = {conv, NULL};
    if (!molt_machine_each(p, check_waiting, &waiting))
        return waiting.gone;
    const struct molt_type *gone = NULL;
    for (const struct molt_block *m = p->mail; m && !gone; m = molt_message_after(m))
        gone = find_gone(conv, m);
    return gone;
}

struct gone_timer {
    const struct molt_conversion *conv;
    struct blocker *blocker;
};

static bool check_timer(void *user, const struct molt_timer_event *event)
{
    struct gone_timer *gone = user;
    gone->blocker->gone = find_gone(gone->conv, event->data);
    if (!gone->blocker->gone)
        return true;
    gone->blocker->pid = event->pid;
    gone->blocker->timer = event->ref;
    return false;
}

/* Whether a gone layout waits for its time (molt_send_after()). */
static void check_timers(struct molt_runtime *rt, const struct molt_conversion *conv,
                         struct blocker *blocker)
{
    struct gone_timer gone = {conv, blocker};
    molt_sends_each(rt, check_timer, &gone);
    if (blocker->timer)
        snprintf(blocker->text, sizeof(blocker->text),
                 "a message of the old layout of '%s' waits in timer %llu for process %llu",
                 blocker->gone->name, (unsigned long long)blocker->timer,
                 (unsigned long long)blocker->pid);
}

static bool is_set(const struct blocker *blocker)
{
    return blocker->process || blocker->timer;
}

static void set_blocker(struct blocker *blocker, struct molt_process *p, molt_pid pid,
                        const struct molt_type *gone)
{
    char label[128], waits[MOLT_NAME_MAX + 32] = "";
    molt_process_label(p, label, sizeof(label));
    blocker->process = p;
    blocker->pid = pid;
    blocker->gone = gone;
    if (gone) {
        snprintf(blocker->text, sizeof(blocker->text),
                 "%s has a message of the old layout of '%s' in its mailbox", label, gone->name);
        return;
    }
    if (molt_process_claim(p)) {
        molt_process_describe_wait(p, waits, sizeof(waits));
        molt_process_leave(p, 0, 0);
    }
    snprintf(blocker->text, sizeof(blocker->text), "%s is in an old callback%s%s", label,
             waits[0] ? " that waits: " : "", waits);
}

/* Hold @p, of a listed server. Returns 1 if it is held now, 0 if it is blocked. */
static int hold_one(struct molt_process *p, molt_pid pid, uint64_t deadline_ns,
                    struct blocker *blocker)
{
    if (molt_process_status(p) & MOLT_IS_HELD)
        return 1;
    if (!molt_process_claim_wait(p, pid, deadline_ns)) {
        if (molt_process_pid(p) == pid)
            set_blocker(blocker, p, pid, NULL);
        return 0;
    }
    if (p->fiber) {
        molt_process_leave(p, 0, 0);
        set_blocker(blocker, p, pid, NULL);
        return 0;
    }
    atomic_fetch_or(&p->status, MOLT_IS_HELD);
    return 1;
}

/* Whether a gone layout waits in the mail of @p, or @p waits in an old callback
 * that may still send one. */
static void check_mail(struct molt_process *p, molt_pid pid, const struct molt_conversion *conv,
                       uint64_t deadline_ns, struct blocker *blocker)
{
    bool is_held = molt_process_status(p) & MOLT_IS_HELD;
    if (!is_held && !molt_process_claim_wait(p, pid, deadline_ns)) {
        if (molt_process_pid(p) == pid)
            set_blocker(blocker, p, pid, NULL);
        return;
    }
    molt_process_drain(p, &p->rt->executor.cache);
    const struct molt_type *gone = find_gone_mail(conv, p);
    bool is_straggler = p->fiber && !molt_process_is_supervisor(p);
    if (!is_held)
        molt_process_leave(p, 0, 0);
    if (gone || is_straggler)
        set_blocker(blocker, p, pid, gone);
}

/* If @p is held, let it go, and count for how long. */
static void release_held(struct molt_runtime *rt, struct molt_process *p)
{
    if (!(molt_process_status(p) & MOLT_IS_HELD))
        return;
    molt_process_leave(p, 0, MOLT_IS_HELD);
    molt_stops_add(molt_code_stops(rt->code)->processes, molt_clock_ns() - rt->held_since_ns);
}

static void let_go(struct molt_runtime *rt)
{
    for (int id = 0; id < MOLT_SERVERS_MAX; id++)
        if (atomic_load_explicit(&rt->held[id], memory_order_relaxed))
            atomic_store(&rt->held[id], false);
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        release_held(rt, molt_process_at(rt, i));
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
    soon = soon < deadline_ns ? soon : deadline_ns;
    int rc = 0;
    /* Seq_cst: pairs with spawners; a process in a later slot is born held. */
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; rc == 0 && !blocker->process && i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load(&p->pid);
        size_t index = pid ? listed(conv, p->server_id) : conv->n_servers;
        if (index < conv->n_servers && hold_one(p, pid, soon, blocker))
            rc = prepare_held(rt, p, conv, index, err);
    }
    /* Timers before mailboxes: that is the way of a message. */
    if (rc == 0 && conv->n_types && !is_set(blocker))
        check_timers(rt, conv, blocker);
    for (unsigned i = 0; rc == 0 && conv->n_types && !is_set(blocker) && i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load(&p->pid);
        if (pid)
            check_mail(p, pid, conv, soon, blocker);
    }
    return rc;
}

struct blocked {
    const struct blocker *blocker;
    const struct molt_conversion *conv;
};

/* Whether what blocked is over, as far as can be told now. */
static bool is_over(struct molt_process *p, void *user)
{
    const struct blocked *blocked = user;
    if (molt_process_pid(p) != blocked->blocker->pid)
        return true;
    if ((molt_process_status(p) & MOLT_STATE_MASK) == MOLT_STATE_RUNNING || !molt_process_claim(p))
        return false;
    bool is_blocked = p->fiber;
    if (blocked->blocker->gone) {
        molt_process_drain(p, &p->rt->executor.cache);
        is_blocked = find_gone_mail(blocked->conv, p) != NULL;
    }
    molt_process_leave_quietly(p);
    return !is_blocked;
}

/* Wait until what blocked is over; nothing is held meanwhile. */
static bool wait_for(struct molt_runtime *rt, const struct blocker *blocker,
                     const struct molt_conversion *conv, uint64_t deadline_ns)
{
    if (blocker->timer)
        return molt_sends_watch(rt, blocker->timer, deadline_ns);
    struct blocked blocked = {blocker, conv};
    return molt_process_watch(blocker->process, is_over, &blocked, deadline_ns);
}

int molt_runtime_hold(struct molt_runtime *rt, const struct molt_conversion *conv, int deadline_ms,
                      struct molt_error *err)
{
    uint64_t deadline = molt_runtime_deadline(deadline_ms);
    atomic_store(&rt->is_upgrading, true);
    for (;;) {
        struct blocker blocker = {.process = NULL};
        int rc = hold_all(rt, conv, deadline, &blocker, err);
        if (rc == 0 && !is_set(&blocker))
            return 0;
        let_go(rt);
        if (rc < 0) {
            molt_runtime_unprepare(rt, conv);
            return rc;
        }
        if (wait_for(rt, &blocker, conv, deadline))
            continue;
        molt_run_end_upgrade(rt);
        return molt_error_set(err, MOLT_ETIMEDOUT, "%s; waited %d ms for it", blocker.text,
                              deadline_ms);
    }
}

/* ---- adopt and unprepare ----------------------------------------------------------- */

static void free_noted(struct molt_runtime *rt, struct molt_process *p)
{
    const struct molt_prepared *prepared = prepared_of(p);
    for (size_t i = 0; i < prepared->n_frees; i++)
        if (molt_block_owner(prepared->frees[i]) == &p->owner)
            molt_block_drop(rt->heap, &rt->executor.cache, prepared->frees[i]);
}

/* @p is held. */
static void adopt_one(struct molt_runtime *rt, struct molt_process *p)
{
    struct molt_prepared *prepared = prepared_of(p);
    if (!prepared)
        return;
    free_noted(rt, p);
    molt_block_drop(rt->heap, &rt->executor.cache, p->state_block);
    molt_list_each (node, tmp, &prepared->owner.blocks) {
        molt_list_unlink(node);
        molt_owner_add(&p->owner, molt_container_of(node, struct molt_block, link));
    }
    p->state_block = prepared->state;
    drop_prepared(rt, p);
    rt->converted.n_processes++;
}

static void adopt_or_drop(struct molt_runtime *rt, struct molt_process *p, bool is_adopted)
{
    if (molt_process_status(p) & MOLT_IS_HELD) {
        if (is_adopted) {
            molt_machine_adopt(p);
            adopt_one(rt, p);
        } else {
            drop_prepared(rt, p);
        }
        release_held(rt, p);
        return;
    }
    drop_prepared(rt, p);
}

static void end_conversion(struct molt_runtime *rt, bool is_adopted)
{
    for (int id = 0; rt->is_holding && id < MOLT_SERVERS_MAX; id++)
        atomic_store(&rt->held[id], false);
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++)
        adopt_or_drop(rt, molt_process_at(rt, i), is_adopted);
    if (rt->is_holding)
        rt->converted.held_ns = molt_clock_ns() - rt->held_since_ns;
    rt->is_holding = false;
    molt_run_end_upgrade(rt);
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
