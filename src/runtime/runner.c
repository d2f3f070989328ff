/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/runner.h"

#include "runtime/message.h"
#include "runtime/migrate.h"
#include "runtime/rt.h"
#include "runtime/runner_quick.h"

/* Initial-exec: no call to find it, also in a shared library. */
static __thread struct molt_runner *here __attribute__((tls_model("initial-exec")));

struct molt_runner *molt_runner_here(void)
{
    return here;
}

struct molt_runner *molt_runner_set(struct molt_runner *runner)
{
    struct molt_runner *before = here;
    here = runner;
    return before;
}

void molt_runner_init(struct molt_runner *runner, struct molt_runtime *rt,
                      struct molt_participant *participant)
{
    *runner = (struct molt_runner){.rt = rt, .participant = participant};
    molt_owner_init(&runner->outside.owner);
    molt_block_cache_join(rt->heap, &runner->cache);
    molt_slot_cache_join(&rt->table, &runner->slots);
}

void molt_runner_fini(struct molt_runner *runner)
{
    if (!runner->rt)
        return;
    molt_block_drop_list(runner->rt->heap, &runner->cache, &runner->outside.owner.blocks);
    molt_block_cache_leave(runner->rt->heap, &runner->cache);
    molt_slot_cache_leave(&runner->rt->table, &runner->slots);
    runner->rt = NULL;
}

struct molt_owner *molt_runner_owner(struct molt_runner *runner)
{
    if (!runner->process)
        return &runner->outside.owner;
    struct molt_process *p = runner->process;
    return runner->is_converting ? &runner->migration->written : &p->owner;
}

struct molt_world *molt_runner_world(const struct molt_runner *runner)
{
    struct molt_world *running =
        runner->process ? atomic_load_explicit(&runner->process->world, memory_order_relaxed)
                        : NULL;
    if (running)
        return running;
    /* Bit 0 is a mark of molt_code_grace(). */
    struct molt_world *world =
        atomic_load_explicit(&runner->participant->world, memory_order_relaxed);
    return (struct molt_world *)((uintptr_t)world & ~(uintptr_t)1); /* NOLINT: tagged */
}

static void report_foreign(const struct molt_runner *runner, const void *payload)
{
    const char *who = runner->process ? "a process" : "a thread";
    molt_runtime_log(runner->rt, MOLT_ERR,
                     "%s sends %p, which leads to a block of another process, or to none; it is "
                     "refused: send copies of what belongs to others",
                     who, payload);
}

void molt_runner_drop(struct molt_runner *runner, struct molt_block *root)
{
    molt_message_drop(runner->rt->heap, &runner->cache, root);
}

/* What can't be sent: the state of the process. */
static const struct molt_block *pinned_block(const struct molt_runner *runner)
{
    const struct molt_process *p = runner->process;
    return p ? p->state_block : NULL;
}

static int take_any(struct molt_runner *runner, void *payload, struct molt_block **ret_root)
{
    if (!payload)
        return MOLT_EINVAL;
    struct molt_block *block = molt_heap_find(runner->rt->heap, payload);
    struct molt_owner *owner = molt_runner_owner(runner);
    const struct molt_block *pinned = pinned_block(runner);
    if (!block || molt_block_owner(block) != owner || molt_block_payload(block) != payload) {
        report_foreign(runner, payload);
        return block && molt_block_payload(block) == payload ? MOLT_EOWNER : MOLT_EINVAL;
    }
    if (block == pinned) {
        report_foreign(runner, payload);
        return MOLT_EINVAL;
    }
    int rc = molt_message_pack(runner->rt->heap, owner, block, pinned);
    if (rc < 0) {
        report_foreign(runner, payload);
        molt_runner_drop(runner, block);
        return rc;
    }
    /* Seq_cst: pairs with turn() of scan.c, through a grace period. */
    if (__builtin_expect(atomic_load(&runner->rt->scan.is_on), 0))
        molt_scan_message(&runner->rt->scan, block);
    *ret_root = block;
    return 0;
}

int molt_runner_take(struct molt_runner *runner, void *payload, struct molt_block **ret_root)
{
    struct molt_block *block = molt_runner_take_quick(runner, payload);
    if (__builtin_expect(!block, 0))
        return take_any(runner, payload, ret_root);
    block->link.prev = block->link.next = NULL;
    block->envelope = 0;
    *ret_root = block;
    return 0;
}
