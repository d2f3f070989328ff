/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What exists only while a callback runs or is suspended. It lies beside the
 * callback's stack, so a process between callbacks doesn't pay for it.
 *
 * Threads: the worker that runs the process, or whoever claimed it.
 */
#ifndef MOLT_RUNTIME_ACTIVATION_H
#define MOLT_RUNTIME_ACTIVATION_H

#include <stdbool.h>

#include <molt/molt.h>

#include "base/list.h"
#include "runtime/limit.h"
#include "runtime/timer.h"

struct molt_block;
struct molt_requests;
struct molt_type;
struct molt_worker;

#define MOLT_NAME_MAX 64
#define MOLT_LOCKS_KEPT 4

enum molt_callback_kind {
    MOLT_CALLBACK_NONE,
    MOLT_CALLBACK_INIT,
    MOLT_CALLBACK_CALL,
    MOLT_CALLBACK_CAST,
    MOLT_CALLBACK_OTHER,
    MOLT_CALLBACK_READY,
    MOLT_CALLBACK_DATA,
    MOLT_CALLBACK_TIMEOUT,
    MOLT_CALLBACK_TERMINATE,
    MOLT_CALLBACK_NATIVE,
    MOLT_CALLBACK_RUN,
    MOLT_CALLBACK_CONTINUE,
    MOLT_CALLBACK_CONFIG,
    MOLT_CALLBACK_EXIT,
    MOLT_CALLBACK_DOWN,
    MOLT_CALLBACK_ENTER,
    MOLT_CALLBACK_STATE_TIMEOUT,
    MOLT_CALLBACK_EVENT_TIMEOUT,
    MOLT_CALLBACK_NAMED_TIMEOUT,
};

struct molt_callback {
    enum molt_callback_kind kind;
    bool is_call;     /* a negative result is the caller's answer */
    bool is_answered; /* the handler replied */
    union {
        int fd;     /* READY */
        int number; /* ENTER: the state before; NAMED_TIMEOUT: its name */
    };
    unsigned events;
    molt_any_fn fn;
    void *arg;
    const char *type_name;        /* OTHER */
    const struct molt_type *type; /* CALL, CAST, OTHER: of the message */
    struct molt_block *message;   /* NATIVE: packed */
    struct molt_from from;        /* the caller; of EXIT and DOWN: who ended, and the monitor */
    int reason;                   /* of EXIT and DOWN */
    int rc;
};

enum molt_wait_kind {
    MOLT_WAIT_NONE,
    MOLT_WAIT_CALL,
    MOLT_WAIT_SLEEP,
    MOLT_WAIT_RECEIVE,
    MOLT_WAIT_SOCKET,
    MOLT_WAIT_RESOLVE,
    MOLT_WAIT_SEND,
};

#define MOLT_MAIL_MARKS 2

/* Up to where the mailbox has no message of a type, see receive.c. */
struct molt_mail_marks {
    molt_pid pid; /* whose, and during which callback */
    unsigned long long at;
    const struct molt_type *type[MOLT_MAIL_MARKS];
    struct molt_block *last[MOLT_MAIL_MARKS]; /* NULL: nothing is known */
    unsigned next;                            /* to be replaced */
};

/* What a turn of a process came to. */
enum molt_outcome { MOLT_TURN_DONE, MOLT_TURN_ENDED };

struct molt_activation {
    struct molt_worker *worker; /* whose stack this is; constant */
    struct molt_callback callback;
    /* What came with the message being handled: a block alone, or several. The
     * single one is on no list, its link points at itself: if that changed, the
     * handler has kept, sent or freed it. */
    struct molt_block *single;
    struct molt_list arrived;
    bool is_holding_world;
    bool is_visiting;
    bool is_failed;       /* a thunk stub ended the callback */
    bool is_preempted;    /* it waits only for its turn */
    bool is_restarted;    /* at an upgrade point */
    bool is_completed;    /* it goes on because its wait was completed */
    uint32_t unfit_epoch; /* to which the process could not change over; see adopt.h */
    enum molt_wait_kind wait_kind;
    struct molt_timer wait_timer;
    struct molt_mail_marks marks;
    struct molt_requests *requests; /* molt_call_async(); NULL: none in this callback */
    struct molt_sender sender;      /* SEND */
    int fail_reason;                /* of is_failed; 0: MOLT_EUNDEF */
    char whom[MOLT_NAME_MAX];       /* name of the process that was called, or "" */
    molt_pid whom_pid;
    unsigned n_locks;
    const void *locks[MOLT_LOCKS_KEPT]; /* the last ones taken */
};

/* As if no callback had run; `arrived` is empty, the message gone. */
static inline void molt_activation_clear(struct molt_activation *act)
{
    act->callback.kind = MOLT_CALLBACK_NONE;
    act->callback.message = NULL;
    act->single = NULL;
    act->is_holding_world = act->is_visiting = false;
    act->is_failed = act->is_preempted = act->is_restarted = false;
    act->wait_kind = MOLT_WAIT_NONE;
    act->sender.slot = NULL;
    act->fail_reason = 0;
    act->unfit_epoch = 0;
    act->n_locks = 0;
}

#endif
