/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/unsettled.h"

#include <stdlib.h>
#include <string.h>

#include <molt/error.h>

struct molt_unsettled_file {
    char *path;
    uint64_t until_ms;
    bool is_gone;
};

void molt_unsettled_fini(struct molt_unsettled *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->files[i].path);
    free(u->files);
    *u = (struct molt_unsettled){0};
}

static struct molt_unsettled_file *find(struct molt_unsettled *u, const char *path)
{
    for (size_t i = 0; i < u->n; i++)
        if (strcmp(u->files[i].path, path) == 0)
            return &u->files[i];
    return NULL;
}

static struct molt_unsettled_file *add(struct molt_unsettled *u, const char *path)
{
    if (u->n == u->cap) {
        size_t cap = u->cap ? u->cap * 2 : 4;
        struct molt_unsettled_file *grown = realloc(u->files, cap * sizeof(*grown));
        if (!grown)
            return NULL;
        u->files = grown;
        u->cap = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        return NULL;
    u->files[u->n] = (struct molt_unsettled_file){.path = copy};
    return &u->files[u->n++];
}

static int put(struct molt_unsettled *u, const char *path, uint64_t until_ms, bool is_gone)
{
    struct molt_unsettled_file *file = find(u, path);
    if (!file)
        file = add(u, path);
    if (!file)
        return MOLT_ENOMEM;
    file->until_ms = until_ms;
    file->is_gone = is_gone;
    return 0;
}

static void drop(struct molt_unsettled *u, struct molt_unsettled_file *file)
{
    free(file->path);
    *file = u->files[--u->n];
}

int molt_unsettled_write(struct molt_unsettled *u, const char *path, uint64_t now_ms)
{
    return put(u, path, now_ms + MOLT_UNSETTLED_WRITE_MS, false);
}

int molt_unsettled_gone(struct molt_unsettled *u, const char *path, uint64_t now_ms)
{
    u->last_ms = now_ms;
    return put(u, path, now_ms + MOLT_UNSETTLED_GONE_MS, true);
}

void molt_unsettled_done(struct molt_unsettled *u, const char *path, uint64_t now_ms)
{
    struct molt_unsettled_file *file = find(u, path);
    u->last_ms = now_ms;
    if (file)
        drop(u, file);
}

unsigned molt_unsettled_wait(struct molt_unsettled *u, uint64_t now_ms)
{
    uint64_t until = u->last_ms ? u->last_ms + MOLT_UNSETTLED_QUIET_MS : 0;
    for (size_t i = u->n; i-- > 0;) {
        if (u->files[i].until_ms <= now_ms)
            drop(u, &u->files[i]);
        else if (u->files[i].until_ms > until)
            until = u->files[i].until_ms;
    }
    return until > now_ms ? (unsigned)(until - now_ms) : 0;
}

bool molt_unsettled_is_writing(const struct molt_unsettled *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (!u->files[i].is_gone)
            return true;
    return false;
}
