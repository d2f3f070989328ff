/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Let the nth allocation fail. For programs that are linked with --wrap for
 * the functions of alloc_fail.c: what our archives and the program itself call
 * is counted, what the C library allocates by itself isn't.
 *
 * Threads: of the calling thread alone; others allocate as ever.
 */
#ifndef MOLT_TESTS_ALLOC_FAIL_H
#define MOLT_TESTS_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>

/* The @nth allocation from now on fails (1: the next one), those before and
 * after it don't. */
void alloc_fail_at(size_t nth);

/* No more failures. Whether it came to one since alloc_fail_at(). */
bool alloc_fail_end(void);

#endif
