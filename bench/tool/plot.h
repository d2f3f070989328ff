/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A picture of how figures grow: lines over a number, as SVG, both axes
 * logarithmic, an interval at each point.
 *
 * Threads: any.
 */
#ifndef MOLT_BENCH_TOOL_PLOT_H
#define MOLT_BENCH_TOOL_PLOT_H

#include <stddef.h>
#include <stdio.h>

#define MOLT_BENCH_LINES_MAX 8
#define MOLT_BENCH_POINTS_MAX 16

/* A line of @n points, x ascending. A point whose x or y isn't above 0 is left
 * out, there is no place for it. */
struct molt_bench_line {
    const char *name;
    size_t n;
    double x[MOLT_BENCH_POINTS_MAX], y[MOLT_BENCH_POINTS_MAX];
    double low[MOLT_BENCH_POINTS_MAX], high[MOLT_BENCH_POINTS_MAX];
};

struct molt_bench_plot {
    const char *title, *x_label, *y_label;
    double goal; /* a dashed line across, 0: none */
    size_t n_lines;
    struct molt_bench_line lines[MOLT_BENCH_LINES_MAX];
};

/* Write it; a plot without any point is a picture that says so. */
void molt_bench_plot_write(const struct molt_bench_plot *plot, FILE *out);

/* 1234 as "1234", 20000 as "20k", 0.05 as "0.05": into @text of @size. */
void molt_bench_plot_number(double value, char *text, size_t size);

#endif
