/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/actors.h"

#include <semaphore.h>

#include "runtime/limit.h"
#include "runtime/rt.h"

static struct fake_module module;
static sem_t reached;
static atomic_bool is_open;

/* What a process is told to do, and what came of it. */
struct order {
    molt_pid pid;
    int n, rc;
    atomic_int n_sent;
};

struct mark {
    long n;
};
FAKE_TYPE(mark, struct mark, 0x3a);

/* Numbers as they were handled. */
static long seen[100000];
static atomic_long n_seen;

static int take_mark(struct fake_state *s, struct mark *m)
{
    (void)s;
    long at = atomic_fetch_add(&n_seen, 1);
    if (at < 100000)
        seen[at] = m->n;
    fake_add(ACTOR_OTHER, 1);
    return 0;
}

static int answer_mark(struct fake_state *s, struct mark *m, struct molt_from *from)
{
    (void)s;
    (void)m;
    return molt_reply(from, fake_new(struct mark, mark));
}

static int send_mark(molt_pid pid, long n)
{
    struct mark *m = fake_new(struct mark, mark);
    m->n = n;
    return molt_send_pid(pid, m);
}

/* Suspended, so that no worker stands still. */
static void do_wait_at_gate(void *arg)
{
    (void)arg;
    atomic_store(&is_open, false);
    sem_post(&reached);
    while (!atomic_load(&is_open) && molt_sleep(1) == 0)
        ;
}

static void open_gate(void)
{
    atomic_store(&is_open, true);
}

static molt_pid spawn_limited(const char *server, const struct molt_limits *limits)
{
    struct molt_spawn_options o = {.size = sizeof(o), .limits = limits};
    molt_pid pid = 0;
    assert_int_equal(molt_spawn_with(server, NULL, &o, &pid), 0);
    return pid;
}

/* A process with room for @n, that is busy until the gate opens. */
static molt_pid busy_with_room(const char *server, unsigned n, unsigned on_full)
{
    struct molt_limits limits = {.mailbox = n, .on_full = on_full};
    molt_pid pid = spawn_limited(server, &limits);
    actor_post(pid, do_wait_at_gate, NULL);
    while (sem_wait(&reached) < 0)
        ;
    return pid;
}

static void fill(molt_pid pid, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(send_mark(pid, i), 0);
}

static void note_wait(void *user, const struct molt_process_info *info)
{
    struct order *o = user;
    o->n += strcmp(info->waiting_for, "send") == 0;
}

/* No event tells that a sender waits. */
static void await_senders(int n)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    struct order found;
    do {
        found.n = 0;
        molt_runtime_each_process(fake_here->rt, note_wait, &found);
        sched_yield();
    } while (found.n < n && molt_clock_ns() < deadline);
    assert_int_equal(found.n, n);
}

/* ---- blocking ------------------------------------------------------------------------- */

static void do_send(void *arg)
{
    struct order *o = arg;
    o->rc = 0;
    for (int i = 0; i < o->n && o->rc == 0; i++) {
        o->rc = send_mark(o->pid, i);
        atomic_fetch_add(&o->n_sent, 1);
    }
}

static void who_is_no_process_is_told_that_it_is_full(void **state)
{
    (void)state;
    molt_pid pid = busy_with_room("taker", 3, MOLT_FULL_BLOCK);
    fill(pid, 3);
    assert_int_equal(send_mark(pid, 3), MOLT_EBUSY);
    assert_int_equal(send_mark(pid, 3), MOLT_EBUSY);
    open_gate();
    fake_await(ACTOR_OTHER, 3);
    actor_sync(pid);
    assert_int_equal(atomic_load(&n_seen), 3);
    fill(pid, 1);
    fake_await(ACTOR_OTHER, 4);
}

static void a_process_waits_for_room_and_loses_nothing(void **state)
{
    (void)state;
    static struct order o;
    molt_pid pid = busy_with_room("taker", 5, MOLT_FULL_BLOCK), sender = actor_new();
    o = (struct order){.pid = pid, .n = 1000, .rc = -1};
    actor_post(sender, do_send, &o);
    await_senders(1);
    assert_int_equal(atomic_load(&o.n_sent), 5);
    open_gate();
    fake_await(ACTOR_OTHER, 1000);
    for (long i = 0; i < 1000; i++)
        assert_int_equal(seen[i], i);
    actor_sync(sender);
    assert_int_equal(o.rc, 0);
}

static void many_senders_get_their_turn(void **state)
{
    (void)state;
    enum { N = 60 };
    static struct order o[N];
    molt_pid pid = busy_with_room("taker", 2, MOLT_FULL_BLOCK);
    for (int i = 0; i < N; i++) {
        o[i] = (struct order){.pid = pid, .n = 50, .rc = -1};
        actor_post(actor_spawn(), do_send, &o[i]);
    }
    await_senders(N);
    assert_int_equal(molt_process_mailbox(molt_process_find(fake_here->rt, pid)), 2);
    open_gate();
    fake_await(ACTOR_OTHER, N * 50);
    fake_await(ACTOR_DONE, N + 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(o[i].rc, 0);
}

static void who_is_asked_to_end_stops_waiting(void **state)
{
    (void)state;
    static struct order o;
    molt_pid pid = busy_with_room("taker", 2, MOLT_FULL_BLOCK), sender = actor_new();
    o = (struct order){.pid = pid, .n = 10, .rc = 0};
    actor_post(sender, do_send, &o);
    await_senders(1);
    assert_int_equal(molt_exit(sender, MOLT_EIO), 0);
    fake_await(ACTOR_DONE, 1);
    fake_await_processes(1);
    assert_int_equal(o.rc, MOLT_EKILLED);
    assert_int_equal(actor_heard(HEARD_END, sender).reason, MOLT_EIO);
    open_gate();
    fake_await(ACTOR_OTHER, 2);
    actor_sync(pid);
    assert_int_equal(atomic_load(&n_seen), 2);
}

static void a_killed_sender_leaves_its_place_to_others(void **state)
{
    (void)state;
    static struct order o[3];
    molt_pid pid = busy_with_room("taker", 1, MOLT_FULL_BLOCK), senders[3];
    fill(pid, 1);
    for (int i = 0; i < 3; i++) {
        o[i] = (struct order){.pid = pid, .n = 1, .rc = -1};
        senders[i] = actor_new();
        actor_post(senders[i], do_send, &o[i]);
        await_senders(i + 1);
    }
    assert_int_equal(molt_exit(senders[0], MOLT_EKILLED), 0);
    fake_await_processes(3);
    open_gate();
    fake_await(ACTOR_OTHER, 3);
    fake_await(ACTOR_DONE, 3);
    assert_int_equal(o[0].rc, 0); /* it never came back */
    assert_int_equal(o[1].rc, 0);
    assert_int_equal(o[2].rc, 0);
}

static void when_the_receiver_ends_its_senders_hear_it(void **state)
{
    (void)state;
    static struct order o[3];
    molt_pid pid = busy_with_room("taker", 1, MOLT_FULL_BLOCK), senders[3];
    fill(pid, 1);
    for (int i = 0; i < 3; i++) {
        o[i] = (struct order){.pid = pid, .n = 1, .rc = 0};
        senders[i] = actor_spawn();
        actor_post(senders[i], do_send, &o[i]);
    }
    await_senders(3);
    assert_int_equal(molt_exit(pid, MOLT_EKILLED), 0);
    open_gate();
    fake_await_processes(3);
    /* The receiver may come to the end of its callback, too, so counting those is no use. */
    for (int i = 0; i < 3; i++) {
        actor_sync(senders[i]);
        assert_int_equal(o[i].rc, MOLT_EDEAD);
    }
}

static void do_bad_sends(void *arg)
{
    struct order *o = arg;
    static int lock;
    molt_lock_enter(&lock);
    assert_int_equal(send_mark(o->pid, 1), MOLT_ELOCKED);
    molt_lock_leave(&lock);
    o->rc = 1;
}

static void do_send_to_itself(void *arg)
{
    struct order *o = arg;
    for (int i = 0; i < 2; i++)
        assert_int_equal(send_mark(molt_self(), i), 0);
    o->rc = send_mark(molt_self(), 2);
}

static void what_could_never_end_is_refused(void **state)
{
    (void)state;
    static struct order o;
    molt_pid pid = busy_with_room("taker", 1, MOLT_FULL_BLOCK), sender = actor_new();
    fill(pid, 1);
    o = (struct order){.pid = pid};
    actor_do(sender, do_bad_sends, &o);
    assert_int_equal(o.rc, 1);
    fake_await_log("full mailbox");
    open_gate();
    struct molt_limits limits = {.mailbox = 2};
    actor_do(spawn_limited("taker", &limits), do_send_to_itself, &o);
    assert_int_equal(o.rc, MOLT_EBUSY);
}

static void do_call(void *arg)
{
    struct order *o = arg;
    struct mark *reply = NULL;
    o->rc = molt_call_typed(NULL, o->pid, fake_new(struct mark, mark), (void **)&reply, &mark_tag,
                            o->n);
    if (o->rc == 0)
        molt_free(reply);
}

static void calls_wait_for_room_within_their_time(void **state)
{
    (void)state;
    static struct order late, patient;
    molt_pid pid = busy_with_room("answerer", 1, MOLT_FULL_BLOCK);
    molt_pid a = actor_new(), b = actor_new();
    actor_post(pid, actor_nothing, NULL);
    late = (struct order){.pid = pid, .n = 5, .rc = 1};
    actor_do(a, do_call, &late);
    assert_int_equal(late.rc, MOLT_ETIMEDOUT);
    patient = (struct order){.pid = pid, .n = -1, .rc = 1};
    actor_post(b, do_call, &patient);
    await_senders(1);
    open_gate();
    fake_await(ACTOR_DONE, 3);
    assert_int_equal(patient.rc, 0);
}

/* ---- dropping and ending ----------------------------------------------------------------- */

static void what_is_dropped_is_reported_now_and_then(void **state)
{
    (void)state;
    molt_pid pid = busy_with_room("taker", 4, MOLT_FULL_DROP);
    fill(pid, 4);
    for (int i = 0; i < 200; i++)
        assert_int_equal(send_mark(pid, i), MOLT_ELIMIT);
    fake_await_log("its mailbox is full (4 messages): 1 message dropped");
    size_t n_lines = 0;
    for (const char *at = fake_here->log; (at = strstr(at, "is full")); at++)
        n_lines++;
    assert_true(n_lines < 10);
    open_gate();
    fake_await(ACTOR_OTHER, 4);
    actor_sync(pid);
    assert_int_equal(atomic_load(&n_seen), 4);
}

static void who_may_not_be_full_ends(void **state)
{
    (void)state;
    molt_pid pid = busy_with_room("taker", 2, MOLT_FULL_EXIT);
    fill(pid, 2);
    assert_int_equal(send_mark(pid, 2), MOLT_ELIMIT);
    open_gate();
    fake_await_processes(0);
    assert_int_equal(actor_heard(HEARD_END, pid).reason, MOLT_ELIMIT);
    fake_await_log("it is asked to end");
}

static void do_trap(void *arg)
{
    (void)arg;
    assert_int_equal(molt_trap_exit(1), 0);
}

static void notices_need_no_room(void **state)
{
    (void)state;
    struct molt_limits limits = {.mailbox = 1, .on_full = MOLT_FULL_DROP};
    molt_pid pid = spawn_limited("taker", &limits);
    actor_do(pid, do_trap, NULL);
    actor_post(pid, do_wait_at_gate, NULL);
    while (sem_wait(&reached) < 0)
        ;
    fill(pid, 1);
    assert_int_equal(molt_exit(pid, MOLT_EIO), 0);
    assert_int_equal(molt_exit(pid, 0), 0);
    open_gate();
    fake_await(ACTOR_EXITS, 2);
}

static atomic_int n_over;

static int watch_mark(struct fake_state *s, struct mark *m)
{
    (void)s;
    (void)m;
    struct molt_process *p = molt_process_find(fake_here->rt, molt_self());
    /* In the mailbox beside the one that is being handled. */
    if (molt_process_mailbox(p) > 8)
        atomic_fetch_add(&n_over, 1);
    fake_add(ACTOR_OTHER, 1);
    return 0;
}

static void the_limit_is_exact_whoever_sends(void **state)
{
    (void)state;
    enum { N = 8, EACH = 2000 };
    static struct order o[N];
    struct molt_limits limits = {.mailbox = 8};
    molt_pid pid = spawn_limited("watcher", &limits);
    atomic_store(&n_over, 0);
    for (int i = 0; i < N; i++) {
        o[i] = (struct order){.pid = pid, .n = EACH, .rc = -1};
        actor_post(actor_spawn(), do_send, &o[i]);
    }
    fake_await(ACTOR_OTHER, N * EACH);
    assert_int_equal(atomic_load(&n_over), 0);
}

/* ---- memory -----------------------------------------------------------------------------------
 */

static void do_use_memory(void *arg)
{
    struct order *o = arg;
    void *all[64];
    o->n = 0;
    while (o->n < 64 && (all[o->n] = fake_new_array(struct mark, mark, 100)))
        o->n++;
    for (int i = 0; i < o->n; i++)
        molt_free(all[i]);
    /* What was freed may be had again. */
    void *again = fake_new_array(struct mark, mark, 100);
    o->rc = again != NULL;
    molt_free(again);
    assert_null(fake_new_array(struct mark, mark, SIZE_MAX / 4));
}

static void beyond_its_memory_a_process_gets_null(void **state)
{
    (void)state;
    static struct order o;
    struct molt_limits limits = {.memory = 10000};
    molt_pid pid = spawn_limited("actor", &limits);
    actor_do(pid, do_use_memory, &o);
    assert_in_range(o.n, 10, 12);
    assert_int_equal(o.rc, 1);
    actor_do(actor_new(), do_use_memory, &o);
    assert_int_equal(o.n, 64);
}

static void do_use_too_much(void *arg)
{
    (void)arg;
    while (fake_new_array(struct mark, mark, 100))
        ;
    fake_add(ACTOR_OTHER, 1); /* it doesn't come here */
}

static void if_that_is_fatal_it_ends(void **state)
{
    (void)state;
    struct molt_limits limits = {.memory = 10000, .is_fatal = 1};
    molt_pid pid = spawn_limited("actor", &limits);
    actor_post(pid, do_use_too_much, NULL);
    fake_await_processes(0);
    fake_await_log("beyond its 10000");
    assert_int_equal(fake_get(ACTOR_OTHER), 0);
    /* So does what a message brings. */
    pid = spawn_limited("taker", &limits);
    assert_int_equal(molt_send_pid(pid, fake_new_array(struct mark, mark, 2000)), 0);
    fake_await_processes(0);
    assert_int_equal(atomic_load(&n_seen), 0);
}

static void do_call_large(void *arg)
{
    struct order *o = arg;
    struct mark *reply = NULL;
    o->rc = molt_call_typed(NULL, o->pid, fake_new_array(struct mark, mark, 2000), (void **)&reply,
                            &mark_tag, -1);
}

static void its_caller_hears_why(void **state)
{
    (void)state;
    static struct order o;
    struct molt_limits limits = {.memory = 10000, .is_fatal = 1};
    o = (struct order){.pid = spawn_limited("answerer", &limits)};
    actor_do(actor_new(), do_call_large, &o);
    assert_int_equal(o.rc, MOLT_ELIMIT);
}

/* ---- where limits come from
 * ------------------------------------------------------------------------ */

static void limits_are_checked(void **state)
{
    (void)state;
    struct molt_limits bad[] = {{.mailbox = MOLT_MAILBOX_MAX + 1},
                                {.mailbox = 1, .on_full = 3},
                                {.memory = 1, .is_fatal = 2},
                                {.mailbox = 1, .reserved = 1}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct molt_spawn_options o = {.size = sizeof(o), .limits = &bad[i]};
        assert_int_equal(molt_spawn_with("actor", NULL, &o, NULL), MOLT_EINVAL);
    }
    fake_await_processes(0);
}

static void a_servers_limits_hold_unless_the_spawn_has_others(void **state)
{
    (void)state;
    struct molt_limits none = {0};
    molt_pid pid = 0;
    assert_int_equal(molt_spawn("narrow", NULL, NULL, &pid), 0);
    actor_post(pid, do_wait_at_gate, NULL);
    while (sem_wait(&reached) < 0)
        ;
    fill(pid, 2);
    assert_int_equal(send_mark(pid, 2), MOLT_ELIMIT);
    open_gate();
    pid = spawn_limited("narrow", &none);
    actor_post(pid, do_wait_at_gate, NULL);
    while (sem_wait(&reached) < 0)
        ;
    fill(pid, 1000);
    open_gate();
    fake_await(ACTOR_OTHER, 1002);
}

/* ---- fixture ---- */

static int setup(void **state)
{
    static struct fake f;
    actors_start(&f, &module, 3);
    atomic_store(&n_seen, 0);
    sem_init(&reached, 0, 0);
    fake_on(actor_server(&module, "taker"), MOLT_HANDLER_CAST, &mark_type, MOLT_FN(take_mark));
    fake_on(actor_server(&module, "answerer"), MOLT_HANDLER_CALL, &mark_type, MOLT_FN(answer_mark));
    fake_on(actor_server(&module, "watcher"), MOLT_HANDLER_CAST, &mark_type, MOLT_FN(watch_mark));
    struct fake_server *narrow = actor_server(&module, "narrow");
    fake_on(narrow, MOLT_HANDLER_CAST, &mark_type, MOLT_FN(take_mark));
    narrow->desc.limits = (struct molt_limits){.mailbox = 2, .on_full = MOLT_FULL_DROP};
    fake_publish(&f, &module);
    molt_safepoint(molt_container_of(molt_runner_here(), struct molt_thread, runner));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    actors_stop(*state);
    sem_destroy(&reached);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_no_process_is_told_that_it_is_full),
        TEST(a_process_waits_for_room_and_loses_nothing),
        TEST(many_senders_get_their_turn),
        TEST(who_is_asked_to_end_stops_waiting),
        TEST(a_killed_sender_leaves_its_place_to_others),
        TEST(when_the_receiver_ends_its_senders_hear_it),
        TEST(what_could_never_end_is_refused),
        TEST(calls_wait_for_room_within_their_time),
        TEST(what_is_dropped_is_reported_now_and_then),
        TEST(who_may_not_be_full_ends),
        TEST(notices_need_no_room),
        TEST(the_limit_is_exact_whoever_sends),
        TEST(beyond_its_memory_a_process_gets_null),
        TEST(if_that_is_fatal_it_ends),
        TEST(its_caller_hears_why),
        TEST(limits_are_checked),
        TEST(a_servers_limits_hold_unless_the_spawn_has_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
