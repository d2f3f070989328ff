/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "route.h"

#include <stdint.h>
#include <string.h>

#define ROUTES_KIND "http.routes"

/* How well @path fits: 0 not at all, else the more the better. */
static size_t fit(const struct molt_route *route, const char *path)
{
    size_t len = strlen(route->path);
    if (strcmp(route->path, path) == 0)
        return SIZE_MAX;
    if (len > 0 && route->path[len - 1] == '*' && strncmp(route->path, path, len - 1) == 0)
        return len;
    return 0;
}

/* 3: the method itself, 2: GET for HEAD, 1: any, 0: another. */
static int method_fit(const struct molt_route *route, const char *method)
{
    if (strcmp(route->method, method) == 0)
        return 3;
    if (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0)
        return 2;
    return strcmp(route->method, "*") == 0 ? 1 : 0;
}

static bool is_end(const struct molt_route *route)
{
    return !route->method || !route->path || !route->handler;
}

const struct molt_route *molt_http_route_find(const char *method, const char *path,
                                              bool *ret_is_path_known)
{
    const struct molt_route *best = NULL, *route;
    size_t best_fit = 0, cursor = 0;
    int best_method = 0;
    *ret_is_path_known = false;
    while ((route = molt_extension_next(ROUTES_KIND, &cursor)) != NULL) {
        for (; !is_end(route); route++) {
            size_t f = fit(route, path);
            if (f == 0)
                continue;
            *ret_is_path_known = true;
            int m = method_fit(route, method);
            if (m > 0 && (f > best_fit || (f == best_fit && m > best_method))) {
                best = route;
                best_fit = f;
                best_method = m;
            }
        }
    }
    return best;
}

static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == '\0' || at[len] == ','))
            return true;
    return false;
}

static void add_word(char *list, size_t size, const char *word)
{
    size_t used = strlen(list), len = strlen(word);
    if (has_word(list, word) || used + len + 3 > size)
        return;
    if (used > 0) {
        memcpy(list + used, ", ", 3);
        used += 2;
    }
    memcpy(list + used, word, len + 1);
}

void molt_http_route_allow(const char *path, char *buf, size_t size)
{
    const struct molt_route *route;
    size_t cursor = 0;
    buf[0] = '\0';
    while ((route = molt_extension_next(ROUTES_KIND, &cursor)) != NULL)
        for (; !is_end(route); route++) {
            if (fit(route, path) == 0)
                continue;
            add_word(buf, size, route->method);
            if (strcmp(route->method, "GET") == 0)
                add_word(buf, size, "HEAD");
        }
}
