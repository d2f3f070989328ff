/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the host does for each request of the control protocol.
 *
 * A payload is decoded whole before anything is done; one that doesn't decode
 * does nothing.
 *
 * Threads: the executor thread.
 */
#ifndef MOLT_CONTROL_REQUEST_H
#define MOLT_CONTROL_REQUEST_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "control/protocol.h"

struct molt_host;
struct molt_settings;

#define MOLT_REQUEST_MALFORMED INT_MIN /* end the connection */

struct molt_request_state {
    struct molt_host *host;
    struct molt_settings *settings;
    char root[64];
    bool is_greeted; /* HELLO was exchanged on this connection */
    bool is_started;
    bool is_stopped;
    int stop_code;
    uint64_t stage; /* open stage of this agent, 0 if none */
    uint64_t stage_began_ns;
    uint64_t born_ms;
};

void molt_control_request_init(struct molt_request_state *state, struct molt_host *host,
                               struct molt_settings *settings);

/* A new connection: it has to say HELLO first. */
void molt_control_request_greet(struct molt_request_state *state);
/* The connection ended: abort what it left open. */
void molt_control_request_abandon(struct molt_request_state *state);

/* Do what @frame asks; the reply's payload into @out. Its descriptor stays the
 * caller's. Returns the reply's code, or MOLT_REQUEST_MALFORMED. */
int molt_control_request_serve(struct molt_request_state *state, const struct molt_frame *frame,
                               struct molt_buf *out, struct molt_error *err);

#endif
