/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Asking the agent of the project at hand, over its socket (HTTP/1.1).
 *
 * Threads: one.
 */
#ifndef MOLT_CLI_CLIENT_H
#define MOLT_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include <molt/error.h>

#include "cli/out.h"

struct molt_client_request {
    const char *method, *path;
    json_t *body;             /* borrowed; NULL: none */
    int timeout_ms;           /* 0: 60 s */
    bool is_until_agent_ends; /* having the answer, wait for the agent to end */
};

/* Find the project, connect, ask. *ret is a new reference. An error that the
 * agent answers comes back as its code and text. MOLT_ECLOSED: no agent runs. */
int molt_client_ask(const struct molt_client_request *request, json_t **ret,
                    struct molt_error *err);

/* The whole of a command that looks: GET @path, print as JSON, or by @print. */
int molt_client_show(const struct molt_cli_args *args, const char *path,
                     void (*print)(struct molt_out *out, json_t *doc));

/* Read the response in @bytes: status and body. 0 if it isn't complete yet, 1
 * if it is, MOLT_EFORMAT. *ret_body points into @bytes. */
int molt_client_parse(const char *bytes, size_t len, unsigned *ret_status, const char **ret_body,
                      size_t *ret_body_len);

#endif
