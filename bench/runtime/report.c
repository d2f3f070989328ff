/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Tables in Markdown: the figures, wins and losses, and growth. */
#include <math.h>
#include <string.h>

#include "runtime/runtime.h"
#include "tool/bench.h"

static const enum rt_who columns[] = {RT_MOLT, RT_ERLANG, RT_GO};
#define N_COLUMNS (sizeof(columns) / sizeof(*columns))

/* ---- verdicts ----------------------------------------------------------------------- */

/* The best peer of a metric at a point that it is a contest with, and how many
 * times better than it molt is. False if there is none. */
struct contest {
    enum rt_who peer;
    struct molt_bench_cell better;
};

static bool find_contest(const struct rt_results *r, const struct rt_metric *m, size_t point,
                         struct contest *ret)
{
    bool is_found = false;
    for (unsigned who = RT_MOLT + 1; who < RT_WHO; who++) {
        if (m->no_rank & 1u << who)
            continue;
        struct molt_bench_cell better = molt_rt_better(r, m, point, (enum rt_who)who);
        if (better.n == 0 || (is_found && better.median >= ret->better.median))
            continue;
        *ret = (struct contest){(enum rt_who)who, better};
        is_found = true;
    }
    return is_found;
}

/* By how much the goal is missed, below 1 if it is met. */
static double missed_by(const struct rt_metric *m, const struct molt_bench_cell *ours)
{
    return m->is_more_better ? m->goal / ours->median : ours->median / m->goal;
}

/* A goal holds at the point that it was set for. */
static bool has_goal(const struct rt_results *r, const struct rt_metric *m, size_t point)
{
    const struct rt_experiment *e = &molt_rt_experiments[m->experiment];
    return m->goal > 0 && point == molt_rt_head(r, m->experiment) && e->points[point] == e->head;
}

/* ---- cells ----------------------------------------------------------------------------- */

static void print_cell(FILE *out, const struct molt_bench_cell *c, int digits)
{
    if (c->n == 0 || !isfinite(c->median))
        fputs(" - |", out);
    else if (c->n == 1)
        fprintf(out, " %.*f |", digits, c->median);
    else
        fprintf(out, " %.*f [%.*f-%.*f] |", digits, c->median, digits, c->low, digits, c->high);
}

static void print_better(FILE *out, const struct contest *c)
{
    static const char *const words[] = {[MOLT_BENCH_BETTER] = "better than",
                                        [MOLT_BENCH_LEVEL] = "level with",
                                        [MOLT_BENCH_WORSE] = "**worse** than",
                                        [MOLT_BENCH_OPEN] = "against"};
    const char *peer = molt_rt_subjects[c->peer].title;
    fprintf(out, " %.2f", c->better.median);
    if (c->better.n > 1)
        fprintf(out, " [%.2f-%.2f]", c->better.low, c->better.high);
    fprintf(out, ", %s %s |", words[molt_bench_judge(&c->better)], peer);
}

static void print_goal(FILE *out, const struct rt_metric *m, const struct molt_bench_cell *ours)
{
    double missed = missed_by(m, ours);
    fprintf(out, " %s %g: ", m->is_more_better ? "at least" : "at most", m->goal);
    if (missed <= 1)
        fputs("met |", out);
    else
        fprintf(out, "**missed**, %.2f times |", missed);
}

/* Is it a line of the table? */
static bool was_run(const struct rt_results *r, const struct rt_metric *m)
{
    return m->shown != RT_GROWTH &&
           r->of[m->experiment][molt_rt_head(r, m->experiment)][RT_MOLT].n > 0;
}

static void print_figure(FILE *out, const struct rt_results *r, const struct rt_metric *m)
{
    size_t head = molt_rt_head(r, m->experiment);
    const struct rt_experiment *e = &molt_rt_experiments[m->experiment];
    struct molt_bench_cell ours = molt_rt_cell(r, m, head, RT_MOLT);
    struct contest c;
    fprintf(out, "| %s", m->title);
    if (e->points[head] != e->head)
        fprintf(out, " (here: %lu)", e->points[head]);
    fprintf(out, " | %s |", m->unit);
    for (size_t i = 0; i < N_COLUMNS; i++) {
        struct molt_bench_cell cell = molt_rt_cell(r, m, head, columns[i]);
        print_cell(out, &cell, m->digits);
    }
    if (find_contest(r, m, head, &c))
        print_better(out, &c);
    else
        fputs(" - |", out);
    if (has_goal(r, m, head))
        print_goal(out, m, &ours);
    else
        fputs(" - |", out);
    fputc('\n', out);
}

/* ---- wins and losses ---------------------------------------------------------------------- */

static void print_verdicts(FILE *out, const struct rt_results *r, enum molt_bench_verdict verdict,
                           const char *word)
{
    bool is_any = false;
    fprintf(out, "\n%s:", word);
    for (size_t i = 0; i < molt_rt_n_metrics; i++) {
        const struct rt_metric *m = &molt_rt_metrics[i];
        struct contest c;
        if (!was_run(r, m) || !find_contest(r, m, molt_rt_head(r, m->experiment), &c) ||
            molt_bench_judge(&c.better) != verdict)
            continue;
        fprintf(out, "%s %s (%.2f, %s)", is_any ? ";" : "", m->title, c.better.median,
                molt_rt_subjects[c.peer].title);
        is_any = true;
    }
    fputs(is_any ? ".\n" : " none.\n", out);
}

static void print_goals(FILE *out, const struct rt_results *r, bool is_met)
{
    bool is_any = false;
    fprintf(out, "\nGoals %s:", is_met ? "met" : "missed");
    for (size_t i = 0; i < molt_rt_n_metrics; i++) {
        const struct rt_metric *m = &molt_rt_metrics[i];
        size_t head = molt_rt_head(r, m->experiment);
        if (!was_run(r, m) || !has_goal(r, m, head))
            continue;
        struct molt_bench_cell ours = molt_rt_cell(r, m, head, RT_MOLT);
        double missed = missed_by(m, &ours);
        if ((missed <= 1) != is_met)
            continue;
        fprintf(out, "%s %s (%.*f of %g)", is_any ? ";" : "", m->title, m->digits, ours.median,
                m->goal);
        is_any = true;
    }
    fputs(is_any ? ".\n" : " none.\n", out);
}

/* ---- processor time ----------------------------------------------------------------------------
 */

static void print_cpu_table(FILE *out, const struct rt_results *r)
{
    fputs("\n## Processor time\n\nOf all threads of the program, us an operation.\n\n"
          "| experiment | n | molt | Erlang | Go | better than the best peer |\n"
          "|---|---|---|---|---|---|\n",
          out);
    for (unsigned id = 0; id < RT_EXPERIMENTS; id++) {
        struct rt_cpu_metric cpu;
        const struct rt_experiment *e = &molt_rt_experiments[id];
        size_t head = molt_rt_head(r, (enum rt_experiment_id)id);
        struct contest c;
        molt_rt_cpu_metric((enum rt_experiment_id)id, &cpu);
        if (!was_run(r, &cpu.metric))
            continue;
        fprintf(out, "| %s | %lu |", e->name, e->points[head]);
        for (size_t i = 0; i < N_COLUMNS; i++) {
            struct molt_bench_cell cell = molt_rt_cell(r, &cpu.metric, head, columns[i]);
            print_cell(out, &cell, 3);
        }
        if (find_contest(r, &cpu.metric, head, &c))
            print_better(out, &c);
        else
            fputs(" - |", out);
        fputc('\n', out);
    }
}

/* ---- growth -------------------------------------------------------------------------------------
 */

static size_t count_points(const struct rt_results *r, const struct rt_metric *m)
{
    size_t n = 0;
    for (size_t i = 0; i < RT_POINTS_MAX && m->shown != RT_TABLE; i++)
        n += r->of[m->experiment][i][RT_MOLT].n > 0;
    return n;
}

static void print_growth(FILE *out, const struct rt_results *r, const struct rt_metric *m)
{
    const struct rt_experiment *e = &molt_rt_experiments[m->experiment];
    bool is_hibernated = e->who & 1u << RT_HIBERNATED;
    fprintf(out,
            "\n### %s\n\n![%s](runtime-%s.svg)\n\n| %s | molt | Erlang | Go |%s better than the "
            "best peer |\n|---|---|---|---|---|%s\n",
            m->name, m->name, m->name, e->x_label, is_hibernated ? " Erlang, hibernated |" : "",
            is_hibernated ? "---|" : "");
    for (size_t i = 0; i < RT_POINTS_MAX && e->points[i]; i++) {
        struct contest c;
        if (!r->of[m->experiment][i][RT_MOLT].n)
            continue;
        fprintf(out, "| %lu |", e->points[i]);
        for (size_t k = 0; k < N_COLUMNS; k++) {
            struct molt_bench_cell cell = molt_rt_cell(r, m, i, columns[k]);
            print_cell(out, &cell, m->digits);
        }
        if (is_hibernated) {
            struct molt_bench_cell cell = molt_rt_cell(r, m, i, RT_HIBERNATED);
            print_cell(out, &cell, m->digits);
        }
        if (find_contest(r, m, i, &c))
            print_better(out, &c);
        else
            fputs(" - |", out);
        fputc('\n', out);
    }
}

/* ---- all of it
 * ------------------------------------------------------------------------------------- */

static const char notes[] =
    "\n## What is compared, and what isn't\n\n"
    "Sources: bench/runtime/molt (a molt app of its own, built by molt with -O2, run by a release "
    "`molt-host`), bench/runtime/peers. Every program measures itself: it runs with more and more "
    "operations until a run takes the time that was asked for, and that run counts (never the "
    "first). Each "
    "measurement is an OS process of its own; programs take turns, and another one is first in "
    "each round. Erlang: `+S W:W +sbt db`, busy waiting as by default; Go: GOMAXPROCS=W; molt: W "
    "workers. Programs aren't bound to cores.\n\n"
    "- A *better* of 2 means half the time or memory, or twice the rate; it is the median of the "
    "rounds' ratios. It is *level* if the interval holds 1.\n"
    "- Sends: molt's messages are typed blocks that are allocated by the sender and freed by the "
    "receiver, Erlang's and Go's are an integer. Go's channel holds 1,024 and then stops the "
    "sender; molt's and Erlang's mailboxes grow. molt's sender gives way after 1,024 messages, "
    "Erlang's when its reductions are used up.\n"
    "- Calls: molt_call(), gen_server:call() (both find out that the server died), and in Go a "
    "request with a channel for the answer (doesn't).\n"
    "- Across two workers: in molt a crowd is started, one that another worker took from the "
    "starter's is kept, and both are looked at again after the run; Erlang with the spawn option "
    "`{scheduler, N}`; Go can't be told, its "
    "figure is of two goroutines wherever they are, most often on one core, and is no contest. "
    "*Placed by the runtime* is what each does by itself with two cores.\n"
    "- Processor time: Erlang tells its own in milliseconds, so it means little where a run is "
    "short "
    "(few processes or timers). That of timers is of starting them.\n"
    "- Spawn and exit: the parent waits for the end: in molt a message from `terminate`, in "
    "Erlang a monitor's, in Go a WaitGroup, which isn't tied to the goroutine's end.\n"
    "- Idle: waiting for a message, state of one number. *Hibernated* is how Erlang's programmers "
    "save memory; such a process pays for it when it wakes. Go's goroutines share one channel, so "
    "its memory is without a mailbox of their own (96 bytes and more).\n"
    "- Tables against ETS (public; where two use it `read_concurrency` for reads, "
    "`write_concurrency` "
    "auto for the others): an integer key taken at random from all rows, a value of one integer; "
    "lookup_element, insert of a row that is there, update_counter. Go has nothing alike.\n"
    "- Timers: molt has one for each process, so a million are a million processes that are told "
    "to "
    "start theirs; Erlang's processes wait with `receive ... after`; Go's are time.AfterFunc, "
    "without goroutine and message. Starting one includes the message for molt and Erlang, not "
    "for Go. molt's and Erlang's timers are in milliseconds, Go's in nanoseconds. They fall due "
    "over 5.5 s, after all are armed.\n";

static void print_head(FILE *out, const struct rt_results *r)
{
    fprintf(out,
            "# The runtime\n\nmolt beside Erlang and Go, %u interleaved round%s of %u ms a run. "
            "`./dev bench runtime%s`\n\n",
            r->rounds, r->rounds == 1 ? "" : "s", r->ms, r->is_short ? " --short" : "");
    molt_bench_print_machine(out);
    fprintf(out, "Peers: %s; %s.\n", molt_rt_version(RT_ERLANG), molt_rt_version(RT_GO));
    fprintf(out,
            "Two threads of this machine take %.2f us for a message there and back by a futex on "
            "one core, %.1f us across cores, %.2f us across cores if both spin: below that no "
            "figure *across* can be.\n",
            r->limits.futex_same_ns / 1e3, r->limits.futex_across_ns / 1e3,
            r->limits.spin_ns / 1e3);
}

void molt_rt_report(FILE *out, const struct rt_results *r)
{
    print_head(out, r);
    print_goals(out, r, true);
    print_goals(out, r, false);
    print_verdicts(out, r, MOLT_BENCH_BETTER, "Better than the best peer");
    print_verdicts(out, r, MOLT_BENCH_LEVEL, "Level");
    print_verdicts(out, r, MOLT_BENCH_WORSE, "**Worse than the best peer**");
    if (r->rounds < 3)
        print_verdicts(out, r, MOLT_BENCH_OPEN, "Undecided, too few rounds");
    fputs("\n| figure | unit | molt | Erlang | Go | better than the best peer | goal |\n"
          "|---|---|---|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < molt_rt_n_metrics; i++)
        if (was_run(r, &molt_rt_metrics[i]))
            print_figure(out, r, &molt_rt_metrics[i]);
    fprintf(out, "\nMedians; in brackets the interval of the median (%s).\n",
            r->rounds >= 6 ? "95 % or more"
                           : "smallest to largest, 94 % with five rounds, less with fewer");
    print_cpu_table(out, r);
    if (!r->is_short)
        fputs("\n## Growth\n", out);
    for (size_t i = 0; i < molt_rt_n_metrics; i++)
        if (count_points(r, &molt_rt_metrics[i]) >= 3)
            print_growth(out, r, &molt_rt_metrics[i]);
    for (unsigned id = 0; id < RT_EXPERIMENTS; id++) {
        struct rt_cpu_metric cpu;
        molt_rt_cpu_metric((enum rt_experiment_id)id, &cpu);
        if (count_points(r, &cpu.metric) >= 3)
            print_growth(out, r, &cpu.metric);
    }
    fputs(notes, out);
}
