/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The executor's part of conversions, around the switch.
 *
 * | step      | processes                                | everybody                |
 * |-----------|------------------------------------------|--------------------------|
 * | prepare   | claimed one by one, made ready, let go   | serves                   |
 * | hold      | -                                        | pauses, if mail or globals are at stake
 * | | settle    | those that ran since are made ready anew | pauses, if globals are at stake | |
 * adopt     | met by the sweep, or change over alone   | serves                   | | unprepare |
 * what was made ready is dropped           | serves                   |
 */
#include <stdio.h>

#include "base/clock.h"
#include "runtime/adopt.h"
#include "runtime/fiber.h"
#include "runtime/machine.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

/* Longer than that nobody is held up because somebody else computes. */
#define PAUSE_MS 20
/* Of the sweep, before the upgrade is reported. */
#define FIRST_SWEEP_MS 20

static bool changes_layouts(const struct molt_conversion *conv)
{
    return molt_world_epoch(conv->old_world) != molt_world_epoch(conv->new_world);
}

/* ---- prepare ------------------------------------------------------------------- */

/* A process that can't be converted to what was current can't be in the way of what comes. */
static int prepare_one(struct molt_process *p, molt_pid pid, struct molt_world *world,
                       struct molt_error *err)
{
    struct molt_migration_fault fault;
    if (!molt_process_claim(p) && !molt_process_claim_wait(p, pid, molt_runtime_deadline(PAUSE_MS)))
        return 0;
    int rc = molt_adopt_prepare(p, world, &fault);
    if (rc < 0 && rc != MOLT_ENOMEM && molt_adopt_behind(p))
        rc = 0;
    char label[128];
    if (rc < 0)
        molt_process_label(p, label, sizeof(label));
    molt_process_leave(p, 0, 0);
    return rc >= 0 ? 0
                   : molt_error_set(err, rc, "%s: %s; every process goes on with its old state",
                                    label, fault.why);
}

int molt_runtime_prepare(struct molt_runtime *rt, const struct molt_conversion *conv,
                         int deadline_ms, struct molt_error *err)
{
    if (!changes_layouts(conv))
        return 0;
    int rc = molt_sweep_finish(rt, molt_runtime_deadline(deadline_ms), err);
    if (rc < 0)
        return rc;
    molt_sweep_stage(rt, conv->old_world);
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load_explicit(&p->pid, memory_order_acquire);
        if (pid && p->server_id >= 0)
            rc = prepare_one(p, pid, conv->new_world, err);
    }
    if (rc < 0)
        molt_runtime_unprepare(rt, conv);
    return rc;
}

/* ---- what is in the way ------------------------------------------------------------ */

struct blocker {
    struct molt_process *process; /* NULL: none */
    molt_pid pid;
    const struct molt_type *gone; /* in its mailbox; NULL: it is in a callback */
    uint64_t timer;               /* its message is of the type `gone`; 0: none */
    bool is_busy;                 /* somebody didn't pause in time */
    char text[256];
};

static bool is_set(const struct blocker *blocker)
{
    return blocker->process || blocker->timer || blocker->is_busy;
}

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

/* The caller has @p, and its inbox was drained. */
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
    molt_process_describe_wait(p, waits, sizeof(waits));
    snprintf(blocker->text, sizeof(blocker->text), "%s is in an old callback%s%s", label,
             waits[0] ? " that waits: " : "", waits);
}

/* Everybody pauses, nobody with a message in hand, so a process is as good as claimed if it is
 * running, unless a registered thread has just begun it. */
static void check_process(struct molt_process *p, molt_pid pid, const struct molt_conversion *conv,
                          struct blocker *blocker)
{
    bool is_claimed = molt_process_claim(p);
    if (!is_claimed && molt_process_phase(p) == MOLT_PHASE_NEW)
        return;
    molt_process_drain(p, &p->rt->executor.cache);
    const struct molt_type *gone = conv ? find_gone_mail(conv, p) : NULL;
    bool is_suspended =
        p->fiber && p->fiber->act.is_holding_world && !molt_process_is_supervisor(p);
    if (gone || is_suspended)
        set_blocker(blocker, p, pid, gone);
    if (is_claimed)
        molt_process_leave(p, 0, 0);
}

/* Somebody is inside of a callback; while everybody pauses this is exact. */
static bool is_anybody_suspended(const struct molt_runtime *rt)
{
    for (unsigned i = 0; i < rt->n_threads; i++)
        if (atomic_load_explicit(&rt->workers[i].n_holding, memory_order_relaxed) != 0)
            return true;
    return false;
}

/* Timers before mailboxes: that is the way of a message. @conv NULL: mail doesn't matter. */
static void check_all(struct molt_runtime *rt, const struct molt_conversion *conv,
                      struct blocker *blocker)
{
    if (conv)
        check_timers(rt, conv, blocker);
    else if (!is_anybody_suspended(rt))
        return; /* a million idle processes needn't be looked at */
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; !is_set(blocker) && i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load(&p->pid);
        if (pid)
            check_process(p, pid, conv, blocker);
    }
}

/* ---- pausing ------------------------------------------------------------------------ */

/* Who runs a callback now; or @who, a thread, if nobody does any more. */
static void name_busy(struct molt_runtime *rt, const char *who, struct blocker *blocker)
{
    char label[128];
    snprintf(label, sizeof(label), "%s", who);
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        if (!molt_process_pid(p) ||
            (molt_process_status(p) & MOLT_STATE_MASK) != MOLT_STATE_RUNNING)
            continue;
        molt_process_label(p, label, sizeof(label));
        break;
    }
    blocker->is_busy = true;
    snprintf(blocker->text, sizeof(blocker->text), "%s is in a callback", label);
}

static void pause_for(struct molt_runtime *rt, bool is_foreign_too, struct blocker *blocker)
{
    char who[64] = "";
    rt->paused_since_ns = molt_clock_ns();
    atomic_fetch_add(&rt->tick, 1); /* turns end */
    if (molt_code_pause(rt->code, is_foreign_too, PAUSE_MS, who, sizeof(who)) == 0)
        return;
    rt->paused_since_ns = 0;
    name_busy(rt, who, blocker);
}

void molt_runtime_resume(struct molt_runtime *rt)
{
    if (!rt->paused_since_ns)
        return;
    molt_code_resume(rt->code);
    molt_stops_add(molt_code_stops(rt->code)->processes, molt_clock_ns() - rt->paused_since_ns);
    rt->paused_since_ns = 0;
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

/* Wait until what blocked is over; nobody pauses meanwhile. */
static bool wait_for(struct molt_runtime *rt, const struct blocker *blocker,
                     const struct molt_conversion *conv, uint64_t deadline_ns)
{
    if (blocker->timer)
        return molt_sends_watch(rt, blocker->timer, deadline_ns);
    if (blocker->is_busy) {
        uint64_t now = molt_clock_ns();
        return now < deadline_ns &&
               molt_code_grace(rt->code, (int)((deadline_ns - now) / 1000000) + 1) == 0;
    }
    struct blocked blocked = {blocker, conv};
    return molt_process_watch(blocker->process, is_over, &blocked, deadline_ns);
}

static int pause_until(struct molt_runtime *rt, const struct molt_conversion *conv,
                       bool is_foreign_too, int deadline_ms, struct molt_error *err)
{
    uint64_t deadline = molt_runtime_deadline(deadline_ms);
    atomic_store(&rt->is_upgrading, true);
    for (;;) {
        struct blocker blocker = {.process = NULL};
        pause_for(rt, is_foreign_too, &blocker);
        if (!is_set(&blocker) && conv && molt_code_is_anybody_late(rt->code))
            name_busy(rt, "a worker", &blocker);
        if (!is_set(&blocker))
            check_all(rt, conv, &blocker);
        if (!is_set(&blocker))
            return 0;
        molt_runtime_resume(rt);
        if (wait_for(rt, &blocker, conv, deadline))
            continue;
        molt_run_end_upgrade(rt);
        return molt_error_set(err, MOLT_ETIMEDOUT, "%s; waited %d ms for it", blocker.text,
                              deadline_ms);
    }
}

int molt_runtime_hold(struct molt_runtime *rt, const struct molt_conversion *conv, int deadline_ms,
                      struct molt_error *err)
{
    if (conv->n_types == 0 && !conv->moves_globals)
        return 0;
    return pause_until(rt, conv->n_types ? conv : NULL, conv->moves_globals, deadline_ms, err);
}

/* ---- settling ------------------------------------------------------------------------- */

static int settle_one(struct molt_process *p, const struct molt_conversion *conv, bool is_changing,
                      struct molt_error *err)
{
    struct molt_migration_fault fault;
    char label[128];
    if (!molt_process_claim(p))
        return 0; /* it has just been begun, in the world that is current then */
    molt_process_label(p, label, sizeof(label));
    int rc = 0;
    if (molt_adopt_behind(p) && !molt_adopt_now(p, conv->old_world))
        rc = molt_error_set(err, MOLT_EREFUSED,
                            "%s goes on in an older world, where it would still see the old values "
                            "of the mutable globals that move: see why it can't be converted, or "
                            "end it",
                            label);
    else if (is_changing && !molt_adopt_is_ready(p, conv->new_world))
        rc = molt_adopt_prepare(p, conv->new_world, &fault);
    if (rc < 0 && rc != MOLT_EREFUSED)
        molt_error_set(err, rc, "%s: %s; every process goes on with its old state", label,
                       fault.why);
    molt_process_leave(p, 0, 0);
    return rc < 0 ? rc : 0;
}

int molt_runtime_settle(struct molt_runtime *rt, const struct molt_conversion *conv,
                        struct molt_error *err)
{
    bool is_changing = changes_layouts(conv);
    bool may_be_behind = rt->sweep.is_on || atomic_load(&rt->sweep.n_behind) > 0;
    int rc = 0;
    if (!conv->moves_globals || (!is_changing && !may_be_behind))
        return 0;
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load_explicit(&p->pid, memory_order_acquire);
        if (pid && p->server_id >= 0)
            rc = settle_one(p, conv, is_changing, err);
    }
    return rc;
}

int molt_runtime_pause(struct molt_runtime *rt, int deadline_ms, struct molt_error *err)
{
    int rc = pause_until(rt, NULL, true, deadline_ms, err);
    if (rc == 0)
        molt_run_end_upgrade(rt);
    return rc;
}

/* ---- adopt and unprepare ----------------------------------------------------------- */

void molt_runtime_adopt(struct molt_runtime *rt, const struct molt_conversion *conv,
                        struct molt_conversion_result *ret)
{
    uint64_t since = rt->paused_since_ns;
    struct molt_conversion_result result = {.held_ns = since ? molt_clock_ns() - since : 0};
    molt_runtime_resume(rt);
    molt_sweep_begin(rt);
    molt_run_end_upgrade(rt);
    if (changes_layouts(conv)) {
        (void)molt_runtime_sweep(rt, FIRST_SWEEP_MS);
        result.n_processes = atomic_load(&rt->sweep.n_adopted);
        result.n_redone = atomic_load(&rt->sweep.n_redone);
    }
    if (ret)
        *ret = result;
    molt_runtime_reconcile(rt);
}

/* What is busy now drops it when it sees that it is of another staging. */
static void unprepare_one(struct molt_process *p)
{
    if (!atomic_load_explicit(&p->prepared, memory_order_relaxed) || !molt_process_claim(p))
        return;
    molt_adopt_drop_prepared(p, &p->rt->executor.cache);
    molt_process_leave(p, 0, 0);
}

void molt_runtime_unprepare(struct molt_runtime *rt, const struct molt_conversion *conv)
{
    (void)conv;
    molt_runtime_resume(rt);
    unsigned n = rt->sweep.is_staged ? atomic_load(&rt->table.n_slots) : 0;
    for (unsigned i = 0; i < n; i++)
        unprepare_one(molt_process_at(rt, i));
    molt_sweep_cancel(rt);
    molt_run_end_upgrade(rt);
}

bool molt_runtime_is_block(struct molt_runtime *rt, uint64_t value)
{
    return molt_heap_find(rt->heap, (const void *)(uintptr_t)value) != NULL; /* NOLINT: asked */
}
