/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/includes.h"

#include <stdlib.h>
#include <string.h>

void molt_includes_from_deps(const struct molt_run *run, const struct molt_args *deps,
                             bool *ret_set)
{
    for (size_t i = 0; i < run->n_modules; i++) {
        const char *header = run->modules[i]->header;
        ret_set[i] = header && molt_args_has(deps, header);
    }
}

void molt_includes_folders(const struct molt_run *run, const struct molt_args *flags,
                           struct molt_args *out)
{
    static const char *const options[] = {"-iquote", "-isystem", "-I"};
    for (size_t i = 0; i < flags->n; i++) {
        for (size_t k = 0; k < 3; k++) {
            size_t len = strlen(options[k]);
            if (strncmp(flags->v[i], options[k], len) != 0)
                continue;
            const char *folder = flags->v[i] + len;
            if (!*folder && i + 1 < flags->n)
                folder = flags->v[i + 1];
            molt_args_take(out, molt_run_absolute(run, folder));
            break;
        }
    }
}

struct walk {
    const struct molt_run *run;
    struct molt_args folders;
    struct molt_args seen;    /* files to look into; grows while it is walked */
    struct molt_strmap known; /* the same, for looking up */
    bool is_failed;
};

/* Remember @path (consumed) if there is such a file; false if there isn't. */
static bool walk_try(struct walk *w, char *path)
{
    if (!path) {
        w->is_failed = true;
        return true;
    }
    bool is_known = molt_strmap_get(&w->known, path) != NULL;
    bool exists = is_known || molt_files_exists(w->run->builder->files, path);
    if (exists && !is_known) {
        if (molt_strmap_put(&w->known, path, w) < 0)
            w->is_failed = true;
        molt_args_add(&w->seen, path);
    }
    free(path);
    return exists;
}

static char *join(const struct walk *w, const char *folder, size_t folder_len, const char *name,
                  size_t len)
{
    struct molt_buf path = MOLT_BUF_INIT;
    if (name[0] != '/')
        molt_buf_printf(&path, "%.*s/", (int)folder_len, folder);
    molt_buf_printf(&path, "%.*s", (int)len, name);
    char *text = molt_buf_take(&path);
    char *absolute = text ? molt_run_absolute(w->run, text) : NULL;
    free(text);
    return absolute;
}

/* Resolve @include (with its quotes) as written in @file. */
static void walk_include(struct walk *w, const char *file, const char *include)
{
    const char *name = include + 1;
    size_t len = strlen(include) - 2;
    const char *slash = strrchr(file, '/');
    if (*include == '"' && slash && walk_try(w, join(w, file, (size_t)(slash - file), name, len)))
        return;
    for (size_t i = 0; i < w->folders.n; i++) {
        const char *folder = w->folders.v[i];
        if (walk_try(w, join(w, folder, strlen(folder), name, len)))
            return;
    }
}

int molt_includes_guess(const struct molt_run *run, const char *source,
                        const struct molt_args *flags, bool *ret_set)
{
    struct walk w = {.run = run};
    molt_includes_folders(run, flags, &w.folders);
    molt_args_add(&w.seen, source);
    for (size_t i = 0; i < w.seen.n; i++) {
        const struct molt_args *includes = molt_files_includes(run->builder->files, w.seen.v[i]);
        /* A copy of the pointer is safe: entries stay, seen.v may move. */
        for (size_t k = 0; includes && k < includes->n; k++)
            walk_include(&w, w.seen.v[i], includes->v[k]);
    }
    int rc = w.is_failed || w.seen.is_failed || w.folders.is_failed ? MOLT_ENOMEM : 0;
    molt_includes_from_deps(run, &w.seen, ret_set);
    molt_args_fini(&w.folders);
    molt_args_fini(&w.seen);
    molt_strmap_fini(&w.known, NULL);
    return rc;
}
