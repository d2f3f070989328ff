/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * One operation at a time, as in OTP, where a supervisor takes its mail one by
 * one and waits inside for children to start and stop. An operation stops a
 * range of children, last to first, and then starts it, first to last:
 *
 * | operation  | range                              | stops       | starts     |
 * |------------|------------------------------------|-------------|------------|
 * | INIT       | all                                |             | all        |
 * | RESTART    | by strategy: one, the rest, or all | all of it   | all of it  |
 * | ADD,REVIVE | one                                |             | it         |
 * | TERMINATE  | one                                | it          |            |
 * | CHANGE     | all                                | removed     | added      |
 * | END        | all                                | all         |            |
 *
 * Events only note what happened; what follows is decided when actions are
 * drawn, in advance(). What has to wait for its turn (exits of children that
 * run, requests, new specifications) stands in the inbox.
 */
#include "runtime/supervise.h"

#include <assert.h>
#include <string.h>

enum op {
    OP_NONE,
    OP_INIT,
    OP_RESTART,
    OP_ADD,
    OP_REVIVE,
    OP_TERMINATE,
    OP_CHANGE,
    OP_END,
    OP_DYING, /* killed */
    OP_DEAD,
};

enum stage {
    STAGE_STOP,
    STAGE_START,
    /* Of the end of a simple_one_for_one, where all stop at once: */
    STAGE_ASK_ALL,
    STAGE_WAIT_ALL,
    STAGE_KILL_ALL,
    STAGE_REPORT_ALL,
};

static bool holds(const struct molt_supervise *s, enum molt_supervise_rule rule)
{
    return s->without != rule;
}

static struct molt_supervised *child_of(struct molt_list *link)
{
    return molt_container_of(link, struct molt_supervised, link);
}

static bool is_simple(const struct molt_supervise *s)
{
    return s->spec->strategy == MOLT_STRATEGY_SIMPLE;
}

/* Dynamic children live by their template. */
static const struct molt_child_policy *policy_of(const struct molt_supervise *s,
                                                 const struct molt_supervised *c)
{
    return is_simple(s) ? &child_of(s->spec->children.next)->policy : &c->policy;
}

static bool is_normal(int reason)
{
    return reason == 0 || reason == MOLT_ESHUTDOWN;
}

/* ---- actions ------------------------------------------------------------ */

static struct molt_supervise_action *emit(struct molt_supervise *s,
                                          enum molt_supervise_action_kind kind)
{
    assert(s->out_len < sizeof(s->out) / sizeof(*s->out));
    struct molt_supervise_action *action = &s->out[s->out_len++];
    *action = (struct molt_supervise_action){.kind = kind};
    return action;
}

static void emit_for(struct molt_supervise *s, enum molt_supervise_action_kind kind,
                     struct molt_supervised *c)
{
    struct molt_supervise_action *action = emit(s, kind);
    action->child = c;
    action->pid = c->pid;
}

static void report(struct molt_supervise *s, enum molt_supervise_report what,
                   struct molt_supervised *c, int reason)
{
    struct molt_supervise_action *action = emit(s, MOLT_SUPERVISE_REPORT);
    action->report = what;
    action->child = c;
    action->reason = reason;
}

static void reply(struct molt_supervise *s, struct molt_supervise_request *request, int rc,
                  molt_pid pid)
{
    struct molt_supervise_action *action = emit(s, MOLT_SUPERVISE_REPLY);
    action->request = request;
    action->reason = rc;
    action->pid = pid;
}

static void release_spec(struct molt_supervise *s, struct molt_supervise_spec *spec)
{
    emit(s, MOLT_SUPERVISE_RELEASE_SPEC)->spec = spec;
}

/* ---- timer -------------------------------------------------------------- */

static void arm(struct molt_supervise *s, int ms)
{
    struct molt_supervise_action *action = emit(s, MOLT_SUPERVISE_ARM);
    action->timer = ++s->timer;
    action->ms = ms;
    s->is_armed = true;
    s->is_due = false;
}

static void disarm(struct molt_supervise *s)
{
    if (s->is_armed && !s->is_due)
        emit(s, MOLT_SUPERVISE_DISARM)->timer = s->timer;
    s->is_armed = s->is_due = false;
}

/* ---- children by pid ---------------------------------------------------- */

/* A digital search tree: the bits of the key, from the top, lead down from
 * node to node. The multiplication is a bijection that spreads small numbers. */
static unsigned branch_at(molt_pid pid, unsigned depth)
{
    return (unsigned)((pid * UINT64_C(0x9e3779b97f4a7c15)) >> (63 - (depth & 63))) & 1;
}

static struct molt_supervised **find_place(struct molt_supervise *s, molt_pid pid)
{
    struct molt_supervised **at = &s->by_pid;
    for (unsigned depth = 0; *at && (*at)->pid != pid; depth++)
        at = &(*at)->branch[branch_at(pid, depth)];
    return at;
}

static struct molt_supervised *find_pid(struct molt_supervise *s, molt_pid pid)
{
    return pid ? *find_place(s, pid) : NULL;
}

static void tree_insert(struct molt_supervise *s, struct molt_supervised *c)
{
    c->branch[0] = c->branch[1] = NULL;
    *find_place(s, c->pid) = c;
}

/* Any leaf below may take the place of what goes. */
static void tree_remove(struct molt_supervise *s, struct molt_supervised *c)
{
    struct molt_supervised **place = find_place(s, c->pid), **leaf = place;
    while ((*leaf)->branch[0] || (*leaf)->branch[1])
        leaf = &(*leaf)->branch[(*leaf)->branch[0] ? 0 : 1];
    struct molt_supervised *with = *leaf;
    *leaf = NULL;
    if (with == c)
        return;
    memcpy(with->branch, c->branch, sizeof(with->branch));
    *place = with;
}

/* ---- the list of children ----------------------------------------------- */

static void set_down(struct molt_supervise *s, struct molt_supervised *c)
{
    if (c->pid)
        tree_remove(s, c);
    molt_list_unlink(&c->note.link);
    c->pid = 0;
    c->state = MOLT_CHILD_DOWN;
}

static void remove_child(struct molt_supervise *s, struct molt_supervised *c)
{
    set_down(s, c);
    molt_list_unlink(&c->link);
    molt_list_append(&s->released, &c->link);
}

/* One of the specification leaves a trace, or the next upgrade would take it
 * for a child that is new and start it again. */
static void forget(struct molt_supervise *s, struct molt_supervised *c)
{
    set_down(s, c);
    if (c->is_static)
        c->state = MOLT_CHILD_FORGOTTEN;
    else
        remove_child(s, c);
}

static struct molt_supervised *find_id(struct molt_supervise *s, const char *id)
{
    for (struct molt_list *at = s->children.next; at != &s->children; at = at->next)
        if (strcmp(child_of(at)->id, id) == 0)
            return child_of(at);
    return NULL;
}

static struct molt_supervised *find_visible(struct molt_supervise *s, const char *id)
{
    struct molt_supervised *c = find_id(s, id);
    return c && c->state != MOLT_CHILD_FORGOTTEN ? c : NULL;
}

/* @c as the caller handed it over. */
static void adopt(struct molt_supervised *c, bool is_static)
{
    c->note.kind = MOLT_NOTE_CHILD;
    molt_list_init(&c->note.link);
    c->branch[0] = c->branch[1] = NULL;
    c->state = MOLT_CHILD_DOWN;
    c->pid = 0;
    c->reason = 0;
    c->is_static = is_static;
    c->is_new = c->is_gone = false;
}

/* ---- operations --------------------------------------------------------- */

static struct molt_list *first_to_stop(struct molt_supervise *s)
{
    if (s->is_one_only)
        return &s->first->link;
    if (holds(s, MOLT_RULE_STOP_REVERSE))
        return s->children.prev;
    return s->first ? &s->first->link : s->children.next;
}

static struct molt_list *next_to_stop(struct molt_supervise *s, struct molt_supervised *c)
{
    if (s->is_one_only)
        return &s->children;
    if (!holds(s, MOLT_RULE_STOP_REVERSE))
        return c->link.next;
    return c == s->first ? &s->children : c->link.prev;
}

static void start_range(struct molt_supervise *s)
{
    s->stage = STAGE_START;
    s->at = s->first ? &s->first->link : s->children.next;
}

static void begin(struct molt_supervise *s, enum op op, struct molt_supervised *first,
                  bool is_one_only)
{
    s->op = op;
    s->first = first;
    s->is_one_only = is_one_only;
    s->must_finish = false;
    s->stage = STAGE_STOP;
    s->at = first_to_stop(s);
}

/* The end of an operation that may have been for a request. */
static void finish(struct molt_supervise *s, int rc, molt_pid pid)
{
    if (s->request)
        reply(s, s->request, rc, pid);
    s->request = NULL;
    s->op = OP_NONE;
}

static bool is_being_stopped(const struct molt_supervised *c)
{
    return c->state == MOLT_CHILD_ASKED || c->state == MOLT_CHILD_KILLED;
}

/* Whatever is being done is given up for the end, but for a child that has been
 * asked already: it keeps the time that it was given. */
static void begin_end(struct molt_supervise *s, int reason)
{
    bool is_undo = s->op == OP_INIT;
    struct molt_list *at = s->op != OP_NONE && s->stage == STAGE_STOP ? s->at : &s->children;
    finish(s, MOLT_ESHUTDOWN, 0);
    s->end_reason = reason;
    begin(s, OP_END, NULL, false);
    if (is_simple(s)) {
        s->stage = STAGE_ASK_ALL;
        s->at = s->children.next;
    } else if (at != &s->children && is_being_stopped(child_of(at))) {
        s->must_finish = true;
        s->at = at;
    }
    if (is_undo && !holds(s, MOLT_RULE_UNDO_START))
        s->at = &s->children;
}

/* ---- stopping ----------------------------------------------------------- */

static void ask_child(struct molt_supervise *s, struct molt_supervised *c)
{
    s->n_stopping++;
    if (policy_of(s, c)->shutdown_ms == MOLT_SHUTDOWN_KILL && holds(s, MOLT_RULE_BRUTAL)) {
        c->state = MOLT_CHILD_KILLED;
        emit_for(s, MOLT_SUPERVISE_KILL, c);
        return;
    }
    c->state = MOLT_CHILD_ASKED;
    emit_for(s, MOLT_SUPERVISE_ASK, c);
}

/* OTP: shutdown_error unless it is `shutdown`, `killed` after brutal_kill, or
 * `normal` of a child that isn't permanent. */
static void report_stopped(struct molt_supervise *s, struct molt_supervised *c)
{
    const struct molt_child_policy *policy = policy_of(s, c);
    bool is_fine = c->reason == MOLT_ESHUTDOWN ||
                   (c->reason == 0 && policy->restart != MOLT_PERMANENT) ||
                   (c->reason == MOLT_EKILLED && policy->shutdown_ms == MOLT_SHUTDOWN_KILL);
    if (!is_fine)
        report(s, MOLT_REPORT_SHUTDOWN, c, c->reason);
}

static void kill_late(struct molt_supervise *s, struct molt_supervised *c)
{
    c->state = MOLT_CHILD_KILLED;
    if (holds(s, MOLT_RULE_KILL_LATE))
        emit_for(s, MOLT_SUPERVISE_KILL, c);
}

/* The child at hand is down: go on to the next one. */
static void settle(struct molt_supervise *s, struct molt_supervised *c)
{
    struct molt_list *next = next_to_stop(s, c);
    if (s->op == OP_CHANGE && c->is_gone)
        remove_child(s, c);
    else if (s->op == OP_RESTART && c != s->first && policy_of(s, c)->restart == MOLT_TEMPORARY)
        forget(s, c); /* OTP: stopped with the others, but not started with them */
    s->at = s->must_finish ? s->children.prev : next;
    s->must_finish = false;
}

/* Have @c stopped; false: wait for an event. */
static bool stop_child(struct molt_supervise *s, struct molt_supervised *c)
{
    int shutdown_ms = policy_of(s, c)->shutdown_ms;
    switch (c->state) {
    case MOLT_CHILD_SPAWNING:
    case MOLT_CHILD_KILLED:
        return false;
    case MOLT_CHILD_STARTING:
    case MOLT_CHILD_UP:
        ask_child(s, c);
        if (shutdown_ms >= 0 ||
            (shutdown_ms == MOLT_SHUTDOWN_FOREVER && !holds(s, MOLT_RULE_FOREVER)))
            arm(s, shutdown_ms >= 0 ? shutdown_ms : 1000);
        return true;
    case MOLT_CHILD_ASKED:
        if (!holds(s, MOLT_RULE_ONE_AT_A_TIME)) {
            settle(s, c);
            return true;
        }
        if (!s->is_due)
            return false;
        disarm(s);
        kill_late(s, c);
        return true;
    case MOLT_CHILD_STOPPED:
        disarm(s);
        report_stopped(s, c);
        break;
    case MOLT_CHILD_EXITED: /* by itself, before it was asked */
        report_stopped(s, c);
        break;
    case MOLT_CHILD_RETRYING:
    case MOLT_CHILD_START_FAILED:
    case MOLT_CHILD_DOWN:
        break;
    case MOLT_CHILD_FORGOTTEN:
        settle(s, c);
        return true;
    }
    set_down(s, c);
    settle(s, c);
    return true;
}

static void finish_terminate(struct molt_supervise *s)
{
    struct molt_supervised *c = s->first;
    if (!holds(s, MOLT_RULE_KEEP_TERMINATED)) {
        c->state = MOLT_CHILD_EXITED;
        molt_list_append(&s->inbox, &c->note.link);
    } else if (is_simple(s) || c->policy.restart == MOLT_TEMPORARY) {
        forget(s, c);
    }
    finish(s, 0, 0);
}

static void finish_end(struct molt_supervise *s)
{
    s->op = OP_DEAD;
    emit(s, MOLT_SUPERVISE_END)->reason = s->end_reason;
}

static bool stop_step(struct molt_supervise *s)
{
    if (s->at != &s->children) {
        struct molt_supervised *c = child_of(s->at);
        if (s->op != OP_CHANGE || c->is_gone)
            return stop_child(s, c);
        s->at = next_to_stop(s, c);
        return true;
    }
    if (s->op == OP_END)
        finish_end(s);
    else if (s->op == OP_TERMINATE)
        finish_terminate(s);
    else
        start_range(s);
    return true;
}

/* ---- stopping all dynamic children at once ------------------------------ */

static void sweep(struct molt_supervise *s, enum stage stage)
{
    s->stage = stage;
    s->at = s->children.next;
}

static bool ask_next(struct molt_supervise *s)
{
    if (s->at == &s->children) {
        const struct molt_child_policy *policy = policy_of(s, NULL);
        if (s->n_stopping && policy->shutdown_ms >= 0)
            arm(s, policy->shutdown_ms);
        sweep(s, STAGE_WAIT_ALL);
        return true;
    }
    struct molt_supervised *c = child_of(s->at);
    if (c->state == MOLT_CHILD_SPAWNING)
        return false;
    s->at = s->at->next;
    if (c->state == MOLT_CHILD_STARTING || c->state == MOLT_CHILD_UP)
        ask_child(s, c);
    return true;
}

static bool wait_for_all(struct molt_supervise *s)
{
    if (s->n_stopping && !s->is_due)
        return false;
    enum stage next = s->n_stopping ? STAGE_KILL_ALL : STAGE_REPORT_ALL;
    disarm(s);
    sweep(s, next);
    return true;
}

static bool kill_next(struct molt_supervise *s)
{
    if (s->at == &s->children) {
        sweep(s, STAGE_WAIT_ALL);
        return true;
    }
    struct molt_supervised *c = child_of(s->at);
    s->at = s->at->next;
    if (c->state == MOLT_CHILD_ASKED)
        kill_late(s, c);
    return true;
}

static bool report_next(struct molt_supervise *s)
{
    if (s->at == &s->children) {
        finish_end(s);
        return true;
    }
    struct molt_supervised *c = child_of(s->at);
    s->at = s->at->next;
    if (c->state == MOLT_CHILD_STOPPED || c->state == MOLT_CHILD_EXITED)
        report_stopped(s, c);
    set_down(s, c);
    return true;
}

/* ---- starting ----------------------------------------------------------- */

static void start_next(struct molt_supervise *s, struct molt_supervised *c)
{
    s->at = s->is_one_only ? &s->children : c->link.next;
}

static void finish_start(struct molt_supervise *s)
{
    if (s->op == OP_INIT)
        emit(s, MOLT_SUPERVISE_READY);
    finish(s, 0, s->request ? s->first->pid : 0);
}

/* It was not wanted after all: OTP's `ignore`. */
static void start_ignored(struct molt_supervise *s, struct molt_supervised *c)
{
    set_down(s, c);
    start_next(s, c);
    if (!is_simple(s) && c->policy.restart != MOLT_TEMPORARY)
        return;
    if (s->request)
        finish(s, 0, 0); /* while it is there */
    else if (s->is_one_only)
        s->op = OP_NONE;
    forget(s, c);
}

static void start_failed(struct molt_supervise *s, struct molt_supervised *c)
{
    int reason = c->reason;
    set_down(s, c);
    report(s, MOLT_REPORT_START_FAILED, c, reason);
    switch (s->op) {
    case OP_INIT:
        begin_end(s, reason);
        break;
    case OP_RESTART: /* what waits in the inbox comes first, as in OTP */
        c->state = MOLT_CHILD_RETRYING;
        molt_list_append(&s->inbox, &c->note.link);
        finish(s, 0, 0);
        break;
    case OP_ADD:
        finish(s, reason, 0);
        remove_child(s, c);
        break;
    case OP_REVIVE:
        finish(s, reason, 0);
        break;
    default: /* added by an upgrade: no reason to end what runs */
        start_next(s, c);
        break;
    }
}

static bool start_step(struct molt_supervise *s)
{
    if (s->at == &s->children) {
        finish_start(s);
        return true;
    }
    struct molt_supervised *c = child_of(s->at);
    bool is_wanted = s->op != OP_CHANGE || (c->is_new && holds(s, MOLT_RULE_START_ADDED));
    if (!is_wanted) {
        start_next(s, c);
        return true;
    }
    switch (c->state) {
    case MOLT_CHILD_DOWN:
        c->state = MOLT_CHILD_SPAWNING;
        emit_for(s, MOLT_SUPERVISE_START, c);
        return true;
    case MOLT_CHILD_SPAWNING:
    case MOLT_CHILD_STARTING:
        if (holds(s, MOLT_RULE_START_IN_ORDER))
            return false;
        break;
    case MOLT_CHILD_START_FAILED:
        if (c->reason == 0)
            start_ignored(s, c);
        else
            start_failed(s, c);
        return true;
    default: /* it runs, or has ended meanwhile, which is another matter */
        break;
    }
    start_next(s, c);
    return true;
}

/* ---- restarting --------------------------------------------------------- */

/* Count a restart; true if it is one too many. OTP: "if more than MaxR restarts
 * occur within MaxT" - MaxT included, which the beam sees in whole seconds. */
static bool is_too_often(struct molt_supervise *s, uint64_t now_ms)
{
    const struct molt_supervise_spec *spec = s->spec;
    if (!holds(s, MOLT_RULE_INTENSITY))
        return false;
    if (spec->intensity == 0)
        return true;
    uint64_t *place = &spec->restarts_ms[s->n_restarts % spec->intensity]; /* the oldest's */
    if (s->n_kept == spec->intensity &&
        (now_ms - *place <= spec->period_ms || !holds(s, MOLT_RULE_PERIOD)))
        return true;
    *place = now_ms;
    s->n_restarts++;
    if (s->n_kept < spec->intensity)
        s->n_kept++;
    return false;
}

static void begin_restart(struct molt_supervise *s, struct molt_supervised *c)
{
    switch (s->spec->strategy) {
    case MOLT_STRATEGY_ONE_FOR_ALL:
        if (holds(s, MOLT_RULE_ALL))
            begin(s, OP_RESTART, NULL, false);
        else
            begin(s, OP_RESTART, c, true);
        break;
    case MOLT_STRATEGY_REST_FOR_ONE:
        begin(s, OP_RESTART, holds(s, MOLT_RULE_REST_ONLY) ? c : NULL, !holds(s, MOLT_RULE_REST));
        break;
    default:
        begin(s, OP_RESTART, c, true);
        break;
    }
}

static void restart(struct molt_supervise *s, struct molt_supervised *c, bool is_retry,
                    uint64_t now_ms)
{
    int reason = c->reason;
    set_down(s, c);
    bool is_free = is_retry && !holds(s, MOLT_RULE_RETRY_COUNTS);
    if (!is_free && is_too_often(s, now_ms)) {
        report(s, MOLT_REPORT_INTENSITY, c, reason);
        begin_end(s, MOLT_ELIMIT);
        return;
    }
    report(s, MOLT_REPORT_RESTART, c, reason);
    begin_restart(s, c);
}

static bool is_to_restart(const struct molt_supervise *s, const struct molt_supervised *c)
{
    switch (policy_of(s, c)->restart) {
    case MOLT_PERMANENT:
        return holds(s, MOLT_RULE_PERMANENT) || !is_normal(c->reason);
    case MOLT_TRANSIENT:
        return !holds(s, MOLT_RULE_TRANSIENT) || !is_normal(c->reason);
    default:
        return !holds(s, MOLT_RULE_TEMPORARY);
    }
}

/* A significant child that isn't restarted may end the supervisor. A child
 * whose restart is being retried counts as running, as in OTP. */
static bool is_auto_shutdown(const struct molt_supervise *s)
{
    if (s->spec->auto_shutdown == MOLT_AUTO_ANY)
        return holds(s, MOLT_RULE_ANY_SIGNIFICANT);
    if (s->spec->auto_shutdown != MOLT_AUTO_ALL || !holds(s, MOLT_RULE_ALL_SIGNIFICANT))
        return false;
    for (struct molt_list *at = s->children.next; at != &s->children; at = at->next) {
        const struct molt_supervised *c = child_of(at);
        if (policy_of(s, c)->is_significant && c->state != MOLT_CHILD_DOWN &&
            c->state != MOLT_CHILD_FORGOTTEN)
            return false;
    }
    return true;
}

static void child_ended(struct molt_supervise *s, struct molt_supervised *c, uint64_t now_ms)
{
    const struct molt_child_policy policy = *policy_of(s, c);
    bool is_again = is_to_restart(s, c);
    if (is_again || !is_normal(c->reason))
        report(s, MOLT_REPORT_ENDED, c, c->reason);
    if (is_again) {
        restart(s, c, false, now_ms);
        return;
    }
    set_down(s, c);
    if (is_simple(s) || policy.restart == MOLT_TEMPORARY)
        forget(s, c);
    if (policy.is_significant && is_auto_shutdown(s))
        begin_end(s, MOLT_ESHUTDOWN);
}

/* ---- requests ----------------------------------------------------------- */

static bool is_policy_sound(const struct molt_child_policy *policy,
                            enum molt_auto_shutdown auto_shutdown)
{
    return (unsigned)policy->restart <= MOLT_TEMPORARY &&
           policy->shutdown_ms >= MOLT_SHUTDOWN_KILL &&
           (!policy->is_significant ||
            (policy->restart != MOLT_PERMANENT && auto_shutdown != MOLT_AUTO_NEVER));
}

static void refuse_add(struct molt_supervise *s, struct molt_supervise_request *request, int rc,
                       molt_pid pid)
{
    reply(s, request, rc, pid);
    molt_list_append(&s->released, &request->child->link);
}

static void add_child(struct molt_supervise *s, struct molt_supervise_request *request)
{
    struct molt_supervised *c = request->child;
    adopt(c, false);
    if (!is_simple(s)) {
        struct molt_supervised *other = find_id(s, c->id);
        if (other && other->state != MOLT_CHILD_FORGOTTEN) {
            refuse_add(s, request, MOLT_EEXIST, other->pid);
            return;
        }
        if (!c->id[0] || !is_policy_sound(&c->policy, s->spec->auto_shutdown)) {
            refuse_add(s, request, MOLT_EINVAL, 0);
            return;
        }
        if (other)
            remove_child(s, other);
    }
    molt_list_append(&s->children, &c->link);
    s->request = request;
    begin(s, OP_ADD, c, true);
    start_range(s);
}

static void restart_down(struct molt_supervise *s, struct molt_supervise_request *request,
                         struct molt_supervised *c)
{
    if (c->state == MOLT_CHILD_RETRYING) {
        reply(s, request, MOLT_EBUSY, 0);
    } else if (c->state != MOLT_CHILD_DOWN) {
        reply(s, request, MOLT_EEXIST, c->pid);
    } else {
        s->request = request;
        begin(s, OP_REVIVE, c, true);
        start_range(s);
    }
}

static void delete_down(struct molt_supervise *s, struct molt_supervise_request *request,
                        struct molt_supervised *c)
{
    bool is_down = c->state == MOLT_CHILD_DOWN;
    reply(s, request, is_down ? 0 : MOLT_EBUSY, c->pid);
    if (is_down)
        forget(s, c);
}

static void take_request(struct molt_supervise *s, struct molt_supervise_request *request)
{
    if (request->kind == MOLT_SUPERVISE_LOOK) {
        reply(s, request, 0, 0);
        return;
    }
    if (request->kind == MOLT_SUPERVISE_ADD) {
        add_child(s, request);
        return;
    }
    /* A dynamic child has no id, only a pid, and is never down. */
    if (is_simple(s) && (request->kind != MOLT_SUPERVISE_TERMINATE || !request->pid)) {
        reply(s, request, MOLT_EINVAL, 0);
        return;
    }
    struct molt_supervised *c =
        is_simple(s) ? find_pid(s, request->pid) : find_visible(s, request->id);
    if (!c) {
        reply(s, request, MOLT_ENOENT, 0);
    } else if (request->kind == MOLT_SUPERVISE_TERMINATE) {
        s->request = request;
        begin(s, OP_TERMINATE, c, true);
    } else if (request->kind == MOLT_SUPERVISE_RESTART) {
        restart_down(s, request, c);
    } else {
        delete_down(s, request, c);
    }
}

/* ---- a new specification ------------------------------------------------ */

/* The latest restarts go on to count. */
static void move_restarts(struct molt_supervise *s, struct molt_supervise_spec *next)
{
    const struct molt_supervise_spec *now = s->spec;
    uint32_t n = s->n_kept < next->intensity ? s->n_kept : next->intensity;
    for (uint32_t i = 0; i < n; i++)
        next->restarts_ms[i] = now->restarts_ms[(s->n_restarts - n + i) % now->intensity];
    s->n_restarts = n;
    s->n_kept = n;
}

/* @next stands for @old from now on: its process, and what is due to it. */
static void replace_child(struct molt_supervise *s, struct molt_supervised *old,
                          struct molt_supervised *next)
{
    next->state = old->state;
    next->reason = old->reason;
    if (!molt_list_is_empty(&old->note.link))
        molt_list_append(&old->note.link, &next->note.link);
    molt_pid pid = old->pid;
    enum molt_child_state state = old->state;
    remove_child(s, old);
    next->pid = pid;
    next->state = state;
    if (pid)
        tree_insert(s, next);
}

static void change_children(struct molt_supervise *s, struct molt_supervise_spec *spec)
{
    for (struct molt_list *at = s->children.next; at != &s->children; at = at->next)
        child_of(at)->is_gone = child_of(at)->is_static && holds(s, MOLT_RULE_STOP_REMOVED);
    struct molt_list order;
    molt_list_init(&order);
    molt_list_each (link, tmp, &spec->children) {
        struct molt_supervised *c = child_of(link);
        molt_list_unlink(link);
        adopt(c, true);
        struct molt_supervised *old = find_id(s, c->id);
        c->is_new = !old;
        if (old)
            replace_child(s, old, c);
        molt_list_append(&order, &c->link);
    }
    /* Behind them what requests added, and what goes. */
    molt_list_splice(&order, &s->children);
    molt_list_splice(&s->children, &order);
}

static void change_spec(struct molt_supervise *s, struct molt_supervise_spec *spec)
{
    if ((spec->strategy == MOLT_STRATEGY_SIMPLE) != is_simple(s)) {
        release_spec(s, spec); /* whoever fed it had not checked the change */
        return;
    }
    move_restarts(s, spec);
    if (!is_simple(s))
        change_children(s, spec);
    release_spec(s, s->spec);
    s->spec = spec;
    if (!is_simple(s))
        begin(s, OP_CHANGE, NULL, false);
}

/* ---- the inbox ---------------------------------------------------------- */

static struct molt_note *pop(struct molt_supervise *s)
{
    if (molt_list_is_empty(&s->inbox))
        return NULL;
    struct molt_list *link = s->inbox.next;
    molt_list_unlink(link);
    return molt_container_of(link, struct molt_note, link);
}

static bool take_note(struct molt_supervise *s, uint64_t now_ms)
{
    struct molt_note *note = pop(s);
    if (!note)
        return false;
    struct molt_supervised *c;
    switch (note->kind) {
    case MOLT_NOTE_CHILD:
        c = molt_container_of(note, struct molt_supervised, note);
        if (c->state == MOLT_CHILD_RETRYING)
            restart(s, c, true, now_ms);
        else
            child_ended(s, c, now_ms);
        break;
    case MOLT_NOTE_REQUEST:
        take_request(s, molt_container_of(note, struct molt_supervise_request, note));
        break;
    case MOLT_NOTE_SPEC:
        change_spec(s, molt_container_of(note, struct molt_supervise_spec, note));
        break;
    }
    return true;
}

/* Nothing but the end counts any more. */
static bool dismiss_note(struct molt_supervise *s, int rc)
{
    if (!holds(s, MOLT_RULE_ANSWER_AT_END))
        return false;
    struct molt_note *note = pop(s);
    if (!note)
        return false;
    if (note->kind == MOLT_NOTE_REQUEST) {
        struct molt_supervise_request *request =
            molt_container_of(note, struct molt_supervise_request, note);
        if (request->kind == MOLT_SUPERVISE_ADD)
            refuse_add(s, request, rc, 0);
        else
            reply(s, request, rc, 0);
    } else if (note->kind == MOLT_NOTE_SPEC) {
        release_spec(s, molt_container_of(note, struct molt_supervise_spec, note));
    }
    return true;
}

/* ---- drawing actions ---------------------------------------------------- */

static bool hand_back(struct molt_supervise *s)
{
    if (molt_list_is_empty(&s->released))
        return false;
    struct molt_list *link = s->released.next;
    molt_list_unlink(link);
    emit(s, MOLT_SUPERVISE_RELEASE)->child = child_of(link);
    return true;
}

static void begin_dying(struct molt_supervise *s)
{
    disarm(s);
    finish(s, MOLT_EKILLED, 0);
    s->end_reason = MOLT_EKILLED;
    s->op = OP_DYING;
    s->at = s->children.prev;
}

static bool kill_and_go(struct molt_supervise *s)
{
    if (s->at == &s->children) {
        finish_end(s);
        return true;
    }
    struct molt_supervised *c = child_of(s->at);
    if (c->state == MOLT_CHILD_SPAWNING)
        return false;
    s->at = s->at->prev;
    if (c->state == MOLT_CHILD_STARTING || c->state == MOLT_CHILD_UP ||
        c->state == MOLT_CHILD_ASKED)
        emit_for(s, MOLT_SUPERVISE_KILL, c);
    return true;
}

static bool go_on(struct molt_supervise *s)
{
    switch (s->stage) {
    case STAGE_START:
        return start_step(s);
    case STAGE_ASK_ALL:
        return ask_next(s);
    case STAGE_WAIT_ALL:
        return wait_for_all(s);
    case STAGE_KILL_ALL:
        return kill_next(s);
    case STAGE_REPORT_ALL:
        return report_next(s);
    default:
        return stop_step(s);
    }
}

/* One step; false if there is none before the next event. */
static bool advance(struct molt_supervise *s, uint64_t now_ms)
{
    if (hand_back(s))
        return true;
    if (s->is_killed && s->op < OP_DYING) {
        begin_dying(s);
        return true;
    }
    if (s->is_stopping && s->op < OP_END) {
        begin_end(s, s->end_reason);
        return true;
    }
    if (s->op == OP_DYING || s->op == OP_DEAD) {
        if (dismiss_note(s, s->is_killed ? MOLT_EKILLED : MOLT_ESHUTDOWN))
            return true;
        return s->op == OP_DYING && kill_and_go(s);
    }
    if (s->op == OP_END && !holds(s, MOLT_RULE_NO_RESTART_IN_END) && take_note(s, now_ms))
        return true;
    if (s->op == OP_END && dismiss_note(s, MOLT_ESHUTDOWN))
        return true;
    return s->op == OP_NONE ? take_note(s, now_ms) : go_on(s);
}

bool molt_supervise_next(struct molt_supervise *s, uint64_t now_ms,
                         struct molt_supervise_action *ret)
{
    while (s->out_at == s->out_len) {
        s->out_at = s->out_len = 0;
        if (!advance(s, now_ms))
            return false;
    }
    *ret = s->out[s->out_at++];
    return true;
}

/* ---- events ------------------------------------------------------------- */

static int check_child(const struct molt_supervise_spec *spec, const struct molt_supervised *c,
                       struct molt_error *err)
{
    bool is_simple_spec = spec->strategy == MOLT_STRATEGY_SIMPLE;
    if (!c->id[0] && !is_simple_spec)
        return molt_error_set(err, MOLT_EINVAL, "a child has no id");
    for (struct molt_list *at = c->link.next; at != &spec->children; at = at->next)
        if (strcmp(child_of(at)->id, c->id) == 0)
            return molt_error_set(err, MOLT_EINVAL, "two children have the id '%s'", c->id);
    if (c->policy.is_significant && spec->auto_shutdown == MOLT_AUTO_NEVER)
        return molt_error_set(err, MOLT_EINVAL,
                              "child '%s' is significant in a supervisor without auto-shutdown",
                              c->id);
    if (c->policy.is_significant && c->policy.restart == MOLT_PERMANENT)
        return molt_error_set(err, MOLT_EINVAL,
                              "child '%s' is significant and permanent: make it "
                              "transient or temporary",
                              c->id);
    if (!is_policy_sound(&c->policy, spec->auto_shutdown))
        return molt_error_set(err, MOLT_EINVAL, "child '%s' has an unknown restart or shutdown",
                              c->id);
    return 0;
}

int molt_supervise_check(const struct molt_supervise_spec *spec, struct molt_error *err)
{
    if ((unsigned)spec->strategy > MOLT_STRATEGY_SIMPLE ||
        (unsigned)spec->auto_shutdown > MOLT_AUTO_ALL)
        return molt_error_set(err, MOLT_EINVAL, "unknown strategy or auto-shutdown");
    if (spec->period_ms == 0 || (spec->intensity && !spec->restarts_ms))
        return molt_error_set(err, MOLT_EINVAL, "the restart intensity has no period or no room");
    struct molt_list *first = spec->children.next;
    if (spec->strategy == MOLT_STRATEGY_SIMPLE &&
        (first == &spec->children || first->next != &spec->children))
        return molt_error_set(err, MOLT_EINVAL,
                              "simple_one_for_one takes exactly one child, the template");
    for (struct molt_list *at = first; at != &spec->children; at = at->next) {
        int rc = check_child(spec, child_of(at), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int molt_supervise_check_change(const struct molt_supervise_spec *now,
                                const struct molt_supervise_spec *next, struct molt_error *err)
{
    if ((now->strategy == MOLT_STRATEGY_SIMPLE) == (next->strategy == MOLT_STRATEGY_SIMPLE))
        return 0;
    return molt_error_set(err, MOLT_EREFUSED,
                          "a supervisor that runs can't change between simple_one_for_one and "
                          "another strategy: give the new one another name");
}

void molt_supervise_init(struct molt_supervise *s, struct molt_supervise_spec *spec)
{
    memset(s, 0, sizeof(*s));
    molt_list_init(&s->children);
    molt_list_init(&s->inbox);
    molt_list_init(&s->released);
    s->spec = spec;
    if (!is_simple(s))
        molt_list_splice(&s->children, &spec->children);
    for (struct molt_list *at = s->children.next; at != &s->children; at = at->next)
        adopt(child_of(at), true);
    begin(s, OP_INIT, NULL, false);
    start_range(s);
}

void molt_supervise_spawned(struct molt_supervise *s, struct molt_supervised *child, molt_pid pid)
{
    if (child->state != MOLT_CHILD_SPAWNING)
        return;
    child->pid = pid;
    child->state = MOLT_CHILD_STARTING;
    tree_insert(s, child);
}

void molt_supervise_started(struct molt_supervise *s, molt_pid pid)
{
    struct molt_supervised *c = find_pid(s, pid);
    if (c && c->state == MOLT_CHILD_STARTING)
        c->state = MOLT_CHILD_UP;
}

void molt_supervise_start_failed(struct molt_supervise *s, struct molt_supervised *child,
                                 int reason)
{
    (void)s;
    if (child->state != MOLT_CHILD_SPAWNING)
        return;
    child->state = MOLT_CHILD_START_FAILED;
    child->reason = reason;
}

void molt_supervise_exited(struct molt_supervise *s, molt_pid pid, int reason)
{
    struct molt_supervised *c = find_pid(s, pid);
    if (!c && !holds(s, MOLT_RULE_UNKNOWN_PID) && !molt_list_is_empty(&s->children))
        c = child_of(s->children.next);
    if (!c)
        return;
    if (c->state == MOLT_CHILD_STARTING) {
        c->state = MOLT_CHILD_START_FAILED;
    } else if (c->state == MOLT_CHILD_UP) {
        c->state = MOLT_CHILD_EXITED;
        molt_list_append(&s->inbox, &c->note.link);
    } else if (is_being_stopped(c)) {
        c->state = MOLT_CHILD_STOPPED;
        s->n_stopping--;
    } else {
        return; /* it has exited once */
    }
    c->reason = reason;
}

void molt_supervise_timeout(struct molt_supervise *s, uint64_t timer)
{
    if (s->is_armed && (timer == s->timer || !holds(s, MOLT_RULE_STALE_TIMER)))
        s->is_due = true;
}

void molt_supervise_stop(struct molt_supervise *s, int reason)
{
    if (s->is_stopping || s->op >= OP_END)
        return;
    s->is_stopping = true;
    s->end_reason = reason;
}

void molt_supervise_kill(struct molt_supervise *s)
{
    s->is_killed = true;
}

void molt_supervise_ask(struct molt_supervise *s, struct molt_supervise_request *request)
{
    request->note.kind = MOLT_NOTE_REQUEST;
    molt_list_append(&s->inbox, &request->note.link);
}

void molt_supervise_change(struct molt_supervise *s, struct molt_supervise_spec *spec)
{
    spec->note.kind = MOLT_NOTE_SPEC;
    molt_list_append(&s->inbox, &spec->note.link);
}

bool molt_supervise_is_ending(const struct molt_supervise *s)
{
    return s->is_stopping || s->is_killed || s->op >= OP_END;
}

/* ---- looking ------------------------------------------------------------ */

struct molt_supervised *molt_supervise_each(const struct molt_supervise *s,
                                            struct molt_supervised *previous)
{
    struct molt_list *at = previous ? previous->link.next : s->children.next;
    while (at != &s->children && child_of(at)->state == MOLT_CHILD_FORGOTTEN)
        at = at->next;
    return at == &s->children ? NULL : child_of(at);
}

void molt_supervise_count(const struct molt_supervise *s, struct molt_supervise_counts *ret)
{
    *ret = (struct molt_supervise_counts){.specs = 0};
    for (struct molt_supervised *c = NULL; (c = molt_supervise_each(s, c));) {
        ret->specs++;
        ret->active += c->pid != 0;
        if (policy_of(s, c)->is_supervisor)
            ret->supervisors++;
        else
            ret->workers++;
    }
    if (is_simple(s))
        ret->specs = 1;
}

struct molt_supervised *molt_supervise_take(struct molt_supervise *s)
{
    if (molt_list_is_empty(&s->children))
        return NULL;
    struct molt_list *link = s->children.next;
    molt_list_unlink(link);
    return child_of(link);
}
