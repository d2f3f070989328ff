/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Which part of a stack was ever used.
 *
 * Threads: any.
 */
#ifndef MOLT_PORT_TOUCHED_H
#define MOLT_PORT_TOUCHED_H

#include <stddef.h>

/* @stack, of @bytes, both multiples of the page size, is private anonymous memory that
 * is used from its end downwards. Bytes from the lowest page that has memory to the
 * end; 0 if none has, or if the kernel doesn't say. A page that was swapped out
 * has none. */
size_t molt_port_touched_below(const void *stack, size_t bytes);

#endif
