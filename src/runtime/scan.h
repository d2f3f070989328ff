/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Looking for addresses of old images; see molt_runtime_scan().
 *
 * Threads: molt_scan_graph() from any thread; the rest by the executor.
 * Locks:   molt_scan.lock; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_SCAN_H
#define MOLT_RUNTIME_SCAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "code/code.h"

struct molt_cargo;

#define MOLT_SCAN_HITS_MAX 64

/* What a sender found, for the executor to report. */
struct molt_scan_hit {
    size_t range;
    char why[160];
};

struct molt_scan {
    atomic_bool is_on;
    pthread_mutex_t lock; /* guards what follows */
    const struct molt_range *ranges;
    size_t n_ranges;
    size_t n_hits; /* may exceed what is kept */
    struct molt_scan_hit hits[MOLT_SCAN_HITS_MAX];
};

/* The sender's part: look at what moves while a scan is on. */
void molt_scan_graph(struct molt_scan *scan, const struct molt_cargo *graph);

#endif
