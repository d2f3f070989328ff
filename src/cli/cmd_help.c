/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/out.h"

static int run(const struct molt_cli_args *args)
{
    struct molt_buf out = MOLT_BUF_INIT;
    const struct molt_command *command = args->n_args ? molt_command_find(args->args[0]) : NULL;
    if (args->n_args && !command)
        return molt_out_usage(args->command, "no such command");
    if (command)
        molt_command_print_help(command, &out);
    else
        molt_command_print_overview(&out);
    fputs(out.is_failed ? "" : out.data, stdout);
    molt_buf_fini(&out);
    return MOLT_EXIT_OK;
}

const struct molt_command molt_command_help = {.name = "help",
                                               .args = "[COMMAND]",
                                               .help = "say how a command is used",
                                               .max_args = 1,
                                               .run = run};
