/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <molt/abi.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "control/protocol.h"

static int run(const struct molt_cli_args *args)
{
    struct molt_out out;
    molt_out_init(&out, args);
    if (!out.is_json) {
        molt_out_line(&out, MOLT_TONE_PLAIN, "version", "molt %s (module ABI %d, protocol %d)",
                      MOLT_VERSION, MOLT_ABI_VERSION, MOLT_PROTOCOL_VERSION);
        return MOLT_EXIT_OK;
    }
    json_t *doc = json_pack("{s:s, s:i, s:i}", "version", MOLT_VERSION, "abi", MOLT_ABI_VERSION,
                            "protocol", MOLT_PROTOCOL_VERSION);
    molt_out_json(&out, doc);
    json_decref(doc);
    return MOLT_EXIT_OK;
}

const struct molt_command molt_command_version = {.name = "version",
                                                  .args = "",
                                                  .help = "print the version",
                                                  .options = {{"json", NULL, "as JSON"}},
                                                  .run = run};
