/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* How much of their stacks callbacks use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "port/context.h"
#include "port/flow.h"
#include "runtime/fiber.h"

#define KIB ((size_t)1024)
#define STACK (256 * KIB)
#define SLACK (24 * KIB) /* pages of the entry's frames, and what a sanitizer adds */

static struct molt_context self;
static size_t depth;

static void go_deep(void *arg)
{
    (void)arg;
    char *space = __builtin_alloca(depth);
    memset(space, 1, depth);
    __asm__ volatile("" : : "r"(space) : "memory");
}

static void run(struct molt_fiber_pool *pool, size_t bytes)
{
    struct molt_fiber *fiber = molt_fiber_take(pool);
    assert_non_null(fiber);
    depth = bytes;
    fiber->fn = go_deep;
    fiber->is_done = false;
    molt_context_enter(&self, &fiber->context);
    assert_true(fiber->is_done);
    molt_fiber_give(pool, fiber);
}

static int setup(void **state)
{
    static struct molt_fiber_pool pool;
    molt_context_init_thread(&self);
    molt_fiber_pool_init(&pool, NULL, STACK);
    *state = &pool;
    return 0;
}

static int teardown(void **state)
{
    molt_fiber_pool_fini(*state);
    return 0;
}

static void assert_depth(struct molt_fiber_pool *pool, size_t bytes)
{
    size_t deepest = molt_fiber_measure(pool);
    assert_in_range(deepest, bytes, bytes + SLACK);
    assert_int_equal(deepest % 4096, 0);
}

static void an_empty_pool_used_nothing(void **state)
{
    assert_int_equal(molt_fiber_measure(*state), 0);
}

static void the_deepest_stack_is_remembered(void **state)
{
    run(*state, 100 * KIB);
    assert_depth(*state, 100 * KIB);
    run(*state, 10 * KIB);
    assert_depth(*state, 100 * KIB);
    run(*state, 180 * KIB);
    assert_depth(*state, 180 * KIB);
}

/* Beyond those that stay warm: their memory is gone when we look. */
static void a_stack_that_gave_its_memory_back_was_measured_before(void **state)
{
    struct molt_fiber_pool *pool = *state;
    struct molt_fiber *taken[40];
    for (size_t i = 0; i < 40; i++)
        assert_non_null(taken[i] = molt_fiber_take(pool));
    for (size_t i = 0; i < 39; i++)
        molt_fiber_give(pool, taken[i]);
    depth = 120 * KIB;
    taken[39]->fn = go_deep;
    molt_context_enter(&self, &taken[39]->context);
    molt_fiber_give(pool, taken[39]);
    assert_depth(pool, 120 * KIB);
}

/* All are looked at in the end, though not all at once. */
static void many_stacks_are_looked_at_in_turn(void **state)
{
    enum { N = 1500 };
    static struct molt_fiber *taken[N];
    struct molt_fiber_pool *pool = *state;
    for (size_t i = 0; i < N; i++)
        assert_non_null(taken[i] = molt_fiber_take(pool));
    depth = 60 * KIB;
    taken[N - 1]->fn = go_deep;
    molt_context_enter(&self, &taken[N - 1]->context);
    molt_fiber_measure(pool);
    assert_depth(pool, 60 * KIB);
    for (size_t i = 0; i < N; i++)
        molt_fiber_give(pool, taken[i]);
}

static const volatile char *of_module, *of_runtime;

static void wait_in_module(struct molt_fiber *fiber)
{
    volatile char here = 1;
    of_module = &here;
    molt_context_leave(&fiber->context);
    of_module = NULL;
}

static void call_module(void *arg)
{
    struct molt_fiber *fiber = arg;
    volatile char here = 1;
    of_runtime = &here;
    molt_flow_call(&fiber->flow, (molt_flow_fn *)wait_in_module, fiber, NULL, NULL, NULL);
    of_runtime = NULL;
}

static void what_a_callback_uses_ends_where_the_runtime_begins(void **state)
{
    struct molt_fiber *fiber = molt_fiber_take(*state);
    const void *from, *to;
    assert_non_null(fiber);
    fiber->fn = call_module;
    fiber->arg = fiber;
    fiber->is_done = false;
    molt_context_enter(&self, &fiber->context);
    assert_false(fiber->is_done);
    molt_fiber_used(fiber, &from, &to);
    assert_in_range((uintptr_t)of_module, (uintptr_t)from, (uintptr_t)to - 1);
    assert_true((uintptr_t)of_runtime >= (uintptr_t)to);
    molt_context_enter(&self, &fiber->context);
    assert_true(fiber->is_done);
    molt_fiber_give(*state, fiber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_pool_used_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_deepest_stack_is_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stack_that_gave_its_memory_back_was_measured_before,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(many_stacks_are_looked_at_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_callback_uses_ends_where_the_runtime_begins, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("fiber", tests, NULL, NULL);
}
