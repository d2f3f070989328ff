/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What links, monitors, spawns, groups, limits and state machines do when an allocation fails:
 * each in turn, until one attempt needs none that fails. */
#include "unit/runtime/actors.h"

#include "support/alloc_fail.h"

#include <molt/statem.h>

#include "runtime/rt.h"

#define NTH_MAX 100

static struct fake_module module;

struct attempt {
    molt_pid pid;
    int (*fn)(struct attempt *a);
    int rc;
    bool has_failed;
    size_t nth;
};

static void do_attempt(void *arg)
{
    struct attempt *a = arg;
    alloc_fail_at(a->nth);
    a->rc = a->fn(a);
    a->has_failed = alloc_fail_end();
}

/* Each allocation of @fn fails once. What it could do without is no failure. */
static void try_all(molt_pid who, struct attempt *a)
{
    int n_refused = 0;
    a->has_failed = true;
    for (a->nth = 1; a->has_failed && a->nth < NTH_MAX; a->nth++) {
        actor_do(who, do_attempt, a);
        assert_true(a->rc == 0 || (a->rc == MOLT_ENOMEM && a->has_failed));
        n_refused += a->rc != 0;
    }
    assert_false(a->has_failed);
    assert_int_equal(a->rc, 0);
    assert_true(n_refused > 0);
}

static int try_link(struct attempt *a)
{
    int rc = molt_link(a->pid);
    return rc < 0 ? rc : molt_unlink(a->pid);
}

static int try_monitor(struct attempt *a)
{
    uint64_t ref;
    int rc = molt_monitor(a->pid, &ref);
    return rc < 0 ? rc : molt_demonitor(ref);
}

static int try_spawn(struct attempt *a)
{
    uint64_t ref;
    struct molt_limits limits = {.mailbox = 1};
    struct molt_spawn_options o = {.size = sizeof(o),
                                   .flags = MOLT_SPAWN_LINK | MOLT_SPAWN_MONITOR,
                                   .name = "born",
                                   .ret_monitor = &ref,
                                   .limits = &limits};
    return molt_spawn_with("actor", NULL, &o, &a->pid);
}

static int try_join(struct attempt *a)
{
    int rc = molt_group_join("g", a->pid);
    return rc < 0 ? rc : molt_group_leave("g", a->pid);
}

static void who_links_or_monitors_is_told_and_nothing_has_changed(void **state)
{
    (void)state;
    molt_pid a = actor_new(), b = actor_new();
    struct attempt attempt = {.pid = b, .fn = try_link};
    try_all(a, &attempt);
    attempt.fn = try_monitor;
    try_all(a, &attempt);
    assert_int_equal(molt_exit(b, MOLT_EIO), 0);
    fake_await_processes(1);
    actor_sync(a);
    assert_int_equal(fake_get(ACTOR_DOWNS), 0);
}

static void a_spawn_that_fails_leaves_no_name_and_no_process(void **state)
{
    (void)state;
    molt_pid a = actor_new();
    struct attempt attempt = {.fn = try_spawn};
    try_all(a, &attempt);
    fake_await_processes(2);
    assert_int_equal(molt_whereis("born"), attempt.pid);
    assert_int_equal(molt_exit(attempt.pid, 0), 0);
    fake_await(ACTOR_DOWNS, 1);
    assert_int_equal(fake_get(ACTOR_DOWNS), 1);
}

static void a_group_without_members_is_gone(void **state)
{
    (void)state;
    molt_pid a = actor_new();
    struct attempt attempt = {.pid = a, .fn = try_join};
    try_all(a, &attempt);
    assert_int_equal(fake_here->rt->groups.n_groups, 0);
    assert_int_equal(fake_here->rt->groups.n_rolls, 0);
}

/* An end needs no memory to be told. */
static void do_watch(void *arg)
{
    struct attempt *a = arg;
    uint64_t ref;
    assert_int_equal(molt_trap_exit(1), 0);
    assert_int_equal(molt_link(a->pid), 0);
    assert_int_equal(molt_monitor(a->pid, &ref), 0);
}

static void do_end(void *arg)
{
    (void)arg;
    alloc_fail_at(1); /* on this thread, whose next allocation isn't before the end is told */
    assert_int_equal(molt_exit(molt_self(), MOLT_EIO), 0);
}

static void an_end_is_told_without_memory(void **state)
{
    (void)state;
    molt_pid a = actor_new();
    struct attempt attempt = {.pid = actor_new()};
    actor_do(a, do_watch, &attempt);
    actor_post(attempt.pid, do_end, &attempt);
    fake_await(ACTOR_EXITS, 1);
    fake_await(ACTOR_DOWNS, 1);
    assert_int_equal(actor_heard(HEARD_DOWN, a).reason, MOLT_EIO);
}

/* ---- state machines ---- */

static const struct molt_state_table states = {.size = sizeof(states),
                                               .server = "machine",
                                               .state = {{.name = "A"}, {.name = "B"}}};

static int try_timeout(struct attempt *a)
{
    (void)a;
    int rc = molt_named_timeout(2, 3600000);
    return rc < 0 ? rc : molt_named_timeout(2, -1);
}

/* The job that tries it comes again when that worked. */
static bool has_gone;
static int try_postpone(struct attempt *a)
{
    (void)a;
    int rc = has_gone ? 0 : molt_postpone();
    return rc;
}

static void do_go(void *arg)
{
    (void)arg;
    has_gone = true;
    assert_int_equal(molt_next_state(1), 0);
}

static int try_insert(struct attempt *a)
{
    (void)a;
    struct fake_job *job = fake_new(struct fake_job, fake_job);
    if (!job)
        return MOLT_ENOMEM;
    *job = (struct fake_job){actor_nothing, NULL, ACTOR_OTHER};
    return molt_insert(job);
}

static void a_machine_is_told_and_goes_on(void **state)
{
    struct fake *f = *state;
    molt_pid pid = 0;
    has_gone = false;
    fake_module_init(&module, "actors", 2);
    fake_runner(&module, "machine")->states = &states;
    fake_publish(f, &module);
    molt_safepoint(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    assert_int_equal(molt_spawn("machine", NULL, NULL, &pid), 0);
    struct attempt attempt = {.pid = pid, .fn = try_timeout};
    try_all(pid, &attempt);
    attempt.fn = try_insert;
    try_all(pid, &attempt);
    fake_await(ACTOR_OTHER, 1);
    attempt.fn = try_postpone;
    try_all(pid, &attempt);
    long n = fake_get(ACTOR_DID);
    actor_post(pid, do_go, NULL);
    fake_await(ACTOR_DID, n + 1); /* the one that was postponed, once */
    actor_sync(pid);
    assert_int_equal(fake_get(ACTOR_DID), n + 2);
}

static void do_spawn_machine(void *arg)
{
    assert_int_equal(molt_spawn("machine", NULL, NULL, arg), 0);
    /* One worker: the init runs next on this thread. What a process needs before has
     * been made, so the first is its state, or its machine. */
    alloc_fail_at(1);
}

static void a_machine_without_memory_ends_in_init(void **state)
{
    struct fake *f = *state;
    molt_pid pid = 0, other = 0;
    fake_module_init(&module, "actors", 2);
    fake_runner(&module, "machine")->states = &states;
    fake_publish(f, &module);
    molt_safepoint(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    assert_int_equal(molt_spawn("machine", NULL, NULL, &pid), 0);
    actor_do(pid, do_spawn_machine, &other);
    fake_await_log("can't start: no memory for its state");
    fake_await_processes(1);
}

/* ---- supervisors ---- */

static int give_arg(void **ret_arg)
{
    *ret_arg = NULL;
    return 0;
}

static void a_supervisor_that_can_not_start_leaves_nothing(void **state)
{
    static struct fake f;
    struct molt_error err = {0};
    (void)state;
    fake_init(&f, 1);
    fake_module_init(&module, "app", 1);
    fake_runner(&module, "runner");
    module.n_supervisors = 1;
    module.supervisors[0] =
        (struct molt_supervisor){.size = sizeof(struct molt_supervisor),
                                 .name = "app",
                                 .child = {{.id = "a", .server = "runner", .arg = give_arg},
                                           {"b", "runner", NULL, 0, 0}}};
    fake_publish(&f, &module);
    bool has_failed = true;
    int n_refused = 0, rc = 0;
    for (size_t nth = 1; has_failed && nth < NTH_MAX; nth++) {
        alloc_fail_at(nth);
        rc = molt_runtime_check_supervisors(f.rt, module.world, module.world, &err);
        if (rc == 0)
            rc = molt_runtime_start(f.rt, "app", &err);
        has_failed = alloc_fail_end();
        assert_true(rc == 0 || (rc == MOLT_ENOMEM && has_failed));
        n_refused += rc != 0;
        if (rc == 0)
            break;
    }
    assert_int_equal(rc, 0);
    assert_true(n_refused > 4);
    fake_await_processes(3);
    fake_fini(&f);
}

/* ---- fixture ---- */

static int setup(void **state)
{
    static struct fake f;
    actors_start(&f, &module, 1);
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
        TEST(who_links_or_monitors_is_told_and_nothing_has_changed),
        TEST(a_spawn_that_fails_leaves_no_name_and_no_process),
        TEST(a_group_without_members_is_gone),
        TEST(an_end_is_told_without_memory),
        TEST(a_machine_is_told_and_goes_on),
        TEST(a_machine_without_memory_ends_in_init),
        cmocka_unit_test(a_supervisor_that_can_not_start_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
