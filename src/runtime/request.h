/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Requests: calls whose answers are fetched later in the same callback.
 *
 * Each open request is a word, the process's slot and the call's number, which
 * are never the same twice. Who answers takes the word to 0 and leaves the answer
 * beside it; the process takes it to 0 when it gives up, or when it waits for this
 * one: from then on the number stands in wait_ref, as that of a plain call.
 *
 * The words of a callback are a set, from a stock that is kept until the runtime
 * ends: so a late answer may look at a set that is somebody else's by now, and
 * finds no word that is its own.
 *
 * Threads: the fiber of the process, or whoever ends it; complete and is_open
 *          from any thread.
 * Locks:   molt_request_table.lock; nothing nests in it.
 */
#ifndef MOLT_RUNTIME_REQUEST_H
#define MOLT_RUNTIME_REQUEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <molt/molt.h>

struct molt_activation;
struct molt_block;
struct molt_block_cache;
struct molt_process;
struct molt_runtime;

#define MOLT_REQUESTS_MAX 16
#define MOLT_REQUEST_SEGMENT 256

struct molt_request_entry {
    atomic_bool is_done;     /* the answer is there */
    bool is_used;            /* of the process */
    int rc;                  /* of whoever took the word, until is_done */
    struct molt_block *root; /* the same; packed, or NULL */
    uint64_t ref;
    molt_pid whom;
};

struct molt_requests {
    _Atomic uint64_t words[MOLT_REQUESTS_MAX]; /* 0: not open */
    struct molt_request_entry entries[MOLT_REQUESTS_MAX];
    struct molt_requests *next; /* in the stock */
};

/* Which process has which set. */
struct molt_request_segment {
    _Atomic(struct molt_requests *) of[MOLT_REQUEST_SEGMENT]; /* by slot */
};
struct molt_request_table {
    pthread_mutex_t lock; /* guards the stock and growth */
    struct molt_requests *stock;
    _Atomic(struct molt_request_segment *) segments[(1u << 24) / MOLT_REQUEST_SEGMENT];
};

void molt_requests_init(struct molt_request_table *table);
/* The processes are gone. */
void molt_requests_fini(struct molt_request_table *table);

/* Open the request @ref to @whom. MOLT_ELIMIT, MOLT_ENOMEM. */
int molt_request_open(struct molt_process *p, uint64_t ref, molt_pid whom);
/* Nobody was asked. */
void molt_request_abandon(struct molt_process *p, uint64_t ref);

/* Answer the request @ref of @p, as molt_process_complete(). False if it isn't
 * open: it was answered, given up, or is being waited for. */
bool molt_request_complete(struct molt_process *p, uint64_t ref, int rc, struct molt_block *reply);
bool molt_request_is_open(struct molt_process *p, uint64_t ref);

/* Wait for the answer of @ref, at most @timeout_ms; it is the process's then.
 * The request is closed afterwards, but for MOLT_EKILLED. MOLT_EINVAL. */
int molt_request_await(struct molt_process *p, uint64_t ref, int timeout_ms,
                       struct molt_block **ret_root);

/* Give up what is open, free answers that nobody fetched. */
void molt_requests_close(struct molt_process *p, struct molt_activation *act,
                         struct molt_block_cache *cache);

#endif
