/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/plot.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 780.0
#define HEIGHT 460.0
#define LEFT 84.0
#define RIGHT 170.0
#define TOP 52.0
#define BOTTOM 62.0

/* Told apart without colour, too: by marker. */
static const char *const colours[MOLT_BENCH_LINES_MAX] = {"#c2185b", "#5e35b1", "#00838f",
                                                          "#2e7d32", "#ef6c00", "#546e7a",
                                                          "#8d6e63", "#1e88e5"};

/* An axis over [low, high] in logarithms to base 10, drawn from @from to @to. */
struct axis {
    double low, high, from, to;
};

struct place {
    const struct molt_bench_plot *plot;
    struct axis x, y;
    FILE *out;
};

static double at(const struct axis *axis, double value)
{
    return axis->from +
           (axis->to - axis->from) * (log10(value) - axis->low) / (axis->high - axis->low);
}

static bool is_drawn(const struct molt_bench_line *line, size_t i)
{
    return line->x[i] > 0 && line->y[i] > 0;
}

static void include(struct axis *axis, double value)
{
    if (value > 0) {
        axis->low = fmin(axis->low, log10(value));
        axis->high = fmax(axis->high, log10(value));
    }
}

/* Less than a decade would exaggerate what differs by noise. */
static void widen(struct axis *axis, double least)
{
    double missing = least - (axis->high - axis->low);
    if (missing > 0) {
        axis->low -= missing / 2;
        axis->high += missing / 2;
    }
    double margin = 0.04 * (axis->high - axis->low);
    axis->low -= margin;
    axis->high += margin;
}

static bool measure_axes(struct place *p)
{
    p->x = (struct axis){INFINITY, -INFINITY, LEFT, WIDTH - RIGHT};
    p->y = (struct axis){INFINITY, -INFINITY, HEIGHT - BOTTOM, TOP};
    for (size_t i = 0; i < p->plot->n_lines; i++) {
        const struct molt_bench_line *line = &p->plot->lines[i];
        for (size_t k = 0; k < line->n; k++)
            if (is_drawn(line, k)) {
                include(&p->x, line->x[k]);
                include(&p->y, line->y[k]);
                include(&p->y, line->low[k]);
                include(&p->y, line->high[k]);
            }
    }
    if (p->x.low > p->x.high)
        return false;
    include(&p->y, p->plot->goal);
    widen(&p->x, 0.5);
    widen(&p->y, 1);
    return true;
}

/* ---- text --------------------------------------------------------------------- */

void molt_bench_plot_number(double value, char *text, size_t size)
{
    static const char *const units[] = {"", "k", "M", "G"};
    size_t unit = 0;
    for (; unit < 3 && (value >= 10000 || (value >= 1000 && fmod(value, 1000) == 0)); unit++)
        value /= 1000;
    snprintf(text, size, "%.4g%s", value, units[unit]);
}

static void print_text(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else
            fputc(*text, out);
}

static void write_text(FILE *out, double x, double y, const char *attributes, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    print_text(out, text);
    fputs("</text>\n", out);
}

/* ---- axes ----------------------------------------------------------------------- */

static void draw_rule(const struct place *p, double x1, double y1, double x2, double y2,
                      const char *style)
{
    fprintf(p->out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2,
            style);
}

static void draw_tick(const struct place *p, const struct axis *axis, double value, bool is_named)
{
    const char *style = is_named ? "stroke=\"#d0d0d0\"" : "stroke=\"#efefef\"";
    char text[32];
    double where = at(axis, value);
    molt_bench_plot_number(value, text, sizeof(text));
    if (axis == &p->x)
        draw_rule(p, where, p->y.from, where, p->y.to, style);
    else
        draw_rule(p, p->x.from, where, p->x.to, where, style);
    if (!is_named)
        return;
    if (axis == &p->x)
        write_text(p->out, where, p->y.from + 20, "text-anchor=\"middle\"", text);
    else
        write_text(p->out, p->x.from - 8, where + 4, "text-anchor=\"end\"", text);
}

/* Decades have names; where there are few of them 2 and 5 have, too. */
static void draw_ticks(const struct place *p, const struct axis *axis)
{
    bool is_short = axis->high - axis->low < 2.6;
    for (int decade = (int)floor(axis->low); decade <= (int)ceil(axis->high); decade++)
        for (int digit = 1; digit < 10; digit++) {
            double value = digit * pow(10, decade), where = log10(value);
            if (where < axis->low || where > axis->high)
                continue;
            bool is_named = digit == 1 || (is_short && (digit == 2 || digit == 5));
            if (is_named || is_short)
                draw_tick(p, axis, value, is_named);
        }
}

static void draw_axes(const struct place *p)
{
    draw_ticks(p, &p->x);
    draw_ticks(p, &p->y);
    draw_rule(p, p->x.from, p->y.from, p->x.to, p->y.from, "stroke=\"#444\"");
    draw_rule(p, p->x.from, p->y.from, p->x.from, p->y.to, "stroke=\"#444\"");
    write_text(p->out, (p->x.from + p->x.to) / 2, HEIGHT - 16, "text-anchor=\"middle\"",
               p->plot->x_label);
    double middle = (p->y.from + p->y.to) / 2;
    char turned[96];
    snprintf(turned, sizeof(turned), "text-anchor=\"middle\" transform=\"rotate(-90 22 %.1f)\"",
             middle);
    write_text(p->out, 22, middle, turned, p->plot->y_label);
}

/* ---- lines ------------------------------------------------------------------------ */

static void draw_marker(FILE *out, size_t line, double x, double y)
{
    const char *colour = colours[line];
    switch (line % 4) {
    case 0:
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", x, y, colour);
        break;
    case 1:
        fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\" fill=\"%s\"/>\n",
                x - 3.5, y - 3.5, colour);
        break;
    case 2:
        fprintf(out, "<path d=\"M%.1f %.1f l5 9 h-10 z\" fill=\"%s\"/>\n", x, y - 5.5, colour);
        break;
    default:
        fprintf(out, "<path d=\"M%.1f %.1f l5 5 l-5 5 l-5 -5 z\" fill=\"%s\"/>\n", x, y - 5,
                colour);
    }
}

static void draw_line(const struct place *p, size_t number)
{
    const struct molt_bench_line *line = &p->plot->lines[number];
    char style[64];
    snprintf(style, sizeof(style), "stroke=\"%s\" stroke-width=\"1.2\"", colours[number]);
    fputs("<polyline points=\"", p->out);
    for (size_t i = 0; i < line->n; i++)
        if (is_drawn(line, i))
            fprintf(p->out, "%.1f,%.1f ", at(&p->x, line->x[i]), at(&p->y, line->y[i]));
    fprintf(p->out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", colours[number]);
    for (size_t i = 0; i < line->n; i++)
        if (is_drawn(line, i)) {
            double x = at(&p->x, line->x[i]);
            if (line->low[i] > 0 && line->high[i] > line->low[i])
                draw_rule(p, x, at(&p->y, line->low[i]), x, at(&p->y, line->high[i]), style);
            draw_marker(p->out, number, x, at(&p->y, line->y[i]));
        }
}

/* ---- names of the lines at their right ends --------------------------------------------- */

struct label {
    size_t line;
    double y;
};

static int compare_labels(const void *a, const void *b)
{
    double x = ((const struct label *)a)->y, y = ((const struct label *)b)->y;
    return (x > y) - (x < y);
}

/* In the order of the ends, pushed apart where they would overlap. */
static void draw_labels(const struct place *p)
{
    struct label labels[MOLT_BENCH_LINES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < p->plot->n_lines; i++) {
        const struct molt_bench_line *line = &p->plot->lines[i];
        for (size_t k = line->n; k-- > 0;)
            if (is_drawn(line, k)) {
                labels[n++] = (struct label){i, at(&p->y, line->y[k])};
                break;
            }
    }
    qsort(labels, n, sizeof(*labels), compare_labels);
    for (size_t i = 1; i < n; i++)
        labels[i].y = fmax(labels[i].y, labels[i - 1].y + 18);
    double over = n ? labels[n - 1].y - (HEIGHT - BOTTOM) : 0;
    for (size_t i = 0; i < n; i++) {
        char style[96];
        double y = labels[i].y - fmax(over, 0);
        snprintf(style, sizeof(style), "font-weight=\"bold\" fill=\"%s\"", colours[labels[i].line]);
        draw_marker(p->out, labels[i].line, p->x.to + 16, y);
        write_text(p->out, p->x.to + 26, y + 4, style, p->plot->lines[labels[i].line].name);
    }
}

static void draw_goal(const struct place *p)
{
    if (!(p->plot->goal > 0))
        return;
    double y = at(&p->y, p->plot->goal);
    draw_rule(p, p->x.from, y, p->x.to, y, "stroke=\"#888\" stroke-dasharray=\"6 4\"");
    write_text(p->out, p->x.from + 6, y - 5, "fill=\"#666\"", "goal");
}

void molt_bench_plot_write(const struct molt_bench_plot *plot, FILE *out)
{
    struct place p = {.plot = plot, .out = out};
    fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 "
        "%.0f %.0f\" font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"13\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    write_text(out, LEFT, 28, "font-size=\"16\" font-weight=\"bold\"", plot->title);
    if (measure_axes(&p)) {
        draw_axes(&p);
        draw_goal(&p);
        for (size_t i = plot->n_lines; i-- > 0;)
            draw_line(&p, i);
        draw_labels(&p);
    } else {
        write_text(out, WIDTH / 2, HEIGHT / 2, "text-anchor=\"middle\"", "nothing was measured");
    }
    fputs("</svg>\n", out);
}
