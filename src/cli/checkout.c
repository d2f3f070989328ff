/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/checkout.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"

/* Locks may be symbolic links that lead nowhere. */
static bool exists(const char *folder, const char *name)
{
    struct molt_buf path = MOLT_BUF_INIT;
    struct stat st;
    molt_buf_printf(&path, "%s/%s", folder, name);
    bool is_there = !path.is_failed && lstat(path.data, &st) == 0;
    molt_buf_fini(&path);
    return is_there;
}

/* gitrepository-layout(5): .git may be a file "gitdir: <path>". */
static bool is_git_locked(const char *folder)
{
    struct molt_buf path = MOLT_BUF_INIT;
    char line[PATH_MAX];
    molt_buf_printf(&path, "%s/.git", folder);
    FILE *file = path.is_failed ? NULL : fopen(path.data, "re");
    bool is_file = file && fgets(line, sizeof(line), file) && strncmp(line, "gitdir: ", 8) == 0;
    if (file)
        fclose(file);
    if (is_file) {
        line[strcspn(line, "\n")] = 0;
        molt_buf_reset(&path);
        molt_buf_printf(&path, "%s%s%s", line[8] == '/' ? "" : folder, line[8] == '/' ? "" : "/",
                        line + 8);
    }
    bool is_locked = !path.is_failed && exists(path.data, "index.lock");
    molt_buf_fini(&path);
    return is_locked;
}

bool molt_checkout_is_running(const char *folder)
{
    char at[PATH_MAX];
    snprintf(at, sizeof(at), "%s", folder);
    for (char *slash; *at; *slash = 0) {
        if (exists(at, ".git"))
            return is_git_locked(at);
        if (exists(at, ".hg"))
            return exists(at, ".hg/wlock");
        slash = strrchr(at, '/');
        if (!slash)
            return false;
    }
    return false;
}
