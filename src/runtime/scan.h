/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Looking for addresses of old images; see molt_runtime_scan().
 *
 * Threads: molt_scan_message(), molt_scan_bytes() from any thread; the rest by the executor.
 * Locks:   molt_scan.lock; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_SCAN_H
#define MOLT_RUNTIME_SCAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "code/code.h"

struct molt_block;
struct molt_type;

/* What a sender found, for the executor to report: one for each range. */
struct molt_scan_hit {
    char why[160]; /* "": nothing */
};

struct molt_scan {
    atomic_bool is_on;
    pthread_mutex_t lock; /* guards what follows */
    const struct molt_range *ranges;
    size_t n_ranges;
    struct molt_scan_hit *hits; /* [n_ranges] */
};

/* The sender's part: look at what moves while a scan is on. */
void molt_scan_message(struct molt_scan *scan, const struct molt_block *root);
/* The same for one @type that goes into a table, or comes out of one. */
void molt_scan_bytes(struct molt_scan *scan, const struct molt_type *type, const void *bytes);

#endif
