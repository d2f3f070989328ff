/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * One request out of a connection's bytes.
 *
 * The bytes of a request lie contiguous from input.start: its head as it
 * came, then its body, from which chunk framing is removed in place. What is
 * known of it are offsets from there, so the bytes may move between calls.
 * RFC 9110 and RFC 9112; whatever two servers could frame differently is
 * refused. The library reads the head alone: as Debian builds it, it lets
 * other bytes pass for the line ends of chunks.
 *
 * Threads: the process that owns them.
 */
#ifndef MOLT_HTTP_PARSE_H
#define MOLT_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <http_parser.h>

#include "body.h"
#include "limits.h"

struct http_input {
    char *data;
    size_t start; /* first byte of the request at hand */
    size_t at;    /* the parser has seen everything before */
    size_t len, cap;
    bool is_block; /* data is a block of the process, else lent */
};

struct http_span {
    uint32_t off, len;
};

struct http_field {
    struct http_span name, value;
};

/* All offsets from input.start. Zeroed and then begun by the first byte. */
struct http_request {
    struct http_span url, body; /* body.off is the length of the head */
    struct http_framing framing;
    uint16_t n_fields;
    uint16_t fault; /* status to refuse the request with, 0 if none */
    uint8_t is_begun;
    uint8_t is_in_value;  /* the last thing seen of the head was a field's value */
    uint8_t is_head_done; /* head complete and accepted */
    uint8_t is_complete;
    uint8_t is_kept_alive;    /* the connection may go on afterwards */
    uint8_t expects_continue; /* the client waits for 100 before it sends the body */
    struct http_field fields[HTTP_FIELDS_MAX];
};

enum http_parsed {
    HTTP_PARSED_MORE,    /* incomplete: all bytes were taken */
    HTTP_PARSED_REQUEST, /* complete: what is left of the input is the next one's */
    HTTP_PARSED_FAULT,   /* refused with request.fault; the rest of the input is void */
};

/* Forget the request; its bytes begin at the input's position. */
void molt_http_parse_begin(struct http_parser *parser, struct http_request *rq,
                           struct http_input *in);

/* Give the parser what it has not seen. In a complete request the text of
 * URL and field values ends in NUL. */
enum http_parsed molt_http_parse(struct http_parser *parser, struct http_request *rq,
                                 struct http_input *in, const struct http_limits *limits);

/* Value of the first field called @name, whatever its case; NULL if absent. */
const char *molt_http_parse_field(const struct http_request *rq, const char *base,
                                  const char *name);

#endif
