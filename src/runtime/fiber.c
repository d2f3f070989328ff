/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "port/limits.h"
#include "port/touched.h"

#define PAGE ((size_t)4096)

/* Parked fibers beyond the first give their deeper pages back, beyond the
 * second they are unmapped. */
#define PARKED_WARM MOLT_LIMIT(16, 1)
#define PARKED_MAX MOLT_LIMIT(256, 2)

#define MEASURED_MAX 1024 /* stacks a call */
#define MEASURED_BATCH 32 /* and while the lock is held: about as many microseconds */
#define HUGE_PAGE ((size_t)2 << 20)

static void entry(void *arg)
{
    struct molt_fiber *fiber = arg;
    for (;;) {
        fiber->fn(fiber->arg);
        fiber->is_done = true;
        molt_context_leave(&fiber->context);
    }
}

static char *stack_of(const struct molt_fiber *fiber)
{
    return (char *)fiber->map + PAGE;
}

static size_t stack_bytes_of(const struct molt_fiber *fiber)
{
    return fiber->map_bytes - PAGE;
}

/* ---- how deep they go --------------------------------------------------------- */

static void note_depth(struct molt_fiber_pool *pool, const struct molt_fiber *fiber)
{
    size_t bytes = molt_port_touched_below(stack_of(fiber), stack_bytes_of(fiber));
    size_t deepest = atomic_load_explicit(&pool->deepest, memory_order_relaxed);
    while (bytes > deepest &&
           !atomic_compare_exchange_weak_explicit(&pool->deepest, &deepest, bytes,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static size_t measure_batch(struct molt_fiber_pool *pool, size_t n)
{
    size_t done = 0;
    pthread_mutex_lock(&pool->lock);
    for (; done < n && !molt_list_is_empty(&pool->all); done++) {
        struct molt_list *first = pool->all.next;
        note_depth(pool, molt_container_of(first, struct molt_fiber, all));
        molt_list_unlink(first);
        molt_list_append(&pool->all, first);
    }
    pthread_mutex_unlock(&pool->lock);
    return done;
}

size_t molt_fiber_measure(struct molt_fiber_pool *pool)
{
    size_t left = atomic_load_explicit(&pool->n_fibers, memory_order_relaxed);
    left = left < MEASURED_MAX ? left : MEASURED_MAX;
    while (left) {
        size_t n = left < MEASURED_BATCH ? left : MEASURED_BATCH;
        left = measure_batch(pool, n) < n ? 0 : left - n;
    }
    return atomic_load_explicit(&pool->deepest, memory_order_relaxed);
}

/* ---- life ----------------------------------------------------------------------- */

static void enlist(struct molt_fiber_pool *pool, struct molt_fiber *fiber)
{
    pthread_mutex_lock(&pool->lock);
    molt_list_append(&pool->all, &fiber->all);
    pthread_mutex_unlock(&pool->lock);
    atomic_fetch_add_explicit(&pool->n_fibers, 1, memory_order_relaxed);
}

static struct molt_fiber *make(struct molt_fiber_pool *pool)
{
    struct molt_fiber *fiber = calloc(1, sizeof(*fiber));
    if (!fiber)
        return NULL;
    fiber->map_bytes = pool->stack_bytes + PAGE;
    fiber->map = mmap(NULL, fiber->map_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (fiber->map == MAP_FAILED) {
        free(fiber);
        return NULL;
    }
    if (mprotect(fiber->map, PAGE, PROT_NONE) < 0) {
        munmap(fiber->map, fiber->map_bytes);
        free(fiber);
        return NULL;
    }
    /* Pages that come 512 at a time would cost more, and tell nothing of the depth. */
    if (fiber->map_bytes > HUGE_PAGE)
        madvise(fiber->map, fiber->map_bytes, MADV_NOHUGEPAGE);
    molt_list_init(&fiber->link);
    molt_list_init(&fiber->act.arrived);
    fiber->act.worker = pool->worker;
    fiber->flow = (struct molt_flow){.context = &fiber->context, .guard_bytes = PAGE};
    molt_context_init(&fiber->context, stack_of(fiber), stack_bytes_of(fiber), entry, fiber);
    enlist(pool, fiber);
    return fiber;
}

static void destroy(struct molt_fiber_pool *pool, struct molt_fiber *fiber)
{
    molt_context_fini(&fiber->context);
    pthread_mutex_lock(&pool->lock);
    molt_list_unlink(&fiber->all);
    pthread_mutex_unlock(&pool->lock);
    note_depth(pool, fiber);
    munmap(fiber->map, fiber->map_bytes);
    free(fiber);
    atomic_fetch_sub_explicit(&pool->n_fibers, 1, memory_order_relaxed);
}

void molt_fiber_pool_init(struct molt_fiber_pool *pool, struct molt_worker *worker,
                          size_t stack_bytes)
{
    pool->worker = worker;
    molt_list_init(&pool->parked);
    pool->n_parked = 0;
    atomic_init(&pool->n_fibers, 0);
    pthread_mutex_init(&pool->lock, NULL);
    molt_list_init(&pool->all);
    atomic_init(&pool->deepest, 0);
    pool->stack_bytes = (stack_bytes + PAGE - 1) & ~(PAGE - 1);
}

void molt_fiber_pool_fini(struct molt_fiber_pool *pool)
{
    molt_list_each (node, tmp, &pool->parked)
        destroy(pool, molt_container_of(node, struct molt_fiber, link));
    molt_list_init(&pool->parked);
    pool->n_parked = 0;
    pthread_mutex_destroy(&pool->lock);
}

struct molt_fiber *molt_fiber_take(struct molt_fiber_pool *pool)
{
    if (molt_list_is_empty(&pool->parked))
        return make(pool);
    /* The last one parked: its pages are warm. */
    struct molt_fiber *fiber = molt_container_of(pool->parked.prev, struct molt_fiber, link);
    molt_list_unlink(&fiber->link);
    pool->n_parked--;
    return fiber;
}

void molt_fiber_give(struct molt_fiber_pool *pool, struct molt_fiber *fiber)
{
    if (pool->n_parked >= PARKED_MAX) {
        destroy(pool, fiber);
        return;
    }
    /* The entry loop's frame is in the topmost pages. */
    if (pool->n_parked >= PARKED_WARM && stack_bytes_of(fiber) > 2 * PAGE) {
        note_depth(pool, fiber);
        madvise(stack_of(fiber), stack_bytes_of(fiber) - 2 * PAGE, MADV_DONTNEED);
    }
    molt_list_append(&pool->parked, &fiber->link);
    pool->n_parked++;
}

void molt_fiber_abandon(struct molt_fiber_pool *pool, struct molt_fiber *fiber)
{
    molt_context_fini(&fiber->context);
    molt_context_init(&fiber->context, stack_of(fiber), stack_bytes_of(fiber), entry, fiber);
    fiber->flow.entry_sp = 0;
    molt_fiber_give(pool, fiber);
}

void molt_fiber_used(const struct molt_fiber *fiber, const void **ret_from, const void **ret_to)
{
    *ret_from = fiber->context.sp;
    *ret_to = fiber->flow.entry_sp ? (const void *)fiber->flow.entry_sp /* NOLINT: an address */
                                   : stack_of(fiber) + stack_bytes_of(fiber);
}
