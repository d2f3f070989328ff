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

#include "base/clock.h"
#include "build/args.h"
#include "build/strmap.h"
#include "build/unsettled.h"
#include "port/limits.h"

/* IN_CREATE is for folders, for links, which nobody closes after writing, and
 * to know, as by IN_MODIFY, that a file isn't whole. IN_ATTRIB comes when a
 * file gets or loses another name. */
#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_MODIFY |            \
     IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK)
#define FILE_EVENTS (IN_CLOSE_WRITE | IN_MODIFY)
#define DEPTH_MAX 32

enum kind {
    TREE,  /* a folder, with all below it */
    FILES, /* a folder, its files only */
    LINKS, /* a folder, only as the home of files that links lead to */
    INODE, /* a file with several names; path is the one that it has here */
};

struct folder {
    int wd;
    enum kind kind;
    char *path;
};

/* A symbolic link to a file, and where its text is. */
struct alias {
    char *path, *target;
};

struct molt_watch {
    int fd;
    size_t n, cap;
    struct folder *folders;
    size_t n_aliases;
    struct alias *aliases;
    struct molt_unsettled unsettled;
    bool (*filter)(void *user, const char *path);
    void *user;
    uint32_t cookie; /* of the last IN_MOVED_FROM, and its path */
    char *moved;
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
    for (size_t i = 0; i < w->n_aliases; i++) {
        free(w->aliases[i].path);
        free(w->aliases[i].target);
    }
    free(w->aliases);
    free(w->moved);
    molt_unsettled_fini(&w->unsettled);
    molt_args_fini(&w->roots);
    molt_args_fini(&w->touched);
    molt_strmap_fini(&w->seen, NULL);
    free(w);
}

void molt_watch_filter(struct molt_watch *w, bool (*filter)(void *user, const char *path),
                       void *user)
{
    w->filter = filter;
    w->user = user;
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
        if (w->folders[i].kind == FILES || w->folders[i].kind == LINKS)
            continue;
        if (strncmp(p, path, len) != 0 || (p[len] && p[len] != '/'))
            continue;
        inotify_rm_watch(w->fd, w->folders[i].wd);
        forget(w, &w->folders[i]);
    }
}

static int remember(struct molt_watch *w, int wd, enum kind kind, const char *path)
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
    w->folders[w->n++] = (struct folder){wd, kind, copy};
    return 0;
}

static bool is_wanted(struct molt_watch *w, const char *path)
{
    return !w->filter || w->filter(w->user, path);
}

static int touch(struct molt_watch *w, const char *path)
{
    if (molt_strmap_get(&w->seen, path))
        return 0;
    molt_args_add(&w->touched, path);
    return w->touched.is_failed ? MOLT_ENOMEM : molt_strmap_put(&w->seen, path, w);
}

/* ---- links --------------------------------------------------------------------- */

static int out_of_watches(const char *path, struct molt_error *err)
{
    return molt_error_set(err, MOLT_ELIMIT,
                          "can't watch %s: the limit of watches is reached; raise "
                          "fs.inotify.max_user_watches with sysctl",
                          path);
}

/* Watch @folder, which is no part of a tree, as @kind. 1: it is new. */
static int add_single(struct molt_watch *w, const char *folder, enum kind kind,
                      struct molt_error *err)
{
    int wd = inotify_add_watch(w->fd, folder, EVENTS);
    if (wd < 0)
        return errno == ENOSPC ? out_of_watches(folder, err) : 0;
    struct folder *known = find(w, wd);
    if (known && known->kind == LINKS && kind == FILES) {
        known->kind = kind;
        return 1;
    }
    int rc = known ? 0 : remember(w, wd, kind, folder);
    return rc < 0 ? molt_error_set(err, rc, "out of memory") : !known;
}

static void forget_alias(struct molt_watch *w, const char *path)
{
    for (size_t i = w->n_aliases; i-- > 0;) {
        if (strcmp(w->aliases[i].path, path) != 0)
            continue;
        free(w->aliases[i].path);
        free(w->aliases[i].target);
        w->aliases[i] = w->aliases[--w->n_aliases];
    }
}

static void forget_inode(struct molt_watch *w, const char *path)
{
    for (size_t i = w->n; i-- > 0;) {
        if (w->folders[i].kind != INODE || strcmp(w->folders[i].path, path) != 0)
            continue;
        inotify_rm_watch(w->fd, w->folders[i].wd);
        forget(w, &w->folders[i]);
    }
}

static int add_alias(struct molt_watch *w, const char *path)
{
    char target[PATH_MAX];
    if (!realpath(path, target))
        return 0; /* it leads nowhere, yet */
    struct alias *grown = realloc(w->aliases, (w->n_aliases + 1) * sizeof(*grown));
    if (!grown)
        return MOLT_ENOMEM;
    w->aliases = grown;
    struct alias alias = {strdup(path), strdup(target)};
    if (!alias.path || !alias.target) {
        free(alias.path);
        free(alias.target);
        return MOLT_ENOMEM;
    }
    grown[w->n_aliases++] = alias;
    char *slash = strrchr(target, '/');
    *(slash == target ? slash + 1 : slash) = 0;
    int rc = add_single(w, target, LINKS, NULL);
    return rc < 0 ? rc : 0;
}

/* The text of @path may be saved under another name, too. */
static int follow_links(struct molt_watch *w, const char *path)
{
    struct stat st;
    forget_alias(w, path);
    forget_inode(w, path);
    if (lstat(path, &st) < 0)
        return 0;
    if (S_ISLNK(st.st_mode))
        return add_alias(w, path);
    if (!S_ISREG(st.st_mode) || st.st_nlink < 2)
        return 0;
    int wd = inotify_add_watch(w->fd, path, FILE_EVENTS);
    return wd < 0 || find(w, wd) ? 0 : remember(w, wd, INODE, path);
}

/* ---- trees --------------------------------------------------------------------- */

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
        else
            rc = follow_links(w, child);
        if (rc == 0 && reports && !S_ISDIR(st.st_mode) && is_wanted(w, child))
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
        return out_of_watches(path, err);
    if (wd < 0 && depth == 0)
        return molt_error_set(err, errno == ENOENT ? MOLT_ENOENT : MOLT_EIO, "can't watch %s: %s",
                              path, strerror(errno));
    if (wd < 0)
        return 0;
    struct folder *known = find(w, wd);
    if (known && (known->kind == FILES || known->kind == LINKS)) {
        forget(w, known);
        known = NULL;
    }
    if (known && strcmp(known->path, path) != 0)
        return 0; /* a link to a folder that is watched already */
    int rc = known ? 0 : remember(w, wd, TREE, path);
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

int molt_watch_add_files(struct molt_watch *w, const char *folder, struct molt_error *err)
{
    return add_single(w, folder, FILES, err);
}

/* ---- events ------------------------------------------------------------------ */

static bool is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

static int folder_event(struct molt_watch *w, const char *path, uint32_t mask)
{
    molt_unsettled_done(&w->unsettled, path, molt_clock_ms());
    if (mask & (IN_CREATE | IN_MOVED_TO))
        return add_tree(w, path, true, 1, NULL);
    if (mask & IN_MOVED_FROM)
        forget_below(w, path);
    return mask & (IN_MOVED_FROM | IN_DELETE) ? touch(w, path) : 0;
}

static const char *extension(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot : "";
}

/* A source that was given another name, and not moved aside as a backup, isn't
 * coming back. */
static void note_move(struct molt_watch *w, const struct inotify_event *e, const char *path)
{
    if (e->mask & IN_MOVED_FROM) {
        free(w->moved);
        w->moved = strdup(path);
        w->cookie = e->cookie;
    } else if (w->moved && w->cookie == e->cookie &&
               strcmp(extension(w->moved), extension(path)) == 0) {
        molt_unsettled_done(&w->unsettled, w->moved, molt_clock_ms());
    }
}

static bool is_alias(const struct molt_watch *w, const char *path)
{
    for (size_t i = 0; i < w->n_aliases; i++)
        if (w->aliases[i].path == path)
            return true;
    return false;
}

/* What happened to the file @path, which may be the one of an alias. */
static int file_event(struct molt_watch *w, const char *path, uint32_t mask)
{
    uint64_t now_ms = molt_clock_ms();
    bool may_be_linked = mask & (IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB);
    int rc = may_be_linked && !is_alias(w, path) ? follow_links(w, path) : 0;
    if (rc == 0 && (mask & IN_MODIFY || (mask & IN_CREATE && !is_link(path))))
        return molt_unsettled_write(&w->unsettled, path, now_ms);
    if (rc < 0 || !(mask & ~(uint32_t)IN_ATTRIB))
        return rc;
    if (mask & (IN_DELETE | IN_MOVED_FROM)) {
        rc = molt_unsettled_gone(&w->unsettled, path, now_ms);
        forget_inode(w, path);
    } else {
        molt_unsettled_done(&w->unsettled, path, now_ms);
    }
    return rc < 0 ? rc : touch(w, path);
}

/* What an event of the text is for a link that leads to it: the link stays. */
static uint32_t through_link(uint32_t mask)
{
    if (mask & IN_CREATE)
        return IN_MODIFY;
    return mask & IN_MOVED_TO ? IN_CLOSE_WRITE : mask & ~(uint32_t)IN_ATTRIB;
}

/* @path may be where links lead to. */
static int alias_events(struct molt_watch *w, const char *path, uint32_t mask)
{
    int rc = 0;
    mask = through_link(mask);
    for (size_t i = 0; rc == 0 && mask && i < w->n_aliases; i++)
        if (strcmp(w->aliases[i].target, path) == 0 && is_wanted(w, w->aliases[i].path))
            rc = file_event(w, w->aliases[i].path, mask);
    return rc;
}

/* The path that @e is about; false if nobody wants to know. */
static bool path_of(const struct folder *f, const struct inotify_event *e, char path[PATH_MAX])
{
    int n = f->kind == INODE ? snprintf(path, PATH_MAX, "%s", f->path)
                             : snprintf(path, PATH_MAX, "%s/%s", f->path, e->len ? e->name : "");
    return n > 0 && n < PATH_MAX && (f->kind == INODE || (e->len && !is_noise(e->name)));
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
    enum kind kind = f->kind;
    if (!path_of(f, e, path))
        return 0;
    if (e->mask & IN_ISDIR && kind == TREE)
        return folder_event(w, path, e->mask);
    if (e->mask & IN_ISDIR)
        return e->mask & (IN_CREATE | IN_MOVED_TO) && is_wanted(w, path) ? touch(w, path) : 0;
    if (e->mask & (IN_MOVED_FROM | IN_MOVED_TO))
        note_move(w, e, path);
    int rc = kind != LINKS && is_wanted(w, path) ? file_event(w, path, e->mask) : 0;
    return rc < 0 || kind == INODE ? rc : alias_events(w, path, e->mask);
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

unsigned molt_watch_unsettled(struct molt_watch *w)
{
    return molt_unsettled_wait(&w->unsettled, molt_clock_ms());
}

bool molt_watch_is_writing(const struct molt_watch *w)
{
    return molt_unsettled_is_writing(&w->unsettled);
}
