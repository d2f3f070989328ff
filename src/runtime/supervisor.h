/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Supervisors: processes of the runtime itself. What a supervisor decides stands
 * in supervise.h; here its events come in as messages, and what it decided is
 * carried out. How a child is started is read from the current world each time,
 * so nothing of a world is kept.
 *
 * Threads: the worker that runs the supervisor, unless said otherwise.
 */
#ifndef MOLT_RUNTIME_SUPERVISOR_H
#define MOLT_RUNTIME_SUPERVISOR_H

#include <molt/molt.h>

#include "runtime/runtime.h"

struct molt_block;
struct molt_process;
struct molt_world;

/* Start the supervisor @table of @world, registered as @name; from any thread.
 * @parent and @supervisor may be 0. MOLT_ENOENT: no such supervisor. MOLT_EEXIST:
 * the name is taken. MOLT_EINVAL: its specification isn't sound. */
int molt_supervisor_start(struct molt_runtime *rt, const struct molt_world *world,
                          const char *table, const char *name, molt_pid parent, molt_pid supervisor,
                          molt_pid *ret_pid);

/* A supervisor's callback: for its start (@message NULL, phase NEW), a request to
 * end (@message NULL, phase ENDING), a timeout, and each message. 0 to go on,
 * negative or MOLT_STOP to end. */
int molt_supervisor_run(struct molt_process *p, struct molt_block *message);

/* The init of @p returned 0: tell its supervisor, if it has one. MOLT_ENOMEM. */
int molt_supervisor_tell_started(struct molt_process *p);

/* The end of a supervisor that was killed takes its children with it. Frees what
 * it keeps; for molt_process_destroy(). */
void molt_supervisor_free(void *native_state);

/* What a supervisor, claimed by the caller, tells of its children. */
int molt_supervisor_each(struct molt_process *p, molt_runtime_child_fn *fn, void *user);

#endif
