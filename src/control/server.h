/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The host's side of the control protocol: serves one agent at a time, on the
 * executor thread.
 *
 * Nothing that an agent sends or fails to send ends the host: malformed frames
 * and the end of the stream end the connection, an open stage is aborted, and
 * the host goes on serving until another agent connects.
 *
 * Threads: all functions from the executor thread.
 */
#ifndef MOLT_CONTROL_SERVER_H
#define MOLT_CONTROL_SERVER_H

#include <molt/host.h>

struct molt_control; /* a host's control server */
struct molt_log_ring;
struct molt_settings;

#define MOLT_CONTROL_OVER 1

struct molt_control_config {
    struct molt_host *host;         /* borrowed, like the next two */
    struct molt_settings *settings; /* where MOLT_FRAME_CONFIG goes; key stop_ms is how long
                                       an orderly stop may take after a signal */
    struct molt_log_ring *ring;     /* becomes MOLT_FRAME_LOG */
    int conn_fd;                    /* a connected agent, consumed; -1: none yet */
    int listen_fd;                  /* where agents may connect later, consumed; -1: nowhere */
    int signal_fd;                  /* readable when the host shall stop; borrowed; -1: none */
    int hangup_fd;                  /* a signalfd of SIGHUP: the agent is asked to read the
                                       configuration again; borrowed; -1: none */
};

/* On failure the descriptors stay the caller's. */
int molt_control_new(const struct molt_control_config *config, struct molt_control **ret);

/* Serve until an agent or a signal stops the host, which is then stopped (not
 * freed); its code is the result: 0, or MOLT_ETIMEDOUT when processes had to be
 * dropped. When the root supervisor ended by itself the host is stopped, too; if it
 * did so with an error the result is MOLT_CONTROL_OVER, and @err says why. */
int molt_control_run(struct molt_control *control, struct molt_error *err);

/* One round of the loop: wait at most @timeout_ms (< 0: for ever) and serve
 * what is there. 1: go on; 0: the host was stopped. For tests, and for programs
 * with a loop of their own. */
int molt_control_step(struct molt_control *control, int timeout_ms);

void molt_control_free(struct molt_control *control);

#endif
