/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "parse.h"

#include <string.h>
#include <strings.h>

/* What the parser's callbacks need; parser.data leads to it during a call
 * only, so that nothing in the connection's state points to a stack. */
struct context {
    struct http_request *rq;
    const struct http_limits *limits;
    char *base;
};

static struct context *context_of(const struct http_parser *parser)
{
    return parser->data;
}

/* Stops the parser. */
static int refuse(struct http_request *rq, unsigned status)
{
    rq->fault = (uint16_t)status;
    return -1;
}

static int on_url(struct http_parser *parser, const char *at, size_t len)
{
    struct context *cx = context_of(parser);
    struct http_request *rq = cx->rq;
    if (rq->url.len == 0)
        rq->url.off = (uint32_t)(at - cx->base);
    rq->url.len += (uint32_t)len;
    return rq->url.len > cx->limits->url_bytes ? refuse(rq, 414) : 0;
}

static bool is_head_too_long(const struct context *cx, const char *at, size_t len)
{
    return (size_t)(at - cx->base) + len > cx->limits->header_bytes;
}

/* Called again for the rest of a name whose bytes came in pieces. */
static int on_field(struct http_parser *parser, const char *at, size_t len)
{
    struct context *cx = context_of(parser);
    struct http_request *rq = cx->rq;
    if (is_head_too_long(cx, at, len))
        return refuse(rq, 431);
    if (rq->n_fields == 0 || rq->is_in_value) {
        if (rq->n_fields == cx->limits->fields)
            return refuse(rq, 431);
        rq->fields[rq->n_fields++] = (struct http_field){.name = {(uint32_t)(at - cx->base), 0}};
        rq->is_in_value = 0;
    }
    rq->fields[rq->n_fields - 1].name.len += (uint32_t)len;
    return 0;
}

static int on_value(struct http_parser *parser, const char *at, size_t len)
{
    struct context *cx = context_of(parser);
    struct http_request *rq = cx->rq;
    if (rq->n_fields == 0)
        return 0;
    if (is_head_too_long(cx, at, len))
        return refuse(rq, 431);
    struct http_span *value = &rq->fields[rq->n_fields - 1].value;
    uint32_t off = (uint32_t)(at - cx->base);
    rq->is_in_value = 1;
    if (value->len == 0)
        value->off = off;
    else if (value->off + value->len != off)
        return refuse(rq, 400); /* RFC 9112, 5.2: a folded line */
    value->len += (uint32_t)len;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The library skips the check of most characters of a value, and lets folded
 * lines, spaces in names and other bytes for LF pass. We don't. */
static bool is_field_clean(const char *base, struct http_field *f)
{
    const char *name = base + f->name.off;
    if (f->name.len == 0 || memchr(name, ' ', f->name.len))
        return false;
    while (f->value.len > 0 && is_blank(base[f->value.off + f->value.len - 1]))
        f->value.len--;
    if (f->value.len == 0)
        return true;
    for (const char *c = name + f->name.len + 1; c < base + f->value.off; c++)
        if (!is_blank(*c))
            return false;
    for (const char *c = base + f->value.off; c < base + f->value.off + f->value.len; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return false;
    return true;
}

static bool is_text(const char *base, struct http_span span, const char *text)
{
    return span.len == strlen(text) && strncasecmp(base + span.off, text, span.len) == 0;
}

/* Fields that decide how the request is framed and answered. Returns the
 * status to refuse it with, or 0. */
static unsigned check_fields(struct http_request *rq, char *base, bool is_http11)
{
    unsigned n_hosts = 0, n_codings = 0;
    for (unsigned i = 0; i < rq->n_fields; i++) {
        struct http_field *f = &rq->fields[i];
        if (!is_field_clean(base, f))
            return 400;
        if (is_text(base, f->name, "host"))
            n_hosts++;
        if (is_text(base, f->name, "transfer-encoding")) {
            if (!is_http11 || ++n_codings > 1)
                return 400; /* RFC 9112, 6.1: faulty framing */
            if (!is_text(base, f->value, "chunked"))
                return 501;
        }
        if (is_text(base, f->name, "expect") && is_http11) {
            if (!is_text(base, f->value, "100-continue"))
                return 417;
            rq->expects_continue = 1;
        }
    }
    if (n_hosts > 1 || (n_hosts == 0 && is_http11))
        return 400; /* RFC 9112, 3.2 */
    return 0;
}

/* "GET /a HTTP/1.1": the library takes other letters for HTTP, and tabs in
 * a target. */
static bool is_request_line_clean(const char *base, struct http_span url)
{
    const char *c = base + url.off, *end = c + url.len;
    for (; c < end; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return false;
    while (*c == ' ')
        c++;
    return strncmp(c, "HTTP/", 5) == 0;
}

/* The head is whole but for its last LF. */
static int on_head(struct http_parser *parser)
{
    struct context *cx = context_of(parser);
    struct http_request *rq = cx->rq;
    if (parser->http_major != 1)
        return refuse(rq, 505);
    if (!is_request_line_clean(cx->base, rq->url))
        return refuse(rq, 400);
    if (parser->method == HTTP_CONNECT)
        return refuse(rq, 501);
    unsigned status = check_fields(rq, cx->base, parser->http_minor > 0);
    if (status > 0)
        return refuse(rq, status);
    if ((parser->flags & F_CONTENTLENGTH) && parser->content_length > cx->limits->body_bytes)
        return refuse(rq, 413);
    bool is_chunked = (parser->flags & F_CHUNKED) != 0;
    molt_http_framing_init(&rq->framing, is_chunked, cx->limits,
                           parser->flags & F_CONTENTLENGTH ? parser->content_length : 0);
    rq->is_kept_alive = http_should_keep_alive(parser) != 0;
    rq->is_head_done = 1;
    return 1; /* no body, as far as the library is concerned */
}

static int on_complete(struct http_parser *parser)
{
    http_parser_pause(parser, 1);
    return 0;
}

static const struct http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_message_complete = on_complete,
};

/* RFC 9110, 5.6.2 */
static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* The library stops at the first letter that fits no method that it knows:
 * is this a well-formed method all the same? */
static bool is_unknown_method(const struct http_input *in)
{
    size_t i = in->start;
    while (i < in->len && is_token_char(in->data[i]))
        i++;
    return i > in->start && (i == in->len || in->data[i] == ' ');
}

static unsigned status_of(enum http_errno err, const struct http_input *in)
{
    switch (err) {
    case HPE_INVALID_METHOD:
        return is_unknown_method(in) ? 501 : 400;
    case HPE_HEADER_OVERFLOW:
        return 431;
    default:
        return 400;
    }
}

void molt_http_parse_begin(struct http_parser *parser, struct http_request *rq,
                           struct http_input *in)
{
    http_parser_init(parser, HTTP_REQUEST);
    memset(rq, 0, offsetof(struct http_request, fields));
    in->start = in->at;
}

/* Every byte of the head was seen, so what ends a text may be overwritten; an
 * empty value has no byte of its own, but must follow a line's end. */
static unsigned finish_head(struct http_request *rq, char *base, uint32_t len,
                            const struct http_limits *limits)
{
    if (len > limits->header_bytes)
        return 431;
    if (base[len - 1] != '\n')
        return 400;
    base[rq->url.off + rq->url.len] = '\0';
    for (unsigned i = 0; i < rq->n_fields; i++) {
        struct http_span value = rq->fields[i].value;
        if (value.len > 0)
            base[value.off + value.len] = '\0';
        else if (value.off == 0 || base[value.off - 1] != '\n')
            return 400;
    }
    rq->body.off = len;
    return 0;
}

static void parse_head(struct http_parser *parser, struct http_request *rq, struct http_input *in,
                       const struct http_limits *limits)
{
    struct context cx = {.rq = rq, .limits = limits, .base = in->data + in->start};
    parser->data = &cx;
    in->at += http_parser_execute(parser, &settings, in->data + in->at, in->len - in->at);
    parser->data = NULL;
    enum http_errno err = HTTP_PARSER_ERRNO(parser);
    if (rq->fault > 0)
        return;
    if (rq->is_head_done)
        rq->fault = (uint16_t)finish_head(rq, cx.base, (uint32_t)(in->at - in->start), limits);
    else if (err != HPE_OK)
        rq->fault = (uint16_t)status_of(err, in);
    else if (in->len - in->start > limits->header_bytes)
        rq->fault = rq->n_fields == 0 ? 414 : 431;
}

/* Moves the part of the body that is here together and drops the framing
 * behind it. */
static void parse_body(struct http_request *rq, struct http_input *in)
{
    char *body = in->data + in->start + rq->body.off;
    size_t len = rq->body.len;
    int rc = molt_http_framing_decode(&rq->framing, in->data, &in->at, in->len, body, &len);
    rq->body.len = (uint32_t)len;
    if (rc > 1)
        rq->fault = (uint16_t)rc;
    rq->is_complete = rc == 1;
    if (rc == 0)
        in->at = in->len = in->start + rq->body.off + rq->body.len;
}

enum http_parsed molt_http_parse(struct http_parser *parser, struct http_request *rq,
                                 struct http_input *in, const struct http_limits *limits)
{
    rq->is_begun = 1;
    if (!rq->is_head_done)
        parse_head(parser, rq, in, limits);
    if (rq->is_head_done && rq->fault == 0)
        parse_body(rq, in);
    if (rq->fault > 0)
        return HTTP_PARSED_FAULT;
    return rq->is_complete ? HTTP_PARSED_REQUEST : HTTP_PARSED_MORE;
}

const char *molt_http_parse_field(const struct http_request *rq, const char *base, const char *name)
{
    for (unsigned i = 0; i < rq->n_fields; i++)
        if (is_text(base, rq->fields[i].name, name))
            return rq->fields[i].value.len > 0 ? base + rq->fields[i].value.off : "";
    return NULL;
}
