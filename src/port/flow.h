/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A flow: module code that runs on a context of its own. It is entered through
 * molt_flow_call(), whose frame is the mark at which a walk over module frames
 * ends: below it lies the runtime, above it only what the module called.
 *
 * Invariant: entry_sp is not 0 exactly while a function that was called through
 * molt_flow_call() has not returned, suspended ones included.
 *
 * A callback that is called while another one of the same flow runs (the
 * runtime calls a function of a module on behalf of a module) is called
 * directly, not through molt_flow_call(): the runtime's frames between the two
 * are then seen for what they are.
 *
 * Threads: a flow belongs to the thread of its context.
 */
#ifndef MOLT_PORT_FLOW_H
#define MOLT_PORT_FLOW_H

#include <stddef.h>
#include <stdint.h>

#include "port/context.h"

/* The assembler knows that entry_sp is at 0. */
struct molt_flow {
    uintptr_t entry_sp;           /* molt_flow_call()'s; 0: no module code */
    struct molt_context *context; /* where it runs; a crash leaves to context->caller */
    size_t guard_bytes;           /* without access, right below context->stack */
};

typedef void molt_flow_fn(void);

/* Call @fn(@a, @b, @c, @d) and return what it returns in the register of
 * integers. @fn takes up to four arguments, each a pointer or an integer (cast
 * to a pointer); it returns an integer of at most 64 bits, a pointer or
 * nothing, which makes the result meaningless. Costs
 * some 3 ns more than a direct call. */
intptr_t molt_flow_call(struct molt_flow *flow, molt_flow_fn *fn, const void *a, const void *b,
                        const void *c, const void *d);

#endif
