/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt: the command line, and the agent behind it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/out.h"

static int unknown(const char *name)
{
    char text[256];
    const char *guess = molt_command_guess(name);
    snprintf(text, sizeof(text), "unknown command %.100s%s%s%s", name,
             guess ? "; did you mean " : "", guess ? guess : "", guess ? "?" : "");
    return molt_out_usage(NULL, text);
}

static int run_command(const struct molt_command *command, int argc, char **argv)
{
    struct molt_cli_args args;
    struct molt_error err = {0};
    if (molt_cli_args_parse(command, argc, argv, &args, &err) < 0)
        return molt_out_usage(command, err.text);
    if (!args.is_help)
        return command->run(&args);
    struct molt_buf out = MOLT_BUF_INIT;
    molt_command_print_help(command, &out);
    fputs(out.is_failed ? "" : out.data, stdout);
    molt_buf_fini(&out);
    return MOLT_EXIT_OK;
}

int main(int argc, char **argv)
{
    /* A reader that went away is an error of the write, not our end. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return run_command(&molt_command_help, 0, argv), MOLT_EXIT_USAGE;
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    const struct molt_command *command = molt_command_find(name);
    return command ? run_command(command, argc - 2, argv + 2) : unknown(name);
}
