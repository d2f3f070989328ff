/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The agent's HTTP servers: the API on a unix socket, and in development a page
 * on the loopback interface. Driven by the embedder's loop, so requests are
 * served on the thread that owns the builder and the host connection.
 *
 * Threads: one.
 */
#ifndef MOLT_WEB_WEB_H
#define MOLT_WEB_WEB_H

#include <stdbool.h>

#include "web/api.h"

#define MOLT_WEB_FDS 2

struct molt_web;

/* Serve @api (copied) on @listen_fd, a listening unix socket, consumed also on
 * failure. */
int molt_web_new(const struct molt_api *api, int listen_fd, struct molt_web **ret,
                 struct molt_error *err);
/* Serve the page on 127.0.0.1:@port. MOLT_EIO: the port is taken. */
int molt_web_open_page(struct molt_web *web, unsigned port, struct molt_error *err);
void molt_web_free(struct molt_web *web);

/* Descriptors to poll for input; -1 for none. */
void molt_web_fds(const struct molt_web *web, int ret_fds[MOLT_WEB_FDS]);
/* Milliseconds until molt_web_run() has something to do by itself; -1: nothing. */
int molt_web_timeout(const struct molt_web *web);
/* There is a message more in the journal: answer those who wait for it. */
void molt_web_wake(struct molt_web *web);
/* The same, whether there is one or not, and nobody waits any more: it ends. */
void molt_web_end_waits(struct molt_web *web);
/* A request was begun and its answer isn't sent yet. */
bool molt_web_is_busy(const struct molt_web *web);
/* Serve what is there. */
void molt_web_run(struct molt_web *web);

#endif
