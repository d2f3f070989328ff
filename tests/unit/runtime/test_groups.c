/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/actors.h"

#include "runtime/rt.h"

static struct fake_module module;

static int count(const char *group)
{
    return molt_group_members(group, NULL, 0);
}

static void members_are_listed_in_the_order_of_joining(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new(), c = actor_new(), pids[4] = {0};
    assert_int_equal(count("g"), 0);
    assert_int_equal(molt_group_join("g", b), 0);
    assert_int_equal(molt_group_join("g", a), 0);
    assert_int_equal(molt_group_join("g", c), 0);
    assert_int_equal(molt_group_join("h", a), 0);
    assert_int_equal(molt_group_members("g", pids, 4), 3);
    assert_int_equal(pids[0], b);
    assert_int_equal(pids[1], a);
    assert_int_equal(pids[2], c);
    assert_int_equal(pids[3], 0);
    /* No more are stored than there is room for. */
    pids[1] = 0;
    assert_int_equal(molt_group_members("g", pids, 1), 3);
    assert_int_equal(pids[1], 0);
    assert_int_equal(molt_group_leave("g", a), 0);
    assert_int_equal(molt_group_join("g", a), 0);
    assert_int_equal(molt_group_members("g", pids, 4), 3);
    assert_int_equal(pids[2], a);
    assert_int_equal(count("h"), 1);
}

static void a_process_that_ends_leaves_its_groups(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new(), left = 0;
    assert_int_equal(molt_group_join("g", a), 0);
    assert_int_equal(molt_group_join("h", a), 0);
    assert_int_equal(molt_group_join("g", b), 0);
    assert_int_equal(molt_exit(a, MOLT_EKILLED), 0);
    fake_await_processes(1);
    assert_int_equal(molt_group_members("g", &left, 1), 1);
    assert_int_equal(left, b);
    assert_int_equal(count("h"), 0);
    actor_new(); /* in the same slot, perhaps: it has joined nothing */
    assert_int_equal(count("g"), 1);
}

static void bad_uses_are_named(void **state)
{
    (void)state;
    char longest[MOLT_NAME_MAX], too_long[MOLT_NAME_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    memset(too_long, 'x', sizeof(too_long));
    longest[sizeof(longest) - 1] = too_long[sizeof(too_long) - 1] = '\0';
    molt_pid a = actor_new(), pid;
    assert_int_equal(molt_group_join(longest, a), 0);
    assert_int_equal(molt_group_join(longest, a), MOLT_EEXIST);
    assert_int_equal(count(longest), 1);
    assert_int_equal(molt_group_join(too_long, a), MOLT_EINVAL);
    assert_int_equal(molt_group_join("", a), MOLT_EINVAL);
    assert_int_equal(molt_group_join(NULL, a), MOLT_EINVAL);
    assert_int_equal(molt_group_leave(NULL, a), MOLT_EINVAL);
    assert_int_equal(molt_group_members(NULL, &pid, 1), MOLT_EINVAL);
    assert_int_equal(molt_group_members("g", NULL, 1), MOLT_EINVAL);
    assert_int_equal(molt_group_leave("g", a), MOLT_ENOENT);
    assert_int_equal(molt_group_join("g", 0), MOLT_EDEAD);
    assert_int_equal(molt_group_join("g", a + (UINT64_C(1) << MOLT_SLOT_BITS)), MOLT_EDEAD);
    assert_int_equal(count("g"), 0);
}

static void *use_from_outside(void *arg)
{
    (void)arg;
    molt_pid pid;
    assert_int_equal(molt_group_join("g", 1), MOLT_ENOPROC);
    assert_int_equal(molt_group_leave("g", 1), MOLT_ENOPROC);
    assert_int_equal(molt_group_members("g", &pid, 1), MOLT_ENOPROC);
    return NULL;
}

static void an_unknown_thread_has_no_groups(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, use_from_outside, NULL), 0);
    pthread_join(thread, NULL);
}

/* ---- many, at the same time ------------------------------------------------------- */

#define THREADS 3
#define ROUNDS 300

static atomic_ullong mortals[THREADS][ROUNDS];

/* Each process joins groups of its own and a common one, while others end. */
static void *join_and_end(void *arg)
{
    size_t t = (size_t)(uintptr_t)arg;
    struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(fake_here->rt, "joiner", &thread), 0);
    for (int i = 0; i < ROUNDS; i++) {
        char own[32];
        snprintf(own, sizeof(own), "own %zu.%d", t, i);
        molt_pid pid = actor_spawn();
        atomic_store(&mortals[t][i], pid);
        assert_int_equal(molt_group_join(own, pid), 0);
        assert_int_equal(molt_group_join("all", pid), 0);
        molt_pid other = mortals[t ? t - 1 : THREADS - 1][i / 2];
        int rc = molt_group_join("guests", other);
        assert_true(rc == 0 || rc == MOLT_EDEAD || rc == MOLT_EEXIST);
        if (i % 3 == 0)
            assert_int_equal(molt_group_leave("all", pid), 0);
        else if (i % 3 == 1)
            assert_int_equal(molt_exit(pid, MOLT_EIO), 0);
        molt_safepoint(thread);
    }
    molt_thread_unregister(thread);
    return NULL;
}

static void members_are_exact_when_all_is_quiet(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    memset(mortals, 0, sizeof(mortals));
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, join_and_end, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fake_await_processes((size_t)(THREADS * ROUNDS * 2 / 3));
    assert_int_equal(count("all"), THREADS * ROUNDS / 3);
    static molt_pid pids[THREADS * ROUNDS];
    int n = molt_group_members("guests", pids, THREADS * ROUNDS);
    for (int i = 0; i < n; i++)
        assert_non_null(molt_process_find(fake_here->rt, pids[i]));
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < ROUNDS; i++)
            (void)molt_exit(mortals[t][i], 0);
    fake_await_processes(0);
    assert_int_equal(count("all"), 0);
    assert_int_equal(fake_here->rt->groups.n_groups, 0);
    assert_int_equal(fake_here->rt->groups.n_rolls, 0);
}

/* A process in very many groups, and a group of very many, cost no search. */
static void large_rolls_and_groups_are_no_matter(void **state)
{
    (void)state;
    enum { N = 20000 };
    char name[32];
    molt_pid a = actor_new();
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "group %d", i);
        assert_int_equal(molt_group_join(name, a), 0);
        assert_int_equal(molt_group_join("crowd", actor_spawn()), 0);
    }
    assert_int_equal(molt_group_join("crowd", a), 0);
    assert_int_equal(count("crowd"), N + 1);
    assert_int_equal(molt_exit(a, 0), 0);
    fake_await_processes(N);
    assert_int_equal(fake_here->rt->groups.n_groups, 1);
    assert_int_equal(count("crowd"), N);
}

/* ---- fixture ---- */

static int setup(void **state)
{
    static struct fake f;
    actors_start(&f, &module, 2);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    actors_stop(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_are_listed_in_the_order_of_joining),
        TEST(a_process_that_ends_leaves_its_groups),
        TEST(bad_uses_are_named),
        TEST(an_unknown_thread_has_no_groups),
        TEST(members_are_exact_when_all_is_quiet),
        TEST(large_rolls_and_groups_are_no_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
