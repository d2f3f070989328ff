/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/sweep.h"

#include "base/clock.h"
#include "port/limits.h"
#include "runtime/adopt.h"
#include "runtime/rt.h"

/* Slots between two looks at the clock. */
#define STEP MOLT_LIMIT(64u, 1u)
#define WAIT_MS 10

static void let_go(struct molt_runtime *rt)
{
    struct molt_world *left = atomic_exchange(&rt->sweep.left, NULL);
    if (left)
        molt_world_release(left);
}

void molt_sweep_cancel(struct molt_runtime *rt)
{
    if (!rt->sweep.is_staged)
        return;
    rt->sweep.is_staged = false;
    let_go(rt);
}

void molt_sweep_stage(struct molt_runtime *rt, struct molt_world *old)
{
    molt_sweep_cancel(rt);
    molt_world_hold(old);
    rt->sweep.is_staged = true;
    atomic_store_explicit(&rt->sweep.n_adopted, 0, memory_order_relaxed);
    atomic_store_explicit(&rt->sweep.n_redone, 0, memory_order_relaxed);
    atomic_fetch_add(&rt->sweep.serial, 1);
    /* Release, before the commit: whoever is in the new world sees it. */
    atomic_store_explicit(&rt->sweep.left, old, memory_order_release);
}

void molt_sweep_begin(struct molt_runtime *rt)
{
    if (!rt->sweep.is_staged)
        return;
    rt->sweep.is_staged = false;
    rt->sweep.is_on = true;
    rt->sweep.has_missed = false;
    rt->sweep.next = 0;
}

/* ---- a step -------------------------------------------------------------------- */

/* Whether it may still be in an older layout without anybody knowing. */
static bool is_open(const struct molt_process *p, const struct molt_world *world)
{
    return p->server_id >= 0 && molt_adopt_is_due(p, world);
}

/* False if @p is busy. */
static bool meet(struct molt_process *p, molt_pid pid, struct molt_world *world,
                 uint64_t deadline_ns)
{
    bool is_mine =
        deadline_ns ? molt_process_claim_wait(p, pid, deadline_ns) : molt_process_claim(p);
    if (!is_mine)
        return molt_process_pid(p) != pid;
    (void)molt_adopt_now(p, world);
    molt_process_leave(p, 0, 0);
    return true;
}

/* One round over all slots, as far as time allows. Busy ones are waited for in the
 * second round. Returns the first who was busy, of a round that came to its end. */
static struct molt_process *go_round(struct molt_runtime *rt, bool is_waiting, uint64_t deadline_ns)
{
    struct molt_sweep *s = &rt->sweep;
    struct molt_world *world = atomic_load(rt->current);
    struct molt_process *missed = NULL;
    /* Seq_cst: see grow() of process_table.c. */
    unsigned n = atomic_load(&rt->table.n_slots);
    while (s->next < n && (s->next % STEP != 0 || molt_clock_ns() < deadline_ns)) {
        struct molt_process *p = molt_process_at(rt, s->next++);
        molt_pid pid = atomic_load_explicit(&p->pid, memory_order_acquire);
        if (!pid || !is_open(p, world) ||
            meet(p, pid, world, is_waiting ? molt_runtime_deadline(WAIT_MS) : 0))
            continue;
        s->has_missed = true;
        missed = p;
    }
    return missed;
}

static struct molt_process *sweep_until(struct molt_runtime *rt, uint64_t deadline_ns)
{
    struct molt_sweep *s = &rt->sweep;
    struct molt_process *missed = NULL;
    bool is_waiting = false;
    while (s->is_on && (!is_waiting || molt_clock_ns() < deadline_ns)) {
        struct molt_process *p = go_round(rt, is_waiting, deadline_ns);
        missed = p ? p : missed;
        if (s->next < atomic_load(&rt->table.n_slots))
            break;
        s->is_on = s->has_missed;
        s->has_missed = false;
        s->next = 0;
        is_waiting = true;
    }
    if (!s->is_on)
        let_go(rt);
    return s->is_on ? missed : NULL;
}

bool molt_runtime_sweep(struct molt_runtime *rt, int budget_ms)
{
    if (rt->sweep.is_on)
        (void)sweep_until(rt, molt_runtime_deadline(budget_ms));
    return !rt->sweep.is_on;
}

int molt_sweep_finish(struct molt_runtime *rt, uint64_t deadline_ns, struct molt_error *err)
{
    char label[128] = "a process";
    struct molt_process *missed = NULL;
    while (rt->sweep.is_on && molt_clock_ns() < deadline_ns)
        missed = sweep_until(rt, deadline_ns);
    if (!rt->sweep.is_on)
        return 0;
    if (missed)
        molt_process_label(missed, label, sizeof(label));
    return molt_error_set(err, MOLT_ETIMEDOUT,
                          "%s computes since before the last upgrade, and did not change over to "
                          "its layouts yet: this upgrade changes layouts again, so it has to wait",
                          label);
}

void molt_sweep_fini(struct molt_runtime *rt)
{
    rt->sweep.is_on = rt->sweep.is_staged = false;
    let_go(rt);
}
