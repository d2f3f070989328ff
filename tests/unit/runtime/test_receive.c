/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Receiving in the middle of a callback, by type and by predicate. */
#include "unit/runtime/actors.h"

#include "runtime/rt.h"

enum { HANDLED = 8, WAITING, RECEIVED };

struct item {
    long n;
    char *text; /* a block of its own, or NULL */
};
struct other {
    long n;
};
FAKE_POINTER_TYPE(item, struct item, 0x71, FAKE_PTR(struct item, text, MOLT_PTR_WORD));
FAKE_TYPE(other, struct other, 0x72);
FAKE_TYPE(third, struct other, 0x73);
FAKE_TYPE(byte, char, 0x74);

#define fake_receive(ret, id, ms) molt_receive_typed((void **)(ret), &id##_tag, NULL, NULL, (ms))
#define fake_receive_if(ret, id, fn, user, ms)                                                     \
    molt_receive_typed((void **)(ret), &id##_tag, (fn), (user), (ms))

/* ---- a server that notes what its handlers get ----------------------------------- */

#define HANDLED_MAX 4096
static long handled[HANDLED_MAX];
static size_t n_handled; /* under the fixture's lock */

static void note(long n)
{
    pthread_mutex_lock(&fake_here->lock);
    if (n_handled < HANDLED_MAX)
        handled[n_handled++] = n;
    pthread_mutex_unlock(&fake_here->lock);
    fake_add(HANDLED, 1);
}

static int on_item(struct fake_state *s, struct item *m)
{
    (void)s;
    note(m->n);
    return 0;
}

static int on_other(struct fake_state *s, struct other *m)
{
    (void)s;
    note(m->n);
    return 0;
}

static int on_call(struct fake_state *s, struct other *m, struct molt_from *from)
{
    (void)s;
    struct other *answer = fake_new(struct other, third);
    answer->n = m->n + 1;
    return molt_reply(from, answer);
}

static struct fake_module module;

static int setup(void **state)
{
    static struct fake f;
    static struct molt_thread *thread;
    n_handled = 0;
    fake_init(&f, 2);
    fake_module_init(&module, "app", 1);
    struct fake_server *s = actor_server(&module, "actor");
    fake_on(s, MOLT_HANDLER_CAST, &item_type, MOLT_FN(on_item));
    fake_on(s, MOLT_HANDLER_CAST, &other_type, MOLT_FN(on_other));
    fake_on(s, MOLT_HANDLER_CALL, &third_type, MOLT_FN(on_call));
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    actors_stop(*state);
    return 0;
}

static void send_item(molt_pid pid, long n)
{
    struct item *m = fake_new(struct item, item);
    assert_non_null(m);
    m->n = n;
    assert_int_equal(molt_send_pid(pid, m), 0);
}

static void send_other(molt_pid pid, long n)
{
    struct other *m = fake_new(struct other, other);
    assert_non_null(m);
    m->n = n;
    assert_int_equal(molt_send_pid(pid, m), 0);
}

static long take_item(int ms)
{
    struct item *m = NULL;
    int rc = fake_receive(&m, item, ms);
    if (rc < 0)
        return rc;
    long n = m->n;
    if (m->text)
        molt_free(m->text);
    molt_free(m);
    return n;
}

/* ---- what is received, and what stays --------------------------------------------- */

static void do_take_from_the_middle(void *arg)
{
    (void)arg;
    send_other(molt_self(), 1);
    send_item(molt_self(), 2);
    send_other(molt_self(), 3);
    send_item(molt_self(), 4);
    send_other(molt_self(), 5);
    assert_int_equal(take_item(0), 2);
    assert_int_equal(take_item(-1), 4);
    assert_int_equal(take_item(0), MOLT_ETIMEDOUT);
    send_item(molt_self(), 6); /* behind the others, and nobody receives it */
}

static void others_stay_in_their_order(void **state)
{
    (void)state;
    actor_do(actor_spawn(), do_take_from_the_middle, NULL);
    fake_await(HANDLED, 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(handled[i], 1 + 2 * i);
    assert_int_equal(handled[3], 6);
}

static int is_odd(const void *msg, void *user)
{
    ++*(long *)user;
    return (int)(((const struct item *)msg)->n & 1);
}

static void do_take_odd(void *arg)
{
    struct item *m = NULL;
    long asked = 0;
    (void)arg;
    for (long n = 2; n <= 6; n++)
        send_item(molt_self(), n == 5 ? 7 : n == 6 ? 9 : 2 * n);
    assert_int_equal(fake_receive_if(&m, item, is_odd, &asked, 0), 0);
    assert_int_equal(m->n, 7);
    assert_int_equal(asked, 4);
    molt_free(m);
    /* Those that it said no to are there for whoever asks next. */
    assert_int_equal(take_item(0), 4);
    assert_int_equal(fake_receive_if(&m, item, is_odd, &asked, 0), 0);
    assert_int_equal(m->n, 9);
    molt_free(m);
    assert_int_equal(take_item(0), 6);
    assert_int_equal(take_item(0), 8);
    assert_int_equal(take_item(0), MOLT_ETIMEDOUT);
}

static void a_predicate_chooses(void **state)
{
    (void)state;
    actor_do(actor_spawn(), do_take_odd, NULL);
}

static size_t bytes_of_actor;

static void note_bytes(void *user, const struct molt_process_info *info)
{
    if (info->pid == *(molt_pid *)user)
        bytes_of_actor = info->bytes;
}

static void do_keep(void *arg)
{
    struct item *m = NULL;
    (void)arg;
    assert_int_equal(fake_receive(&m, item, -1), 0);
    assert_string_equal(m->text, "whole");
    assert_int_equal(molt_count(m->text), 6);
    fake_add(RECEIVED, 1);
}

static void what_is_received_is_the_process_s(void **state)
{
    struct fake *f = *state;
    molt_pid pid = actor_spawn();
    actor_post(pid, do_keep, NULL);
    struct item *m = fake_new(struct item, item);
    m->text = fake_new_array(char, byte, 6);
    strcpy(m->text, "whole");
    assert_int_equal(molt_send_pid(pid, m), 0);
    fake_await(RECEIVED, 1);
    actor_sync(pid);
    /* The message of the last job goes after that, which no event tells. */
    size_t expected = sizeof(struct fake_state) + sizeof(struct item) + 6;
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    do
        molt_runtime_each_process(f->rt, note_bytes, &pid);
    while (bytes_of_actor != expected && molt_clock_ns() < deadline);
    assert_int_equal(bytes_of_actor, expected);
}

/* ---- calls and notices -------------------------------------------------------------- */

static molt_pid server;

static void do_call(void *arg)
{
    struct other *m = fake_new(struct other, third), *answer = NULL;
    (void)arg;
    m->n = 41;
    fake_add(WAITING, 1);
    assert_int_equal(molt_call_typed(NULL, server, m, (void **)&answer, &third_tag, -1), 0);
    assert_int_equal(answer->n, 42);
}

static void do_refuse_calls(void *arg)
{
    struct other *m = NULL;
    (void)arg;
    /* It came, or comes while this waits. */
    assert_int_equal(fake_receive(&m, third, 20), MOLT_ETIMEDOUT);
}

static void calls_are_left_to_their_handlers(void **state)
{
    (void)state;
    server = actor_spawn();
    molt_pid caller = actor_spawn();
    actor_post(server, do_refuse_calls, NULL);
    actor_post(caller, do_call, NULL);
    fake_await(ACTOR_DONE, 2);
}

static void do_watch(void *arg)
{
    uint64_t ref;
    assert_int_equal(molt_monitor(*(molt_pid *)arg, &ref), 0);
    assert_int_equal(molt_exit(*(molt_pid *)arg, MOLT_EREFUSED), 0);
    send_item(molt_self(), 1);
    assert_int_equal(take_item(-1), 1);
    assert_int_equal(take_item(20), MOLT_ETIMEDOUT);
}

static void notices_are_left_to_their_handlers(void **state)
{
    (void)state;
    molt_pid watched = actor_new(), pid = actor_spawn();
    actor_do(pid, do_watch, &watched);
    fake_await(ACTOR_DOWNS, 1);
    assert_int_equal(actor_heard(HEARD_DOWN, pid).reason, MOLT_EREFUSED);
}

/* ---- waiting -------------------------------------------------------------------------- */

static void do_wait(void *arg)
{
    fake_add(WAITING, 1);
    long n = take_item(-1);
    assert_int_equal(n, *(long *)arg);
    fake_add(RECEIVED, 1);
}

static void it_waits_through_other_mail(void **state)
{
    (void)state;
    long wanted = 77;
    molt_pid pid = actor_spawn();
    actor_post(pid, do_wait, &wanted);
    fake_await(WAITING, 1);
    for (long n = 0; n < 500; n++)
        send_other(pid, n);
    send_item(pid, 77);
    fake_await(RECEIVED, 1);
    fake_await(HANDLED, 500);
    for (long n = 0; n < 500; n++)
        assert_int_equal(handled[n], n);
}

static void do_time_out(void *arg)
{
    (void)arg;
    uint64_t start = molt_clock_ns();
    send_other(molt_self(), 1);
    assert_int_equal(take_item(30), MOLT_ETIMEDOUT);
    assert_true(molt_clock_ns() - start >= 30000000u);
    assert_int_equal(take_item(0), MOLT_ETIMEDOUT);
    /* And a wait that ends well leaves no timer behind. */
    send_item(molt_self(), 2);
    assert_int_equal(take_item(1), 2);
    assert_int_equal(molt_sleep(3), 0);
}

static void it_times_out(void **state)
{
    (void)state;
    actor_do(actor_spawn(), do_time_out, NULL);
}

static void do_wait_for_end(void *arg)
{
    (void)arg;
    fake_add(WAITING, 1);
    assert_int_equal(take_item(-1), MOLT_EKILLED);
    send_item(molt_self(), 1);
    assert_int_equal(take_item(-1), MOLT_EKILLED);
}

static void a_request_to_end_ends_the_wait(void **state)
{
    (void)state;
    molt_pid pid = actor_spawn();
    actor_post(pid, do_wait_for_end, NULL);
    fake_await(WAITING, 1);
    assert_int_equal(molt_exit(pid, MOLT_ESHUTDOWN), 0);
    fake_await(ACTOR_ENDS, 1);
    assert_int_equal(actor_heard(HEARD_END, pid).reason, MOLT_ESHUTDOWN);
}

static void a_receiver_can_be_killed(void **state)
{
    struct fake *f = *state;
    static long never;
    molt_pid pid = actor_spawn();
    actor_post(pid, do_wait, &never);
    fake_await(WAITING, 1);
    for (long n = 0; n < 100; n++)
        send_other(pid, n);
    assert_int_equal(molt_runtime_kill(f->rt, pid), 0);
    fake_await_processes(0);
}

static int sleeps(const void *msg, void *user)
{
    (void)msg;
    *(int *)user = molt_sleep(1);
    struct item *m;
    assert_int_equal(fake_receive(&m, item, 0), MOLT_ELOCKED);
    return 1;
}

static void do_misuse(void *arg)
{
    struct item *m = NULL;
    int slept = 0;
    const struct molt_type *none = NULL;
    (void)arg;
    send_item(molt_self(), 1);
    molt_lock_enter(&slept);
    assert_int_equal(take_item(0), MOLT_ELOCKED);
    assert_int_equal(take_item(-1), MOLT_ELOCKED);
    molt_lock_leave(&slept);
    assert_int_equal(molt_receive_typed((void **)&m, &none, NULL, NULL, 0), MOLT_EINVAL);
    assert_int_equal(molt_receive_typed(NULL, &item_tag, NULL, NULL, 0), MOLT_EINVAL);
    assert_null(m);
    assert_int_equal(fake_receive_if(&m, item, sleeps, &slept, -1), 0);
    assert_int_equal(slept, MOLT_ELOCKED);
    molt_free(m);
    assert_int_equal(molt_sleep(1), 0);
}

static void misuse_gets_a_named_error(void **state)
{
    (void)state;
    actor_do(actor_spawn(), do_misuse, NULL);
    fake_await_log("molt_receive() would block while 1 lock is held");
    struct item *m = NULL;
    assert_int_equal(fake_receive(&m, item, 0), MOLT_ENOPROC);
}

/* ---- long mailboxes ------------------------------------------------------------------- */

#define MANY MOLT_LIMIT(100000, 2000)

static int is_last(const void *msg, void *user)
{
    ++*(long *)user;
    return ((const struct item *)msg)->n == -1;
}

static void do_look_once(void *arg)
{
    long asked = 0;
    struct item *m = NULL;
    (void)arg;
    fake_add(WAITING, 1);
    assert_int_equal(fake_receive_if(&m, item, is_last, &asked, -1), 0);
    assert_int_equal(asked, MANY + 1);
    molt_free(m);
}

static void each_message_is_looked_at_once(void **state)
{
    (void)state;
    molt_pid pid = actor_spawn();
    actor_post(pid, do_look_once, NULL);
    fake_await(WAITING, 1);
    for (long n = 0; n < MANY; n++) {
        send_item(pid, n);
        if (n % 1024 == 0)
            sched_yield(); /* so that it is woken often */
    }
    send_item(pid, -1);
    fake_await(ACTOR_DONE, 1);
    fake_await(HANDLED, MANY);
}

/* Behind @MANY others, again and again: were they looked at each time, that
 * would be 10^9 steps. */
static void do_receive_behind_others(void *arg)
{
    struct other *t = NULL;
    (void)arg;
    for (long n = 0; n < MANY; n++)
        send_other(molt_self(), n);
    uint64_t start = molt_clock_ns();
    for (long n = 0; n < 10000; n++) {
        struct other *m = fake_new(struct other, third);
        m->n = n;
        assert_int_equal(molt_send_pid(molt_self(), m), 0);
        send_item(molt_self(), n);
        assert_int_equal(take_item(0), n);
        assert_int_equal(fake_receive(&t, third, 0), 0);
        assert_int_equal(t->n, n);
        molt_free(t);
    }
    assert_true(molt_clock_ns() - start < UINT64_C(5000000000));
}

static void receives_go_on_where_the_last_one_was(void **state)
{
    (void)state;
    actor_do(actor_spawn(), do_receive_behind_others, NULL);
    fake_await(HANDLED, MANY);
}

/* ---- at random --------------------------------------------------------------------------- */

#define MODEL_MAX 200

struct model_entry {
    int type; /* 0: item, 1: other, 2: third */
    long n;
};
struct model {
    unsigned seed;
    struct model_entry entries[MODEL_MAX];
    size_t n;
    long next;
};

static int has_number(const void *msg, void *user)
{
    return ((const struct other *)msg)->n % 3 == *(long *)user;
}

static void model_send(struct model *m)
{
    static const struct molt_type *const *tags[] = {&item_tag, &other_tag};
    int type = rand_r(&m->seed) % 2;
    size_t size = type == 0 ? sizeof(struct item) : sizeof(struct other);
    long *block = molt_block_new(tags[type], size, 1);
    *block = m->next; /* both begin with the number */
    m->entries[m->n++] = (struct model_entry){type, m->next++};
    assert_int_equal(molt_send_pid(molt_self(), block), 0);
}

static void model_receive(struct model *m)
{
    static const struct molt_type *const *tags[] = {&item_tag, &other_tag, &third_tag};
    int type = rand_r(&m->seed) % 3;
    long rest = rand_r(&m->seed) % 3;
    bool has_rest = rand_r(&m->seed) % 2;
    size_t i = 0;
    while (i < m->n && (m->entries[i].type != type || (has_rest && m->entries[i].n % 3 != rest)))
        i++;
    void *got = NULL;
    int rc = molt_receive_typed(&got, tags[type], has_rest ? has_number : NULL, &rest, 0);
    if (i == m->n) {
        assert_int_equal(rc, MOLT_ETIMEDOUT);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(*(long *)got, m->entries[i].n);
    molt_free(got);
    memmove(&m->entries[i], &m->entries[i + 1], (--m->n - i) * sizeof(m->entries[0]));
}

static void do_model(void *arg)
{
    struct model *m = arg;
    for (int step = 0; step < 2000; step++) {
        if (m->n < MODEL_MAX && rand_r(&m->seed) % 2)
            model_send(m);
        else
            model_receive(m);
    }
}

static void any_order_of_sends_and_receives_is_as_in_a_list(void **state)
{
    (void)state;
    static struct model m;
    molt_pid pid = actor_spawn();
    long before = 0;
    for (unsigned seed = 1; seed <= 30; seed++) {
        m = (struct model){.seed = seed};
        n_handled = 0;
        actor_do(pid, do_model, &m);
        fake_await(HANDLED, before + (long)m.n);
        before += (long)m.n;
        /* What nobody received went to the handlers, in order. */
        for (size_t i = 0; i < m.n; i++)
            assert_int_equal(handled[i], m.entries[i].n);
        actor_sync(pid);
    }
}

/* ---- beside claims --------------------------------------------------------------------------- */

static void do_receive_many(void *arg)
{
    (void)arg;
    for (long n = 0; n < 20000; n++)
        assert_int_equal(take_item(-1), n);
    fake_add(RECEIVED, 1);
}

static void *send_many(void *arg)
{
    struct molt_thread *thread;
    assert_int_equal(molt_runtime_thread_register(fake_here->rt, "sender", &thread), 0);
    for (long n = 0; n < 20000; n++) {
        if (n % 16 == 0)
            send_other(*(molt_pid *)arg, n);
        send_item(*(molt_pid *)arg, n);
    }
    molt_thread_unregister(thread);
    return NULL;
}

static void ignore(void *user, const struct molt_process_info *info)
{
    (void)user;
    (void)info;
}

static void on_pin(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    (void)user;
    (void)range;
    (void)holder;
    (void)why;
}

/* Others claim it between its waits, and move its mail to the own list. */
static void claims_lose_no_wakeup(void **state)
{
    struct fake *f = *state;
    static char image[64];
    struct molt_range range = {(uintptr_t)image, (uintptr_t)image + sizeof(image), NULL};
    molt_pid pid = actor_spawn();
    pthread_t sender;
    actor_post(pid, do_receive_many, NULL);
    assert_int_equal(pthread_create(&sender, NULL, send_many, &pid), 0);
    struct molt_thread *t = molt_container_of(molt_runner_here(), struct molt_thread, runner);
    molt_thread_offline(t);
    while (fake_get(RECEIVED) == 0) {
        molt_runtime_each_process(f->rt, ignore, NULL);
        /* It may find the callback busy; what counts is that it is woken. */
        (void)molt_runtime_scan(f->rt, &range, 1, on_pin, NULL);
    }
    molt_thread_online(t);
    pthread_join(sender, NULL);
    fake_await(HANDLED, 20000 / 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(others_stay_in_their_order),
        TEST(a_predicate_chooses),
        TEST(what_is_received_is_the_process_s),
        TEST(calls_are_left_to_their_handlers),
        TEST(notices_are_left_to_their_handlers),
        TEST(it_waits_through_other_mail),
        TEST(it_times_out),
        TEST(a_request_to_end_ends_the_wait),
        TEST(a_receiver_can_be_killed),
        TEST(misuse_gets_a_named_error),
        TEST(each_message_is_looked_at_once),
        TEST(receives_go_on_where_the_last_one_was),
        TEST(any_order_of_sends_and_receives_is_as_in_a_list),
        TEST(claims_lose_no_wakeup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
