/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What timers stand for: the end of a wait, a process's timeout, a message to
 * be sent.
 *
 * Threads: any.
 */
#ifndef MOLT_RUNTIME_AFTER_H
#define MOLT_RUNTIME_AFTER_H

#include "runtime/timer.h"

struct molt_runtime;

enum molt_timer_kind {
    MOLT_TIMER_WAIT,    /* the wait `ref` of `pid` ends with MOLT_ETIMEDOUT */
    MOLT_TIMER_SLEEP,   /* the same, with 0 */
    MOLT_TIMER_TIMEOUT, /* molt_timeout() number `ref` of `pid` */
};

/* Do what an expired timer was for. */
void molt_timer_event_run(struct molt_runtime *rt, const struct molt_timer_event *event);

#endif
