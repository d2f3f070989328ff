/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The usual mail: messages of one block for a process without bounds, which is no
 * state machine, and whose handlers return 0. They are handled in a row, with nothing in between
 * but what the promises need: a look at requests and at the world after each was taken.
 *
 * Threads: the worker that runs the process, on the process's fiber.
 */
#ifndef MOLT_RUNTIME_MAIL_H
#define MOLT_RUNTIME_MAIL_H

#include "runtime/activation.h"

struct molt_process;
struct molt_worker;

/* Handle the own list as far as it is usual mail, while the turn that began at
 * @tick isn't over and nothing else is to be done. Others are left in front. */
enum molt_outcome molt_mail_run(struct molt_worker *w, struct molt_process *p, unsigned tick);

#endif
