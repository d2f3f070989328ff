/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The decision: may this world follow that one, and which messages are in the way?
 *
 * Pure: the two worlds and the numbers of processes in, a verdict out. A
 * refusal is a result, with every reason in it.
 *
 * Threads: any.
 */
#ifndef MOLT_UPGRADE_DECIDE_H
#define MOLT_UPGRADE_DECIDE_H

#include <stdbool.h>

#include "base/buf.h"
#include "code/code.h"
#include "runtime/runtime.h"

struct molt_decision {
    bool is_refused;
    struct molt_buf reasons;           /* lines; when refused */
    struct molt_conversion conversion; /* its arrays belong to the decision */
};

/* How many live processes run the server @id. */
typedef size_t molt_count_fn(void *user, int server_id);

/* MOLT_ENOMEM; a refusal is no error. */
int molt_decide(struct molt_world *old_world, struct molt_world *new_world,
                const char *(*server_name)(void *user, int id), molt_count_fn *count, void *user,
                struct molt_decision *ret);
void molt_decision_fini(struct molt_decision *decision);

#endif
