/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * From a task to a callback: find the code for it in the current world.
 *
 * The world boundary comes after the message was taken, so whatever a newer
 * world caused is handled in that world or a later one.
 *
 * Threads: the worker that runs the process, on the process's fiber.
 */
#ifndef MOLT_RUNTIME_DISPATCH_H
#define MOLT_RUNTIME_DISPATCH_H

#include "runtime/activation.h"
#include "runtime/task.h"

struct molt_block;
struct molt_server_ref;
struct molt_world;

/* Handle @m, which was taken from the own list before the boundary to @world. @ref
 * is the server there. */
enum molt_outcome molt_dispatch_taken(struct molt_worker *w, struct molt_process *p,
                                      struct molt_world *world, const struct molt_server_ref *ref,
                                      struct molt_block *m);

/* Do @task (of MESSAGE with @m, else NULL) of @p, which may have to change over to @world
 * first. */
enum molt_outcome molt_dispatch_adopting(struct molt_worker *w, struct molt_process *p,
                                         struct molt_world *world, enum molt_task task,
                                         struct molt_block *m);

/* Do @task, which was just picked. */
enum molt_outcome molt_dispatch(struct molt_worker *w, struct molt_process *p, enum molt_task task);

#endif
