/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-bench-runtime: see the help. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "tool/bench.h"
#include "tool/options.h"

static const char help[] =
    "usage: molt-bench-runtime [OPTION]...\n"
    "molt's processes, messages and timers beside Erlang's and Go's, in interleaved\n"
    "rounds, each figure also over how many there are.\n"
    "\n"
    "  --short        three rounds of short runs, only the figures of the table, nothing\n"
    "                 above 100,000; about two minutes\n"
    "  --rounds N     rounds, 1 to 25 (5; --short: 3)\n"
    "  --ms MS        what a run takes (400; --short: 100)\n"
    "  --only NAMES   some experiments, see the names in runtime.json\n"
    "  --save DIR     write runtime.md, runtime.json and pictures there; a run with all\n"
    "                 defaults writes them to bench/results\n"
    "  --keep         leave the temporary folder with the programs and their output\n"
    "  --help\n";

#define SHORT_MAX 100000
#define MILLION_BYTES                                                                              \
    (5.0 * (1u << 30)) /* what a million of the hungriest peer needs, and more                     \
                        */

struct options {
    unsigned rounds, ms;
    bool is_short;
    const char *only, *save;
};

static const char program[] = "molt-bench-runtime";

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option table[] = {
        {"short", no_argument, NULL, 's'},      {"rounds", required_argument, NULL, 'r'},
        {"ms", required_argument, NULL, 'm'},   {"only", required_argument, NULL, 'o'},
        {"save", required_argument, NULL, 'd'}, {"keep", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},       {0}};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (c == 's')
            o->is_short = true;
        else if (c == 'r')
            o->rounds = molt_bench_number(program, "--rounds", optarg, 1, RT_ROUNDS_MAX);
        else if (c == 'm')
            o->ms = molt_bench_number(program, "--ms", optarg, 10, 10000);
        else if (c == 'o')
            o->only = optarg;
        else if (c == 'd')
            o->save = optarg;
        else if (c == 'k')
            molt_bench_keep_folder();
        else {
            fputs(help, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
    if (optind < argc) {
        fputs(help, stderr);
        exit(2);
    }
}

/* ---- running ------------------------------------------------------------------------ */

static bool is_wanted(const struct options *o, enum rt_experiment_id id, unsigned long n)
{
    static const unsigned long million = 1000000;
    const struct rt_experiment *e = &molt_rt_experiments[id];
    double available = (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (o->only && !molt_bench_is_listed(o->only, e->name))
        return false;
    if (n >= million && available < MILLION_BYTES) {
        molt_bench_say("%s with %lu is left out: %.0f GiB of free memory are needed", e->name, n,
                       MILLION_BYTES / (1u << 30));
        return false;
    }
    return !o->is_short || n == (e->head > SHORT_MAX ? SHORT_MAX : e->head);
}

/* Timers fire once all are armed, and not faster than any of the programs can
 * take them: lateness is then the timer's, not that of too much work. */
static struct rt_order order_of(const struct options *o, const struct rt_experiment *e,
                                unsigned long n)
{
    return (struct rt_order){.command = e->command,
                             .place = e->place,
                             .workers = e->workers,
                             .n = n,
                             .ms = o->ms,
                             .first_ms = 500 + (unsigned)(n / 250),
                             .spread_ms = 500 + (unsigned)(n / 200)};
}

static void say(const struct rt_experiment *e, const struct rt_subject *subject,
                const struct rt_order *order, const struct molt_bench_result *r)
{
    molt_bench_say("%-16s n=%-8lu %-11s %10.1f ns  cpu %8.1f ns", e->name, order->n, subject->name,
                   molt_bench_result_get(r, "wall_ns") / molt_bench_result_get(r, "ops"),
                   molt_rt_cpu_ns(r));
}

/* One after the other, and in the next round another one first. */
static void run_point(const struct options *o, struct rt_results *results, enum rt_experiment_id id,
                      size_t point, unsigned round)
{
    const struct rt_experiment *e = &molt_rt_experiments[id];
    struct rt_order order = order_of(o, e, e->points[point]);
    for (unsigned i = 0; i < RT_WHO; i++) {
        unsigned who = (i + round) % RT_WHO;
        if (!(e->who & 1u << who))
            continue;
        struct rt_runs *runs = &results->of[id][point][who];
        molt_rt_subjects[who].run(&order, &runs->runs[runs->n]);
        say(e, &molt_rt_subjects[who], &order, &runs->runs[runs->n++]);
    }
}

static unsigned run_round(const struct options *o, struct rt_results *results, unsigned round)
{
    unsigned n = 0;
    for (unsigned id = 0; id < RT_EXPERIMENTS; id++)
        for (size_t i = 0; i < RT_POINTS_MAX && molt_rt_experiments[id].points[i]; i++)
            if (is_wanted(o, (enum rt_experiment_id)id, molt_rt_experiments[id].points[i])) {
                run_point(o, results, (enum rt_experiment_id)id, i, round);
                n++;
            }
    return n;
}

static void save(const char *dir, const struct rt_results *results)
{
    char *path = molt_bench_text("%s/runtime.md", dir);
    molt_bench_mkdir(dir);
    FILE *file = fopen(path, "we");
    if (!file)
        molt_bench_die("can't write %s", path);
    molt_rt_report(file, results);
    fclose(file);
    molt_rt_save(dir, results);
    molt_bench_say("written: %s, runtime.json and pictures beside it", path);
    free(path);
}

int main(int argc, char **argv)
{
    static struct rt_results results;
    struct options o = {0};
    molt_bench_init("runtime");
    read_options(argc, argv, &o);
    if (!o.is_short && !o.rounds && !o.ms && !o.only && !o.save)
        o.save = MOLT_BENCH_SOURCE "/results";
    o.rounds = o.rounds ? o.rounds : o.is_short ? 3 : 5;
    o.ms = o.ms ? o.ms : o.is_short ? 100 : 400;
    results.rounds = o.rounds;
    results.ms = o.ms;
    results.is_short = o.is_short;
    for (unsigned i = 0; i < RT_WHO; i++)
        molt_rt_subjects[i].prepare();
    molt_rt_measure_limits(&results.limits);
    for (unsigned round = 0; round < o.rounds; round++) {
        molt_bench_say("round %u of %u", round + 1, o.rounds);
        if (run_round(&o, &results, round) == 0)
            molt_bench_die("--only %s names no experiment, or there is no memory for it",
                           o.only ? o.only : "");
    }
    for (unsigned i = 0; i < RT_WHO; i++)
        if (molt_rt_subjects[i].finish)
            molt_rt_subjects[i].finish();
    molt_rt_report(stdout, &results);
    if (o.save)
        save(o.save, &results);
    return 0;
}
