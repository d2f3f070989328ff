/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * molt's runtime beside Erlang's and Go's: who is measured, what is run, and what
 * is read from it.
 *
 * Invariant: every program measures itself in the same way (molt/measure.h):
 * warmed up, a run that takes about the time asked for, clocks inside the
 * program; each measurement in an OS process of its own.
 *
 * Threads: one.
 */
#ifndef MOLT_BENCH_RUNTIME_H
#define MOLT_BENCH_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tool/result.h"
#include "tool/stats.h"

#define RT_POINTS_MAX 9
#define RT_ROUNDS_MAX 25

/* ---- who ----------------------------------------------------------------------- */

enum rt_who { RT_MOLT, RT_ERLANG, RT_GO, RT_HIBERNATED, RT_WHO };
enum {
    RT_ALL = 1 << RT_MOLT | 1 << RT_ERLANG | 1 << RT_GO,
    RT_BEAM = 1 << RT_MOLT | 1 << RT_ERLANG
};

struct rt_order {
    const char *command; /* what the programs call it */
    const char *place;   /* "same", "any", "across" */
    unsigned workers;
    unsigned long n;
    unsigned ms;                  /* what a run shall take */
    unsigned first_ms, spread_ms; /* of timers */
};

struct rt_subject {
    const char *name, *title;
    void (*prepare)(void); /* compile what run() needs */
    /* Start it, have it measure, end it; dies if it doesn't. */
    void (*run)(const struct rt_order *order, struct molt_bench_result *ret);
    void (*finish)(void); /* may be NULL */
};

extern const struct rt_subject molt_rt_subjects[RT_WHO];

/* "Go 1.19.8" and the like; static, known after prepare(). */
const char *molt_rt_version(enum rt_who who);

/* ---- what ------------------------------------------------------------------------ */

struct rt_experiment {
    const char *name, *command, *place;
    const char *x_label; /* what n is */
    unsigned workers;
    unsigned who;                        /* bits */
    unsigned long points[RT_POINTS_MAX]; /* ascending, 0 after the last */
    unsigned long head;                  /* the one that stands in the table */
};

enum rt_experiment_id {
    RT_PINGPONG_SAME,
    RT_PINGPONG_ANY,
    RT_PINGPONG_ACROSS,
    RT_SEND_SAME,
    RT_SEND_ACROSS,
    RT_SEND_ANY,
    RT_CALL_SAME,
    RT_CALL_ANY,
    RT_CALL_ACROSS,
    RT_SPAWN,
    RT_RING_SAME,
    RT_RING_ANY,
    RT_IDLE,
    RT_CANCEL,
    RT_TIMERS,
    RT_GET_SET,
    RT_PUT_SET,
    RT_ADD_SET,
    RT_GET_ORDERED,
    RT_PUT_ORDERED,
    RT_GET_SET_2,
    RT_PUT_SET_2,
    RT_ADD_SET_2,
    RT_GET_ORDERED_2,
    RT_PUT_ORDERED_2,
    RT_EXPERIMENTS
};

extern const struct rt_experiment molt_rt_experiments[RT_EXPERIMENTS];

/* What is read from a result, and what it ought to be. */
struct rt_metric {
    enum rt_experiment_id experiment;
    const char *name; /* of data and picture */
    const char *title, *unit;
    const char *growth; /* title of the picture; NULL: the same */
    double (*value)(const struct molt_bench_result *result);
    bool is_more_better;
    int digits;
    double goal;      /* 0: to be at least level with the best peer */
    unsigned no_rank; /* bits: whom it is no contest with, see the notes */
    enum { RT_BOTH, RT_TABLE, RT_GROWTH } shown;
};

extern const struct rt_metric molt_rt_metrics[];
extern const size_t molt_rt_n_metrics;

/* Processor time of an operation, ns; NAN where there is none. */
double molt_rt_cpu_ns(const struct molt_bench_result *result);

/* The metric of that for an experiment: its strings are in it, so it must not be
 * copied. */
struct rt_cpu_metric {
    struct rt_metric metric;
    char name[40], title[80];
};
void molt_rt_cpu_metric(enum rt_experiment_id experiment, struct rt_cpu_metric *ret);

/* ---- what came out ---------------------------------------------------------------- */

struct rt_runs {
    unsigned n; /* run i of one subject is of the same round as run i of another */
    struct molt_bench_result runs[RT_ROUNDS_MAX];
};

/* What the machine can do at all, ns: a message there and back between two
 * threads, by a futex on one core and across cores, and by spinning. */
struct rt_limits {
    double futex_same_ns, futex_across_ns, spin_ns;
};
void molt_rt_measure_limits(struct rt_limits *ret);

struct rt_results {
    unsigned rounds, ms;
    bool is_short;
    struct rt_limits limits;
    struct rt_runs of[RT_EXPERIMENTS][RT_POINTS_MAX][RT_WHO];
};

/* Index of the head among the points that were run. */
size_t molt_rt_head(const struct rt_results *results, enum rt_experiment_id experiment);

/* Median and interval of a metric at point @point. */
struct molt_bench_cell molt_rt_cell(const struct rt_results *results,
                                    const struct rt_metric *metric, size_t point, enum rt_who who);
/* How many times better molt is than @peer, round by round: above 1 it is. */
struct molt_bench_cell molt_rt_better(const struct rt_results *results,
                                      const struct rt_metric *metric, size_t point,
                                      enum rt_who peer);

void molt_rt_report(FILE *out, const struct rt_results *results);
/* runtime.json, and runtime-METRIC.svg for each that was run at three points or
 * more, in folder @dir. */
void molt_rt_save(const char *dir, const struct rt_results *results);

#endif
