/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Generated sources of a typical size. Threads: any. */
#ifndef MOLT_BENCH_TOOL_SOURCE_H
#define MOLT_BENCH_TOOL_SOURCE_H

/* A module of about 300 lines that answers GET / with "Hello @version\n" and
 * has functions, tables, strings and loops as a module of that length has.
 * Malloc'd. */
char *molt_bench_source_page(unsigned version);

/* A module that exports @n functions m<@number>_f0 ... of one line each, and
 * its header. Malloc'd. */
char *molt_bench_source_exports(unsigned number, unsigned n);
char *molt_bench_source_exports_header(unsigned number, unsigned n);

#endif
