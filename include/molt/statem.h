/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * State machines: a server whose handlers depend on a state. After gen_statem;
 * docs/guide/processes.md shows one, docs/design/behaviours.md has the rules.
 *
 * The states are an enum of the author's, from 0; the data is the struct that
 * every server has. A handler does its work, says what should follow with the
 * functions below, and returns 0 to go on or a negative code to end.
 *
 * Threads: process only, and only inside handlers of a state machine; otherwise
 * MOLT_ENOPROC.
 */
#ifndef MOLT_STATEM_H
#define MOLT_STATEM_H

#include <molt/molt.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- the table ----------------------------------------------------------- */

#define MOLT_STATES_MAX 16
#define MOLT_NAMED_TIMEOUTS_MAX 8

/* One state. Any function may be NULL; a timeout without one is reported. */
struct molt_state {
    const char *name;             /* by which an upgrade finds it again */
    molt_any_fn enter;            /* int fn(S *, int from); from is the state itself at first */
    molt_any_fn on_state_timeout; /* int fn(S *) */
    molt_any_fn on_event_timeout; /* int fn(S *) */
    molt_any_fn on_named_timeout; /* int fn(S *, int which) */
};

/* What makes the server of the same name a state machine: an extension of kind
 * MOLT_EXT_STATEM, beside its struct molt_server. */
struct molt_state_table {
    uint32_t size;
    uint32_t n_states;
    const char *server;
    struct molt_state state[MOLT_STATES_MAX];
};

#define MOLT_EXT_STATEM "molt.statem"

/* In which states a handler is called: bits 8 to 23 of molt_handler.kind; none
 * set: in all. One message type may have several handlers whose states don't
 * overlap. MOLT_CALL_IN(MOLT_IN(OPEN) | MOLT_IN(AJAR), struct shut, on_shut) */
#define MOLT_IN(state_) (1u << (8 + (state_)))
#define MOLT_HANDLER_KIND_MASK 0xffu

#define MOLT_CALL_IN(states_, T, handler)                                                          \
    {                                                                                              \
        .type = #T, .size = sizeof(T), .kind = MOLT_HANDLER_CALL | (states_),                      \
        .fn = (molt_any_fn)(handler)                                                               \
    }
#define MOLT_CAST_IN(states_, T, handler)                                                          \
    {                                                                                              \
        .type = #T, .size = sizeof(T), .kind = MOLT_HANDLER_CAST | (states_),                      \
        .fn = (molt_any_fn)(handler)                                                               \
    }

#define MOLT_STATE(state_, ...) [state_] = {.name = #state_, __VA_ARGS__}
#define MOLT_LIST_(...) __VA_ARGS__

/* MOLT_STATEM(door, struct door,
 *             (MOLT_STATE(SHUT), MOLT_STATE(OPEN, .enter = MOLT_FN(enter_open))),
 *             .init = MOLT_FN(init),
 *             .on = { MOLT_CALL_IN(MOLT_IN(SHUT), struct push, open_it) }); */
#define MOLT_STATEM(name_, S, list_, ...)                                                          \
    MOLT_SERVER(name_, S, __VA_ARGS__);                                                            \
    static const struct molt_state_table molt_states_##name_ = {                                   \
        .size = sizeof(struct molt_state_table),                                                   \
        .n_states =                                                                                \
            sizeof((const struct molt_state[]){MOLT_LIST_ list_}) / sizeof(struct molt_state),     \
        .server = #name_,                                                                          \
        .state = {MOLT_LIST_ list_}};                                                              \
    MOLT_EXTENSION(statem_##name_, MOLT_EXT_STATEM, &molt_states_##name_)

/* ---- inside a handler ---------------------------------------------------- */

/* The calls below take effect when the handler returns 0; the last of a kind
 * counts. MOLT_EINVAL where they make no sense: the first four in an enter
 * handler, states that the table doesn't have, postponing a timeout. */

/* The state of the machine; in an enter handler the new one. */
int molt_state(void);

/* Go to @state. If that is another one, what was postponed is handled again,
 * the state timeout is cancelled, and the enter handler runs. In init: the
 * first state (else 0). */
int molt_next_state(int state);

/* Run the enter handler of the state once more; nothing else changes. */
int molt_repeat_state(void);

/* Handle this message again after the next change of state. It stays as it is:
 * MOLT_EOWNER if a part of it was kept, freed or sent on. */
int molt_postpone(void);

/* Handle @msg (a block, consumed also on failure) before anything that waits. */
int molt_insert(void *msg);

/* Have the state's on_..._timeout called in @ms: the first unless the state
 * changes, the second unless any event comes, the third (@which is below
 * MOLT_NAMED_TIMEOUTS_MAX) in any case. 0: after the events that were inserted
 * or replayed, before new mail. < 0 cancels. Again: replaces. */
int molt_state_timeout(int ms);
int molt_event_timeout(int ms);
int molt_named_timeout(int which, int ms);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
