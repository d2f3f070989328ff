/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-bench-stuck: see the help. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/agent/set.h"
#include "load.h"
#include "tool/app.h"
#include "tool/bench.h"
#include "tool/options.h"
#include "tool/stats.h"
#include "tool/talk.h"

static const char help[] =
    "usage: molt-bench-stuck [OPTION]...\n"
    "\"Hello\" over HTTP from a host with one worker, while a callback on that worker\n"
    "doesn't return: alone, beside loops that compute for ever, beside a read() that\n"
    "never returns, and beside system calls of 20 ms each, in interleaved rounds.\n"
    "\n"
    "  --short           two rounds of 1 s\n"
    "  --rounds N        rounds, 1 to 25 (7; --short: 2)\n"
    "  --seconds S       length of a run (3; --short: 1)\n"
    "  --connections N   that ask (50)\n"
    "  --only NAMES      some of alone,computes,compute-4,reads,reads-again\n"
    "  --save DIR        write stuck.md there; a run with all defaults writes it to\n"
    "                    bench/results\n"
    "  --help\n";

#define ROUNDS_MAX 25
#define GOAL_MS 20.0 /* of p99, whatever a callback does */
#define ANSWER "Hello 0\n"
#define START_MS 20000
#define WARM_MS 500

static const char program[] = "molt-bench-stuck";

/* ---- what is run -------------------------------------------------------------- */

/* Each path but the first starts a process that is stuck from then on. */
static const char hello_c[] =
    "#include <molt/http.h>\n"
    "#include <molt/molt.h>\n"
    "#include <time.h>\n"
    "#include <unistd.h>\n"
    "\n"
    "struct stuck { volatile unsigned long n; };\n"
    "struct compute { int unused; };\n"
    "struct wait { int unused; };\n"
    "struct again { int unused; };\n"
    "\n"
    "static int on_compute(struct stuck *s, struct compute *m)\n"
    "{\n"
    "    (void)m;\n"
    "    for (;;)\n"
    "        s->n++;\n"
    "    return 0;\n"
    "}\n"
    "\n"
    "static int on_wait(struct stuck *s, struct wait *m)\n"
    "{\n"
    "    int ends[2];\n"
    "    char c;\n"
    "    (void)m;\n"
    "    if (pipe(ends) < 0)\n"
    "        return MOLT_EIO;\n"
    "    s->n += (unsigned long)read(ends[0], &c, 1);\n"
    "    return 0;\n"
    "}\n"
    "\n"
    "static int on_again(struct stuck *s, struct again *m)\n"
    "{\n"
    "    struct timespec t = {.tv_nsec = 20000000};\n"
    "    (void)m;\n"
    "    s->n++;\n"
    "    nanosleep(&t, NULL);\n"
    "    return molt_send_pid(molt_self(), molt_new(struct again));\n"
    "}\n"
    "\n"
    "MOLT_SERVER(stuck, struct stuck, .on = {MOLT_CAST(struct compute, on_compute),\n"
    "                                        MOLT_CAST(struct wait, on_wait),\n"
    "                                        MOLT_CAST(struct again, on_again)});\n"
    "\n"
    "static int answer(struct molt_http *r, int rc)\n"
    "{\n"
    "    return molt_http_printf(r, rc < 0 ? 500 : 200, \"%s\\n\", molt_error_text(rc));\n"
    "}\n"
    "\n"
    "static int hello(struct molt_http *r)\n"
    "{\n"
    "    return molt_http_printf(r, 200, \"Hello %d\\n\", 0);\n"
    "}\n"
    "\n"
    "static int compute(struct molt_http *r)\n"
    "{\n"
    "    molt_pid pid;\n"
    "    int rc = molt_spawn(\"stuck\", NULL, NULL, &pid);\n"
    "    return answer(r, rc < 0 ? rc : molt_send_pid(pid, molt_new(struct compute)));\n"
    "}\n"
    "\n"
    "static int wait_for_ever(struct molt_http *r)\n"
    "{\n"
    "    molt_pid pid;\n"
    "    int rc = molt_spawn(\"stuck\", NULL, NULL, &pid);\n"
    "    return answer(r, rc < 0 ? rc : molt_send_pid(pid, molt_new(struct wait)));\n"
    "}\n"
    "\n"
    "static int again(struct molt_http *r)\n"
    "{\n"
    "    molt_pid pid;\n"
    "    int rc = molt_spawn(\"stuck\", NULL, NULL, &pid);\n"
    "    return answer(r, rc < 0 ? rc : molt_send_pid(pid, molt_new(struct again)));\n"
    "}\n"
    "\n"
    "MOLT_ROUTES({\"GET\", \"/\", hello}, {\"GET\", \"/compute\", compute},\n"
    "            {\"GET\", \"/wait\", wait_for_ever}, {\"GET\", \"/again\", again});\n";

static const struct variant {
    const char *name, *title;
    const char *path; /* asked for once per process that shall be stuck */
    unsigned n_processes;
} variants[] = {
    {"alone", "alone (the control)", NULL, 0},
    {"computes", "beside a loop that never ends", "/compute", 1},
    {"compute-4", "beside four of them", "/compute", 4},
    {"reads", "beside a read() that never returns", "/wait", 1},
    {"reads-again", "beside system calls of 20 ms, one after the other", "/again", 1},
};
#define VARIANTS (sizeof(variants) / sizeof(*variants))

struct options {
    unsigned rounds, seconds, connections;
    bool is_short, is_bound;
    const char *only, *save;
};

struct results {
    struct molt_bench_series rate, p50, p99, max;
    unsigned long failed;
};

static void read_options(int argc, char **argv, struct options *o)
{
    static const struct option table[] = {
        {"short", no_argument, NULL, 's'},         {"rounds", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 't'}, {"connections", required_argument, NULL, 'n'},
        {"only", required_argument, NULL, 'o'},    {"save", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},          {0}};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (c == 's')
            o->is_short = true;
        else if (c == 'r')
            o->rounds = molt_bench_number(program, "--rounds", optarg, 1, ROUNDS_MAX);
        else if (c == 't')
            o->seconds = molt_bench_number(program, "--seconds", optarg, 1, 600);
        else if (c == 'n')
            o->connections = molt_bench_number(program, "--connections", optarg, 1, 1000);
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

/* ---- one run -------------------------------------------------------------------- */

static int check(void *user, unsigned connection, const char *body, size_t len)
{
    (void)user;
    (void)connection;
    return len == sizeof(ANSWER) - 1 && memcmp(body, ANSWER, len) == 0 ? 0 : -1;
}

/* Have the processes stuck before the load comes. */
static void get_stuck(struct molt_bench_talk *talk, const struct variant *v)
{
    for (unsigned i = 0; i < v->n_processes; i++) {
        char *body = NULL;
        if (molt_bench_talk(talk, "GET", v->path, NULL, &body) != 200)
            molt_bench_die("GET %s: %s", v->path, body ? body : "no answer");
        free(body);
    }
}

static void apply_load(struct molt_bench_app *app, const struct options *o, unsigned port,
                       struct molt_load_stats *ret)
{
    struct molt_load_config config = {.port = port,
                                      .connections = o->connections,
                                      .threads = 1,
                                      .check = check};
    struct molt_load *load;
    struct molt_error err = {0};
    if (molt_load_start(&config, &load, &err) < 0)
        molt_bench_die("the load doesn't start: %s", err.text);
    molt_bench_wait(WARM_MS);
    molt_load_forget(load);
    for (unsigned i = 0; i < o->seconds * 10; i++) {
        molt_bench_wait(100);
        molt_bench_app_tick(app);
    }
    molt_load_snapshot(load, ret);
    molt_load_free(load);
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void run_once(struct molt_bench_app *app, const struct molt_set *set,
                     const struct options *o, const struct variant *v, unsigned port,
                     struct results *r)
{
    struct molt_load_stats s;
    unsigned cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    struct molt_bench_talk talk = molt_bench_talk_tcp(port, 2000);
    molt_bench_app_apply(app, set, NULL);
    if (!molt_bench_talk_until(&talk, "/", ANSWER, 2000, START_MS))
        molt_bench_die("the host doesn't answer");
    if (o->is_bound)
        molt_bench_bind(molt_bench_app_pid(app), 0, 1);
    if (o->is_bound) /* the load's thread inherits it */
        molt_bench_bind_self(1, cores - 1);
    get_stuck(&talk, v);
    molt_bench_talk_close(&talk);
    apply_load(app, o, port, &s);
    if (o->is_bound)
        molt_bench_bind_self(0, cores);
    molt_bench_app_stop(app);
    double rate = (double)s.requests / ((double)s.elapsed_ns / 1e9);
    molt_bench_add(&r->rate, rate);
    molt_bench_add(&r->p50, ms(s.p50_ns));
    molt_bench_add(&r->p99, ms(s.p99_ns));
    molt_bench_add(&r->max, ms(s.max_ns));
    r->failed += s.n_failures + s.lost;
    molt_bench_say("%-12s %8.0f/s  p50 %7.2f  p99 %7.2f  max %7.2f ms  failed %lu", v->name, rate,
                   ms(s.p50_ns), ms(s.p99_ns), ms(s.max_ns),
                   (unsigned long)(s.n_failures + s.lost));
}

static bool is_wanted(const struct options *o, const struct variant *v)
{
    return !o->only || molt_bench_is_listed(o->only, v->name);
}

static void run(const struct options *o, struct results *results)
{
    unsigned port = molt_bench_port();
    char *root = molt_bench_text("%s/stuck", molt_bench_folder());
    char *path = molt_bench_text("%s/src/hello.c", root);
    molt_bench_app_files(root, port);
    molt_bench_write(path, hello_c);
    struct molt_bench_app *app = molt_bench_app_new_with(root, false, 1);
    struct molt_set *set = molt_bench_app_build(app);
    for (unsigned round = 0; round < o->rounds; round++) {
        molt_bench_say("round %u of %u", round + 1, o->rounds);
        for (unsigned i = 0; i < VARIANTS; i++) {
            unsigned v = (i + round) % VARIANTS;
            if (is_wanted(o, &variants[v]))
                run_once(app, set, o, &variants[v], port, &results[v]);
        }
    }
    molt_set_free(set);
    molt_bench_app_free(app);
    free(path);
    free(root);
}

/* ---- the report ------------------------------------------------------------------- */

static void print_cell(FILE *out, struct molt_bench_series *s, int digits)
{
    struct molt_bench_cell c = molt_bench_cell(s);
    fprintf(out, " %.*f (%.*f to %.*f) |", digits, c.median, digits, c.low, digits, c.high);
}

static const char *judge(struct molt_bench_series *p99)
{
    struct molt_bench_cell c = molt_bench_cell(p99);
    return c.high < GOAL_MS ? "met" : c.low < GOAL_MS ? "open" : "missed";
}

static void report(FILE *out, const struct options *o, struct results *results)
{
    fprintf(out,
            "# A callback that doesn't return\n\nA host with one worker answers \"Hello\" on %u "
            "keep-alive connections that ask again at once, while another process of the same "
            "worker is stuck in its callback. The goal is a p99 under %.0f ms. %u interleaved "
            "rounds of %u s%s. Medians, and the intervals in which they lie with a probability "
            "of 95 %% (with fewer than six rounds: from the least to the most). "
            "`./dev bench stuck`\n\n",
            o->connections, GOAL_MS, o->rounds, o->seconds,
            o->is_bound ? ", host and load on a core each" : "");
    molt_bench_print_machine(out);
    fputs("\n| the host | requests/s | p50, ms | p99, ms | longest, ms | failed | p99 under the "
          "goal |\n|---|---|---|---|---|---|---|\n",
          out);
    for (unsigned i = 0; i < VARIANTS; i++) {
        struct results *r = &results[i];
        if (r->rate.n == 0)
            continue;
        fprintf(out, "| %s |", variants[i].title);
        print_cell(out, &r->rate, 0);
        print_cell(out, &r->p50, 2);
        print_cell(out, &r->p99, 2);
        print_cell(out, &r->max, 2);
        fprintf(out, " %lu | %s |\n", r->failed, judge(&r->p99));
    }
    fputs("\nWho computes for ever gets what the others leave, and about as much time as they had "
          "when they leave nothing; a system call costs the others the time until the monitor sees "
          "it, each time. The control says how far the machine was busy with something else.\n",
          out);
}

static void save(const char *dir, const struct options *o, struct results *results)
{
    char *path = molt_bench_text("%s/stuck.md", dir);
    molt_bench_mkdir(dir);
    FILE *file = fopen(path, "we");
    if (!file)
        molt_bench_die("can't write %s", path);
    report(file, o, results);
    fclose(file);
    molt_bench_say("written: %s", path);
    free(path);
}

int main(int argc, char **argv)
{
    static struct results results[VARIANTS];
    struct options o = {0};
    molt_bench_init("stuck");
    read_options(argc, argv, &o);
    if (!o.is_short && !o.rounds && !o.seconds && !o.connections && !o.only && !o.save)
        o.save = MOLT_BENCH_SOURCE "/results";
    o.rounds = o.rounds ? o.rounds : o.is_short ? 2 : 7;
    o.seconds = o.seconds ? o.seconds : o.is_short ? 1 : 3;
    o.connections = o.connections ? o.connections : 50;
    o.is_bound = sysconf(_SC_NPROCESSORS_ONLN) > 1;
    run(&o, results);
    report(stdout, &o, results);
    if (o.save)
        save(o.save, &o, results);
    for (unsigned i = 0; i < VARIANTS; i++) {
        molt_bench_series_fini(&results[i].rate);
        molt_bench_series_fini(&results[i].p50);
        molt_bench_series_fini(&results[i].p99);
        molt_bench_series_fini(&results[i].max);
    }
    return 0;
}
