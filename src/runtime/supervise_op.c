/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Operations of a supervisor: what they act on, and how children are stopped. */
#include "runtime/supervise_op.h"

#include <assert.h>

/* ---- actions ------------------------------------------------------------ */

struct molt_supervise_action *molt_supervise_emit(struct molt_supervise *s,
                                                  enum molt_supervise_action_kind kind)
{
    assert(s->out_len < sizeof(s->out) / sizeof(*s->out));
    struct molt_supervise_action *action = &s->out[s->out_len++];
    *action = (struct molt_supervise_action){.kind = kind};
    return action;
}

void molt_supervise_emit_for(struct molt_supervise *s, enum molt_supervise_action_kind kind,
                             struct molt_supervised *c)
{
    struct molt_supervise_action *action = molt_supervise_emit(s, kind);
    action->child = c;
    action->pid = c->pid;
}

void molt_supervise_emit_report(struct molt_supervise *s, enum molt_supervise_report what,
                                struct molt_supervised *c, int reason)
{
    struct molt_supervise_action *action = molt_supervise_emit(s, MOLT_SUPERVISE_REPORT);
    action->report = what;
    action->child = c;
    action->reason = reason;
}

void molt_supervise_emit_reply(struct molt_supervise *s, struct molt_supervise_request *request,
                               int rc, molt_pid pid)
{
    struct molt_supervise_action *action = molt_supervise_emit(s, MOLT_SUPERVISE_REPLY);
    action->request = request;
    action->reason = rc;
    action->pid = pid;
}

/* ---- timer -------------------------------------------------------------- */

static void arm(struct molt_supervise *s, int ms)
{
    struct molt_supervise_action *action = molt_supervise_emit(s, MOLT_SUPERVISE_ARM);
    action->timer = ++s->timer;
    action->ms = ms;
    s->is_armed = true;
    s->is_due = false;
}

void molt_supervise_disarm(struct molt_supervise *s)
{
    if (s->is_armed && !s->is_due)
        molt_supervise_emit(s, MOLT_SUPERVISE_DISARM)->timer = s->timer;
    s->is_armed = s->is_due = false;
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

void molt_supervise_op_start(struct molt_supervise *s)
{
    s->stage = STAGE_START;
    s->at = s->first ? &s->first->link : s->children.next;
}

void molt_supervise_op_begin(struct molt_supervise *s, enum op op, struct molt_supervised *first,
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
void molt_supervise_op_finish(struct molt_supervise *s, int rc, molt_pid pid)
{
    if (s->request)
        molt_supervise_emit_reply(s, s->request, rc, pid);
    s->request = NULL;
    s->op = OP_NONE;
}

/* Whatever is being done is given up for the end, but for a child that has been
 * asked already: it keeps the time that it was given. */
void molt_supervise_op_end(struct molt_supervise *s, int reason)
{
    bool is_undo = s->op == OP_INIT;
    struct molt_list *at = s->op != OP_NONE && s->stage == STAGE_STOP ? s->at : &s->children;
    molt_supervise_op_finish(s, MOLT_ESHUTDOWN, 0);
    s->end_reason = reason;
    molt_supervise_op_begin(s, OP_END, NULL, false);
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
        molt_supervise_emit_for(s, MOLT_SUPERVISE_KILL, c);
        return;
    }
    c->state = MOLT_CHILD_ASKED;
    molt_supervise_emit_for(s, MOLT_SUPERVISE_ASK, c);
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
        molt_supervise_emit_report(s, MOLT_REPORT_SHUTDOWN, c, c->reason);
}

static void kill_late(struct molt_supervise *s, struct molt_supervised *c)
{
    c->state = MOLT_CHILD_KILLED;
    if (holds(s, MOLT_RULE_KILL_LATE))
        molt_supervise_emit_for(s, MOLT_SUPERVISE_KILL, c);
}

/* The child at hand is down: go on to the next one. */
static void settle(struct molt_supervise *s, struct molt_supervised *c)
{
    struct molt_list *next = next_to_stop(s, c);
    if (s->op == OP_CHANGE && c->is_gone)
        molt_supervise_remove(s, c);
    else if (s->op == OP_RESTART && c != s->first && policy_of(s, c)->restart == MOLT_TEMPORARY)
        molt_supervise_forget(s, c); /* OTP: stopped with the others, but not started with them */
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
        molt_supervise_disarm(s);
        kill_late(s, c);
        return true;
    case MOLT_CHILD_STOPPED:
        molt_supervise_disarm(s);
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
    molt_supervise_set_down(s, c);
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
        molt_supervise_forget(s, c);
    }
    molt_supervise_op_finish(s, 0, 0);
}

void molt_supervise_finish_end(struct molt_supervise *s)
{
    s->op = OP_DEAD;
    molt_supervise_emit(s, MOLT_SUPERVISE_END)->reason = s->end_reason;
}

static bool stop_in_turn(struct molt_supervise *s)
{
    if (s->at != &s->children) {
        struct molt_supervised *c = child_of(s->at);
        if (s->op != OP_CHANGE || c->is_gone)
            return stop_child(s, c);
        s->at = next_to_stop(s, c);
        return true;
    }
    if (s->op == OP_END)
        molt_supervise_finish_end(s);
    else if (s->op == OP_TERMINATE)
        finish_terminate(s);
    else
        molt_supervise_op_start(s);
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
    molt_supervise_disarm(s);
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
        molt_supervise_finish_end(s);
        return true;
    }
    struct molt_supervised *c = child_of(s->at);
    s->at = s->at->next;
    if (c->state == MOLT_CHILD_STOPPED || c->state == MOLT_CHILD_EXITED)
        report_stopped(s, c);
    molt_supervise_set_down(s, c);
    return true;
}

bool molt_supervise_op_stop(struct molt_supervise *s)
{
    switch (s->stage) {
    case STAGE_ASK_ALL:
        return ask_next(s);
    case STAGE_WAIT_ALL:
        return wait_for_all(s);
    case STAGE_KILL_ALL:
        return kill_next(s);
    case STAGE_REPORT_ALL:
        return report_next(s);
    default:
        return stop_in_turn(s);
    }
}
