/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"

static void print(struct molt_out *out, json_t *doc)
{
    size_t i;
    json_t *m;
    char age[MOLT_SHOW_MAX], bytes[MOLT_SHOW_MAX];
    molt_out_line(out, MOLT_TONE_DIM, "modules", "%-24s %-8s %-12s %-10s %s", "VERSION", "", "AGE",
                  "BYTES", "KEPT BY");
    json_array_foreach(doc, i, m)
        molt_out_line(out, MOLT_TONE_PLAIN, "modules", "%-24s %-8s %-12s %-10s %s",
                      molt_show_text(m, "name"),
                      json_is_true(json_object_get(m, "is_current")) ? "current" : "old",
                      molt_show_ms(molt_show_number(m, "age_ms"), age),
                      molt_show_bytes(molt_show_number(m, "bytes"), bytes),
                      molt_show_text(m, "why"));
}

static int run(const struct molt_cli_args *args)
{
    return molt_client_show(args, "/v1/modules", print);
}

const struct molt_command molt_command_modules = {.name = "modules",
                                                  .args = "",
                                                  .help =
                                                      "versions in memory, and what keeps old ones",
                                                  .options = {{"json", NULL, "as JSON"}},
                                                  .run = run};
