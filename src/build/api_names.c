/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/api_names.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/near.h"
#include "build/files.h"

#define DISTANCE_MAX 3

/* Those whose functions the host provides; tools/check-layers compares them
 * with the export map. molt_world is called by thunks only. */
static const char *const headers[] = {"abi.h", "error.h",  "host.h", "molt.h",
                                      "net.h", "statem.h", "table.h"};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Is the word at @at the one that a #define defines? */
static bool is_macro(const char *text, const char *at)
{
    static const char directive[] = "define";
    while (at > text && (at[-1] == ' ' || at[-1] == '\t'))
        at--;
    size_t n = sizeof(directive) - 1;
    return (size_t)(at - text) >= n && strncmp(at - n, directive, n) == 0;
}

/* Words molt_... that a parenthesis follows. */
static void find(const char *text, struct molt_args *out)
{
    for (const char *at = text; (at = strstr(at, "molt_"));) {
        size_t len = 0;
        while (is_word(at[len]))
            len++;
        if ((at == text || !is_word(at[-1])) && at[len] == '(' && !is_macro(text, at))
            molt_args_addf(out, "%.*s", (int)len, at);
        at += len;
    }
}

int molt_api_names_read(const char *include, struct molt_args *out, struct molt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(headers) / sizeof(*headers); i++) {
        char path[PATH_MAX];
        struct molt_buf text = MOLT_BUF_INIT;
        snprintf(path, sizeof(path), "%s/molt/%s", include, headers[i]);
        rc = molt_file_read(path, &text, err);
        if (rc == 0 && text.len)
            find(text.data, out);
        molt_buf_fini(&text);
    }
    molt_args_sort(out);
    return rc == 0 && out->is_failed ? molt_error_set(err, MOLT_ENOMEM, "out of memory") : rc;
}

const char *molt_api_names_nearest(const struct molt_args *names, const char *name)
{
    const char *best = NULL;
    unsigned least = DISTANCE_MAX + 1;
    for (size_t i = 0; i < names->n; i++) {
        unsigned d = molt_near_distance(names->v[i], name);
        if (d < least) {
            least = d;
            best = names->v[i];
        }
    }
    return best;
}
