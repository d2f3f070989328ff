/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a call costs: direct, through the PLT, through a thunk. Compiles small
 * objects, loads them, times a chain of dependent calls in interleaved rounds,
 * and has callgrind count instructions. Prints a table in Markdown.
 *
 * usage: molt-bench-call [ROUNDS]
 *        molt-bench-call --count DIR VARIANT CALLS   (what callgrind runs)
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "port/thunk.h"
#include "support/interface_text.h"

#define CALLS 10000000L
#define COUNTED 100000L
#define ROUNDS_MAX 101
#define PATH_SIZE 512

typedef long loop_fn(long n);

static const char target_c[] = "long target(long x);\n"
                               "long target(long x) { return x + 1; }\n";
static const char loop_c[] = "long target(long x);\n"
                             "long loop(long n);\n"
                             "long loop(long n)\n"
                             "{\n"
                             "    long x = 0;\n"
                             "    while (n-- > 0)\n"
                             "        x = target(x);\n"
                             "    return x;\n"
                             "}\n";
static const char direct_c[] =
    "static long __attribute__((noinline, noclone)) target(long x) { return x + 1; }\n";
static const char names_h[] = "#pragma redefine_extname target molt$t$target$0123456789abcdef\n";

/* Everything is called `loop` in its own object; @needs is what it links to. */
struct variant {
    const char *name, *cc, *text, *cflags;
    const char *needs; /* "", "plain" or "thunk" */
};

#define DIRECT_GCC "-include direct.h -fno-semantic-interposition"
#define DIRECT_CLANG "-include direct.h -Dnoclone=noinline"

static const struct variant variants[] = {
    {"direct", "gcc", loop_c, DIRECT_GCC, ""},
    {"PLT, -z now", "gcc", loop_c, "-fplt", "plain"},
    {"GOT, -fno-plt", "gcc", loop_c, "-fno-plt", "plain"},
    {"thunk, module with -fno-plt", "gcc", loop_c, "-fno-plt -include names.h", "thunk"},
    {"thunk, module with PLT", "gcc", loop_c, "-fplt -include names.h", "thunk"},
    {"direct", "clang", loop_c, DIRECT_CLANG, ""},
    {"PLT, -z now", "clang", loop_c, "-fplt", "plain"},
    {"GOT, -fno-plt", "clang", loop_c, "-fno-plt", "plain"},
    {"thunk, module with -fno-plt", "clang", loop_c, "-fno-plt -include names.h", "thunk"},
    {"thunk, module with PLT", "clang", loop_c, "-fplt -include names.h", "thunk"},
};
#define N_VARIANTS (sizeof variants / sizeof *variants)

static _Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
    char line[4 * PATH_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (system(line) != 0)
        die("failed: %s", line);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        die("cannot write %s", path);
}

/* ---- building --------------------------------------------------------------- */

#define COMMON "-O2 -fPIC -shared -nostartfiles -Wl,-z,now,-z,relro,--hash-style=gnu"

static void build_targets(const char *dir)
{
    char path[PATH_SIZE];
    const struct module_export export = {"t", "target", UINT64_C(0x0123456789abcdef)};
    write_text(dir, "target.c", target_c);
    write_text(dir, "direct.h", direct_c);
    write_text(dir, "names.h", names_h);
    shell("cd %s && gcc " COMMON " -o plain.so target.c", dir);
    shell("cd %s && gcc " COMMON " -include names.h -o module.so target.c", dir);
    snprintf(path, sizeof path, "%s/thunk.s", dir);
    FILE *file = fopen(path, "w");
    if (!file || interface_text(file, 1, &export) < 0 || fclose(file) != 0)
        die("cannot write %s", path);
    shell("cd %s && as -o thunk.o thunk.s && ld -shared -z now -z relro --hash-style=gnu "
          "-o thunk.so thunk.o",
          dir);
}

/* The objects that loops need are loaded globally before, as molt does it. */
static void build_loops(const char *dir)
{
    for (size_t i = 0; i < N_VARIANTS; i++) {
        write_text(dir, "loop.c", variants[i].text);
        shell("cd %s && %s " COMMON " %s -o loop-%zu.so loop.c", dir, variants[i].cc,
              variants[i].cflags, i);
    }
}

/* ---- loading ---------------------------------------------------------------- */

static void *open_object(const char *dir, const char *name, int scope)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s.so", dir, name);
    void *handle = dlopen(path, RTLD_NOW | scope);
    if (!handle)
        die("%s", dlerror());
    return handle;
}

static void enter_world(const char *dir)
{
    static void *table[MOLT_SLOTS_MAX];
    const struct molt_interface *interface =
        dlsym(open_object(dir, "thunk", RTLD_GLOBAL), MOLT_INTERFACE_SYMBOL);
    if (!interface)
        die("no interface");
    interface->slots[0] = 7;
    for (size_t i = 0; i < MOLT_SLOTS_MAX; i++)
        table[i] = (void *)molt_thunk_undef;
    table[7] = dlsym(open_object(dir, "module", RTLD_LOCAL), "molt$t$target$0123456789abcdef");
    if (!table[7])
        die("no target");
    molt_world = table;
    open_object(dir, "plain", RTLD_GLOBAL);
}

static loop_fn *open_loop(const char *dir, size_t i)
{
    char name[32];
    snprintf(name, sizeof name, "loop-%zu", i);
    loop_fn *loop = (loop_fn *)dlsym(open_object(dir, name, RTLD_LOCAL), "loop");
    if (!loop || loop(1000) != 1000)
        die("%s doesn't count", name);
    return loop;
}

/* ---- measuring -------------------------------------------------------------- */

static uint64_t count(const char *self, const char *dir, size_t i, long calls)
{
    char line[4 * PATH_SIZE];
    uint64_t collected = 0;
    snprintf(line, sizeof line,
             "valgrind --tool=callgrind --callgrind-out-file=/dev/null %s --count %s %zu %ld 2>&1",
             self, dir, i, calls);
    FILE *pipe = popen(line, "r");
    if (!pipe)
        die("cannot run valgrind");
    while (fgets(line, sizeof line, pipe)) {
        const char *at = strstr(line, "Collected : ");
        if (at)
            collected = strtoull(at + strlen("Collected : "), NULL, 10);
    }
    if (pclose(pipe) != 0 || collected == 0)
        die("valgrind counted nothing for %s", variants[i].name);
    return collected;
}

/* Start-up costs the same in both runs, so their difference is the calls'. */
static double instructions(const char *self, const char *dir, size_t i)
{
    uint64_t few = count(self, dir, i, COUNTED), many = count(self, dir, i, 3 * COUNTED);
    return (double)(many - few) / (double)(2 * COUNTED);
}

static double time_ns(loop_fn *loop)
{
    uint64_t start = molt_clock_ns();
    if (loop(CALLS) != CALLS)
        die("wrong sum");
    return (double)(molt_clock_ns() - start) / (double)CALLS;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_machine(void)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0) {
            printf("%ld cores, %s", sysconf(_SC_NPROCESSORS_ONLN), strchr(line, ':') + 2);
            break;
        }
    if (file)
        fclose(file);
}

static void measure(const char *self, const char *dir, int rounds)
{
    static double ns[N_VARIANTS][ROUNDS_MAX];
    loop_fn *loops[N_VARIANTS];
    enter_world(dir);
    for (size_t i = 0; i < N_VARIANTS; i++)
        loops[i] = open_loop(dir, i);
    for (int r = 0; r < rounds; r++)
        for (size_t i = 0; i < N_VARIANTS; i++)
            ns[i][r] = time_ns(loops[i]);
    print_machine();
    printf("%d interleaved rounds of %ld dependent calls each\n\n", rounds, CALLS);
    printf("| call | compiler | instructions | ns median | ns min | ns p10..p90 |\n"
           "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < N_VARIANTS; i++) {
        qsort(ns[i], (size_t)rounds, sizeof ns[i][0], compare);
        printf("| %s | %s -O2 | %.2f | %.2f | %.2f | %.2f..%.2f |\n", variants[i].name,
               variants[i].cc, instructions(self, dir, i), ns[i][rounds / 2], ns[i][0],
               ns[i][rounds / 10], ns[i][rounds * 9 / 10]);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/molt-bench-XXXXXX", self[PATH_SIZE];
    if (argc == 5 && strcmp(argv[1], "--count") == 0) {
        size_t i = strtoul(argv[3], NULL, 10);
        enter_world(argv[2]);
        return open_loop(argv[2], i)(strtol(argv[4], NULL, 10)) > 0 ? 0 : 1;
    }
    int rounds = argc > 1 ? atoi(argv[1]) : 21;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (rounds < 1 || rounds > ROUNDS_MAX || n < 0 || !mkdtemp(dir))
        die("usage: %s [ROUNDS, 1 to %d]", argv[0], ROUNDS_MAX);
    self[n] = '\0';
    build_targets(dir);
    build_loops(dir);
    measure(self, dir, rounds);
    shell("rm -r %s", dir);
    return 0;
}
