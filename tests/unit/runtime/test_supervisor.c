/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

enum { STARTED, ENDED };

struct end {
    int reason;
};
FAKE_TYPE(end, struct end, 0x41);

static int child_init(struct fake_state *s, const struct end *arg)
{
    s->n = arg ? arg->reason : 0;
    fake_add(STARTED, 1);
    return s->n < 0 ? (int)s->n : 0;
}

static int child_end(struct fake_state *s, struct end *m)
{
    (void)s;
    return m->reason ? m->reason : molt_exit(molt_self(), 0);
}

static void child_terminate(struct fake_state *s, int reason)
{
    (void)s;
    (void)reason;
    fake_add(ENDED, 1);
}

static long order;

static void ordered_terminate(struct fake_state *s, int reason)
{
    child_terminate(s, reason);
    order = fake_get(ENDED);
}

static struct fake_module module;

static struct fake_server *server(const char *name)
{
    struct fake_server *s = fake_server(&module, name, &fake_state_type);
    s->desc.init = MOLT_FN(child_init);
    s->desc.terminate = MOLT_FN(child_terminate);
    fake_on(s, MOLT_HANDLER_CAST, &end_type, MOLT_FN(child_end));
    return s;
}

static int setup(void **state)
{
    static struct fake f;
    fake_init(&f, 2);
    fake_module_init(&module, "app", 1);
    server("one");
    server("two")->desc.terminate = MOLT_FN(ordered_terminate);
    module.n_supervisors = 1;
    module.supervisors[0] = (struct molt_supervisor){.size = sizeof(struct molt_supervisor),
                                                     .name = "app",
                                                     .intensity = 3,
                                                     .period_ms = 60000};
    *state = &f;
    return 0;
}

static void child(size_t i, const char *id, const char *server_name, uint32_t restart)
{
    module.supervisors[0].child[i] =
        (struct molt_child){.id = id, .server = server_name, .restart = restart};
}

static void start(struct fake *f)
{
    struct molt_error err = {0};
    fake_publish(f, &module);
    assert_int_equal(molt_runtime_start(f->rt, "app", &err), 0);
    static struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f->rt, "test", &thread), 0);
}

static int teardown(void **state)
{
    struct molt_runner *here = molt_runner_here();
    if (here)
        molt_thread_unregister(molt_container_of(here, struct molt_thread, runner));
    fake_fini(*state);
    return 0;
}

static void end_child(const char *name, int reason)
{
    struct end *m = fake_new(struct end, end);
    m->reason = reason;
    assert_int_equal(molt_send(name, m), 0);
}

static void await_exit(struct fake *f)
{
    struct timespec until = fake_until(FAKE_PATIENCE_MS);
    int rc = 0;
    pthread_mutex_lock(&f->lock);
    while (rc == 0 && f->n_root_exits == 0)
        rc = pthread_cond_timedwait(&f->changed, &f->lock, &until);
    assert_int_equal(f->n_root_exits, 1);
    pthread_mutex_unlock(&f->lock);
}

static void a_permanent_child_is_restarted_under_its_name(void **state)
{
    child(0, "first", "one", MOLT_PERMANENT);
    child(1, "second", "two", MOLT_PERMANENT);
    start(*state);
    fake_await(STARTED, 2);
    molt_pid before = molt_whereis("first"), other = molt_whereis("second");
    assert_true(before && other);
    end_child("first", MOLT_EIO);
    fake_await(STARTED, 3);
    end_child("first", 0); /* also when it ends normally */
    fake_await(STARTED, 4);
    assert_int_equal(fake_get(ENDED), 2);
    assert_true(molt_whereis("first") != before);
    assert_int_equal(molt_whereis("second"), other);
}

static void a_transient_child_may_end_normally(void **state)
{
    child(0, "first", "one", MOLT_TRANSIENT);
    start(*state);
    fake_await(STARTED, 1);
    end_child("first", MOLT_EIO);
    fake_await(STARTED, 2);
    end_child("first", 0);
    fake_await_processes(1);
    assert_int_equal(fake_get(STARTED), 2);
}

static void a_temporary_child_is_never_restarted(void **state)
{
    child(0, "first", "one", MOLT_TEMPORARY);
    start(*state);
    fake_await(STARTED, 1);
    end_child("first", MOLT_EIO);
    fake_await_processes(1);
    assert_int_equal(fake_get(STARTED), 1);
}

static void too_many_restarts_end_the_root(void **state)
{
    struct fake *f = *state;
    child(0, "first", "one", MOLT_PERMANENT);
    child(1, "second", "two", MOLT_PERMANENT);
    start(f);
    for (long i = 0; i < 4; i++) {
        fake_await(STARTED, 2 + i);
        end_child("first", MOLT_EIO);
    }
    await_exit(f);
    assert_int_equal(f->root_reason, MOLT_ELIMIT);
    assert_int_equal(fake_get(STARTED), 5);
    fake_await_log("ended too often");
    fake_await_processes(0);
}

static int bad_arg(void **ret)
{
    struct end *arg = fake_new(struct end, end);
    arg->reason = MOLT_EREFUSED;
    *ret = arg;
    return 0;
}

static void a_child_whose_first_init_fails_ends_the_tree(void **state)
{
    struct fake *f = *state;
    child(0, "first", "one", MOLT_PERMANENT);
    child(1, "second", "one", MOLT_PERMANENT);
    child(2, "third", "one", MOLT_PERMANENT);
    module.supervisors[0].child[1].arg = bad_arg;
    module.servers[0].init_type = &end_type;
    start(f);
    await_exit(f);
    assert_int_equal(f->root_reason, MOLT_EREFUSED);
    assert_int_equal(fake_get(STARTED), 2); /* the third never began */
    assert_int_equal(fake_get(ENDED), 1);
}

static _Atomic(int) n_good_args;

static int once_good_arg(void **ret)
{
    if (n_good_args-- > 0)
        return 0;
    return bad_arg(ret);
}

static void a_restart_that_fails_is_tried_again_and_counts(void **state)
{
    struct fake *f = *state;
    child(0, "first", "one", MOLT_PERMANENT);
    n_good_args = 1;
    module.supervisors[0].child[0].arg = once_good_arg;
    module.servers[0].init_type = &end_type;
    start(f);
    end_child("first", MOLT_EIO);
    await_exit(f);
    assert_int_equal(f->root_reason, MOLT_ELIMIT);
    assert_int_equal(fake_get(STARTED), 4);
    assert_int_equal(fake_get(ENDED), 1);
}

static void children_end_last_to_first(void **state)
{
    struct fake *f = *state;
    child(0, "first", "two", MOLT_PERMANENT);
    child(1, "second", "one", MOLT_PERMANENT);
    child(2, "third", "one", MOLT_PERMANENT);
    start(f);
    fake_await(STARTED, 3);
    order = 0;
    assert_int_equal(molt_runtime_stop(f->rt, FAKE_PATIENCE_MS), 0);
    assert_int_equal(fake_get(ENDED), 3);
    assert_int_equal(order, 3); /* the first is the last */
    assert_int_equal(f->root_reason, MOLT_ESHUTDOWN);
}

static void an_unknown_root_is_named(void **state)
{
    struct fake *f = *state;
    struct molt_error err = {0};
    fake_publish(f, &module);
    assert_int_equal(molt_runtime_start(f->rt, "nobody", &err), MOLT_ENOENT);
    assert_non_null(strstr(err.text, "nobody"));
}

static void a_new_specification_starts_its_new_children(void **state)
{
    struct fake *f = *state;
    child(0, "first", "one", MOLT_PERMANENT);
    start(f);
    fake_await(STARTED, 1);
    static struct fake_module next;
    next = module;
    next.version.desc = &next.desc;
    next.version.n_worlds = 0;
    next.supervisors[0].child[1] = (struct molt_child){.id = "second", .server = "two"};
    fake_publish(f, &next);
    molt_runtime_reconcile(f->rt);
    fake_await(STARTED, 2);
    assert_true(molt_whereis("second"));
    molt_runtime_reconcile(f->rt);
    end_child("second", MOLT_EIO);
    fake_await(STARTED, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_permanent_child_is_restarted_under_its_name),
        TEST(a_transient_child_may_end_normally),
        TEST(a_temporary_child_is_never_restarted),
        TEST(too_many_restarts_end_the_root),
        TEST(a_child_whose_first_init_fails_ends_the_tree),
        TEST(a_restart_that_fails_is_tried_again_and_counts),
        TEST(children_end_last_to_first),
        TEST(an_unknown_root_is_named),
        TEST(a_new_specification_starts_its_new_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
