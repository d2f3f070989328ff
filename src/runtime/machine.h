/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The state machine of a process (<molt/statem.h>): the pure core of statem.h,
 * fed by the process's callbacks, mailbox and timers.
 *
 * The mailbox stays the mailbox. A message goes through the core when it is
 * handled, and what the core keeps (postponed and inserted messages) is packed,
 * counts as mail, and belongs to nobody until it is handled again. Whenever the
 * core has something to do, the process has MOLT_DO_MACHINE.
 *
 * Processes of other servers have none: their status lacks MOLT_IS_MACHINE, and
 * that is all that it costs them.
 *
 * Threads: whoever runs or claimed the process.
 */
#ifndef MOLT_RUNTIME_MACHINE_H
#define MOLT_RUNTIME_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/error.h>

#include "code/code.h"
#include "runtime/activation.h"
#include "runtime/statem.h"
#include "runtime/timer.h"

struct molt_block;
struct molt_block_cache;
struct molt_process;

/* A message that the core has. */
struct molt_machine_event {
    struct molt_statem_event event;
    struct molt_block *root;
};

struct molt_machine {
    struct molt_statem core;
    struct molt_machine_event *spare;             /* for the next message; there is always one */
    struct molt_timer *timers[MOLT_STATEM_SLOTS]; /* NULL: not needed yet */
    uint64_t deadline_ns[MOLT_STATEM_SLOTS];      /* of the core's armed ones */
    uint8_t map[MOLT_STATES_MAX];                 /* its states' next numbers, see adopt.c */
    _Atomic uintptr_t behind;                     /* in place of molt_process.behind */
    char state_name[MOLT_NAME_MAX];               /* for listings */
};

/* ---- life ------------------------------------------------------------------ */

/* The process, whose init runs next, is a machine from now on. MOLT_ENOMEM. */
int molt_machine_start(struct molt_process *p);

/* The process ends: what waits is freed, callers get MOLT_EDEAD. */
void molt_machine_free(struct molt_process *p, struct molt_block_cache *cache);

/* ---- running, by the worker -------------------------------------------------- */

/* Whether a state is to be entered, before anything else. */
static inline bool molt_machine_must_enter(const struct molt_machine *m)
{
    return m->core.must_enter && !m->core.is_stopped;
}

/* Whether there is anything to do; timers that are due were looked at. */
bool molt_machine_poll(struct molt_process *p);

/* What to run next: @callback, or the handler of @message (if it isn't NULL). */
struct molt_machine_step {
    struct molt_callback callback;
    struct molt_block *message;
};
/* False: nothing, for now. */
bool molt_machine_next(struct molt_process *p, const struct molt_server_ref *ref,
                       struct molt_machine_step *ret);

/* @root, taken out of the mailbox, is handled next. */
void molt_machine_take_up(struct molt_process *p, struct molt_block *root);
/* The message at hand was converted, and is @root now. */
void molt_machine_replace(struct molt_process *p, struct molt_block *root);
/* The message at hand has no handler, and is the caller's. */
void molt_machine_skip(struct molt_process *p);

/* The handler in the present state for the type of @first, which is the first one of
 * @ref for that; NULL if there is none in it. */
const struct molt_handler *molt_machine_handler(const struct molt_process *p,
                                                const struct molt_server_ref *ref,
                                                const struct molt_handler *first);

/* A callback has returned: what it asked for happens, or is dropped. A message that
 * is postponed is the machine's afterwards, and its caller still waits. */
void molt_machine_end(struct molt_process *p, struct molt_activation *act,
                      const struct molt_server_ref *ref);

/* ---- upgrades, by whoever runs or claimed it ------------------------------------------------ */

/* @p may go on in @next: states keep their names. MOLT_EREFUSED: the
 * one that it is in is gone, or its server changes its kind. */
int molt_machine_prepare(struct molt_process *p, const struct molt_server_ref *now,
                         const struct molt_server_ref *next, struct molt_error *err);
/* Right after that: it does. */
void molt_machine_adopt(struct molt_process *p);

/* ---- looking ----------------------------------------------------------------- */

/* Each message that was postponed or inserted, until @fn returns false; false then. */
bool molt_machine_each(const struct molt_process *p,
                       bool (*fn)(void *user, const struct molt_block *root), void *user);

/* "it has no handler for that in state OPEN". */
void molt_machine_describe_unhandled(const struct molt_process *p, char *buf, size_t size);
/* Add ", state OPEN" to what is in @buf, or put "state OPEN" there. */
void molt_machine_describe(const struct molt_process *p, char *buf, size_t size);

#endif
