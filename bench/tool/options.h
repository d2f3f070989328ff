/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the command lines of benchmarks have in common. Threads: any. */
#ifndef MOLT_BENCH_TOOL_OPTIONS_H
#define MOLT_BENCH_TOOL_OPTIONS_H

#include <stdbool.h>

/* @text as a number from @min to @max; else says so for @program and its
 * @option, and exits 2. */
unsigned molt_bench_number(const char *program, const char *option, const char *text, unsigned min,
                           unsigned max);

/* Is @name one of the words of @list, which commas part? */
bool molt_bench_is_listed(const char *list, const char *name);

#endif
