/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "swap/swap.h"
#include "tool/bench.h"

typedef double value_fn(const struct swap_run *run);

static double failures(const struct swap_run *r)
{
    return (double)r->load.n_failures;
}
static double cut(const struct swap_run *r)
{
    return (double)r->load.lost;
}
static double reconnects(const struct swap_run *r)
{
    return (double)r->load.reconnects;
}
static double reached(const struct swap_run *r)
{
    return r->n_reached;
}
static double swaps(const struct swap_run *r)
{
    return r->n_swaps;
}
static double late(const struct swap_run *r)
{
    return r->n_late;
}
static double downtime_ms(const struct swap_run *r)
{
    return (double)r->downtime_ns / 1e6;
}
static double swap_ms(const struct swap_run *r)
{
    return r->swap_ms;
}
static double swap_max_ms(const struct swap_run *r)
{
    return r->swap_max_ms;
}
static double switch_max_us(const struct swap_run *r)
{
    return r->switch_max_us;
}
static double held_max_us(const struct swap_run *r)
{
    return r->held_max_us;
}
static double rate(const struct swap_run *r)
{
    return (double)r->load.requests / ((double)r->load.elapsed_ns / 1e9);
}
static double cpu_us(const struct swap_run *r)
{
    return r->cpu_us;
}
static double p50_ms(const struct swap_run *r)
{
    return (double)r->load.p50_ns / 1e6;
}
static double p99_ms(const struct swap_run *r)
{
    return (double)r->load.p99_ns / 1e6;
}
static double p999_ms(const struct swap_run *r)
{
    return (double)r->load.p999_ns / 1e6;
}
static double max_ms(const struct swap_run *r)
{
    return (double)r->load.max_ns / 1e6;
}
static double gap_ms(const struct swap_run *r)
{
    return (double)r->load.longest_gap_ns / 1e6;
}
static double memory_kib(const struct swap_run *r)
{
    return (r->memory + r->standing) / 1024;
}
static double growth_kib(const struct swap_run *r)
{
    return r->memory / 1024;
}

/* ---- cells ------------------------------------------------------------------------ */

struct cell {
    double low, median, high; /* quartiles */
};

static struct cell over(const struct swap_run *runs, unsigned n, value_fn *value)
{
    struct molt_bench_series s = {0};
    for (unsigned i = 0; i < n; i++)
        molt_bench_add(&s, value(&runs[i]));
    struct cell c = {molt_bench_quantile(&s, 0.25), molt_bench_quantile(&s, 0.5),
                     molt_bench_quantile(&s, 0.75)};
    molt_bench_series_fini(&s);
    return c;
}

/* Of swapped over control, pair by pair. */
static struct cell ratio(const struct swap_result *r, value_fn *value)
{
    struct molt_bench_series s = {0};
    for (unsigned i = 0; i < r->n; i++)
        if (value(&r->control[i]) > 0)
            molt_bench_add(&s, value(&r->swapped[i]) / value(&r->control[i]));
    struct cell c = {molt_bench_quantile(&s, 0.25), molt_bench_quantile(&s, 0.5),
                     molt_bench_quantile(&s, 0.75)};
    molt_bench_series_fini(&s);
    return c;
}

/* The sum over all runs: what is lost in one of nine is lost. */
static double sum(const struct swap_run *runs, unsigned n, value_fn *value)
{
    double total = 0;
    for (unsigned i = 0; i < n; i++)
        total += value(&runs[i]);
    return total;
}

static double lowest(const struct swap_run *runs, unsigned n, value_fn *value)
{
    double low = n ? value(&runs[0]) : 0;
    for (unsigned i = 1; i < n; i++)
        low = value(&runs[i]) < low ? value(&runs[i]) : low;
    return low;
}

/* ---- tables ------------------------------------------------------------------------ */

static void print_cell(FILE *out, struct cell c, int digits)
{
    fprintf(out, " %.*f [%.*f-%.*f] |", digits, c.median, digits, c.low, digits, c.high);
}

static void print_losses(FILE *out, const char *title, const struct swap_run *runs, unsigned n,
                         bool is_swapping)
{
    fprintf(out, "| %s | %u | %.0f |", title, n, sum(runs, n, swaps));
    print_cell(out, over(runs, n, downtime_ms), 1);
    fprintf(out, " %.0f | %.0f | %.0f |", sum(runs, n, failures), sum(runs, n, cut),
            sum(runs, n, reconnects));
    if (is_swapping)
        fprintf(out, " %.0f |", lowest(runs, n, reached));
    else
        fputs(" - |", out);
    print_cell(out, over(runs, n, memory_kib), 0);
    print_cell(out, over(runs, n, growth_kib), 0);
    fputc('\n', out);
}

static void print_loss_table(FILE *out, unsigned n, struct swap_result *const *results)
{
    fputs("| | runs | swaps | downtime, ms | requests dropped | connections cut | reconnects | "
          "reached new code without reconnecting | extra memory, KiB | of that, growth |\n"
          "|---|---|---|---|---|---|---|---|---|---|\n",
          out);
    for (unsigned i = 0; i < n; i++) {
        const struct swap_result *r = results[i];
        char *title = molt_bench_text("%s: control, no swaps", r->subject->title);
        print_losses(out, title, r->control, r->n, false);
        print_losses(out, r->subject->title, r->swapped, r->n, true);
        free(title);
    }
    fprintf(out,
            "\nDropped, cut and reconnects are sums over all runs. *Reached*: connections of %u, "
            "the fewest for any swap of any run. *Downtime*: longest interval in which no "
            "connection had a success. *Extra memory*: Pss; most growth seen at any swap, and what "
            "swapping needs all the time (proxy and second instance). Medians over runs, "
            "quartiles in brackets.\n",
            SWAP_CONNECTIONS);
}

static void print_latency(FILE *out, const char *title, const struct swap_run *runs, unsigned n)
{
    fprintf(out, "| %s |", title);
    print_cell(out, over(runs, n, rate), 0);
    print_cell(out, over(runs, n, cpu_us), 1);
    print_cell(out, over(runs, n, p50_ms), 2);
    print_cell(out, over(runs, n, p99_ms), 2);
    print_cell(out, over(runs, n, p999_ms), 2);
    print_cell(out, over(runs, n, max_ms), 1);
    print_cell(out, over(runs, n, gap_ms), 1);
    fputc('\n', out);
}

static void print_ratio(FILE *out, const struct swap_result *r)
{
    fprintf(out, "| **ratio**, %u pairs |", r->n);
    print_cell(out, ratio(r, rate), 2);
    print_cell(out, ratio(r, cpu_us), 2);
    print_cell(out, ratio(r, p50_ms), 2);
    print_cell(out, ratio(r, p99_ms), 2);
    print_cell(out, ratio(r, p999_ms), 2);
    print_cell(out, ratio(r, max_ms), 2);
    print_cell(out, ratio(r, gap_ms), 2);
    fputc('\n', out);
}

static void print_latency_table(FILE *out, unsigned n, struct swap_result *const *results)
{
    fputs("\n| | requests/s | server's processor time a request, us | p50, ms | p99, ms | p99.9, "
          "ms | max, ms | longest gap, ms |\n"
          "|---|---|---|---|---|---|---|---|\n",
          out);
    for (unsigned i = 0; i < n; i++) {
        const struct swap_result *r = results[i];
        char *title = molt_bench_text("%s: control, no swaps", r->subject->title);
        print_latency(out, title, r->control, r->n);
        print_latency(out, r->subject->title, r->swapped, r->n);
        print_ratio(out, r);
        free(title);
    }
    fputs("\nRatio: swapped over control, pair by pair, in the same server process one after the "
          "other, order changing from pair to pair; median and quartiles.\n",
          out);
}

/* The host's histogram, over all runs with swaps. */
static void print_stops(FILE *out, const struct swap_result *r)
{
    uint64_t sums[MOLT_STOP_BUCKETS] = {0}, all = 0;
    for (unsigned run = 0; run < r->n; run++)
        for (unsigned i = 0; i < MOLT_STOP_BUCKETS; i++)
            sums[i] += r->swapped[run].stops[i];
    fprintf(out, "\nIts histogram of stops (threads at their first boundary in a new world, and "
                 "processes that were held):\n\n| shorter than, us | stops |\n|---|---|\n");
    for (unsigned i = 0; i < MOLT_STOP_BUCKETS; i++) {
        all += sums[i];
        if (sums[i])
            fprintf(out, "| %.3f | %llu |\n", (double)(UINT64_C(2) << i) / 1e3,
                    (unsigned long long)sums[i]);
    }
    fprintf(out, "| all | %llu |\n", (unsigned long long)all);
}

static void print_swap_table(FILE *out, unsigned n, struct swap_result *const *results)
{
    fputs("\n| | a swap takes, ms | longest, ms | begun late |\n|---|---|---|---|\n", out);
    for (unsigned i = 0; i < n; i++) {
        const struct swap_result *r = results[i];
        fprintf(out, "| %s |", r->subject->title);
        print_cell(out, over(r->swapped, r->n, swap_ms), 2);
        print_cell(out, over(r->swapped, r->n, swap_max_ms), 1);
        fprintf(out, " %.0f |\n", sum(r->swapped, r->n, late));
    }
    for (unsigned i = 0; i < n; i++) {
        const struct swap_result *r = results[i];
        if (r->subject != &molt_swap_molt)
            continue;
        struct cell at_switch = over(r->swapped, r->n, switch_max_us);
        struct cell held = over(r->swapped, r->n, held_max_us);
        fprintf(out,
                "\nThe host's own account of the longest stop in a run: the switch takes %.1f us "
                "[%.1f-%.1f], processes are held %.1f us [%.1f-%.1f].\n",
                at_switch.median, at_switch.low, at_switch.high, held.median, held.low, held.high);
        print_stops(out, r);
    }
}

void molt_swap_report(FILE *out, unsigned n, struct swap_result *const *results, unsigned seconds)
{
    fprintf(
        out,
        "# Swapping code under load\n\n"
        "One service that answers \"Hello N\", %u keep-alive connections at full speed from one "
        "thread, versions made ahead, a new one every %u ms for %u s. `./dev bench swap`\n\n",
        SWAP_CONNECTIONS, SWAP_PERIOD_MS, seconds);
    molt_bench_print_machine(out);
    fputs("\n", out);
    print_loss_table(out, n, results);
    print_latency_table(out, n, results);
    print_swap_table(out, n, results);
    if (n == 1)
        return;
    fputs("\nThe rolling restarts are of two instances of a plain epoll server in C "
          "(bench/swap/plain.c). At SIGTERM it answers what has arrived with `Connection: close`, "
          "then closes, as nginx and Go's net/http do; or it lingers: it goes on so until nothing "
          "came for 50 ms. HAProxy has one thread and `option redispatch`, where drained also "
          "`retry-on conn-failure empty-response`. A client's connection "
          "ends at the proxy, so it can reach new code without reconnecting; a request that is "
          "being answered, a WebSocket, and any state in memory can't. The Erlang server is "
          "bench/swap/hello_server.erl, "
          "`+sbwt none`, soft_purge before each load_binary.\n",
          out);
}

/* ---- JSON ---------------------------------------------------------------------------- */

static json_t *run_json(const struct swap_run *r)
{
    static const struct {
        const char *name;
        value_fn *value;
    } fields[] = {{"swaps", swaps},
                  {"late", late},
                  {"downtime_ms", downtime_ms},
                  {"dropped", failures},
                  {"cut", cut},
                  {"reconnects", reconnects},
                  {"reached", reached},
                  {"requests_per_s", rate},
                  {"cpu_us_per_request", cpu_us},
                  {"p50_ms", p50_ms},
                  {"p99_ms", p99_ms},
                  {"p999_ms", p999_ms},
                  {"max_ms", max_ms},
                  {"longest_gap_ms", gap_ms},
                  {"extra_memory_kib", memory_kib},
                  {"growth_kib", growth_kib},
                  {"swap_ms", swap_ms},
                  {"swap_max_ms", swap_max_ms},
                  {"switch_max_us", switch_max_us},
                  {"held_max_us", held_max_us}};
    json_t *object = json_object(), *kinds = json_object();
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        json_object_set_new(object, fields[i].name, json_real(fields[i].value(r)));
    for (int i = 0; i < MOLT_LOAD_FAILURES; i++)
        json_object_set_new(kinds, molt_load_failure_name((enum molt_load_failure)i),
                            json_integer((json_int_t)r->load.failures[i]));
    json_object_set_new(object, "dropped_by_kind", kinds);
    json_object_set_new(object, "requests", json_integer((json_int_t)r->load.requests));
    return object;
}

static json_t *runs_json(const struct swap_run *runs, unsigned n)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, run_json(&runs[i]));
    return list;
}

void molt_swap_json(const char *path, unsigned n, struct swap_result *const *results,
                    unsigned seconds)
{
    json_t *root = json_object(), *subjects = json_object();
    char *machine = molt_bench_machine();
    json_object_set_new(root, "machine", json_string(machine));
    json_object_set_new(root, "connections", json_integer(SWAP_CONNECTIONS));
    json_object_set_new(root, "period_ms", json_integer(SWAP_PERIOD_MS));
    json_object_set_new(root, "seconds", json_integer(seconds));
    for (unsigned i = 0; i < n; i++) {
        json_t *one = json_object();
        json_object_set_new(one, "title", json_string(results[i]->subject->title));
        json_object_set_new(one, "control", runs_json(results[i]->control, results[i]->n));
        json_object_set_new(one, "swapped", runs_json(results[i]->swapped, results[i]->n));
        json_object_set_new(subjects, results[i]->subject->name, one);
    }
    json_object_set_new(root, "subjects", subjects);
    if (json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) < 0)
        molt_bench_die("can't write %s", path);
    json_decref(root);
    free(machine);
}
