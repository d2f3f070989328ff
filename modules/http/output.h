/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Bytes on their way out: first in space that the caller lends (the stack),
 * in a block of the process once that is too small.
 *
 * Threads: the process that owns it.
 */
#ifndef MOLT_HTTP_OUTPUT_H
#define MOLT_HTTP_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct http_output {
    char *data;
    size_t at, len, cap; /* [at, len) is still to be written */
    bool is_block;       /* data is a block of the process */
};

/* @lent stays the caller's and must outlive the output. */
void molt_http_output_init(struct http_output *out, char *lent, size_t cap);
void molt_http_output_fini(struct http_output *out);

/* Room for @n more bytes at data + len, which the caller fills and adds to
 * len. MOLT_ENOMEM. May move data. */
int molt_http_output_reserve(struct http_output *out, size_t n);

/* Append. MOLT_ENOMEM, and nothing is appended then. */
int molt_http_output_add(struct http_output *out, const void *bytes, size_t n);

/* Write as much as @fd takes. 0: all of it; MOLT_EBUSY: the rest has to wait;
 * else the connection is lost. *ret_written (may be NULL) grows by the bytes
 * that went out. */
int molt_http_output_flush(struct http_output *out, int fd, size_t *ret_written);

#endif
