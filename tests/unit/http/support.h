/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Routes and answers that the http module's tests share.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_HTTP_SUPPORT_H
#define MOLT_TESTS_HTTP_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

/* "/" says Hello, "/echo" (POST) method, path, query, header X and body back,
 * "/any*" any method, "/users/..." (prefix), "/fail", "/silent", "/big" (bytes
 * by ?n), "/late" (blocks: see molt_http_support_blocking). */
void molt_http_support_setup(void); /* resets the fake, adds the routes */

/* Called by "/late" in the middle of its work. */
extern void (*molt_http_support_blocking)(void);

/* What the client got, without the Date lines. The caller frees it. */
char *molt_http_support_answers(int fd);

/* Does all that the client got equal @text, but for Date? Shows both if not. */
bool molt_http_support_got(int fd, const char *text);

/* Status of the last answer, -1 if there is none; number of answers. Answers
 * to HEAD aren't counted rightly: they have lengths without bodies. */
int molt_http_support_status(int fd);
int molt_http_support_count(int fd);

/* Is everything that the client got a run of whole, well-formed answers? */
bool molt_http_support_is_well_formed(int fd);

#endif
