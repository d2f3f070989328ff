/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What is read from the runs, as tables, data and pictures. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "http/http.h"
#include "tool/bench.h"
#include "tool/plot.h"

#define HEAD 1 /* of molt_http_points: 100, which goals are set for */

static double rate(const struct http_run *r)
{
    return (double)r->load.requests / ((double)r->load.elapsed_ns / 1e9);
}
static double cpu_us(const struct http_run *r)
{
    return r->load.requests ? r->cpu_s * 1e6 / (double)r->load.requests : NAN;
}
static double p50_ms(const struct http_run *r)
{
    return (double)r->load.p50_ns / 1e6;
}
static double p99_ms(const struct http_run *r)
{
    return (double)r->load.p99_ns / 1e6;
}
static double p999_ms(const struct http_run *r)
{
    return (double)r->load.p999_ns / 1e6;
}
static double max_ms(const struct http_run *r)
{
    return (double)r->load.max_ns / 1e6;
}
static double memory_mib(const struct http_run *r)
{
    return r->memory / (1 << 20);
}
static double failed(const struct http_run *r)
{
    return (double)(r->load.n_failures + r->load.lost);
}
static double busy(const struct http_run *r)
{
    return 100 * r->cpu_s / ((double)r->load.elapsed_ns / 1e9);
}
static double load_busy(const struct http_run *r)
{
    return 100 * r->load_cpu_s / ((double)r->load.elapsed_ns / 1e9);
}

/* clang-format off */
const struct http_metric molt_http_metrics[] = {
    {"rate", "requests/s", rate, true, 0, 0, true},
    {"cpu", "server's processor time a request, us", cpu_us, false, 2, 6, true},
    {"p50", "p50, ms", p50_ms, false, 2, 0, false},
    {"p99", "p99, ms", p99_ms, false, 2, 0, true},
    {"p999", "p99.9, ms", p999_ms, false, 2, 0, false},
    {"max", "longest, ms", max_ms, false, 1, 0, false},
    {"memory", "memory under load (Pss), MiB", memory_mib, false, 1, 0, true},
};
/* clang-format on */
const size_t molt_http_n_metrics = sizeof(molt_http_metrics) / sizeof(*molt_http_metrics);

/* ---- reading ------------------------------------------------------------------------ */

static struct molt_bench_cell over(const struct http_runs *runs,
                                   double (*value)(const struct http_run *run))
{
    struct molt_bench_series s = {0};
    for (unsigned i = 0; i < runs->n; i++)
        molt_bench_add(&s, value(&runs->runs[i]));
    struct molt_bench_cell cell = molt_bench_cell(&s);
    molt_bench_series_fini(&s);
    return cell;
}

struct molt_bench_cell molt_http_cell(const struct http_results *results,
                                      const struct http_metric *metric, unsigned point,
                                      enum http_who who)
{
    return over(&results->of[point][who], metric->value);
}

struct molt_bench_cell molt_http_better(const struct http_results *results,
                                        const struct http_metric *metric, unsigned point,
                                        enum http_who peer)
{
    const struct http_runs *ours = &results->of[point][HTTP_MOLT];
    const struct http_runs *theirs = &results->of[point][peer];
    double a[HTTP_ROUNDS_MAX], b[HTTP_ROUNDS_MAX];
    unsigned n = ours->n < theirs->n ? ours->n : theirs->n;
    for (unsigned i = 0; i < n; i++) {
        a[i] = metric->value(&ours->runs[i]);
        b[i] = metric->value(&theirs->runs[i]);
    }
    return molt_bench_better(n, a, b, metric->is_more_better);
}

/* ---- tables --------------------------------------------------------------------------- */

static void print_cell(FILE *out, const struct molt_bench_cell *c, int digits)
{
    if (c->n == 0 || !isfinite(c->median))
        fputs(" - |", out);
    else if (c->n == 1)
        fprintf(out, " %.*f |", digits, c->median);
    else
        fprintf(out, " %.*f [%.*f-%.*f] |", digits, c->median, digits, c->low, digits, c->high);
}

static double sum_failed(const struct http_runs *runs)
{
    double sum = 0;
    for (unsigned i = 0; i < runs->n; i++)
        sum += failed(&runs->runs[i]);
    return sum;
}

/* The fewest at the end of any run. */
static unsigned least_open(const struct http_runs *runs)
{
    unsigned least = runs->runs[0].load.open;
    for (unsigned i = 1; i < runs->n; i++)
        least = runs->runs[i].load.open < least ? runs->runs[i].load.open : least;
    return least;
}

static void print_server(FILE *out, const struct http_results *r, unsigned point, unsigned who)
{
    const struct http_runs *runs = &r->of[point][who];
    struct molt_bench_cell server = over(runs, busy), load = over(runs, load_busy);
    fprintf(out, "| %s |", molt_http_servers[who].title);
    for (size_t i = 0; i < molt_http_n_metrics; i++) {
        struct molt_bench_cell cell =
            molt_http_cell(r, &molt_http_metrics[i], point, (enum http_who)who);
        print_cell(out, &cell, molt_http_metrics[i].digits);
    }
    fprintf(out, " %.0f | %u | %.0f / %.0f |\n", sum_failed(runs), least_open(runs), server.median,
            load.median);
}

static const char *word_of(enum molt_bench_verdict verdict)
{
    static const char *const words[] = {[MOLT_BENCH_BETTER] = "better",
                                        [MOLT_BENCH_LEVEL] = "level",
                                        [MOLT_BENCH_WORSE] = "**worse**",
                                        [MOLT_BENCH_OPEN] = "undecided"};
    return words[verdict];
}

static void print_ratio(FILE *out, const struct http_results *r, unsigned point, unsigned who)
{
    fprintf(out, "| **molt, times better** than %s |", molt_http_servers[who].title);
    for (size_t i = 0; i < molt_http_n_metrics; i++) {
        struct molt_bench_cell better =
            molt_http_better(r, &molt_http_metrics[i], point, (enum http_who)who);
        if (better.n == 0)
            fputs(" - |", out);
        else if (better.n < 3)
            fprintf(out, " %.2f |", better.median);
        else
            fprintf(out, " %.2f [%.2f-%.2f], %s |", better.median, better.low, better.high,
                    word_of(molt_bench_judge(&better)));
    }
    fputs(" | | |\n", out);
}

static void print_table(FILE *out, const struct http_results *r, unsigned point)
{
    fprintf(out, "\n## %u connections\n\n|", molt_http_points[point]);
    for (size_t i = 0; i < molt_http_n_metrics; i++)
        fprintf(out, " | %s", molt_http_metrics[i].title);
    fputs(" | failed | open | busy: server / load, % of a core |\n|---|", out);
    for (size_t i = 0; i < molt_http_n_metrics + 3; i++)
        fputs("---|", out);
    fputc('\n', out);
    for (unsigned who = 0; who < HTTP_WHO; who++)
        if (r->of[point][who].n > 0)
            print_server(out, r, point, who);
    for (unsigned who = HTTP_MOLT + 1; who < HTTP_WHO; who++)
        if (r->of[point][who].n > 0 && r->of[point][HTTP_MOLT].n > 0)
            print_ratio(out, r, point, who);
}

/* ---- goals ------------------------------------------------------------------------------- */

static void print_goal(FILE *out, const char *what, bool is_met, const char *how)
{
    fprintf(out, "| %s | %s | %s |\n", what, how, is_met ? "met" : "**missed**");
}

/* At least nginx's rate and at most its p99 in the same run, by the median of
 * ratios; and an amount of processor time. */
static void print_goals(FILE *out, const struct http_results *r)
{
    if (!r->of[HEAD][HTTP_MOLT].n)
        return;
    fputs("\n| goal at 100 connections | measured | |\n|---|---|---|\n", out);
    for (size_t i = 0; i < molt_http_n_metrics; i++) {
        const struct http_metric *m = &molt_http_metrics[i];
        struct molt_bench_cell ours = molt_http_cell(r, m, HEAD, HTTP_MOLT);
        struct molt_bench_cell better = molt_http_better(r, m, HEAD, HTTP_NGINX);
        bool is_relative = strcmp(m->name, "rate") == 0 || strcmp(m->name, "p99") == 0;
        char *what = NULL, *how = NULL;
        if (m->goal > 0) {
            what = molt_bench_text("%s: at most %g", m->title, m->goal);
            how = molt_bench_text("%.*f [%.*f-%.*f]", m->digits, ours.median, m->digits, ours.low,
                                  m->digits, ours.high);
            print_goal(out, what, ours.median <= m->goal, how);
        } else if (is_relative && better.n > 0) {
            what = molt_bench_text("%s: no worse than nginx", m->title);
            how = molt_bench_text("%.2f times better [%.2f-%.2f]", better.median, better.low,
                                  better.high);
            print_goal(out, what, better.median >= 1, how);
        }
        free(what);
        free(how);
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void print_pictures(FILE *out)
{
    fputs("\n## Growth\n", out);
    for (size_t i = 0; i < molt_http_n_metrics; i++)
        if (molt_http_metrics[i].is_in_growth)
            fprintf(out, "\n![%s](http-%s.svg)\n", molt_http_metrics[i].title,
                    molt_http_metrics[i].name);
}

static const char notes[] =
    "\n## What is compared, and what isn't\n\n"
    "- One request at a time on each connection, as fast as answers come; the load generator "
    "(bench/load.h, one thread) checks every answer. Where *busy* says that the load has used its "
    "core up, requests/s is what the load can do, not the server, and latency is the load's too: "
    "processor time a request is what to compare then.\n"
    "- *Failed*: requests without a right answer and connections lost, in all rounds. *Open*: "
    "connections that were up at the end, the fewest of all rounds; a server that doesn't accept "
    "them all within 15 s is measured with those that it has.\n"
    "- Counting starts when all connections are open and served, and half a second later. "
    "Latencies are of a closed loop: with all connections waiting they are little else than "
    "connections divided by rate, and p99 says how evenly the server takes turns.\n"
    "- molt: a handler that prints with molt_http_printf() on module http. nginx: `return 200`, no "
    "log, keepalive_requests 10^9. Go: net/http. *Erlang, own*: bench/swap/hello_server.erl, a "
    "server of 80 lines on gen_tcp that does nothing else, `+sbwt none`; *MochiWeb* is the server "
    "that Debian has as a package (there is no Cowboy). *Plain C* reads, looks for nothing but the "
    "end of the request, and writes a constant (bench/swap/plain.c): the floor, not a contender.\n"
    "- Answers differ by some header fields: nginx, Go and MochiWeb send Date, nginx and MochiWeb "
    "Server; the others neither. nginx also has what molt's server lacks: TLS, HTTP/2, files, "
    "proxying.\n"
    "- Memory is of the server with its code, with Pss shared pages count in part. molt's host "
    "has its runtime and upgrade machinery in it. nginx takes its memory for 11,000 connections at "
    "its start, plain C takes 8 KiB for each.\n";

void molt_http_report(FILE *out, const struct http_results *r)
{
    fprintf(out,
            "# HTTP\n\nOne thread or process that serves%s, %u interleaved round%s of %u s a run. "
            "`./dev bench http%s`\n\n",
            r->workers > 1 ? " (here: more)" : "", r->rounds, r->rounds == 1 ? "" : "s", r->seconds,
            r->is_short ? " --short" : "");
    molt_bench_print_machine(out);
    if (r->is_bound)
        fprintf(out, "Serving: %u core%s; load: the other core%s.\n", r->workers,
                r->workers == 1 ? "" : "s", r->workers == 1 ? "" : "s");
    else
        fputs("There is no core for the load alone: server and load share them.\n", out);
    print_goals(out, r);
    for (unsigned point = 0; point < HTTP_POINTS; point++)
        if (r->of[point][HTTP_MOLT].n || r->of[point][HTTP_NGINX].n)
            print_table(out, r, point);
    fputs("\nMedians; in brackets the interval of the median (95 % or more from six rounds on, "
          "smallest to largest with fewer). *Times better*: median and interval of the rounds' "
          "ratios; level if the interval holds 1. Fewer than three rounds decide nothing.\n",
          out);
    if (!r->is_short)
        print_pictures(out);
    fputs(notes, out);
}

/* ---- JSON and pictures --------------------------------------------------------------------------
 */

static json_t *run_json(const struct http_run *r)
{
    json_t *object = json_object();
    for (size_t i = 0; i < molt_http_n_metrics; i++)
        json_object_set_new(object, molt_http_metrics[i].name,
                            json_real(molt_http_metrics[i].value(r)));
    json_object_set_new(object, "failed", json_real(failed(r)));
    json_object_set_new(object, "open", json_integer(r->load.open));
    json_object_set_new(object, "server_busy_percent", json_real(busy(r)));
    json_object_set_new(object, "load_busy_percent", json_real(load_busy(r)));
    return object;
}

static json_t *point_json(const struct http_results *r, unsigned point)
{
    json_t *object = json_object();
    json_object_set_new(object, "connections", json_integer(molt_http_points[point]));
    for (unsigned who = 0; who < HTTP_WHO; who++) {
        json_t *list = json_array();
        for (unsigned i = 0; i < r->of[point][who].n; i++)
            json_array_append_new(list, run_json(&r->of[point][who].runs[i]));
        json_object_set_new(object, molt_http_servers[who].name, list);
    }
    return object;
}

static void save_json(const char *dir, const struct http_results *r)
{
    json_t *root = json_object(), *points = json_array();
    char *path = molt_bench_text("%s/http.json", dir), *machine = molt_bench_machine();
    json_object_set_new(root, "machine", json_string(machine));
    json_object_set_new(root, "workers", json_integer(r->workers));
    json_object_set_new(root, "seconds", json_integer(r->seconds));
    for (unsigned point = 0; point < HTTP_POINTS; point++)
        json_array_append_new(points, point_json(r, point));
    json_object_set_new(root, "points", points);
    if (json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) < 0)
        molt_bench_die("can't write %s", path);
    json_decref(root);
    free(machine);
    free(path);
}

static void fill_line(const struct http_results *r, const struct http_metric *m, unsigned who,
                      struct molt_bench_line *line)
{
    *line = (struct molt_bench_line){.name = molt_http_servers[who].title};
    for (unsigned point = 0; point < HTTP_POINTS; point++) {
        struct molt_bench_cell cell = molt_http_cell(r, m, point, (enum http_who)who);
        if (cell.n == 0)
            continue;
        line->x[line->n] = molt_http_points[point];
        line->y[line->n] = cell.median;
        line->low[line->n] = cell.low;
        line->high[line->n++] = cell.high;
    }
}

static void save_picture(const char *dir, const struct http_results *r, const struct http_metric *m)
{
    char *path = molt_bench_text("%s/http-%s.svg", dir, m->name);
    char *label =
        molt_bench_text("%s (%s is better)", m->title, m->is_more_better ? "higher" : "lower");
    char *title = molt_bench_text("HTTP hello: %s", m->title);
    struct molt_bench_plot plot = {.title = title,
                                   .x_label = "connections",
                                   .y_label = label,
                                   .goal = m->goal};
    for (unsigned who = 0; who < HTTP_WHO; who++) {
        fill_line(r, m, who, &plot.lines[plot.n_lines]);
        plot.n_lines += plot.lines[plot.n_lines].n > 0;
    }
    FILE *file = fopen(path, "we");
    if (!file)
        molt_bench_die("can't write %s", path);
    molt_bench_plot_write(&plot, file);
    fclose(file);
    free(path);
    free(label);
    free(title);
}

void molt_http_save(const char *dir, const struct http_results *r)
{
    save_json(dir, r);
    for (size_t i = 0; i < molt_http_n_metrics; i++)
        if (molt_http_metrics[i].is_in_growth)
            save_picture(dir, r, &molt_http_metrics[i]);
}
