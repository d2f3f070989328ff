/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt dev: build, run, and bring in each save. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "build/build.h"
#include "build/watch.h"
#include "cli/commands.h"
#include "cli/project_root.h"
#include "cli/report.h"
#include "cli/session.h"

#define SETTLE_MS 2 /* saves that come this close together are one change */
#define SETTLES_MAX 25
#define OUTDATED_MAX 5

struct dev {
    struct molt_out out;
    char *root;
    struct molt_builder *builder;
    struct molt_session *session;
    struct molt_watch *watch;
    int conf_fd; /* inotify of the project's own folder */
    size_t n_changed;
    char **changed;      /* saved since the last build */
    bool must_check_all; /* events were lost, or folders appeared */
    size_t n_extras;
    char **extras; /* modules that came by `molt load` */
};

/* ---- what was saved ----------------------------------------------------------------------- */

static void forget_changes(struct dev *dev)
{
    for (size_t i = 0; i < dev->n_changed; i++)
        free(dev->changed[i]);
    free(dev->changed);
    dev->changed = NULL;
    dev->n_changed = 0;
    dev->must_check_all = false;
}

static void add_change(struct dev *dev, const char *path)
{
    for (size_t i = 0; i < dev->n_changed; i++)
        if (strcmp(dev->changed[i], path) == 0)
            return;
    char **grown = realloc(dev->changed, (dev->n_changed + 1) * sizeof(*grown));
    char *copy = strdup(path);
    if (grown)
        dev->changed = grown;
    if (!grown || !copy) {
        free(copy);
        dev->must_check_all = true;
        return;
    }
    dev->changed[dev->n_changed++] = copy;
}

static void read_changes(struct dev *dev)
{
    const char *const *paths;
    int n = molt_watch_read(dev->watch, &paths);
    if (n < 0)
        dev->must_check_all = true;
    for (int i = 0; i < n; i++)
        add_change(dev, paths[i]);
}

/* Editors write several files, checkouts many: take what comes at once as one. */
static void settle(struct dev *dev)
{
    struct pollfd p = {.fd = molt_watch_fd(dev->watch), .events = POLLIN};
    read_changes(dev);
    for (int i = 0; i < SETTLES_MAX && poll(&p, 1, SETTLE_MS) > 0; i++)
        read_changes(dev);
}

/* ---- building ------------------------------------------------------------------------------- */

/* Modules that `molt load` brought stay, unless the project has them now. */
static int add_extras(struct dev *dev, struct molt_set *set)
{
    const struct molt_set *good = molt_agent_good_set(molt_session_agent(dev->session));
    int rc = 0;
    for (size_t i = 0; good && rc == 0 && i < dev->n_extras; i++) {
        const struct molt_set_module *m = molt_set_find(good, dev->extras[i]);
        if (m && !molt_set_find(set, dev->extras[i]))
            rc = molt_set_put(set, m->meta, m->image_path);
    }
    return rc;
}

static void show_warnings(struct dev *dev, const struct molt_build_result *built)
{
    struct molt_buf text = MOLT_BUF_INIT;
    molt_report_warnings(built, dev->root, &text);
    if (text.len && !text.is_failed)
        molt_out_line(&dev->out, MOLT_TONE_DIM, "warnings", "%s", text.data);
    molt_buf_fini(&text);
}

static void show_failure(struct dev *dev, const struct molt_build_result *built)
{
    struct molt_buf text = MOLT_BUF_INIT;
    molt_report_build_failure(built, dev->root, &text);
    molt_session_problem(dev->session, molt_report_build_kind(built->code),
                         text.is_failed ? "out of memory" : text.data);
    molt_buf_fini(&text);
}

static int apply_built(struct dev *dev, const struct molt_build_result *built, uint64_t start_ns)
{
    struct molt_set *set;
    int rc = molt_set_from_build(molt_builder_project(dev->builder), built, &set);
    if (rc == 0) {
        rc = add_extras(dev, set);
        if (rc < 0)
            molt_set_free(set);
    }
    if (rc < 0) {
        molt_session_problem(dev->session, "out of memory", molt_error_text(rc));
        return rc;
    }
    return molt_session_apply(dev->session, set, built, start_ns);
}

/* Something was saved while the build ran. A build may have read a file that
 * was being written, truncated or half there, and it is out of date anyway. */
static bool is_outdated(struct dev *dev)
{
    struct pollfd p = {.fd = molt_watch_fd(dev->watch), .events = POLLIN};
    if (poll(&p, 1, 0) > 0)
        settle(dev);
    return dev->n_changed || dev->must_check_all;
}

/* Build what was saved, and again as long as more is saved meanwhile, which is
 * given up after some rounds so that a stream of saves can't hold all back. */
static int run_builder(struct dev *dev, struct molt_build_result **ret, struct molt_error *err)
{
    int rc;
    *ret = NULL;
    for (int i = 0;; i++) {
        size_t n = dev->must_check_all ? 0 : dev->n_changed;
        rc = molt_builder_run(dev->builder, n, (const char *const *)dev->changed, ret, err);
        forget_changes(dev);
        if (i == OUTDATED_MAX || molt_session_is_stopping(dev->session) || !is_outdated(dev))
            return rc;
        molt_build_result_free(*ret);
        *ret = NULL;
    }
}

static void build(struct dev *dev, uint64_t start_ns)
{
    struct molt_build_result *built = NULL;
    struct molt_error err = {0};
    molt_out_progress(&dev->out, "building ...");
    int rc = run_builder(dev, &built, &err);
    molt_out_progress(&dev->out, "");
    if (molt_session_is_stopping(dev->session)) {
        molt_build_result_free(built);
        return;
    }
    if (rc < 0) {
        molt_session_problem(dev->session, "build failed",
                             *err.text ? err.text : molt_error_text(rc));
        return;
    }
    if (built->code < 0) {
        show_failure(dev, built);
    } else {
        show_warnings(dev, built);
        apply_built(dev, built, start_ns);
    }
    molt_build_result_free(built);
}

static void on_save(void *user)
{
    struct dev *dev = user;
    uint64_t start_ns = molt_clock_ns();
    settle(dev);
    if (dev->n_changed || dev->must_check_all)
        build(dev, start_ns);
}

/* ---- molt load ---------------------------------------------------------------------------------
 */

static int remember_extra(struct dev *dev, const char *name)
{
    for (size_t i = 0; i < dev->n_extras; i++)
        if (strcmp(dev->extras[i], name) == 0)
            return 0;
    char **grown = realloc(dev->extras, (dev->n_extras + 1) * sizeof(*grown));
    if (!grown)
        return MOLT_ENOMEM;
    dev->extras = grown;
    grown[dev->n_extras] = strdup(name);
    if (!grown[dev->n_extras])
        return MOLT_ENOMEM;
    dev->n_extras++;
    return 0;
}

/* src/x.c -> "x", malloc'd. */
static char *module_name(const char *file)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    size_t len = strlen(name);
    return len > 2 && strcmp(name + len - 2, ".c") == 0 ? strndup(name, len - 2) : NULL;
}

/* Into a copy of what runs. */
static int apply_file(struct dev *dev, const struct molt_build_result *built, const char *name,
                      uint64_t start_ns)
{
    const struct molt_set *good = molt_agent_good_set(molt_session_agent(dev->session));
    struct molt_set *set = NULL;
    if (!good)
        return MOLT_ECLOSED;
    int rc = molt_set_copy(good, &set);
    for (size_t i = 0; rc == 0 && i < built->n_modules; i++)
        if (strcmp(built->modules[i].module, name) == 0)
            rc = molt_set_put(set, built->modules[i].meta, built->modules[i].image_path);
    if (rc == 0)
        rc = remember_extra(dev, name);
    if (rc < 0) {
        molt_set_free(set);
        return rc;
    }
    return molt_session_apply(dev->session, set, built, start_ns);
}

static int load_built(struct dev *dev, const struct molt_build_result *built, const char *name,
                      uint64_t start_ns, char **ret_text, struct molt_error *err)
{
    if (built->code < 0) {
        struct molt_buf text = MOLT_BUF_INIT;
        molt_report_build_failure(built, dev->root, &text);
        molt_error_set(err, built->code, "%s", text.is_failed ? "out of memory" : text.data);
        molt_buf_fini(&text);
        return built->code;
    }
    int rc = apply_file(dev, built, name, start_ns);
    if (rc < 0)
        return molt_error_set(err, rc, "%s",
                              *molt_session_last_problem(dev->session)
                                  ? molt_session_last_problem(dev->session)
                                  : molt_error_text(rc));
    *ret_text = strdup(molt_session_last(dev->session));
    return 0;
}

static int load(void *user, const char *file, char **ret_text, struct molt_error *err)
{
    struct dev *dev = user;
    uint64_t start_ns = molt_clock_ns();
    char *name = module_name(file);
    if (!name)
        return molt_error_set(err, MOLT_EINVAL, "%s: a C file is needed (NAME.c)", file);
    struct molt_build_result *built = NULL;
    int rc = molt_builder_file(dev->builder, file, name, &built, err);
    if (rc == 0)
        rc = load_built(dev, built, name, start_ns, ret_text, err);
    molt_build_result_free(built);
    free(name);
    return rc;
}

/* ---- watching
 * ------------------------------------------------------------------------------------- */

/* molt.conf decides what a host is started with; src/ or include/ may appear. */
static void on_root_event(void *user)
{
    struct dev *dev = user;
    union {
        char bytes[4096];
        struct inotify_event align;
    } buf;
    bool is_conf = false, is_folder = false;
    ssize_t n;
    while ((n = read(dev->conf_fd, buf.bytes, sizeof(buf.bytes))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(buf.bytes + at);
            is_conf |= e->len && strcmp(e->name, "molt.conf") == 0;
            is_folder |= e->len && (strcmp(e->name, "src") == 0 || strcmp(e->name, "include") == 0);
            at += (ssize_t)(sizeof(*e) + e->len);
        }
    }
    if (is_conf)
        molt_out_line(&dev->out, MOLT_TONE_BAD, "config",
                      "molt.conf changed: restart `molt dev` to have it take effect");
    if (is_folder)
        molt_out_line(&dev->out, MOLT_TONE_BAD, "config",
                      "a source folder appeared: restart `molt dev` to have it watched");
}

static int watch_below(struct dev *dev, const char *name, struct molt_error *err)
{
    struct molt_buf path = MOLT_BUF_INIT;
    struct stat st;
    molt_buf_printf(&path, "%s/%s", dev->root, name);
    int rc = path.is_failed ? MOLT_ENOMEM : 0;
    if (rc == 0 && stat(path.data, &st) == 0)
        rc = molt_watch_add(dev->watch, path.data, err);
    molt_buf_fini(&path);
    return rc;
}

static int start_watching(struct dev *dev, struct molt_error *err)
{
    int rc = molt_watch_new(&dev->watch, err);
    if (rc == 0)
        rc = watch_below(dev, "src", err);
    if (rc == 0)
        rc = watch_below(dev, "include", err);
    if (rc < 0)
        return rc;
    dev->conf_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (dev->conf_fd < 0 ||
        inotify_add_watch(dev->conf_fd, dev->root,
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR) < 0)
        return molt_error_set(err, MOLT_EIO, "%s: %s", dev->root, strerror(errno));
    molt_session_add_source(dev->session,
                            &(struct molt_session_source){molt_watch_fd(dev->watch), on_save, dev});
    molt_session_add_source(dev->session,
                            &(struct molt_session_source){dev->conf_fd, on_root_event, dev});
    return 0;
}

/* ---- all of it
 * --------------------------------------------------------------------------------------- */

static void open_page(struct dev *dev)
{
    const struct molt_project *project = molt_builder_project(dev->builder);
    const char *page = molt_project_config(project, "dev.port");
    const char *http = molt_project_config(project, "http.port");
    unsigned long port =
        page ? strtoul(page, NULL, 10) : (http ? strtoul(http, NULL, 10) : 9000) + 1;
    if (port > 1 && port < 65536) /* dev.port = 0, or http.port = 0: no page */
        molt_session_open_page(dev->session, (unsigned)port);
}

static int open_dev(struct dev *dev, const struct molt_cli_args *args, struct molt_error *err)
{
    unsigned long workers, jobs;
    int rc = molt_cli_args_number(args, "workers", 0, 1024, 0, &workers, err);
    if (rc == 0)
        rc = molt_cli_args_number(args, "jobs", 0, 1024, 0, &jobs, err);
    if (rc == 0)
        rc = molt_project_root(&dev->root, err);
    if (rc < 0)
        return rc;
    struct molt_build_options build_options = {.is_dev = true,
                                               .jobs = (unsigned)jobs,
                                               .sanitizer = MOLT_DEFAULT_SANITIZER};
    rc = molt_builder_new(dev->root, &build_options, &dev->builder, err);
    if (rc < 0)
        return rc;
    struct molt_session_options options = {.root = dev->root,
                                           .mode = "dev",
                                           .app = molt_builder_project(dev->builder)->name,
                                           .builder = dev->builder,
                                           .out = &dev->out,
                                           .workers = (unsigned)workers,
                                           .load = load,
                                           .user = dev};
    rc = molt_session_new(&options, &dev->session, err);
    return rc < 0 ? rc : start_watching(dev, err);
}

static void close_dev(struct dev *dev)
{
    forget_changes(dev);
    for (size_t i = 0; i < dev->n_extras; i++)
        free(dev->extras[i]);
    free(dev->extras);
    molt_watch_free(dev->watch);
    if (dev->conf_fd >= 0)
        close(dev->conf_fd);
    molt_builder_free(dev->builder);
    free(dev->root);
}

static int run(const struct molt_cli_args *args)
{
    struct dev dev = {.conf_fd = -1};
    struct molt_error err = {0};
    molt_out_init(&dev.out, args);
    int rc = open_dev(&dev, args, &err), code;
    if (rc < 0) {
        code = molt_out_fail(&dev.out, rc, &err);
        molt_session_end(dev.session);
    } else {
        open_page(&dev);
        build(&dev, molt_clock_ns());
        molt_session_loop(dev.session);
        code = molt_session_end(dev.session);
    }
    close_dev(&dev);
    return code;
}

const struct molt_command molt_command_dev = {
    .name = "dev",
    .args = "",
    .help = "build and run the project; each save goes live",
    .more = "Watches src/ and include/. A save that doesn't compile, or that can't be proven\n"
            "safe, changes nothing and is shown, here and on http://127.0.0.1:PORT, where PORT\n"
            "is dev.port of molt.conf, or http.port + 1. Ctrl-C stops the app in order.",
    .options = {{"workers", "N", "threads that run processes; default: one per core"},
                {"jobs", "N", "compilers at a time; default: one per core"},
                {"json", NULL, "one JSON object a line"}},
    .run = run};
