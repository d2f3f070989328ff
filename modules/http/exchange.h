/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * One request and the answer to it, while the handler runs: what
 * struct molt_http stands for in the public header. It lives on the stack of
 * the connection's callback.
 *
 * Threads: the process of the connection.
 */
#ifndef MOLT_HTTP_EXCHANGE_H
#define MOLT_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/http.h>

#include "output.h"
#include "parse.h"

/* The Date field's value and the second that it was made for. */
struct http_date {
    int64_t second;
    char text[32]; /* "Sun, 06 Nov 1994 08:49:37 GMT" */
};

struct http_exchange {
    const struct http_request *rq;
    const char *base; /* of the request's offsets */
    const char *method, *path, *query;
    struct http_output *out;
    struct http_date *date;
    uint64_t *logged_ms; /* when a failure was last logged for this connection */
    size_t mark;         /* bytes that wait in out before this answer */
    bool is_answered;
    bool is_head; /* no body goes out */
    bool is_http10;
    bool is_kept_alive; /* false: say so, and close afterwards */
};

/* Take the request apart; out, date, logged_ms and mark are set already.
 * MOLT_EFORMAT: its target is none that we serve. */
int molt_http_exchange_init(struct http_exchange *x, const struct http_parser *parser,
                            const struct http_request *rq, char *base);

/* Find the handler, call it, and see to it that there is one answer. 0, or
 * MOLT_ENOMEM: nothing is queued for this request. */
int molt_http_exchange_run(struct http_exchange *x);

/* Take back what was added or answered so far and answer with a line of text
 * that says @status. @allow: value of the Allow field, or NULL. */
int molt_http_exchange_refuse(struct http_exchange *x, unsigned status, const char *allow);

#endif
