/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The line that starts with @word and a space: what follows, or NULL. */
static const char *find_line(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (strncmp(at, word, len) == 0 && at[len] == ' ')
            return at + len + 1;
    return NULL;
}

/* One KEY=NUMBER at *at, which moves behind it. */
static int parse_pair(const char **at, struct molt_bench_result *r)
{
    size_t len = strcspn(*at, "= \n");
    char key[sizeof(r->v[0].key)], *end;
    if (len == 0 || len >= sizeof(key) || (*at)[len] != '=' || r->n == MOLT_BENCH_VALUES_MAX)
        return MOLT_EFORMAT;
    memcpy(key, *at, len);
    key[len] = '\0';
    const char *number = *at + len + 1;
    double value = strtod(number, &end);
    if (end == number || (*end && *end != ' ' && *end != '\n' && *end != '\r') ||
        !isfinite(value) || !isnan(molt_bench_result_get(r, key)))
        return MOLT_EFORMAT;
    memcpy(r->v[r->n].key, key, sizeof(key));
    r->v[r->n++].value = value;
    *at = end;
    return 0;
}

int molt_bench_result_parse(const char *text, struct molt_bench_result *ret, struct molt_error *err)
{
    struct molt_bench_result r = {0};
    const char *error = find_line(text, "error"), *at = find_line(text, "result");
    if (error)
        return molt_error_set(err, MOLT_EREFUSED, "%.*s", (int)strcspn(error, "\n"), error);
    while (at && *at && *at != '\n' && *at != '\r') {
        if (*at == ' ')
            at++;
        else if (parse_pair(&at, &r) < 0)
            return molt_error_set(err, MOLT_EFORMAT, "not KEY=NUMBER, or twice, or too many: %s",
                                  at);
    }
    if (r.n == 0)
        return molt_error_set(err, MOLT_EFORMAT, "there is no result in: %s", text);
    *ret = r;
    return 0;
}

double molt_bench_result_get(const struct molt_bench_result *result, const char *key)
{
    for (unsigned i = 0; i < result->n; i++)
        if (strcmp(result->v[i].key, key) == 0)
            return result->v[i].value;
    return NAN;
}
