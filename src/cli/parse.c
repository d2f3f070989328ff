/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"
#include "cli/command.h"

/* Index of the option whose name is the first @len bytes of @name, or -1. */
static int find_option(const struct molt_command *command, const char *name, size_t len)
{
    for (int i = 0; i < MOLT_OPTIONS_MAX && command->options[i].name; i++)
        if (strlen(command->options[i].name) == len &&
            strncmp(command->options[i].name, name, len) == 0)
            return i;
    return -1;
}

/* One "--option" at argv[*at]; may take the next argument as its value. */
static int parse_option(struct molt_cli_args *args, int argc, char *const *argv, int *at,
                        struct molt_error *err)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    if (!equals && strcmp(name, "help") == 0) {
        args->is_help = true;
        return 0;
    }
    int i = find_option(args->command, name, len);
    if (i < 0)
        return molt_error_set(err, MOLT_EINVAL, "unknown option --%.*s", (int)len, name);
    if (args->is_set[i])
        return molt_error_set(err, MOLT_EINVAL, "--%.*s is given twice", (int)len, name);
    args->is_set[i] = true;
    if (!args->command->options[i].value)
        return equals ? molt_error_set(err, MOLT_EINVAL, "--%.*s takes no value", (int)len, name)
                      : 0;
    if (!equals && *at + 1 >= argc)
        return molt_error_set(err, MOLT_EINVAL, "--%s needs a value: %s", name,
                              args->command->options[i].value);
    args->values[i] = equals ? equals + 1 : argv[++*at];
    return 0;
}

static int add_arg(struct molt_cli_args *args, const char *text, struct molt_error *err)
{
    if (args->n_args == args->command->max_args || args->n_args == MOLT_ARGS_MAX)
        return molt_error_set(err, MOLT_EINVAL, "unexpected argument %s", text);
    args->args[args->n_args++] = text;
    return 0;
}

int molt_cli_args_parse(const struct molt_command *command, int argc, char *const *argv,
                        struct molt_cli_args *ret, struct molt_error *err)
{
    struct molt_cli_args args = {.command = command};
    bool is_over = false; /* after "--" everything is an argument */
    for (int i = 0; i < argc; i++) {
        int rc;
        if (!is_over && strcmp(argv[i], "--") == 0) {
            is_over = true;
            continue;
        }
        if (!is_over && strcmp(argv[i], "-h") == 0) {
            args.is_help = true;
            continue;
        }
        if (!is_over && strncmp(argv[i], "--", 2) == 0)
            rc = parse_option(&args, argc, argv, &i, err);
        else if (!is_over && argv[i][0] == '-' && argv[i][1])
            rc = molt_error_set(err, MOLT_EINVAL, "unknown option %s", argv[i]);
        else
            rc = add_arg(&args, argv[i], err);
        if (rc < 0)
            return rc;
    }
    if (!args.is_help && args.n_args < command->min_args)
        return molt_error_set(err, MOLT_EINVAL, "%s is missing", command->args);
    *ret = args;
    return 0;
}

bool molt_cli_args_has(const struct molt_cli_args *args, const char *option)
{
    int i = find_option(args->command, option, strlen(option));
    return i >= 0 && args->is_set[i];
}

const char *molt_cli_args_value(const struct molt_cli_args *args, const char *option)
{
    int i = find_option(args->command, option, strlen(option));
    return i >= 0 ? args->values[i] : NULL;
}

int molt_cli_args_number(const struct molt_cli_args *args, const char *option, unsigned long min,
                         unsigned long max, unsigned long fallback, unsigned long *ret,
                         struct molt_error *err)
{
    const char *text = molt_cli_args_value(args, option);
    if (!text) {
        *ret = fallback;
        return 0;
    }
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || v < min || v > max)
        return molt_error_set(err, MOLT_EINVAL, "--%s: %s is not a number from %lu to %lu", option,
                              text, min, max);
    *ret = v;
    return 0;
}

/* ---- help --------------------------------------------------------------------- */

static void print_option(const struct molt_option *o, struct molt_buf *out)
{
    struct molt_buf left = MOLT_BUF_INIT;
    molt_buf_printf(&left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    molt_buf_printf(out, "  %-20s %s\n", left.data ? left.data : "", o->help);
    molt_buf_fini(&left);
}

void molt_command_print_help(const struct molt_command *command, struct molt_buf *out)
{
    molt_buf_printf(out, "usage: molt %s%s%s%s\n%s\n", command->name, *command->args ? " " : "",
                    command->args, command->options[0].name ? " [OPTION]..." : "", command->help);
    if (command->more)
        molt_buf_printf(out, "\n%s\n", command->more);
    molt_buf_adds(out, "\n");
    for (int i = 0; i < MOLT_OPTIONS_MAX && command->options[i].name; i++)
        print_option(&command->options[i], out);
    print_option(&(struct molt_option){"help", NULL, "show this"}, out);
}

void molt_command_print_overview(struct molt_buf *out)
{
    size_t n;
    const struct molt_command *const *list = molt_command_list(&n);
    molt_buf_adds(out, "usage: molt COMMAND [ARGUMENT]... [OPTION]...\n"
                       "Change the code of a running C program.\n\n");
    for (size_t i = 0; i < n; i++) {
        struct molt_buf left = MOLT_BUF_INIT;
        molt_buf_printf(&left, "%s %s", list[i]->name, list[i]->args);
        molt_buf_printf(out, "  %-28s %s\n", left.data ? left.data : "", list[i]->help);
        molt_buf_fini(&left);
    }
    molt_buf_adds(out, "\nmolt COMMAND --help says more; so does molt(1).\n"
                       "Exit codes: 0 done, 1 refused or failed, 2 usage.\n");
}

const char *molt_command_guess(const char *name)
{
    size_t n;
    const struct molt_command *const *list = molt_command_list(&n);
    const char *best = NULL;
    unsigned least = 3; /* farther away is no misspelling */
    for (size_t i = 0; i < n; i++) {
        unsigned d = molt_near_distance(name, list[i]->name);
        if (d < least) {
            least = d;
            best = list[i]->name;
        }
    }
    return best;
}
