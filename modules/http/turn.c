/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <string.h>

#include <molt/molt.h>
#include <molt/net.h>

#include "connection.h"

/* Answers wait for each other up to this much before they are written. */
#define BATCH_BYTES (64u << 10)

/* ---- a callback's space, and what outlives it ---------------------------- */

void molt_http_turn_begin(struct http_turn *t, struct http_connection *c)
{
    t->conn = c;
    t->moved = 0;
    t->rq = c->request ? c->request : &t->lent_rq;
    if (!c->request)
        memset(t->rq, 0, offsetof(struct http_request, fields));
    t->in = (struct http_input){.data = t->lent_in, .cap = HTTP_LENT_IN};
    if (c->in)
        t->in = (struct http_input){
            .data = c->in, .at = c->in_at, .len = c->in_len, .cap = c->in_cap, .is_block = true};
    molt_http_output_init(&t->out, t->lent_out, HTTP_LENT_OUT);
    if (c->out)
        t->out = (struct http_output){.data = c->out,
                                      .at = c->out_at,
                                      .len = c->out_len,
                                      .cap = c->out_cap,
                                      .is_block = true};
    c->request = NULL;
    c->in = c->out = NULL;
}

static void free_input(struct http_input *in)
{
    if (in->is_block)
        molt_free(in->data);
    *in = (struct http_input){0};
}

/* Move the input to a block of @cap bytes, its request to the front. */
static int move_input(struct http_input *in, size_t cap)
{
    char *data = molt_new_array(char, cap);
    if (!data)
        return MOLT_ENOMEM;
    size_t len = in->len - in->start;
    memcpy(data, in->data + in->start, len);
    if (in->is_block)
        molt_free(in->data);
    *in = (struct http_input){
        .data = data, .at = in->at - in->start, .len = len, .cap = cap, .is_block = true};
    return 0;
}

static int keep_input(struct http_turn *t)
{
    struct http_connection *c = t->conn;
    struct http_input *in = &t->in;
    if (in->start == in->len) {
        free_input(in);
        return 0;
    }
    int rc = in->is_block && in->start == 0 ? 0 : move_input(in, in->len - in->start);
    if (rc < 0)
        return rc;
    c->in = in->data;
    c->in_at = in->at;
    c->in_len = in->len;
    c->in_cap = in->cap;
    return 0;
}

static int keep_request(struct http_turn *t)
{
    if (!t->rq->is_begun) {
        if (t->rq != &t->lent_rq)
            molt_free(t->rq);
        return 0;
    }
    if (t->rq == &t->lent_rq) {
        t->rq = molt_new(struct http_request);
        if (!t->rq)
            return MOLT_ENOMEM;
        size_t used = t->lent_rq.n_fields * sizeof(struct http_field);
        memcpy(t->rq, &t->lent_rq, offsetof(struct http_request, fields) + used);
    }
    t->conn->request = t->rq;
    return 0;
}

static int keep_output(struct http_turn *t)
{
    struct http_connection *c = t->conn;
    struct http_output *out = &t->out;
    if (out->at == out->len) {
        molt_http_output_fini(out);
        return 0;
    }
    if (!out->is_block) {
        size_t len = out->len - out->at;
        char *data = molt_new_array(char, len);
        if (!data)
            return MOLT_ENOMEM;
        memcpy(data, out->data + out->at, len);
        *out = (struct http_output){.data = data, .len = len, .cap = len, .is_block = true};
    }
    c->out = out->data;
    c->out_at = out->at;
    c->out_len = out->len;
    c->out_cap = out->cap;
    return 0;
}

int molt_http_turn_end(struct http_turn *t)
{
    int rc = keep_output(t);
    if (rc == 0)
        rc = keep_input(t);
    if (rc == 0)
        rc = keep_request(t);
    return rc;
}

/* ---- reading ------------------------------------------------------------- */

/* Have room behind the input. What is incomplete is within the limits, so
 * this ends at the sum of them and one read. */
static int make_room(struct http_input *in)
{
    if (in->start == in->len)
        in->start = in->at = in->len = 0;
    if (in->len < in->cap)
        return 0;
    if (in->start > 0) {
        memmove(in->data, in->data + in->start, in->len - in->start);
        in->at -= in->start;
        in->len -= in->start;
        in->start = 0;
        return 0;
    }
    size_t cap = 2 * in->cap > HTTP_LENT_IN ? 2 * in->cap : HTTP_LENT_IN;
    return move_input(in, cap);
}

int molt_http_turn_fill(struct http_turn *t)
{
    struct http_input *in = &t->in;
    int rc = make_room(in);
    if (rc < 0)
        return rc;
    long n = molt_net_read(t->conn->fd, in->data + in->len, in->cap - in->len, 0);
    if (n == MOLT_EBUSY)
        return 0;
    if (n < 0)
        return (int)n;
    if (n == 0) {
        t->conn->is_eof = 1;
        return 0;
    }
    bool is_short = (size_t)n < in->cap - in->len;
    in->len += (size_t)n;
    t->moved += (size_t)n;
    /* A short count empties the socket, and what comes later is reported anew;
     * but an end that was reported already has to be read. */
    return !is_short || t->conn->is_hangup;
}

/* ---- answering ----------------------------------------------------------- */

static void drop_input(struct http_turn *t)
{
    t->in.start = t->in.at = t->in.len = 0;
    t->rq->is_begun = 0;
}

static struct http_exchange begin_exchange(struct http_turn *t)
{
    return (struct http_exchange){.out = &t->out,
                                  .date = &t->conn->date,
                                  .logged_ms = &t->conn->logged_ms,
                                  .mark = t->out.len - t->out.at};
}

int molt_http_turn_refuse(struct http_turn *t, unsigned status)
{
    struct http_exchange x = begin_exchange(t);
    x.is_head = t->rq->is_head_done && t->conn->parser.method == HTTP_HEAD;
    drop_input(t);
    t->conn->is_closing = t->conn->is_refusing = 1;
    return molt_http_exchange_refuse(&x, status, NULL);
}

static int answer(struct http_turn *t)
{
    struct http_exchange x = begin_exchange(t);
    int rc = molt_http_exchange_init(&x, &t->conn->parser, t->rq, t->in.data + t->in.start);
    if (rc < 0)
        return molt_http_turn_refuse(t, 400);
    rc = molt_http_exchange_run(&x);
    if (rc < 0)
        return molt_http_turn_refuse(t, 503);
    if (!x.is_kept_alive) {
        t->conn->is_closing = 1;
        t->conn->is_refusing = t->in.at < t->in.len;
        drop_input(t);
        return 0;
    }
    t->rq->is_begun = 0;
    t->in.start = t->in.at;
    return 0;
}

/* RFC 9110, 10.1.1: only while none of the body has come. */
static int encourage(struct http_turn *t)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_request *rq = t->rq;
    if (!rq->is_head_done || !rq->expects_continue)
        return 0;
    rq->expects_continue = 0;
    return rq->body.len > 0 ? 0 : molt_http_output_add(&t->out, text, sizeof(text) - 1);
}

/* RFC 9112, 2.2: empty lines before a request are ignored. False if nothing
 * else is there. */
static bool begin_request(struct http_turn *t)
{
    struct http_input *in = &t->in;
    while (in->at < in->len && (in->data[in->at] == '\r' || in->data[in->at] == '\n'))
        in->at++;
    molt_http_parse_begin(&t->conn->parser, t->rq, in);
    return in->at < in->len;
}

static int serve_one(struct http_turn *t)
{
    switch (molt_http_parse(&t->conn->parser, t->rq, &t->in, &t->conn->limits)) {
    case HTTP_PARSED_REQUEST:
        return answer(t);
    case HTTP_PARSED_FAULT:
        return molt_http_turn_refuse(t, t->rq->fault);
    case HTTP_PARSED_MORE:
        break;
    }
    return encourage(t);
}

int molt_http_turn_serve(struct http_turn *t)
{
    struct http_connection *c = t->conn;
    while (!c->is_closing && t->in.at < t->in.len) {
        if (!t->rq->is_begun) {
            if (!begin_request(t))
                return 0;
            c->started_ms = 0;
        }
        int rc = serve_one(t);
        if (rc < 0)
            return rc;
        if (t->out.len - t->out.at < BATCH_BYTES)
            continue;
        rc = molt_http_output_flush(&t->out, c->fd, &t->moved);
        if (rc < 0)
            return rc;
    }
    return 0;
}
