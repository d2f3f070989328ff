/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The decisions of a supervisor, one sentence each. What it does is written
 * down in words: +a starts a, -a asks it to end, !a kills it, a? reports that it
 * ended wrongly, a* that it is being restarted, =N is a reply, ~a a release. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/supervise.h"

#define CHILDREN 8

struct rig {
    struct molt_supervise s;
    struct molt_supervise_spec spec[2];
    uint64_t times[2][16];
    struct molt_supervised child[2][CHILDREN];
    struct molt_supervise_request request[8];
    size_t n_requests;
    uint64_t now_ms;
    molt_pid last_pid;
    uint64_t timer;
    int armed_ms;
    const char *hangs;   /* ids of children that don't end when asked */
    const char *is_late; /* ids of children whose start isn't answered */
    const char *fails;   /* ids of children that can't start, while n_fails lasts */
    int n_fails, fail_reason;
    char log[4096];
};

static void say(struct rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct rig *r, const char *fmt, ...)
{
    va_list ap;
    size_t at = strlen(r->log);
    va_start(ap, fmt);
    vsnprintf(r->log + at, sizeof(r->log) - at, fmt, ap);
    va_end(ap);
}

static bool is_in(const char *ids, const struct molt_supervised *c)
{
    return ids && strchr(ids, c->id[0]);
}

static void start(struct rig *r, struct molt_supervised *c)
{
    say(r, "+%s ", c->id);
    if (is_in(r->fails, c) && r->n_fails > 0) {
        r->n_fails--;
        molt_supervise_start_failed(&r->s, c, r->fail_reason);
        return;
    }
    molt_supervise_spawned(&r->s, c, ++r->last_pid);
    if (!is_in(r->is_late, c))
        molt_supervise_started(&r->s, r->last_pid);
}

static const char report_marks[] = {
    [MOLT_REPORT_ENDED] = '?',    [MOLT_REPORT_START_FAILED] = '#', [MOLT_REPORT_RESTART] = '*',
    [MOLT_REPORT_SHUTDOWN] = '%', [MOLT_REPORT_INTENSITY] = '$',
};

static void act(struct rig *r, const struct molt_supervise_action *a)
{
    switch (a->kind) {
    case MOLT_SUPERVISE_START:
        start(r, a->child);
        break;
    case MOLT_SUPERVISE_ASK:
        say(r, "-%s ", a->child->id);
        if (!is_in(r->hangs, a->child))
            molt_supervise_exited(&r->s, a->pid, MOLT_ESHUTDOWN);
        break;
    case MOLT_SUPERVISE_KILL:
        say(r, "!%s ", a->child->id);
        molt_supervise_exited(&r->s, a->pid, MOLT_EKILLED);
        break;
    case MOLT_SUPERVISE_ARM:
        r->timer = a->timer;
        r->armed_ms = a->ms;
        break;
    case MOLT_SUPERVISE_DISARM:
        assert_true(a->timer == r->timer);
        r->armed_ms = 0;
        break;
    case MOLT_SUPERVISE_REPORT:
        say(r, "%s%c ", a->child->id, report_marks[a->report]);
        break;
    case MOLT_SUPERVISE_REPLY:
        say(r, "=%d ", a->reason);
        break;
    case MOLT_SUPERVISE_RELEASE:
        say(r, "~%s ", a->child->id);
        break;
    case MOLT_SUPERVISE_RELEASE_SPEC:
        say(r, "~spec ");
        break;
    case MOLT_SUPERVISE_READY:
        say(r, "ready ");
        break;
    case MOLT_SUPERVISE_END:
        say(r, "end%d ", a->reason);
        break;
    }
}

/* Draw all actions; what was done since the last time must be @expected. */
static void expect_at(struct rig *r, const char *expected, int line)
{
    struct molt_supervise_action action;
    for (int n = 0; n < 1000 && molt_supervise_next(&r->s, r->now_ms, &action); n++)
        act(r, &action);
    size_t len = strlen(r->log);
    if (len)
        r->log[len - 1] = '\0';
    if (strcmp(r->log, expected) != 0)
        fail_msg("line %d: did \"%s\", expected \"%s\"", line, r->log, expected);
    r->log[0] = '\0';
}
#define expect(r, expected) expect_at(r, expected, __LINE__)

static struct molt_supervised *child(struct rig *r, const char *id)
{
    for (struct molt_supervised *c = NULL; (c = molt_supervise_each(&r->s, c));)
        if (strcmp(c->id, id) == 0)
            return c;
    fail_msg("no child %s", id);
    return NULL;
}

static void die(struct rig *r, const char *id, int reason)
{
    molt_supervise_exited(&r->s, child(r, id)->pid, reason);
}

/* Children by "id and restart": "apbtcx" is a permanent, b transient, c temporary. */
static struct molt_supervise_spec *make(struct rig *r, int which, enum molt_strategy strategy,
                                        const char *children)
{
    struct molt_supervise_spec *spec = &r->spec[which];
    *spec = (struct molt_supervise_spec){.strategy = strategy,
                                         .intensity = 3,
                                         .period_ms = 5000,
                                         .restarts_ms = r->times[which]};
    molt_list_init(&spec->children);
    for (size_t i = 0; children[2 * i]; i++) {
        struct molt_supervised *c = &r->child[which][i];
        *c = (struct molt_supervised){.policy = {.shutdown_ms = 5000}};
        c->id[0] = children[2 * i];
        c->policy.restart = strchr("ptx", children[2 * i + 1]) - "ptx" + MOLT_PERMANENT;
        molt_list_append(&spec->children, &c->link);
    }
    return spec;
}

static struct rig *begin(enum molt_strategy strategy, const char *children)
{
    static struct rig r;
    memset(&r, 0, sizeof(r));
    r.now_ms = 1000;
    r.fail_reason = MOLT_ENOENT;
    r.last_pid = 100;
    struct molt_error err;
    assert_int_equal(molt_supervise_check(make(&r, 0, strategy, children), &err), 0);
    return &r;
}

static struct rig *run(struct rig *r)
{
    molt_supervise_init(&r->s, &r->spec[0]);
    return r;
}

static struct rig *up(enum molt_strategy strategy, const char *children)
{
    struct rig *r = run(begin(strategy, children));
    struct molt_supervise_action action;
    while (molt_supervise_next(&r->s, r->now_ms, &action))
        act(r, &action);
    r->log[0] = '\0';
    return r;
}

static void ask(struct rig *r, enum molt_supervise_request_kind kind, const char *id)
{
    struct molt_supervise_request *q = &r->request[r->n_requests++ % 8];
    *q = (struct molt_supervise_request){.kind = kind};
    strcpy(q->id, id);
    molt_supervise_ask(&r->s, q);
}

static void add(struct rig *r, const char *id, enum molt_restart restart)
{
    struct molt_supervise_request *q = &r->request[r->n_requests % 8];
    struct molt_supervised *c = &r->child[1][r->n_requests++ % CHILDREN];
    *q = (struct molt_supervise_request){.kind = MOLT_SUPERVISE_ADD, .child = c};
    *c = (struct molt_supervised){.policy = {.restart = restart, .shutdown_ms = 5000}};
    strcpy(c->id, id);
    molt_list_init(&c->link);
    molt_supervise_ask(&r->s, q);
}

/* ---- start and end ------------------------------------------------------ */

static void children_start_in_order_and_stop_in_reverse(void **state)
{
    (void)state;
    struct rig *r = run(begin(MOLT_ONE_FOR_ONE, "apbpcp"));
    expect(r, "+a +b +c ready");
    molt_supervise_stop(&r->s, MOLT_ESHUTDOWN);
    expect(r, "-c -b -a end-30");
}

static void next_child_waits_until_the_one_before_has_started(void **state)
{
    (void)state;
    struct rig *r = begin(MOLT_ONE_FOR_ONE, "apbp");
    r->is_late = "a";
    run(r);
    expect(r, "+a");
    molt_supervise_started(&r->s, child(r, "a")->pid);
    expect(r, "+b ready");
}

/* OTP 25: {error,{shutdown,{failed_to_start_child,d,nope}}}, b and a stopped. */
static void failed_first_start_stops_what_has_started_and_ends(void **state)
{
    (void)state;
    struct rig *r = begin(MOLT_ONE_FOR_ONE, "apbpcpdp");
    r->fails = "c";
    r->n_fails = 1;
    run(r);
    expect(r, "+a +b +c c# -b -a end-4");
}

static void child_that_exits_in_its_init_has_failed_to_start(void **state)
{
    (void)state;
    struct rig *r = begin(MOLT_ONE_FOR_ONE, "apbp");
    r->is_late = "b";
    run(r);
    expect(r, "+a +b");
    die(r, "b", MOLT_EIO);
    expect(r, "b# -a end-3");
}

static void child_that_ends_normally_in_its_init_is_not_wanted(void **state)
{
    (void)state;
    struct rig *r = begin(MOLT_ONE_FOR_ONE, "apbxcp");
    r->fails = "ab";
    r->n_fails = 2;
    r->fail_reason = 0;
    run(r);
    expect(r, "+a +b +c ready");
    struct molt_supervise_counts n;
    molt_supervise_count(&r->s, &n);
    assert_int_equal(n.specs, 2); /* the temporary one is forgotten, as in OTP */
    assert_int_equal(n.active, 1);
    ask(r, MOLT_SUPERVISE_RESTART, "a");
    expect(r, "+a =0");
}

static void stop_while_a_child_starts_stops_that_one_too(void **state)
{
    (void)state;
    struct rig *r = begin(MOLT_ONE_FOR_ONE, "apbpcp");
    r->is_late = "b";
    run(r);
    expect(r, "+a +b");
    molt_supervise_stop(&r->s, 0);
    expect(r, "-b -a end0");
}

static void stop_waits_for_the_pid_of_a_child_that_is_being_spawned(void **state)
{
    (void)state;
    struct rig *r = run(begin(MOLT_ONE_FOR_ONE, "ap"));
    struct molt_supervise_action a;
    assert_true(molt_supervise_next(&r->s, 0, &a));
    assert_int_equal(a.kind, MOLT_SUPERVISE_START);
    molt_supervise_stop(&r->s, 0);
    expect(r, "");
    molt_supervise_spawned(&r->s, a.child, 7);
    expect(r, "-a end0");
}

static void supervisor_without_children_starts_and_ends(void **state)
{
    (void)state;
    struct rig *r = run(begin(MOLT_ONE_FOR_ALL, ""));
    expect(r, "ready");
    molt_supervise_stop(&r->s, 0);
    expect(r, "end0");
}

/* ---- shutdown ----------------------------------------------------------- */

static void child_that_does_not_end_in_time_is_killed(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbpcp");
    r->hangs = "b";
    child(r, "b")->policy.shutdown_ms = 20;
    molt_supervise_stop(&r->s, 0);
    expect(r, "-c -b");
    assert_int_equal(r->armed_ms, 20);
    molt_supervise_timeout(&r->s, r->timer);
    expect(r, "!b b% -a end0");
}

static void timer_of_a_child_that_has_ended_kills_nobody(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    r->hangs = "ab";
    molt_supervise_stop(&r->s, 0);
    expect(r, "-b");
    uint64_t old = r->timer;
    die(r, "b", MOLT_ESHUTDOWN);
    expect(r, "-a");
    molt_supervise_timeout(&r->s, old);
    expect(r, "");
    die(r, "a", 0); /* a permanent child's normal end is reported, as in OTP */
    expect(r, "a% end0");
}

static void brutal_child_is_killed_without_asking(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    child(r, "b")->policy.shutdown_ms = MOLT_SHUTDOWN_KILL;
    molt_supervise_stop(&r->s, 0);
    expect(r, "!b -a end0");
}

static void patient_child_is_waited_for_without_a_timer(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "ap");
    child(r, "a")->policy.shutdown_ms = MOLT_SHUTDOWN_FOREVER;
    r->hangs = "a";
    molt_supervise_stop(&r->s, 0);
    expect(r, "-a");
    assert_int_equal(r->armed_ms, 0);
    die(r, "a", MOLT_ESHUTDOWN);
    expect(r, "end0");
}

static void exits_during_the_end_restart_nobody(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "apbpcp");
    r->hangs = "c";
    molt_supervise_stop(&r->s, 0);
    expect(r, "-c");
    die(r, "a", MOLT_EIO);
    expect(r, "");
    die(r, "c", MOLT_ESHUTDOWN);
    expect(r, "-b a% end0");
}

static void stop_lets_a_child_that_is_being_stopped_keep_its_time(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbpcp");
    r->hangs = "a";
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    expect(r, "-a");
    molt_supervise_stop(&r->s, 0);
    expect(r, "=-30");
    die(r, "a", MOLT_ESHUTDOWN);
    expect(r, "-c -b end0");
}

static void killed_supervisor_kills_its_children_and_waits_for_none(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    r->hangs = "b";
    ask(r, MOLT_SUPERVISE_TERMINATE, "b");
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    expect(r, "-b");
    molt_supervise_kill(&r->s);
    expect(r, "=-29 =-29 !b !a end-29");
}

/* ---- who is restarted --------------------------------------------------- */

static void permanent_child_is_restarted_whatever_it_ended_with(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    die(r, "a", 0);
    expect(r, "a? a* +a");
    die(r, "a", MOLT_ESHUTDOWN);
    expect(r, "a? a* +a");
    die(r, "a", MOLT_ECRASH);
    expect(r, "a? a* +a");
}

static void transient_child_is_restarted_only_after_an_abnormal_end(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "atbp");
    die(r, "a", MOLT_EIO);
    expect(r, "a? a* +a");
    die(r, "a", MOLT_ESHUTDOWN);
    expect(r, "");
    assert_int_equal(child(r, "a")->state, MOLT_CHILD_DOWN);
    ask(r, MOLT_SUPERVISE_RESTART, "a");
    expect(r, "+a =0");
    die(r, "a", 0);
    expect(r, "");
}

static void temporary_child_is_never_restarted_and_forgotten(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "axbp");
    die(r, "a", MOLT_ECRASH);
    expect(r, "a?");
    ask(r, MOLT_SUPERVISE_RESTART, "a");
    expect(r, "=-4");
}

static void unknown_pids_change_nothing(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "apbp");
    molt_pid old = child(r, "a")->pid;
    molt_supervise_exited(&r->s, 999, MOLT_ECRASH);
    molt_supervise_exited(&r->s, 0, MOLT_ECRASH);
    expect(r, "");
    die(r, "a", MOLT_ECRASH);
    expect(r, "a? a* -b +a +b");
    molt_supervise_exited(&r->s, old, MOLT_ECRASH);
    molt_supervise_started(&r->s, old);
    expect(r, "");
}

/* ---- strategies --------------------------------------------------------- */

static void one_for_one_leaves_the_others_alone(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbpcp");
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* +b");
}

/* OTP 25: also a transient child that ended normally and one that was
 * terminated on request are started again. */
static void one_for_all_stops_the_others_and_starts_all(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "atbpct");
    die(r, "a", 0);
    expect(r, "");
    ask(r, MOLT_SUPERVISE_TERMINATE, "c");
    expect(r, "-c =0");
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* +a +b +c");
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* -c -a +a +b +c");
}

static void one_for_all_stops_temporary_children_for_good(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "axbpcx");
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* -c -a +b");
}

static void rest_for_one_restarts_those_behind(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_REST_FOR_ONE, "apbpcpdx");
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* -d -c +b +c");
}

static void child_that_ended_meanwhile_is_not_restarted_twice(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "apbpcp");
    die(r, "a", MOLT_EIO);
    die(r, "c", MOLT_EIO);
    expect(r, "a? a* c% -b +a +b +c");
}

static void child_that_ends_while_others_start_has_its_turn_later(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "apbp");
    r->is_late = "b";
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* -a +a +b");
    die(r, "a", MOLT_EIO);
    expect(r, "");
    r->is_late = NULL;
    molt_supervise_started(&r->s, child(r, "b")->pid);
    expect(r, "a? a* -b +a +b");
}

/* ---- intensity ---------------------------------------------------------- */

static void one_restart_too_many_ends_the_supervisor(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbpcp");
    for (int i = 0; i < 3; i++) {
        die(r, "b", MOLT_EIO);
        expect(r, "b? b* +b");
    }
    die(r, "b", MOLT_EIO);
    expect(r, "b? b$ -c -a end-19");
}

static void restarts_older_than_the_period_do_not_count(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "ap");
    for (int i = 0; i < 20; i++) {
        die(r, "a", MOLT_EIO);
        expect(r, "a? a* +a");
        r->now_ms += 1667; /* four of them last 5001 ms */
    }
    r->now_ms -= 1;
    die(r, "a", MOLT_EIO);
    expect(r, "a? a$ end-19");
}

static void intensity_of_nothing_allows_no_restart(void **state)
{
    (void)state;
    struct rig *r = begin(MOLT_ONE_FOR_ONE, "ap");
    r->spec[0].intensity = 0;
    r->spec[0].restarts_ms = NULL;
    run(r);
    expect(r, "+a ready");
    die(r, "a", 0);
    expect(r, "a? a$ end-19");
}

/* OTP 25: [{die,b},{stop,d},{stop,a},{start,a},{fail,b},{stop,a},{start,a},...] */
static void failed_restart_counts_and_tries_again_with_all(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "apbpcp");
    r->fails = "b";
    r->n_fails = 2;
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* -c -a +a +b b# b* -a +a +b b# b* -a +a +b +c");
}

/* OTP 25: [{die,b},{stop,d},{start,b},{fail,d},{fail,d},{fail,d},{stop,b},{stop,a}] */
static void rest_for_one_tries_again_from_the_child_that_failed(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_REST_FOR_ONE, "apbpcp");
    r->fails = "c";
    r->n_fails = 4;
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* -c +b +c c# c* +c c# c* +c c# c$ -b -a end-19");
}

static void requests_come_between_attempts_to_restart(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    r->fails = "a";
    r->n_fails = 1;
    die(r, "a", MOLT_EIO);
    struct molt_supervise_action a = {.kind = MOLT_SUPERVISE_END};
    while (a.kind != MOLT_SUPERVISE_START && molt_supervise_next(&r->s, r->now_ms, &a))
        act(r, &a);
    ask(r, MOLT_SUPERVISE_RESTART, "a");
    ask(r, MOLT_SUPERVISE_DELETE, "a");
    expect(r, "a? a* +a a# =-18 =-18 a* +a");
}

static void terminating_a_child_that_is_being_retried_ends_the_attempts(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    r->fails = "a";
    r->n_fails = 1;
    r->is_late = "a";
    ask(r, MOLT_SUPERVISE_TERMINATE, "b");
    die(r, "a", MOLT_EIO);
    struct molt_supervise_action a = {.kind = MOLT_SUPERVISE_END};
    while (a.kind != MOLT_SUPERVISE_START && molt_supervise_next(&r->s, r->now_ms, &a))
        act(r, &a);
    expect(r, "-b =0 a? a* +a a# a* +a");
    molt_supervise_exited(&r->s, child(r, "a")->pid, MOLT_EIO);
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    expect(r, "a# =0");
    assert_int_equal(child(r, "a")->state, MOLT_CHILD_DOWN);
}

/* ---- significant children ----------------------------------------------- */

static struct rig *significant(enum molt_auto_shutdown how)
{
    struct rig *r = begin(MOLT_ONE_FOR_ONE, "atbxcpdt");
    r->spec[0].auto_shutdown = how;
    r->child[0][0].policy.is_significant = true;
    r->child[0][1].policy.is_significant = true;
    assert_int_equal(molt_supervise_check(&r->spec[0], NULL), 0);
    run(r);
    expect(r, "+a +b +c +d ready");
    return r;
}

static void any_significant_end_ends_the_supervisor(void **state)
{
    (void)state;
    struct rig *r = significant(MOLT_AUTO_ANY);
    die(r, "d", 0);
    expect(r, "");
    die(r, "a", MOLT_EIO);
    expect(r, "a? a* +a");
    die(r, "b", MOLT_EIO);
    expect(r, "b? -c -a end-30");
}

static void last_significant_end_ends_the_supervisor(void **state)
{
    (void)state;
    struct rig *r = significant(MOLT_AUTO_ALL);
    die(r, "b", MOLT_EIO);
    expect(r, "b?");
    die(r, "a", 0);
    expect(r, "-d -c end-30");
}

static void significant_child_that_is_terminated_ends_nothing(void **state)
{
    (void)state;
    struct rig *r = significant(MOLT_AUTO_ANY);
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    expect(r, "-a =0");
}

/* ---- requests ----------------------------------------------------------- */

/* OTP 25: running, running, ok, ok, already_present, ok, ok, ok, ok, already_started. */
static void requests_are_answered_as_in_otp(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    ask(r, MOLT_SUPERVISE_RESTART, "a");
    ask(r, MOLT_SUPERVISE_DELETE, "a");
    expect(r, "=-5 =-18");
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    expect(r, "-a =0 =0");
    add(r, "a", MOLT_PERMANENT);
    expect(r, "=-5 ~a");
    ask(r, MOLT_SUPERVISE_RESTART, "a");
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    ask(r, MOLT_SUPERVISE_DELETE, "a");
    expect(r, "+a =0 -a =0 =0");
    add(r, "a", MOLT_PERMANENT);
    add(r, "b", MOLT_PERMANENT);
    expect(r, "~a +a =0 =-5 ~b");
    ask(r, MOLT_SUPERVISE_DELETE, "zz");
    ask(r, MOLT_SUPERVISE_TERMINATE, "zz");
    expect(r, "=-4 =-4");
    molt_supervise_stop(&r->s, 0);
    expect(r, "-a -b end0");
}

static void terminated_child_stays_down(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbx");
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    ask(r, MOLT_SUPERVISE_TERMINATE, "b");
    expect(r, "-a =0 -b =0");
    ask(r, MOLT_SUPERVISE_RESTART, "b"); /* temporary: forgotten */
    expect(r, "=-4");
}

static void added_child_that_cannot_start_is_not_kept(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "ap");
    r->fails = "bc";
    r->n_fails = 2;
    add(r, "b", MOLT_PERMANENT);
    expect(r, "+b b# =-4 ~b");
    r->fail_reason = 0;
    add(r, "c", MOLT_TEMPORARY);
    expect(r, "+c =0 ~c");
    add(r, "", MOLT_PERMANENT);
    expect(r, "=-2 ~");
    struct molt_supervise_counts n;
    molt_supervise_count(&r->s, &n);
    assert_int_equal(n.specs, 1);
}

static void restart_on_request_that_fails_leaves_the_child_down(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "apbp");
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    expect(r, "-a =0");
    r->fails = "a";
    r->n_fails = 1;
    ask(r, MOLT_SUPERVISE_RESTART, "a");
    expect(r, "+a a# =-4");
    assert_int_equal(child(r, "a")->state, MOLT_CHILD_DOWN);
}

static void requests_wait_and_are_answered_before_the_end(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    r->hangs = "b";
    ask(r, MOLT_SUPERVISE_TERMINATE, "b");
    ask(r, MOLT_SUPERVISE_LOOK, "");
    add(r, "d", MOLT_PERMANENT);
    expect(r, "-b");
    molt_supervise_stop(&r->s, 0);
    expect(r, "=-30 =-30 =-30 ~d");
    die(r, "b", MOLT_ESHUTDOWN);
    expect(r, "-a end0");
    ask(r, MOLT_SUPERVISE_LOOK, "");
    expect(r, "=-30");
}

/* ---- simple_one_for_one ------------------------------------------------- */

static void dynamic_children_live_by_their_template(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_SIMPLE_ONE_FOR_ONE, "tt");
    add(r, "a", MOLT_PERMANENT);
    add(r, "b", MOLT_TEMPORARY);
    expect(r, "+a =0 +b =0");
    die(r, "b", MOLT_EIO);
    expect(r, "b? b* +b");
    die(r, "a", 0);
    expect(r, "~a");
    struct molt_supervise_counts n;
    molt_supervise_count(&r->s, &n);
    assert_int_equal(n.specs, 1);
    assert_int_equal(n.active, 1);
}

static void dynamic_children_are_terminated_by_pid_alone(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_SIMPLE_ONE_FOR_ONE, "tp");
    add(r, "a", MOLT_PERMANENT);
    expect(r, "+a =0");
    ask(r, MOLT_SUPERVISE_TERMINATE, "a");
    ask(r, MOLT_SUPERVISE_RESTART, "a");
    ask(r, MOLT_SUPERVISE_DELETE, "a");
    expect(r, "=-2 =-2 =-2");
    r->request[7] = (struct molt_supervise_request){.kind = MOLT_SUPERVISE_TERMINATE,
                                                    .pid = child(r, "a")->pid};
    molt_supervise_ask(&r->s, &r->request[7]);
    expect(r, "-a =0 ~a");
    r->request[7].pid = 12345;
    molt_supervise_ask(&r->s, &r->request[7]);
    expect(r, "=-4");
}

static void dynamic_children_stop_all_at_once(void **state)
{
    (void)state;
    struct rig *r = begin(MOLT_SIMPLE_ONE_FOR_ONE, "tp");
    r->child[0][0].policy.shutdown_ms = 70;
    run(r);
    add(r, "a", 0);
    add(r, "b", 0);
    add(r, "c", 0);
    add(r, "d", 0);
    expect(r, "ready +a =0 +b =0 +c =0 +d =0");
    r->hangs = "bcd";
    molt_supervise_stop(&r->s, 0);
    expect(r, "-a -b -c -d");
    assert_int_equal(r->armed_ms, 70);
    die(r, "d", MOLT_EIO);
    expect(r, "");
    molt_supervise_timeout(&r->s, r->timer);
    expect(r, "!b !c b% c% d% end0");
    int n = 0;
    while (molt_supervise_take(&r->s))
        n++;
    assert_int_equal(n, 4);
}

/* ---- a new specification ------------------------------------------------ */

static void change(struct rig *r, enum molt_strategy strategy, const char *children)
{
    assert_int_equal(molt_supervise_check(make(r, 1, strategy, children), NULL), 0);
    molt_supervise_change(&r->s, &r->spec[1]);
}

static void upgrade_stops_removed_children_and_starts_added_ones(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbpcpdp");
    change(r, MOLT_ONE_FOR_ONE, "epcpfpap");
    expect(r, "~spec ~c ~a -d ~d -b ~b +e +f");
    molt_supervise_stop(&r->s, 0);
    expect(r, "-a -f -c -e end0");
}

static void upgrade_changes_policy_strategy_and_intensity_from_now_on(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    for (int i = 0; i < 2; i++) {
        die(r, "a", MOLT_EIO);
        expect(r, "a? a* +a");
    }
    make(r, 1, MOLT_ONE_FOR_ALL, "atbp");
    r->spec[1].intensity = 2;
    molt_supervise_change(&r->s, &r->spec[1]);
    expect(r, "~spec ~a ~b");
    die(r, "a", 0);
    expect(r, "");
    die(r, "b", MOLT_EIO); /* the third restart in the period */
    expect(r, "b? b$ end-19");
}

static void upgrade_does_not_bring_back_what_ended_for_good(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "axbpcpdt");
    die(r, "a", 0);
    die(r, "d", 0);
    ask(r, MOLT_SUPERVISE_TERMINATE, "c");
    ask(r, MOLT_SUPERVISE_DELETE, "c");
    expect(r, "-c =0 =0");
    change(r, MOLT_ONE_FOR_ONE, "axbpcpdt");
    expect(r, "~spec ~a ~b ~c ~d");
}

static void upgrade_keeps_children_that_requests_added(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    add(r, "z", MOLT_PERMANENT);
    expect(r, "+z =0");
    r->child[0][CHILDREN - 1] = (struct molt_supervised){.id = "n"};
    struct molt_supervise_spec *spec = &r->spec[1];
    *spec =
        (struct molt_supervise_spec){.intensity = 3, .period_ms = 5000, .restarts_ms = r->times[1]};
    molt_list_init(&spec->children);
    molt_list_append(&spec->children, &r->child[0][CHILDREN - 1].link);
    molt_supervise_change(&r->s, spec);
    expect(r, "~spec -b ~b -a ~a +n");
    molt_supervise_stop(&r->s, 0);
    expect(r, "-z -n end0");
}

static void added_child_that_cannot_start_after_an_upgrade_ends_nobody(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ALL, "apbp");
    r->fails = "c";
    r->n_fails = 1;
    change(r, MOLT_ONE_FOR_ALL, "apbpcpdp");
    expect(r, "~spec ~a ~b +c c# +d");
    ask(r, MOLT_SUPERVISE_RESTART, "c");
    expect(r, "+c =0");
}

static void exit_that_waits_is_not_lost_by_an_upgrade(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    change(r, MOLT_ONE_FOR_ONE, "apbp");
    die(r, "a", MOLT_EIO);
    expect(r, "~spec ~a ~b a? a* +a");
}

static void change_to_and_from_simple_is_refused(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_ONE_FOR_ONE, "apbp");
    make(r, 1, MOLT_SIMPLE_ONE_FOR_ONE, "tp");
    assert_int_equal(molt_supervise_check_change(&r->spec[0], &r->spec[1], NULL), MOLT_EREFUSED);
    molt_supervise_change(&r->s, &r->spec[1]);
    expect(r, "~spec");
    die(r, "a", MOLT_EIO);
    expect(r, "a? a* +a");
}

static void new_template_holds_for_children_that_run(void **state)
{
    (void)state;
    struct rig *r = up(MOLT_SIMPLE_ONE_FOR_ONE, "tp");
    add(r, "a", MOLT_PERMANENT);
    add(r, "b", MOLT_PERMANENT);
    expect(r, "+a =0 +b =0");
    struct molt_supervised template = {.policy = {.restart = MOLT_TEMPORARY}};
    struct molt_supervise_spec *spec = &r->spec[1];
    *spec = (struct molt_supervise_spec){.strategy = MOLT_SIMPLE_ONE_FOR_ONE,
                                         .period_ms = 5000,
                                         .restarts_ms = r->times[1]};
    molt_list_init(&spec->children);
    molt_list_append(&spec->children, &template.link);
    molt_supervise_change(&r->s, spec);
    expect(r, "~spec");
    die(r, "a", MOLT_EIO);
    expect(r, "a? ~a");
}

/* ---- bad specifications ------------------------------------------------- */

static void refuses(struct rig *r, const char *why)
{
    struct molt_error err = {0};
    assert_int_equal(molt_supervise_check(&r->spec[0], &err), MOLT_EINVAL);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" says nothing of \"%s\"", err.text, why);
}

static void unsound_specifications_are_refused_with_the_reason(void **state)
{
    (void)state;
    static struct rig r;
    make(&r, 0, MOLT_ONE_FOR_ONE, "apbpap");
    refuses(&r, "two children have the id 'a'");
    make(&r, 0, MOLT_ONE_FOR_ONE, "apbp");
    r.child[0][1].id[0] = '\0';
    refuses(&r, "no id");
    make(&r, 0, MOLT_ONE_FOR_ONE, "ap")->period_ms = 0;
    refuses(&r, "period");
    make(&r, 0, MOLT_ONE_FOR_ONE, "ap")->restarts_ms = NULL;
    refuses(&r, "room");
    make(&r, 0, MOLT_ONE_FOR_ONE, "ap")->strategy = 9;
    refuses(&r, "strategy");
    make(&r, 0, MOLT_ONE_FOR_ONE, "ap");
    r.child[0][0].policy.shutdown_ms = -3;
    refuses(&r, "shutdown");
    make(&r, 0, MOLT_ONE_FOR_ONE, "at");
    r.child[0][0].policy.is_significant = true;
    refuses(&r, "without auto-shutdown");
    make(&r, 0, MOLT_ONE_FOR_ONE, "ap")->auto_shutdown = MOLT_AUTO_ANY;
    r.child[0][0].policy.is_significant = true;
    refuses(&r, "significant and permanent");
    make(&r, 0, MOLT_SIMPLE_ONE_FOR_ONE, "apbp");
    refuses(&r, "exactly one");
    make(&r, 0, MOLT_SIMPLE_ONE_FOR_ONE, "");
    refuses(&r, "exactly one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_start_in_order_and_stop_in_reverse),
        cmocka_unit_test(next_child_waits_until_the_one_before_has_started),
        cmocka_unit_test(failed_first_start_stops_what_has_started_and_ends),
        cmocka_unit_test(child_that_exits_in_its_init_has_failed_to_start),
        cmocka_unit_test(child_that_ends_normally_in_its_init_is_not_wanted),
        cmocka_unit_test(stop_while_a_child_starts_stops_that_one_too),
        cmocka_unit_test(stop_waits_for_the_pid_of_a_child_that_is_being_spawned),
        cmocka_unit_test(supervisor_without_children_starts_and_ends),
        cmocka_unit_test(child_that_does_not_end_in_time_is_killed),
        cmocka_unit_test(timer_of_a_child_that_has_ended_kills_nobody),
        cmocka_unit_test(brutal_child_is_killed_without_asking),
        cmocka_unit_test(patient_child_is_waited_for_without_a_timer),
        cmocka_unit_test(exits_during_the_end_restart_nobody),
        cmocka_unit_test(stop_lets_a_child_that_is_being_stopped_keep_its_time),
        cmocka_unit_test(killed_supervisor_kills_its_children_and_waits_for_none),
        cmocka_unit_test(permanent_child_is_restarted_whatever_it_ended_with),
        cmocka_unit_test(transient_child_is_restarted_only_after_an_abnormal_end),
        cmocka_unit_test(temporary_child_is_never_restarted_and_forgotten),
        cmocka_unit_test(unknown_pids_change_nothing),
        cmocka_unit_test(one_for_one_leaves_the_others_alone),
        cmocka_unit_test(one_for_all_stops_the_others_and_starts_all),
        cmocka_unit_test(one_for_all_stops_temporary_children_for_good),
        cmocka_unit_test(rest_for_one_restarts_those_behind),
        cmocka_unit_test(child_that_ended_meanwhile_is_not_restarted_twice),
        cmocka_unit_test(child_that_ends_while_others_start_has_its_turn_later),
        cmocka_unit_test(one_restart_too_many_ends_the_supervisor),
        cmocka_unit_test(restarts_older_than_the_period_do_not_count),
        cmocka_unit_test(intensity_of_nothing_allows_no_restart),
        cmocka_unit_test(failed_restart_counts_and_tries_again_with_all),
        cmocka_unit_test(rest_for_one_tries_again_from_the_child_that_failed),
        cmocka_unit_test(requests_come_between_attempts_to_restart),
        cmocka_unit_test(terminating_a_child_that_is_being_retried_ends_the_attempts),
        cmocka_unit_test(any_significant_end_ends_the_supervisor),
        cmocka_unit_test(last_significant_end_ends_the_supervisor),
        cmocka_unit_test(significant_child_that_is_terminated_ends_nothing),
        cmocka_unit_test(requests_are_answered_as_in_otp),
        cmocka_unit_test(terminated_child_stays_down),
        cmocka_unit_test(added_child_that_cannot_start_is_not_kept),
        cmocka_unit_test(restart_on_request_that_fails_leaves_the_child_down),
        cmocka_unit_test(requests_wait_and_are_answered_before_the_end),
        cmocka_unit_test(dynamic_children_live_by_their_template),
        cmocka_unit_test(dynamic_children_are_terminated_by_pid_alone),
        cmocka_unit_test(dynamic_children_stop_all_at_once),
        cmocka_unit_test(upgrade_stops_removed_children_and_starts_added_ones),
        cmocka_unit_test(upgrade_changes_policy_strategy_and_intensity_from_now_on),
        cmocka_unit_test(upgrade_does_not_bring_back_what_ended_for_good),
        cmocka_unit_test(upgrade_keeps_children_that_requests_added),
        cmocka_unit_test(added_child_that_cannot_start_after_an_upgrade_ends_nobody),
        cmocka_unit_test(exit_that_waits_is_not_lost_by_an_upgrade),
        cmocka_unit_test(change_to_and_from_simple_is_refused),
        cmocka_unit_test(new_template_holds_for_children_that_run),
        cmocka_unit_test(unsound_specifications_are_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
