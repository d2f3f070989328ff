/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The agent's end of the control connection, and the host at the other end.
 *
 * A host that the agent started lives in a process group of its own, so that
 * Ctrl-C reaches the agent alone, and goes on when the agent dies; another
 * agent can then attach through the host's socket.
 *
 * Threads: one.
 */
#ifndef MOLT_CONTROL_AGENT_LINK_H
#define MOLT_CONTROL_AGENT_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <molt/error.h>

#include "base/buf.h"
#include "control/agent/tuning.h"
#include "control/protocol.h"

struct molt_link;

/* An event of the host (id 0), during a request or molt_link_poll(). Must not
 * use the link. */
typedef void molt_link_event_fn(void *user, const struct molt_frame *frame);

struct molt_link_options {
    const char *host;   /* executable */
    const char *store;  /* folder of images */
    const char *socket; /* where other agents can attach; NULL: nowhere */
    struct molt_tuning tuning;
    bool is_sealed;
    molt_link_event_fn *on_event;
    void *user;
};

/* The executable to start: $MOLT_HOST, or molt-host beside the running program.
 * Malloc'd. MOLT_ENOENT says where it was looked for. */
int molt_link_find_host(char **ret, struct molt_error *err);

/* Start a host and say HELLO. */
int molt_link_spawn(const struct molt_link_options *options, struct molt_link **ret,
                    struct molt_error *err);
/* Attach to the host that listens at options->socket. MOLT_ENOENT, MOLT_ECLOSED:
 * there is none; MOLT_EBUSY: another agent is connected. */
int molt_link_attach(const struct molt_link_options *options, struct molt_link **ret,
                     struct molt_error *err);
/* Closes the connection; the host goes on. */
void molt_link_free(struct molt_link *link);

int molt_link_fd(const struct molt_link *link);
pid_t molt_link_pid(const struct molt_link *link);
bool molt_link_is_started(const struct molt_link *link);  /* as HELLO said */
const char *molt_link_root(const struct molt_link *link); /* root supervisor, as HELLO said; "" */
bool molt_link_is_lost(const struct molt_link *link);

/* Ask, and wait for the answer at most @timeout_ms. @payload and @ret may be
 * NULL; @fd < 0: none, else borrowed. The host's refusal comes back as its code
 * and text. MOLT_ECLOSED when the host is gone, MOLT_ETIMEDOUT when it doesn't
 * answer; the link is lost after both. */
int molt_link_request(struct molt_link *link, uint32_t type, const struct molt_buf *payload, int fd,
                      int timeout_ms, struct molt_buf *ret, struct molt_error *err);

/* Deliver the events that are there, without waiting. MOLT_ECLOSED: lost. */
int molt_link_poll(struct molt_link *link);

/* Wait for the host's process to end. *ret_status as of waitpid(2), or -1 if it
 * isn't our child. MOLT_ETIMEDOUT: it lives. */
int molt_link_wait_exit(struct molt_link *link, int timeout_ms, int *ret_status);

#endif
