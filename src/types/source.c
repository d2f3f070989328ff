/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Names of source files: absolute and without dots, by text alone (the files
 * needn't exist any more), and the short form that keys and people use.
 */
#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types/debug_walk.h"

/* Append the parts of @path to @buf, which holds an absolute path. */
static void append_parts(char *buf, size_t *len, const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (*len > 0 && buf[--*len] != '/')
                ;
        } else if (n > 0 && !(n == 1 && path[0] == '.')) {
            buf[(*len)++] = '/';
            memcpy(buf + *len, path, n);
            *len += n;
        }
        path += n;
        path += *path == '/';
    }
}

static char *normalise(struct molt_arena *arena, const char *folder, const char *path)
{
    char *buf = molt_arena_alloc(arena, strlen(folder) + strlen(path) + 3);
    size_t len = 0;
    if (!buf)
        return NULL;
    if (path[0] != '/')
        append_parts(buf, &len, folder);
    append_parts(buf, &len, path);
    buf[len] = '\0';
    return buf;
}

static const char *after_folder(const char *path, const char *folder)
{
    size_t n = folder ? strlen(folder) : 0;
    while (n > 0 && folder[n - 1] == '/')
        n--;
    if (n == 0 || strncmp(path, folder, n) != 0 || path[n] != '/')
        return NULL;
    return path + n + 1;
}

static const char *short_form(const struct molt_debug *d, const char *path)
{
    const char *text = after_folder(path, d->project);
    if (text)
        return text;
    const char *last = NULL;
    for (const char *at = path; (at = strstr(at, "/include/molt/")) != NULL; at++)
        last = at;
    return last ? last + strlen("/include/") : path;
}

static bool is_c_file(const char *path)
{
    size_t n = strlen(path);
    return n >= 2 && strcmp(path + n - 2, ".c") == 0;
}

const struct molt_source *molt_debug_source_named(struct molt_debug *d,
                                                  const struct molt_unit *unit, const char *file)
{
    char *path = normalise(&d->arena, unit->folder, file);
    if (!path)
        return NULL;
    uint64_t key = molt_map_hash(path), known;
    while (molt_map_get(&d->source_of_path, key, &known)) {
        const struct molt_source *source = (const struct molt_source *)(uintptr_t)known;
        if (strcmp(source->path, path) == 0)
            return source;
        key++;
    }
    struct molt_source *source = molt_arena_alloc(&d->arena, sizeof *source);
    if (!source || molt_map_put(&d->source_of_path, key, (uintptr_t)source) < 0) {
        d->arena.is_failed = true; /* no source isn't the same as no memory */
        return NULL;
    }
    const char *slash = strrchr(path, '/');
    *source = (struct molt_source){.path = path,
                                   .text = short_form(d, path),
                                   .base = slash ? slash + 1 : path,
                                   .is_header = !is_c_file(path)};
    return source;
}

static void read_files(struct molt_debug *d, struct molt_unit *unit)
{
    unit->has_files = true;
    if (dwarf_getsrcfiles(&unit->die, &unit->files, &unit->n_files) != 0)
        unit->n_files = 0;
    unit->sources = molt_arena_alloc(&d->arena, (unit->n_files + 1) * sizeof *unit->sources);
    if (!unit->sources)
        unit->n_files = 0;
}

const struct molt_source *molt_debug_source(struct molt_debug *d, Dwarf_Die *die)
{
    Dwarf_Attribute attr;
    Dwarf_Word index;
    if (!dwarf_attr_integrate(die, DW_AT_decl_file, &attr) || dwarf_formudata(&attr, &index) != 0)
        return NULL;
    /* The number counts in the unit of the entry that has it, an origin's. */
    Dwarf_Die holder = {.cu = attr.cu};
    struct molt_unit *unit = molt_debug_unit(d, &holder);
    if (!unit)
        return NULL;
    if (!unit->has_files)
        read_files(d, unit);
    if (index >= unit->n_files)
        return NULL;
    if (!unit->sources[index]) {
        const char *file = dwarf_filesrc(unit->files, index, NULL, NULL);
        if (file && strcmp(file, "???") != 0 && !strchr(file, '<')) /* "<built-in>" */
            unit->sources[index] = molt_debug_source_named(d, unit, file);
    }
    return unit->sources[index];
}
