/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Callbacks that run for ever, upgrade points, on_continue and on_config. */
#include "unit/runtime/fake_world.h"

#include "runtime/rt.h"

enum { BEGUN, NEW_BEGUN, ROUNDS, SEEN, DONE, ENDS, CONFIGS, CONTINUED, STEPS };

struct old_state {
    long n, begun;
};
struct new_state {
    long begun, extra, n;
};
struct note {
    long n;
};
FAKE_TYPE(old_state, struct old_state, 0xa1);
FAKE_TYPE(new_state, struct new_state, 0xa2);
FAKE_TYPE(note, struct note, 0xa3);

static atomic_bool is_to_return;
static atomic_int result, deep_result;

/* ---- servers -------------------------------------------------------------------- */

/* Some frames further down. */
static __attribute__((noinline)) int deep(int depth)
{
    volatile int below = depth > 0 ? deep(depth - 1) : molt_upgrade_point();
    return below;
}

static int old_run(struct old_state *s)
{
    s->begun++;
    fake_add(BEGUN, 1);
    while (!atomic_load(&is_to_return)) {
        s->n++;
        int rc = deep(3);
        if (rc < 0) {
            atomic_store(&deep_result, rc);
            return 0;
        }
        fake_add(ROUNDS, 1);
    }
    return atomic_load(&result);
}

static int new_run(struct new_state *s)
{
    s->begun++;
    assert_true(s->extra == 7);
    fake_add(NEW_BEGUN, 1);
    while (!atomic_load(&is_to_return)) {
        s->n++;
        if (molt_upgrade_point() < 0)
            return 0;
    }
    return 0;
}

static int to_new(const struct old_state *old, struct new_state *s)
{
    *s = (struct new_state){.begun = old->begun, .extra = 7, .n = old->n};
    return 0;
}

static int to_old(const struct new_state *now, struct old_state *s)
{
    *s = (struct old_state){.n = now->n, .begun = now->begun};
    return 0;
}

static int refuse_change(const struct old_state *old, struct new_state *s)
{
    (void)old;
    (void)s;
    return -77;
}

static int on_note(void *s, struct note *m)
{
    (void)s;
    (void)m;
    fake_add(SEEN, 1);
    return 0;
}

static void terminate(void *s, int reason)
{
    (void)s;
    (void)reason;
    fake_add(ENDS, 1);
}

static struct fake_module old_module, new_module, same_module;
static struct fake_server *old_server, *new_server;

static struct fake_server *define(struct fake_module *m, const struct molt_type *state,
                                  molt_any_fn run)
{
    struct fake_server *s = fake_server(m, "loop", state);
    s->desc.run = run;
    s->desc.terminate = MOLT_FN(terminate);
    fake_on(s, MOLT_HANDLER_CAST, &note_type, MOLT_FN(on_note));
    fake_runner(m, "runner");
    return s;
}

static struct molt_thread *me(void)
{
    return molt_container_of(molt_runner_here(), struct molt_thread, runner);
}

static int setup(void **state)
{
    static struct fake f;
    static struct molt_thread *thread;
    atomic_store(&is_to_return, false);
    atomic_store(&result, 0);
    atomic_store(&deep_result, 0);
    fake_init(&f, 2);
    fake_module_init(&old_module, "app", 1);
    fake_module_init(&new_module, "app", 2);
    fake_module_init(&same_module, "app", 3);
    old_server = define(&old_module, &old_state_type, MOLT_FN(old_run));
    new_server = define(&new_module, &new_state_type, MOLT_FN(new_run));
    (void)define(&same_module, &old_state_type, MOLT_FN(old_run));
    fake_change(new_server, &old_state_type, MOLT_FN(to_new));
    fake_change(old_server, &new_state_type, MOLT_FN(to_old));
    fake_publish(&f, &old_module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    fake_world(&f, &new_module);
    fake_world(&f, &same_module);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    atomic_store(&is_to_return, true);
    molt_thread_unregister(me());
    fake_fini(*state);
    return 0;
}

static void start(void)
{
    assert_int_equal(molt_spawn("loop", "loop", NULL, NULL), 0);
    fake_await(ROUNDS, 10);
}

/* ---- run ---------------------------------------------------------------------------- */

static void mail_is_handled_when_run_has_returned(void **state)
{
    (void)state;
    start();
    assert_int_equal(molt_send("loop", fake_new(struct note, note)), 0);
    assert_int_equal(fake_get(SEEN), 0);
    atomic_store(&is_to_return, true);
    fake_await(SEEN, 1);
    assert_int_equal(fake_get(BEGUN), 1);
}

static void its_result_ends_the_process(void **state)
{
    (void)state;
    const int results[] = {MOLT_STOP, MOLT_EREFUSED};
    for (int i = 0; i < 2; i++) {
        atomic_store(&is_to_return, false);
        atomic_store(&result, results[i]);
        start();
        atomic_store(&is_to_return, true);
        fake_await(ENDS, i + 1);
        fake_await_processes(0);
    }
}

static void a_request_to_end_is_told_at_an_upgrade_point(void **state)
{
    (void)state;
    start();
    assert_int_equal(molt_exit(molt_whereis("loop"), MOLT_ESHUTDOWN), 0);
    fake_await(ENDS, 1);
    assert_int_equal(atomic_load(&deep_result), MOLT_EKILLED);
}

static void a_kill_ends_it_at_an_upgrade_point(void **state)
{
    struct fake *f = *state;
    start();
    assert_int_equal(molt_runtime_kill(f->rt, molt_whereis("loop")), 0);
    fake_await_processes(0);
    assert_int_equal(fake_get(ENDS), 0);
}

static int locked_run(struct old_state *s)
{
    (void)s;
    molt_lock_enter(&is_to_return);
    assert_int_equal(molt_upgrade_point(), MOLT_ELOCKED);
    molt_lock_leave(&is_to_return);
    assert_int_equal(molt_upgrade_point(), 0);
    fake_add(DONE, 1);
    return 0;
}

static void do_misuse(void *arg)
{
    (void)arg;
    assert_int_equal(molt_upgrade_point(), MOLT_EINVAL);
    assert_int_equal(molt_continue(), MOLT_EINVAL);
}

static void misuse_gets_a_named_error(void **state)
{
    (void)state;
    old_server->desc.run = MOLT_FN(locked_run);
    assert_int_equal(molt_spawn("loop", "loop", NULL, NULL), 0);
    fake_await(DONE, 1);
    fake_await_log("molt_upgrade_point() would block while 1 lock is held");
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
    assert_int_equal(fake_post("runner", do_misuse, NULL, DONE), 0);
    fake_await(DONE, 2);
    assert_int_equal(molt_upgrade_point(), MOLT_ENOPROC);
    assert_int_equal(molt_continue(), MOLT_ENOPROC);
}

/* ---- upgrades -------------------------------------------------------------------------- */

static const struct molt_type *gone = &note_type;

static struct molt_conversion conversion(struct fake *f)
{
    (void)f;
    return (struct molt_conversion){.old_world = old_module.world, .new_world = new_module.world};
}

static void new_code_goes_on_with_the_state(void **state)
{
    struct fake *f = *state;
    start();
    fake_commit(f, same_module.world);
    fake_await(BEGUN, 2);
    fake_await(ROUNDS, fake_get(ROUNDS) + 10);
    assert_int_equal(fake_get(BEGUN), 2);
    /* The first world is nobody's any more. */
    molt_safepoint(me());
    assert_int_equal(atomic_load(&old_module.world->n_holds), 0);
}

static void a_layout_changes_at_an_upgrade_point(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    start();
    assert_int_equal(molt_send("loop", fake_new(struct note, note)), 0);
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(fake_get(BEGUN), 1);
    fake_commit(f, new_module.world);
    molt_runtime_adopt(f->rt, &conv, NULL);
    fake_await(NEW_BEGUN, 1);
    assert_int_equal(fake_get(BEGUN), 1);
}

/* It begins again once, in the world that its state fits, and is not restarted for ever. */
static void what_can_not_be_converted_goes_on_in_its_old_world(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    struct molt_error err = {0};
    new_server->desc.change[0].fn = MOLT_FN(refuse_change);
    start();
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, &err), 0);
    fake_commit(f, conv.new_world);
    molt_runtime_adopt(f->rt, &conv, NULL);
    fake_await_log("'loop' goes on in world");
    fake_await(BEGUN, 2);
    fake_await(ROUNDS, fake_get(ROUNDS) + 10);
    assert_int_equal(fake_get(BEGUN), 2);
}

/* Of a server whose own state stays, but it could send, or has, what is gone. */
static void gone_mail_is_handled_before(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    conv.n_types = 1;
    conv.gone_types = &gone;
    start();
    assert_int_equal(molt_send("loop", fake_new(struct note, note)), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(fake_get(SEEN), 1);
    fake_commit(f, same_module.world);
    molt_runtime_adopt(f->rt, &conv, NULL);
    fake_await(BEGUN, 2);
}

static atomic_bool has_point;

/* Reaches an upgrade point only when the test says so. */
static int slow_run(struct old_state *s)
{
    s->begun++;
    fake_add(BEGUN, 1);
    fake_add(ROUNDS, 10);
    while (!atomic_load(&is_to_return))
        if (atomic_load(&has_point) && molt_upgrade_point() < 0)
            return 0;
    return 0;
}

static void *open_point(void *arg)
{
    (void)arg;
    /* Longer than a claim is waited for at once. */
    uint64_t until = molt_clock_ns() + 60000000u;
    while (molt_clock_ns() < until)
        sched_yield();
    atomic_store(&has_point, true);
    return NULL;
}

static void a_rare_upgrade_point_is_waited_for(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    struct molt_error err = {0};
    pthread_t thread;
    conv.n_types = 1;
    conv.gone_types = &gone;
    atomic_store(&has_point, false);
    old_server->desc.run = MOLT_FN(slow_run);
    start();
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, &err), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, 30, &err), MOLT_ETIMEDOUT);
    assert_non_null(strstr(err.text, "'loop'"));
    molt_runtime_unprepare(f->rt, &conv);
    assert_int_equal(pthread_create(&thread, NULL, open_point, NULL), 0);
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, &err), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, FAKE_PATIENCE_MS, &err), 0);
    fake_commit(f, new_module.world);
    molt_runtime_adopt(f->rt, &conv, NULL);
    fake_await(NEW_BEGUN, 1);
    assert_int_equal(fake_get(BEGUN), 1);
    pthread_join(thread, NULL);
}

static void on_pin(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    (void)user;
    (void)range;
    (void)holder;
    (void)why;
}

/* Whoever only looks gets the process at an upgrade point, and gives it back. */
static void a_scan_does_not_restart_it(void **state)
{
    struct fake *f = *state;
    static char image[64];
    struct molt_range range = {(uintptr_t)image, (uintptr_t)image + sizeof(image), NULL};
    start();
    struct molt_world *now = atomic_load(molt_code_current_cell(f->code));
    for (int i = 0; i < 20; i++) {
        struct molt_process *p = molt_process_find(f->rt, molt_whereis("loop"));
        assert_true(molt_process_claim_wait(p, molt_whereis("loop"), molt_runtime_deadline(30000)));
        assert_non_null(p->fiber);
        molt_process_leave(p, 0, 0);
        fake_await(ROUNDS, fake_get(ROUNDS) + 2);
    }
    molt_thread_offline(me());
    assert_true(molt_runtime_scan(f->rt, &range, 1, on_pin, NULL) >= 0);
    molt_thread_online(me());
    assert_ptr_equal(now, old_module.world);
    assert_int_equal(fake_get(BEGUN), 1);
}

#define LOOPS 2 /* as there are workers: they never make room for others */

/* Layouts to and fro under processes that never return; nothing that they
 * counted is lost. */
static void many_upgrades_pass_many_loops(void **state)
{
    struct fake *f = *state;
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(molt_spawn("loop", NULL, NULL, NULL), 0);
    fake_await(BEGUN, LOOPS);
    for (int round = 0; round < 20; round++) {
        struct molt_conversion conv = conversion(f);
        bool is_back = round % 2;
        if (is_back) {
            conv.old_world = new_module.world;
            conv.new_world = old_module.world;
        }
        struct molt_error err = {0};
        assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, &err), 0);
        assert_int_equal(molt_runtime_hold(f->rt, &conv, FAKE_PATIENCE_MS, &err), 0);
        fake_commit(f, conv.new_world);
        molt_runtime_adopt(f->rt, &conv, NULL);
        fake_await(is_back ? BEGUN : NEW_BEGUN, LOOPS * (round / 2 + 1 + is_back));
    }
    assert_int_equal(fake_get(NEW_BEGUN), LOOPS * 10);
    assert_int_equal(fake_get(BEGUN), LOOPS * 11);
}

/* ---- receiving in run ---------------------------------------------------------------------- */

static int receiving_run(struct old_state *s)
{
    struct note *m;
    fake_add(BEGUN, 1);
    for (;;) {
        int rc = molt_receive_typed((void **)&m, &note_tag, NULL, NULL, 5);
        if (rc == 0) {
            s->n += m->n;
            molt_free(m);
            fake_add(SEEN, 1);
        } else if (rc != MOLT_ETIMEDOUT) {
            return 0;
        }
        if (molt_upgrade_point() < 0)
            return 0;
    }
}

static void mail_is_received_below_run(void **state)
{
    struct fake *f = *state;
    struct molt_conversion conv = conversion(f);
    old_server->desc.run = MOLT_FN(receiving_run);
    assert_int_equal(molt_spawn("loop", "loop", NULL, NULL), 0);
    fake_await(BEGUN, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(molt_send("loop", fake_new(struct note, note)), 0);
    fake_await(SEEN, 100);
    assert_int_equal(molt_runtime_prepare(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    assert_int_equal(molt_runtime_hold(f->rt, &conv, FAKE_PATIENCE_MS, NULL), 0);
    fake_commit(f, new_module.world);
    molt_runtime_adopt(f->rt, &conv, NULL);
    fake_await(NEW_BEGUN, 1);
}

/* ---- on_continue and on_config ----------------------------------------------------------------
 */

static long order[8];

static int init_and_continue(struct old_state *s, const void *arg)
{
    (void)s;
    (void)arg;
    assert_int_equal(molt_send_pid(molt_self(), fake_new(struct note, note)), 0);
    assert_int_equal(molt_timeout(0), 0);
    return molt_continue();
}

static int note_order(long what)
{
    order[fake_add(STEPS, 1) - 1] = what;
    return 0;
}

static int continue_once(struct old_state *s)
{
    (void)s;
    note_order(1);
    if (fake_add(CONTINUED, 1) < 3)
        return molt_continue();
    return 0;
}

static int short_run(struct old_state *s)
{
    (void)s;
    return note_order(2);
}

static int noted(struct old_state *s, struct note *m)
{
    (void)s;
    (void)m;
    note_order(3);
    fake_add(SEEN, 1);
    return 0;
}

static void it_continues_before_anything_else(void **state)
{
    (void)state;
    old_server->desc.init = MOLT_FN(init_and_continue);
    old_server->desc.on_continue = MOLT_FN(continue_once);
    old_server->desc.run = MOLT_FN(short_run);
    old_server->desc.on[0].fn = MOLT_FN(noted);
    assert_int_equal(molt_spawn("loop", "loop", NULL, NULL), 0);
    fake_await(SEEN, 1);
    const long expected[] = {1, 1, 1, 2, 3};
    for (int i = 0; i < 5; i++)
        assert_int_equal(order[i], expected[i]);
}

static int on_config(struct old_state *s)
{
    (void)s;
    fake_add(CONFIGS, 1);
    return 0;
}

static void a_new_configuration_is_told_to_those_who_care(void **state)
{
    struct fake *f = *state;
    old_server->desc.run = NULL;
    old_server->desc.on_config = MOLT_FN(on_config);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(molt_spawn("loop", NULL, NULL, NULL), 0);
        assert_int_equal(molt_spawn("runner", NULL, NULL, NULL), 0);
    }
    molt_runtime_config_changed(f->rt);
    fake_await(CONFIGS, 1);
    /* Those that had not begun read the new one in their init. */
    for (long n = 1; n <= 3; n++) {
        fake_add(CONFIGS, -fake_get(CONFIGS));
        molt_runtime_config_changed(f->rt);
        fake_await(CONFIGS, 10);
    }
    /* This thread is still registered, and in its world. */
    assert_int_equal(molt_spawn("runner", "runner", NULL, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mail_is_handled_when_run_has_returned),
        TEST(its_result_ends_the_process),
        TEST(a_request_to_end_is_told_at_an_upgrade_point),
        TEST(a_kill_ends_it_at_an_upgrade_point),
        TEST(misuse_gets_a_named_error),
        TEST(new_code_goes_on_with_the_state),
        TEST(a_layout_changes_at_an_upgrade_point),
        TEST(what_can_not_be_converted_goes_on_in_its_old_world),
        TEST(gone_mail_is_handled_before),
        TEST(a_rare_upgrade_point_is_waited_for),
        TEST(a_scan_does_not_restart_it),
        TEST(many_upgrades_pass_many_loops),
        TEST(mail_is_received_below_run),
        TEST(it_continues_before_anything_else),
        TEST(a_new_configuration_is_told_to_those_who_care),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
