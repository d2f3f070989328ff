/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The state machine, one sentence each; where OTP 25 was asked, its log stands
 * beside. Then random machines beside a plain model of the same rules.
 *
 * The log: >01 enters state 1 from 0, a1 handles message a in state 1, S E 0 are
 * the state, event and first generic timeout.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/statem.h"

struct message {
    struct molt_statem_event event;
    char name;
};

struct rig {
    struct molt_statem m;
    struct message message[64];
    size_t n_messages;
    uint64_t ref[MOLT_STATEM_SLOTS]; /* armed timers, or 0 */
    int ms[MOLT_STATEM_SLOTS];
    void (*handle)(struct rig *r, char what); /* 'e' entering; what it asks for */
    int rc;
    char log[512];
};

static const char slot_names[MOLT_STATEM_SLOTS + 1] = "01234567SE";

static struct message *message(struct rig *r, char name)
{
    struct message *msg = &r->message[r->n_messages++ % 64];
    msg->name = name;
    molt_list_init(&msg->event.link);
    return msg;
}

static void mail(struct rig *r, const char *names)
{
    for (; *names; names++)
        molt_statem_offer(&r->m, &message(r, *names)->event);
}

static void insert(struct rig *r, char name)
{
    assert_int_equal(molt_statem_insert(&r->m, &message(r, name)->event), 0);
}

static void say(struct rig *r, const char *what, int state)
{
    size_t at = strlen(r->log);
    snprintf(r->log + at, sizeof(r->log) - at, "%s%d ", what, state);
}

static void act(struct rig *r, const struct molt_statem_action *a)
{
    char what = 'e';
    switch (a->kind) {
    case MOLT_STATEM_ENTER:
        say(r, (char[]){'>', (char)('0' + a->old_state), '\0'}, r->m.state);
        break;
    case MOLT_STATEM_HANDLE:
        what = a->slot >= 0 ? slot_names[a->slot]
                            : molt_container_of(a->event, struct message, event)->name;
        say(r, (char[]){what, '\0'}, r->m.state);
        break;
    case MOLT_STATEM_ARM:
        r->ref[a->slot] = a->ref;
        r->ms[a->slot] = a->ms;
        return;
    case MOLT_STATEM_DISARM:
        assert_true(r->ref[a->slot] == a->ref);
        r->ref[a->slot] = 0;
        return;
    }
    r->rc = 0;
    if (r->handle)
        r->handle(r, what);
    molt_statem_done(&r->m, r->rc);
}

static void expect_at(struct rig *r, const char *expected, int line)
{
    struct molt_statem_action action;
    for (int i = 0; i < 200 && molt_statem_next(&r->m, &action); i++)
        act(r, &action);
    if (r->log[0])
        r->log[strlen(r->log) - 1] = '\0';
    if (strcmp(r->log, expected) != 0)
        fail_msg("line %d: did \"%s\", expected \"%s\"", line, r->log, expected);
    r->log[0] = '\0';
}
#define expect(r, expected) expect_at(r, expected, __LINE__)

static struct rig *begin(void (*handle)(struct rig *r, char what))
{
    static struct rig r;
    memset(&r, 0, sizeof(r));
    r.handle = handle;
    molt_statem_init(&r.m, 0);
    return &r;
}

static void fire(struct rig *r, int slot)
{
    uint64_t ref = r->ref[slot];
    assert_true(ref != 0);
    r->ref[slot] = 0;
    molt_statem_fired(&r->m, ref);
}

/* n goes to the next state, p postpones in state 0, i inserts, others do nothing. */
static void common(struct rig *r, char what)
{
    struct molt_statem *m = &r->m;
    if (what == 'n')
        assert_int_equal(molt_statem_go(m, m->state + 1), 0);
    if (what == 'p' && m->state == 0)
        assert_int_equal(molt_statem_postpone(m), 0);
    if (what == 'r')
        assert_int_equal(molt_statem_repeat(m), 0);
    if (what == 's')
        assert_int_equal(molt_statem_go(m, m->state), 0);
    if (what == 'S' || what == 'E')
        return;
    if (what == 't')
        molt_statem_set_timeout(m, MOLT_STATEM_STATE_TIMEOUT, 30);
    if (what == 't' || what == 'u')
        molt_statem_set_timeout(m, MOLT_STATEM_EVENT_TIMEOUT, 20);
    if (what == 't')
        molt_statem_set_timeout(m, 0, 10);
}

/* ---- states and events -------------------------------------------------- */

static void first_state_is_entered_from_itself(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "a");
    expect(r, ">00 a0");
}

static void change_enters_the_new_state_before_the_next_event(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "anb");
    expect(r, ">00 a0 n0 >01 b1");
}

static void postponed_events_come_back_in_order_after_a_change(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "papn");
    expect(r, ">00 p0 a0 p0 n0 >01 p1 p1");
}

/* OTP 25: [{pp,m1},{pp,m2},go,{internal,i1,t},{internal,i2,t},{cast,m1,t},
 * {cast,m2,t},{cast,go,t},{cast,m3,t}] */
static void handle_go(struct rig *r, char what)
{
    if (r->m.state == 1 || what == 'e')
        return;
    if (what == 'g') {
        molt_statem_go(&r->m, 1);
        insert(r, 'i');
        insert(r, 'j');
    }
    molt_statem_postpone(&r->m);
}

static void inserted_events_come_before_those_that_were_postponed(void **state)
{
    (void)state;
    struct rig *r = begin(handle_go);
    mail(r, "mngo");
    expect(r, ">00 m0 n0 g0 >01 i1 j1 m1 n1 g1 o1");
}

static void going_to_the_same_state_changes_nothing(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "tps");
    expect(r, ">00 t0 p0 s0");
    fire(r, MOLT_STATEM_STATE_TIMEOUT);
    expect(r, "S0");
}

/* OTP 25: [{enter,s,s},postpone,repeat,{enter,s,s},repeat,{enter,s,s},{st,st}] */
static void repeating_a_state_enters_it_and_neither_replays_nor_cancels(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "tpr");
    expect(r, ">00 t0 p0 r0 >00");
    fire(r, MOLT_STATEM_STATE_TIMEOUT);
    expect(r, "S0");
}

static void failing_handler_stops_the_machine(struct rig *r, char what)
{
    if (what != 'x')
        return;
    molt_statem_go(&r->m, 1);
    molt_statem_postpone(&r->m);
    insert(r, 'i');
    molt_statem_set_timeout(&r->m, 0, 5);
    r->rc = MOLT_EIO;
}

static void stop_drops_what_the_handler_asked_for_and_loses_no_event(void **state)
{
    (void)state;
    struct rig *r = begin(failing_handler_stops_the_machine);
    mail(r, "axb");
    expect(r, ">00 a0 x0");
    assert_int_equal(r->m.state, 0);
    struct molt_statem_event *event = molt_statem_take(&r->m);
    assert_int_equal(molt_container_of(event, struct message, event)->name, 'i');
    event = molt_statem_take(&r->m);
    assert_int_equal(molt_container_of(event, struct message, event)->name, 'b');
    assert_null(molt_statem_take(&r->m));
}

static void what_makes_no_sense_is_refused(struct rig *r, char what)
{
    struct message *msg = message(r, 'z');
    struct molt_statem *m = &r->m;
    bool is_entering = what == 'e', is_timeout = what == '3';
    assert_int_equal(molt_statem_go(m, 1) < 0, is_entering);
    assert_int_equal(molt_statem_go(m, 0) < 0, is_entering);
    assert_int_equal(molt_statem_repeat(m) < 0, is_entering);
    if (what == 'a')
        assert_int_equal(molt_statem_insert(m, &msg->event), 0);
    else if (is_entering)
        assert_int_equal(molt_statem_insert(m, &msg->event), MOLT_EINVAL);
    if (is_entering || is_timeout)
        assert_int_equal(molt_statem_postpone(m), MOLT_EINVAL);
    assert_int_equal(molt_statem_go(m, MOLT_STATEM_STATES_MAX), MOLT_EINVAL);
    assert_int_equal(molt_statem_go(m, -1), MOLT_EINVAL);
    assert_int_equal(molt_statem_set_timeout(m, MOLT_STATEM_SLOTS, 1), MOLT_EINVAL);
    assert_int_equal(molt_statem_set_timeout(m, 3, what == '3' ? -1 : 4), 0);
}

static void calls_out_of_place_are_refused(void **state)
{
    (void)state;
    struct rig *r = begin(what_makes_no_sense_is_refused);
    assert_int_equal(molt_statem_go(&r->m, 1), MOLT_EINVAL);
    assert_int_equal(molt_statem_repeat(&r->m), MOLT_EINVAL);
    assert_int_equal(molt_statem_postpone(&r->m), MOLT_EINVAL);
    assert_int_equal(molt_statem_set_timeout(&r->m, 0, 1), MOLT_EINVAL);
    mail(r, "a");
    expect(r, ">00 a0 >00 z0 >00");
    fire(r, 3);
    expect(r, "30 >00");
}

/* ---- timeouts ----------------------------------------------------------- */

static void state_timeout_ends_with_the_state(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "t");
    expect(r, ">00 t0");
    uint64_t ref = r->ref[MOLT_STATEM_STATE_TIMEOUT];
    mail(r, "n");
    expect(r, "n0 >01");
    assert_true(r->ref[MOLT_STATEM_STATE_TIMEOUT] == 0);
    molt_statem_fired(&r->m, ref);
    expect(r, "");
}

/* OTP 25: [go,x,{{timeout,n},nt,t}] */
static void any_event_ends_the_event_timeout_and_none_a_generic_one(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "t");
    expect(r, ">00 t0");
    assert_int_equal(r->ms[MOLT_STATEM_EVENT_TIMEOUT], 20);
    mail(r, "n");
    expect(r, "n0 >01");
    assert_true(r->ref[MOLT_STATEM_EVENT_TIMEOUT] == 0);
    fire(r, 0);
    expect(r, "01");
}

static void event_timeout_comes_when_nothing_else_does(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "u");
    expect(r, ">00 u0");
    fire(r, MOLT_STATEM_EVENT_TIMEOUT);
    expect(r, "E0");
}

static void timeout_that_has_fired_is_cancelled_while_it_waits(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "t");
    expect(r, ">00 t0");
    mail(r, "n");
    fire(r, MOLT_STATEM_STATE_TIMEOUT);
    fire(r, MOLT_STATEM_EVENT_TIMEOUT);
    expect(r, "n0 >01");
}

static void set_with_change(struct rig *r, char what)
{
    if (what == 'g') {
        molt_statem_set_timeout(&r->m, MOLT_STATEM_STATE_TIMEOUT, 40);
        molt_statem_go(&r->m, 1);
    }
}

static void timeout_set_with_a_change_is_the_new_states(void **state)
{
    (void)state;
    struct rig *r = begin(set_with_change);
    mail(r, "g");
    expect(r, ">00 g0 >01");
    fire(r, MOLT_STATEM_STATE_TIMEOUT);
    expect(r, "S1");
}

/* OTP 25: [go,{internal,i1,t},{state_timeout,z,t},{{timeout,n},zn,t},{cast,m3,t}] */
static void no_time(struct rig *r, char what)
{
    if (what != 'g')
        return;
    molt_statem_go(&r->m, 1);
    molt_statem_set_timeout(&r->m, MOLT_STATEM_STATE_TIMEOUT, 0);
    molt_statem_set_timeout(&r->m, 0, 0);
    insert(r, 'i');
    molt_statem_set_timeout(&r->m, MOLT_STATEM_EVENT_TIMEOUT, 0);
}

static void timeouts_of_no_time_come_after_inserted_events_and_before_mail(void **state)
{
    (void)state;
    struct rig *r = begin(no_time);
    mail(r, "gm");
    expect(r, ">00 g0 >01 i1 S1 01 m1");
}

/* OTP 25: [{enter,s,s},go,i1,{enter,s,t}] */
static void no_time_then_change(struct rig *r, char what)
{
    if (what == 'i')
        molt_statem_go(&r->m, 1);
    if (what != 'g')
        return;
    molt_statem_set_timeout(&r->m, MOLT_STATEM_STATE_TIMEOUT, 0);
    molt_statem_set_timeout(&r->m, MOLT_STATEM_EVENT_TIMEOUT, 0);
    insert(r, 'i');
}

static void timeouts_of_no_time_can_be_cancelled_before_they_come(void **state)
{
    (void)state;
    struct rig *r = begin(no_time_then_change);
    mail(r, "g");
    expect(r, ">00 g0 i0 >01");
}

static void enter_sets(struct rig *r, char what)
{
    if (what == 'e')
        molt_statem_set_timeout(&r->m, MOLT_STATEM_STATE_TIMEOUT, 10 + r->m.state);
    if (what == 'g') {
        molt_statem_set_timeout(&r->m, MOLT_STATEM_STATE_TIMEOUT, 99);
        molt_statem_go(&r->m, 1);
    }
    if (what == 'c')
        molt_statem_set_timeout(&r->m, MOLT_STATEM_STATE_TIMEOUT, -1);
}

static void timeout_of_the_enter_handler_replaces_the_transitions(void **state)
{
    (void)state;
    struct rig *r = begin(enter_sets);
    expect(r, ">00");
    assert_int_equal(r->ms[MOLT_STATEM_STATE_TIMEOUT], 10);
    mail(r, "g");
    expect(r, "g0 >01");
    assert_int_equal(r->ms[MOLT_STATEM_STATE_TIMEOUT], 11);
    mail(r, "c");
    expect(r, "c1");
    assert_true(r->ref[MOLT_STATEM_STATE_TIMEOUT] == 0);
}

static void renumbering_a_state_is_no_change(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "tp");
    expect(r, ">00 t0 p0");
    uint8_t map[MOLT_STATEM_STATES_MAX] = {5, 6, 0};
    molt_statem_renumber(&r->m, map);
    expect(r, "");
    fire(r, MOLT_STATEM_STATE_TIMEOUT);
    mail(r, "n");
    expect(r, "S5 n5 >56 p6");
}

/* Renumbered between a change and its enter handler. */
static void state_left_that_is_gone_counts_as_the_one_it_is_in(void **state)
{
    (void)state;
    for (int is_gone = 0; is_gone < 2; is_gone++) {
        struct rig *r = begin(common);
        expect(r, ">00");
        mail(r, "n");
        struct molt_statem_action a;
        assert_true(molt_statem_next(&r->m, &a));
        act(r, &a);
        uint8_t map[MOLT_STATEM_STATES_MAX] = {is_gone ? MOLT_STATEM_GONE : 4, 3};
        molt_statem_renumber(&r->m, map);
        expect(r, is_gone ? "n0 >33" : "n0 >43");
    }
}

/* ---- callbacks around the machine's events -------------------------------- */

static void start_chooses_the_first_state(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    molt_statem_start(&r->m);
    assert_int_equal(molt_statem_postpone(&r->m), MOLT_EINVAL);
    assert_int_equal(molt_statem_repeat(&r->m), MOLT_EINVAL);
    assert_int_equal(molt_statem_go(&r->m, 2), 0);
    assert_int_equal(molt_statem_set_timeout(&r->m, MOLT_STATEM_STATE_TIMEOUT, 7), 0);
    insert(r, 'i');
    assert_true(molt_statem_done(&r->m, 0));
    mail(r, "a");
    expect(r, ">22 i2 a2");
    assert_int_equal(r->ms[MOLT_STATEM_STATE_TIMEOUT], 7);
}

static void start_that_fails_leaves_nothing_to_do(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    molt_statem_start(&r->m);
    assert_true(molt_statem_done(&r->m, MOLT_EIO));
    assert_false(molt_statem_is_due(&r->m));
    expect(r, "");
}

static void other_callbacks_change_the_state_and_end_the_event_timeout(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    mail(r, "up");
    expect(r, ">00 u0 p0");
    mail(r, "u");
    expect(r, "u0");
    assert_true(r->ref[MOLT_STATEM_EVENT_TIMEOUT] != 0);
    molt_statem_begin(&r->m);
    assert_int_equal(molt_statem_postpone(&r->m), MOLT_EINVAL);
    assert_int_equal(molt_statem_go(&r->m, 1), 0);
    assert_true(molt_statem_done(&r->m, 0));
    expect(r, ">01 p1");
    assert_true(r->ref[MOLT_STATEM_EVENT_TIMEOUT] == 0);
}

static void what_a_handler_had_inserted_is_given_back_too(void **state)
{
    (void)state;
    struct rig *r = begin(common);
    expect(r, ">00");
    mail(r, "ab");
    struct molt_statem_action a;
    assert_true(molt_statem_next(&r->m, &a));
    insert(r, 'i');
    assert_int_equal(molt_container_of(molt_statem_take(&r->m), struct message, event)->name, 'b');
    assert_int_equal(molt_container_of(molt_statem_take(&r->m), struct message, event)->name, 'i');
    assert_null(molt_statem_take(&r->m));
}

/* ---- random machines beside a plain model ------------------------------- */

/* The same rules over arrays: what comes next is searched, not kept. */
struct model {
    int state, old_state;
    bool must_enter;
    char queue[256], mail[256], postponed[256];
    int timer[MOLT_STATEM_SLOTS]; /* -1: not set; 1: runs; 0: an event in one of the queues */
};

/* What a handler asks for; drawn once and done on both sides. */
struct wish {
    int go;
    bool postpone, repeat;
    char insert[4];
    int n_timeouts, slot[3], ms[3];
};

static uint64_t seed;

static unsigned dice(unsigned n)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (unsigned)((seed * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static void drop_from(char *queue, char what)
{
    char *at = strchr(queue, what);
    if (at)
        memmove(at, at + 1, strlen(at));
}

static void push(char *queue, char what)
{
    size_t n = strlen(queue);
    assert_true(n < 255);
    queue[n] = what;
    queue[n + 1] = '\0';
}

static void put_in_front(char *queue, const char *what)
{
    char all[512];
    snprintf(all, sizeof(all), "%s%s", what, queue);
    assert_true(strlen(all) < 256);
    strcpy(queue, all);
}

static void model_cancel(struct model *o, int slot)
{
    o->timer[slot] = -1;
    drop_from(o->queue, slot_names[slot]);
    drop_from(o->mail, slot_names[slot]);
}

static void model_timeouts(struct model *o, int *slots, int *ms, int *n)
{
    for (int i = 0; i < *n; i++) {
        model_cancel(o, slots[i]);
        if (ms[i] >= 0)
            o->timer[slots[i]] = ms[i] > 0;
        if (ms[i] == 0)
            push(o->queue, slot_names[slots[i]]);
    }
    *n = 0;
}

static struct wish draw_wish(bool is_entering, bool is_timeout, int state)
{
    struct wish w = {.go = state};
    if (!is_entering) {
        w.go = dice(3) ? state : (int)dice(3);
        w.repeat = dice(8) == 0;
        w.postpone = !is_timeout && dice(3) == 0;
        for (unsigned i = dice(8) ? 0 : 1 + dice(2); i > 0; i--)
            push(w.insert, (char)('a' + dice(26)));
    }
    w.n_timeouts = dice(3) ? 0 : 1 + (int)dice(3);
    for (int i = 0; i < w.n_timeouts; i++) {
        bool is_twice;
        do { /* a slot once: the last wish counts, at the place of the first */
            w.slot[i] = (int)dice(MOLT_STATEM_SLOTS);
            is_twice = false;
            for (int k = 0; k < i; k++)
                is_twice |= w.slot[k] == w.slot[i];
        } while (is_twice);
        w.ms[i] = (int)dice(4) - 1;
    }
    return w;
}

static void wish_for(struct rig *r, const struct wish *w, bool is_entering)
{
    for (int i = 0; i < w->n_timeouts; i++)
        molt_statem_set_timeout(&r->m, w->slot[i], w->ms[i]);
    if (is_entering)
        return;
    molt_statem_go(&r->m, w->go);
    if (w->repeat)
        molt_statem_repeat(&r->m);
    if (w->postpone)
        molt_statem_postpone(&r->m);
    for (const char *c = w->insert; *c; c++)
        insert(r, *c);
}

/* One handler on both sides; false when both have nothing to do. */
static bool step_both(struct rig *r, struct model *o, int *slots, int *ms, int *n)
{
    struct molt_statem_action a = {.kind = MOLT_STATEM_ARM};
    bool is_any, is_due = molt_statem_is_due(&r->m), is_drawn = false;
    while ((is_any = molt_statem_next(&r->m, &a)) && a.kind >= MOLT_STATEM_ARM)
        r->ref[a.slot] = a.kind == MOLT_STATEM_ARM ? a.ref : 0, is_drawn = true;
    /* What only cancels something that is not set is due, and draws nothing. */
    assert_true(is_due || (!is_any && !is_drawn));
    assert_true(is_any || !molt_statem_is_due(&r->m));
    if (!o->must_enter)
        model_timeouts(o, slots, ms, n);
    char *from = o->queue[0] ? o->queue : o->mail;
    assert_int_equal(is_any, o->must_enter || from[0]);
    for (int i = 0; !o->must_enter && i < MOLT_STATEM_SLOTS; i++) {
        bool is_gone_now = is_any && i == MOLT_STATEM_EVENT_TIMEOUT; /* cancelled by the event */
        assert_true(is_gone_now || (r->ref[i] != 0) == (o->timer[i] == 1));
    }
    if (!is_any)
        return false;
    bool is_entering = o->must_enter;
    char what = is_entering ? '\0' : from[0];
    assert_int_equal(a.kind, is_entering ? MOLT_STATEM_ENTER : MOLT_STATEM_HANDLE);
    assert_int_equal(r->m.state, o->state);
    bool is_timeout = !is_entering && strchr(slot_names, what);
    if (is_entering) {
        assert_int_equal(a.old_state, o->old_state);
    } else {
        assert_int_equal(a.slot >= 0, is_timeout);
        assert_int_equal(is_timeout ? slot_names[a.slot]
                                    : molt_container_of(a.event, struct message, event)->name,
                         what);
        drop_from(from, what);
        if (is_timeout)
            o->timer[a.slot] = -1;
        model_cancel(o, MOLT_STATEM_EVENT_TIMEOUT);
    }
    struct wish w = draw_wish(is_entering, is_timeout, o->state);
    wish_for(r, &w, is_entering);
    assert_int_equal(molt_statem_done(&r->m, 0), !w.postpone);
    o->must_enter = false;
    if (w.postpone)
        push(o->postponed, what);
    if (w.go != o->state) {
        model_cancel(o, MOLT_STATEM_STATE_TIMEOUT);
        put_in_front(o->queue, o->postponed);
        o->postponed[0] = '\0';
    }
    if (w.go != o->state || w.repeat) {
        o->old_state = o->state;
        o->state = w.go;
        o->must_enter = true;
    }
    put_in_front(o->queue, w.insert);
    for (int i = 0; i < w.n_timeouts; i++) { /* later wishes replace earlier ones, in place */
        int at = 0;
        while (at < *n && slots[at] != w.slot[i])
            at++;
        slots[at] = w.slot[i];
        ms[at] = w.ms[i];
        *n += at == *n;
    }
    return true;
}

static void random_machine(uint64_t number)
{
    seed = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    struct rig *r = begin(NULL);
    struct model o = {.must_enter = true};
    for (int i = 0; i < MOLT_STATEM_SLOTS; i++)
        o.timer[i] = -1;
    int slots[MOLT_STATEM_SLOTS], ms[MOLT_STATEM_SLOTS], n = 0;
    for (int i = 0; i < 300; i++) {
        size_t n_waiting = strlen(o.queue) + strlen(o.mail) + strlen(o.postponed);
        if (n_waiting < 20 && dice(3) == 0) {
            char name[2] = {(char)('a' + dice(26)), '\0'};
            mail(r, name);
            push(o.mail, name[0]);
        }
        int slot = (int)dice(MOLT_STATEM_SLOTS);
        if (o.timer[slot] == 1 && r->ref[slot] && dice(2)) {
            fire(r, slot);
            o.timer[slot] = 0;
            push(o.mail, slot_names[slot]);
        }
        if (n_waiting < 40)
            step_both(r, &o, slots, ms, &n);
    }
}

static void random_machines_do_what_the_model_does(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 2000; number++)
        random_machine(number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_state_is_entered_from_itself),
        cmocka_unit_test(change_enters_the_new_state_before_the_next_event),
        cmocka_unit_test(postponed_events_come_back_in_order_after_a_change),
        cmocka_unit_test(inserted_events_come_before_those_that_were_postponed),
        cmocka_unit_test(going_to_the_same_state_changes_nothing),
        cmocka_unit_test(repeating_a_state_enters_it_and_neither_replays_nor_cancels),
        cmocka_unit_test(stop_drops_what_the_handler_asked_for_and_loses_no_event),
        cmocka_unit_test(calls_out_of_place_are_refused),
        cmocka_unit_test(state_timeout_ends_with_the_state),
        cmocka_unit_test(any_event_ends_the_event_timeout_and_none_a_generic_one),
        cmocka_unit_test(event_timeout_comes_when_nothing_else_does),
        cmocka_unit_test(timeout_that_has_fired_is_cancelled_while_it_waits),
        cmocka_unit_test(timeout_set_with_a_change_is_the_new_states),
        cmocka_unit_test(timeouts_of_no_time_come_after_inserted_events_and_before_mail),
        cmocka_unit_test(timeouts_of_no_time_can_be_cancelled_before_they_come),
        cmocka_unit_test(timeout_of_the_enter_handler_replaces_the_transitions),
        cmocka_unit_test(renumbering_a_state_is_no_change),
        cmocka_unit_test(state_left_that_is_gone_counts_as_the_one_it_is_in),
        cmocka_unit_test(start_chooses_the_first_state),
        cmocka_unit_test(start_that_fails_leaves_nothing_to_do),
        cmocka_unit_test(other_callbacks_change_the_state_and_end_the_event_timeout),
        cmocka_unit_test(what_a_handler_had_inserted_is_given_back_too),
        cmocka_unit_test(random_machines_do_what_the_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
