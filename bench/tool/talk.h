/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * One keep-alive HTTP/1.1 connection, blocking, for what isn't load: polling
 * for an answer, and the agent's API on its unix socket.
 *
 * Threads: one at a time.
 */
#ifndef MOLT_BENCH_TOOL_TALK_H
#define MOLT_BENCH_TOOL_TALK_H

#include <stdbool.h>
#include <stddef.h>

struct molt_bench_talk {
    int fd;           /* -1: not connected */
    unsigned port;    /* on 127.0.0.1; 0: unix */
    const char *path; /* of a unix socket; borrowed */
    unsigned timeout_ms;
    unsigned n_connects; /* successful ones: above 1 the connection was lost */
};

struct molt_bench_talk molt_bench_talk_tcp(unsigned port, unsigned timeout_ms);
struct molt_bench_talk molt_bench_talk_unix(const char *path, unsigned timeout_ms);
void molt_bench_talk_close(struct molt_bench_talk *talk);

/* Ask, connecting if need be. Returns the status (200, ...), or -1 if there is
 * no connection or it broke; then the next call connects anew. *ret_body (may
 * be NULL) is malloc'd, NUL-terminated; @body NULL: none is sent. */
int molt_bench_talk(struct molt_bench_talk *talk, const char *method, const char *target,
                    const char *body, char **ret_body);

/* Ask once more every @pause_us until the answer is 200 with a body that starts
 * with @prefix, at most @ms. The time at which it arrived (ns), or 0. */
unsigned long molt_bench_talk_until(struct molt_bench_talk *talk, const char *target,
                                    const char *prefix, unsigned pause_us, unsigned ms);

/* Does something accept connections on 127.0.0.1:@port? */
bool molt_bench_port_is_taken(unsigned port);
/* A port that was free a moment ago. */
unsigned molt_bench_port(void);

#endif
