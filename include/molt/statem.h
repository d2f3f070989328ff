/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * State machines, after gen_statem: servers whose handlers depend on a state.
 *
 *     enum { LOCKED, SHUT, OPEN };
 *
 *     MOLT_STATEM(door, struct door,
 *                 (MOLT_STATE(LOCKED), MOLT_STATE(SHUT),
 *                  MOLT_STATE(OPEN, .enter = MOLT_FN(enter_open),
 *                             .on_state_timeout = MOLT_FN(shut_it))),
 *                 .on = { MOLT_CAST_IN(MOLT_IN(LOCKED), struct unlock, unlock),
 *                         MOLT_CALL_IN(MOLT_IN(SHUT), struct push, open_it),
 *                         MOLT_CALL_IN(MOLT_IN(LOCKED) | MOLT_IN(OPEN), struct push, later) });
 *
 * States are enumerators from 0 on, without gaps, at most MOLT_STATES_MAX; their
 * names are what an upgrade goes by. Everything else of MOLT_SERVER() may stand
 * there, too, but `run`. MOLT_CALL() and MOLT_CAST() handle a message in all states.
 *
 * What a callback asks for with the functions below happens when it has returned
 * 0: the state changes, what was postponed comes first then, the new state is
 * entered, inserted messages come before all others, timeouts are set. A negative
 * code or MOLT_STOP drops it. All of these are process only, answer MOLT_EINVAL
 * outside of a state machine and in `terminate`, and for a state that there isn't.
 */
#ifndef MOLT_STATEM_H
#define MOLT_STATEM_H

#include <molt/molt.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* A state: MOLT_STATE(OPEN), or with functions of struct molt_state_entry. */
#define MOLT_STATE(...) MOLT_STATE_(__VA_ARGS__, )
#define MOLT_STATE_(id, ...) [id] = {.name = #id, __VA_ARGS__}

/* A set of states: MOLT_IN(SHUT) | MOLT_IN(OPEN). */
#define MOLT_IN(state) (1u << (state))

#define MOLT_CALL_IN(states, T, handler)                                                           \
    {                                                                                              \
        .type = #T, .size = sizeof(T),                                                             \
        .kind = MOLT_HANDLER_CALL | (uint32_t)(states) << MOLT_HANDLER_STATES_SHIFT,               \
        .fn = (molt_any_fn)(handler)                                                               \
    }
#define MOLT_CAST_IN(states, T, handler)                                                           \
    {                                                                                              \
        .type = #T, .size = sizeof(T),                                                             \
        .kind = MOLT_HANDLER_CAST | (uint32_t)(states) << MOLT_HANDLER_STATES_SHIFT,               \
        .fn = (molt_any_fn)(handler)                                                               \
    }

#define MOLT_STATES_(...) __VA_ARGS__
#define MOLT_STATEM(name_, S, states, ...)                                                         \
    static const struct molt_state_table molt_states_##name_                                       \
        __attribute__((used, aligned(8))) = {.size = sizeof(struct molt_state_table),              \
                                             .server = #name_,                                     \
                                             .state = {MOLT_STATES_ states}};                      \
    MOLT_EXTENSION(statem_##name_, MOLT_EXT_STATEM, &molt_states_##name_);                         \
    MOLT_SERVER(name_, S, __VA_ARGS__)

/* The state that it is in: until the callback returns the one before. In `init`: 0;
 * in `terminate`, too, the last one. */
int molt_state(void);

/* Go to @state. In `init`: begin in it, instead of in 0. Not in `enter`. The state
 * that it is in already: the same as not calling it. */
int molt_next_state(int state);

/* Run `enter` of the state that it is in once more. Nothing that was postponed comes
 * back, no timeout ends. Not in `init` and `enter`. */
int molt_repeat_state(void);

/* Have the message that is being handled come again after the next change of the
 * state. Only in handlers of messages, `on_other` included, which may postpone calls,
 * too. Don't answer or keep what you postpone. It counts as mail. MOLT_ENOMEM. */
int molt_postpone(void);

/* Handle @msg (a block, consumed also on failure) next, as a message to itself, before
 * all that waits; several in the order of the calls. Not in `enter`. MOLT_EOWNER,
 * MOLT_ENOMEM. */
int molt_insert(void *msg);

/* Have on_state_timeout called in @ms, unless the state changes before; on_event_timeout,
 * unless any callback of the process comes before; on_named_timeout with @name, a number
 * below MOLT_TIMEOUTS_MAX, come what may. Setting one again replaces it; @ms < 0
 * cancels it; 0: right behind inserted messages, before mail. The functions are those
 * of the state that it is in by then. MOLT_ENOMEM. */
#define MOLT_TIMEOUTS_MAX 8
int molt_state_timeout(int ms);
int molt_event_timeout(int ms);
int molt_named_timeout(int name, int ms);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
