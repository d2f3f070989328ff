/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The host: code table, runtime and upgrade executor in one object.
 *
 * Nothing is global: several hosts fit in one OS process. A host never prints
 * and never exits; what it has to say goes to the log sink and the return
 * codes.
 *
 * Threads: molt_host_new(), _start() and _free() from one thread; the thread
 * functions from the thread that they concern.
 */
#ifndef MOLT_HOST_H
#define MOLT_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>
#include <molt/molt.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct molt_host;

typedef void molt_log_fn(void *user, enum molt_level level, const char *text);
typedef const char *molt_config_fn(void *user, const char *key);

struct molt_host_config {
    size_t size;                /* sizeof(struct molt_host_config) */
    const char *store;          /* folder that images are mapped from; must exist */
    unsigned workers;           /* 0: one per core that this process may run on */
    unsigned worlds_max;        /* 0: 8 */
    size_t stack_bytes;         /* of a callback; 0: 256 KiB; rounded up to pages */
    unsigned is_sealed : 1;     /* map from sealed memfds instead of the store */
    molt_log_fn *log;           /* NULL: nothing is logged; any thread */
    molt_config_fn *config_get; /* NULL: molt_config() gives the fallback */
    void *user;                 /* handed to both */
    unsigned spares;            /* more threads, for when callbacks block theirs; 0: 8 */
    unsigned is_pinned : 1;     /* each worker to a core of its own, in turn if they are fewer */
};

int molt_host_new(const struct molt_host_config *config, struct molt_host **ret,
                  struct molt_error *err);

/* Start the workers, then the supervisor named @root (NULL: none). */
int molt_host_start(struct molt_host *host, const char *root, struct molt_error *err);

/* End the supervision tree in order, at most @timeout_ms, then stop the
 * workers. Processes that don't end by then are dropped with their state. */
int molt_host_stop(struct molt_host *host, int timeout_ms);

/* Stops first if need be. NULL is fine. If a callback does not return, nothing
 * that it may use is freed. */
void molt_host_free(struct molt_host *host);

/* ---- foreign threads ---------------------------------------------------- */

struct molt_thread; /* a registered foreign thread */

/* Register the calling thread: from now on it is in the current world, and
 * may call modules, until the next safepoint. @name is copied. */
int molt_thread_register(struct molt_host *host, const char *name, struct molt_thread **ret);

/* World boundary: the thread holds nothing of a world across this call. */
void molt_safepoint(struct molt_thread *thread);

/* Leave the world before blocking for long, and come back. While offline a
 * call into a module is a named error. */
void molt_thread_offline(struct molt_thread *thread);
void molt_thread_online(struct molt_thread *thread);

void molt_thread_unregister(struct molt_thread *thread);

/* The last error of a call through a thunk on this thread (MOLT_EUNDEF or
 * MOLT_ENOWORLD; such a call returns all zeroes); reading clears it. */
int molt_thread_error(struct molt_error *ret_err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
