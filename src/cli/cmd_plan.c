/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt plan: what would happen. */
#include <stdlib.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/set_folder.h"
#include "cli/show.h"
#include "control/agent/file.h"

/* A large host copies and converts for some time. */
#define TIMEOUT_MS 300000

/* What was asked for by --header; nothing to write is no failure. */
static int write_header(const char *path, json_t *doc, struct molt_error *err)
{
    const char *states = json_string_value(json_object_get(doc, "old_states"));
    struct molt_buf text = MOLT_BUF_INIT;
    if (!path)
        return 0;
    molt_buf_printf(
        &text,
        "/* Written by `molt plan --header`: states as they run, for a MOLT_CHANGE. */\n"
        "#pragma once\n\n#include <stdbool.h>\n#include <stddef.h>\n#include "
        "<stdint.h>\n%s",
        states ? states : "\n/* No state changes. */\n");
    int rc = text.is_failed ? MOLT_ENOMEM : molt_agent_file_write(path, text.data, text.len, err);
    molt_buf_fini(&text);
    return rc;
}

static json_t *make_body(const struct molt_cli_args *args, const char *folder, unsigned long sample)
{
    json_t *body =
        json_pack("{s:b, s:I, s:b}", "trial", !molt_cli_args_has(args, "no-trial"), "sample",
                  (json_int_t)sample, "old_states", molt_cli_args_has(args, "header"));
    if (folder)
        json_object_set_new(body, "set", json_string(folder));
    return body;
}

static int show(struct molt_out *out, json_t *doc)
{
    bool is_refused = json_is_true(json_object_get(doc, "refused"));
    if (out->is_json)
        molt_out_json(out, doc);
    else
        molt_out_line(out, is_refused ? MOLT_TONE_BAD : MOLT_TONE_PLAIN, "plan", "%s",
                      molt_show_text(doc, "text"));
    return is_refused ? MOLT_EXIT_REFUSED : MOLT_EXIT_OK;
}

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    unsigned long sample;
    char *folder = NULL;
    json_t *doc;
    molt_out_init(&out, args);
    if (molt_cli_args_number(args, "sample", 0, 1000000, 0, &sample, &err) < 0)
        return molt_out_usage(args->command, err.text);
    int rc = args->n_args ? molt_set_folder(args->args[0], &folder, &err) : 0;
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    struct molt_client_request request = {.method = "POST",
                                          .path = "/v1/plan",
                                          .body = make_body(args, folder, sample),
                                          .timeout_ms = TIMEOUT_MS};
    free(folder);
    rc = molt_client_ask(&request, &doc, &err);
    json_decref(request.body);
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    rc = write_header(molt_cli_args_value(args, "header"), doc, &err);
    int code = rc < 0 ? molt_out_fail(&out, rc, &err) : show(&out, doc);
    json_decref(doc);
    return code;
}

const struct molt_command molt_command_plan = {
    .name = "plan",
    .args = "[FILE]",
    .help = "say what an upgrade would do, tried on copies, and change nothing",
    .more = "FILE is a project's folder in which `molt build` ran, or its .molt/set. Without it:\n"
            "the sources as they are now (molt dev), or what was built last (molt run).\n"
            "Exits with 3 if the upgrade would be refused.",
    .max_args = 1,
    .options = {{"no-trial", NULL, "don't try it on copies of the processes' states"},
                {"sample", "N", "try at most N processes of each server; default: all"},
                {"header", "H", "write the states that change, as they run, to this C header"},
                {"json", NULL, "as JSON"}},
    .run = run};
