/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a signal handler can do to the thread that it interrupted, by changing
 * the registers that the thread goes on with when the handler returns: the part
 * of preemption and crash containment that each CPU does in its own way.
 *
 * Threads: for handlers on an alternate stack; async-signal-safe. Locks: none.
 */
#ifndef MOLT_PORT_INTERRUPTED_H
#define MOLT_PORT_INTERRUPTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct molt_context;
struct molt_preempt_thread;

/* Is all this there for this CPU? Where not, the rest does nothing. */
bool molt_interrupted_is_supported(void);

/* Floating-point control words of the calling thread: rounding, traps. */
struct molt_float_control {
    uint32_t words[2];
};
void molt_float_control_get(struct molt_float_control *ret);

/* Bytes below the interrupted sp that molt_interrupted_redirect() and what it
 * leads to need before they call anything. */
size_t molt_interrupted_room(const void *ucontext);

/* Have the thread call molt_preempt_yield(@thread) and then go on where it was
 * interrupted, with all registers, flags and the red zone as they are. */
void molt_interrupted_redirect(void *ucontext, struct molt_preempt_thread *thread);

/* Was it an attempt to run code at pc that the signal came from? */
bool molt_interrupted_is_fetch(const void *ucontext);

/* Have the thread go on as if @from, the running context, had left to its
 * caller; @from never goes on. Flags and registers are as the ABI wants them at
 * a return, vector registers are empty, control words are @control. */
void molt_interrupted_leave(void *ucontext, struct molt_context *from,
                            const struct molt_float_control *control);

#endif
