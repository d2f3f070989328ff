/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    molt_out_init(&out, args);
    char *path = realpath(args->args[0], NULL);
    if (!path) {
        molt_error_set(&err, MOLT_ENOENT, "%s: %s", args->args[0], strerror(errno));
        return molt_out_fail(&out, MOLT_ENOENT, &err);
    }
    json_t *body = json_pack("{s:s}", "file", path), *doc;
    struct molt_client_request request = {.method = "POST", .path = "/v1/load", .body = body};
    free(path);
    int rc = molt_client_ask(&request, &doc, &err);
    json_decref(body);
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    if (out.is_json)
        molt_out_json(&out, doc);
    else
        molt_out_line(&out, MOLT_TONE_PLAIN, "load", "%s", molt_show_text(doc, "text"));
    json_decref(doc);
    return MOLT_EXIT_OK;
}

const struct molt_command molt_command_load = {
    .name = "load",
    .args = "FILE.c",
    .help = "bring one more C file into the running app, as a module",
    .more = "Needs `molt dev`. The module is named after the file and stays until the app ends.",
    .min_args = 1,
    .max_args = 1,
    .options = {{"json", NULL, "as JSON"}},
    .run = run};
