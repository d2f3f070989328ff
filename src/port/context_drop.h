/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Leaving a context from a signal handler, without saving anything.
 *
 * Threads: the one that runs the context; async-signal-safe.
 */
#ifndef MOLT_PORT_CONTEXT_DROP_H
#define MOLT_PORT_CONTEXT_DROP_H

#include "port/context.h"

/* Where a thread goes on whose context was dropped. */
struct molt_context_landing {
    const void *saved; /* what molt_context_swap() left on the caller's stack */
    /* If not NULL: to be called as first(arg, 0) by the thread, when the handler
     * has returned and before it goes on. */
    void (*first)(void *arg, unsigned flags);
    void *arg;
};

/* Tell the sanitizers that the thread goes on with the caller of @from, which
 * never goes on, and say where. */
void molt_context_drop(struct molt_context *from, struct molt_context_landing *ret);

#endif
