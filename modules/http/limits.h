/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a client may send and how long it may take: the app's configuration
 * with defaults for what is absent or out of range.
 *
 * Threads: pure but for molt_config().
 */
#ifndef MOLT_HTTP_LIMITS_H
#define MOLT_HTTP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* The table of a request's header fields has this many entries. */
#define HTTP_FIELDS_MAX 128

struct http_limits {
    uint32_t header_bytes; /* http.header_bytes: request line and header fields */
    uint32_t url_bytes;    /* http.url_bytes */
    uint32_t body_bytes;   /* http.body_bytes: after chunks are taken apart */
    uint32_t fields;       /* http.headers: number of header fields */
    uint32_t idle_ms;      /* http.idle_ms: between requests */
    uint32_t request_ms;   /* http.request_ms: to receive one request, and for a
                              reader that takes nothing of its answer */
};

/* Read the limits. With @is_reporting a value that is no number or out of
 * range is logged; its default is used in any case. */
void molt_http_limits_load(struct http_limits *ret, bool is_reporting);

/* The number at @key of the configuration, @fallback if absent. *ret_is_valid
 * says whether what stands there is a number in [min, max]; if not, @fallback
 * is returned. */
uint32_t molt_http_limits_number(const char *key, uint32_t fallback, uint32_t min, uint32_t max,
                                 bool *ret_is_valid);

#endif
