/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a process has to do next, of all the reasons in its status: requests to
 * end go before everything, mail comes last.
 *
 * Threads: the worker that runs the process.
 */
#ifndef MOLT_RUNTIME_TASK_H
#define MOLT_RUNTIME_TASK_H

#include <stdbool.h>

#include "port/limits.h"

struct molt_process;
struct molt_worker;

/* Callbacks and messages sent by one process before others have a turn, as the
 * BEAM's reductions: so who receives keeps up with who sends. */
#define MOLT_TURN MOLT_LIMIT(1000, 1)

enum molt_task {
    MOLT_TASK_NONE,
    MOLT_TASK_KILL,
    MOLT_TASK_INIT,
    MOLT_TASK_TERMINATE,
    MOLT_TASK_EXIT, /* a native process is asked to end */
    MOLT_TASK_READY,
    MOLT_TASK_TIMEOUT,
    MOLT_TASK_MACHINE,
    MOLT_TASK_CONTINUE,
    MOLT_TASK_RUN,
    MOLT_TASK_CONFIG,
    MOLT_TASK_MESSAGE,
};

/* The next one; its reason is taken away. A message is in the own list then, and
 * left there. The worker's budget grows with the mail that had come. */
enum molt_task molt_task_pick(struct molt_worker *w, struct molt_process *p);

/* At the begin of a turn, with MOLT_DO_MAIL just taken away: the mail that has come. */
void molt_task_collect(struct molt_worker *w, struct molt_process *p);

/* DO_KILL is set: take it away, and see whether it was meant for this process,
 * which has its end_reason then. */
bool molt_task_is_kill(struct molt_process *p);

#endif
