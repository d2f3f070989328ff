/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned molt_bench_number(const char *program, const char *option, const char *text, unsigned min,
                           unsigned max)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && value >= min && value <= max)
        return (unsigned)value;
    fprintf(stderr, "%s: %s takes a number from %u to %u, not '%s'\n", program, option, min, max,
            text);
    exit(2);
}

bool molt_bench_is_listed(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || !at[len]))
            return true;
    return false;
}
