/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Library functions that outlive a call: which of them modules can't use, and
 * which make a version stay.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_TYPES_LIBC_NAMES_H
#define MOLT_TYPES_LIBC_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* What to do instead of calling @name; NULL: it isn't forbidden. */
const char *molt_libc_alternative(const char *name);

/* @name keeps an address of the caller's code for as long as it likes. */
bool molt_libc_pins(const char *name);

/* The functions that take or leave a lock, which modules are linked to as __wrap_NAME so
 * that the host counts them (runtime/lock.h). */
const char *const *molt_libc_locks(size_t *ret_n);

/* @name takes or leaves a lock, and as it stands nobody counts it: one of the above
 * without its wrap, or another name for one of them. */
bool molt_libc_is_uncounted(const char *name);

/* May stay undefined in an image: the host, or nobody, provides it. */
bool molt_libc_is_provided(const char *name, bool is_weak);

#endif
