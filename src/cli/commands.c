/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/commands.h"

#include <string.h>

static const struct molt_command *const list[] = {
    &molt_command_new,    &molt_command_dev,     &molt_command_build,  &molt_command_run,
    &molt_command_status, &molt_command_modules, &molt_command_worlds, &molt_command_ps,
    &molt_command_tree,   &molt_command_plan,    &molt_command_apply,  &molt_command_log,
    &molt_command_purge,  &molt_command_load,    &molt_command_reload, &molt_command_stop,
    &molt_command_help,   &molt_command_version,
};

const struct molt_command *const *molt_command_list(size_t *ret_n)
{
    *ret_n = sizeof(list) / sizeof(list[0]);
    return list;
}

const struct molt_command *molt_command_find(const char *name)
{
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}
