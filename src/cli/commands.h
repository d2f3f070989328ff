/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The entries of all commands, one file each. Threads: constant data. */
#ifndef MOLT_CLI_COMMANDS_H
#define MOLT_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct molt_command molt_command_new, molt_command_dev, molt_command_build,
    molt_command_run, molt_command_status, molt_command_modules, molt_command_worlds,
    molt_command_ps, molt_command_tree, molt_command_log, molt_command_purge, molt_command_load,
    molt_command_plan, molt_command_apply, molt_command_reload, molt_command_stop,
    molt_command_help, molt_command_version;

#endif
