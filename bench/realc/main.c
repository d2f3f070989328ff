/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt-realc: see the help. What bench/realc.sh builds is compared here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool/bench.h"
#include "types/match.h"

static const char help[] =
    "usage: molt-realc PROJECT REFUSALS NAME OLD NEW [NAME OLD NEW]...\n"
    "Compare the structs of two builds of programs, as `molt plan` compares those of a module's\n"
    "blocks, and print a table in Markdown. OLD and NEW are ELF files with debug info; PROJECT\n"
    "is where their sources lay for the compiler. All refusals go to file REFUSALS.\n";

#define RULES_MAX 32
#define EXAMPLES 2 /* of each rule, per program */

struct rule {
    char *name;
    size_t n_fields;
    size_t n_examples;
    char *examples[EXAMPLES];
};

struct figures {
    struct molt_match_census census;
    size_t n_reach, n_automatic, n_hint, n_refused;
    double ms;
    size_t n_rules;
    struct rule rules[RULES_MAX];
};

/* Malloc'd. */
static char *read_side(const char *path, struct molt_match_side *ret)
{
    FILE *file = fopen(path, "re");
    if (!file || fseek(file, 0, SEEK_END) < 0)
        molt_bench_die("can't read %s", path);
    long len = ftell(file);
    char *bytes = len > 0 ? malloc((size_t)len) : NULL;
    rewind(file);
    if (!bytes || fread(bytes, 1, (size_t)len, file) != (size_t)len)
        molt_bench_die("can't read %s", path);
    fclose(file);
    *ret = (struct molt_match_side){.bytes = bytes, .len = (size_t)len};
    return bytes;
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A remedy that is a hint, and not other code. */
static bool is_hint(const struct molt_match_refusal *r)
{
    return strstr(r->remedy, "MOLT_") && !strstr(r->remedy, "MOLT_CHANGE");
}

static struct rule *rule_called(struct figures *f, const char *name)
{
    for (size_t i = 0; i < f->n_rules; i++)
        if (strcmp(f->rules[i].name, name) == 0)
            return &f->rules[i];
    if (f->n_rules == RULES_MAX)
        molt_bench_die("more than %d rules", RULES_MAX);
    struct rule *rule = &f->rules[f->n_rules++];
    rule->name = molt_bench_text("%s", name);
    return rule;
}

static const char *first_line(const char *text)
{
    static char line[160];
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
    return line;
}

/* A field that several types have by value is refused in each; it is counted once. */
static bool is_first(const struct molt_match *match, size_t type,
                     const struct molt_match_refusal *r)
{
    for (size_t i = 0; i <= type; i++)
        for (size_t k = 0; k < match->types[i].n_refusals; k++) {
            const struct molt_match_refusal *other = &match->types[i].refusals[k];
            if (other == r)
                return true;
            if (*r->place && strcmp(other->place, r->place) == 0 && strcmp(other->why, r->why) == 0)
                return false;
        }
    return true;
}

static void count_refusal(struct figures *f, const struct molt_match_refusal *r)
{
    struct rule *rule = rule_called(f, r->rule);
    rule->n_fields++;
    if (rule->n_examples < EXAMPLES)
        rule->examples[rule->n_examples++] =
            molt_bench_text("`%s`: %s", r->field, first_line(r->why));
}

static void count_type(struct figures *f, const struct molt_match *match, size_t i, FILE *refusals)
{
    const struct molt_match_type *t = &match->types[i];
    bool are_hints = true;
    for (size_t k = 0; k < t->n_refusals; k++) {
        const struct molt_match_refusal *r = &t->refusals[k];
        are_hints &= is_hint(r);
        fprintf(refusals, "%s\t%s\t%s\t%s\t%s\n", r->rule, r->field, r->why, r->place,
                first_line(r->remedy));
        if (is_first(match, i, r))
            count_refusal(f, r);
    }
    if (t->verdict == MOLT_MATCH_REFUSED && are_hints)
        f->n_hint++;
    else if (t->verdict == MOLT_MATCH_REFUSED)
        f->n_refused++;
    else if (t->is_reach_only)
        f->n_reach++;
    else
        f->n_automatic++;
}

static void compare(char **args, const char *project, FILE *refusals, struct figures *f)
{
    struct molt_match_side old, new;
    struct molt_match_options options = {.project = project};
    struct molt_match match;
    struct molt_error err = {0};
    char *old_bytes = read_side(args[1], &old), *new_bytes = read_side(args[2], &new);
    double start = now_ms();
    if (molt_match_debug(&old, &new, &options, &match, &f->census, &err) < 0)
        molt_bench_die("%s: %s", args[0], err.text);
    f->ms = now_ms() - start;
    fprintf(refusals, "# %s\n", args[0]);
    for (size_t i = 0; i < match.n_types; i++)
        count_type(f, &match, i, refusals);
    for (size_t i = 0; i < match.n_refusals; i++) {
        fprintf(refusals, "%s\t%s\t%s\t%s\n", match.refusals[i].rule, match.refusals[i].field,
                match.refusals[i].why, match.refusals[i].place);
        count_refusal(f, &match.refusals[i]);
    }
    molt_match_fini(&match);
    free(old_bytes);
    free(new_bytes);
}

static void print_row(const char *name, const struct figures *f)
{
    printf("| %s | %zu | %zu | %zu | %zu | %zu | %zu | %zu | %.0f |\n", name, f->census.n_types,
           f->census.n_same, f->n_reach, f->n_automatic, f->n_hint, f->n_refused, f->census.n_gone,
           f->ms);
}

static void add(struct figures *sum, const struct figures *f)
{
    sum->census.n_types += f->census.n_types;
    sum->census.n_same += f->census.n_same;
    sum->census.n_gone += f->census.n_gone;
    sum->n_reach += f->n_reach;
    sum->n_automatic += f->n_automatic;
    sum->n_hint += f->n_hint;
    sum->n_refused += f->n_refused;
    sum->ms += f->ms;
}

static void print_rules(int n, char **args, const struct figures *f)
{
    fputs("\n| program | rule | fields | for example |\n|---|---|---|---|\n", stdout);
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < f[i].n_rules; k++) {
            const struct rule *r = &f[i].rules[k];
            printf("| %s | %s | %zu | %s%s%s |\n", args[3 * i], r->name, r->n_fields,
                   r->examples[0], r->n_examples > 1 ? "; " : "",
                   r->n_examples > 1 ? r->examples[1] : "");
        }
}

static void fini(struct figures *f)
{
    for (size_t k = 0; k < f->n_rules; k++) {
        for (size_t i = 0; i < f->rules[k].n_examples; i++)
            free(f->rules[k].examples[i]);
        free(f->rules[k].name);
    }
}

int main(int argc, char **argv)
{
    if (argc < 6 || argc % 3 != 0) {
        bool is_help = argc > 1 && strcmp(argv[1], "--help") == 0;
        fputs(help, is_help ? stdout : stderr);
        return is_help ? 0 : 2;
    }
    molt_bench_init("realc");
    int n = (argc - 3) / 3;
    FILE *refusals = fopen(argv[2], "we");
    struct figures *f = calloc((size_t)n + 1, sizeof(*f));
    if (!refusals || !f)
        molt_bench_die("can't write %s", argv[2]);
    fputs(
        "| program | structs | unchanged | reach a changed one | automatic | need a hint | refused "
        "| gone | CPU ms |\n|---|---|---|---|---|---|---|---|---|\n",
        stdout);
    for (int i = 0; i < n; i++) {
        compare(argv + 3 + 3 * i, argv[1], refusals, &f[i]);
        print_row(argv[3 + 3 * i], &f[i]);
        add(&f[n], &f[i]);
    }
    print_row("sum", &f[n]);
    print_rules(n, argv + 3, f);
    for (int i = 0; i < n; i++)
        fini(&f[i]);
    free(f);
    fclose(refusals);
    return 0;
}
