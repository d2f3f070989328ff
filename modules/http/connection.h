/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The state of a connection, and what a callback works with.
 *
 * Between requests a connection has no buffers, only this struct. A callback
 * reads and answers in space on its stack; what is incomplete when it returns
 * (half a request, the unsent rest of an answer) goes to blocks.
 *
 * Threads: the process of the connection.
 */
#ifndef MOLT_HTTP_CONNECTION_H
#define MOLT_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <http_parser.h>

#include "exchange.h"
#include "limits.h"
#include "output.h"
#include "parse.h"

struct http_connection {
    int fd;               /* -1 until the listener gave it */
    uint8_t is_eof;       /* the client will send no more */
    uint8_t is_hangup;    /* so the socket says; is_eof follows when all is read */
    uint8_t is_closing;   /* serve no more: close once the output is out */
    uint8_t is_refusing;  /* closing with input unread: linger first */
    uint8_t is_lingering; /* output is out and ended: discard input for a while */
    struct http_parser parser;
    struct http_limits limits;
    struct http_request *request; /* block: the request that is being received, or NULL */
    char *in;                     /* block: its bytes, and those behind it; or NULL */
    size_t in_at, in_len, in_cap;
    char *out; /* block: what the client has not taken yet, or NULL */
    size_t out_at, out_len, out_cap;
    uint64_t active_ms;  /* when bytes were last moved; lingering: when that began */
    uint64_t started_ms; /* when the first byte of the request at hand came */
    uint64_t timer_ms;   /* when the timer fires, 0 if it isn't armed */
    uint64_t logged_ms;  /* when a failing handler was last logged */
    struct http_date date;
};

#define HTTP_LENT_IN (16u << 10)
#define HTTP_LENT_OUT (8u << 10)

/* A callback's view of its connection. */
struct http_turn {
    struct http_connection *conn;
    struct http_request *rq; /* lent_rq or a block */
    struct http_input in;
    struct http_output out;
    size_t moved; /* bytes read or written in this turn */
    struct http_request lent_rq;
    char lent_in[HTTP_LENT_IN];
    char lent_out[HTTP_LENT_OUT];
};

/* Take what the last turn left in the state. */
void molt_http_turn_begin(struct http_turn *t, struct http_connection *c);

/* Leave in the state what is incomplete; all else is freed. MOLT_ENOMEM. */
int molt_http_turn_end(struct http_turn *t);

/* Read once. 1: there may be more; 0: not for now (or the end: conn.is_eof);
 * negative: the connection is lost, or MOLT_ENOMEM. A short count is not the
 * last word: the end of the input may have come in the same event as its last
 * bytes, and would have no event of its own. */
int molt_http_turn_fill(struct http_turn *t);

/* Answer each complete request in the input. 0: what is left is incomplete,
 * or the connection is closing; MOLT_EBUSY: the client must take its answers
 * first; else the connection is lost. */
int molt_http_turn_serve(struct http_turn *t);

/* Answer with @status, then close; the rest of the input is void. */
int molt_http_turn_refuse(struct http_turn *t, unsigned status);

#endif
