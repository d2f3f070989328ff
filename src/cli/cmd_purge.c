/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"

/* "MODULE" or "MODULE@N" into a request's body. */
static json_t *parse_target(const char *text, bool is_hard)
{
    const char *at = text ? strrchr(text, '@') : NULL;
    unsigned long number = 0;
    if (at) {
        char *end;
        errno = 0;
        number = strtoul(at + 1, &end, 10);
        if (errno || end == at + 1 || *end || at[1] == '-' || number == 0 || number > UINT32_MAX ||
            at == text)
            return NULL;
    }
    json_t *module =
        text ? json_stringn(text, at ? (size_t)(at - text) : strlen(text)) : json_string("");
    return json_pack("{s:o, s:I, s:b}", "module", module, "version", (json_int_t)number, "hard",
                     is_hard);
}

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    molt_out_init(&out, args);
    const char *target = args->n_args ? args->args[0] : NULL;
    bool is_hard = molt_cli_args_has(args, "hard");
    if (is_hard && !target)
        return molt_out_usage(args->command, "--hard needs a MODULE or MODULE@N");
    json_t *body = parse_target(target, is_hard), *doc;
    if (!body)
        return molt_out_usage(args->command, "a version is MODULE@N, N from 1");
    struct molt_client_request request = {.method = "POST", .path = "/v1/purge", .body = body};
    int rc = molt_client_ask(&request, &doc, &err);
    json_decref(body);
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    if (out.is_json)
        molt_out_json(&out, doc);
    else
        molt_out_line(&out, MOLT_TONE_PLAIN, "purge", "%llu unloaded, %llu processes killed",
                      (unsigned long long)molt_show_number(doc, "unloaded"),
                      (unsigned long long)molt_show_number(doc, "killed"));
    json_decref(doc);
    return MOLT_EXIT_OK;
}

const struct molt_command molt_command_purge = {
    .name = "purge",
    .args = "[MODULE[@N]]",
    .help = "unload old versions that nothing keeps",
    .more = "What is still in use stays, and is named. --hard ends the processes that keep the\n"
            "version, without their terminate callback; threads and libraries can't be ended.",
    .max_args = 1,
    .options = {{"hard", NULL, "end the processes that keep it"}, {"json", NULL, "as JSON"}},
    .run = run};
