/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-bench-retained: see the help. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/agent/set.h"
#include "tool/app.h"
#include "tool/bench.h"
#include "tool/source.h"
#include "tool/stats.h"
#include "tool/talk.h"

static const char help[] =
    "usage: molt-bench-retained\n"
    "Memory of old versions that somebody still uses: a module of 300 lines in an app of\n"
    "5,000 exported functions, several versions of it held by a request each. Written to\n"
    "bench/results/retained.md.\n";

#define MODULES 50
#define EXPORTS 100
#define RETAINED 6 /* of at most eight worlds */

struct sample {
    struct molt_bench_memory memory;
    uint64_t bytes; /* of the module's images */
    unsigned versions;
};

static void write_file(const char *root, const char *name, char *text)
{
    char *path = molt_bench_text("%s/src/%s", root, name);
    molt_bench_write(path, text);
    free(path);
    free(text);
}

static void write_project(const char *root, unsigned port)
{
    char name[32];
    molt_bench_app_files(root, port);
    for (unsigned i = 0; i < MODULES; i++) {
        snprintf(name, sizeof(name), "m%u.c", i);
        write_file(root, name, molt_bench_source_exports(i, EXPORTS));
        snprintf(name, sizeof(name), "m%u.h", i);
        write_file(root, name, molt_bench_source_exports_header(i, EXPORTS));
    }
}

/* Ask for /hold and leave the answer to come. */
static void hold(struct molt_bench_talk *talk)
{
    static const char request[] = "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char *body = NULL;
    if (molt_bench_talk(talk, "GET", "/", NULL, &body) != 200 ||
        write(talk->fd, request, sizeof(request) - 1) != (ssize_t)sizeof(request) - 1)
        molt_bench_die("the server doesn't answer");
    free(body);
    molt_bench_wait(100);
}

static void take_sample(struct molt_bench_app *app, struct sample *ret)
{
    molt_bench_wait(300);
    molt_bench_app_tick(app);
    ret->versions = molt_bench_app_versions(app, "page", &ret->bytes);
    ret->memory = molt_bench_memory(molt_bench_app_pid(app));
}

struct figures {
    struct sample samples[RETAINED + 1];
    double holder; /* what a held request costs without an old version, bytes of Pss */
};

static void report(FILE *out, const struct figures *f)
{
    const struct sample *s = f->samples;
    double mean = (s[RETAINED].memory.pss - s[0].memory.pss) / RETAINED;
    struct molt_bench_series steps = {0};
    for (unsigned i = 1; i <= RETAINED; i++)
        molt_bench_add(&steps, s[i].memory.pss - s[i - 1].memory.pss);
    double each = molt_bench_median(&steps);
    molt_bench_series_fini(&steps);
    fprintf(
        out,
        "# Old versions in memory\n\nA module of 300 lines (gcc -O0 -g) in an app of %u modules "
        "with %u exported functions; a request in each old version keeps it. `./dev bench "
        "retained`\n\n",
        MODULES, MODULES * EXPORTS);
    molt_bench_print_machine(out);
    fputs("\n| versions of the module | its images, KiB | host Pss, KiB | private, KiB |\n"
          "|---|---|---|---|\n",
          out);
    for (unsigned i = 0; i <= RETAINED; i++)
        fprintf(out, "| %u | %.0f | %.0f | %.0f |\n", s[i].versions, (double)s[i].bytes / 1024,
                s[i].memory.pss / 1024, s[i].memory.private / 1024);
    fprintf(
        out,
        "\nFor each of %u old versions: %.0f KiB of Pss, median (mean %.0f, with what the first "
        "one "
        "costs once: another worker's first stacks and heap). Of it %.0f KiB are the request that "
        "holds it, its stack and its connection (measured with more of them in the newest "
        "version), so %.0f KiB are the old version: its image of %.0f KiB, its world's table of "
        "%u slots, and what the loader keeps.\n",
        RETAINED, each / 1024, mean / 1024, f->holder / 1024, (each - f->holder) / 1024,
        (double)s[RETAINED].bytes / s[RETAINED].versions / 1024, MODULES * EXPORTS);
}

/* Of one more request that waits, in the version that is current. */
static double measure_holder(struct molt_bench_app *app, unsigned port)
{
    struct molt_bench_talk holders[2 * RETAINED];
    struct sample before = {0}, after;
    for (unsigned i = 0; i < 2 * RETAINED; i++) {
        if (i == RETAINED)
            take_sample(app, &before);
        holders[i] = molt_bench_talk_tcp(port, 1000);
        hold(&holders[i]);
    }
    take_sample(app, &after);
    for (unsigned i = 0; i < 2 * RETAINED; i++)
        molt_bench_talk_close(&holders[i]);
    return (after.memory.pss - before.memory.pss) / RETAINED;
}

static void run(struct figures *f)
{
    struct sample *samples = f->samples;
    struct molt_bench_talk holders[RETAINED];
    unsigned port = molt_bench_port();
    char *root = molt_bench_text("%s/retained", molt_bench_folder());
    write_project(root, port);
    struct molt_bench_app *app = NULL;
    for (unsigned i = 0; i <= RETAINED; i++) {
        write_file(root, "page.c", molt_bench_source_page(i));
        if (!app)
            app = molt_bench_app_new(root, true);
        struct molt_set *set = molt_bench_app_build(app);
        molt_bench_app_apply(app, set, NULL);
        molt_set_free(set);
        take_sample(app, &samples[i]);
        molt_bench_say("%u versions in memory", samples[i].versions);
        if (samples[i].versions != i + 1)
            molt_bench_die("%u versions of the module are in memory, not %u", samples[i].versions,
                           i + 1);
        if (i < RETAINED) {
            holders[i] = molt_bench_talk_tcp(port, 1000);
            hold(&holders[i]);
        }
    }
    f->holder = measure_holder(app, port);
    for (unsigned i = 0; i < RETAINED; i++)
        molt_bench_talk_close(&holders[i]);
    molt_bench_app_free(app);
    free(root);
}

int main(int argc, char **argv)
{
    static struct figures figures;
    if (argc > 1) {
        bool is_help = strcmp(argv[1], "--help") == 0;
        fputs(help, is_help ? stdout : stderr);
        return is_help ? 0 : 2;
    }
    molt_bench_init("retained");
    run(&figures);
    report(stdout, &figures);
    FILE *file = fopen(MOLT_BENCH_SOURCE "/results/retained.md", "we");
    if (!file)
        molt_bench_die("can't write %s/results/retained.md", MOLT_BENCH_SOURCE);
    report(file, &figures);
    fclose(file);
    return 0;
}
