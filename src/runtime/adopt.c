/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/adopt.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/fiber.h"
#include "runtime/machine.h"
#include "runtime/rt.h"
#include "runtime/trial.h"
#include "runtime/worker.h"

/* Bit 0 of molt_process.behind: the log has it. */
#define REPORTED ((uintptr_t)1)

/* ---- the author's conversion ------------------------------------------------------- */

int molt_adopt_call_change(void *user, molt_any_fn change, const void *old, void *now)
{
    typedef int change_fn(const void *old, void *now);
    struct molt_change_env *env = user;
    struct molt_runner *runner = env->runner, *before = molt_runner_here();
    struct molt_process *process = runner->process;
    molt_runner_enter(runner, env->process);
    runner->quick_owner = NULL;
    runner->migration = env->migration;
    runner->is_converting = true;
    runner->is_failed = false;
    molt_runner_set(runner);
    if (env->world)
        molt_participant_visit(runner->participant, env->world);
    if (runner->trial)
        molt_trial_before_call(runner->trial, runner->rt->code, change);
    int rc = ((change_fn *)change)(old, now);
    if (runner->trial)
        molt_trial_after_call(runner->trial);
    /* Back to where this thread was: the executor may be a registered one. */
    if (env->world)
        molt_participant_return(before ? before->participant : runner->participant);
    molt_runner_set(before);
    molt_runner_enter(runner, process);
    runner->migration = NULL;
    runner->is_converting = false;
    return runner->is_failed ? MOLT_EUNDEF : rc;
}

/* ---- where it stands ------------------------------------------------------------------ */

static _Atomic uintptr_t *behind_cell(const struct molt_process *p)
{
    struct molt_process *own = (struct molt_process *)(uintptr_t)p;
    return molt_process_is_machine(p) ? &own->machine->behind : &own->behind;
}

static uintptr_t behind_word(const struct molt_process *p)
{
    return molt_process_is_supervisor(p)
               ? 0
               : atomic_load_explicit(behind_cell(p), memory_order_relaxed);
}

struct molt_world *molt_adopt_behind(const struct molt_process *p)
{
    return (struct molt_world *)(behind_word(p) & ~REPORTED); /* NOLINT: tagged */
}

static void set_behind(struct molt_process *p, const struct molt_world *world, uintptr_t reported)
{
    atomic_store_explicit(behind_cell(p), (uintptr_t)world | reported, memory_order_relaxed);
}

/* The world that was left by the last upgrade of layouts, if @p is still there. */
static struct molt_world *left_world(const struct molt_process *p)
{
    /* Acquire: pairs with the start of the sweep. It isn't over before it met @p. */
    struct molt_world *left = atomic_load_explicit(&p->rt->sweep.left, memory_order_acquire);
    return left && !molt_adopt_is_due(p, left) ? left : NULL;
}

/* The world that its blocks fit, if that isn't the current one. */
static struct molt_world *old_world(const struct molt_process *p)
{
    struct molt_world *behind = molt_adopt_behind(p);
    return behind ? behind : left_world(p);
}

/* ---- one process --------------------------------------------------------------------- */

/* The server's own conversion from @type: only the layout counts, because the author
 * had to spell it out under another name. */
static molt_any_fn find_change(const struct molt_server_ref *ref, const struct molt_type *type)
{
    for (size_t i = 0; i < ref->n_changes; i++) {
        const struct molt_type *from = ref->change_types[i];
        if (from && from->shape == type->shape && from->size == type->size)
            return ref->desc->change[i].fn;
    }
    return NULL;
}

static int fail_state(const struct molt_block *state, const struct molt_server_ref *ref,
                      struct molt_migration_fault *fault)
{
    fault->code = MOLT_ECHANGE;
    snprintf(fault->why, sizeof(fault->why),
             "its state is a %s of layout %016llx, and server '%s' has no MOLT_CHANGE from that",
             state->type->name, (unsigned long long)state->type->hash, ref->desc->name);
    return MOLT_ECHANGE;
}

/* Migrate the blocks of @p; *ret_state is what its state becomes. As molt_migrate(). */
static int migrate(struct molt_runner *runner, struct molt_process *p, struct molt_world *world,
                   bool is_elsewhere, struct molt_migration *ret, struct molt_block **ret_state,
                   struct molt_migration_fault *fault)
{
    const struct molt_server_ref *ref = molt_world_server(world, p->server_id);
    struct molt_change_env env = {runner, p, ret, is_elsewhere ? world : NULL};
    struct molt_migrate how = {.heap = p->rt->heap,
                               .cache = &runner->cache,
                               .blocks = &p->owner.blocks,
                               .world = world,
                               .call = molt_adopt_call_change,
                               .user = &env};
    if (ref && p->state_block && p->state_block->type != ref->state_type &&
        (how.root_change = find_change(ref, p->state_block->type))) {
        how.root = p->state_block;
        how.root_type = ref->state_type;
    }
    int rc = molt_migrate(&how, ret, fault);
    if (rc < 0)
        return rc;
    *ret_state = p->state_block ? molt_migration_of(ret, p->state_block) : NULL;
    if (!ref || !*ret_state || (*ret_state)->type == ref->state_type)
        return rc;
    molt_migration_drop(ret, p->rt->heap, &runner->cache);
    return fail_state(p->state_block, ref, fault);
}

static void adopt(struct molt_runner *runner, struct molt_process *p,
                  struct molt_migration *migration, struct molt_block *state)
{
    molt_migration_adopt(migration, p->rt->heap, &runner->cache, &p->owner);
    p->state_block = state;
    atomic_fetch_add_explicit(&p->rt->sweep.n_adopted, 1, memory_order_relaxed);
}

static struct molt_prepared *prepared_of(const struct molt_process *p)
{
    return atomic_load_explicit(&p->prepared, memory_order_relaxed);
}

bool molt_adopt_is_ready(const struct molt_process *p, const struct molt_world *world)
{
    const struct molt_prepared *prepared = prepared_of(p);
    return prepared && prepared->epoch == molt_world_epoch(world) &&
           prepared->serial == atomic_load(&p->rt->sweep.serial) &&
           prepared->at == atomic_load_explicit(&p->n_callbacks, memory_order_relaxed);
}

/* If what was made ready is still right, it becomes the process's. */
static bool adopt_prepared(struct molt_runner *runner, struct molt_process *p,
                           const struct molt_world *world)
{
    struct molt_prepared *prepared = prepared_of(p);
    if (!prepared)
        return false;
    bool is_of_now = prepared->epoch == molt_world_epoch(world) &&
                     prepared->serial == atomic_load(&p->rt->sweep.serial);
    bool is_right =
        is_of_now && prepared->at == atomic_load_explicit(&p->n_callbacks, memory_order_relaxed);
    if (is_right)
        adopt(runner, p, &prepared->migration, prepared->state);
    else if (is_of_now)
        atomic_fetch_add_explicit(&p->rt->sweep.n_redone, 1, memory_order_relaxed);
    molt_adopt_drop_prepared(p, &runner->cache);
    return is_right;
}

/* Whether @p, as a state machine or as none, may go on in @world. */
static int check_machine(struct molt_process *p, const struct molt_world *old,
                         const struct molt_world *world, struct molt_migration_fault *fault)
{
    struct molt_error err = {0};
    if (!old || molt_machine_prepare(p, molt_world_server(old, p->server_id),
                                     molt_world_server(world, p->server_id), &err) == 0)
        return 0;
    fault->code = MOLT_EREFUSED;
    snprintf(fault->why, sizeof(fault->why), "%.255s", err.text);
    return MOLT_EREFUSED;
}

static int change_over(struct molt_runner *runner, struct molt_process *p, struct molt_world *world,
                       bool is_elsewhere, struct molt_migration_fault *fault)
{
    struct molt_migration migration;
    struct molt_block *state;
    const struct molt_world *old = old_world(p);
    if (check_machine(p, old, world, fault) < 0)
        return fault->code;
    if (adopt_prepared(runner, p, world)) {
        if (old)
            molt_machine_adopt(p);
        return 0;
    }
    int rc = migrate(runner, p, world, is_elsewhere, &migration, &state, fault);
    if (rc == 1)
        adopt(runner, p, &migration, state);
    if (rc >= 0 && old)
        molt_machine_adopt(p);
    return rc < 0 ? rc : 0;
}

/* ---- behind ---------------------------------------------------------------------------- */

/* It is up to date. */
static void catch_up(struct molt_process *p, const struct molt_world *world)
{
    struct molt_world *behind = molt_adopt_behind(p);
    if (behind_word(p) & REPORTED)
        atomic_fetch_sub_explicit(&p->rt->sweep.n_behind, 1, memory_order_relaxed);
    atomic_store_explicit(&p->epoch, molt_adopt_byte(world), memory_order_relaxed);
    set_behind(p, NULL, 0);
    if (behind)
        molt_world_release(behind);
}

static void report_behind(struct molt_process *p, const struct molt_world *world,
                          const struct molt_migration_fault *fault)
{
    char label[128];
    if (behind_word(p) & REPORTED)
        return;
    set_behind(p, world, REPORTED);
    atomic_fetch_add_explicit(&p->rt->sweep.n_behind, 1, memory_order_relaxed);
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_WARN,
                     "%s goes on in world %llu, because it can't be converted: %s; it is tried "
                     "again before each of its callbacks",
                     label, (unsigned long long)world->id, fault->why);
}

/* The world that its blocks fit; it is held as long as it is behind. */
static struct molt_world *fall_behind(struct molt_process *p,
                                      const struct molt_migration_fault *fault)
{
    struct molt_world *world = old_world(p);
    if (world && !molt_adopt_behind(p)) {
        molt_world_hold(world);
        set_behind(p, world, 0);
    }
    if (!world) {
        molt_runtime_log(p->rt, MOLT_ERR, "process %llu fits no world any more: %s",
                         (unsigned long long)molt_process_pid(p), fault->why);
        return NULL;
    }
    atomic_store_explicit(&p->epoch, 0, memory_order_relaxed);
    report_behind(p, world, fault);
    return world;
}

/* The world that @participant is in, whatever it visits. */
static struct molt_world *announced_by(const struct molt_participant *participant)
{
    /* Bit 0 is a mark of molt_code_grace(). */
    uintptr_t world = (uintptr_t)atomic_load_explicit(&participant->world, memory_order_relaxed);
    return (struct molt_world *)(world & ~(uintptr_t)1); /* NOLINT: tagged */
}

void molt_adopt_release(struct molt_process *p, struct molt_world *world)
{
    const struct molt_runner *runner = molt_runner_here();
    const struct molt_world *now = runner ? announced_by(runner->participant) : NULL;
    bool is_behind = !now || atomic_load_explicit(&p->epoch, memory_order_relaxed) == 0 ||
                     molt_world_epoch(now) != molt_world_epoch(world);
    if (is_behind && !molt_adopt_behind(p) && !molt_process_is_supervisor(p))
        set_behind(p, world, 0);
    else
        molt_world_release(world);
}

/* ---- by whom ----------------------------------------------------------------------------- */

struct molt_world *molt_adopt_before(struct molt_worker *w, struct molt_process *p,
                                     struct molt_world *world)
{
    struct molt_migration_fault fault;
    if (molt_process_phase(p) == MOLT_PHASE_NEW ||
        change_over(&w->runner, p, world, false, &fault) == 0) {
        catch_up(p, world);
        p->fiber->act.unfit_epoch = 0;
        return world;
    }
    struct molt_world *old = fall_behind(p, &fault);
    if (!old)
        return NULL;
    struct molt_activation *act = &p->fiber->act;
    molt_world_hold(old);
    molt_worker_count_holding(w, 1);
    act->is_holding_world = act->is_visiting = true;
    act->unfit_epoch = molt_world_epoch(world);
    molt_participant_visit(&w->participant, old);
    return old;
}

void molt_adopt_catch_up(struct molt_worker *w, struct molt_process *p)
{
    struct molt_migration_fault fault;
    struct molt_world *world = announced_by(&w->participant);
    /* What was tried right before the callback isn't tried right after it. */
    if (!molt_adopt_behind(p) || !world || p->fiber->act.unfit_epoch == molt_world_epoch(world))
        return;
    if (change_over(&w->runner, p, world, false, &fault) == 0)
        catch_up(p, world);
    else
        fall_behind(p, &fault);
}

void molt_adopt_after(struct molt_worker *w, struct molt_process *p)
{
    struct molt_activation *act = &p->fiber->act;
    if (!act->is_holding_world)
        return;
    molt_participant_return(&w->participant);
    molt_world_release(molt_adopt_behind(p));
    molt_worker_count_holding(w, -1L);
    act->is_holding_world = act->is_visiting = false;
}

bool molt_adopt_now(struct molt_process *p, struct molt_world *world)
{
    struct molt_migration_fault fault;
    if (molt_process_is_supervisor(p) || !molt_adopt_is_due(p, world))
        return true;
    if (p->fiber) {
        /* Its callback holds a world, and leaves that to it if need be. */
        atomic_store_explicit(&p->epoch, 0, memory_order_relaxed);
        return false;
    }
    if (molt_process_phase(p) != MOLT_PHASE_NEW &&
        change_over(&p->rt->executor, p, world, true, &fault) < 0) {
        fall_behind(p, &fault);
        return false;
    }
    if (molt_process_phase(p) != MOLT_PHASE_NEW)
        catch_up(p, world);
    return true;
}

int molt_adopt_prepare(struct molt_process *p, struct molt_world *world,
                       struct molt_migration_fault *fault)
{
    if (molt_process_is_supervisor(p) || p->fiber || molt_process_phase(p) == MOLT_PHASE_NEW)
        return 0;
    struct molt_runner *runner = &p->rt->executor;
    const struct molt_world *old = old_world(p);
    if (check_machine(p, old ? old : atomic_load(p->rt->current), world, fault) < 0)
        return fault->code;
    molt_adopt_drop_prepared(p, &runner->cache);
    struct molt_prepared *prepared = calloc(1, sizeof(*prepared));
    if (!prepared) {
        *fault = (struct molt_migration_fault){MOLT_ENOMEM, "no memory for a converted state"};
        return MOLT_ENOMEM;
    }
    int rc = migrate(runner, p, world, true, &prepared->migration, &prepared->state, fault);
    if (rc <= 0) {
        free(prepared);
        return rc;
    }
    prepared->at = atomic_load_explicit(&p->n_callbacks, memory_order_relaxed);
    prepared->epoch = molt_world_epoch(world);
    prepared->serial = atomic_load(&p->rt->sweep.serial);
    atomic_store_explicit(&p->prepared, prepared, memory_order_relaxed);
    return 1;
}

void molt_adopt_drop_prepared(struct molt_process *p, struct molt_block_cache *cache)
{
    struct molt_prepared *prepared = prepared_of(p);
    if (!prepared)
        return;
    atomic_store_explicit(&p->prepared, NULL, memory_order_relaxed);
    molt_migration_drop(&prepared->migration, p->rt->heap, cache);
    free(prepared);
}

void molt_adopt_forget(struct molt_process *p, struct molt_block_cache *cache)
{
    molt_adopt_drop_prepared(p, cache);
    struct molt_world *behind = molt_adopt_behind(p);
    if (!behind)
        return;
    if (behind_word(p) & REPORTED)
        atomic_fetch_sub_explicit(&p->rt->sweep.n_behind, 1, memory_order_relaxed);
    set_behind(p, NULL, 0);
    molt_world_release(behind);
}
