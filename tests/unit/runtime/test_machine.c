/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * State machines as processes, one sentence each. What the core alone decides
 * stands in test_statem.
 *
 * The trace: >RG enters G from R, i5G handles item 5 in G, c5G call 5, o5G an item
 * that on_other got, SR ER and 3R are state, event and named timeout 3 in R.
 */
#include "unit/runtime/actors.h"

#include <molt/statem.h>

#include "runtime/rt.h"

enum { R, G, B };
enum { TRACED = 8, GATED, CALLED, FAILED };

struct item {
    long n;
    struct item *next; /* a block of its own, or NULL */
};
struct ask {
    long n;
};
struct answer {
    long n;
};
struct rare {
    long n;
};
FAKE_POINTER_TYPE(item, struct item, 0xa1, FAKE_PTR(struct item, next, MOLT_PTR_DATA));
FAKE_TYPE(ask, struct ask, 0xa2);
FAKE_TYPE(answer, struct answer, 0xa3);
FAKE_TYPE(rare, struct rare, 0xa4);

/* ---- the machine ---------------------------------------------------------------- */

static char trace[4096]; /* under the fixture's lock */
static int first_state;

static char letter(int state)
{
    return state >= 0 && state < 3 ? "RGB"[state] : '?';
}

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    pthread_mutex_lock(&fake_here->lock);
    size_t at = strlen(trace);
    vsnprintf(trace + at, sizeof(trace) - at, fmt, ap);
    pthread_mutex_unlock(&fake_here->lock);
    va_end(ap);
    fake_add(TRACED, 1);
}

static int init(struct fake_state *s, const void *arg)
{
    (void)s;
    (void)arg;
    assert_int_equal(molt_state(), 0);
    assert_int_equal(molt_postpone(), MOLT_EINVAL);
    assert_int_equal(molt_next_state(3), MOLT_EINVAL);
    assert_int_equal(molt_next_state(-1), MOLT_EINVAL);
    return molt_next_state(first_state);
}

static int enter(struct fake_state *s, int from)
{
    (void)s;
    assert_int_equal(molt_next_state(R), MOLT_EINVAL);
    assert_int_equal(molt_repeat_state(), MOLT_EINVAL);
    say(">%c%c ", letter(from), letter(molt_state()));
    return 0;
}

static int on_state_timeout(struct fake_state *s)
{
    (void)s;
    say("S%c ", letter(molt_state()));
    return 0;
}

static int on_event_timeout(struct fake_state *s)
{
    (void)s;
    say("E%c ", letter(molt_state()));
    return 0;
}

static int on_named_timeout(struct fake_state *s, int name)
{
    (void)s;
    say("%d%c ", name, letter(molt_state()));
    return 0;
}

static int take_item(struct fake_state *s, struct item *m)
{
    (void)s;
    if (m->next)
        say("i%ld+%ld%c ", m->n, m->next->n, letter(molt_state()));
    else
        say("i%ld%c ", m->n, letter(molt_state()));
    return 0;
}

static int later(struct fake_state *s, void *m)
{
    (void)s;
    (void)m;
    return molt_postpone();
}

static int answer(struct fake_state *s, struct ask *m, struct molt_from *from)
{
    (void)s;
    say("c%ld%c ", m->n, letter(molt_state()));
    struct answer *a = fake_new(struct answer, answer);
    a->n = m->n + 1;
    return molt_reply(from, a);
}

static int later_call(struct fake_state *s, void *m, struct molt_from *from)
{
    (void)from;
    return later(s, m);
}

/* Postpones in R what it doesn't know, and says so elsewhere. */
static int on_other(struct fake_state *s, const char *type, void *m)
{
    (void)type;
    if (molt_state() == R)
        return later(s, m);
    say("o%ld%c ", ((struct rare *)m)->n, letter(molt_state()));
    return 0;
}

static const struct molt_state_table light_states = {
    .size = sizeof(struct molt_state_table),
    .server = "light",
    .state = {MOLT_STATE(R, .enter = MOLT_FN(enter), .on_state_timeout = MOLT_FN(on_state_timeout),
                         .on_event_timeout = MOLT_FN(on_event_timeout),
                         .on_named_timeout = MOLT_FN(on_named_timeout)),
              MOLT_STATE(G, .enter = MOLT_FN(enter), .on_state_timeout = MOLT_FN(on_state_timeout),
                         .on_event_timeout = MOLT_FN(on_event_timeout),
                         .on_named_timeout = MOLT_FN(on_named_timeout)),
              MOLT_STATE(B)},
};

static const uint32_t in_r = MOLT_IN(R) << MOLT_HANDLER_STATES_SHIFT;
static const uint32_t in_g = MOLT_IN(G) << MOLT_HANDLER_STATES_SHIFT;

static struct fake_server *light(struct fake_module *m, const char *name)
{
    struct fake_server *s = actor_server(m, name);
    s->states = &light_states;
    s->desc.init = MOLT_FN(init);
    fake_on(s, MOLT_HANDLER_CAST | in_r, &item_type, MOLT_FN(later));
    fake_on(s, MOLT_HANDLER_CALL | in_r, &ask_type, MOLT_FN(later_call));
    fake_on(s, MOLT_HANDLER_CAST | in_g, &item_type, MOLT_FN(take_item));
    fake_on(s, MOLT_HANDLER_CALL | in_g, &ask_type, MOLT_FN(answer));
    return s;
}

/* ---- fixture ---------------------------------------------------------------------- */

static struct fake f;
static struct fake_module module, next_module;

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    first_state = R;
    n_heard = 0;
    static struct molt_thread *thread;
    fake_init(&f, 2);
    fake_module_init(&module, "app", 1);
    light(&module, "light");
    light(&module, "open")->desc.on_other = MOLT_FN(on_other);
    actor_server(&module, "actor");
    fake_publish(&f, &module);
    assert_int_equal(molt_runtime_start(f.rt, NULL, NULL), 0);
    assert_int_equal(molt_runtime_thread_register(f.rt, "test", &thread), 0);
    return 0;
}

/* Nothing that may point is left anywhere. */
static int teardown(void **state)
{
    (void)state;
    struct molt_runtime *rt = f.rt;
    molt_runtime_stop(rt, FAKE_PATIENCE_MS);
    assert_int_equal(molt_heap_pointing(rt->heap), 0);
    actors_stop(&f);
    return 0;
}

static molt_pid start(const char *server)
{
    molt_pid pid = 0;
    assert_int_equal(molt_spawn(server, NULL, NULL, &pid), 0);
    actor_sync(pid);
    return pid;
}

static void send_item(molt_pid pid, long n, bool has_next)
{
    struct item *m = fake_new(struct item, item);
    m->n = n;
    if (has_next) {
        m->next = fake_new(struct item, item);
        m->next->n = n + 1;
    }
    assert_int_equal(molt_send_pid(pid, m), 0);
}

static void expect_at(const char *expected, int line)
{
    pthread_mutex_lock(&fake_here->lock);
    bool is = strcmp(trace, expected) == 0;
    pthread_mutex_unlock(&fake_here->lock);
    if (!is)
        fail_msg("line %d: did \"%s\", expected \"%s\"", line, trace, expected);
}
#define expect(expected) expect_at(expected, __LINE__)

static struct molt_process_info info_of_pid;
static char info_waits[128];
static void find_info(void *user, const struct molt_process_info *info)
{
    if (info->pid != *(molt_pid *)user)
        return;
    info_of_pid = *info;
    snprintf(info_waits, sizeof(info_waits), "%s", info->waiting_for);
}

/* Of a process that is at rest: of one that runs there is less to say. */
static struct molt_process_info info_of(molt_pid pid)
{
    do {
        info_of_pid = (struct molt_process_info){0};
        molt_runtime_each_process(f.rt, find_info, &pid);
        assert_int_equal(info_of_pid.pid, pid);
    } while (!info_waits[0] || (info_of_pid.state != MOLT_PROCESS_IDLE &&
                                info_of_pid.state != MOLT_PROCESS_SUSPENDED));
    return info_of_pid;
}

/* Jobs. */
static void go(void *arg)
{
    assert_int_equal(molt_next_state((int)(intptr_t)arg), 0);
}
static void *const to_r = (void *)R, *const to_g = (void *)G, *const to_b = (void *)B;

static void repeat(void *arg)
{
    (void)arg;
    assert_int_equal(molt_repeat_state(), 0);
}

static void insert_item(void *arg)
{
    struct item *m = fake_new(struct item, item);
    m->n = (intptr_t)arg;
    assert_int_equal(molt_insert(m), 0);
}

static void insert_two_and_go(void *arg)
{
    insert_item((void *)7);
    insert_item((void *)8);
    go(arg);
}

/* ---- states and messages ------------------------------------------------------------ */

static void first_state_is_entered_before_anything_is_handled(void **state)
{
    (void)state;
    first_state = G;
    molt_pid pid = start("light");
    send_item(pid, 1, false);
    actor_sync(pid);
    expect(">GG i1G ");
    info_of(pid);
    assert_string_equal(info_waits, "state G");
}

static void postponed_messages_come_back_in_order_and_whole(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    for (int i = 1; i < 4; i++)
        send_item(pid, 10 * i, i != 2);
    actor_sync(pid);
    expect(">RR ");
    assert_int_equal(info_of(pid).mailbox, 3);
    assert_true(info_of_pid.bytes >= 5 * sizeof(struct item));
    actor_do(pid, go, to_r);
    actor_do(pid, go, to_g);
    actor_sync(pid);
    expect(">RR >RG i10+11G i20G i30+31G ");
    assert_int_equal(info_of(pid).mailbox, 0);
    while (info_of(pid).bytes != sizeof(struct fake_state))
        sched_yield(); /* the last job's message goes after it said that it is done */
}

static void inserted_messages_come_before_postponed_ones_and_mail(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    send_item(pid, 1, true);
    actor_do(pid, insert_two_and_go, to_g);
    actor_sync(pid);
    expect(">RR >RG i7G i8G i1+2G ");
}

static void repeated_state_is_entered_again(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    send_item(pid, 1, false);
    actor_do(pid, repeat, NULL);
    actor_sync(pid);
    expect(">RR >RR ");
    assert_int_equal(info_of(pid).mailbox, 1);
}

static struct answer *call(molt_pid pid, long n, int *ret_rc)
{
    struct ask *m = fake_new(struct ask, ask);
    struct answer *a = NULL;
    m->n = n;
    *ret_rc = molt_call_typed(NULL, pid, m, (void **)&a, &answer_tag, 20000);
    return a;
}

/* Calls machine @arg; the result is counted as CALLED, a failure as FAILED. */
static molt_pid called;
static long call_result;
static void do_call(void *arg)
{
    int rc;
    struct answer *a = call(called, (intptr_t)arg, &rc);
    call_result = rc < 0 ? rc : a->n;
    molt_free(a);
    fake_add(rc < 0 ? FAILED : CALLED, 1);
}

static void await_mailbox(molt_pid pid, size_t n)
{
    while (info_of(pid).mailbox != n)
        sched_yield(); /* no event tells that a message was postponed */
}

static void postponed_call_is_answered_in_a_later_state(void **state)
{
    (void)state;
    called = start("light");
    molt_pid caller = actor_new();
    actor_post(caller, do_call, (void *)5);
    await_mailbox(called, 1);
    actor_do(called, go, to_g);
    fake_await(CALLED, 1);
    assert_int_equal(call_result, 6);
    expect(">RR >RG c5G ");
}

static void callers_of_postponed_calls_hear_of_the_end(void **state)
{
    (void)state;
    called = start("light");
    molt_pid caller = actor_new();
    actor_post(caller, do_call, (void *)5);
    await_mailbox(called, 1);
    send_item(called, 1, true);
    await_mailbox(called, 2);
    assert_int_equal(molt_exit(called, MOLT_ESHUTDOWN), 0);
    fake_await(FAILED, 1);
    assert_int_equal(call_result, MOLT_EDEAD);
}

static void message_that_a_state_does_not_handle_is_reported(void **state)
{
    (void)state;
    called = start("light");
    actor_do(called, go, to_b);
    send_item(called, 1, true);
    molt_pid caller = actor_new();
    actor_do(caller, do_call, (void *)5);
    assert_int_equal(call_result, MOLT_ETYPE);
    fake_await_log("message of type 'struct item' dropped: it has no handler for that in state B");
    fake_await_log("call of type 'struct ask' answered with an error");
    actor_do(called, go, to_g); /* it goes on */
    actor_sync(called);
    expect(">RR >BG ");
}

static void do_call_as_item(void *arg)
{
    (void)arg;
    struct item *m = fake_new(struct item, item);
    struct answer *a = NULL;
    call_result = molt_call_typed(NULL, called, m, (void **)&a, &answer_tag, 20000);
}

static void cast_handler_of_a_state_takes_no_call(void **state)
{
    (void)state;
    called = start("light");
    actor_do(called, go, to_g);
    molt_pid caller = actor_new();
    actor_do(caller, do_call_as_item, NULL);
    assert_int_equal(call_result, MOLT_ETYPE);
    fake_await_log("its handler takes casts, not calls");
}

static void do_call_rare(void *arg)
{
    struct rare *m = fake_new(struct rare, rare);
    struct answer *a = NULL;
    m->n = (intptr_t)arg;
    call_result = molt_call_typed(NULL, called, m, (void **)&a, &answer_tag, 20000);
    fake_add(FAILED, 1);
}

static void on_other_postpones_what_it_does_not_know(void **state)
{
    (void)state;
    called = start("open");
    struct rare *m = fake_new(struct rare, rare);
    m->n = 1;
    assert_int_equal(molt_send_pid(called, m), 0);
    await_mailbox(called, 1);
    molt_pid caller = actor_new();
    actor_post(caller, do_call_rare, (void *)2);
    await_mailbox(called, 2);
    assert_int_equal(fake_get(FAILED), 0); /* the call still waits */
    actor_do(called, go, to_g);
    fake_await(FAILED, 1);
    assert_int_equal(call_result, MOLT_ETYPE);
    actor_sync(called);
    expect(">RR >RG o1G o2G ");
}

static int postpone_and_free(struct fake_state *s, struct item *m)
{
    molt_free(m);
    return later(s, m);
}

static int postpone_and_keep(struct fake_state *s, struct item *m)
{
    molt_keep(m);
    s->n = 1;
    return later(s, m);
}

static void message_that_is_gone_is_not_postponed(void **state)
{
    (void)state;
    molt_any_fn fns[] = {MOLT_FN(postpone_and_free), MOLT_FN(postpone_and_keep)};
    for (int i = 0; i < 2; i++) {
        module.servers[0].desc.on[1].fn = fns[i];
        molt_pid pid = start("light");
        send_item(pid, 1, i);
        actor_sync(pid);
        assert_int_equal(info_of(pid).mailbox, 0);
        fake_await_log("postponed, and kept, sent or freed, too");
        send_item(pid, 1, !i);
        actor_do(pid, go, to_g);
        actor_sync(pid);
        expect(i ? ">RR >RG >RR >RG " : ">RR >RG ");
    }
}

static int fail_and_postpone(struct fake_state *s, struct item *m)
{
    insert_item((void *)9);
    go(to_g);
    (void)later(s, m);
    return MOLT_EIO;
}

static void what_a_failing_handler_asked_for_is_dropped(void **state)
{
    (void)state;
    module.servers[0].desc.on[1].fn = MOLT_FN(fail_and_postpone);
    molt_pid pid = start("light");
    send_item(pid, 1, true);
    (void)molt_send_pid(pid, fake_new(struct item, item)); /* perhaps too late */
    fake_await(ACTOR_ENDS, 1);
    assert_int_equal(actor_heard(HEARD_END, pid).reason, MOLT_EIO);
    expect(">RR ");
}

static int stop_and_postpone(struct fake_state *s, void *m, struct molt_from *from)
{
    (void)from;
    (void)later(s, m);
    return MOLT_STOP;
}

static void caller_of_a_machine_that_stops_hears_of_the_end(void **state)
{
    (void)state;
    module.servers[0].desc.on[2].fn = MOLT_FN(stop_and_postpone);
    called = start("light");
    molt_pid caller = actor_new();
    send_item(called, 1, true);
    actor_do(caller, do_call, (void *)5);
    assert_int_equal(call_result, MOLT_EDEAD);
    fake_await(ACTOR_ENDS, 1);
    assert_int_equal(actor_heard(HEARD_END, called).reason, 0);
}

static int failing_init(struct fake_state *s, const void *arg)
{
    (void)s;
    (void)arg;
    insert_item((void *)1);
    assert_int_equal(molt_state_timeout(0), 0);
    assert_int_equal(molt_named_timeout(1, 1), 0);
    return MOLT_EIO;
}

static void machine_whose_init_fails_leaves_nothing(void **state)
{
    (void)state;
    module.servers[0].desc.init = MOLT_FN(failing_init);
    molt_pid pid = 0;
    assert_int_equal(molt_spawn("light", NULL, NULL, &pid), 0);
    fake_await_processes(0);
    expect("");
}

/* ---- other callbacks ------------------------------------------------------------------ */

static int go_when_down(struct fake_state *s, const struct molt_down *d)
{
    (void)s;
    (void)d;
    assert_int_equal(molt_postpone(), MOLT_EINVAL);
    go(to_g);
    return 0;
}

static void watch(void *arg)
{
    uint64_t ref;
    assert_int_equal(molt_monitor(*(molt_pid *)arg, &ref), 0);
}

static void other_callbacks_change_the_state_too(void **state)
{
    (void)state;
    module.servers[0].desc.on_down = MOLT_FN(go_when_down);
    molt_pid pid = start("light"), other = actor_new();
    send_item(pid, 1, true);
    actor_do(pid, watch, &other);
    molt_exit(other, 0);
    fake_await(TRACED, 3);
    actor_sync(pid);
    expect(">RR >RG i1+2G ");
}

static int more(struct fake_state *s)
{
    (void)s;
    say("m%c ", letter(molt_state()));
    return 0;
}

static int init_with_more(struct fake_state *s, const void *arg)
{
    insert_item((void *)3);
    assert_int_equal(molt_continue(), 0);
    return init(s, arg);
}

static void state_is_entered_before_on_continue_and_that_before_the_queue(void **state)
{
    (void)state;
    first_state = G;
    module.servers[0].desc.init = MOLT_FN(init_with_more);
    module.servers[0].desc.on_continue = MOLT_FN(more);
    (void)start("light");
    expect(">GG mG i3G ");
}

static void outside(void *arg)
{
    (void)arg;
    assert_int_equal(molt_state(), MOLT_EINVAL);
    assert_int_equal(molt_next_state(0), MOLT_EINVAL);
    assert_int_equal(molt_repeat_state(), MOLT_EINVAL);
    assert_int_equal(molt_postpone(), MOLT_EINVAL);
    assert_int_equal(molt_state_timeout(1), MOLT_EINVAL);
    assert_int_equal(molt_insert(fake_new(struct item, item)), MOLT_EINVAL);
}

static void nothing_of_it_works_elsewhere(void **state)
{
    (void)state;
    actor_do(actor_new(), outside, NULL);
    assert_int_equal(molt_state(), MOLT_ENOPROC);
    assert_int_equal(molt_next_state(0), MOLT_ENOPROC);
    assert_int_equal(molt_event_timeout(1), MOLT_ENOPROC);
    assert_int_equal(molt_insert(fake_new(struct item, item)), MOLT_ENOPROC);
}

/* ---- waiting inside a handler ------------------------------------------------------------ */

static void wait_at_the_gate(void *arg)
{
    struct item *m;
    assert_int_equal(molt_postpone(), 0); /* the job itself */
    insert_item((void *)6);
    fake_add(GATED, 1);
    int rc = molt_receive_typed((void **)&m, &item_tag, NULL, NULL, -1);
    if (rc < 0)
        return;
    say("r%ld%c ", m->n, letter(molt_state()));
    molt_free(m);
    if (arg)
        go(arg);
}

static void handler_that_waits_takes_from_the_mailbox_alone(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    send_item(pid, 1, true);
    await_mailbox(pid, 1);
    actor_post(pid, wait_at_the_gate, NULL);
    fake_await(GATED, 1);
    while (!strstr((info_of(pid), info_waits), "receive, state R"))
        sched_yield();
    assert_int_equal(info_of(pid).mailbox, 2); /* postponed and inserted */
    send_item(pid, 2, true);
    fake_await(TRACED, 2);
    actor_sync(pid);
    expect(">RR r2R ");
    assert_int_equal(info_of(pid).mailbox, 3); /* item 1, the job and item 6 */
}

static void machine_that_is_killed_while_it_waits_leaves_nothing(void **state)
{
    (void)state;
    called = start("light");
    molt_pid caller = actor_new();
    actor_post(caller, do_call, (void *)5);
    await_mailbox(called, 1);
    send_item(called, 1, true);
    await_mailbox(called, 2);
    actor_post(called, wait_at_the_gate, to_g);
    fake_await(GATED, 1);
    assert_int_equal(molt_runtime_kill(f.rt, called), 0);
    fake_await(FAILED, 1);
    assert_int_equal(call_result, MOLT_EDEAD);
    expect(">RR ");
}

/* ---- timeouts ---------------------------------------------------------------------------- */

#define LONG_MS 3600000

static void set_all(void *arg)
{
    int ms = (int)(intptr_t)arg;
    assert_int_equal(molt_named_timeout(8, 1), MOLT_EINVAL);
    assert_int_equal(molt_named_timeout(-1, 1), MOLT_EINVAL);
    assert_int_equal(molt_named_timeout(3, ms), 0);
    assert_int_equal(molt_event_timeout(ms), 0);
    assert_int_equal(molt_state_timeout(ms), 0);
}

static void timeouts_go_off_in_the_order_of_their_times(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    actor_post(pid, set_all, (void *)1);
    /* The first that goes off ends the event timeout. */
    fake_await(TRACED, 3);
    actor_sync(pid);
    expect(">RR 3R SR ");
}

static void timeouts_of_no_time_come_before_mail(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    actor_do(pid, set_all, (void *)0);
    actor_sync(pid);
    expect(">RR 3R SR ");
}

static void event_only(void *arg)
{
    assert_int_equal(molt_event_timeout((int)(intptr_t)arg), 0);
}

static void event_timeout_goes_off_when_nothing_comes(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    actor_do(pid, event_only, (void *)LONG_MS);
    actor_sync(pid); /* ends that one */
    actor_post(pid, event_only, (void *)1);
    fake_await(TRACED, 2);
    expect(">RR ER ");
}

static void state_only(void *arg)
{
    assert_int_equal(molt_state_timeout((int)(intptr_t)arg), 0);
}

static void set_and_go(void *arg)
{
    state_only(arg);
    assert_int_equal(molt_named_timeout(1, 2), 0);
    go(to_g);
}

static void state_timeout_ends_with_the_state_and_named_ones_do_not(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    actor_do(pid, state_only, (void *)LONG_MS);
    actor_do(pid, state_only, (void *)-1);
    actor_do(pid, state_only, (void *)LONG_MS);
    actor_post(pid, set_and_go, (void *)1);
    fake_await(TRACED, 4);
    expect(">RR >RG SG 1G ");
}

static void timeout_without_a_function_is_reported(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    actor_do(pid, go, to_b);
    actor_do(pid, set_all, (void *)1);
    fake_await_log("named timeout 3 dropped: state B has no on_named_timeout");
    fake_await_log("state timeout dropped: state B has no on_state_timeout");
}

static void process_that_ends_takes_its_timers_along(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        molt_pid pid = start("light");
        actor_do(pid, set_all, (void *)(intptr_t)(i % 2 ? LONG_MS : 1));
        molt_exit(pid, 0);
    }
    fake_await(ACTOR_ENDS, 20);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void postponed_messages_count_as_mail(void **state)
{
    (void)state;
    struct molt_limits limits = {.mailbox = 3};
    struct molt_spawn_options options = {.size = sizeof(options), .limits = &limits};
    molt_pid pid = 0;
    assert_int_equal(molt_spawn_with("light", NULL, &options, &pid), 0);
    actor_sync(pid);
    for (int i = 0; i < 2; i++)
        send_item(pid, i, false);
    actor_sync(pid);
    send_item(pid, 2, false);
    assert_int_equal(molt_send_pid(pid, fake_new(struct item, item)), MOLT_EBUSY);
    /* A machine that is full needs a way out of its own. */
    assert_int_equal(molt_exit(pid, 0), 0);
    fake_await(ACTOR_ENDS, 1);
}

/* ---- upgrades ------------------------------------------------------------------------------ */

static struct molt_conversion conv;

/* A world in which the light has other states. */
static void prepare_next(const struct molt_state_table *states)
{
    struct molt_world *old = atomic_load(molt_code_current_cell(f.code));
    fake_module_init(&next_module, "app", 2);
    light(&next_module, "light")->states = states;
    actor_server(&next_module, "actor");
    conv = (struct molt_conversion){.old_world = old, .new_world = fake_world(&f, &next_module)};
}

static int hold(struct molt_error *err)
{
    struct molt_thread *t = molt_container_of(molt_runner_here(), struct molt_thread, runner);
    molt_thread_offline(t);
    int rc = molt_runtime_prepare(f.rt, &conv, 50, err);
    rc = rc < 0 ? rc : molt_runtime_hold(f.rt, &conv, 50, err);
    molt_thread_online(t);
    return rc;
}

static int says_name(struct fake_state *s, int from)
{
    (void)s;
    (void)from;
    say(">%d ", molt_state());
    return 0;
}

static void states_keep_their_names_over_an_upgrade(void **state)
{
    (void)state;
    static const struct molt_state_table moved = {
        .size = sizeof(moved),
        .server = "light",
        .state = {{.name = "B"},
                  {.name = "Y"},
                  {.name = "R"},
                  {.name = "G", .enter = MOLT_FN(says_name)}},
    };
    molt_pid pid = start("light");
    send_item(pid, 1, true);
    actor_sync(pid);
    prepare_next(&moved);
    struct molt_error err = {0};
    assert_int_equal(hold(&err), 0);
    fake_commit(&f, conv.new_world);
    molt_runtime_adopt(f.rt, &conv, NULL);
    assert_int_equal(info_of(pid).mailbox, 1);
    assert_string_equal(info_waits, "state R");
    actor_do(pid, go, (void *)3);
    actor_sync(pid);
    expect(">RR >3 "); /* item 1 has no handler in state 3 */
    fake_await_log("in state G");
}

static void upgrade_that_drops_a_state_is_refused_while_a_process_is_in_it(void **state)
{
    (void)state;
    static const struct molt_state_table without_r = {
        .size = sizeof(without_r),
        .server = "light",
        .state = {{.name = "G"}, {.name = "B"}},
    };
    molt_pid pid = start("light");
    prepare_next(&without_r);
    struct molt_error err = {0};
    assert_int_equal(hold(&err), MOLT_EREFUSED);
    assert_non_null(strstr(err.text, "is in state R, which server 'light' would no longer have"));
    actor_do(pid, go, to_g);
    actor_sync(pid);
    assert_int_equal(hold(&err), 0);
    fake_commit(&f, conv.new_world);
    molt_runtime_adopt(f.rt, &conv, NULL);
    actor_sync(pid);
    info_of(pid);
    assert_string_equal(info_waits, "state G");
    expect(">RR >RG ");
}

static void upgrade_makes_no_plain_server_of_a_machine(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    prepare_next(NULL);
    struct molt_error err = {0};
    assert_int_equal(hold(&err), MOLT_EREFUSED);
    assert_non_null(strstr(err.text, "cease to be a state machine"));
    actor_do(pid, go, to_g);
    actor_sync(pid);
    expect(">RR >RG ");
}

static void postponed_mail_of_a_gone_layout_is_waited_for(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    send_item(pid, 1, true);
    actor_sync(pid);
    prepare_next(&light_states);
    const struct molt_type *gone = &item_type;
    conv.n_types = 1;
    conv.gone_types = &gone;
    struct molt_error err = {0};
    assert_int_equal(hold(&err), MOLT_ETIMEDOUT);
    assert_non_null(strstr(err.text, "struct item"));
    actor_do(pid, go, to_g);
    actor_sync(pid);
    assert_int_equal(hold(&err), 0);
    molt_runtime_unprepare(f.rt, &conv);
    actor_sync(pid);
}

/* ---- the scan ------------------------------------------------------------------------------- */

static char image[4096];
static char found[256];

static void on_found(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    (void)user;
    (void)range;
    (void)holder;
    snprintf(found, sizeof(found), "%s", why);
}

static void scan_looks_at_postponed_messages(void **state)
{
    (void)state;
    molt_pid pid = start("light");
    struct item *m = fake_new(struct item, item);
    m->next = (struct item *)(void *)image; /* no block: stays where it is */
    assert_int_equal(molt_send_pid(pid, m), 0);
    actor_sync(pid);
    struct molt_range range = {(uintptr_t)image, (uintptr_t)image + sizeof(image), NULL};
    struct molt_thread *t = molt_container_of(molt_runner_here(), struct molt_thread, runner);
    molt_thread_offline(t);
    int n = molt_runtime_scan(f.rt, &range, 1, on_found, NULL);
    molt_thread_online(t);
    assert_int_equal(n, 1);
    assert_non_null(strstr(found, "postponed struct item.next"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_state_is_entered_before_anything_is_handled),
        TEST(postponed_messages_come_back_in_order_and_whole),
        TEST(inserted_messages_come_before_postponed_ones_and_mail),
        TEST(repeated_state_is_entered_again),
        TEST(postponed_call_is_answered_in_a_later_state),
        TEST(callers_of_postponed_calls_hear_of_the_end),
        TEST(message_that_a_state_does_not_handle_is_reported),
        TEST(cast_handler_of_a_state_takes_no_call),
        TEST(on_other_postpones_what_it_does_not_know),
        TEST(message_that_is_gone_is_not_postponed),
        TEST(what_a_failing_handler_asked_for_is_dropped),
        TEST(caller_of_a_machine_that_stops_hears_of_the_end),
        TEST(machine_whose_init_fails_leaves_nothing),
        TEST(other_callbacks_change_the_state_too),
        TEST(state_is_entered_before_on_continue_and_that_before_the_queue),
        TEST(nothing_of_it_works_elsewhere),
        TEST(handler_that_waits_takes_from_the_mailbox_alone),
        TEST(machine_that_is_killed_while_it_waits_leaves_nothing),
        TEST(timeouts_go_off_in_the_order_of_their_times),
        TEST(timeouts_of_no_time_come_before_mail),
        TEST(event_timeout_goes_off_when_nothing_comes),
        TEST(state_timeout_ends_with_the_state_and_named_ones_do_not),
        TEST(timeout_without_a_function_is_reported),
        TEST(process_that_ends_takes_its_timers_along),
        TEST(postponed_messages_count_as_mail),
        TEST(states_keep_their_names_over_an_upgrade),
        TEST(upgrade_that_drops_a_state_is_refused_while_a_process_is_in_it),
        TEST(upgrade_makes_no_plain_server_of_a_machine),
        TEST(postponed_mail_of_a_gone_layout_is_waited_for),
        TEST(scan_looks_at_postponed_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
