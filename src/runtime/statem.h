/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a state machine does between two handlers: which event is next, what is
 * postponed and replayed, which timeouts hold, when a state is entered. The
 * model is gen_statem; docs/design/behaviours.md lists the rules.
 *
 * Pure: no thread, no clock, no memory. Events are nodes of the caller's. It
 * feeds molt_statem_offer() and _fired(), draws actions with _next(), runs a
 * handler where the action says so, notes what the handler wants with the
 * functions below "inside a handler", and closes it with _done().
 *
 * Invariants: one handler at a time; an event is handled until a handler does
 * not postpone it, and then given back once; a timeout that was cancelled or
 * replaced is never seen.
 *
 * Threads: one at a time per machine.
 */
#ifndef MOLT_RUNTIME_STATEM_H
#define MOLT_RUNTIME_STATEM_H

#include <stdbool.h>
#include <stdint.h>

#include <molt/error.h>

#include "base/list.h"

#define MOLT_STATEM_STATES_MAX 16
#define MOLT_STATEM_TIMEOUTS_MAX 8 /* generic ones, by name */

/* Slots of timeouts: generic ones from 0. */
enum {
    MOLT_STATEM_STATE_TIMEOUT = MOLT_STATEM_TIMEOUTS_MAX,
    MOLT_STATEM_EVENT_TIMEOUT,
    MOLT_STATEM_SLOTS
};

/* A message, or the going off of a timeout (@slot >= 0). */
struct molt_statem_event {
    struct molt_list link;
    int slot; /* -1 for messages */
};

struct molt_statem_timeout {
    struct molt_statem_event event;
    uint64_t ref;   /* of the latest timer */
    bool is_set;    /* will be an event, or is one that waits */
    bool is_armed;  /* there is a timer outside */
    bool is_wanted; /* by a handler, in wanted_ms, not yet done */
    int wanted_ms;
};

struct molt_statem {
    int state;
    bool is_stopped;
    struct molt_list queue;     /* inserted, replayed, and timeouts of no time */
    struct molt_list mail;      /* what came from outside; after the queue */
    struct molt_list postponed; /* in the order in which they were handled */
    struct molt_statem_timeout timeout[MOLT_STATEM_SLOTS];
    uint64_t last_ref;
    /* The handler at hand. */
    bool is_handling, is_entering, is_starting;
    struct molt_statem_event *event; /* NULL: it handles none of the machine's */
    int next_state;
    bool is_postponed, is_repeated;
    struct molt_list inserted;
    /* What is still to be drawn. */
    bool must_enter;
    int old_state;
    unsigned char wanted[MOLT_STATEM_SLOTS]; /* slots, in the order of asking */
    unsigned n_wanted;
    unsigned disarm; /* bits of slots */
};

enum molt_statem_action_kind {
    MOLT_STATEM_ENTER,  /* run the state's enter handler; @old_state is where it came from */
    MOLT_STATEM_HANDLE, /* run the handler of @event in the machine's state */
    MOLT_STATEM_ARM,    /* feed _fired(@ref) after @ms; replaces the slot's timer */
    MOLT_STATEM_DISARM, /* the slot's timer is no longer needed */
};

struct molt_statem_action {
    enum molt_statem_action_kind kind;
    int old_state;
    struct molt_statem_event *event;
    uint64_t ref;
    int ms;
    int slot;
};

/* Begin in @state, which is entered first (@old_state is the same). */
void molt_statem_init(struct molt_statem *m, int state);

/* Right after that: what sets the machine up runs as a handler, to be closed with
 * _done(). The state that it goes to is the first one. */
void molt_statem_start(struct molt_statem *m);

/* A message has come; it belongs to the machine until _done() gives it back. */
void molt_statem_offer(struct molt_statem *m, struct molt_statem_event *event);

/* The timer @ref went off; one that was cancelled or replaced is ignored. */
void molt_statem_fired(struct molt_statem *m, uint64_t ref);

/* The next action; false when nothing is to be done before the next event, and
 * always after the machine has stopped. After ENTER and HANDLE run the handler
 * and call _done() before drawing again. */
bool molt_statem_next(struct molt_statem *m, struct molt_statem_action *ret);

/* Whether _next() would have one. */
bool molt_statem_is_due(const struct molt_statem *m);

/* Between handlers: one begins for something that is no event of the machine's;
 * close it with _done(). It can do all but postpone, and ends the event timeout
 * as any event does. */
void molt_statem_begin(struct molt_statem *m);

/* ---- inside a handler ---------------------------------------------------- */

/* MOLT_EINVAL outside of one, for a state that there isn't, and in the cases
 * named below; nothing has changed then. The last call counts. */

/* Go to @state when the handler returns. Not while entering. The state it is
 * in already: the same as not calling it. */
int molt_statem_go(struct molt_statem *m, int state);

/* Enter the state that it is in once more. Neither replays nor cancels. Not while
 * entering or starting. */
int molt_statem_repeat(struct molt_statem *m);

/* Handle this message again after the next change of state. Only where it handles
 * one. */
int molt_statem_postpone(struct molt_statem *m);

/* Not after all. */
void molt_statem_unpostpone(struct molt_statem *m);

/* Handle @event next, before any that wait; several in the order of the calls.
 * Not while entering. */
int molt_statem_insert(struct molt_statem *m, struct molt_statem_event *event);

/* Set timeout @slot to go off in @ms; 0: as an event behind those that are
 * queued; < 0: cancel it. Setting it again replaces it. */
int molt_statem_set_timeout(struct molt_statem *m, int slot, int ms);

/* The handler has returned @rc; < 0 stops the machine, and what it asked for is
 * dropped. True: the event that it handled (if any) is the caller's again; false:
 * it was postponed. What _insert() took goes to the queue, also when stopped. */
bool molt_statem_done(struct molt_statem *m, int rc);

/* Between handlers: state i is numbered @map[i] from now on (an upgrade has moved
 * it in its table), or is gone, which the one that it is in can't be. Nothing is
 * entered, replayed or cancelled. */
#define MOLT_STATEM_GONE UINT8_MAX
void molt_statem_renumber(struct molt_statem *m, const uint8_t map[MOLT_STATEM_STATES_MAX]);

/* Take an event back when the machine is gone: postponed ones first, in their
 * order, then those that wait, then those that the handler at hand has inserted;
 * NULL when there is none left. */
struct molt_statem_event *molt_statem_take(struct molt_statem *m);

#endif
