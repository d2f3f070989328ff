/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Series of measured values, what the kernel says of processes, and the
 * machine. Threads: any. */
#ifndef MOLT_BENCH_TOOL_STATS_H
#define MOLT_BENCH_TOOL_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct molt_bench_series {
    double *v; /* malloc'd */
    size_t n, cap;
};

void molt_bench_add(struct molt_bench_series *s, double value);
void molt_bench_series_fini(struct molt_bench_series *s);
/* The value below which share @p (0 to 1) of the series lies, interpolated; 0
 * of an empty one. Sorts the series. */
double molt_bench_quantile(struct molt_bench_series *s, double p);
double molt_bench_median(struct molt_bench_series *s);

/* Median, and the interval in which the median of what was sampled lies with
 * the probability of @coverage (0 to 1): two values of the series, chosen by
 * their rank alone, so nothing is assumed about the distribution. At least 0.95;
 * with fewer than six values it can't be, and is from the smallest to the
 * largest. All 0 of an empty series. Sorts it. */
struct molt_bench_cell {
    double low, median, high, coverage;
    size_t n;
};
struct molt_bench_cell molt_bench_cell(struct molt_bench_series *s);

/* How many times better @ours is than @theirs, run by run: median and interval
 * of the ratios of the pairs in which both are above 0. Above 1 it is better,
 * whether more is or less. */
struct molt_bench_cell molt_bench_better(size_t n, const double *ours, const double *theirs,
                                         bool is_more_better);

/* By the whole interval: what may be noise is level, and fewer than three pairs
 * decide nothing. */
enum molt_bench_verdict { MOLT_BENCH_BETTER, MOLT_BENCH_LEVEL, MOLT_BENCH_WORSE, MOLT_BENCH_OPEN };
enum molt_bench_verdict molt_bench_judge(const struct molt_bench_cell *better);

/* Pss, Rss and memory of its own of @pid, bytes; 0 if it is gone. */
struct molt_bench_memory {
    double pss, rss, private;
};
struct molt_bench_memory molt_bench_memory(pid_t pid);

/* Processor seconds that @pid has used, user and system; and those of it with
 * all its children that ended. In steps of a clock tick, 10 ms. */
double molt_bench_cpu(pid_t pid);
double molt_bench_cpu_all(pid_t pid);

/* "2 cores, <processor>, Linux 6.1, gcc 12.2.0": no host name. */
void molt_bench_print_machine(FILE *out);
char *molt_bench_machine(void); /* malloc'd */

#endif
