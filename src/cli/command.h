/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Commands of `molt`: a declarative entry each, from which the parser, --help
 * and shell completion are made.
 *
 * Threads: pure.
 */
#ifndef MOLT_CLI_COMMAND_H
#define MOLT_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/error.h>

#include "base/buf.h"

#define MOLT_OPTIONS_MAX 12
#define MOLT_ARGS_MAX 4

/* Exit codes. */
enum { MOLT_EXIT_OK = 0, MOLT_EXIT_FAILED = 1, MOLT_EXIT_USAGE = 2, MOLT_EXIT_REFUSED = 3 };

/* An option --name, or --name VALUE if @value (its name in the help) is set. */
struct molt_option {
    const char *name, *value, *help;
};

struct molt_cli_args;

struct molt_command {
    const char *name;
    const char *args; /* positional, as in the usage line: "NAME", "[MODULE[@N]]" */
    const char *help; /* one line */
    const char *more; /* paragraphs for --help, or NULL */
    unsigned min_args, max_args;
    struct molt_option options[MOLT_OPTIONS_MAX]; /* name NULL ends */
    int (*run)(const struct molt_cli_args *args); /* returns an exit code */
};

/* What was given. Strings are argv's. */
struct molt_cli_args {
    const struct molt_command *command;
    bool is_help;
    bool is_set[MOLT_OPTIONS_MAX];
    const char *values[MOLT_OPTIONS_MAX];
    size_t n_args;
    const char *args[MOLT_ARGS_MAX];
};

/* All commands, in the order of the help. */
const struct molt_command *const *molt_command_list(size_t *ret_n);
const struct molt_command *molt_command_find(const char *name);

/* Read argv[0..argc-1], what follows the command's name. "--name VALUE" and
 * "--name=VALUE"; "--" ends the options. Each command takes --help. MOLT_EINVAL
 * says what is wrong. */
int molt_cli_args_parse(const struct molt_command *command, int argc, char *const *argv,
                        struct molt_cli_args *ret, struct molt_error *err);
bool molt_cli_args_has(const struct molt_cli_args *args, const char *option);
/* NULL if it wasn't given. */
const char *molt_cli_args_value(const struct molt_cli_args *args, const char *option);
/* A whole number from @min to @max; @fallback if it wasn't given. */
int molt_cli_args_number(const struct molt_cli_args *args, const char *option, unsigned long min,
                         unsigned long max, unsigned long fallback, unsigned long *ret,
                         struct molt_error *err);

/* Append the help of one command, or of all. */
void molt_command_print_help(const struct molt_command *command, struct molt_buf *out);
void molt_command_print_overview(struct molt_buf *out);

/* The closest command's name to a misspelt one, or NULL. */
const char *molt_command_guess(const char *name);

#endif
