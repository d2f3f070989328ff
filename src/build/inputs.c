/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What builds read, for those who wait for changes of it. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "build/builder.h"

typedef bool visit_fn(void *user, const char *path);

/* Until @visit says true. */
static bool each(const struct molt_args *paths, visit_fn *visit, void *user)
{
    for (size_t i = 0; i < paths->n; i++)
        if (visit(user, paths->v[i]))
            return true;
    return false;
}

static bool each_module_file(const struct molt_project *p, visit_fn *visit, void *user)
{
    for (size_t i = 0; i < p->n_modules; i++) {
        const struct molt_project_module *m = &p->modules[i];
        for (size_t k = 0; k < m->n_sources; k++)
            if (visit(user, m->sources[k]))
                return true;
        if (m->header && visit(user, m->header))
            return true;
    }
    return false;
}

static bool each_input(const struct molt_builder *b, visit_fn *visit, void *user)
{
    for (size_t i = 0; i < b->headers.n; i++) {
        const struct molt_header *h = b->headers.entries[i].value;
        if (h && each(&h->deps, visit, user))
            return true;
    }
    for (size_t i = 0; i < b->units.n; i++) {
        const struct molt_unit *u = b->units.entries[i].value;
        if (u && each(&u->deps, visit, user))
            return true;
    }
    return each_module_file(b->project, visit, user);
}

static bool is_same(void *user, const char *path)
{
    return strcmp(user, path) == 0;
}

bool molt_builder_reads(const struct molt_builder *b, const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    return each_input(b, is_same, copy);
}

struct teller {
    void (*fn)(void *user, const char *folder);
    void *user;
    char last[PATH_MAX]; /* lists are sorted: the same folder comes often */
};

static bool is_system(const char *path)
{
    return strncmp(path, "/usr/include/", 13) == 0 || strncmp(path, "/usr/lib", 8) == 0;
}

static bool tell_folder(void *user, const char *path)
{
    struct teller *t = user;
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (!len || len >= sizeof(t->last) || is_system(path) ||
        (strncmp(t->last, path, len) == 0 && !t->last[len]))
        return false;
    memcpy(t->last, path, len);
    t->last[len] = 0;
    t->fn(t->user, t->last);
    return false;
}

void molt_builder_each_folder(const struct molt_builder *b,
                              void (*fn)(void *user, const char *folder), void *user)
{
    struct teller teller = {.fn = fn, .user = user};
    each_input(b, tell_folder, &teller);
}
