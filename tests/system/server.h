/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * An app of a test's own, built and run by the real `molt` in a folder of its
 * own, on a port that the kernel chose.
 *
 * Whatever goes wrong in here fails the running test, with what molt said.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_SYSTEM_SERVER_H
#define MOLT_TESTS_SYSTEM_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct system_server;

/* @config: more lines for molt.conf, may be "". */
struct system_server *system_server_new(const char *config);

/* A file of the project ("src/hello.c"). */
void system_server_write(struct system_server *s, const char *path, const char *text);

/* Shipped modules and headers are copied, so that the test may edit them below
 * "share/modules"; before the start. */
void system_server_own_share(struct system_server *s);

/* molt build and molt run, or molt dev; returns when the app listens. */
void system_server_start(struct system_server *s, bool is_dev);

/* Replace @from, which must be there, by @to in a file of the project. */
void system_server_edit(struct system_server *s, const char *path, const char *from,
                        const char *to);

/* Wait until molt has said @text. */
void system_server_await(struct system_server *s, const char *text);

/* Stop the app, and check that all of it ends; remove the folder. */
void system_server_free(struct system_server *s);

unsigned system_server_port(const struct system_server *s);
/* Agent and host are the ones that were started. */
bool system_server_is_running(const struct system_server *s);
size_t system_server_memory(const struct system_server *s);        /* of the host, resident bytes */
unsigned system_server_descriptors(const struct system_server *s); /* of the host, open */

#endif
