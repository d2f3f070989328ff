/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/set_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

/* @folder/@below, if there is a set in it; NULL if not, or without memory. */
static char *try_folder(const char *folder, const char *below)
{
    struct molt_buf set = MOLT_BUF_INIT;
    molt_buf_printf(&set, "%s%s/set", folder, below);
    char *found = NULL;
    if (!set.is_failed && access(set.data, F_OK) == 0)
        found = strndup(set.data, set.len - strlen("/set"));
    molt_buf_fini(&set);
    return found;
}

int molt_set_folder(const char *path, char **ret, struct molt_error *err)
{
    char *real = realpath(path, NULL);
    if (!real)
        return molt_error_set(err, MOLT_ENOENT, "%s: %s", path, strerror(errno));
    char *found = try_folder(real, "/.molt");
    if (!found)
        found = try_folder(real, "");
    char *slash = strrchr(real, '/');
    if (!found && strcmp(slash, "/set") == 0) {
        *slash = '\0';
        found = try_folder(real, "");
        *slash = '/';
    }
    free(real);
    if (!found)
        return molt_error_set(err, MOLT_ENOENT,
                              "%s: there is no set: name a project's folder in which `molt build` "
                              "ran, or its .molt/set",
                              path);
    *ret = found;
    return 0;
}
