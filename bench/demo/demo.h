/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The demo: 100 connections ask without a pause while somebody edits the
 * sources of what answers them. Here: the edits, and the account of them.
 *
 * Threads: the main thread, but for the load's.
 */
#ifndef MOLT_BENCH_DEMO_DEMO_H
#define MOLT_BENCH_DEMO_DEMO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "load.h"
#include "tool/dev.h"

#define DEMO_CONNECTIONS 100
#define DEMO_EDITS 5

/* One edit: files to save, and what shows that it is live. */
struct demo_edit {
    const char *what;   /* for people */
    const char *module; /* whose old version is watched; NULL: nothing goes live */
    const char *answer; /* new body of GET /, NULL: none, but a compile error */
    /* Save the files, all with one way of saving; the time when the first one
     * was complete. */
    uint64_t (*save)(const char *root, const char *share);
};

extern const struct demo_edit molt_demo_edits[DEMO_EDITS];

struct demo_outcome {
    unsigned n_reached;      /* without reconnecting */
    double first_ms, all_ms; /* from the save to the first new answer, to the last connection's */
    double gap_ms;           /* longest without an answer, of any connection, since the save */
    double kept_kib;         /* memory of the old version */
    double unloaded_ms;      /* from the first new answer until it was gone; < 0: it still is */
};

/* Longest interval without an answer, of any connection, since it was last
 * taken; one slot a connection, written by the load's thread alone. */
struct demo_watch {
    atomic_uint_fast64_t longest_ns; /* relaxed: a figure, nothing follows from it */
    uint64_t last_ns[DEMO_CONNECTIONS];
};

/* The state that must survive: each GET /count has to be one more than the one
 * before, on one connection. */
struct demo_counter {
    struct molt_bench_talk talk;
    long n, n_wrong;
};

struct demo {
    struct molt_bench_dev dev;
    char *root, *share;
    struct molt_load *load;
    uint64_t load_ns; /* when it started */
    struct demo_watch watch;
    struct demo_counter counter;
    struct demo_outcome outcomes[DEMO_EDITS];
};

void molt_demo_start_load(struct demo *demo);

/* Make edit number @i and follow it until all connections have the new answer
 * (or 30 s). */
void molt_demo_edit(struct demo *demo, unsigned i);

/* Ask the counter once. */
void molt_demo_count(struct demo *demo);

/* Print the table; true if nothing was lost and everything arrived. */
bool molt_demo_report(struct demo *demo);

#endif
