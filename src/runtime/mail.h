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
#include "runtime/process.h"

struct molt_worker;

/* The first message of the own list, of which there is one, is a cast or a call,
 * has no further blocks, and is for a server without bounds. */
static inline bool molt_mail_is_usual(const struct molt_process *p)
{
    return molt_message_is_single(p->mail) && !p->bounds && !molt_process_is_machine(p) &&
           !molt_process_is_supervisor(p);
}

/* Handle the own list, whose first message is usual, as far as they are, while the
 * turn that began at @tick isn't over and nothing else is to be done. */
enum molt_outcome molt_mail_run(struct molt_worker *w, struct molt_process *p, unsigned tick);

#endif
