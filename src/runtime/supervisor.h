/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * One-for-one supervisors. They are processes of the runtime itself and read
 * their specification from the current world at each decision, so an upgrade
 * changes how children are treated from then on; nothing of a world is kept.
 *
 * | child ended | permanent | transient            | temporary |
 * |-------------|-----------|----------------------|-----------|
 * | normally    | restarted | forgotten            | forgotten |
 * | otherwise   | restarted | restarted            | forgotten |
 *
 * Normally: reason 0 or MOLT_ESHUTDOWN. More than `intensity` restarts within
 * `period_ms` end the supervisor, children last to first, with MOLT_ELIMIT.
 *
 * Threads: the worker that runs the supervisor.
 */
#ifndef MOLT_RUNTIME_SUPERVISOR_H
#define MOLT_RUNTIME_SUPERVISOR_H

#include <molt/molt.h>

struct molt_runtime;
struct molt_world;

/* Start the supervisor @name of @world; from any thread. @parent and
 * @supervisor may be 0. MOLT_ENOENT: no such supervisor. MOLT_EEXIST: its name
 * is taken. */
int molt_supervisor_start(struct molt_runtime *rt, const struct molt_world *world, const char *name,
                          molt_pid parent, molt_pid supervisor, molt_pid *ret_pid);

/* Frees what a supervisor keeps; for molt_process_destroy(). */
void molt_supervisor_free(void *native_state);

#endif
