/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The agent: keeps a host alive on the last good set, and brings it to new
 * ones. Whoever embeds it owns the loop: poll molt_agent_fd() for input, at
 * most molt_agent_timeout() ms, then call molt_agent_tick().
 *
 * Threads: one.
 */
#ifndef MOLT_CONTROL_AGENT_AGENT_H
#define MOLT_CONTROL_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <molt/molt.h>

#include "control/agent/apply.h"
#include "control/agent/set.h"
#include "control/agent/tuning.h"

struct molt_agent;
struct molt_builder;
struct molt_link;

/* What an embedder may want to show. Any may be NULL; none may call back. */
struct molt_agent_events {
    void (*on_log)(void *user, enum molt_level level, const char *text);
    void (*on_unloaded)(void *user, const char *module, unsigned number, uint64_t retained_ms);
    /* The host ended: @text says where, why, what is lost and how it goes on;
     * it is started again in @restart_ms. */
    void (*on_down)(void *user, const char *text, unsigned restart_ms);
    /* Its root supervisor ended in order: the app is done, and not started again. */
    void (*on_done)(void *user);
    /* It runs again after that. */
    void (*on_up)(void *user, pid_t pid);
    /* Somebody sent it SIGHUP: the configuration should be read again. Call
     * molt_agent_configure() later, not from here. */
    void (*on_hangup)(void *user);
    void *user;
};

struct molt_agent_options {
    const char *root;             /* project folder, absolute; all strings are copied */
    const char *host;             /* executable; NULL: find it */
    struct molt_builder *builder; /* borrowed; NULL in production */
    struct molt_tuning tuning;    /* of a host that is started */
    bool is_sealed;
    struct molt_agent_events events;
};

enum molt_agent_state {
    MOLT_AGENT_IDLE, /* no host yet */
    MOLT_AGENT_LIVE, /* a host runs the good set */
    MOLT_AGENT_DOWN, /* it ended, and is to be started again */
    MOLT_AGENT_DONE, /* it ended in order, by itself */
};

int molt_agent_new(const struct molt_agent_options *options, struct molt_agent **ret,
                   struct molt_error *err);
/* The host goes on; stop it before, if that is meant. */
void molt_agent_free(struct molt_agent *agent);

/* Take over the host that an earlier agent left running, if there is one, and
 * learn what it runs: that is the good set then, with the name and configuration
 * of @set (consumed). 0 also if none runs: look at molt_agent_state(). */
int molt_agent_adopt(struct molt_agent *agent, struct molt_set *set, struct molt_error *err);

/* Bring the host to @set (consumed), starting one, or attaching to the one that
 * still runs from an earlier agent, if need be. On success @set is the good
 * set. On failure everything is as before. Returns ret->code. */
int molt_agent_apply(struct molt_agent *agent, struct molt_set *set, struct molt_outcome *ret);

/* What molt_agent_apply() would do with @set (borrowed; interfaces are added): see
 * molt_apply_preview(). MOLT_ECLOSED: no host runs. */
int molt_agent_preview(struct molt_agent *agent, struct molt_set *set,
                       const struct molt_preview_options *options, molt_preview_fn *fn, void *user,
                       struct molt_error *err);

/* Give the host that runs these values, and keep them for those that are started
 * later; on_config is called in its processes. Keys that aren't given stay as they
 * are. On failure nothing changes. MOLT_ECLOSED: no host runs. */
int molt_agent_configure(struct molt_agent *agent, size_t n, char *const *keys, char *const *values,
                         struct molt_error *err);

/* Of the control connection; -1 when there is none. */
int molt_agent_fd(const struct molt_agent *agent);
/* Milliseconds until tick has something to do by itself; -1: nothing. */
int molt_agent_timeout(const struct molt_agent *agent);
/* Events of the host, its end, its restart. */
void molt_agent_tick(struct molt_agent *agent);

/* Stop the host in order, at most @timeout_ms (< 0: stop_ms of what runs).
 * MOLT_ETIMEDOUT: processes were dropped. No host: 0. */
int molt_agent_stop(struct molt_agent *agent, int timeout_ms, struct molt_error *err);

enum molt_agent_state molt_agent_state(const struct molt_agent *agent);
/* For requests that only look; NULL when no host runs. */
struct molt_link *molt_agent_link(struct molt_agent *agent);
pid_t molt_agent_host_pid(const struct molt_agent *agent); /* 0: none */
unsigned molt_agent_restarts(const struct molt_agent *agent);
bool molt_agent_is_attached(const struct molt_agent *agent); /* found the host running */
/* The set that runs, or NULL. */
const struct molt_set *molt_agent_good_set(const struct molt_agent *agent);
const char *molt_agent_root(const struct molt_agent *agent);

#endif
