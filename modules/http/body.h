/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where the body of a request ends, and its bytes without the framing
 * (RFC 9112, 6 and 7.1). Strict: each line of chunk framing ends in CR LF.
 *
 * Threads: pure.
 */
#ifndef MOLT_HTTP_BODY_H
#define MOLT_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limits.h"

struct http_framing {
    uint64_t left; /* bytes of the body or of the chunk that are still to come */
    uint32_t line; /* bytes of the framing line at hand, of all trailers together */
    uint32_t line_max;
    uint32_t body_max;
    uint8_t state; /* what the next byte is; see body.c */
};

void molt_http_framing_init(struct http_framing *f, bool is_chunked,
                            const struct http_limits *limits, uint64_t content_length);

/* Decode data[*at .. len): the body's bytes go to @body + *body_len, which lies
 * at or before them, and both positions move on. 1: the body is complete and
 * *at is behind it; 0: all bytes were taken and more are to come; else the
 * status to refuse the request with. */
int molt_http_framing_decode(struct http_framing *f, char *data, size_t *at, size_t len, char *body,
                             size_t *body_len);

#endif
