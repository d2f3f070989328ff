/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-bench-save: see the help. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "tool/app.h"
#include "tool/bench.h"
#include "tool/dev.h"
#include "tool/source.h"
#include "tool/stats.h"

static const char help[] =
    "usage: molt-bench-save [SAVES]\n"
    "From a saved file to the first answer of the new code, as a client sees it: `molt dev`\n"
    "on a module of 300 lines, SAVES times (50) for each compiler and level, and what\n"
    "compiler and linker alone take for the same file. With 50 saves or more the table is\n"
    "written to bench/results/save.md.\n";

#define SAVES 50
#define WARM 3
#define LIVE_MS 20000
#define POLL_US 200

struct kind {
    const char *cc, *cflags;
};

static const struct kind kinds[] = {{"gcc", "-O0 -g"},
                                    {"gcc", "-O2 -g"},
                                    {"clang", "-O0 -g"},
                                    {"clang", "-O2 -g"}};
#define N_KINDS (sizeof(kinds) / sizeof(*kinds))

/* ms */
struct times {
    struct molt_bench_series live, compile, link, extra;
    double cpu, cpu_alone; /* processor time a save: agent with its children; compiler and
                              linker alone */
};

struct bench {
    struct molt_bench_dev dev;
    char *root, *source, *log;
    const char **compile; /* argv */
    char *libc, *libgcc, *object, *image;
};

/* ---- compiler and linker alone ---------------------------------------------------- */

static char *ask_compiler(const char *cc, const char *name)
{
    char line[4096] = "", *command = molt_bench_text("%s -print-file-name=%s", cc, name);
    FILE *pipe = popen(command, "re");
    if (!pipe || !fgets(line, sizeof(line), pipe))
        molt_bench_die("%s doesn't say where %s is", cc, name);
    pclose(pipe);
    free(command);
    line[strcspn(line, "\n")] = '\0';
    return molt_bench_text("%s", line);
}

/* The command that molt wrote down for editors, with another output. */
static const char **read_command(const struct bench *b)
{
    char *path = molt_bench_text("%s/compile_commands.json", b->root);
    json_t *list = json_load_file(path, 0, NULL), *entry, *word;
    size_t i, k;
    const char **argv = NULL;
    json_array_foreach(list, i, entry)
    {
        const char *file = json_string_value(json_object_get(entry, "file"));
        const json_t *words = json_object_get(entry, "arguments");
        if (!file || strcmp(file, b->source) != 0)
            continue;
        argv = calloc(json_array_size(words) + 3, sizeof(*argv));
        json_array_foreach(words, k, word) argv[k] = molt_bench_text("%s", json_string_value(word));
        argv[k] = "-o";
        argv[k + 1] = b->object;
    }
    if (!argv)
        molt_bench_die("%s doesn't say how %s is compiled", path, b->source);
    json_decref(list);
    free(path);
    return argv;
}

static double time_ms(const struct bench *b, const char *const *argv)
{
    uint64_t start = molt_clock_ns();
    if (molt_bench_run(argv, b->root, b->log) != 0)
        molt_bench_die("%s failed; its output is in %s", argv[0], b->log);
    return (double)(molt_clock_ns() - start) / 1e6;
}

static double link_ms(const struct bench *b)
{
    const char *argv[] = {"ld.gold",
                          "-shared",
                          "-z",
                          "now",
                          "-z",
                          "relro",
                          "-z",
                          "noexecstack",
                          "--build-id=sha1",
                          "--hash-style=gnu",
                          "-o",
                          b->image,
                          b->object,
                          b->libgcc,
                          b->libc,
                          NULL};
    return time_ms(b, argv);
}

/* ---- one save ----------------------------------------------------------------------- */

static double save_ms(const struct bench *b, struct molt_bench_talk *talk, unsigned version)
{
    char *text = molt_bench_source_page(version), *answer = molt_bench_text("Hello %u\n", version);
    unsigned long saved_ns = molt_bench_write(b->source, text);
    unsigned long live_ns = molt_bench_talk_until(talk, "/", answer, POLL_US, LIVE_MS);
    if (!live_ns)
        molt_bench_dev_die(&b->dev, "a saved file didn't go live");
    free(answer);
    free(text);
    return (double)(live_ns - saved_ns) / 1e6;
}

static void open_bench(struct bench *b, const struct kind *kind, unsigned index)
{
    unsigned port = molt_bench_port();
    *b = (struct bench){.root = molt_bench_text("%s/save%u", molt_bench_folder(), index)};
    b->source = molt_bench_text("%s/src/page.c", b->root);
    b->log = molt_bench_text("%s/compile.log", molt_bench_folder());
    b->object = molt_bench_text("%s/page.o", molt_bench_folder());
    b->image = molt_bench_text("%s/page.so", molt_bench_folder());
    b->libc = ask_compiler(kind->cc, "libc.so.6");
    b->libgcc = ask_compiler(kind->cc, "libgcc.a");
    char *conf = molt_bench_text("%s/molt.conf", b->root), *text = molt_bench_source_page(0);
    molt_bench_app_files(b->root, port);
    molt_bench_write(b->source, text);
    free(text);
    char *old = molt_bench_read(conf);
    text = molt_bench_text("%scc = %s\ncflags = %s\n", old, kind->cc, kind->cflags);
    molt_bench_write(conf, text);
    molt_bench_dev_start(&b->dev, b->root, NULL, port, "Hello 0\n");
    b->compile = read_command(b);
    free(text);
    free(old);
    free(conf);
}

/* Of compilers and linkers that we started, seconds. */
static double own_children_cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void measure(const struct kind *kind, unsigned index, unsigned n, struct times *t)
{
    struct bench b;
    open_bench(&b, kind, index);
    struct molt_bench_talk talk = molt_bench_talk_tcp(b.dev.port, 10000);
    double cpu = 0, cpu_alone = 0;
    for (unsigned i = 1; i <= n + WARM; i++) {
        if (i == WARM + 1) {
            cpu = molt_bench_cpu_all(b.dev.child.pid);
            cpu_alone = own_children_cpu();
        }
        double live = save_ms(&b, &talk, i), compile = time_ms(&b, b.compile), link = link_ms(&b);
        molt_bench_wait(20);
        if (i <= WARM)
            continue;
        molt_bench_add(&t->live, live);
        molt_bench_add(&t->compile, compile);
        molt_bench_add(&t->link, link);
        molt_bench_add(&t->extra, live - compile - link);
    }
    t->cpu = (molt_bench_cpu_all(b.dev.child.pid) - cpu) * 1e3 / n;
    t->cpu_alone = (own_children_cpu() - cpu_alone) * 1e3 / n;
    if (talk.n_connects != 1)
        molt_bench_die("the polling connection was lost");
    molt_bench_talk_close(&talk);
    molt_bench_dev_stop(&b.dev);
    molt_bench_say("%s %s: %.1f ms from save to live, of it %.1f over compiler and linker",
                   kind->cc, kind->cflags, molt_bench_median(&t->live),
                   molt_bench_median(&t->extra));
}

/* ---- the table ----------------------------------------------------------------------- */

static void print_cell(FILE *out, struct molt_bench_series *s)
{
    fprintf(out, " %.1f [%.1f-%.1f] |", molt_bench_median(s), molt_bench_quantile(s, 0.1),
            molt_bench_quantile(s, 0.9));
}

static void report(FILE *out, struct times *times, unsigned n)
{
    fprintf(out,
            "# From save to live\n\nFrom the return of close() of the saved file to the first "
            "answer of the new code on a keep-alive connection that asks every %u us; a module of "
            "300 lines; `molt dev`. Beside it the compiler and the linker (gold) alone, by the "
            "command in compile_commands.json, one after each save. Milliseconds, median of %u "
            "[10th-90th percentile]; processor time is the mean. `./dev bench save`\n\n",
            POLL_US, n);
    molt_bench_print_machine(out);
    fputs(
        "\n| compiler | save to live | compiler alone | linker alone | difference | processor time "
        "of molt's agent, with compiler and linker | of compiler and linker alone | difference |\n"
        "|---|---|---|---|---|---|---|---|\n",
        out);
    for (size_t i = 0; i < N_KINDS; i++) {
        if (!times[i].live.n)
            continue;
        fprintf(out, "| %s %s |", kinds[i].cc, kinds[i].cflags);
        print_cell(out, &times[i].live);
        print_cell(out, &times[i].compile);
        print_cell(out, &times[i].link);
        print_cell(out, &times[i].extra);
        fprintf(out, " %.1f | %.1f | %.1f |\n", times[i].cpu, times[i].cpu_alone,
                times[i].cpu - times[i].cpu_alone);
    }
}

int main(int argc, char **argv)
{
    static struct times times[N_KINDS];
    int n = argc == 2 ? atoi(argv[1]) : SAVES;
    if (argc > 2 || n < 1 || n > 1000) {
        bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fputs(help, is_help ? stdout : stderr);
        return is_help ? 0 : 2;
    }
    molt_bench_init("save");
    for (unsigned i = 0; i < N_KINDS; i++) {
        if (molt_bench_has_program(kinds[i].cc))
            measure(&kinds[i], i, (unsigned)n, &times[i]);
        else
            molt_bench_say("there is no %s: left out", kinds[i].cc);
    }
    report(stdout, times, (unsigned)n);
    if (n >= SAVES) {
        FILE *file = fopen(MOLT_BENCH_SOURCE "/results/save.md", "we");
        if (!file)
            molt_bench_die("can't write %s/results/save.md", MOLT_BENCH_SOURCE);
        report(file, times, (unsigned)n);
        fclose(file);
    }
    return 0;
}
