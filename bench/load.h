/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Load on an HTTP server: connections that ask again as soon as they are
 * answered, connections that just stay open, and a strict account of both.
 *
 * Every answer is checked. A request succeeds when a whole answer came with a
 * 2xx status and the caller's check took its body; everything else is a
 * failure, counted by kind. A connection that the server closes after saying
 * so ("Connection: close") reconnects; one that ends otherwise is lost, and
 * reconnects too.
 *
 * Threads: all functions from one thread at a time, while the load's own
 * threads run; the check is called from those.
 */
#ifndef MOLT_BENCH_LOAD_H
#define MOLT_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

#define MOLT_LOAD_MARKERS_MAX 32
#define MOLT_LOAD_BODY_MAX (4u << 20) /* longer bodies are failures */

/* 0 if the answer is right, negative if not. @body is not NUL-terminated. */
typedef int molt_load_check_fn(void *user, unsigned connection, const char *body, size_t len);

struct molt_load_config {
    const char *address; /* IPv4; NULL: 127.0.0.1 */
    unsigned port;
    const char *path;          /* NULL: "/" */
    unsigned connections;      /* that ask */
    unsigned idle;             /* that are opened and held */
    unsigned threads;          /* 0: 1 */
    unsigned duration_ms;      /* 0: until molt_load_stop() */
    unsigned timeout_ms;       /* of one request, from its first byte out; 0: 10000 */
    molt_load_check_fn *check; /* NULL: any body */
    void *user;
};

enum molt_load_failure {
    MOLT_LOAD_STATUS,  /* not 2xx */
    MOLT_LOAD_BODY,    /* the check refused it, or it is too long */
    MOLT_LOAD_SHORT,   /* the connection ended after the request and before the answer did */
    MOLT_LOAD_FORMAT,  /* no HTTP, or more bytes than were asked for */
    MOLT_LOAD_TIMEOUT, /* no whole answer in time */
    MOLT_LOAD_CONNECT, /* refused or unreachable */
    MOLT_LOAD_FAILURES,
};

/* "status", "body", ... */
const char *molt_load_failure_name(enum molt_load_failure failure);

struct molt_load_stats {
    uint64_t elapsed_ns; /* since the start, or since molt_load_forget() */
    uint64_t requests;   /* that succeeded */
    uint64_t failures[MOLT_LOAD_FAILURES];
    uint64_t n_failures;      /* sum */
    uint64_t lost;            /* connections that ended unannounced */
    uint64_t reconnects;      /* successful connects after the first */
    uint64_t bytes;           /* received */
    unsigned open, idle_open; /* connections that are up now */
    uint64_t idle_lost;       /* idle ones that the server ended */
    uint64_t p50_ns, p90_ns, p99_ns, p999_ns, max_ns, mean_ns; /* of successes */
    uint64_t longest_gap_ns; /* without a success, on any connection; counts from its start */
};

/* A body that somebody waits for. */
struct molt_load_marker {
    unsigned n_seen;            /* connections that got it at least once */
    unsigned n_unbroken;        /* of them, on the very connection that they began with */
    uint64_t first_ns, last_ns; /* from the start of the load to the first sight of it,
                                   by the first and by the last of the n_seen connections */
    uint64_t watched_ns;        /* from the start of the load to molt_load_watch() */
};

struct molt_load_connection {
    uint64_t requests, failures, reconnects, longest_gap_ns;
};

struct molt_load;

/* Open all connections and begin. MOLT_EINVAL, MOLT_ENOMEM, MOLT_EIO (threads,
 * descriptors). A server that isn't there is no error: it is counted. */
int molt_load_start(const struct molt_load_config *config, struct molt_load **ret,
                    struct molt_error *err);

/* Have bodies compared with @body (copied) from now on. Number of the marker,
 * or MOLT_ELIMIT, MOLT_ENOMEM. */
int molt_load_watch(struct molt_load *load, const char *body);
int molt_load_marker(struct molt_load *load, int marker, struct molt_load_marker *ret);

/* Forget what was counted and timed so far, but for markers: measure from now
 * on, after the connections are up and the server is warm. */
void molt_load_forget(struct molt_load *load);

/* As it stands, while running or after the end. */
void molt_load_snapshot(struct molt_load *load, struct molt_load_stats *ret);
int molt_load_connection(struct molt_load *load, unsigned connection,
                         struct molt_load_connection *ret);

/* Wait until the duration has passed, then stop; without a duration, at once. */
void molt_load_wait(struct molt_load *load);

/* End it; requests in flight count neither way. Idempotent. */
void molt_load_stop(struct molt_load *load);

/* Stops first. NULL is fine. */
void molt_load_free(struct molt_load *load);

#endif
