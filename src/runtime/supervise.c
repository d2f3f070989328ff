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

#include <string.h>

#include "runtime/supervise_op.h"

/* ---- starting ----------------------------------------------------------- */

static void start_next(struct molt_supervise *s, struct molt_supervised *c)
{
    s->at = s->is_one_only ? &s->children : c->link.next;
}

static void finish_start(struct molt_supervise *s)
{
    if (s->op == OP_INIT)
        molt_supervise_emit(s, MOLT_SUPERVISE_READY);
    molt_supervise_op_finish(s, 0, s->request ? s->first->pid : 0);
}

/* It was not wanted after all: OTP's `ignore`. */
static void start_ignored(struct molt_supervise *s, struct molt_supervised *c)
{
    molt_supervise_set_down(s, c);
    start_next(s, c);
    if (!is_simple(s) && c->policy.restart != MOLT_TEMPORARY)
        return;
    if (s->request)
        molt_supervise_op_finish(s, 0, 0); /* while it is there */
    else if (s->is_one_only)
        s->op = OP_NONE;
    molt_supervise_forget(s, c);
}

static void start_failed(struct molt_supervise *s, struct molt_supervised *c)
{
    int reason = c->reason;
    molt_supervise_set_down(s, c);
    molt_supervise_emit_report(s, MOLT_REPORT_START_FAILED, c, reason);
    switch (s->op) {
    case OP_INIT:
        molt_supervise_op_end(s, reason);
        break;
    case OP_RESTART: /* what waits in the inbox comes first, as in OTP */
        c->state = MOLT_CHILD_RETRYING;
        molt_list_append(&s->inbox, &c->note.link);
        molt_supervise_op_finish(s, 0, 0);
        break;
    case OP_ADD:
        molt_supervise_op_finish(s, reason, 0);
        molt_supervise_remove(s, c);
        break;
    case OP_REVIVE:
        molt_supervise_op_finish(s, reason, 0);
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
        molt_supervise_emit_for(s, MOLT_SUPERVISE_START, c);
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
    case MOLT_ONE_FOR_ALL:
        if (holds(s, MOLT_RULE_ALL))
            molt_supervise_op_begin(s, OP_RESTART, NULL, false);
        else
            molt_supervise_op_begin(s, OP_RESTART, c, true);
        break;
    case MOLT_REST_FOR_ONE:
        molt_supervise_op_begin(s, OP_RESTART, holds(s, MOLT_RULE_REST_ONLY) ? c : NULL,
                                !holds(s, MOLT_RULE_REST));
        break;
    default:
        molt_supervise_op_begin(s, OP_RESTART, c, true);
        break;
    }
}

static void restart(struct molt_supervise *s, struct molt_supervised *c, bool is_retry,
                    uint64_t now_ms)
{
    int reason = c->reason;
    molt_supervise_set_down(s, c);
    bool is_free = is_retry && !holds(s, MOLT_RULE_RETRY_COUNTS);
    if (!is_free && is_too_often(s, now_ms)) {
        molt_supervise_emit_report(s, MOLT_REPORT_INTENSITY, c, reason);
        molt_supervise_op_end(s, MOLT_ELIMIT);
        return;
    }
    molt_supervise_emit_report(s, MOLT_REPORT_RESTART, c, reason);
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
        molt_supervise_emit_report(s, MOLT_REPORT_ENDED, c, c->reason);
    if (is_again) {
        restart(s, c, false, now_ms);
        return;
    }
    molt_supervise_set_down(s, c);
    if (is_simple(s) || policy.restart == MOLT_TEMPORARY)
        molt_supervise_forget(s, c);
    if (policy.is_significant && is_auto_shutdown(s))
        molt_supervise_op_end(s, MOLT_ESHUTDOWN);
}

/* ---- requests ----------------------------------------------------------- */

static struct molt_supervised *find_visible(struct molt_supervise *s, const char *id)
{
    struct molt_supervised *c = molt_supervise_find_id(s, id);
    return c && c->state != MOLT_CHILD_FORGOTTEN ? c : NULL;
}

static void release_spec(struct molt_supervise *s, struct molt_supervise_spec *spec)
{
    molt_supervise_emit(s, MOLT_SUPERVISE_RELEASE_SPEC)->spec = spec;
}

static void refuse_add(struct molt_supervise *s, struct molt_supervise_request *request, int rc,
                       molt_pid pid)
{
    molt_supervise_emit_reply(s, request, rc, pid);
    molt_list_append(&s->released, &request->child->link);
}

static void add_child(struct molt_supervise *s, struct molt_supervise_request *request)
{
    struct molt_supervised *c = request->child;
    molt_supervise_adopt(c, false);
    if (!is_simple(s)) {
        struct molt_supervised *other = molt_supervise_find_id(s, c->id);
        if (other && other->state != MOLT_CHILD_FORGOTTEN) {
            refuse_add(s, request, MOLT_EEXIST, other->pid);
            return;
        }
        if (!c->id[0] || !molt_supervise_is_policy_sound(&c->policy, s->spec->auto_shutdown)) {
            refuse_add(s, request, MOLT_EINVAL, 0);
            return;
        }
        if (other)
            molt_supervise_remove(s, other);
    }
    molt_list_append(&s->children, &c->link);
    s->request = request;
    molt_supervise_op_begin(s, OP_ADD, c, true);
    molt_supervise_op_start(s);
}

static void restart_down(struct molt_supervise *s, struct molt_supervise_request *request,
                         struct molt_supervised *c)
{
    if (c->state == MOLT_CHILD_RETRYING) {
        molt_supervise_emit_reply(s, request, MOLT_EBUSY, 0);
    } else if (c->state != MOLT_CHILD_DOWN) {
        molt_supervise_emit_reply(s, request, MOLT_EEXIST, c->pid);
    } else {
        s->request = request;
        molt_supervise_op_begin(s, OP_REVIVE, c, true);
        molt_supervise_op_start(s);
    }
}

static void delete_down(struct molt_supervise *s, struct molt_supervise_request *request,
                        struct molt_supervised *c)
{
    bool is_down = c->state == MOLT_CHILD_DOWN;
    molt_supervise_emit_reply(s, request, is_down ? 0 : MOLT_EBUSY, c->pid);
    if (is_down)
        molt_supervise_forget(s, c);
}

static void take_request(struct molt_supervise *s, struct molt_supervise_request *request)
{
    if (request->kind == MOLT_SUPERVISE_LOOK) {
        molt_supervise_emit_reply(s, request, 0, 0);
        return;
    }
    if (request->kind == MOLT_SUPERVISE_ADD) {
        add_child(s, request);
        return;
    }
    /* A dynamic child has no id, only a pid, and is never down. */
    if (is_simple(s) && (request->kind != MOLT_SUPERVISE_TERMINATE || !request->pid)) {
        molt_supervise_emit_reply(s, request, MOLT_EINVAL, 0);
        return;
    }
    struct molt_supervised *c =
        is_simple(s) ? molt_supervise_find_pid(s, request->pid) : find_visible(s, request->id);
    if (!c) {
        molt_supervise_emit_reply(s, request, MOLT_ENOENT, 0);
    } else if (request->kind == MOLT_SUPERVISE_TERMINATE) {
        s->request = request;
        molt_supervise_op_begin(s, OP_TERMINATE, c, true);
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
    molt_supervise_remove(s, old);
    next->pid = pid;
    next->state = state;
    if (pid)
        molt_supervise_insert_pid(s, next);
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
        molt_supervise_adopt(c, true);
        struct molt_supervised *old = molt_supervise_find_id(s, c->id);
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
    if ((spec->strategy == MOLT_SIMPLE_ONE_FOR_ONE) != is_simple(s)) {
        release_spec(s, spec); /* whoever fed it had not checked the change */
        return;
    }
    move_restarts(s, spec);
    if (!is_simple(s))
        change_children(s, spec);
    release_spec(s, s->spec);
    s->spec = spec;
    if (!is_simple(s))
        molt_supervise_op_begin(s, OP_CHANGE, NULL, false);
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
            molt_supervise_emit_reply(s, request, rc, 0);
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
    molt_supervise_emit(s, MOLT_SUPERVISE_RELEASE)->child = child_of(link);
    return true;
}

static void begin_dying(struct molt_supervise *s)
{
    molt_supervise_disarm(s);
    molt_supervise_op_finish(s, MOLT_EKILLED, 0);
    s->end_reason = MOLT_EKILLED;
    s->op = OP_DYING;
    s->at = s->children.prev;
}

static bool kill_and_go(struct molt_supervise *s)
{
    if (s->at == &s->children) {
        molt_supervise_finish_end(s);
        return true;
    }
    struct molt_supervised *c = child_of(s->at);
    if (c->state == MOLT_CHILD_SPAWNING)
        return false;
    s->at = s->at->prev;
    if (c->state == MOLT_CHILD_STARTING || c->state == MOLT_CHILD_UP ||
        c->state == MOLT_CHILD_ASKED)
        molt_supervise_emit_for(s, MOLT_SUPERVISE_KILL, c);
    return true;
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
        molt_supervise_op_end(s, s->end_reason);
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
    if (s->op == OP_NONE)
        return take_note(s, now_ms);
    return s->stage == STAGE_START ? start_step(s) : molt_supervise_op_stop(s);
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
        molt_supervise_adopt(child_of(at), true);
    molt_supervise_op_begin(s, OP_INIT, NULL, false);
    molt_supervise_op_start(s);
}

void molt_supervise_spawned(struct molt_supervise *s, struct molt_supervised *child, molt_pid pid)
{
    if (child->state != MOLT_CHILD_SPAWNING)
        return;
    child->pid = pid;
    child->state = MOLT_CHILD_STARTING;
    molt_supervise_insert_pid(s, child);
}

void molt_supervise_started(struct molt_supervise *s, molt_pid pid)
{
    struct molt_supervised *c = molt_supervise_find_pid(s, pid);
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
    struct molt_supervised *c = molt_supervise_find_pid(s, pid);
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
