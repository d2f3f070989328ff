/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-bench-http: see the help. */
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/http.h"
#include "tool/bench.h"
#include "tool/options.h"
#include "tool/talk.h"

static const char help[] =
    "usage: molt-bench-http [OPTION]...\n"
    "\"Hello\" over HTTP/1.1, keep-alive, 10 to 10,000 connections: molt beside nginx, Go,\n"
    "Erlang and plain C, in interleaved rounds, server and load on cores of their own.\n"
    "\n"
    "  --short        two rounds of runs of 1 s, at 100 and 10,000 connections\n"
    "  --rounds N     rounds, 1 to 25 (5; --short: 2)\n"
    "  --seconds S    length of a run (5; --short: 1)\n"
    "  --workers N    threads or processes that serve (1); the load has the other cores\n"
    "  --only NAMES   some of molt,nginx,go,erlang,mochiweb,plain\n"
    "  --save DIR     write http.md, http.json and pictures there; a run with all\n"
    "                 defaults writes them to bench/results\n"
    "  --help\n";

#define START_MS 20000
#define CONNECT_MS 15000

struct options {
    unsigned rounds, seconds, workers;
    bool is_short;
    const char *only, *save;
};

const unsigned molt_http_points[HTTP_POINTS] = {10, 100, 1000, 10000};

static const char program[] = "molt-bench-http";

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option table[] = {
        {"short", no_argument, NULL, 's'},         {"rounds", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 't'}, {"workers", required_argument, NULL, 'w'},
        {"only", required_argument, NULL, 'o'},    {"save", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},          {0}};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (c == 's')
            o->is_short = true;
        else if (c == 'r')
            o->rounds = molt_bench_number(program, "--rounds", optarg, 1, HTTP_ROUNDS_MAX);
        else if (c == 't')
            o->seconds = molt_bench_number(program, "--seconds", optarg, 1, 600);
        else if (c == 'w')
            o->workers = molt_bench_number(program, "--workers", optarg, 1, 64);
        else if (c == 'o')
            o->only = optarg;
        else if (c == 'd')
            o->save = optarg;
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

/* ---- one run ------------------------------------------------------------------------ */

static int check(void *user, unsigned connection, const char *body, size_t len)
{
    (void)user;
    (void)connection;
    return len == sizeof(HTTP_ANSWER) - 1 && memcmp(body, HTTP_ANSWER, len) == 0 ? 0 : -1;
}

static double cpu_of(pid_t pid)
{
    pid_t pids[64];
    double sum = 0;
    size_t n = molt_bench_tree(pid, pids, 64);
    for (size_t i = 0; i < n; i++)
        sum += molt_bench_cpu(pids[i]);
    return sum;
}

static double memory_of(pid_t pid)
{
    pid_t pids[64];
    double sum = 0;
    size_t n = molt_bench_tree(pid, pids, 64);
    for (size_t i = 0; i < n; i++)
        sum += molt_bench_memory(pids[i]).pss;
    return sum;
}

static double own_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All connections are up and have been served for a while; or as many of them as
 * the server took within CONNECT_MS, which the report says. */
static void wait_warm(struct molt_load *load, unsigned connections)
{
    struct molt_load_stats stats;
    uint64_t end = molt_clock_ms() + CONNECT_MS;
    do {
        molt_bench_wait(20);
        molt_load_snapshot(load, &stats);
    } while ((stats.open < connections || stats.requests < 2 * (uint64_t)connections) &&
             molt_clock_ms() < end);
    molt_bench_wait(500);
}

static void apply_load(const struct http_server *server, pid_t pid, unsigned port,
                       unsigned connections, unsigned seconds, struct http_run *run)
{
    struct molt_load_config config = {.port = port,
                                      .connections = connections,
                                      .threads = 1,
                                      .check = check};
    struct molt_load *load;
    struct molt_error err = {0};
    if (molt_load_start(&config, &load, &err) < 0)
        molt_bench_die("the load doesn't start: %s", err.text);
    wait_warm(load, connections);
    double cpu = cpu_of(pid), own = own_cpu();
    molt_load_forget(load);
    for (unsigned i = 0; i < seconds * 10; i++) {
        molt_bench_wait(100);
        if (server->tick)
            server->tick();
    }
    molt_load_snapshot(load, &run->load);
    run->cpu_s = cpu_of(pid) - cpu;
    run->load_cpu_s = own_cpu() - own;
    run->memory = memory_of(pid);
    molt_load_free(load);
}

static void run_once(const struct options *o, const struct http_server *server, bool is_bound,
                     unsigned connections, struct http_run *run)
{
    unsigned port, cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    pid_t pid = server->start(&port);
    struct molt_bench_talk talk = molt_bench_talk_tcp(port, 1000);
    if (!molt_bench_talk_until(&talk, "/", HTTP_ANSWER, 2000, START_MS))
        molt_bench_die("%s doesn't answer", server->title);
    molt_bench_talk_close(&talk);
    if (is_bound)
        molt_bench_bind(pid, 0, o->workers);
    if (is_bound) /* the load's threads inherit it, children are bound anew */
        molt_bench_bind_self(o->workers, cores - o->workers);
    apply_load(server, pid, port, connections, o->seconds, run);
    if (is_bound)
        molt_bench_bind_self(0, cores);
    server->stop();
    const struct molt_load_stats *s = &run->load;
    molt_bench_say("%-8s %5u connections %8.0f/s  cpu %6.2f us  p99 %7.2f ms  failed %lu",
                   server->name, connections, (double)s->requests / ((double)s->elapsed_ns / 1e9),
                   run->cpu_s * 1e6 / (double)s->requests, (double)s->p99_ns / 1e6,
                   (unsigned long)(s->n_failures + s->lost));
}

/* ---- all of them ------------------------------------------------------------------------ */

static bool is_wanted(const struct options *o, unsigned who)
{
    if (o->only && !molt_bench_is_listed(o->only, molt_http_servers[who].name))
        return false;
    return who != HTTP_PLAIN || o->workers == 1; /* it has one thread */
}

static void run_round(const struct options *o, struct http_results *results, unsigned round)
{
    for (unsigned point = 0; point < HTTP_POINTS; point++) {
        unsigned connections = molt_http_points[point];
        if (o->is_short && connections != 100 && connections != 10000)
            continue;
        for (unsigned i = 0; i < HTTP_WHO; i++) {
            unsigned who = (i + round) % HTTP_WHO;
            struct http_runs *runs = &results->of[point][who];
            if (is_wanted(o, who))
                run_once(o, &molt_http_servers[who], results->is_bound, connections,
                         &runs->runs[runs->n++]);
        }
    }
}

static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < molt_http_points[HTTP_POINTS - 1] + 100)
        molt_bench_die(
            "%u connections need more open files than the %lu allowed here; see ulimit -n",
            molt_http_points[HTTP_POINTS - 1], (unsigned long)limit.rlim_max);
}

static void save(const char *dir, const struct http_results *results)
{
    char *path = molt_bench_text("%s/http.md", dir);
    molt_bench_mkdir(dir);
    FILE *file = fopen(path, "we");
    if (!file)
        molt_bench_die("can't write %s", path);
    molt_http_report(file, results);
    fclose(file);
    molt_http_save(dir, results);
    molt_bench_say("written: %s, http.json and pictures beside it", path);
    free(path);
}

static void run(const struct options *o, struct http_results *results)
{
    for (unsigned i = 0; i < HTTP_WHO; i++)
        if (is_wanted(o, i))
            molt_http_servers[i].prepare(o->workers);
    for (unsigned round = 0; round < o->rounds; round++) {
        molt_bench_say("round %u of %u", round + 1, o->rounds);
        run_round(o, results, round);
    }
    for (unsigned i = 0; i < HTTP_WHO; i++)
        if (is_wanted(o, i) && molt_http_servers[i].finish)
            molt_http_servers[i].finish();
}

int main(int argc, char **argv)
{
    static struct http_results results;
    struct options o = {.workers = 1};
    molt_bench_init("http");
    read_options(argc, argv, &o);
    if (!o.is_short && !o.rounds && !o.seconds && o.workers == 1 && !o.only && !o.save)
        o.save = MOLT_BENCH_SOURCE "/results";
    o.rounds = o.rounds ? o.rounds : o.is_short ? 2 : 5;
    o.seconds = o.seconds ? o.seconds : o.is_short ? 1 : 5;
    results.rounds = o.rounds;
    results.seconds = o.seconds;
    results.workers = o.workers;
    results.is_short = o.is_short;
    results.is_bound = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) > o.workers;
    allow_descriptors();
    run(&o, &results);
    molt_http_report(stdout, &results);
    if (o.save)
        save(o.save, &results);
    return 0;
}
