/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    json_t *doc;
    molt_out_init(&out, args);
    struct molt_client_request request = {.method = "POST", .path = "/v1/reload"};
    int rc = molt_client_ask(&request, &doc, &err);
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    if (out.is_json)
        molt_out_json(&out, doc);
    else
        molt_out_line(&out, MOLT_TONE_PLAIN, "reload", "%s", molt_show_text(doc, "text"));
    json_decref(doc);
    return MOLT_EXIT_OK;
}

const struct molt_command molt_command_reload = {
    .name = "reload",
    .args = "",
    .help = "have the running app read molt.conf again",
    .more =
        "Code stays as it is. A file that is not right changes nothing. `molt dev` does this by\n"
        "itself when the file is saved; SIGHUP to the agent of `molt run`, or to the host, is\n"
        "the same.",
    .options = {{"json", NULL, "as JSON"}},
    .run = run};
