/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * How a function hands back what it returns, by the machine's calling
 * convention.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_TYPES_RETURNED_H
#define MOLT_TYPES_RETURNED_H

#include "types/graph.h"

/* Size of the struct or union that @function returns in the caller's memory;
 * 0 if what it returns fits registers. @machine: EM_... */
uint32_t molt_returned_bytes(const struct molt_graph *graph, uint32_t function, uint16_t machine);

#endif
