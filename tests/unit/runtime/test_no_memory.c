/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What links, monitors, spawns, groups, limits, waits, timers, requests, sockets and
 * state machines do when an allocation fails: each in turn, until one attempt needs
 * none that fails. */
#include "unit/runtime/actors.h"

#include <dirent.h>

#include "support/alloc_fail.h"

#include <molt/statem.h>

#include "runtime/rt.h"

#define NTH_MAX 100

enum { TIMEOUTS = 8 };

struct note {
    long n;
    void *text; /* a block of its own */
};
struct question {
    long n; /* answered with n + 1; LATER: at the next flush */
};
struct answer {
    long n;
};
struct flush {
    long n;
};
FAKE_POINTER_TYPE(note, struct note, 0xb1, FAKE_PTR(struct note, text, MOLT_PTR_WORD));
FAKE_TYPE(byte, char, 0xb2);
FAKE_TYPE(question, struct question, 0xb3);
FAKE_TYPE(answer, struct answer, 0xb4);
FAKE_TYPE(flush, struct flush, 0xb5);
#define LATER (-1)

static struct fake_module module;
static molt_pid echo;
static struct molt_from later;

static int answer(const struct molt_from *from, long n)
{
    struct answer *a = fake_new(struct answer, answer);
    a->n = n;
    return molt_reply(from, a);
}

static int on_question(struct fake_state *s, struct question *m, struct molt_from *from)
{
    (void)s;
    if (m->n != LATER)
        return answer(from, m->n + 1);
    later = *from;
    return 0;
}

static int on_flush(struct fake_state *s, struct flush *m)
{
    (void)s;
    (void)m;
    return answer(&later, LATER + 1);
}

static int on_timeout(struct fake_state *s)
{
    (void)s;
    fake_add(TIMEOUTS, 1);
    return 0;
}

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

/* Each allocation of @fn fails once. What it could do without is no failure. How many
 * attempts were refused. */
static int try_each(molt_pid who, struct attempt *a)
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
    return n_refused;
}

static void try_all(molt_pid who, struct attempt *a)
{
    assert_true(try_each(who, a) > 0);
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

/* ---- messages, waits, timers ---- */

static struct note *new_note(void)
{
    struct note *m = fake_new(struct note, note);
    if (m && !(m->text = fake_new_array(char, byte, 8))) {
        molt_free(m);
        return NULL;
    }
    return m;
}

/* Those who free them tell nobody. */
static void await_no_note(void)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    while (molt_heap_pointing(fake_here->rt->heap) > 0)
        assert_true(molt_clock_ns() < deadline);
}

static int try_receive(struct attempt *a)
{
    (void)a;
    struct note *m = new_note(), *got = NULL;
    if (!m)
        return MOLT_ENOMEM;
    int rc = molt_send_pid(molt_self(), m);
    if (rc == 0)
        rc = molt_receive_typed((void **)&got, &note_tag, NULL, NULL, -1);
    if (rc == 0)
        rc = molt_receive_typed((void **)&m, &note_tag, NULL, NULL, 1) == MOLT_ETIMEDOUT ? 0 : -99;
    molt_free(got);
    return rc;
}

static int try_sleep(struct attempt *a)
{
    (void)a;
    return molt_sleep(1);
}

/* What is sent needs no more memory to arrive, nor does waiting for it. */
static void waiting_needs_no_memory(void **state)
{
    (void)state;
    molt_pid pid = actor_new();
    struct attempt attempt = {.fn = try_receive};
    try_each(pid, &attempt); /* blocks may have to come from the system */
    assert_int_equal(try_each(pid, &attempt), 0);
    attempt.fn = try_sleep;
    assert_int_equal(try_each(pid, &attempt), 0);
    await_no_note();
}

static int try_plain_timeout(struct attempt *a)
{
    (void)a;
    int rc = molt_timeout(100000);
    return rc < 0 ? rc : molt_timeout(-1);
}

static void a_timeout_that_can_not_be_set_is_none(void **state)
{
    (void)state;
    molt_pid pid;
    assert_int_equal(molt_spawn("echo", NULL, NULL, &pid), 0);
    actor_sync(pid);
    struct attempt attempt = {.fn = try_plain_timeout};
    try_all(pid, &attempt);
    assert_int_equal(fake_get(TIMEOUTS), 0);
}

static int try_send_after(struct attempt *a)
{
    uint64_t timer;
    struct note *m = new_note();
    if (!m)
        return MOLT_ENOMEM;
    int rc = molt_send_after(100000, a->pid, m, &timer);
    return rc < 0 ? rc : molt_cancel_timer(timer);
}

static void a_message_that_can_not_wait_is_freed(void **state)
{
    (void)state;
    molt_pid pid = actor_new();
    struct attempt attempt = {.pid = pid, .fn = try_send_after};
    try_all(pid, &attempt);
    await_no_note();
}

/* ---- requests ---- */

static int ask(long n, struct molt_request *ret)
{
    struct question *m = fake_new(struct question, question);
    if (!m)
        return MOLT_ENOMEM;
    m->n = n;
    return molt_call_async(NULL, echo, m, ret);
}

static int fetch(const struct molt_request *r, long expected)
{
    struct answer *a = NULL;
    int rc = molt_await_typed(r, (void **)&a, &answer_tag, -1);
    if (rc == 0 && a->n != expected)
        rc = -99;
    molt_free(a);
    return rc;
}

static int try_request(struct attempt *a)
{
    (void)a;
    struct molt_request first, second;
    int rc = ask(1, &first);
    if (rc < 0)
        return rc;
    rc = ask(2, &second);
    int other = fetch(&first, 2); /* it is none the worse for that */
    if (rc == 0)
        rc = fetch(&second, 3);
    return other < 0 ? other : rc;
}

/* The server has to remember who waits, or says that it can't. */
static int try_deferred(struct attempt *a)
{
    (void)a;
    struct molt_request r;
    int rc = ask(LATER, &r);
    if (rc < 0)
        return rc;
    struct flush *m = fake_new(struct flush, flush);
    rc = m ? molt_send_pid(echo, m) : MOLT_ENOMEM;
    int other = fetch(&r, LATER + 1);
    return other < 0 ? other : rc;
}

static void who_asks_is_told_and_may_ask_again(void **state)
{
    (void)state;
    struct attempt attempt = {.fn = try_request};
    try_all(actor_new(), &attempt);
    attempt.fn = try_deferred;
    try_each(actor_new(), &attempt);
}

/* ---- sockets ---- */

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int exchange(int listener)
{
    char byte = 'a';
    int far = molt_net_connect("127.0.0.1", (unsigned)molt_net_port(listener), NULL, -1);
    if (far < 0)
        return far;
    int near = molt_net_accept(listener, -1);
    long rc = near < 0 ? near : molt_net_write_all(far, &byte, 1, -1);
    if (rc == 0)
        rc = molt_net_read(near, &byte, 1, -1);
    if (rc == 1) /* nothing comes any more */
        rc = molt_net_read(near, &byte, 1, 1) == MOLT_ETIMEDOUT ? 0 : -99;
    if (near >= 0)
        molt_net_close(near);
    molt_net_close(far);
    return (int)rc;
}

static int try_sockets(struct attempt *a)
{
    (void)a;
    int listener = molt_net_listen("127.0.0.1", 0, NULL);
    if (listener < 0)
        return listener;
    int rc = exchange(listener);
    molt_net_close(listener);
    return rc;
}

static void a_socket_that_can_not_be_had_is_closed(void **state)
{
    (void)state;
    molt_pid pid = actor_new();
    struct attempt attempt = {.fn = try_sockets};
    unsigned before = count_descriptors();
    try_all(pid, &attempt);
    assert_int_equal(count_descriptors(), before);
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
    static struct molt_thread *thread;
    n_heard = 0;
    fake_init(&f, 1);
    fake_module_init(&module, "actors", 1);
    actor_server(&module, "actor");
    struct fake_server *s = fake_runner(&module, "echo");
    fake_on(s, MOLT_HANDLER_CALL, &question_type, MOLT_FN(on_question));
    fake_on(s, MOLT_HANDLER_CAST, &flush_type, MOLT_FN(on_flush));
    s->desc.on_timeout = MOLT_FN(on_timeout);
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    *state = &f;
    return 0;
}

/* With a process of server echo. */
static int setup_echo(void **state)
{
    setup(state);
    assert_int_equal(molt_spawn("echo", NULL, NULL, &echo), 0);
    actor_sync(echo);
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
        TEST(waiting_needs_no_memory),
        TEST(a_timeout_that_can_not_be_set_is_none),
        TEST(a_message_that_can_not_wait_is_freed),
        cmocka_unit_test_setup_teardown(who_asks_is_told_and_may_ask_again, setup_echo, teardown),
        TEST(a_socket_that_can_not_be_had_is_closed),
        TEST(a_machine_is_told_and_goes_on),
        TEST(a_machine_without_memory_ends_in_init),
        cmocka_unit_test(a_supervisor_that_can_not_start_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
