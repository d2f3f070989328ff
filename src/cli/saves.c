/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/saves.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "build/args.h"
#include "build/build.h"
#include "build/watch.h"
#include "cli/checkout.h"

#define CHECKOUT_MAX_MS 10000 /* a lock that is older was left behind by a crash */
#define CHECKOUT_LOOK_MS 20   /* there is no event for the end of all of them */

struct molt_saves {
    char *root, *conf, *src, *include;
    struct molt_builder *builder;
    struct molt_watch *watch;
    int timer_fd;
    struct molt_args changed; /* to be built */
    bool is_all;              /* everything is to be built */
    bool has_conf;
    uint64_t since_ns;     /* 0: nothing is to be built */
    uint64_t n_seen, mark; /* changes noticed; as of the begin of the last build */
    size_t n_new;          /* folders that are watched since molt_saves_follow() */
    bool is_known;         /* the last build succeeded: its inputs are all that matters */
};

/* ---- what matters ------------------------------------------------------------ */

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static bool is_c(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".c") == 0 || strcmp(dot, ".h") == 0);
}

/* After a failure any file may be the one that was missing. */
static bool matters(void *user, const char *path)
{
    const struct molt_saves *saves = user;
    bool is_inside = is_below(path, saves->src) || is_below(path, saves->include);
    if (is_inside && (is_c(path) || !saves->is_known))
        return true;
    return strcmp(path, saves->conf) == 0 || strcmp(path, saves->src) == 0 ||
           strcmp(path, saves->include) == 0 || molt_builder_reads(saves->builder, path);
}

/* ---- watching ------------------------------------------------------------------ */

static int watch_tree(struct molt_saves *saves, const char *folder, struct molt_error *err)
{
    struct stat st;
    return stat(folder, &st) == 0 ? molt_watch_add(saves->watch, folder, err) : 0;
}

static void watch_outside(void *user, const char *folder)
{
    struct molt_saves *saves = user;
    bool is_inside = strcmp(folder, saves->src) == 0 || strcmp(folder, saves->include) == 0 ||
                     is_below(folder, saves->src) || is_below(folder, saves->include);
    if (!is_inside)
        saves->n_new += molt_watch_add_files(saves->watch, folder, NULL) > 0;
}

static char *join(const char *folder, const char *name)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_printf(&buf, "%s/%s", folder, name);
    char *path = molt_buf_take(&buf);
    molt_buf_fini(&buf);
    return path;
}

static int open_all(struct molt_saves *saves, struct molt_error *err)
{
    if (!saves->root || !saves->conf || !saves->src || !saves->include)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    saves->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (saves->timer_fd < 0)
        return molt_error_set(err, MOLT_EIO, "timerfd: %s", strerror(errno));
    int rc = molt_watch_new(&saves->watch, err);
    if (rc < 0)
        return rc;
    molt_watch_filter(saves->watch, matters, saves);
    rc = watch_tree(saves, saves->src, err);
    if (rc == 0)
        rc = watch_tree(saves, saves->include, err);
    if (rc == 0)
        rc = molt_watch_add_files(saves->watch, saves->root, err);
    return rc < 0 ? rc : 0;
}

int molt_saves_new(const char *root, struct molt_builder *builder, struct molt_saves **ret,
                   struct molt_error *err)
{
    struct molt_saves *saves = calloc(1, sizeof(*saves));
    if (!saves)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    saves->timer_fd = -1;
    saves->builder = builder;
    saves->root = strdup(root);
    saves->conf = join(root, "molt.conf");
    saves->src = join(root, "src");
    saves->include = join(root, "include");
    int rc = open_all(saves, err);
    if (rc < 0) {
        molt_saves_free(saves);
        return rc;
    }
    *ret = saves;
    return 0;
}

void molt_saves_free(struct molt_saves *saves)
{
    if (!saves)
        return;
    molt_watch_free(saves->watch);
    if (saves->timer_fd >= 0)
        close(saves->timer_fd);
    molt_args_fini(&saves->changed);
    free(saves->root);
    free(saves->conf);
    free(saves->src);
    free(saves->include);
    free(saves);
}

int molt_saves_fd(const struct molt_saves *saves)
{
    return molt_watch_fd(saves->watch);
}

int molt_saves_timer_fd(const struct molt_saves *saves)
{
    return saves->timer_fd;
}

/* ---- events --------------------------------------------------------------------- */

static void notice(struct molt_saves *saves)
{
    saves->n_seen++;
    if (!saves->since_ns)
        saves->since_ns = molt_clock_ns();
}

void molt_saves_all(struct molt_saves *saves)
{
    notice(saves);
    saves->is_all = true;
}

static void add(struct molt_saves *saves, const char *path)
{
    notice(saves);
    if (strcmp(path, saves->conf) == 0)
        saves->has_conf = saves->is_all = true;
    if (strcmp(path, saves->src) == 0 || strcmp(path, saves->include) == 0) {
        watch_tree(saves, path, NULL);
        saves->is_all = true;
    }
    if (!molt_args_has(&saves->changed, path))
        molt_args_add(&saves->changed, path);
}

static void take_events(struct molt_saves *saves)
{
    const char *const *paths;
    int n = molt_watch_read(saves->watch, &paths);
    if (n < 0)
        molt_saves_all(saves);
    for (int i = 0; i < n; i++)
        add(saves, paths[i]);
}

static void set_timer(struct molt_saves *saves, unsigned ms)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}};
    timerfd_settime(saves->timer_fd, 0, &when, NULL);
}

/* 0: everything that was touched is whole. */
static unsigned wait_ms(struct molt_saves *saves)
{
    unsigned ms = molt_watch_unsettled(saves->watch);
    bool is_late =
        molt_clock_ns() - saves->since_ns > (uint64_t)CHECKOUT_MAX_MS * UINT64_C(1000000);
    if (ms || is_late || !molt_checkout_is_running(saves->root))
        return ms;
    return CHECKOUT_LOOK_MS;
}

bool molt_saves_are_due(struct molt_saves *saves)
{
    uint64_t n;
    (void)!read(saves->timer_fd, &n, sizeof(n));
    take_events(saves);
    if (!saves->since_ns)
        return false;
    unsigned ms = wait_ms(saves);
    if (ms)
        set_timer(saves, ms);
    return ms == 0;
}

/* ---- builds ----------------------------------------------------------------------- */

void molt_saves_begin(struct molt_saves *saves, size_t *ret_n, const char *const **ret_changed)
{
    bool is_all = saves->is_all || saves->changed.is_failed;
    saves->mark = saves->n_seen;
    *ret_n = is_all ? 0 : saves->changed.n;
    *ret_changed = (const char *const *)saves->changed.v;
}

bool molt_saves_is_outdated(struct molt_saves *saves)
{
    take_events(saves);
    return saves->n_seen != saves->mark || molt_watch_is_writing(saves->watch);
}

void molt_saves_end(struct molt_saves *saves, bool is_good)
{
    molt_args_fini(&saves->changed);
    saves->changed = MOLT_ARGS_INIT;
    saves->is_all = saves->has_conf = false;
    saves->since_ns = 0;
    saves->is_known = is_good;
}

bool molt_saves_follow(struct molt_saves *saves)
{
    saves->n_new = 0; /* a folder that can't be watched isn't new, and no failure */
    molt_builder_each_folder(saves->builder, watch_outside, saves);
    return saves->n_new;
}

void molt_saves_put_back(struct molt_saves *saves)
{
    notice(saves);
    set_timer(saves, 1);
}

uint64_t molt_saves_since(const struct molt_saves *saves)
{
    return saves->since_ns;
}

bool molt_saves_has_conf(const struct molt_saves *saves)
{
    return saves->has_conf;
}
