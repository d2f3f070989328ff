/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/project_root.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

static int has_conf(const char *folder)
{
    struct molt_buf path = MOLT_BUF_INIT;
    molt_buf_printf(&path, "%s/molt.conf", folder);
    int found = !path.is_failed && access(path.data, F_OK) == 0;
    molt_buf_fini(&path);
    return found;
}

int molt_project_root(char **ret, struct molt_error *err)
{
    char *folder = getcwd(NULL, 0);
    if (!folder)
        return molt_error_set(err, MOLT_EIO, "working directory: %s", strerror(errno));
    while (!has_conf(folder)) {
        char *slash = strrchr(folder, '/');
        if (!slash || !folder[1]) {
            free(folder);
            return molt_error_set(err, MOLT_ENOENT,
                                  "no molt.conf here or in a folder above: go to a project's "
                                  "folder, or make one with `molt new NAME`");
        }
        slash[slash == folder ? 1 : 0] = '\0';
    }
    *ret = folder;
    return 0;
}
