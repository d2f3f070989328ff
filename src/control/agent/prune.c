/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/prune.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "build/strmap.h"
#include "control/agent/crash_report.h"
#include "control/agent/set.h"

#define HEX (MOLT_SHA256_HEX - 1)

/* An image or a meta in the store. */
struct file {
    char *name;
    size_t stem; /* bytes of "<module>-<digest>" */
    size_t module;
    bool is_image;
    struct timespec time;
};

struct pruner {
    const struct molt_prune *prune;
    struct molt_strmap kept; /* stems that are needed */
    size_t n, cap;
    struct file *files;
};

/* ---- what is needed ------------------------------------------------------------ */

/* Bytes of "<module>-<digest>" at the beginning of @name; 0: another file. */
static size_t stem_of(const char *name, size_t *ret_module)
{
    const char *dash = strrchr(name, '-');
    size_t n = 0;
    while (dash && isxdigit((unsigned char)dash[1 + n]))
        n++;
    if (!dash || dash == name || n != HEX)
        return 0;
    *ret_module = (size_t)(dash - name);
    return (size_t)(dash - name) + 1 + HEX;
}

/* @path may be of any file; only those of the store have such names. */
static int keep(struct pruner *p, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t module, len = stem_of(name, &module);
    char stem[256];
    if (!len || len >= sizeof(stem))
        return 0;
    memcpy(stem, name, len);
    stem[len] = 0;
    return molt_strmap_put(&p->kept, stem, p);
}

static int keep_set(struct pruner *p, const struct molt_set *set)
{
    int rc = 0;
    for (size_t i = 0; set && rc == 0 && i < set->n_modules; i++)
        rc = keep(p, set->modules[i].image_path);
    for (size_t i = 0; set && rc == 0 && i < set->n_interfaces; i++)
        rc = keep(p, set->interfaces[i]);
    return rc;
}

/* What `molt run` would start. */
static int keep_written_set(struct pruner *p, struct molt_error *err)
{
    struct molt_set *set = NULL;
    int rc = molt_set_read(p->prune->folder, &set, err);
    if (rc == MOLT_ENOENT && !set)
        return 0; /* or it lacks an image already: then nothing can start from it */
    if (rc < 0)
        return rc;
    rc = keep_set(p, set);
    molt_set_free(set);
    return rc;
}

static int keep_image(struct pruner *p, const struct molt_crash_image *image)
{
    char hex[MOLT_SHA256_HEX], name[160];
    molt_sha256_hex(image->digest, hex);
    snprintf(name, sizeof(name), "%s-%s", image->module, hex);
    return keep(p, name);
}

/* proc_pid_maps(5): a path is all from the first slash of a line on; one that
 * was deleted has " (deleted)" behind it. */
static int keep_mapped(struct pruner *p, struct molt_error *err)
{
    char path[64], *line = NULL;
    size_t size = 0;
    if (!p->prune->host)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)p->prune->host);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return molt_error_set(err, MOLT_EIO, "%s: %s", path, strerror(errno));
    int rc = 0;
    while (rc == 0 && getline(&line, &size, maps) > 0) {
        const char *slash = strchr(line, '/');
        rc = slash ? keep(p, slash) : 0;
    }
    free(line);
    fclose(maps);
    return rc;
}

static int keep_all(struct pruner *p, struct molt_error *err)
{
    int rc = keep_written_set(p, err);
    for (size_t i = 0; rc == 0 && i < p->prune->n_sets; i++)
        rc = keep_set(p, p->prune->sets[i]);
    for (size_t i = 0; rc == 0 && i < p->prune->n_images; i++)
        rc = keep_image(p, &p->prune->images[i]);
    return rc < 0 ? rc : keep_mapped(p, err);
}

/* ---- what is there --------------------------------------------------------------- */

static bool has_end(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

static int add_file(struct pruner *p, int dir, const char *name)
{
    struct stat st;
    struct file file = {.is_image = has_end(name, ".so")};
    file.stem = stem_of(name, &file.module);
    if (!file.stem || (!file.is_image && !has_end(name, ".meta")) ||
        fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return 0;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        struct file *grown = realloc(p->files, cap * sizeof(*grown));
        if (!grown)
            return MOLT_ENOMEM;
        p->files = grown;
        p->cap = cap;
    }
    file.time = st.st_mtim;
    file.name = strdup(name);
    if (!file.name)
        return MOLT_ENOMEM;
    p->files[p->n++] = file;
    return 0;
}

static int list(struct pruner *p, DIR *dir)
{
    int rc = 0;
    for (const struct dirent *e; rc == 0 && (e = readdir(dir));)
        rc = add_file(p, dirfd(dir), e->d_name);
    return rc;
}

static int compare_times(struct timespec a, struct timespec b)
{
    if (a.tv_sec != b.tv_sec)
        return a.tv_sec < b.tv_sec ? -1 : 1;
    return a.tv_nsec < b.tv_nsec ? -1 : a.tv_nsec > b.tv_nsec;
}

/* By module, images first, then from new to old. */
static int compare(const void *left, const void *right)
{
    const struct file *a = left, *b = right;
    size_t least = a->module < b->module ? a->module : b->module;
    int order = strncmp(a->name, b->name, least);
    if (!order && a->module != b->module)
        order = a->module < b->module ? -1 : 1;
    if (!order && a->is_image != b->is_image)
        order = a->is_image ? -1 : 1;
    return order ? order : compare_times(b->time, a->time);
}

static bool is_same_module(const struct file *a, const struct file *b)
{
    return a->module == b->module && strncmp(a->name, b->name, a->module) == 0;
}

/* ---- removing ----------------------------------------------------------------------- */

static bool is_kept(const struct pruner *p, const struct file *f)
{
    char stem[256];
    snprintf(stem, sizeof(stem), "%.*s", (int)f->stem, f->name);
    return molt_strmap_get(&p->kept, stem) != NULL;
}

/* The newest images of each module stay, and metas with their images. */
static int keep_newest(struct pruner *p)
{
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->n; i++) {
        n = i && is_same_module(&p->files[i - 1], &p->files[i]) ? n + 1 : 1;
        if (p->files[i].is_image && n <= MOLT_PRUNE_NEWEST)
            rc = keep(p, p->files[i].name);
    }
    return rc;
}

static int remove_rest(struct pruner *p, int dir)
{
    int n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += !is_kept(p, &p->files[i]) && unlinkat(dir, p->files[i].name, 0) == 0;
    return n;
}

static int prune_in(struct pruner *p, DIR *dir, struct molt_error *err)
{
    int rc = list(p, dir);
    if (rc == 0 && p->n)
        qsort(p->files, p->n, sizeof(*p->files), compare);
    if (rc == 0)
        rc = keep_newest(p);
    bool is_all_new = rc == 0;
    for (size_t i = 0; is_all_new && i < p->n; i++)
        is_all_new = is_kept(p, &p->files[i]);
    if (rc == 0 && !is_all_new)
        rc = keep_all(p, err);
    if (rc < 0)
        return rc == MOLT_ENOMEM ? molt_error_set(err, rc, "out of memory") : rc;
    return is_all_new ? 0 : remove_rest(p, dirfd(dir));
}

int molt_prune_store(const struct molt_prune *prune, struct molt_error *err)
{
    struct pruner p = {.prune = prune};
    struct molt_buf path = MOLT_BUF_INIT;
    molt_buf_printf(&path, "%s/store", prune->folder);
    DIR *dir = path.is_failed ? NULL : opendir(path.data);
    int rc = dir ? prune_in(&p, dir, err)
                 : molt_error_set(err, MOLT_EIO, "%s: %s", prune->folder, strerror(errno));
    if (dir)
        closedir(dir);
    for (size_t i = 0; i < p.n; i++)
        free(p.files[i].name);
    free(p.files);
    molt_strmap_fini(&p.kept, NULL);
    molt_buf_fini(&path);
    return rc;
}
