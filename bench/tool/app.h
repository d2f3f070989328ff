/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * An app in a folder of its own, built ahead of the measurement and run in a
 * host by an agent inside this process: what is measured is the host, and the
 * way of a set into it, without watcher and compiler.
 *
 * Threads: one.
 */
#ifndef MOLT_BENCH_TOOL_APP_H
#define MOLT_BENCH_TOOL_APP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct molt_agent;
struct molt_builder;
struct molt_set;

struct molt_bench_app {
    char *root;
    struct molt_builder *builder;
    struct molt_agent *agent;
    uint64_t unloaded; /* versions that left memory */
};

/* Times of one swap, ns; see "upgrade result" in control/protocol.h. */
struct molt_bench_swap {
    uint64_t total_ns; /* from here: plan, send, map, check, switch, answer */
    uint64_t stage_ns, switch_ns, held_ns;
};

/* Write @root/molt.conf for @port and a supervisor `app` in src/app.c that
 * starts the listener. The rest of src/ is the caller's. */
void molt_bench_app_files(const char *root, unsigned port);

/* Open @root. @is_dev: -O0 -g unless molt.conf says otherwise. One worker per
 * core, or @workers. */
struct molt_bench_app *molt_bench_app_new(const char *root, bool is_dev);
struct molt_bench_app *molt_bench_app_new_with(const char *root, bool is_dev, unsigned workers);
/* Stops the host. NULL is fine. */
void molt_bench_app_free(struct molt_bench_app *app);

/* Build what is in src/ now. The set is the caller's; dies with the
 * compiler's output on failure. */
struct molt_set *molt_bench_app_build(struct molt_bench_app *app);

/* Bring the host to a copy of @set, starting one if need be. @ret may be NULL. */
void molt_bench_app_apply(struct molt_bench_app *app, const struct molt_set *set,
                          struct molt_bench_swap *ret);
/* Take in what the host reports. Call now and then. */
void molt_bench_app_tick(struct molt_bench_app *app);
/* Stop the host; apply starts another. */
void molt_bench_app_stop(struct molt_bench_app *app);
pid_t molt_bench_app_pid(const struct molt_bench_app *app);

/* Versions of @module (NULL: all) in memory now, and their bytes together. */
unsigned molt_bench_app_versions(struct molt_bench_app *app, const char *module,
                                 uint64_t *ret_bytes);

/* Add how often upgrades stopped threads and processes of the host so far, by
 * duration: MOLT_STOP_BUCKETS of base/stops.h. */
void molt_bench_app_stops(struct molt_bench_app *app, uint64_t *buckets);

#endif
