/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Alternate signal stacks: without one, a thread that overflowed its stack
 * can't run the handler that says so.
 *
 * Threads: concern the calling thread.
 */
#ifndef MOLT_PORT_ALT_STACK_H
#define MOLT_PORT_ALT_STACK_H

/* Give the calling thread an alternate signal stack, unless it has one (a
 * sanitizer's). NULL: it had one, or there is no memory; nothing to undo. */
void *molt_port_alt_stack_open(void);
/* Undo it, on the same thread. NULL is fine. */
void molt_port_alt_stack_close(void *stack);

#endif
