/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The public functions on blocks. */
#include <stdlib.h>

#include "runtime/fiber.h"
#include "runtime/limit.h"
#include "runtime/migrate.h"
#include "runtime/rt.h"
#include "runtime/runner_quick.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

/* Whether @p, which has limits, may have so much more. If it can't live with
 * less, it ends here and now. */
static bool is_allowed(struct molt_process *p, size_t bytes)
{
    if (molt_limit_allows(p, bytes))
        return true;
    if (!molt_limit_is_fatal(p))
        return false;
    molt_limit_report_memory(p, bytes);
    p->fiber->act.fail_reason = MOLT_ELIMIT;
    molt_worker_fail(p);
}

static bool is_registered(const struct molt_runner *runner, const struct molt_type *type,
                          size_t size)
{
    if (type && type->size == size)
        return true;
    molt_runtime_log(runner->rt, MOLT_ERR,
                     "molt_new(): the type is not registered; the code that calls it was not "
                     "loaded as a module");
    return false;
}

static bool is_limited(const struct molt_runner *runner)
{
    const struct molt_process *p = runner->process;
    return p && __builtin_expect(p->bounds != NULL, 0) && !runner->is_converting;
}

__attribute__((noinline)) static void *
new_any(struct molt_runner *runner, const struct molt_type *type, size_t size, size_t count)
{
    size_t bytes;
    if (!is_registered(runner, type, size))
        return NULL;
    if (__builtin_expect(type->flex_size != 0, 0) && count != 1) {
        molt_runtime_log(runner->rt, MOLT_ERR,
                         "molt_new_array(): %s has a flexible array, so there is no array of it: "
                         "use molt_new_flexible()",
                         type->name);
        return NULL;
    }
    if (is_limited(runner) && !__builtin_mul_overflow(size, count, &bytes) &&
        !is_allowed(runner->process, bytes))
        return NULL;
    struct molt_block *block =
        molt_block_make(runner->rt->heap, &runner->cache, molt_runner_owner(runner), type, count);
    if (!block)
        return NULL;
    if (runner->quick_owner)
        runner->known = block;
    return molt_block_payload(block);
}

void *molt_block_new(const struct molt_type *const *tag, size_t size, size_t count)
{
    struct molt_runner *runner = molt_runner_here();
    const struct molt_type *type = *tag;
    if (__builtin_expect(!runner, 0))
        return NULL;
    struct molt_block *block = NULL;
    if (__builtin_expect(runner->quick_owner && count == 1 && type && type->size == size, 1))
        block = molt_block_make_quick(&runner->cache, runner->quick_owner, type);
    if (__builtin_expect(!block, 0))
        return new_any(runner, type, size, count);
    runner->known = block;
    return molt_block_payload(block);
}

void *molt_block_new_flexible(const struct molt_type *const *tag, size_t size, size_t at,
                              size_t element, size_t n)
{
    struct molt_runner *runner = molt_runner_here();
    const struct molt_type *type = *tag;
    size_t bytes;
    if (!runner || !is_registered(runner, type, size))
        return NULL;
    if (type->flex_at != at || type->flex_size != element || element == 0) {
        molt_runtime_log(runner->rt, MOLT_ERR,
                         "molt_new_flexible(): the debug info of %s knows no such flexible array",
                         type->name);
        return NULL;
    }
    if (__builtin_mul_overflow(element, n, &bytes) || __builtin_add_overflow(bytes, at, &bytes))
        return NULL;
    bytes = bytes < size ? size : bytes;
    if (is_limited(runner) && !is_allowed(runner->process, bytes))
        return NULL;
    struct molt_block *block = molt_block_make_bytes(runner->rt->heap, &runner->cache,
                                                     molt_runner_owner(runner), type, bytes);
    return block ? molt_block_payload(block) : NULL;
}

static struct molt_block *find_exact(const struct molt_runner *runner, const void *payload)
{
    struct molt_block *block = molt_heap_find(runner->rt->heap, payload);
    return block && molt_block_payload(block) == payload ? block : NULL;
}

/* Why the caller may not free @block; NULL: it may. */
static const char *refuse_free(const struct molt_runner *runner, const struct molt_block *block)
{
    const struct molt_owner *owner = block ? molt_block_owner(block) : NULL;
    if (!owner)
        return "no block starts there";
    if (runner->process && block == runner->process->state_block)
        return "that is the process's state";
    if (runner->is_converting && owner == &runner->migration->made)
        return "the conversion needs it";
    return "the block belongs to another process";
}

__attribute__((noinline)) static void free_any(struct molt_runner *runner, void *payload)
{
    struct molt_block *block = find_exact(runner, payload);
    const struct molt_process *p = runner->process;
    const struct molt_owner *owner = block ? molt_block_owner(block) : NULL;
    bool is_state = p && block && block == p->state_block;
    if (owner && owner == molt_runner_owner(runner) && !is_state)
        molt_block_drop(runner->rt->heap, &runner->cache, block);
    else if (owner && runner->is_converting && owner == &p->owner && !is_state)
        /* A conversion must leave the old state as it is: the upgrade may yet fail. */
        molt_migration_free_later(runner->migration, block);
    else
        molt_runtime_log(runner->rt, MOLT_ERR, "molt_free(%p): %s; it is left alone", payload,
                         refuse_free(runner, block));
}

void molt_free(void *payload)
{
    struct molt_runner *runner = molt_runner_here();
    if (payload && runner && !molt_runner_free_quick(runner, payload))
        free_any(runner, payload);
}

size_t molt_count(const void *payload)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_block *block = payload && runner ? find_exact(runner, payload) : NULL;
    if (!block)
        return 0;
    struct molt_owner *owner = molt_block_owner(block);
    bool is_mine = owner == molt_runner_owner(runner) ||
                   (runner->process && owner == &runner->process->owner) ||
                   (runner->is_converting && owner == &runner->migration->made);
    return is_mine ? molt_block_count(block) : 0;
}

/* Keeps what @payload reaches, too: half a graph would be of no use. */
int molt_keep(void *payload)
{
    struct molt_runner *runner = molt_runner_here();
    struct molt_process *p = runner ? runner->process : NULL;
    if (!p || runner->is_converting)
        return MOLT_ENOPROC;
    struct molt_block *block = payload ? find_exact(runner, payload) : NULL;
    if (!block || molt_block_owner(block) != &p->owner)
        return MOLT_EOWNER;
    if (block == p->state_block)
        return 0;
    /* Pointers to the state or to others are no obstacle: nothing moves. */
    (void)molt_message_pack(runner->rt->heap, &p->owner, block, p->state_block);
    molt_message_address(block, &p->owner);
    molt_wait_accept(p, block);
    return 0;
}
