/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/args.h"
#include "build/strmap.h"
#include "port/limits.h"

/* IN_CREATE is for folders, and for links, which nobody closes after writing. */
#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ONLYDIR |           \
     IN_EXCL_UNLINK)
#define DEPTH_MAX 32

struct folder {
    int wd;
    char *path;
};

struct molt_watch {
    int fd;
    size_t n, cap;
    struct folder *folders;
    struct molt_args roots;
    struct molt_args touched; /* what the last read returned */
    struct molt_strmap seen;  /* the same, for looking up */
};

int molt_watch_new(struct molt_watch **ret, struct molt_error *err)
{
    struct molt_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0) {
        int rc = molt_error_set(err, MOLT_ELIMIT,
                                "can't watch for saved files: %s; raise "
                                "fs.inotify.max_user_instances with sysctl",
                                strerror(errno));
        free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

void molt_watch_free(struct molt_watch *w)
{
    if (!w)
        return;
    close(w->fd);
    for (size_t i = 0; i < w->n; i++)
        free(w->folders[i].path);
    free(w->folders);
    molt_args_fini(&w->roots);
    molt_args_fini(&w->touched);
    molt_strmap_fini(&w->seen, NULL);
    free(w);
}

int molt_watch_fd(const struct molt_watch *w)
{
    return w->fd;
}

/* Files that editors and tools make beside the one that is saved. vim tries
 * 4913 to see whether it may write; emacs writes #name# and .#name. */
static bool is_noise(const char *name)
{
    size_t len = strlen(name);
    static const char *const ends[] = {"~", ".swp", ".swx", ".swo", ".tmp", ".bak", "#"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        size_t k = strlen(ends[i]);
        if (len >= k && strcmp(name + len - k, ends[i]) == 0)
            return true;
    }
    return name[0] == '.' || name[0] == '#' || strcmp(name, "4913") == 0;
}

/* ---- folders ----------------------------------------------------------------- */

static struct folder *find(struct molt_watch *w, int wd)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->folders[i].wd == wd)
            return &w->folders[i];
    return NULL;
}

static void forget(struct molt_watch *w, struct folder *f)
{
    free(f->path);
    *f = w->folders[--w->n];
}

/* A folder was moved away or deleted: what lies below it has other paths now. */
static void forget_below(struct molt_watch *w, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = w->n; i-- > 0;) {
        const char *p = w->folders[i].path;
        if (strncmp(p, path, len) != 0 || (p[len] && p[len] != '/'))
            continue;
        inotify_rm_watch(w->fd, w->folders[i].wd);
        forget(w, &w->folders[i]);
    }
}

static int remember(struct molt_watch *w, int wd, const char *path)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : MOLT_LIMIT(16, 1);
        struct folder *folders = realloc(w->folders, cap * sizeof(*folders));
        if (!folders)
            return MOLT_ENOMEM;
        w->folders = folders;
        w->cap = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        return MOLT_ENOMEM;
    w->folders[w->n++] = (struct folder){wd, copy};
    return 0;
}

static int touch(struct molt_watch *w, const char *path)
{
    if (molt_strmap_get(&w->seen, path))
        return 0;
    molt_args_add(&w->touched, path);
    return w->touched.is_failed ? MOLT_ENOMEM : molt_strmap_put(&w->seen, path, w);
}

static int add_tree(struct molt_watch *w, const char *path, bool reports, unsigned depth,
                    struct molt_error *err);

/* Watch the subfolders of @path; with @reports its files count as touched,
 * because they may have been there before the watch was. */
static int add_entries(struct molt_watch *w, const char *path, bool reports, unsigned depth,
                       struct molt_error *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return 0; /* it went away again, which is an event of its own */
    int rc = 0;
    for (const struct dirent *e; rc == 0 && (e = readdir(dir));) {
        char child[PATH_MAX];
        struct stat st;
        int n = snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
        if (is_noise(e->d_name) || n < 0 || (size_t)n >= sizeof(child) || stat(child, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            rc = add_tree(w, child, reports, depth + 1, err);
        else if (reports)
            rc = touch(w, child);
    }
    closedir(dir);
    return rc;
}

static int add_tree(struct molt_watch *w, const char *path, bool reports, unsigned depth,
                    struct molt_error *err)
{
    if (depth > DEPTH_MAX)
        return 0;
    int wd = inotify_add_watch(w->fd, path, EVENTS);
    if (wd < 0 && errno == ENOSPC)
        return molt_error_set(err, MOLT_ELIMIT,
                              "can't watch %s: the limit of watches is reached; raise "
                              "fs.inotify.max_user_watches with sysctl",
                              path);
    if (wd < 0 && depth == 0)
        return molt_error_set(err, errno == ENOENT ? MOLT_ENOENT : MOLT_EIO, "can't watch %s: %s",
                              path, strerror(errno));
    if (wd < 0)
        return 0;
    const struct folder *known = find(w, wd);
    if (known && strcmp(known->path, path) != 0)
        return 0; /* a link to a folder that is watched already */
    int rc = known ? 0 : remember(w, wd, path);
    return rc < 0 ? molt_error_set(err, rc, "out of memory")
                  : add_entries(w, path, reports, depth, err);
}

int molt_watch_add(struct molt_watch *w, const char *folder, struct molt_error *err)
{
    int rc = add_tree(w, folder, false, 0, err);
    if (rc < 0)
        return rc;
    if (!molt_args_has(&w->roots, folder))
        molt_args_add(&w->roots, folder);
    return w->roots.is_failed ? molt_error_set(err, MOLT_ENOMEM, "out of memory") : 0;
}

/* ---- events ------------------------------------------------------------------ */

static bool is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

static int folder_event(struct molt_watch *w, const char *path, uint32_t mask)
{
    if (mask & (IN_CREATE | IN_MOVED_TO))
        return add_tree(w, path, true, 1, NULL);
    if (mask & IN_MOVED_FROM)
        forget_below(w, path);
    return touch(w, path);
}

static int event(struct molt_watch *w, const struct inotify_event *e)
{
    struct folder *f = find(w, e->wd);
    if (!f)
        return 0;
    if (e->mask & IN_IGNORED) {
        forget(w, f);
        return 0;
    }
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", f->path, e->len ? e->name : "");
    if (!e->len || is_noise(e->name) || n < 0 || (size_t)n >= sizeof(path))
        return 0;
    if (e->mask & IN_ISDIR)
        return folder_event(w, path, e->mask);
    if ((e->mask & IN_CREATE) && !is_link(path))
        return 0;
    return touch(w, path);
}

/* Events were lost: look for folders that appeared meanwhile. */
static void recover(struct molt_watch *w)
{
    for (size_t i = 0; i < w->roots.n; i++)
        add_tree(w, w->roots.v[i], false, 1, NULL);
}

/* The events in @buf; 1 if the kernel's queue overflowed. */
static int events(struct molt_watch *w, const char *buf, size_t len)
{
    int rc = 0, lost = 0;
    for (size_t at = 0; at < len && rc == 0;) {
        const struct inotify_event *e = (const void *)(buf + at);
        at += sizeof(*e) + e->len;
        if (e->mask & IN_Q_OVERFLOW)
            lost = 1;
        else
            rc = event(w, e);
    }
    return rc < 0 ? rc : lost;
}

int molt_watch_read(struct molt_watch *w, const char *const **ret_paths)
{
    char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    molt_args_reset(&w->touched);
    molt_strmap_fini(&w->seen, NULL);
    bool is_lost = false;
    for (;;) {
        ssize_t n = read(w->fd, buf, sizeof(buf));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return MOLT_EIO;
        if (n <= 0)
            break;
        int rc = events(w, buf, (size_t)n);
        if (rc < 0)
            return rc;
        is_lost = is_lost || rc > 0;
    }
    if (is_lost) {
        recover(w);
        return MOLT_ELIMIT;
    }
    *ret_paths = (const char *const *)w->touched.v;
    return (int)w->touched.n;
}
