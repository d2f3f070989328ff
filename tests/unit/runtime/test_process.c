/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

#include <errno.h>

#include "runtime/lock.h"

enum { DONE, TERMINATED, SEEN, OTHER, READY };

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

struct line {
    long n;
    char text[];
};
static const struct molt_type line_type = {.key_text = "struct line",
                                           .name = "struct line",
                                           .hash = 0x14,
                                           .shape = 0x14,
                                           .size = sizeof(struct line),
                                           .flex_at = offsetof(struct line, text),
                                           .flex_size = 1};
static const struct molt_type *const line_tag = &line_type;

static int count_init(struct fake_state *s, const struct next *first)
{
    s->n = first ? first->by : 0;
    fake_add(READY, 1);
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

static void *new_line(size_t at, size_t element, size_t n)
{
    return molt_block_new_flexible(&line_tag, sizeof(struct line), at, element, n);
}

static void flexible_arrays_are_counted_and_checked(void **state)
{
    (void)state;
    struct line *line = new_line(offsetof(struct line, text), 1, 11);
    assert_int_equal(molt_count(line), 11);
    memcpy(line->text, "eleven char", 11);
    molt_free(line);
    line = fake_new(struct line, line);
    assert_int_equal(molt_count(line), 0);
    molt_free(line);
    assert_null(new_line(offsetof(struct line, text), 2, 11));
    assert_null(new_line(0, 1, 11));
    assert_null(new_line(offsetof(struct line, text), 1, SIZE_MAX));
    assert_null(fake_new_array(struct line, line, 2));
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

/* ---- deferred and missing answers ------------------------------------------------ */

static struct molt_from deferred;

static int defer_next(struct fake_state *s, struct next *m, struct molt_from *from)
{
    (void)s;
    (void)m;
    deferred = *from;
    fake_add(SEEN, 1);
    return 0;
}

static void do_deferred_call(void *arg)
{
    const long *expected = arg;
    assert_int_equal(call("deferrer", 1, -1), *expected);
}

static void a_reply_may_come_later_and_from_anybody(void **state)
{
    (void)state;
    long expected = 42;
    assert_int_equal(molt_spawn("deferrer", "deferrer", NULL, NULL), 0);
    assert_int_equal(fake_post("runner", do_deferred_call, &expected, DONE), 0);
    fake_await(SEEN, 1);
    struct total *t = fake_new(struct total, total);
    t->n = 42;
    assert_int_equal(molt_reply(&deferred, t), 0);
    fake_await(DONE, 1);
    /* A second answer goes nowhere, and is no error. */
    assert_int_equal(molt_reply(&deferred, fake_new(struct total, total)), 0);
    assert_int_equal(molt_reply_error(&deferred, MOLT_EIO), 0);
    assert_int_equal(molt_reply_error(&deferred, 3), MOLT_EINVAL);
}

static void a_call_to_a_process_that_dies_ends_at_once(void **state)
{
    struct fake *f = *state;
    long expected = MOLT_EDEAD;
    molt_pid pid;
    assert_int_equal(molt_spawn("deferrer", "deferrer", NULL, &pid), 0);
    assert_int_equal(fake_post("runner", do_deferred_call, &expected, DONE), 0);
    fake_await(SEEN, 1);
    assert_int_equal(molt_runtime_kill(f->rt, pid), 0);
    fake_await(DONE, 1);
}

static void do_sleep(void *arg)
{
    const long *ms = arg;
    fake_add(OTHER, 1);
    uint64_t before = molt_clock_ns();
    int rc = molt_sleep((unsigned)*ms);
    fake_add(SEEN, -(long)rc);
    if (rc == 0)
        assert_true(molt_clock_ns() - before >= (uint64_t)*ms * 1000000);
}

static void note_mail(void *user, const struct molt_process_info *info)
{
    const char **name = user;
    if (*name && strcmp(info->name, *name) == 0 && info->mailbox > 0)
        *name = NULL;
}

/* No event tells that a message lies in a mailbox. */
static void await_mail(const char *name)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    while (name && molt_clock_ns() < deadline)
        molt_runtime_each_process(fake_here->rt, note_mail, &name);
    assert_null(name);
}

static void a_queued_call_to_a_process_that_dies_ends_at_once(void **state)
{
    (void)state;
    static long forever = 1000000, expected = MOLT_EDEAD;
    assert_int_equal(molt_spawn("runner", "deferrer", NULL, NULL), 0);
    assert_int_equal(fake_post("deferrer", do_sleep, &forever, OTHER), 0);
    fake_await(OTHER, 1);
    assert_int_equal(fake_post("runner", do_deferred_call, &expected, DONE), 0);
    await_mail("deferrer");
    assert_int_equal(molt_exit(molt_whereis("deferrer"), MOLT_EIO), 0);
    fake_await(SEEN, -MOLT_EKILLED);
    fake_await(DONE, 1);
}

static void many_sleepers_wake_in_time(void **state)
{
    (void)state;
    static long ms[50];
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%d", i);
        ms[i] = 50 - i;
        assert_int_equal(molt_spawn("runner", name, NULL, NULL), 0);
        assert_int_equal(fake_post(name, do_sleep, &ms[i], DONE), 0);
    }
    fake_await(DONE, 50);
}

/* ---- ends ------------------------------------------------------------------------- */

static void exit_wakes_a_sleeper_and_runs_terminate(void **state)
{
    (void)state;
    static long forever = 1000000;
    assert_int_equal(fake_post("runner", do_sleep, &forever, DONE), 0);
    fake_await(OTHER, 1);
    assert_int_equal(molt_exit(molt_whereis("runner"), 0), 0);
    fake_await(SEEN, -MOLT_EKILLED);
    assert_int_equal(molt_exit(molt_whereis("counter"), MOLT_EIO), 0);
    fake_await(TERMINATED, -MOLT_EIO);
    fake_await_processes(0);
    assert_int_equal(molt_exit(1, 0), MOLT_EDEAD);
    assert_int_equal(molt_exit(1, 1), MOLT_EINVAL);
}

static void an_init_that_fails_ends_the_process_without_terminate(void **state)
{
    (void)state;
    struct next *m = fake_new(struct next, next);
    m->by = -99;
    assert_int_equal(molt_spawn("counter", "bad", m, NULL), 0);
    fake_await_log("init returned");
    fake_await_processes(2);
    assert_int_equal(fake_get(TERMINATED), 0);
}

static void spawns_are_checked(void **state)
{
    (void)state;
    char name[100];
    memset(name, 'x', sizeof(name));
    name[99] = '\0';
    assert_int_equal(molt_spawn("nothing", NULL, NULL, NULL), MOLT_ENOENT);
    assert_int_equal(molt_spawn(NULL, NULL, NULL, NULL), MOLT_EINVAL);
    assert_int_equal(molt_spawn("counter", "counter", NULL, NULL), MOLT_EEXIST);
    assert_int_equal(molt_spawn("counter", name, NULL, NULL), MOLT_EINVAL);
    assert_int_equal(molt_spawn("counter", NULL, fake_new(struct odd, odd), NULL), MOLT_ETYPE);
    fake_await_processes(2);
}

static void names_belong_to_live_processes(void **state)
{
    (void)state;
    molt_pid pid = molt_whereis("counter");
    assert_true(pid);
    assert_int_equal(molt_register("other", pid), MOLT_EEXIST);
    assert_int_equal(molt_unregister("counter"), 0);
    assert_int_equal(molt_unregister("counter"), MOLT_ENOENT);
    assert_int_equal(molt_whereis("counter"), 0);
    assert_int_equal(molt_register("other", pid), 0);
    assert_int_equal(molt_whereis("other"), pid);
    assert_int_equal(molt_register("other", molt_whereis("runner")), MOLT_EEXIST);
    assert_int_equal(molt_register("third", 12345), MOLT_EDEAD);
    assert_int_equal(molt_register("", pid), MOLT_EINVAL);
    assert_int_equal(molt_send("counter", fake_new(struct odd, odd)), MOLT_ENOENT);
    assert_int_equal(molt_send_pid(98765, fake_new(struct odd, odd)), MOLT_EDEAD);
    assert_int_equal(molt_send(NULL, fake_new(struct odd, odd)), MOLT_EINVAL);
}

static void pids_are_never_used_twice(void **state)
{
    struct fake *f = *state;
    molt_pid last = 0;
    for (int i = 0; i < 100; i++) {
        molt_pid pid;
        assert_int_equal(molt_spawn("counter", "again", NULL, &pid), 0);
        assert_true(pid != last);
        assert_int_equal(molt_runtime_kill(f->rt, pid), 0);
        assert_int_equal(molt_runtime_kill(f->rt, pid), MOLT_EDEAD);
        last = pid;
    }
}

/* ---- locks ------------------------------------------------------------------------ */

static void do_locked(void *arg)
{
    pthread_mutex_t *lock = arg;
    struct total *t = NULL;
    __wrap_pthread_mutex_lock(lock);
    assert_int_equal(molt_sleep(1), MOLT_ELOCKED);
    assert_int_equal(fake_call("counter", fake_new(struct next, next), &t, total, 1), MOLT_ELOCKED);
    __wrap_pthread_mutex_unlock(lock);
    assert_int_equal(__wrap_pthread_mutex_trylock(lock), 0);
    molt_lock_enter(&t);
    __wrap_pthread_mutex_unlock(lock);
    assert_int_equal(molt_sleep(0), MOLT_ELOCKED);
    molt_lock_leave(&t);
    assert_int_equal(molt_sleep(0), 0);
    __wrap_flockfile(stderr);
    assert_int_equal(molt_sleep(0), MOLT_ELOCKED);
    __wrap_funlockfile(stderr);
    assert_int_equal(molt_sleep(0), 0);
}

static void blocking_with_a_lock_held_is_refused(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char address[32];
    snprintf(address, sizeof(address), "%p", (void *)&lock);
    assert_int_equal(fake_post("runner", do_locked, &lock, DONE), 0);
    fake_await(DONE, 1);
    fake_await_log(address);
}

/* ---- moving and keeping ------------------------------------------------------------ */

static struct odd *loot;

static int thief_keep(struct fake_state *s, struct odd *m)
{
    (void)s;
    if (m->text[0] == 'k') {
        assert_int_equal(molt_keep(m), 0);
        assert_int_equal(molt_keep(m), 0);
        loot = m;
    }
    fake_add(SEEN, 1);
    return 0;
}

static int thief_next(struct fake_state *s, struct next *m, struct molt_from *from)
{
    (void)s;
    if (m->by == 0) { /* what was kept lives; it isn't somebody else's */
        struct total *t = fake_new(struct total, total);
        t->n = molt_count(loot) == 1 && loot->text[0] == 'k';
        return molt_reply(from, t);
    }
    return molt_reply(from, loot); /* of a wrong type, and gone afterwards */
}

static void do_check_loot(void *arg)
{
    (void)arg;
    assert_int_equal(call("thief", 0, -1), 1);
    assert_int_equal(molt_count(loot), 0);
    assert_int_equal(molt_keep(loot), MOLT_EOWNER);
    assert_int_equal(molt_send("thief", loot), MOLT_EOWNER);
    molt_free(loot); /* left alone */
    assert_int_equal(call("thief", 0, -1), 1);
    assert_int_equal(call("thief", 1, -1), MOLT_ETYPE);
}

static void what_is_kept_stays_and_is_nobody_elses(void **state)
{
    (void)state;
    assert_int_equal(molt_spawn("thief", "thief", NULL, NULL), 0);
    struct odd *m = fake_new(struct odd, odd);
    m->text[0] = 'k';
    assert_int_equal(molt_send("thief", m), 0);
    assert_int_equal(molt_send("thief", fake_new(struct odd, odd)), 0);
    fake_await(SEEN, 2);
    assert_int_equal(fake_post("runner", do_check_loot, NULL, DONE), 0);
    fake_await(DONE, 1);
    fake_await_log("belongs to another process");
    assert_int_equal(molt_send("thief", NULL), MOLT_EINVAL);
}

/* ---- many senders ------------------------------------------------------------------- */

struct seq {
    int sender;
    int n;
};
FAKE_TYPE(seq, struct seq, 0x14);
static int last_of[8];

static int take_seq(struct fake_state *s, struct seq *m)
{
    (void)s;
    assert_int_equal(m->n, last_of[m->sender] + 1); /* in order, per sender */
    last_of[m->sender] = m->n;
    fake_add(SEEN, 1);
    return 0;
}

#define PER_SENDER 2000

static void *sender(void *arg)
{
    struct fake *f = fake_here;
    struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f->rt, "sender", &thread), 0);
    for (int i = 1; i <= PER_SENDER; i++) {
        struct seq *m = fake_new(struct seq, seq);
        *m = (struct seq){(int)(intptr_t)arg, i};
        assert_int_equal(molt_send("sink", m), 0);
        molt_safepoint(thread);
    }
    molt_thread_unregister(thread);
    return NULL;
}

static void many_threads_fill_one_mailbox_in_order(void **state)
{
    (void)state;
    pthread_t threads[8];
    memset(last_of, 0, sizeof(last_of));
    assert_int_equal(molt_spawn("sink", "sink", NULL, NULL), 0);
    for (intptr_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sender, (void *)i),
                         0); /* NOLINT: a number */
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    fake_await(SEEN, 8 * PER_SENDER);
}

/* ---- timeouts, absence, failed calls --------------------------------------------------- */

static int tick(struct fake_state *s)
{
    if (++s->n == 3)
        return fake_add(DONE, 1) > 0 ? 0 : -1;
    return molt_timeout(1);
}

static int tick_init(struct fake_state *s, const void *arg)
{
    (void)s;
    (void)arg;
    molt_timeout(100000);
    molt_timeout(-1);
    return molt_timeout(1);
}

static void a_timeout_is_called_once_per_request(void **state)
{
    (void)state;
    assert_int_equal(molt_spawn("ticker", NULL, NULL, NULL), 0);
    fake_await(DONE, 1);
}

static void do_absent_call(void *arg)
{
    (void)arg;
    assert_int_equal(call("counter", 1, -1), MOLT_EUNDEF);
}

static void a_server_that_is_gone_answers_so(void **state)
{
    struct fake *f = *state;
    static struct fake_module without;
    fake_module_init(&without, "counter", 2);
    fake_runner(&without, "runner");
    fake_publish(f, &without);
    assert_int_equal(fake_post("runner", do_absent_call, NULL, DONE), 0);
    fake_await(DONE, 1);
    fake_await_log("is gone from the current world");
}

/* The stub of a slot that a world doesn't define, as a thunk would reach it. */
static void do_undefined(void *arg)
{
    (void)arg;
    molt_thunk_undef();
    fake_add(SEEN, 1); /* never */
}

static void a_call_to_nothing_ends_the_process(void **state)
{
    (void)state;
    molt_pid pid = molt_whereis("runner");
    assert_int_equal(fake_post("runner", do_undefined, NULL, DONE), 0);
    fake_await_log("undefined in its world");
    fake_await_processes(1);
    assert_int_equal(fake_get(SEEN), 0);
    assert_int_equal(fake_get(DONE), 0);
    assert_int_equal(molt_exit(pid, 0), MOLT_EDEAD);
    /* The worker is none the worse for it. */
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    assert_int_equal(fake_post("runner", do_calls, NULL, DONE), 0);
    fake_await(DONE, 1);
}

static void on_a_foreign_thread_it_is_an_error(void **state)
{
    (void)state;
    struct molt_error err;
    assert_int_equal(molt_thread_error(&err), 0);
    molt_thunk_undef();
    assert_int_equal(molt_thread_error(&err), MOLT_EUNDEF);
    assert_int_equal(molt_thread_error(&err), 0);
    molt_thunk_outside();
    assert_int_equal(molt_thread_error(&err), MOLT_ENOWORLD);
    assert_int_equal(molt_sleep(1), MOLT_ENOPROC);
    struct total *t = NULL;
    assert_int_equal(fake_call("counter", fake_new(struct next, next), &t, total, 1), MOLT_ENOPROC);
    assert_int_equal(molt_self(), 0);
}

/* ---- stragglers ------------------------------------------------------------------------- */

static struct fake_module second;

static void do_straggle(void *arg)
{
    char version[64];
    (void)arg;
    assert_int_equal(molt_version(version, sizeof(version)), 0);
    assert_string_equal(version, "counter@1");
    fake_add(OTHER, 1);
    assert_int_equal(molt_sleep(30), 0);
    assert_int_equal(molt_version(version, sizeof(version)), 0);
    assert_string_equal(version, "counter@1");
}

static void do_after(void *arg)
{
    char version[64];
    (void)arg;
    assert_int_equal(molt_version(version, sizeof(version)), 0);
    assert_string_equal(version, "counter@2");
}

static void a_suspended_callback_finishes_in_its_world(void **state)
{
    struct fake *f = *state;
    fake_module_init(&second, "counter", 2);
    fake_runner(&second, "runner");
    assert_int_equal(fake_post("runner", do_straggle, NULL, DONE), 0);
    assert_int_equal(fake_post("runner", do_after, NULL, DONE), 0);
    fake_await(OTHER, 1);
    fake_publish(f, &second);
    fake_await(DONE, 2);
    assert_int_equal(atomic_load(&module.world->n_holds), 0);
    assert_int_equal(atomic_load(&second.world->n_holds), 0);
}

/* ---- fixture ---- */

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
    fake_on(fake_server(&module, "deferrer", &fake_state_type), MOLT_HANDLER_CALL, &next_type,
            MOLT_FN(defer_next));
    s = fake_server(&module, "thief", &fake_state_type);
    fake_on(s, MOLT_HANDLER_CAST, &odd_type, MOLT_FN(thief_keep));
    fake_on(s, MOLT_HANDLER_CALL, &next_type, MOLT_FN(thief_next));
    fake_on(fake_server(&module, "sink", &fake_state_type), MOLT_HANDLER_CAST, &seq_type,
            MOLT_FN(take_seq));
    s = fake_server(&module, "ticker", &fake_state_type);
    s->desc.init = MOLT_FN(tick_init);
    s->desc.on_timeout = MOLT_FN(tick);
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    static struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    *state = &f;
    assert_int_equal(molt_spawn("counter", "counter", NULL, NULL), 0);
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    fake_await(READY, 1);
    return 0;
}

static int teardown(void **state)
{
    struct molt_runner *here = molt_runner_here();
    molt_thread_unregister(molt_container_of(here, struct molt_thread, runner));
    fake_fini(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_answered),
        TEST(bad_calls_get_named_errors),
        TEST(flexible_arrays_are_counted_and_checked),
        TEST(a_handler_that_fails_answers_and_ends_its_process),
        TEST(a_reply_may_come_later_and_from_anybody),
        TEST(a_call_to_a_process_that_dies_ends_at_once),
        TEST(a_queued_call_to_a_process_that_dies_ends_at_once),
        TEST(many_sleepers_wake_in_time),
        TEST(exit_wakes_a_sleeper_and_runs_terminate),
        TEST(an_init_that_fails_ends_the_process_without_terminate),
        TEST(spawns_are_checked),
        TEST(names_belong_to_live_processes),
        TEST(pids_are_never_used_twice),
        TEST(blocking_with_a_lock_held_is_refused),
        TEST(what_is_kept_stays_and_is_nobody_elses),
        TEST(many_threads_fill_one_mailbox_in_order),
        TEST(a_timeout_is_called_once_per_request),
        TEST(a_server_that_is_gone_answers_so),
        TEST(a_call_to_nothing_ends_the_process),
        TEST(on_a_foreign_thread_it_is_an_error),
        TEST(a_suspended_callback_finishes_in_its_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
