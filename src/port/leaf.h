/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Pure leaf functions of libc: they take no lock, keep nothing, call nobody and
 * change nothing but what their arguments point to (memcpy, strlen, ...). A bad
 * pointer that a module hands to one of them is the module's own fault.
 *
 * The range of each is exact: the dynamic linker says which implementation
 * calls reach on this CPU, frame information says where that begins and ends.
 * Parts that an implementation shares with others may lie outside; a fault
 * there isn't recognised.
 *
 * Threads: init is serialised by the caller, before the first question; asking
 * is async-signal-safe.
 */
#ifndef MOLT_PORT_LEAF_H
#define MOLT_PORT_LEAF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Find the functions. Idempotent. Finds none under a sanitizer, which has
 * functions of its own in their places. */
void molt_leaf_init(void);

/* Is @pc in one of them? */
bool molt_leaf_is_pure(uintptr_t pc);

/* How many were found, of how many; for reports and tests. */
size_t molt_leaf_count(size_t *ret_of);

#endif
