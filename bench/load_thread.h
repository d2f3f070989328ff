/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * One thread of the load and its connections; private to the load generator.
 *
 * Threads: the loop runs in the thread's own; its lock guards all its
 * connections and sums, and is held except while it waits for events.
 */
#ifndef MOLT_BENCH_LOAD_THREAD_H
#define MOLT_BENCH_LOAD_THREAD_H

#include <netinet/in.h>
#include <pthread.h>

#include <http_parser.h>

#include "histogram.h"
#include "load.h"

struct load_marker {
    char *body;
    size_t len;
    uint64_t watched_ns;
};

struct load_connection {
    unsigned number;
    int fd;                                  /* -1: not connected */
    bool is_idle, is_connecting, is_waiting; /* waiting: a request is out */
    bool is_closing;                         /* the server said that it will close */
    bool is_complete;                        /* set by the parser */
    bool is_too_long;
    bool is_original; /* still the first connection */
    bool was_connected;
    size_t sent; /* of the request */
    http_parser parser;
    char *body; /* malloc'd, reused */
    size_t body_len, body_cap;
    uint64_t asked_ns, success_ns, retry_ns;
    struct molt_load_connection sums;
    uint64_t seen_ns[MOLT_LOAD_MARKERS_MAX]; /* 0: not yet */
    bool is_seen_unbroken[MOLT_LOAD_MARKERS_MAX];
};

struct load_thread {
    struct molt_load *load;
    pthread_t id;
    bool is_started;
    pthread_mutex_t lock; /* leaf */
    int epoll_fd;
    unsigned n_connections;
    struct load_connection *connections;
    uint64_t due_ns;             /* the earliest moment at which one is to be opened */
    struct molt_load_stats sums; /* counters only */
    struct molt_histogram latency;
};

struct molt_load {
    struct molt_load_config config;
    struct sockaddr_in address;
    char *request;
    size_t request_len;
    int stop_fd; /* eventfd, readable once it is over */
    uint64_t start_ns;
    uint64_t counted_ns; /* since when; main thread */
    uint64_t end_ns;     /* when it stopped, 0 while running; main thread */
    unsigned n_threads;
    struct load_thread *threads;
    int n_markers; /* atomic: grows when the entry is complete (release); the
                      threads' load (acquire) pairs with that */
    struct load_marker markers[MOLT_LOAD_MARKERS_MAX];
};

/* Body of the thread; @thread is a struct load_thread. */
void *molt_load_thread_run(void *thread);

#endif
