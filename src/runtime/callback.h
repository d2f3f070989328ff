/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Calling the code of a module, and settling what follows from its result: the
 * caller's answer, the end of the process, the blocks that came with a message.
 *
 * Threads: the worker that runs the process, on the process's fiber.
 */
#ifndef MOLT_RUNTIME_CALLBACK_H
#define MOLT_RUNTIME_CALLBACK_H

#include "runtime/fiber.h"
#include "runtime/process.h"

struct molt_server_ref;
struct molt_worker;

static inline struct molt_activation *molt_callback_activation(const struct molt_process *p)
{
    return &p->fiber->act;
}

/* Run the callback that the activation of @p describes, in @world; @ref is the
 * server's there, NULL for the runtime's own. */
enum molt_outcome molt_callback_run(struct molt_worker *w, struct molt_process *p,
                                    struct molt_world *world, const struct molt_server_ref *ref);

/* What the result of a finished callback means. */
enum molt_outcome molt_callback_conclude(struct molt_process *p, const struct molt_callback *cb);

/* What seldom is to be done after a callback. */
void molt_callback_tidy(struct molt_worker *w, struct molt_process *p, struct molt_activation *act);

/* What came with @root, a packed message, is the process's until the callback
 * returns. */
void molt_callback_accept(struct molt_process *p, struct molt_block *root);

/* The callback ends, and holds locks: say so. */
void molt_callback_warn_of_locks(struct molt_process *p, const struct molt_activation *act);

#endif
