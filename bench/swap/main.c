/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-bench-swap: see the help. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "swap/swap.h"
#include "tool/bench.h"
#include "tool/options.h"

#define PEER_SHARE 3 /* the peers run a third of molt's rounds */

static const char help[] =
    "usage: molt-bench-swap [OPTION]...\n"
    "New code every 500 ms under load: molt, rolling restarts behind HAProxy, Erlang;\n"
    "each against itself without swaps, in interleaved rounds.\n"
    "\n"
    "  --rounds N     pairs of runs of molt (9); the others run a third of them\n"
    "  --seconds S    length of a run, 2 to 15 (10)\n"
    "  --only NAMES   some of molt,rolling,lingering,drained,erlang\n"
    "  --save DIR     write swap.md and swap.json there; a run with all defaults\n"
    "                 writes them to bench/results\n"
    "  --help\n";

static const struct swap_subject *const subjects[] = {&molt_swap_molt, &molt_swap_rolling,
                                                      &molt_swap_lingering, &molt_swap_drained,
                                                      &molt_swap_erlang};
#define N_SUBJECTS (sizeof(subjects) / sizeof(*subjects))

struct options {
    unsigned rounds, seconds;
    const char *only, *save;
};

static const char program[] = "molt-bench-swap";

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option table[] = {{"rounds", required_argument, NULL, 'r'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"save", required_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (c == 'r')
            o->rounds = molt_bench_number(program, "--rounds", optarg, 1, SWAP_ROUNDS_MAX);
        else if (c == 's')
            o->seconds = molt_bench_number(program, "--seconds", optarg, 2, 15);
        else if (c == 'o')
            o->only = optarg;
        else if (c == 'd')
            o->save = optarg;
        else {
            fputs(help, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
}

static void say_run(const struct swap_subject *subject, const struct swap_run *r)
{
    molt_bench_say("%-8s %-8s %6.0f requests/s  p99 %.2f ms  longest gap %.1f ms  dropped %lu  cut "
                   "%lu",
                   subject->name, r->is_swapping ? "swapped" : "control",
                   (double)r->load.requests / ((double)r->load.elapsed_ns / 1e9),
                   (double)r->load.p99_ns / 1e6, (double)r->load.longest_gap_ns / 1e6,
                   (unsigned long)r->load.n_failures, (unsigned long)r->load.lost);
}

/* Control and swapped in one server; which is first changes, so that what
 * drifts falls on both. The control that comes second runs in the last version. */
static void run_pair(struct swap_result *r, void *state, unsigned seconds)
{
    unsigned port = r->subject->start(state), i = r->n++;
    for (unsigned turn = 0; turn < 2; turn++) {
        bool is_swapping = turn != i % 2;
        struct swap_run *run = is_swapping ? &r->swapped[i] : &r->control[i];
        molt_swap_measure(r->subject, state, port, is_swapping, seconds, run);
        say_run(r->subject, run);
    }
    r->subject->stop(state);
}

static void save(const struct options *o, unsigned n, struct swap_result *const *results)
{
    char *md = molt_bench_text("%s/swap.md", o->save),
         *json = molt_bench_text("%s/swap.json", o->save);
    molt_bench_mkdir(o->save);
    FILE *file = fopen(md, "we");
    if (!file)
        molt_bench_die("can't write %s", md);
    molt_swap_report(file, n, results, o->seconds);
    fclose(file);
    molt_swap_json(json, n, results, o->seconds);
    molt_bench_say("written: %s, %s", md, json);
    free(md);
    free(json);
}

static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void run(const struct options *o)
{
    struct swap_result *results[N_SUBJECTS];
    void *states[N_SUBJECTS];
    unsigned n = 0, n_versions = o->seconds * 1000 / SWAP_PERIOD_MS - 1;
    for (size_t i = 0; i < N_SUBJECTS; i++) {
        if (o->only && !molt_bench_is_listed(o->only, subjects[i]->name))
            continue;
        molt_bench_say("preparing %s", subjects[i]->title);
        results[n] = calloc(1, sizeof(**results));
        if (!results[n])
            molt_bench_die("out of memory");
        results[n]->subject = subjects[i];
        states[n++] = subjects[i]->prepare(n_versions);
    }
    if (!n)
        molt_bench_die("--only %s names none of the subjects, see --help", o->only);
    for (unsigned round = 0; round < o->rounds; round++)
        for (unsigned i = 0; i < n; i++)
            if (results[i]->subject == &molt_swap_molt || round % PEER_SHARE == 0)
                run_pair(results[i], states[i], o->seconds);
    molt_swap_report(stdout, n, results, o->seconds);
    if (o->save)
        save(o, n, results);
    for (unsigned i = 0; i < n; i++)
        free(results[i]);
}

int main(int argc, char **argv)
{
    struct options o = {.rounds = 9, .seconds = 10};
    read_options(argc, argv, &o);
    if (o.rounds == 9 && o.seconds == 10 && !o.only && !o.save)
        o.save = MOLT_BENCH_SOURCE "/results";
    molt_bench_init("swap");
    allow_descriptors();
    run(&o);
    return 0;
}
