/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Turns: what is kept apart as the next process, batches of turns on one stack, and
 * workers that go to sleep.
 */
#include "unit/runtime/fake_world.h"

#include <sched.h>

#include "runtime/lane.h"
#include "runtime/rt.h"

enum { DONE, RAN, LOOKED };

static struct fake_module module;

/* ---- the next process ------------------------------------------------------------- */

static void note_run(void *arg)
{
    (void)arg;
    fake_add(RAN, 1);
}

/* Its child is the next one in this lane, and this worker doesn't come to it before it
 * has run. Nothing can preempt the test's own code. */
static void start_child_and_wait_for_it(void *arg)
{
    (void)arg;
    assert_int_equal(molt_spawn("runner", "child", NULL, NULL), 0);
    assert_int_equal(fake_post("child", note_run, NULL, DONE), 0);
    fake_await(RAN, 1);
}

/* A spare worker gets the lane, or another one steals what was put into its queue. */
static void what_is_next_runs_elsewhere_if_a_turn_lasts(void **state)
{
    (void)state;
    assert_int_equal(fake_post("first", start_child_and_wait_for_it, NULL, DONE), 0);
    fake_await(DONE, 2);
}

/* Two are made ready: one is next, the other one is in the queue. */
static void start_two_and_wait_for_them(void *arg)
{
    (void)arg;
    assert_int_equal(molt_spawn("runner", "child", NULL, NULL), 0);
    assert_int_equal(molt_spawn("runner", "other", NULL, NULL), 0);
    assert_int_equal(fake_post("child", note_run, NULL, DONE), 0);
    assert_int_equal(fake_post("other", note_run, NULL, DONE), 0);
    fake_await(RAN, 2);
}

static void so_does_what_is_behind_it(void **state)
{
    (void)state;
    assert_int_equal(fake_post("first", start_two_and_wait_for_them, NULL, DONE), 0);
    fake_await(DONE, 3);
}

/* Who computes for long and then makes something ready has it next all the same. */
static void compute_in_pieces(void *arg)
{
    for (int i = 0; i < 20; i++) {
        unsigned tick = atomic_load(&fake_here->rt->tick);
        assert_int_equal(fake_post("second", note_run, NULL, DONE), 0);
        while (atomic_load(&fake_here->rt->tick) - tick < 2)
            sched_yield();
    }
    (void)arg;
}

static void nothing_that_is_moved_away_runs_twice(void **state)
{
    (void)state;
    assert_int_equal(fake_post("first", compute_in_pieces, NULL, DONE), 0);
    fake_await(DONE, 21);
    assert_int_equal(fake_get(RAN), 20);
    assert_int_equal(fake_get(DONE), 21);
}

/* ---- batches on one stack ----------------------------------------------------------- */

#define MANY 40

static _Atomic uintptr_t looked_at[MANY]; /* where callbacks had a local variable */

static void look_at_stack(void *arg)
{
    volatile char here = 0;
    atomic_store((_Atomic uintptr_t *)arg, (uintptr_t)&here);
    fake_add(LOOKED, 1);
}

static bool is_same_stack(int i, int k)
{
    uintptr_t a = atomic_load(&looked_at[i]), b = atomic_load(&looked_at[k]);
    return (a < b ? b - a : a - b) < (uintptr_t)16 * 1024;
}

static bool has_handed_over(void)
{
    struct molt_runtime_stats stats;
    molt_runtime_stats(fake_here->rt, &stats);
    return stats.handovers > 0;
}

static void post_to_many(void (*fn)(void *))
{
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        assert_int_equal(fake_post(name, fn, &looked_at[i], DONE), 0);
    }
}

static void have_many_look(void *arg)
{
    (void)arg;
    post_to_many(look_at_stack);
}

static void spawn_many(void)
{
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        assert_int_equal(molt_spawn("runner", name, NULL, NULL), 0);
    }
}

static void who_does_not_wait_shares_a_stack(void **state)
{
    (void)state;
    spawn_many();
    assert_int_equal(fake_post("first", have_many_look, NULL, DONE), 0);
    fake_await(DONE, MANY + 1);
    if (has_handed_over()) /* a spare worker has stacks of its own */
        return;
    /* One worker, one floor after the other, each the stack that was parked last. */
    for (int i = 1; i < MANY; i++)
        assert_true(is_same_stack(i, 0));
}

/* Each waits in the middle, with something on its stack. */
static void wait_in_the_middle(void *arg)
{
    uintptr_t mine[8];
    _Atomic uintptr_t *at = arg;
    for (uintptr_t i = 0; i < 8; i++)
        mine[i] = (uintptr_t)arg + i;
    atomic_store(at, (uintptr_t)mine);
    fake_add(LOOKED, 1);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(molt_sleep(round), 0);
        for (uintptr_t i = 0; i < 8; i++)
            assert_int_equal(mine[i], (uintptr_t)arg + i);
        assert_int_equal(atomic_load(at), (uintptr_t)mine);
    }
}

static void have_many_wait(void *arg)
{
    (void)arg;
    post_to_many(wait_in_the_middle);
    post_to_many(note_run); /* mail that is handled on that stack, when it is no floor */
}

static void who_waits_takes_its_stack_along(void **state)
{
    (void)state;
    spawn_many();
    assert_int_equal(fake_post("first", have_many_wait, NULL, DONE), 0);
    fake_await(LOOKED, MANY);
    fake_await(DONE, 2 * MANY + 1);
    assert_int_equal(fake_get(RAN), MANY);
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < i; k++)
            assert_false(is_same_stack(i, k));
}

/* ---- going to sleep ------------------------------------------------------------------ */

#define ROUNDS 2000

static atomic_int n_left;

static char first[] = "first", second[] = "second";

/* The two are in different lanes, so each wakes the other one's worker. */
static void ping(void *arg)
{
    char *to = arg;
    if (atomic_fetch_sub(&n_left, 1) > 0)
        assert_int_equal(fake_post(to, ping, to == first ? second : first, DONE), 0);
}

/* No event tells that all sleep: the monitor's tick is the last that stops. */
static void await_sleep(void)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    const struct molt_runtime *rt = fake_here->rt;
    while (!atomic_load(&rt->monitor.is_parked)) {
        if (molt_clock_ns() > deadline)
            fail_msg("the monitor is awake: %u of %u workers sleep", atomic_load(&rt->n_asleep),
                     rt->n_workers);
        sched_yield();
    }
    assert_int_equal(atomic_load(&rt->n_asleep), rt->n_workers);
    for (unsigned i = 0; i < rt->n_workers; i++)
        assert_true(atomic_load(&rt->lanes[i].is_asleep));
}

static void when_load_has_ended_all_threads_sleep(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        atomic_store(&n_left, ROUNDS);
        long before = fake_get(DONE);
        assert_int_equal(fake_post(first, ping, second, DONE), 0);
        fake_await(DONE, before + ROUNDS + 1);
        await_sleep();
    }
}

/* ---- fixture ---- */

static int setup(void **state, unsigned workers)
{
    static struct fake f;
    static struct molt_thread *thread;
    fake_init(&f, workers);
    fake_module_init(&module, "turns", 1);
    fake_runner(&module, "runner");
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    assert_int_equal(molt_spawn("runner", "first", NULL, NULL), 0);
    assert_int_equal(molt_spawn("runner", "second", NULL, NULL), 0);
    *state = thread;
    return 0;
}

static int setup_one(void **state)
{
    return setup(state, 1);
}

static int setup_two(void **state)
{
    return setup(state, 2);
}

static int teardown(void **state)
{
    molt_thread_unregister(*state);
    fake_fini(fake_here);
    return 0;
}

#define ON_ONE(name) cmocka_unit_test_setup_teardown(name, setup_one, teardown)
#define ON_TWO(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ONE(what_is_next_runs_elsewhere_if_a_turn_lasts),
        ON_TWO(what_is_next_runs_elsewhere_if_a_turn_lasts),
        ON_ONE(so_does_what_is_behind_it),
        ON_TWO(so_does_what_is_behind_it),
        ON_ONE(nothing_that_is_moved_away_runs_twice),
        ON_TWO(nothing_that_is_moved_away_runs_twice),
        ON_ONE(who_does_not_wait_shares_a_stack),
        ON_ONE(who_waits_takes_its_stack_along),
        ON_TWO(who_waits_takes_its_stack_along),
        ON_TWO(when_load_has_ended_all_threads_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
