/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Calls whose answers are fetched later. */
#include "unit/runtime/actors.h"

#include "runtime/rt.h"

enum { ASKED = 8, BLOCKED, TASKS, TO_DIE };

struct question {
    long n, ms; /* answered with n + 1, after so long; see on_question() */
};
struct answer {
    long n;
    void *word;
};
struct odd {
    long n;
};
FAKE_TYPE(question, struct question, 0x91);
FAKE_POINTER_TYPE(answer, struct answer, 0x92, FAKE_PTR(struct answer, word, MOLT_PTR_WORD));
FAKE_TYPE(odd, struct odd, 0x93);

#define fake_fetch(request, ret, ms) molt_await_typed((request), (void **)(ret), &answer_tag, (ms))

enum { FAIL = -1, NEVER = -2, ODD = -3, TWICE = -4, DIE = -5 };

static char image[64];

static int answer(const struct molt_from *from, long n)
{
    struct answer *a = fake_new(struct answer, answer);
    a->n = n;
    a->word = image;
    return molt_reply(from, a);
}

static int on_question(struct fake_state *s, struct question *m, struct molt_from *from)
{
    (void)s;
    fake_add(ASKED, 1);
    if (m->ms > 0 && molt_sleep((unsigned)m->ms) < 0)
        return 0;
    switch (m->n) {
    case FAIL:
        return molt_reply_error(from, MOLT_EREFUSED);
    case NEVER:
        return 0;
    case ODD:
        return molt_reply(from, fake_new(struct odd, odd));
    case TWICE:
        return answer(from, 1) | answer(from, 2) | molt_reply_error(from, MOLT_EBUSY);
    case DIE:
        while (fake_get(TO_DIE) == 0)
            assert_int_equal(molt_sleep(1), 0);
        return MOLT_EREFUSED;
    default:
        return answer(from, m->n + 1);
    }
}

static int on_task(struct fake_state *s, struct question *m, struct molt_from *from)
{
    int rc = on_question(s, m, from);
    fake_add(TASKS, 1);
    return rc < 0 ? rc : MOLT_STOP;
}

static struct fake_module module;
static molt_pid servers[4];

static struct molt_thread *me(void)
{
    return molt_container_of(molt_runner_here(), struct molt_thread, runner);
}

static int setup(void **state)
{
    static struct fake f;
    static struct molt_thread *thread;
    fake_init(&f, 2);
    fake_module_init(&module, "app", 1);
    fake_on(actor_server(&module, "actor"), MOLT_HANDLER_CALL, &question_type,
            MOLT_FN(on_question));
    fake_on(fake_server(&module, "task", &fake_state_type), MOLT_HANDLER_CALL, &question_type,
            MOLT_FN(on_task));
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    for (int i = 0; i < 4; i++)
        servers[i] = actor_spawn();
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    actors_stop(*state);
    return 0;
}

static struct question *question(long n, long ms)
{
    struct question *q = fake_new(struct question, question);
    *q = (struct question){n, ms};
    return q;
}

static struct molt_request ask(molt_pid whom, long n, long ms)
{
    struct molt_request r = {0};
    assert_int_equal(molt_call_async(NULL, whom, question(n, ms), &r), 0);
    return r;
}

static long fetch(const struct molt_request *r, int ms)
{
    struct answer *a = NULL;
    int rc = fake_fetch(r, &a, ms);
    if (rc < 0)
        return rc;
    long n = a->n;
    molt_free(a);
    return n;
}

static void run_in_process(void (*fn)(void *), void *arg)
{
    actor_do(actor_spawn(), fn, arg);
}

/* In a process: its worker is free to run the servers meanwhile. */
static void await_asked(long n)
{
    while (fake_get(ASKED) < n)
        assert_int_equal(molt_sleep(1), 0);
}

/* ---- answers ---------------------------------------------------------------------- */

static void do_ask_several(void *arg)
{
    struct molt_request r[4];
    (void)arg;
    uint64_t start = molt_clock_ns();
    for (int i = 0; i < 4; i++)
        r[i] = ask(servers[i], i * 10, 40);
    for (int i = 3; i >= 0; i--)
        assert_int_equal(fetch(&r[i], -1), i * 10 + 1);
    uint64_t took = molt_clock_ns() - start;
    assert_true(took >= 40000000u);
    /* Once is enough. */
    assert_int_equal(fetch(&r[0], 0), MOLT_EINVAL);
}

static void several_are_asked_at_once(void **state)
{
    (void)state;
    run_in_process(do_ask_several, NULL);
}

static void do_ask_before(void *arg)
{
    (void)arg;
    struct molt_request r = ask(servers[0], 5, 0), second = ask(servers[0], 6, 0);
    await_asked(2);
    assert_int_equal(molt_sleep(20), 0);
    /* A plain call in between is not disturbed. */
    struct answer *a = NULL;
    assert_int_equal(molt_call_typed(NULL, servers[1], question(1, 0), (void **)&a, &answer_tag,
                                     -1),
                     0);
    assert_int_equal(a->n, 2);
    molt_free(a);
    assert_int_equal(fetch(&r, 0), 6);
    assert_int_equal(fetch(&second, -1), 7);
}

static void answers_that_came_early_are_kept(void **state)
{
    (void)state;
    run_in_process(do_ask_before, NULL);
}

static void do_forget(void *arg)
{
    *(struct molt_request *)arg = ask(servers[0], 1, 0);
    (void)ask(servers[1], 1, 30);
    (void)ask(servers[2], NEVER, 0);
    await_asked(3);
}

static void do_fetch_forgotten(void *arg)
{
    assert_int_equal(fetch(arg, 0), MOLT_EINVAL);
}

static void what_is_never_fetched_is_dropped(void **state)
{
    struct fake *f = *state;
    struct molt_request r;
    molt_pid pid = actor_spawn();
    actor_do(pid, do_forget, &r);
    actor_do(pid, do_fetch_forgotten, &r);
    for (int i = 0; i < 4; i++)
        actor_sync(servers[i]); /* the late answer was dropped, too */
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    while (molt_heap_pointing(f->rt->heap) > 0) /* by threads that tell nobody */
        assert_true(molt_clock_ns() < deadline);
}

static void do_ask_badly(void *arg)
{
    (void)arg;
    struct molt_request r = ask(servers[0], FAIL, 0), second = ask(servers[0], ODD, 0);
    assert_int_equal(fetch(&r, -1), MOLT_EREFUSED);
    assert_int_equal(fetch(&second, -1), MOLT_ETYPE);
    r = ask(servers[0], TWICE, 0);
    assert_int_equal(fetch(&r, -1), 1);
    r = ask(servers[0], TWICE, 0);
    second = ask(servers[0], 1, 0);
    assert_int_equal(fetch(&second, -1), 2);
    assert_int_equal(fetch(&r, -1), 1);
    r = ask(servers[0], NEVER, 0);
    assert_int_equal(fetch(&r, 20), MOLT_ETIMEDOUT);
    assert_int_equal(fetch(&r, 20), MOLT_EINVAL);
    r = ask(servers[0], 1, 500);
    assert_int_equal(fetch(&r, 1), MOLT_ETIMEDOUT); /* its answer comes late */
    r = ask(servers[0], 2, 0);
    assert_int_equal(fetch(&r, -1), 3);
}

static void bad_answers_get_named_errors(void **state)
{
    (void)state;
    run_in_process(do_ask_badly, NULL);
}

/* ---- ends --------------------------------------------------------------------------- */

static void do_ask_the_dying(void *arg)
{
    (void)arg;
    struct molt_request r[4] = {ask(servers[0], NEVER, 0), ask(servers[0], DIE, 0),
                                ask(servers[0], 7, 0)};
    fake_add(TO_DIE, 1);
    assert_int_equal(fetch(&r[1], -1), MOLT_EREFUSED);
    assert_int_equal(fetch(&r[0], -1), MOLT_EDEAD); /* deferred */
    assert_int_equal(fetch(&r[2], -1), MOLT_EDEAD); /* in its mailbox */
    struct molt_request gone;
    assert_int_equal(molt_call_async(NULL, servers[0], question(1, 0), &gone), MOLT_EDEAD);
    assert_int_equal(molt_call_async("nobody", 0, question(1, 0), &gone), MOLT_ENOENT);
}

static void the_end_of_a_server_answers(void **state)
{
    (void)state;
    run_in_process(do_ask_the_dying, NULL);
}

/* More than the list of deferred calls holds before it is looked through. */
static void do_ask_many_times(void *arg)
{
    (void)arg;
    struct molt_request r[MOLT_REQUESTS_MAX];
    for (int i = 0; i < MOLT_REQUESTS_MAX; i++)
        r[i] = ask(servers[0], NEVER, 0);
    await_asked(MOLT_REQUESTS_MAX);
    assert_int_equal(molt_exit(servers[0], 0), 0);
    for (int i = 0; i < MOLT_REQUESTS_MAX; i++)
        assert_int_equal(fetch(&r[i], -1), MOLT_EDEAD);
}

static void deferred_requests_are_remembered(void **state)
{
    (void)state;
    run_in_process(do_ask_many_times, NULL);
}

static void do_ask_and_wait(void *arg)
{
    struct molt_request r = ask(servers[0], 1, 60000);
    fake_add(BLOCKED, 1);
    assert_int_equal(fetch(&r, -1), *(int *)arg);
}

static void a_server_killed_while_it_answers_is_dead(void **state)
{
    struct fake *f = *state;
    int expected = MOLT_EDEAD;
    actor_post(actor_spawn(), do_ask_and_wait, &expected);
    fake_await(ASKED, 1);
    assert_int_equal(molt_runtime_kill(f->rt, servers[0]), 0);
    fake_await(ACTOR_DONE, 1);
}

static void a_request_to_end_ends_the_wait(void **state)
{
    (void)state;
    int expected = MOLT_EKILLED;
    molt_pid pid = actor_spawn();
    actor_post(pid, do_ask_and_wait, &expected);
    fake_await(BLOCKED, 1);
    assert_int_equal(molt_exit(pid, MOLT_ESHUTDOWN), 0);
    fake_await(ACTOR_ENDS, 1);
}

static void who_asked_can_be_killed(void **state)
{
    struct fake *f = *state;
    int never = 0;
    molt_pid pid = actor_spawn();
    actor_post(pid, do_ask_and_wait, &never);
    fake_await(ASKED, 1);
    assert_int_equal(molt_runtime_kill(f->rt, pid), 0);
    assert_int_equal(molt_runtime_kill(f->rt, servers[0]), 0);
    fake_await_processes(3);
}

/* ---- misuse ---------------------------------------------------------------------------- */

static void do_ask_too_often(void *arg)
{
    struct molt_request r[MOLT_REQUESTS_MAX], more = {1, 2};
    (void)arg;
    for (int i = 0; i < MOLT_REQUESTS_MAX; i++)
        r[i] = ask(servers[i % 4], i, 0);
    assert_int_equal(molt_call_async(NULL, servers[0], question(1, 0), &more), MOLT_ELIMIT);
    assert_int_equal(more.pid, 1);
    assert_int_equal(fetch(&r[7], -1), 8);
    r[7] = ask(servers[0], 70, 0);
    for (int i = 0; i < MOLT_REQUESTS_MAX; i++)
        assert_int_equal(fetch(&r[i], -1), i == 7 ? 71 : i + 1);
}

static void sixteen_may_be_open(void **state)
{
    (void)state;
    run_in_process(do_ask_too_often, NULL);
}

static void do_misuse(void *arg)
{
    struct molt_request r, none = {0};
    (void)arg;
    assert_int_equal(molt_call_async(NULL, molt_self(), question(1, 0), &r), MOLT_EINVAL);
    assert_int_equal(molt_call_async(NULL, 0, question(1, 0), &r), MOLT_EINVAL);
    assert_int_equal(molt_call_async(NULL, servers[0], question(1, 0), NULL), MOLT_EINVAL);
    assert_int_equal(molt_call_async(NULL, servers[0], NULL, &r), MOLT_EINVAL);
    assert_int_equal(fetch(&none, 0), MOLT_EINVAL);
    assert_int_equal(molt_await_typed(NULL, NULL, NULL, 0), MOLT_EINVAL);
    r = ask(servers[0], 1, 0);
    struct molt_request foreign = {r.pid + 1, r.ref};
    assert_int_equal(fetch(&foreign, 0), MOLT_EINVAL);
    molt_lock_enter(&r);
    assert_int_equal(fetch(&r, -1), MOLT_ELOCKED);
    molt_lock_leave(&r);
    assert_int_equal(fetch(&r, -1), 2);
}

static void misuse_gets_a_named_error(void **state)
{
    (void)state;
    struct molt_request r;
    run_in_process(do_misuse, NULL);
    assert_int_equal(molt_call_async(NULL, servers[0], question(1, 0), &r), MOLT_ENOPROC);
    assert_int_equal(fetch(&r, 0), MOLT_ENOPROC);
}

/* ---- tasks -------------------------------------------------------------------------------- */

static void do_tasks(void *arg)
{
    struct molt_request r[8], none;
    (void)arg;
    for (int i = 0; i < 8; i++)
        assert_int_equal(molt_async("task", question(i, i), &r[i]), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(fetch(&r[i], -1), i + 1);
    assert_int_equal(molt_async("nobody", question(1, 0), &none), MOLT_ENOENT);
    assert_int_equal(molt_async("task", NULL, &none), MOLT_EINVAL);
}

static void a_task_answers_and_ends(void **state)
{
    (void)state;
    run_in_process(do_tasks, NULL);
    fake_await(TASKS, 8);
    fake_await_processes(5);
}

/* ---- scans ---------------------------------------------------------------------------------- */

static void do_hold_answers(void *arg)
{
    (void)arg;
    struct molt_request r = ask(servers[0], 1, 0);
    (void)r;
    await_asked(1);
    assert_int_equal(molt_sleep(20), 0);
    fake_add(BLOCKED, 1);
    (void)molt_sleep(60000);
}

static int n_found;

static void on_found(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    (void)user;
    (void)range;
    (void)holder;
    n_found += strstr(why, "reply struct answer.word") != NULL;
}

static void a_word_in_a_kept_answer_is_found(void **state)
{
    struct fake *f = *state;
    struct molt_range range = {(uintptr_t)image, (uintptr_t)image + sizeof(image), NULL};
    molt_pid pid = actor_spawn();
    actor_post(pid, do_hold_answers, NULL);
    fake_await(BLOCKED, 1);
    n_found = 0;
    molt_thread_offline(me());
    assert_true(molt_runtime_scan(f->rt, &range, 1, on_found, NULL) >= 1);
    molt_thread_online(me());
    assert_int_equal(n_found, 1);
    molt_runtime_kill(f->rt, pid);
}

/* ---- at random ---------------------------------------------------------------------------------
 */

static void do_random(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    struct molt_request r[MOLT_REQUESTS_MAX];
    long expected[MOLT_REQUESTS_MAX];
    bool is_open[MOLT_REQUESTS_MAX] = {0};
    for (int step = 0; step < 400; step++) {
        unsigned i = (unsigned)rand_r(&seed) % MOLT_REQUESTS_MAX;
        if (!is_open[i]) {
            expected[i] = rand_r(&seed) % 1000;
            r[i] = ask(servers[rand_r(&seed) % 4], expected[i], rand_r(&seed) % 50 == 0);
            is_open[i] = true;
            continue;
        }
        int ms = rand_r(&seed) % 4 ? -1 : 0;
        long n = fetch(&r[i], ms);
        assert_true(n == expected[i] + 1 || (ms == 0 && n == MOLT_ETIMEDOUT));
        is_open[i] = false;
    }
}

static void any_order_of_requests_gets_its_answers(void **state)
{
    struct fake *f = *state;
    static unsigned seeds[40];
    for (unsigned i = 0; i < 40; i++) {
        seeds[i] = i + 1;
        actor_post(actor_spawn(), do_random, &seeds[i]);
    }
    fake_await(ACTOR_DONE, 40);
    for (int i = 0; i < 4; i++)
        actor_sync(servers[i]);
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    while (molt_heap_pointing(f->rt->heap) > 0)
        assert_true(molt_clock_ns() < deadline);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(several_are_asked_at_once),
        TEST(answers_that_came_early_are_kept),
        TEST(what_is_never_fetched_is_dropped),
        TEST(bad_answers_get_named_errors),
        TEST(the_end_of_a_server_answers),
        TEST(deferred_requests_are_remembered),
        TEST(a_server_killed_while_it_answers_is_dead),
        TEST(a_request_to_end_ends_the_wait),
        TEST(who_asked_can_be_killed),
        TEST(sixteen_may_be_open),
        TEST(misuse_gets_a_named_error),
        TEST(a_task_answers_and_ends),
        TEST(a_word_in_a_kept_answer_is_found),
        TEST(any_order_of_requests_gets_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
