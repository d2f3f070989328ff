/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the agent answers over HTTP:
 *
 *     GET  /v1/status   /v1/modules   /v1/worlds   /v1/ps   /v1/tree
 *     GET  /v1/log?after=12&wait=1, both optional: messages with higher numbers; with
 *                       wait not before there is one
 *     POST /v1/purge    {"module": "counter", "version": 1, "hard": false}, all optional
 *     POST /v1/load     {"file": "/path/to/file.c"}
 *     POST /v1/plan     {"set": "/path/to/folder", "trial": true, "sample": 100,
 *                        "old_states": false}, all optional: what would happen; without a set, if
 * what was saved were applied POST /v1/apply    {"set": "/path/to/folder"} POST /v1/reload   {}:
 * read molt.conf again POST /v1/stop     {"timeout_ms": 5000}
 *
 * An error is {"error": {"code", "text"}} with a status to match.
 *
 * Threads: the agent's.
 */
#ifndef MOLT_WEB_API_H
#define MOLT_WEB_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <molt/error.h>

struct molt_agent;
struct molt_preview;
struct molt_preview_options;
struct molt_stats_record;

/* What the program around the agent knows; strings are borrowed, "" if there is
 * nothing to say. */
struct molt_web_view {
    const char *app, *mode; /* "dev", "run" */
    const char *url;
    const char *problem_kind, *problem; /* compile error, refusal, ...: why the last
                                           save isn't live */
    const char *last;                   /* line about the last upgrade */
    unsigned n_upgrades;
};

struct molt_web_actions {
    void (*view)(void *user, struct molt_web_view *ret);
    /* Build @file and bring it in as a module. *ret_text (malloc'd) says what
     * happened. NULL: not possible here. */
    int (*load)(void *user, const char *file, char **ret_text, struct molt_error *err);
    /* What would happen with the set in @folder, or NULL: with the sources, or what was built. */
    int (*plan)(void *user, const char *folder, const struct molt_preview_options *options,
                void (*fn)(void *user, const struct molt_preview *preview), void *fn_user,
                struct molt_error *err);
    /* Bring the host to the set in @folder. *ret_text (malloc'd) says what happened. NULL: not
     * possible here. */
    int (*apply)(void *user, const char *folder, char **ret_text, struct molt_error *err);
    /* Read molt.conf again. *ret_text (malloc'd) says what changed. */
    int (*reload)(void *user, char **ret_text, struct molt_error *err);
    /* Stop everything, after this request was answered. */
    void (*stop)(void *user, int timeout_ms);
    void *user;
};

struct molt_journal;

struct molt_api {
    struct molt_agent *agent;
    const struct molt_journal *journal;
    struct molt_web_actions actions;
};

/* Answer a request. @body: what was posted, or NULL. Returns the HTTP status;
 * *ret is a new reference, NULL when out of memory. */
unsigned molt_api_serve(const struct molt_api *api, const char *method, const char *path,
                        const char *body, size_t body_len, json_t **ret);

/* "starting", "live", "down" (to be started again), "done" (it ended in order). */
const char *molt_api_state(const struct molt_api *api);
/* false: no host runs, or it doesn't answer. */
bool molt_api_stats(const struct molt_api *api, struct molt_stats_record *ret);

/* The answer to this request should wait until there is one more message in the
 * journal. */
bool molt_api_is_to_wait(const struct molt_api *api, const char *path, const char *body,
                         size_t body_len);

#endif
