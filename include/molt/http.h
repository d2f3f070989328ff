/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The interface of module `http`: routes and requests.
 *
 * Routes are found through the world at each request, so an open connection
 * gets new code without reconnecting. A handler may block (molt_call,
 * molt_sleep); its connection waits, others don't.
 *
 * Threads: a request belongs to the process of its connection; use it only
 * inside the handler.
 */
#ifndef MOLT_HTTP_H
#define MOLT_HTTP_H

#include <stddef.h>

#include <molt/molt.h>

#ifdef __cplusplus
extern "C" {
#endif

struct molt_http; /* a request and the response to it */

struct molt_route {
    const char *method;                  /* "GET"; "*" for any */
    const char *path;                    /* "/", "/users" exactly, or a prefix that ends in '*' */
    int (*handler)(struct molt_http *r); /* 0, or negative: the client gets 500 */
};

/* MOLT_ROUTES({"GET", "/", hello}, {"POST", "/add", add}); once per file */
#define MOLT_ROUTES(...)                                                                           \
    static const struct molt_route molt_routes_[] = {__VA_ARGS__, {NULL, NULL, NULL}};             \
    MOLT_EXTENSION(routes, "http.routes", molt_routes_)

/* Parts of the request; strings live until the handler returns. The header
 * name is matched without regard to case; NULL if absent. The body is
 * complete, *ret_len bytes, not NUL-terminated. */
const char *molt_http_method(const struct molt_http *r);
const char *molt_http_path(const struct molt_http *r);
const char *molt_http_query(const struct molt_http *r);
const char *molt_http_header(const struct molt_http *r, const char *name);
const char *molt_http_body(const struct molt_http *r, size_t *ret_len);

/* Answer, once. A second answer is MOLT_EINVAL. The first form is text/plain;
 * @data is copied. */
int molt_http_printf(struct molt_http *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int molt_http_reply(struct molt_http *r, int status, const char *content_type, const void *data,
                    size_t len);

/* Add a response header before answering. MOLT_EINVAL if it holds CR or LF. */
int molt_http_add_header(struct molt_http *r, const char *name, const char *value);

#ifdef __cplusplus
}
#endif

#endif
