/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Which handler answers a request, in the running callback's world.
 *
 * A path fits a route exactly or by the longest prefix ("/users/" before
 * "/"), exact before prefix, a method by name before "*". HEAD is answered by
 * the GET route where there is none of its own.
 *
 * Threads: process only. Routes are valid until the callback returns: they are
 * never stored.
 */
#ifndef MOLT_HTTP_ROUTE_H
#define MOLT_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/http.h>

/* NULL if none; then *ret_is_path_known says whether another method would do. */
const struct molt_route *molt_http_route_find(const char *method, const char *path,
                                              bool *ret_is_path_known);

/* The methods of the routes that @path fits, "GET, HEAD, POST", cut at @size. */
void molt_http_route_allow(const char *path, char *buf, size_t size);

#endif
