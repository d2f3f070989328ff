/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Registered names, and looking them up while they come and go. */
#include "unit/runtime/actors.h"

static struct fake f;
static struct fake_module m;

static int setup(void **state)
{
    (void)state;
    actors_start(&f, &m, 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    actors_stop(&f);
    return 0;
}

static void a_name_leads_to_its_process(void **state)
{
    (void)state;
    molt_pid pid = actor_new(), other = actor_new();
    assert_int_equal(molt_register("one", pid), 0);
    assert_int_equal(molt_whereis("one"), pid);
    assert_int_equal(molt_register("one", other), MOLT_EEXIST);
    assert_int_equal(molt_register("two", pid), MOLT_EEXIST);
    assert_int_equal(molt_register("two", other), 0);
    assert_int_equal(molt_unregister("one"), 0);
    assert_int_equal(molt_whereis("one"), 0);
    assert_int_equal(molt_unregister("one"), MOLT_ENOENT);
    assert_int_equal(molt_register("three", pid), 0);
    assert_int_equal(molt_whereis("three"), pid);
    assert_int_equal(molt_whereis("two"), other);
}

static void an_end_takes_the_name_away(void **state)
{
    (void)state;
    molt_pid pid = actor_new();
    assert_int_equal(molt_register("mortal", pid), 0);
    assert_int_equal(molt_exit(pid, 0), 0);
    fake_await_processes(0);
    assert_int_equal(molt_whereis("mortal"), 0);
    assert_int_equal(molt_register("mortal", pid), MOLT_EDEAD);
    molt_pid heir = actor_new();
    assert_int_equal(molt_register("mortal", heir), 0);
    assert_int_equal(molt_whereis("mortal"), heir);
}

/* ---- readers beside writers ------------------------------------------------------- */

#define NAMES 700 /* more than an index has buckets at first */
#define ROUNDS 6

static molt_pid pids[NAMES];
static atomic_bool is_over;

static void name_of(int i, char *buf, size_t size)
{
    snprintf(buf, size, "name-%d", i);
}

/* What is found is nobody, or the only one who ever has that name. */
static void *look_up(void *arg)
{
    struct molt_thread *thread;
    long *n_wrong = arg;
    if (molt_runtime_thread_register(f.rt, "reader", &thread) < 0) {
        *n_wrong = -1;
        return NULL;
    }
    for (int i = 0; !atomic_load(&is_over); i = (i + 1) % NAMES) {
        char name[32];
        name_of(i, name, sizeof(name));
        molt_pid found = molt_whereis(name);
        *n_wrong += (found != 0 && found != pids[i]) || molt_whereis("lasting") != pids[0];
    }
    molt_thread_unregister(thread);
    return NULL;
}

static void come_and_go(void)
{
    char name[32];
    for (int i = 1; i < NAMES; i++) {
        name_of(i, name, sizeof(name));
        assert_int_equal(molt_register(name, pids[i]), 0);
    }
    for (int i = 1; i < NAMES; i++) {
        name_of(i, name, sizeof(name));
        assert_int_equal(molt_whereis(name), pids[i]);
        assert_int_equal(molt_unregister(name), 0);
    }
}

static void look_ups_are_right_while_names_come_and_go(void **state)
{
    (void)state;
    pthread_t readers[2];
    long n_wrong[2] = {0};
    for (int i = 0; i < NAMES; i++)
        pids[i] = actor_spawn();
    assert_int_equal(molt_register("lasting", pids[0]), 0);
    atomic_store(&is_over, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, look_up, &n_wrong[i]), 0);
    for (int i = 0; i < ROUNDS; i++)
        come_and_go();
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
        assert_int_equal(n_wrong[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_leads_to_its_process, setup, teardown),
        cmocka_unit_test_setup_teardown(an_end_takes_the_name_away, setup, teardown),
        cmocka_unit_test_setup_teardown(look_ups_are_right_while_names_come_and_go, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
