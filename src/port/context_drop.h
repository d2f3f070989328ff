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

/* Tell the sanitizers that the thread goes on with the caller of @from, which
 * never goes on. Returns where molt_context_swap() left the caller's
 * registers, for the handler to load. */
const void *molt_context_drop(struct molt_context *from);

#endif
