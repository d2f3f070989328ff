/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt apply: bring what was built elsewhere into the app that runs. */
#include <stdlib.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/set_folder.h"
#include "cli/show.h"

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    char *folder;
    json_t *doc;
    molt_out_init(&out, args);
    int rc = molt_set_folder(args->args[0], &folder, &err);
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    json_t *body = json_pack("{s:s}", "set", folder);
    struct molt_client_request request = {.method = "POST", .path = "/v1/apply", .body = body};
    free(folder);
    rc = molt_client_ask(&request, &doc, &err);
    json_decref(body);
    if (rc < 0) {
        int code = molt_out_fail(&out, rc, &err);
        return rc == MOLT_EREFUSED || rc == MOLT_ECHANGE ? MOLT_EXIT_REFUSED : code;
    }
    if (out.is_json)
        molt_out_json(&out, doc);
    else
        molt_out_line(&out, MOLT_TONE_GOOD, "apply", "%s", molt_show_text(doc, "text"));
    json_decref(doc);
    return MOLT_EXIT_OK;
}

const struct molt_command molt_command_apply = {
    .name = "apply",
    .args = "FILE",
    .help = "upgrade the running app to a set that was built elsewhere",
    .more = "Needs `molt run`. FILE is a project's folder in which `molt build` ran, or its\n"
            ".molt/set; its files are copied, and it is what `molt run` starts from then on.\n"
            "`molt plan FILE` says before what would happen. Exits with 3 if it is refused.",
    .min_args = 1,
    .max_args = 1,
    .options = {{"json", NULL, "as JSON"}},
    .run = run};
