/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Where a message goes whose way is not the usual one: to the dead, to oneself,
 * from threads that are no processes, during an upgrade. It is handled once, or
 * its sender is told; it is never lost in silence and never left behind. */
#include "unit/runtime/actors.h"

#include "runtime/rt.h"

enum { NOTES = 8, STARTED, OVER, STRANGE };

struct note {
    long n;
    void *text; /* a block of its own */
};
struct ask {
    long n;
};
struct told {
    long n;
};
struct old { /* the second version has no handler for it */
    long n;
};
FAKE_POINTER_TYPE(note, struct note, 0xa1, FAKE_PTR(struct note, text, MOLT_PTR_WORD));
FAKE_TYPE(byte, char, 0xa2);
FAKE_TYPE(ask, struct ask, 0xa3);
FAKE_TYPE(told, struct told, 0xa4);
FAKE_TYPE(old, struct old, 0xa5);

#define ORDER_MAX 32
static long order[ORDER_MAX]; /* of the notes, as they were handled */

static int on_note(struct fake_state *s, struct note *m)
{
    (void)s;
    assert_string_equal(m->text, "text");
    long i = fake_get(NOTES);
    assert_true(i < ORDER_MAX);
    order[i] = m->n;
    fake_add(NOTES, 1);
    return 0;
}

static int on_ask(struct fake_state *s, struct ask *m, struct molt_from *from)
{
    (void)s;
    struct told *t = fake_new(struct told, told);
    t->n = m->n + 1;
    return molt_reply(from, t);
}

static int on_old(struct fake_state *s, struct old *m)
{
    (void)s;
    (void)m;
    fake_add(STRANGE, 1);
    return 0;
}

static struct fake_module first, second;

static void taker(struct fake_module *m)
{
    struct fake_server *s = actor_server(m, "taker");
    fake_on(s, MOLT_HANDLER_CAST, &note_type, MOLT_FN(on_note));
    fake_on(s, MOLT_HANDLER_CALL, &ask_type, MOLT_FN(on_ask));
    if (m == &first)
        fake_on(s, MOLT_HANDLER_CAST, &old_type, MOLT_FN(on_old));
}

static struct note *note(long n)
{
    struct note *m = fake_new(struct note, note);
    m->n = n;
    m->text = fake_new_array(char, byte, 8);
    strcpy(m->text, "text");
    return m;
}

static int send_note(molt_pid to, long n)
{
    return molt_send_pid(to, note(n));
}

static molt_pid new_taker(const char *name)
{
    molt_pid pid;
    assert_int_equal(molt_spawn("taker", name, NULL, &pid), 0);
    actor_sync(pid);
    return pid;
}

static void await_order(const long *expected, long n)
{
    fake_await(NOTES, n);
    for (long i = 0; i < n; i++)
        if (order[i] != expected[i])
            fail_msg("note %ld is %ld, not %ld", i, order[i], expected[i]);
    assert_int_equal(fake_get(NOTES), n);
}

/* Blocks of a type that points: the notes. Those who free them tell nobody. */
static void await_no_note(void)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)FAKE_PATIENCE_MS * 1000000;
    while (molt_heap_pointing(fake_here->rt->heap) > 0)
        if (molt_clock_ns() > deadline)
            fail_msg("%zu notes were left", molt_heap_pointing(fake_here->rt->heap));
}

/* ---- the dead -------------------------------------------------------------------- */

static molt_pid dead_taker(void)
{
    molt_pid pid = new_taker("gone");
    assert_int_equal(molt_exit(pid, 0), 0);
    fake_await(ACTOR_ENDS, 1);
    while (molt_whereis("gone")) /* the end behind terminate */
        sched_yield();
    return pid;
}

static void do_send_to_dead(void *arg)
{
    const molt_pid *pid = arg;
    struct told *t = NULL;
    struct molt_request r;
    uint64_t timer;
    assert_int_equal(send_note(*pid, 1), MOLT_EDEAD);
    assert_int_equal(molt_send("gone", note(2)), MOLT_ENOENT);
    assert_int_equal(molt_call_typed(NULL, *pid, note(3), (void **)&t, &told_tag, -1), MOLT_EDEAD);
    assert_int_equal(molt_call_typed("gone", 0, note(4), (void **)&t, &told_tag, -1), MOLT_ENOENT);
    assert_int_equal(molt_call_async(NULL, *pid, note(5), &r), MOLT_EDEAD);
    assert_int_equal(molt_send_after(1, *pid, note(6), &timer), MOLT_EDEAD);
    assert_null(t);
}

static void who_sends_to_the_dead_is_told_and_the_message_is_freed(void **state)
{
    (void)state;
    molt_pid pid = dead_taker(), a = actor_new();
    actor_do(a, do_send_to_dead, &pid);
    assert_int_equal(send_note(pid, 7), MOLT_EDEAD); /* from a thread */
    assert_int_equal(molt_send("gone", note(8)), MOLT_ENOENT);
    assert_int_equal(send_note(0, 9), MOLT_EDEAD);
    assert_int_equal(send_note(~UINT64_C(0), 10), MOLT_EDEAD);
    await_no_note();
    assert_int_equal(fake_get(NOTES), 0);
}

#define SLOTS_MAX 8192

/* Two processes of one slot, one after the other. Threads keep free slots for
 * themselves, so it takes a while. */
static void have_successor(molt_pid *ret_last, molt_pid *ret_next)
{
    static molt_pid last_of[SLOTS_MAX];
    memset(last_of, 0, sizeof(last_of));
    for (;;) {
        molt_pid pid = new_taker(NULL);
        size_t slot = pid & ((1u << MOLT_SLOT_BITS) - 1);
        assert_true(slot < SLOTS_MAX);
        if (last_of[slot]) {
            *ret_last = last_of[slot];
            *ret_next = pid;
            return;
        }
        last_of[slot] = pid;
        assert_int_equal(molt_exit(pid, 0), 0);
        fake_await_processes(0);
    }
}

/* Slots are used again, pids are not. */
static void the_next_process_of_a_slot_gets_nothing_of_the_last(void **state)
{
    (void)state;
    molt_pid last, next;
    have_successor(&last, &next);
    assert_true(last != next);
    assert_int_equal(send_note(last, 1), MOLT_EDEAD);
    assert_int_equal(send_note(next, 2), 0);
    await_order((long[]){2}, 1);
    await_no_note();
}

static void do_wait(void *arg)
{
    (void)arg;
    fake_add(STARTED, 1);
    fake_add(OVER, molt_sleep(1000000) == MOLT_EKILLED);
}

static void mail_of_who_ends_is_freed(void **state)
{
    (void)state;
    molt_pid asked = new_taker(NULL), killed = new_taker(NULL);
    actor_post(asked, do_wait, NULL);
    actor_post(killed, do_wait, NULL);
    fake_await(STARTED, 2);
    for (long i = 0; i < 5; i++) {
        assert_int_equal(send_note(asked, i), 0);
        assert_int_equal(send_note(killed, i), 0);
    }
    assert_int_equal(molt_exit(asked, MOLT_EIO), 0);
    assert_int_equal(molt_runtime_kill(fake_here->rt, killed), 0);
    fake_await_processes(0);
    assert_int_equal(fake_get(OVER), 1);
    assert_int_equal(fake_get(NOTES), 0);
    await_no_note();
}

/* ---- oneself ----------------------------------------------------------------------- */

/* A note that came before lies in the mailbox while this runs. */
static void do_send_to_self(void *arg)
{
    (void)arg;
    fake_add(STARTED, 1);
    fake_await(OVER, 1);
    assert_int_equal(send_note(molt_self(), 2), 0);
    assert_int_equal(molt_send("taker", note(3)), 0);
    assert_int_equal(fake_get(NOTES), 0); /* not now */
}

static void what_one_sends_to_oneself_comes_behind_what_waits(void **state)
{
    (void)state;
    molt_pid pid = new_taker("taker");
    actor_post(pid, do_send_to_self, NULL);
    fake_await(STARTED, 1);
    assert_int_equal(send_note(pid, 1), 0);
    fake_add(OVER, 1);
    fake_await(NOTES, 3);
    await_order((long[]){1, 2, 3}, 3);
    await_no_note();
}

static void do_call_self(void *arg)
{
    (void)arg;
    struct told *t = NULL;
    struct molt_request r;
    assert_int_equal(molt_call_typed(NULL, molt_self(), note(1), (void **)&t, &told_tag, -1),
                     MOLT_EINVAL);
    assert_int_equal(molt_call_typed("taker", 0, note(2), (void **)&t, &told_tag, 10), MOLT_EINVAL);
    assert_int_equal(molt_call_async(NULL, molt_self(), note(3), &r), MOLT_EINVAL);
    assert_null(t);
}

static void who_calls_oneself_is_told_instead_of_waiting(void **state)
{
    (void)state;
    actor_do(new_taker("taker"), do_call_self, NULL);
    await_no_note();
}

static void do_send_and_end(void *arg)
{
    (void)arg;
    assert_int_equal(send_note(molt_self(), 1), 0);
    assert_int_equal(molt_exit(molt_self(), MOLT_EIO), 0);
    assert_int_equal(send_note(molt_self(), 2), 0); /* it still lives */
}

static void what_one_who_ends_sent_to_oneself_is_freed(void **state)
{
    (void)state;
    actor_post(new_taker(NULL), do_send_and_end, NULL);
    fake_await_processes(0);
    assert_int_equal(fake_get(NOTES), 0);
    await_no_note();
}

/* ---- threads ------------------------------------------------------------------------- */

static void *send_registered(void *arg)
{
    struct molt_thread *thread;
    struct told *t = NULL;
    const molt_pid *pid = arg;
    assert_int_equal(molt_runtime_thread_register(fake_here->rt, "sender", &thread), 0);
    assert_int_equal(send_note(*pid, 1), 0);
    molt_thread_offline(thread); /* in no world; what it has goes all the same */
    assert_int_equal(send_note(*pid, 2), 0);
    molt_thread_online(thread);
    assert_int_equal(molt_send("taker", note(3)), 0);
    assert_int_equal(molt_call_typed(NULL, *pid, note(4), (void **)&t, &told_tag, -1),
                     MOLT_ENOPROC);
    struct note *left = note(5); /* what it doesn't send ends with it */
    assert_int_equal(left->n, 5);
    molt_thread_unregister(thread);
    return NULL;
}

static void a_registered_thread_sends_and_can_not_call(void **state)
{
    (void)state;
    pthread_t thread;
    molt_pid pid = new_taker("taker");
    assert_int_equal(pthread_create(&thread, NULL, send_registered, &pid), 0);
    pthread_join(thread, NULL);
    await_order((long[]){1, 2, 3}, 3);
    await_no_note();
}

static void *send_strange(void *arg)
{
    const molt_pid *pid = arg;
    assert_null(fake_new(struct note, note));
    char local[32] = "";
    assert_int_equal(molt_send_pid(*pid, local), MOLT_ENOPROC);
    assert_int_equal(molt_send("taker", local), MOLT_ENOPROC);
    assert_int_equal(molt_send_after(1, *pid, local, NULL), MOLT_ENOPROC);
    assert_int_equal(molt_exit(*pid, 0), MOLT_ENOPROC);
    return NULL;
}

static void a_thread_that_nobody_knows_is_told_so(void **state)
{
    (void)state;
    pthread_t thread;
    molt_pid pid = new_taker("taker");
    assert_int_equal(pthread_create(&thread, NULL, send_strange, &pid), 0);
    pthread_join(thread, NULL);
    actor_sync(pid);
    assert_int_equal(fake_get(NOTES), 0);
    assert_int_equal(fake_get(ACTOR_ENDS), 0);
}

/* ---- an upgrade ------------------------------------------------------------------------ */

static struct molt_process *held;

/* Have the taker, as the executor has a process while it is made ready. */
static struct molt_conversion hold(struct fake *f)
{
    molt_pid pid = molt_whereis("taker");
    held = molt_process_find(f->rt, pid);
    assert_true(molt_process_claim_wait(held, pid, molt_runtime_deadline(10000)));
    return (struct molt_conversion){.old_world = first.world, .new_world = second.world};
}

static void switch_over(struct fake *f, const struct molt_conversion *conv)
{
    fake_commit(f, second.world);
    molt_process_leave(held, 0, 0);
    molt_runtime_adopt(f->rt, conv, NULL);
}

static void do_send_two(void *arg)
{
    const molt_pid *pid = arg;
    assert_int_equal(send_note(*pid, 2), 0);
    assert_int_equal(send_note(*pid, 3), 0);
}

/* From a thread, then a process, then the thread. */
static void send_four(molt_pid to)
{
    molt_pid a = actor_new();
    assert_int_equal(send_note(to, 1), 0);
    actor_do(a, do_send_two, &to);
    assert_int_equal(send_note(to, 4), 0);
}

static void what_is_sent_to_who_is_held_is_handled_in_order_afterwards(void **state)
{
    struct fake *f = *state;
    molt_pid pid = new_taker("taker");
    struct molt_conversion conv = hold(f);
    send_four(pid);
    assert_int_equal(fake_get(NOTES), 0);
    switch_over(f, &conv);
    await_order((long[]){1, 2, 3, 4}, 4);
    await_no_note();
}

static void the_same_if_the_upgrade_is_given_up(void **state)
{
    struct fake *f = *state;
    molt_pid pid = new_taker("taker");
    struct molt_conversion conv = hold(f);
    send_four(pid);
    assert_int_equal(fake_get(NOTES), 0);
    molt_process_leave(held, 0, 0);
    molt_runtime_unprepare(f->rt, &conv);
    await_order((long[]){1, 2, 3, 4}, 4);
    await_no_note();
}

struct caller {
    long answer;
    int timeout_ms;
};

static void do_call(void *arg)
{
    struct caller *c = arg;
    struct ask *m = fake_new(struct ask, ask);
    struct told *t = NULL;
    m->n = 41;
    fake_add(STARTED, 1);
    int rc = fake_call("taker", m, &t, told, c->timeout_ms);
    c->answer = rc < 0 ? rc : t->n;
    fake_add(OVER, 1);
}

static void a_call_to_who_is_held_is_answered_or_times_out(void **state)
{
    struct fake *f = *state;
    molt_pid patient = actor_new(), hasty = actor_new();
    new_taker("taker");
    struct molt_conversion conv = hold(f);
    struct caller forever = {.timeout_ms = -1}, soon = {.timeout_ms = 5};
    actor_post(patient, do_call, &forever);
    actor_post(hasty, do_call, &soon);
    fake_await(OVER, 1);
    assert_int_equal(soon.answer, MOLT_ETIMEDOUT);
    switch_over(f, &conv);
    fake_await(OVER, 2);
    assert_int_equal(forever.answer, 42);
    actor_sync(hasty); /* the late answer went nowhere */
}

static void do_hold_end(void *arg)
{
    const molt_pid *pid = arg;
    assert_int_equal(molt_exit(*pid, MOLT_EIO), 0);
}

static void who_is_asked_to_end_while_held_ends_and_its_mail_is_freed(void **state)
{
    struct fake *f = *state;
    molt_pid pid = new_taker("taker"), a = actor_new();
    struct molt_conversion conv = hold(f);
    assert_int_equal(send_note(pid, 1), 0);
    actor_do(a, do_hold_end, &pid);
    assert_int_equal(send_note(pid, 2), 0); /* it is not dead yet */
    assert_int_equal(fake_get(ACTOR_ENDS), 0);
    switch_over(f, &conv);
    fake_await(ACTOR_ENDS, 1);
    fake_await_processes(1);
    assert_int_equal(actor_heard(HEARD_END, pid).reason, MOLT_EIO);
    assert_int_equal(send_note(pid, 3), MOLT_EDEAD);
    await_no_note();
}

/* Between hold and switch there is nobody to refuse it: it meets the new code,
 * which has no handler for it, and that is said. */
static void a_layout_that_goes_is_never_handled_by_the_new_code(void **state)
{
    struct fake *f = *state;
    molt_pid pid = new_taker("taker");
    struct molt_conversion conv = hold(f);
    assert_int_equal(molt_send_pid(pid, fake_new(struct old, old)), 0);
    assert_int_equal(send_note(pid, 1), 0);
    switch_over(f, &conv);
    await_order((long[]){1}, 1);
    fake_await_log("message of type 'struct old' dropped");
    assert_int_equal(fake_get(STRANGE), 0);
}

/* ---- fixture ---- */

static int setup(void **state)
{
    static struct fake f;
    static struct molt_thread *thread;
    n_heard = 0;
    fake_init(&f, 2);
    fake_module_init(&first, "app", 1);
    fake_module_init(&second, "app", 2);
    taker(&first);
    actor_server(&first, "actor");
    taker(&second);
    actor_server(&second, "actor");
    fake_publish(&f, &first);
    fake_world(&f, &second);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_sends_to_the_dead_is_told_and_the_message_is_freed),
        TEST(the_next_process_of_a_slot_gets_nothing_of_the_last),
        TEST(mail_of_who_ends_is_freed),
        TEST(what_one_sends_to_oneself_comes_behind_what_waits),
        TEST(who_calls_oneself_is_told_instead_of_waiting),
        TEST(what_one_who_ends_sent_to_oneself_is_freed),
        TEST(a_registered_thread_sends_and_can_not_call),
        TEST(a_thread_that_nobody_knows_is_told_so),
        TEST(what_is_sent_to_who_is_held_is_handled_in_order_afterwards),
        TEST(the_same_if_the_upgrade_is_given_up),
        TEST(a_call_to_who_is_held_is_answered_or_times_out),
        TEST(who_is_asked_to_end_while_held_ends_and_its_mail_is_freed),
        TEST(a_layout_that_goes_is_never_handled_by_the_new_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
