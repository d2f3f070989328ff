/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A child of fork() that runs code which isn't trusted to be harmless: it shares the
 * parent's descriptors, handlers and terminal until it was confined.
 *
 * Threads: the only one of the child.
 */
#ifndef MOLT_PORT_CONFINE_H
#define MOLT_PORT_CONFINE_H

#include <stdint.h>

/* Called in the handler of a fault, on an alternate stack: @pc is where it happened. The
 * signal's default action follows. */
typedef void molt_confine_fault_fn(void *user, int signal, uintptr_t pc, uintptr_t address);

/* From now on the calling child has no descriptors but @output_fd as standard output and
 * error, an empty standard input, and @keep_fd under a number that it gets back (negative:
 * none); handles no signal but faults; leaves no core and dies with its parent. Faults are told to
 * @fn. Returns @keep_fd's new number, 3; negative: with errno. */
int molt_confine(int output_fd, int keep_fd, molt_confine_fault_fn *fn, void *user);

#endif
