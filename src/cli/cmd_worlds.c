/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"

static void print(struct molt_out *out, json_t *doc)
{
    size_t i;
    json_t *w;
    char age[MOLT_SHOW_MAX], bytes[MOLT_SHOW_MAX];
    molt_out_line(out, MOLT_TONE_DIM, "worlds", "%-8s %-8s %-12s %-10s %-8s %s", "WORLD", "", "AGE",
                  "BYTES", "HOLDS", "OWNERS");
    json_array_foreach(doc, i, w)
        molt_out_line(out, MOLT_TONE_PLAIN, "worlds", "%-8llu %-8s %-12s %-10s %-8llu %s",
                      (unsigned long long)molt_show_number(w, "world"),
                      json_is_true(json_object_get(w, "is_current")) ? "current" : "old",
                      molt_show_ms(molt_show_number(w, "age_ms"), age),
                      molt_show_bytes(molt_show_number(w, "bytes"), bytes),
                      (unsigned long long)molt_show_number(w, "holds"),
                      molt_show_text(w, "owners"));
}

static int run(const struct molt_cli_args *args)
{
    return molt_client_show(args, "/v1/worlds", print);
}

const struct molt_command molt_command_worlds = {.name = "worlds",
                                                 .args = "",
                                                 .help = "live worlds and who is in them",
                                                 .options = {{"json", NULL, "as JSON"}},
                                                 .run = run};
