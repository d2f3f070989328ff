/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What swapping code under load costs: subjects (ways to get new code into a
 * running service), one measured run, and the report.
 *
 * Invariant: every subject serves "Hello <version>\n" at / on its port, and
 * whatever can be made before the measurement (compiled, written, started) is.
 *
 * Threads: the main thread; the load has its own.
 */
#ifndef MOLT_BENCH_SWAP_SWAP_H
#define MOLT_BENCH_SWAP_SWAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/stops.h"
#include "load.h"
#include "tool/stats.h"

#define SWAP_CONNECTIONS 100
#define SWAP_PERIOD_MS 500
#define SWAP_VERSIONS_MAX (MOLT_LOAD_MARKERS_MAX - 1)
#define SWAP_ROUNDS_MAX 101

/* What a subject knows of its own swaps, ns; 0 where it doesn't. */
struct swap_times {
    uint64_t total_ns, switch_ns, held_ns;
};

struct swap_subject {
    const char *name;  /* in JSON */
    const char *title; /* in tables */
    /* Make what versions 0 to @n need. */
    void *(*prepare)(unsigned n);
    /* Serve version 0; returns the port once it answers. */
    unsigned (*start)(void *state);
    /* Bring version @version into service, and return when that is done. */
    void (*swap)(void *state, unsigned version, struct swap_times *ret);
    /* Look after what came in since; may be NULL. */
    void (*tick)(void *state);
    /* Memory of all its processes now; bytes of Pss. */
    double (*memory)(void *state);
    /* Of that, what it needs only in order to swap, always; may be NULL. */
    double (*standing)(void *state);
    /* Processor seconds of all its processes so far, of those that ended too. */
    double (*cpu)(void *state);
    /* Add how often swaps stopped threads or processes so far, by duration
     * (base/stops.h); may be NULL. */
    void (*stops)(void *state, uint64_t *buckets);
    void (*stop)(void *state);
};

extern const struct swap_subject molt_swap_molt;
extern const struct swap_subject molt_swap_rolling;   /* HAProxy, no drain */
extern const struct swap_subject molt_swap_lingering; /* a kinder server */
extern const struct swap_subject molt_swap_drained;
extern const struct swap_subject molt_swap_erlang;

/* One run. */
struct swap_run {
    bool is_swapping;
    unsigned n_swaps, n_late; /* late: begun after the next one's turn */
    unsigned n_reached;       /* connections that saw every version without reconnecting: the
                                 fewest for any version */
    struct molt_load_stats load;
    uint64_t downtime_ns; /* longest interval without a success on any connection */
    double memory;        /* most growth seen during the run, bytes */
    double standing;
    double cpu_us;                     /* of the server, a request */
    double swap_ms, swap_max_ms;       /* median, longest */
    double switch_max_us, held_max_us; /* of molt alone */
    uint64_t stops[MOLT_STOP_BUCKETS]; /* in this run */
};

/* Load on @port for @seconds; with swaps every SWAP_PERIOD_MS or without. */
void molt_swap_measure(const struct swap_subject *subject, void *state, unsigned port,
                       bool is_swapping, unsigned seconds, struct swap_run *ret);

/* All pairs of a subject; control[i] and swapped[i] ran in one server, one after
 * the other. */
struct swap_result {
    const struct swap_subject *subject;
    unsigned n;
    struct swap_run control[SWAP_ROUNDS_MAX], swapped[SWAP_ROUNDS_MAX];
};

/* Tables in Markdown to @out. */
void molt_swap_report(FILE *out, unsigned n, struct swap_result *const *results, unsigned seconds);
/* All runs, as JSON, to @path. */
void molt_swap_json(const char *path, unsigned n, struct swap_result *const *results,
                    unsigned seconds);

#endif
