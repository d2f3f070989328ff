/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"

static void print(struct molt_out *out, json_t *doc)
{
    size_t i;
    json_t *p;
    char bytes[MOLT_SHOW_MAX];
    molt_out_line(out, MOLT_TONE_DIM, "ps", "%-6s %-18s %-18s %-10s %-8s %-10s %-10s %s", "PID",
                  "NAME", "SERVER", "STATE", "MAILBOX", "BYTES", "CALLBACKS", "IN");
    json_array_foreach(doc, i, p)
        molt_out_line(out, MOLT_TONE_PLAIN, "ps",
                      "%-6llu %-18s %-18s %-10s %-8llu %-10s %-10llu %s%s%s",
                      (unsigned long long)molt_show_number(p, "pid"), molt_show_text(p, "name"),
                      molt_show_text(p, "server"), molt_show_text(p, "state"),
                      (unsigned long long)molt_show_number(p, "mailbox"),
                      molt_show_bytes(molt_show_number(p, "bytes"), bytes),
                      (unsigned long long)molt_show_number(p, "callbacks"),
                      molt_show_text(p, "code"), *molt_show_text(p, "waiting_for") ? " " : "",
                      molt_show_text(p, "waiting_for"));
}

static int run(const struct molt_cli_args *args)
{
    return molt_client_show(args, "/v1/ps", print);
}

const struct molt_command molt_command_ps = {.name = "ps",
                                             .args = "",
                                             .help = "processes of the app",
                                             .options = {{"json", NULL, "as JSON"}},
                                             .run = run};
