/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What travels between a supervisor and who asks it for children: blocks whose
 * types are the runtime's own, so that no upgrade changes them.
 *
 * Threads: constants.
 */
#ifndef MOLT_RUNTIME_SUPERVISOR_CALL_H
#define MOLT_RUNTIME_SUPERVISOR_CALL_H

#include "code/type.h"
#include "runtime/supervise.h"

struct molt_child_request {
    enum molt_supervise_request_kind kind;
    char id[MOLT_SUPERVISE_ID_MAX];
    char server[MOLT_SUPERVISE_ID_MAX]; /* of ADD: "" is the template's */
    uint32_t restart;
    int32_t shutdown_ms;
    molt_pid pid; /* of TERMINATE */
    size_t n;     /* of LOOK: how many to list */
    void *arg;    /* of ADD: a block, or NULL */
};

struct molt_child_reply {
    int code; /* what failed: the pid says more */
    molt_pid pid;
    size_t n_children;
    struct molt_child_info *infos; /* a block, or NULL */
};

extern const struct molt_type molt_child_request_type, molt_child_reply_type, molt_child_info_type;

#endif
