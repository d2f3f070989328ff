/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/stats.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tool/bench.h"

void molt_bench_add(struct molt_bench_series *s, double value)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        s->v = realloc(s->v, s->cap * sizeof(*s->v));
        if (!s->v)
            molt_bench_die("out of memory");
    }
    s->v[s->n++] = value;
}

void molt_bench_series_fini(struct molt_bench_series *s)
{
    free(s->v);
    *s = (struct molt_bench_series){0};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double molt_bench_quantile(struct molt_bench_series *s, double p)
{
    if (!s->n)
        return 0;
    qsort(s->v, s->n, sizeof(*s->v), compare);
    double at = p * (double)(s->n - 1);
    size_t low = (size_t)at;
    if (low + 1 >= s->n)
        return s->v[s->n - 1];
    return s->v[low] + (at - (double)low) * (s->v[low + 1] - s->v[low]);
}

double molt_bench_median(struct molt_bench_series *s)
{
    return molt_bench_quantile(s, 0.5);
}

/* The chance that at most @k of @n values lie below the median they have in
 * common: each does with probability one half. */
static double binomial(size_t n, size_t k)
{
    double term = 1, sum;
    for (size_t i = 0; i < n; i++)
        term /= 2;
    sum = term;
    for (size_t i = 0; i < k; i++) {
        term *= (double)(n - i) / (double)(i + 1);
        sum += term;
    }
    return sum;
}

struct molt_bench_cell molt_bench_cell(struct molt_bench_series *s)
{
    struct molt_bench_cell cell = {.n = s->n, .median = molt_bench_quantile(s, 0.5)};
    size_t rank = 0;
    if (!s->n)
        return cell;
    while (2 * (rank + 1) < s->n && 1 - 2 * binomial(s->n, rank + 1) >= 0.95)
        rank++;
    cell.low = s->v[rank];
    cell.high = s->v[s->n - 1 - rank];
    cell.coverage = s->n > 1 ? 1 - 2 * binomial(s->n, rank) : 0;
    return cell;
}

struct molt_bench_cell molt_bench_better(size_t n, const double *ours, const double *theirs,
                                         bool is_more_better)
{
    struct molt_bench_series s = {0};
    for (size_t i = 0; i < n; i++)
        if (ours[i] > 0 && theirs[i] > 0)
            molt_bench_add(&s, is_more_better ? ours[i] / theirs[i] : theirs[i] / ours[i]);
    struct molt_bench_cell cell = molt_bench_cell(&s);
    molt_bench_series_fini(&s);
    return cell;
}

enum molt_bench_verdict molt_bench_judge(const struct molt_bench_cell *better)
{
    if (better->n < 3)
        return MOLT_BENCH_OPEN;
    return better->low > 1    ? MOLT_BENCH_BETTER
           : better->high < 1 ? MOLT_BENCH_WORSE
                              : MOLT_BENCH_LEVEL;
}

/* ---- processes ---------------------------------------------------------------- */

struct molt_bench_memory molt_bench_memory(pid_t pid)
{
    struct molt_bench_memory ret = {0};
    char line[256];
    snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(line, "re");
    while (file && fgets(line, sizeof(line), file)) {
        double kib = 0;
        if (sscanf(line, "Pss: %lf", &kib) == 1)
            ret.pss = kib * 1024;
        else if (sscanf(line, "Rss: %lf", &kib) == 1)
            ret.rss = kib * 1024;
        else if (sscanf(line, "Private_Clean: %lf", &kib) == 1 ||
                 sscanf(line, "Private_Dirty: %lf", &kib) == 1)
            ret.private += kib * 1024;
    }
    if (file)
        fclose(file);
    return ret;
}

/* proc(5), stat: fields 14 to 17, counted after the name in parentheses. */
static void read_cpu(pid_t pid, double *ret_own, double *ret_children)
{
    char text[1024];
    snprintf(text, sizeof(text), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(text, "re");
    size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    unsigned long v[4] = {0};
    if (at && sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &v[0],
                     &v[1], &v[2], &v[3]) != 4)
        memset(v, 0, sizeof(v));
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    *ret_own = (double)(v[0] + v[1]) * tick;
    *ret_children = (double)(v[2] + v[3]) * tick;
}

double molt_bench_cpu(pid_t pid)
{
    double own, children;
    read_cpu(pid, &own, &children);
    return own;
}

double molt_bench_cpu_all(pid_t pid)
{
    double own, children;
    read_cpu(pid, &own, &children);
    return own + children;
}

/* ---- the machine -------------------------------------------------------------- */

static void read_model(char *model, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(model, size, "unknown processor");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(model, size, "%s", strchr(line, ':') + 2);
            break;
        }
    if (file)
        fclose(file);
}

char *molt_bench_machine(void)
{
    char model[256];
    struct utsname name;
    read_model(model, sizeof(model));
    uname(&name);
    double gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1u << 30);
    return molt_bench_text(
        "%ld cores (%s), %.0f GiB, Linux %s, server and load on the same machine",
        sysconf(_SC_NPROCESSORS_ONLN), model, gib, name.release);
}

void molt_bench_print_machine(FILE *out)
{
    char *text = molt_bench_machine();
    fprintf(out, "Machine: %s.\n", text);
    free(text);
}
