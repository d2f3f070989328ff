/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A running agent: what `molt dev` and `molt run` share. One per project at a
 * time (a lock in .molt), with the API's socket, a loop, and an orderly end.
 *
 * Threads: one. Signals: SIGINT and SIGTERM end the loop; the second one kills.
 */
#ifndef MOLT_CLI_SESSION_H
#define MOLT_CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/out.h"
#include "control/agent/agent.h"
#include "web/api.h"

struct molt_build_result;
struct molt_builder;
struct molt_session;

struct molt_session_options {
    const char *root;
    const char *mode;             /* "dev", "run" */
    const char *app;              /* its name */
    struct molt_builder *builder; /* borrowed; NULL in production */
    struct molt_out *out;
    struct molt_tuning tuning;
    bool is_sealed;
    bool takes_hangup; /* SIGHUP has molt.conf read again; else it ends the agent */
    int (*load)(void *user, const char *file, char **ret_text, struct molt_error *err);
    /* What would be applied now, for plans: the sources, built, or what was built before. */
    int (*make_set)(void *user, struct molt_set **ret, struct molt_error *err);
    bool takes_sets; /* `molt apply` may bring in another set, which then is the project's */
    void *user;      /* of load and make_set */
};

/* Something more to poll for in the loop. */
struct molt_session_source {
    int fd;
    void (*on_ready)(void *user);
    void *user;
};

/* MOLT_EBUSY: an agent runs for this project already. */
int molt_session_new(const struct molt_session_options *options, struct molt_session **ret,
                     struct molt_error *err);
/* Stops the host in order, if one runs. Returns an exit code. */
int molt_session_end(struct molt_session *session);

struct molt_agent *molt_session_agent(struct molt_session *session);
int molt_session_add_source(struct molt_session *session, const struct molt_session_source *source);
/* Serve the page of molt dev on 127.0.0.1:@port; a taken port is only told. */
void molt_session_open_page(struct molt_session *session, unsigned port);

/* Take over the host that an earlier agent left, if there is one, and tell
 * people. @set (consumed): see molt_agent_adopt(). */
int molt_session_adopt(struct molt_session *session, struct molt_set *set, struct molt_error *err);

/* Bring the host to @set (consumed), and tell people: the first time that the
 * app is live, later what changed. @built (may be NULL) knows where the time
 * went; @start_ns: when the change was noticed. Returns 0 or a code; the reason
 * has been told. */
int molt_session_apply(struct molt_session *session, struct molt_set *set,
                       const struct molt_build_result *built, uint64_t start_ns);

/* Read molt.conf again and give the app what it says; on_config is called in its
 * processes. *ret_text (malloc'd, may be NULL): what changed. On failure nothing
 * did. */
int molt_session_reload(struct molt_session *session, char **ret_text, struct molt_error *err);

/* Why the last save isn't live: printed, and kept for status and page. */
void molt_session_problem(struct molt_session *session, const char *kind, const char *text);
void molt_session_clear_problem(struct molt_session *session);
const char *molt_session_last(const struct molt_session *session); /* line about the last upgrade */
const char *molt_session_last_problem(const struct molt_session *session); /* "" if none */

/* Until a signal, or /v1/stop. */
void molt_session_loop(struct molt_session *session);
/* A signal came: what takes long should end. */
bool molt_session_is_stopping(struct molt_session *session);
/* Readable then; for poll only. */
int molt_session_signal_fd(const struct molt_session *session);

#endif
