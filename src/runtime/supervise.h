/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a supervisor decides: which child starts, stops, starts again, in which
 * order, and when the supervisor itself has to end. Erlang/OTP's supervisor is
 * the model; docs/design/behaviours.md lists the rules and the deviations.
 *
 * Pure: no thread, no clock, no memory. Whoever runs a supervisor feeds events
 * (the functions that return nothing) and then draws actions with
 * molt_supervise_next() until it answers false. Events may also be fed between
 * two draws. Nodes (children, requests, specifications) are the caller's memory,
 * allocated before the event, so that no decision can fail half-way.
 *
 * Invariants: a child has at most one live process; one child at a time is
 * being started or stopped (dynamic children stop all at once); each request is
 * answered once; when MOLT_SUPERVISE_END is drawn no child lives.
 *
 * Threads: one at a time per supervisor.
 */
#ifndef MOLT_RUNTIME_SUPERVISE_H
#define MOLT_RUNTIME_SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/molt.h>

#include "base/list.h"

#define MOLT_SUPERVISE_ID_MAX 64
struct molt_child_policy {
    enum molt_restart restart;
    int shutdown_ms; /* from asking to killing, >= 0, or MOLT_SHUTDOWN_... */
    bool is_supervisor;
    bool is_significant;
};

enum molt_child_state {
    MOLT_CHILD_DOWN,
    MOLT_CHILD_FORGOTTEN,    /* of the specification, ended for good; nobody sees it */
    MOLT_CHILD_RETRYING,     /* its start failed, the next attempt is queued */
    MOLT_CHILD_SPAWNING,     /* START was drawn, there is no pid yet */
    MOLT_CHILD_STARTING,     /* its init runs */
    MOLT_CHILD_START_FAILED, /* not yet dealt with */
    MOLT_CHILD_UP,
    MOLT_CHILD_EXITED, /* by itself, not yet dealt with */
    MOLT_CHILD_ASKED,  /* to end */
    MOLT_CHILD_KILLED, /* its exit has not come yet */
    MOLT_CHILD_STOPPED /* asked or killed, and its exit has come */
};

enum molt_note_kind { MOLT_NOTE_CHILD, MOLT_NOTE_REQUEST, MOLT_NOTE_SPEC };

/* Something that waits for its turn. */
struct molt_note {
    struct molt_list link;
    enum molt_note_kind kind;
};

/* A child. The caller sets id and policy, and keeps what it needs to start one
 * in a struct around it; the rest belongs to the supervisor. */
struct molt_supervised {
    char id[MOLT_SUPERVISE_ID_MAX]; /* unique in its supervisor; "" for dynamic children */
    struct molt_child_policy policy;

    struct molt_list link; /* in the order of start */
    struct molt_note note;
    struct molt_supervised *branch[2]; /* of the tree by pid */
    enum molt_child_state state;
    molt_pid pid;   /* 0 while there is no process */
    int reason;     /* of its end */
    bool is_static; /* comes from the specification */
    bool is_new;    /* in the specification since the upgrade at hand */
    bool is_gone;   /* no longer in it */
};

/* A specification. @children holds struct molt_supervised by their `link`, in
 * the order of start; for MOLT_SIMPLE_ONE_FOR_ONE exactly one, the template. */
struct molt_supervise_spec {
    enum molt_strategy strategy;
    enum molt_auto_shutdown auto_shutdown;
    uint32_t intensity; /* restarts that are allowed within period_ms */
    uint32_t period_ms;
    uint64_t *restarts_ms; /* room for @intensity times; may be NULL if that is 0 */
    struct molt_list children;

    struct molt_note note;
};

enum molt_supervise_request_kind {
    MOLT_SUPERVISE_ADD,       /* start @child, and keep it; of a simple one: a dynamic child */
    MOLT_SUPERVISE_TERMINATE, /* stop @id, or @pid of a simple one; not restarted by itself */
    MOLT_SUPERVISE_RESTART,   /* start @id, which is down */
    MOLT_SUPERVISE_DELETE,    /* forget @id, which is down */
    MOLT_SUPERVISE_LOOK,      /* which and count: look when REPLY is drawn */
};

/* A request; belongs to the supervisor until its REPLY is drawn. */
struct molt_supervise_request {
    enum molt_supervise_request_kind kind;
    char id[MOLT_SUPERVISE_ID_MAX];
    molt_pid pid;
    struct molt_supervised *child; /* consumed: comes back with RELEASE if it isn't kept */

    struct molt_note note;
};

enum molt_supervise_action_kind {
    MOLT_SUPERVISE_START,        /* spawn @child, then feed _spawned() or _start_failed() */
    MOLT_SUPERVISE_ASK,          /* ask @pid to end with MOLT_ESHUTDOWN */
    MOLT_SUPERVISE_KILL,         /* end @pid without asking */
    MOLT_SUPERVISE_ARM,          /* feed _timeout(@timer) after @ms; replaces an earlier timer */
    MOLT_SUPERVISE_DISARM,       /* the timer is no longer needed */
    MOLT_SUPERVISE_REPORT,       /* @report about @child (may be NULL) with @reason */
    MOLT_SUPERVISE_REPLY,        /* to @request: @reason 0 or a code, and @pid */
    MOLT_SUPERVISE_RELEASE,      /* @child is the caller's again */
    MOLT_SUPERVISE_RELEASE_SPEC, /* and so is @spec, with what is in its list of children */
    MOLT_SUPERVISE_READY,        /* all children of the specification have started */
    MOLT_SUPERVISE_END, /* the supervisor ends with @reason; nothing but replies and releases follow
                         */
};

enum molt_supervise_report {
    MOLT_REPORT_ENDED,        /* by itself, and not as it should */
    MOLT_REPORT_START_FAILED, /* with @reason */
    MOLT_REPORT_RESTART,      /* is about to be tried; counts towards the intensity */
    MOLT_REPORT_SHUTDOWN,     /* did not end as it was asked to */
    MOLT_REPORT_INTENSITY,    /* one restart too many */
};

struct molt_supervise_action {
    enum molt_supervise_action_kind kind;
    enum molt_supervise_report report;
    struct molt_supervised *child;
    struct molt_supervise_request *request;
    struct molt_supervise_spec *spec;
    molt_pid pid;
    uint64_t timer;
    int ms;
    int reason;
};

/* Rules that a test can leave out, to see that its checks notice. */
enum molt_supervise_rule {
    MOLT_RULE_NONE,
    MOLT_RULE_STOP_REVERSE,   /* stop last to first */
    MOLT_RULE_ONE_AT_A_TIME,  /* wait for one to stop before the next is asked */
    MOLT_RULE_KILL_LATE,      /* kill what does not end in time */
    MOLT_RULE_BRUTAL,         /* kill without asking where it says so */
    MOLT_RULE_FOREVER,        /* no timer where it says so */
    MOLT_RULE_START_IN_ORDER, /* wait for one to start before the next */
    MOLT_RULE_PERMANENT,      /* restart it after a normal end, too */
    MOLT_RULE_TRANSIENT,      /* don't restart it after a normal end */
    MOLT_RULE_TEMPORARY,      /* never restart it */
    MOLT_RULE_INTENSITY,      /* end when there are too many restarts */
    MOLT_RULE_PERIOD,         /* forget those that are older than the period */
    MOLT_RULE_RETRY_COUNTS,   /* a failed start counts as another restart */
    MOLT_RULE_ALL,            /* one_for_all stops all others first */
    MOLT_RULE_REST,           /* rest_for_one stops those behind first */
    MOLT_RULE_REST_ONLY,      /* and nobody in front */
    MOLT_RULE_NO_RESTART_IN_END,
    MOLT_RULE_UNDO_START,    /* a failed first start stops what has started */
    MOLT_RULE_ANSWER_AT_END, /* requests that wait are answered before the end */
    MOLT_RULE_STALE_TIMER,   /* a timer that was replaced says nothing */
    MOLT_RULE_UNKNOWN_PID,   /* nobody's exit changes nothing */
    MOLT_RULE_ANY_SIGNIFICANT,
    MOLT_RULE_ALL_SIGNIFICANT,
    MOLT_RULE_STOP_REMOVED,    /* an upgrade stops children that it removes */
    MOLT_RULE_START_ADDED,     /* and starts those that it adds */
    MOLT_RULE_KEEP_TERMINATED, /* who was terminated on request isn't restarted */
    MOLT_RULE_COUNT_
};

struct molt_supervise {
    struct molt_supervise_spec *spec;
    struct molt_list children; /* in the order of start */
    struct molt_list inbox;    /* notes, first come first served */
    struct molt_list released; /* children on their way back to the caller */
    struct molt_supervised *by_pid;
    uint64_t n_restarts;           /* counted since the ring is in use; its end */
    uint32_t n_kept;               /* times in the ring */
    int op, stage;                 /* what is being done, see supervise.c */
    size_t n_stopping;             /* children that are ASKED or KILLED */
    struct molt_list *at;          /* link of the child at hand, or the head: done */
    struct molt_supervised *first; /* subject of the operation; NULL: all children */
    bool is_one_only;
    bool must_finish; /* the child at hand was being stopped when the end began */
    struct molt_supervise_request *request; /* that the operation is for */
    bool is_stopping, is_killed;            /* _stop(), _kill() was fed */
    int end_reason;
    uint64_t timer; /* last armed */
    bool is_armed;
    bool is_due;
    struct molt_supervise_action out[8]; /* decided, not drawn yet */
    unsigned out_at, out_len;
    enum molt_supervise_rule without; /* for tests of the tests */
};

/* Is @spec sound? MOLT_EINVAL naming what isn't: ids missing or twice, unknown
 * values, a significant child that is permanent or in a supervisor without
 * auto-shutdown, not exactly one child as template, period 0. */
int molt_supervise_check(const struct molt_supervise_spec *spec, struct molt_error *err);

/* May a running supervisor of @now become @next? MOLT_EREFUSED if one of them
 * is simple_one_for_one and the other isn't. For the plan of an upgrade. */
int molt_supervise_check_change(const struct molt_supervise_spec *now,
                                const struct molt_supervise_spec *next, struct molt_error *err);

/* Begin: the children of @spec (checked; consumed) are started in order. */
void molt_supervise_init(struct molt_supervise *s, struct molt_supervise_spec *spec);

/* The answers to START: there is a process, it has started (init returned 0),
 * or there is none (@reason < 0; 0: it isn't wanted, which is fine). A process
 * that exits before it has started is a failed start, too. */
void molt_supervise_spawned(struct molt_supervise *s, struct molt_supervised *child, molt_pid pid);
void molt_supervise_started(struct molt_supervise *s, molt_pid pid);
void molt_supervise_start_failed(struct molt_supervise *s, struct molt_supervised *child,
                                 int reason);

/* A process ended. Pids that are no child's are ignored. */
void molt_supervise_exited(struct molt_supervise *s, molt_pid pid, int reason);

/* The timer @timer went off; an old one is ignored. */
void molt_supervise_timeout(struct molt_supervise *s, uint64_t timer);

/* Stop all children and end with @reason; later ones change nothing. */
void molt_supervise_stop(struct molt_supervise *s, int reason);

/* The supervisor itself is killed: its children are killed, too, and it ends
 * with MOLT_EKILLED without waiting for them. */
void molt_supervise_kill(struct molt_supervise *s);

/* A request; answered by one REPLY, after the end with MOLT_ESHUTDOWN. */
void molt_supervise_ask(struct molt_supervise *s, struct molt_supervise_request *request);

/* A new specification (checked, also for the change; consumed). Removed
 * children are stopped last to first, then added ones started in order; policy
 * and strategy hold from now on, how a child is started from its next start. */
void molt_supervise_change(struct molt_supervise *s, struct molt_supervise_spec *spec);

/* The next action, at time @now_ms; false if there is none until the next event. */
bool molt_supervise_next(struct molt_supervise *s, uint64_t now_ms,
                         struct molt_supervise_action *ret);

/* It ends, or has ended: nothing is started any more. */
bool molt_supervise_is_ending(const struct molt_supervise *s);

/* Children in the order of start: NULL for the first; NULL at the end. */
struct molt_supervised *molt_supervise_each(const struct molt_supervise *s,
                                            struct molt_supervised *previous);

struct molt_supervise_counts {
    size_t specs, active, supervisors, workers;
};
void molt_supervise_count(const struct molt_supervise *s, struct molt_supervise_counts *ret);

/* Take the children back after the end, one by one; NULL when there is none
 * left. The specification is @s->spec. */
struct molt_supervised *molt_supervise_take(struct molt_supervise *s);

#endif
