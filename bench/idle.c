/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-bench-idle: see the help. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/agent/set.h"
#include "tool/app.h"
#include "tool/bench.h"
#include "tool/dev.h"
#include "tool/source.h"
#include "tool/stats.h"
#include "tool/talk.h"

static const char help[] =
    "usage: molt-bench-idle\n"
    "What a host costs that has nothing to do: memory, processor time, and how long it\n"
    "takes from its start to its first answer. Written to bench/results/idle.md.\n";

#define STARTS 20
#define REST_MS 5000

struct figures {
    struct molt_bench_series start_ms;
    struct molt_bench_memory host, agent;
    double host_cpu, agent_cpu; /* seconds of processor time in REST_MS */
    double dev_start_ms;
};

static void write_project(const char *root, unsigned port)
{
    char *path = molt_bench_text("%s/src/page.c", root), *text = molt_bench_source_page(0);
    molt_bench_app_files(root, port);
    molt_bench_write(path, text);
    free(text);
    free(path);
}

/* A host alone, started on a set that was built before. */
static void measure_host(struct figures *f)
{
    unsigned port = molt_bench_port();
    char *root = molt_bench_text("%s/idle", molt_bench_folder());
    write_project(root, port);
    struct molt_bench_app *app = molt_bench_app_new(root, false);
    struct molt_set *set = molt_bench_app_build(app);
    molt_bench_app_apply(app, set, NULL); /* makes the interface object too */
    for (unsigned i = 0; i < STARTS; i++) {
        struct molt_bench_talk talk = molt_bench_talk_tcp(port, 1000);
        molt_bench_app_stop(app);
        uint64_t began = molt_clock_ns();
        molt_bench_app_apply(app, set, NULL);
        uint64_t answered = molt_bench_talk_until(&talk, "/", "Hello 0\n", 100, 10000);
        if (!answered)
            molt_bench_die("the host doesn't answer");
        molt_bench_add(&f->start_ms, (double)(answered - began) / 1e6);
        molt_bench_talk_close(&talk);
    }
    molt_bench_wait(1000);
    pid_t pid = molt_bench_app_pid(app);
    double before = molt_bench_cpu(pid);
    molt_bench_wait(REST_MS);
    f->host_cpu = molt_bench_cpu(pid) - before;
    f->host = molt_bench_memory(pid);
    molt_set_free(set);
    molt_bench_app_free(app);
    free(root);
}

/* The agent of a developer, with its compiler caches, while nothing is saved. */
static void measure_agent(struct figures *f)
{
    struct molt_bench_dev dev;
    unsigned port = molt_bench_port();
    char *root = molt_bench_text("%s/idle-dev", molt_bench_folder());
    write_project(root, port);
    molt_bench_dev_start(&dev, root, NULL, port, "Hello 0\n");
    molt_bench_dev_stop(&dev);
    uint64_t began = molt_clock_ns();
    molt_bench_dev_start(&dev, root, NULL, port, "Hello 0\n");
    f->dev_start_ms = (double)(molt_clock_ns() - began) / 1e6;
    molt_bench_wait(1000);
    double before = molt_bench_cpu(dev.child.pid);
    molt_bench_wait(REST_MS);
    f->agent_cpu = molt_bench_cpu(dev.child.pid) - before;
    f->agent = molt_bench_memory(dev.child.pid);
    molt_bench_dev_stop(&dev);
    free(root);
}

static void print_memory(FILE *out, const char *what, const struct molt_bench_memory *m, double cpu)
{
    fprintf(out, "| %s | %.1f | %.1f | %.1f | %.0f |\n", what, m->rss / (1 << 20),
            m->pss / (1 << 20), m->private / (1 << 20), cpu * 1e3);
}

static void report(FILE *out, struct figures *f)
{
    fputs("# Idle\n\nAn app of a web server and one module of 300 lines, one worker per core. "
          "`./dev bench idle`\n\n",
          out);
    molt_bench_print_machine(out);
    fprintf(out,
            "\n| | RSS, MiB | Pss, MiB | private, MiB | processor time in %d s, ms |\n"
            "|---|---|---|---|---|\n",
            REST_MS / 1000);
    print_memory(out, "host", &f->host, f->host_cpu);
    print_memory(out, "agent of `molt dev`", &f->agent, f->agent_cpu);
    fprintf(out,
            "\nStart of a host to its first answer, set built before: %.1f ms, median of %d "
            "[%.1f-%.1f, 10th-90th percentile]. `molt dev` of a built project to its first answer, "
            "once: %.0f ms.\n",
            molt_bench_median(&f->start_ms), STARTS, molt_bench_quantile(&f->start_ms, 0.1),
            molt_bench_quantile(&f->start_ms, 0.9), f->dev_start_ms);
}

int main(int argc, char **argv)
{
    static struct figures figures;
    if (argc > 1) {
        bool is_help = strcmp(argv[1], "--help") == 0;
        fputs(help, is_help ? stdout : stderr);
        return is_help ? 0 : 2;
    }
    molt_bench_init("idle");
    measure_host(&figures);
    measure_agent(&figures);
    report(stdout, &figures);
    FILE *file = fopen(MOLT_BENCH_SOURCE "/results/idle.md", "we");
    if (!file)
        molt_bench_die("can't write %s/results/idle.md", MOLT_BENCH_SOURCE);
    report(file, &figures);
    fclose(file);
    return 0;
}
