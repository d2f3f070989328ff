/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Between the files of supervise: the operation at hand, the actions that it
 * decides on, and the children that it is about. Nobody else includes this.
 *
 * Threads: as supervise.h.
 */
#ifndef MOLT_RUNTIME_SUPERVISE_OP_H
#define MOLT_RUNTIME_SUPERVISE_OP_H

#include "runtime/supervise.h"

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

static inline bool holds(const struct molt_supervise *s, enum molt_supervise_rule rule)
{
    return s->without != rule;
}

static inline struct molt_supervised *child_of(struct molt_list *link)
{
    return molt_container_of(link, struct molt_supervised, link);
}

static inline bool is_simple(const struct molt_supervise *s)
{
    return s->spec->strategy == MOLT_SIMPLE_ONE_FOR_ONE;
}

/* Dynamic children live by their template. */
static inline const struct molt_child_policy *policy_of(const struct molt_supervise *s,
                                                        const struct molt_supervised *c)
{
    return is_simple(s) ? &child_of(s->spec->children.next)->policy : &c->policy;
}

static inline bool is_normal(int reason)
{
    return reason == 0 || reason == MOLT_ESHUTDOWN;
}

static inline bool is_being_stopped(const struct molt_supervised *c)
{
    return c->state == MOLT_CHILD_ASKED || c->state == MOLT_CHILD_KILLED;
}

/* ---- children (supervise_children.c) ------------------------------------- */

/* NULL: nobody's. */
struct molt_supervised *molt_supervise_find_pid(struct molt_supervise *s, molt_pid pid);
void molt_supervise_insert_pid(struct molt_supervise *s, struct molt_supervised *c);

/* Also one that is forgotten. */
struct molt_supervised *molt_supervise_find_id(struct molt_supervise *s, const char *id);

/* @c as the caller handed it over: down, and in no list but its own. */
void molt_supervise_adopt(struct molt_supervised *c, bool is_static);

/* It has no process and nothing waits for it; then: it goes back to the caller,
 * or, in _forget(), stays as a trace if it is of the specification. */
void molt_supervise_set_down(struct molt_supervise *s, struct molt_supervised *c);
void molt_supervise_remove(struct molt_supervise *s, struct molt_supervised *c);
void molt_supervise_forget(struct molt_supervise *s, struct molt_supervised *c);

bool molt_supervise_is_policy_sound(const struct molt_child_policy *policy,
                                    enum molt_auto_shutdown auto_shutdown);

/* ---- actions (supervise_op.c) --------------------------------------------- */

struct molt_supervise_action *molt_supervise_emit(struct molt_supervise *s,
                                                  enum molt_supervise_action_kind kind);
void molt_supervise_emit_for(struct molt_supervise *s, enum molt_supervise_action_kind kind,
                             struct molt_supervised *c);
void molt_supervise_emit_report(struct molt_supervise *s, enum molt_supervise_report what,
                                struct molt_supervised *c, int reason);
void molt_supervise_emit_reply(struct molt_supervise *s, struct molt_supervise_request *request,
                               int rc, molt_pid pid);
void molt_supervise_disarm(struct molt_supervise *s);

/* ---- operations (supervise_op.c) ------------------------------------------ */

/* Begin with stopping the range from @first (NULL: all children); _start() goes
 * over to starting it. */
void molt_supervise_op_begin(struct molt_supervise *s, enum op op, struct molt_supervised *first,
                             bool is_one_only);
void molt_supervise_op_start(struct molt_supervise *s);

/* The operation is over; who asked for it gets @rc and @pid. */
void molt_supervise_op_finish(struct molt_supervise *s, int rc, molt_pid pid);

/* Give up what is being done, and end with @reason. _finish_end(): no child lives. */
void molt_supervise_op_end(struct molt_supervise *s, int reason);
void molt_supervise_finish_end(struct molt_supervise *s);

/* A step of stopping; false: wait for an event. */
bool molt_supervise_op_stop(struct molt_supervise *s);

#endif
