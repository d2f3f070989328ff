/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <limits.h>

#include "cli/client.h"
#include "cli/commands.h"

#define STOP_MAX_MS 600000
#define AS_CONFIGURED ULONG_MAX /* in molt.conf */

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    struct molt_error err = {0};
    unsigned long timeout_ms;
    molt_out_init(&out, args);
    if (molt_cli_args_number(args, "timeout", 0, STOP_MAX_MS, AS_CONFIGURED, &timeout_ms, &err) < 0)
        return molt_out_usage(args->command, err.text);
    json_t *body = json_object(), *doc;
    if (timeout_ms == AS_CONFIGURED)
        timeout_ms = STOP_MAX_MS;
    else
        json_object_set_new(body, "timeout_ms", json_integer((json_int_t)timeout_ms));
    struct molt_client_request request = {.method = "POST",
                                          .path = "/v1/stop",
                                          .body = body,
                                          .timeout_ms = (int)timeout_ms + 60000,
                                          .is_until_agent_ends = true};
    int rc = molt_client_ask(&request, &doc, &err);
    json_decref(body);
    if (rc < 0)
        return molt_out_fail(&out, rc, &err);
    json_decref(doc);
    molt_out_line(&out, MOLT_TONE_PLAIN, "stopped", "stopped");
    return MOLT_EXIT_OK;
}

const struct molt_command molt_command_stop = {
    .name = "stop",
    .args = "",
    .help = "stop the app and its agent, in order",
    .options = {{"timeout", "MS", "how long processes may take to end; default: stop_ms"},
                {"json", NULL, "as JSON"}},
    .run = run};
