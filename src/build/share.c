/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/share.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void molt_share_fini(struct molt_share *share)
{
    free(share->modules);
    free(share->include);
    *share = (struct molt_share){0};
}

/* Take @modules and @include if the latter holds molt's headers. */
static bool try_paths(struct molt_share *ret, const char *base, const char *modules,
                      const char *include)
{
    char path[PATH_MAX], real[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s/molt/molt.h", base, include);
    if (access(path, R_OK) < 0)
        return false;
    snprintf(path, sizeof(path), "%s/%s", base, include);
    ret->include = realpath(path, real) ? strdup(real) : NULL;
    snprintf(path, sizeof(path), "%s/%s", base, modules);
    /* Without any shipped module the folder may be missing. */
    ret->modules = strdup(realpath(path, real) ? real : path);
    if (ret->include && ret->modules)
        return true;
    molt_share_fini(ret);
    return false;
}

static bool try_executable(struct molt_share *ret)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n <= 0)
        return false;
    exe[n] = 0;
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(exe, '/');
        if (!slash)
            return false;
        *slash = 0;
    }
    char share[PATH_MAX + 16];
    snprintf(share, sizeof(share), "%s/share/molt", exe);
    return access(share, R_OK) == 0 && try_paths(ret, exe, "share/molt/modules", "include");
}

int molt_share_find(struct molt_share *ret, struct molt_error *err)
{
    *ret = (struct molt_share){0};
    const char *env = getenv("MOLT_SHARE");
    if (env && *env) {
        if (try_paths(ret, env, "modules", "include") ||
            try_paths(ret, env, "modules", "../../include"))
            return 0;
        return molt_error_set(err, MOLT_ENOENT,
                              "MOLT_SHARE is %s, but molt/molt.h is neither in %s/include nor in "
                              "%s/../../include; correct or unset it",
                              env, env, env);
    }
    if (try_executable(ret) || try_paths(ret, MOLT_SOURCE_DIR, "modules", "include"))
        return 0;
    return molt_error_set(err, MOLT_ENOENT,
                          "molt's headers not found: neither beside the executable "
                          "(<prefix>/share/molt, <prefix>/include) nor in %s; set MOLT_SHARE",
                          MOLT_SOURCE_DIR);
}
