/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* molt dev: build, run, and bring in each save. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "build/build.h"
#include "build/jobs.h"
#include "cli/commands.h"
#include "cli/conf_changes.h"
#include "cli/extras.h"
#include "cli/project_root.h"
#include "cli/report.h"
#include "cli/saves.h"
#include "cli/session.h"
#include "cli/tuning.h"

#define ROUNDS_MAX 3   /* until all that a build reads is watched */
#define OUTDATED_SAY 5 /* builds given up in a row, until that is told */

struct dev {
    struct molt_out out;
    char *root;
    struct molt_builder *builder;
    struct molt_interrupt interrupt; /* of the builder */
    struct molt_session *session;
    struct molt_saves *saves;
    unsigned n_outdated;       /* builds given up in a row */
    struct molt_extras extras; /* modules that came by `molt load` */
};

/* ---- building ------------------------------------------------------------------------------- */

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
        const struct molt_set *good = molt_agent_good_set(molt_session_agent(dev->session));
        rc = good ? molt_extras_put(&dev->extras, good, set) : 0;
        if (rc < 0)
            molt_set_free(set);
    }
    if (rc < 0) {
        molt_session_problem(dev->session, "out of memory", molt_error_text(rc));
        return rc;
    }
    return molt_session_apply(dev->session, set, built, start_ns);
}

/* Ends a build early: what it makes is not what was saved, or isn't wanted any
 * more. */
static bool is_interrupted(void *user)
{
    struct dev *dev = user;
    return molt_saves_is_outdated(dev->saves) || molt_session_is_stopping(dev->session);
}

/* A build that was overtaken by another save may have read some files before
 * and some after it: nothing of it is used. */
static void give_up(struct dev *dev)
{
    molt_saves_put_back(dev->saves);
    if (++dev->n_outdated == OUTDATED_SAY)
        molt_out_line(&dev->out, MOLT_TONE_DIM, "waiting",
                      "files are saved faster than they are built: waiting for a pause");
}

/* Which settings of molt.conf differ from those that the app runs with. */
static void show_conf(struct dev *dev, const struct molt_set *before)
{
    const struct molt_project *now = molt_builder_project(dev->builder);
    struct molt_conf_changes changes;
    molt_conf_changes_find(before, now->n_config, now->config_keys, now->config_values, &changes);
    molt_conf_changes_show(&changes, "dev", &dev->out);
    molt_conf_changes_fini(&changes);
}

static int show_result(struct dev *dev, const struct molt_build_result *built)
{
    if (built->code < 0) {
        show_failure(dev, built);
        return built->code;
    }
    show_warnings(dev, built);
    if (molt_saves_has_conf(dev->saves) && molt_agent_good_set(molt_session_agent(dev->session)))
        show_conf(dev, molt_agent_good_set(molt_session_agent(dev->session)));
    return apply_built(dev, built, molt_saves_since(dev->saves));
}

/* What was read before it was watched may have been saved since: look again.
 * Mostly nothing was, and the result and its warnings stay. */
static int build_unseen(struct dev *dev, struct molt_build_result **result, struct molt_error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < ROUNDS_MAX && molt_saves_follow(dev->saves); i++) {
        struct molt_build_result *again = NULL;
        if ((*result)->code < 0)
            break;
        rc = molt_builder_run(dev->builder, 0, NULL, &again, err);
        if (rc == 0 && (again->code < 0 || again->n_compiled || again->n_linked)) {
            molt_build_result_free(*result);
            *result = again;
        } else {
            molt_build_result_free(again);
        }
    }
    return rc;
}

/* Returns what the builder does; MOLT_ESTALE if more was saved meanwhile. */
static int run_builder(struct dev *dev, struct molt_build_result **ret, struct molt_error *err)
{
    size_t n;
    const char *const *changed;
    molt_saves_begin(dev->saves, &n, &changed);
    molt_out_progress(&dev->out, "building ...");
    int rc = molt_builder_run(dev->builder, n, changed, ret, err);
    if (rc == 0)
        rc = build_unseen(dev, ret, err);
    molt_out_progress(&dev->out, "");
    return molt_saves_is_outdated(dev->saves) ? MOLT_ESTALE : rc;
}

static void build(struct dev *dev)
{
    struct molt_build_result *built = NULL;
    struct molt_error err = {0};
    int rc = run_builder(dev, &built, &err);
    if (molt_session_is_stopping(dev->session)) {
        molt_build_result_free(built);
        return;
    }
    if (rc == MOLT_ESTALE) {
        molt_build_result_free(built);
        give_up(dev);
        return;
    }
    dev->n_outdated = 0;
    if (rc < 0)
        molt_session_problem(dev->session, "build failed",
                             *err.text ? err.text : molt_error_text(rc));
    else
        show_result(dev, built);
    molt_saves_end(dev->saves, rc == 0 && built->code == 0);
    molt_build_result_free(built);
}

static void on_save(void *user)
{
    struct dev *dev = user;
    if (molt_saves_are_due(dev->saves))
        build(dev);
}

/* ---- molt load ---------------------------------------------------------------------------------
 */

/* src/x.c -> "x", malloc'd. */
static char *module_name(const char *file)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    size_t len = strlen(name);
    return len > 2 && strcmp(name + len - 2, ".c") == 0 ? strndup(name, len - 2) : NULL;
}

/* Into a copy of what runs. */
static int apply_file(struct dev *dev, const struct molt_build_result *built, const char *name,
                      uint64_t start_ns, struct molt_error *err)
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
        rc = molt_extras_add(&dev->extras, name, err);
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
    int rc = apply_file(dev, built, name, start_ns, err);
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
    dev->interrupt.fds[0] = -1; /* a save is built afterwards, and overtakes nothing here */
    int rc = molt_builder_file(dev->builder, file, name, &built, err);
    dev->interrupt.fds[0] = molt_saves_fd(dev->saves);
    if (rc == 0)
        rc = load_built(dev, built, name, start_ns, ret_text, err);
    molt_build_result_free(built);
    free(name);
    return rc;
}

/* ---- molt plan ----------------------------------------------------------------------- */

/* As apply_built() would have it. */
static int built_set(struct dev *dev, const struct molt_build_result *built, struct molt_set **ret,
                     struct molt_error *err)
{
    struct molt_set *set;
    const struct molt_set *good = molt_agent_good_set(molt_session_agent(dev->session));
    if (built->code < 0) {
        struct molt_buf text = MOLT_BUF_INIT;
        molt_report_build_failure(built, dev->root, &text);
        molt_error_set(err, built->code, "%s", text.is_failed ? "out of memory" : text.data);
        molt_buf_fini(&text);
        return built->code;
    }
    int rc = molt_set_from_build(molt_builder_project(dev->builder), built, &set);
    if (rc < 0)
        return rc;
    rc = good ? molt_extras_put(&dev->extras, good, set) : 0;
    if (rc < 0)
        molt_set_free(set);
    else
        *ret = set;
    return rc;
}

/* The sources as they are now. */
static int make_set(void *user, struct molt_set **ret, struct molt_error *err)
{
    struct dev *dev = user;
    struct molt_build_result *built = NULL;
    dev->interrupt.fds[0] = -1; /* a save is built afterwards, and overtakes nothing here */
    int rc = molt_builder_run(dev->builder, 0, NULL, &built, err);
    dev->interrupt.fds[0] = molt_saves_fd(dev->saves);
    if (rc == 0)
        rc = built_set(dev, built, ret, err);
    molt_build_result_free(built);
    return rc;
}

/* ---- watching ------------------------------------------------------------------- */

static int start_watching(struct dev *dev, struct molt_error *err)
{
    int rc = molt_saves_new(dev->root, dev->builder, &dev->saves, err);
    if (rc < 0)
        return rc;
    int fds[] = {molt_saves_fd(dev->saves), molt_saves_timer_fd(dev->saves)};
    for (size_t i = 0; i < 2; i++)
        molt_session_add_source(dev->session, &(struct molt_session_source){fds[i], on_save, dev});
    dev->interrupt = (struct molt_interrupt){.fds = {fds[0], molt_session_signal_fd(dev->session)},
                                             .is_due = is_interrupted,
                                             .user = dev};
    molt_saves_all(dev->saves);
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

/* Go on with a host that runs, whether or not the sources compile now. */
static int take_over(struct dev *dev, struct molt_error *err)
{
    struct molt_set *set;
    int rc = molt_extras_init(&dev->extras, dev->root);
    if (rc == 0)
        rc = molt_set_from_build(molt_builder_project(dev->builder), &(struct molt_build_result){0},
                                 &set);
    if (rc < 0)
        return molt_error_set(err, rc, "out of memory");
    rc = molt_session_adopt(dev->session, set, err);
    const struct molt_set *good = molt_agent_good_set(molt_session_agent(dev->session));
    return rc == 0 && good ? molt_extras_learn(&dev->extras, good) : rc;
}

static int open_dev(struct dev *dev, const struct molt_cli_args *args, struct molt_error *err)
{
    unsigned long jobs;
    struct molt_tuning tuning;
    int rc = molt_tuning_read(args, &tuning, err);
    if (rc == 0)
        rc = molt_cli_args_number(args, "jobs", 0, 1024, 0, &jobs, err);
    if (rc == 0)
        rc = molt_project_root(&dev->root, err);
    if (rc < 0)
        return rc;
    struct molt_build_options build_options = {.is_dev = true,
                                               .jobs = (unsigned)jobs,
                                               .interrupt = &dev->interrupt,
                                               .sanitizer = MOLT_DEFAULT_SANITIZER};
    rc = molt_builder_new(dev->root, &build_options, &dev->builder, err);
    if (rc < 0)
        return rc;
    struct molt_session_options options = {.root = dev->root,
                                           .mode = "dev",
                                           .app = molt_builder_project(dev->builder)->name,
                                           .builder = dev->builder,
                                           .out = &dev->out,
                                           .tuning = tuning,
                                           .load = load,
                                           .make_set = make_set,
                                           .user = dev};
    rc = molt_session_new(&options, &dev->session, err);
    if (rc == 0)
        rc = start_watching(dev, err);
    return rc < 0 ? rc : take_over(dev, err);
}

static void close_dev(struct dev *dev)
{
    molt_extras_fini(&dev->extras);
    molt_saves_free(dev->saves);
    molt_builder_free(dev->builder);
    free(dev->root);
}

static int run(const struct molt_cli_args *args)
{
    struct dev dev = {.interrupt = {.fds = {-1, -1}}};
    struct molt_error err = {0};
    molt_out_init(&dev.out, args);
    int rc = open_dev(&dev, args, &err), code;
    if (rc < 0) {
        code = molt_out_fail(&dev.out, rc, &err);
        molt_session_end(dev.session);
    } else {
        open_page(&dev);
        on_save(&dev);
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
    .options = {MOLT_TUNING_OPTIONS,
                {"jobs", "N", "compilers at a time; default: one per core"},
                {"json", NULL, "one JSON object a line"}},
    .run = run};
