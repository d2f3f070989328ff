/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * molt's HTTP server beside others: who is measured, what a run gives.
 *
 * Invariant: every server answers GET / with "Hello 0\n" on keep-alive
 * connections, has the same number of threads that serve, on cores of their own,
 * and meets the same load from the others.
 *
 * Threads: the main thread; the load has its own.
 */
#ifndef MOLT_BENCH_HTTP_HTTP_H
#define MOLT_BENCH_HTTP_HTTP_H

#include <stdio.h>
#include <sys/types.h>

#include "load.h"
#include "tool/stats.h"

#define HTTP_ROUNDS_MAX 25
#define HTTP_ANSWER "Hello 0\n"

enum http_who { HTTP_MOLT, HTTP_NGINX, HTTP_GO, HTTP_ERLANG, HTTP_MOCHIWEB, HTTP_PLAIN, HTTP_WHO };

struct http_server {
    const char *name, *title;
    void (*prepare)(unsigned workers);
    pid_t (*start)(unsigned *ret_port); /* returns at once */
    void (*tick)(void);                 /* now and then while it serves; may be NULL */
    void (*stop)(void);
    void (*finish)(void); /* may be NULL */
};

extern const struct http_server molt_http_servers[HTTP_WHO];

#define HTTP_POINTS 4
extern const unsigned molt_http_points[HTTP_POINTS]; /* connections */

/* One run. */
struct http_run {
    struct molt_load_stats load;
    double cpu_s;      /* of the server, all its processes */
    double load_cpu_s; /* of the load: near elapsed time it is the limit */
    double memory;     /* Pss under load, bytes */
};

struct http_runs {
    unsigned n; /* run i of one server is of the same round as run i of another */
    struct http_run runs[HTTP_ROUNDS_MAX];
};

struct http_results {
    unsigned rounds, seconds, workers;
    bool is_short, is_bound;
    struct http_runs of[HTTP_POINTS][HTTP_WHO];
};

void molt_http_report(FILE *out, const struct http_results *results);
/* http.json and http-*.svg in @dir. */
void molt_http_save(const char *dir, const struct http_results *results);

/* What is read from a run. */
struct http_metric {
    const char *name, *title;
    double (*value)(const struct http_run *run);
    bool is_more_better;
    int digits;
    double goal;       /* at 100 connections; 0: none but to be level with nginx */
    bool is_in_growth; /* has a picture */
};
extern const struct http_metric molt_http_metrics[];
extern const size_t molt_http_n_metrics;

struct molt_bench_cell molt_http_cell(const struct http_results *results,
                                      const struct http_metric *metric, unsigned point,
                                      enum http_who who);
/* How many times better molt is than @peer, round by round. */
struct molt_bench_cell molt_http_better(const struct http_results *results,
                                        const struct http_metric *metric, unsigned point,
                                        enum http_who peer);

#endif
