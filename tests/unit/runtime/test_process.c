/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

#include <errno.h>

enum { DONE, TERMINATED, SEEN, FREED, OTHER };

struct next {
    long by;
};
struct total {
    long n;
};
struct odd {
    char text[8];
};
FAKE_TYPE(next, struct next, 0x11);
FAKE_TYPE(total, struct total, 0x12);
FAKE_TYPE(odd, struct odd, 0x13);

static int count_init(struct fake_state *s, const struct next *first)
{
    s->n = first ? first->by : 0;
    return s->n == -99 ? MOLT_EINVAL : 0;
}

static int count_next(struct fake_state *s, struct next *m, struct molt_from *from)
{
    if (m->by == -1)
        return MOLT_EREFUSED;
    if (m->by == -2)
        return 0; /* never answered */
    if (m->by == -3)
        return molt_reply(from, fake_new(struct odd, odd));
    struct total *t = fake_new(struct total, total);
    t->n = s->n += m->by;
    return molt_reply(from, t);
}

static int count_odd(struct fake_state *s, struct odd *m)
{
    (void)m;
    s->n += 1000;
    fake_add(SEEN, 1);
    return 0;
}

static void count_terminate(struct fake_state *s, int reason)
{
    (void)s;
    fake_add(TERMINATED, -(long)reason);
}

static struct fake_module module;

static int setup(void **state)
{
    static struct fake f;
    fake_init(&f, 2);
    fake_module_init(&module, "counter", 1);
    struct fake_server *s = fake_server(&module, "counter", &fake_state_type);
    s->init_type = &next_type;
    s->desc.init = MOLT_FN(count_init);
    s->desc.terminate = MOLT_FN(count_terminate);
    fake_on(s, MOLT_HANDLER_CALL, &next_type, MOLT_FN(count_next));
    fake_on(s, MOLT_HANDLER_CAST, &odd_type, MOLT_FN(count_odd));
    fake_runner(&module, "runner");
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    static struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    *state = &f;
    assert_int_equal(molt_spawn("counter", "counter", NULL, NULL), 0);
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    struct molt_runner *here = molt_runner_here();
    molt_thread_unregister(molt_container_of(here, struct molt_thread, runner));
    fake_fini(*state);
    return 0;
}

static long call(const char *name, long by, int ms)
{
    struct next *m = fake_new(struct next, next);
    struct total *t = NULL;
    m->by = by;
    int rc = fake_call(name, m, &t, total, ms);
    long n = rc < 0 ? rc : t->n;
    if (rc == 0)
        molt_free(t);
    return n;
}

static void do_calls(void *arg)
{
    (void)arg;
    assert_int_equal(call("counter", 2, 1000), 2);
    assert_int_equal(call("counter", 3, -1), 5);
}

static void a_call_is_answered(void **state)
{
    (void)state;
    assert_int_equal(fake_post("runner", do_calls, NULL, DONE), 0);
    fake_await(DONE, 1);
}

static void do_bad_calls(void *arg)
{
    (void)arg;
    errno = 77;
    assert_int_equal(call("counter", -2, 5), MOLT_ETIMEDOUT);
    assert_int_equal(errno, 77);
    assert_int_equal(call("counter", -3, -1), MOLT_ETYPE);
    assert_int_equal(call("nobody", 1, -1), MOLT_ENOENT);
    assert_int_equal(call("runner", 1, -1), MOLT_EINVAL);
    struct total *t = NULL;
    assert_int_equal(fake_call("counter", NULL, &t, total, -1), MOLT_EINVAL);
    int local;
    assert_int_equal(fake_call("counter", &local, &t, total, -1), MOLT_EINVAL);
    assert_int_equal(fake_call("counter", fake_new(struct total, total), &t, total, -1),
                     MOLT_ETYPE);
    assert_int_equal(fake_call("counter", fake_new(struct odd, odd), &t, total, -1), MOLT_ETYPE);
}

static void bad_calls_get_named_errors(void **state)
{
    (void)state;
    assert_int_equal(fake_post("runner", do_bad_calls, NULL, DONE), 0);
    fake_await(DONE, 1);
}

static void do_fatal_call(void *arg)
{
    (void)arg;
    assert_int_equal(call("counter", -1, -1), MOLT_EREFUSED);
}

static void a_handler_that_fails_answers_and_ends_its_process(void **state)
{
    (void)state;
    assert_int_equal(fake_post("runner", do_fatal_call, NULL, DONE), 0);
    fake_await(DONE, 1);
    fake_await(TERMINATED, -MOLT_EREFUSED);
    fake_await_processes(1);
    assert_int_equal(molt_whereis("counter"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_calls_get_named_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handler_that_fails_answers_and_ends_its_process, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
