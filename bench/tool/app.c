/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "build/build.h"
#include "control/agent/agent.h"
#include "control/agent/link.h"
#include "control/record.h"
#include "tool/bench.h"

#define ANSWER_MS 10000
#define STOP_MS 2000

static const char app_c[] = "#include <molt/molt.h>\n"
                            "\n"
                            "MOLT_SUPERVISOR(app, .child = {\n"
                            "    {.id = \"http\", .server = \"http_listener\"},\n"
                            "});\n";

void molt_bench_app_files(const char *root, unsigned port)
{
    char *src = molt_bench_text("%s/src", root);
    char *path = molt_bench_text("%s/app.c", src), *conf = molt_bench_text("%s/molt.conf", root);
    char *text = molt_bench_text("name = bench\nstart = app\nhttp.port = %u\n", port);
    molt_bench_mkdir(src);
    molt_bench_write(path, app_c);
    molt_bench_write(conf, text);
    free(src);
    free(path);
    free(conf);
    free(text);
}

/* ---- life ------------------------------------------------------------------------ */

static void on_unloaded(void *user, const char *module, unsigned number, uint64_t retained_ms)
{
    (void)module;
    (void)number;
    (void)retained_ms;
    ((struct molt_bench_app *)user)->unloaded++;
}

/* A benchmark whose server died has no result. */
static void on_down(void *user, const char *text, unsigned restart_ms)
{
    (void)user;
    (void)restart_ms;
    molt_bench_die("%s", text);
}

static void on_log(void *user, enum molt_level level, const char *text)
{
    (void)user;
    if (level >= MOLT_ERR)
        molt_bench_say("host: %s", text);
}

struct molt_bench_app *molt_bench_app_new(const char *root, bool is_dev)
{
    return molt_bench_app_new_with(root, is_dev, 0);
}

struct molt_bench_app *molt_bench_app_new_with(const char *root, bool is_dev, unsigned workers)
{
    struct molt_bench_app *app = calloc(1, sizeof(*app));
    if (!app)
        molt_bench_die("out of memory");
    app->root = molt_bench_text("%s", root);
    struct molt_build_options build = {.is_dev = is_dev};
    struct molt_error err = {0};
    if (molt_builder_new(root, &build, &app->builder, &err) < 0)
        molt_bench_die("%s", err.text);
    char *host = molt_bench_program("../src/molt-host", "MOLT_HOST");
    struct molt_agent_options options = {
        .root = root,
        .host = host,
        .builder = app->builder,
        .tuning = {.workers = workers},
        .events = {.on_log = on_log, .on_unloaded = on_unloaded, .on_down = on_down, .user = app}};
    if (molt_agent_new(&options, &app->agent, &err) < 0)
        molt_bench_die("%s", err.text);
    free(host);
    return app;
}

void molt_bench_app_stop(struct molt_bench_app *app)
{
    struct molt_error err = {0};
    if (molt_agent_stop(app->agent, STOP_MS, &err) < 0)
        molt_bench_say("%s", err.text);
}

void molt_bench_app_free(struct molt_bench_app *app)
{
    if (!app)
        return;
    molt_bench_app_stop(app);
    molt_agent_free(app->agent);
    molt_builder_free(app->builder);
    free(app->root);
    free(app);
}

/* ---- building and swapping --------------------------------------------------------- */

struct molt_set *molt_bench_app_build(struct molt_bench_app *app)
{
    struct molt_build_result *result = NULL;
    struct molt_error err = {0};
    struct molt_set *set;
    int rc = molt_builder_run(app->builder, 0, NULL, &result, &err);
    if (rc < 0)
        molt_bench_die("the build failed: %s", err.text);
    if (result->code < 0)
        molt_bench_die("the build failed:\n%s", result->output ? result->output : "");
    if (molt_set_from_build(molt_builder_project(app->builder), result, &set) < 0)
        molt_bench_die("out of memory");
    molt_build_result_free(result);
    return set;
}

void molt_bench_app_apply(struct molt_bench_app *app, const struct molt_set *set,
                          struct molt_bench_swap *ret)
{
    struct molt_set *copy;
    struct molt_outcome outcome;
    if (molt_set_copy(set, &copy) < 0)
        molt_bench_die("out of memory");
    uint64_t start = molt_clock_ns();
    if (molt_agent_apply(app->agent, copy, &outcome) < 0)
        molt_bench_die("%s", outcome.text);
    if (ret)
        *ret = (struct molt_bench_swap){.total_ns = molt_clock_ns() - start,
                                        .stage_ns = outcome.upgrade.stage_ns,
                                        .switch_ns = outcome.upgrade.switch_ns,
                                        .held_ns = outcome.upgrade.held_ns};
    molt_outcome_fini(&outcome);
}

void molt_bench_app_tick(struct molt_bench_app *app)
{
    molt_agent_tick(app->agent);
}

pid_t molt_bench_app_pid(const struct molt_bench_app *app)
{
    return molt_agent_host_pid(app->agent);
}

unsigned molt_bench_app_versions(struct molt_bench_app *app, const char *module,
                                 uint64_t *ret_bytes)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_version_record *list = NULL;
    struct molt_error err = {0};
    size_t n = 0;
    int rc = molt_link_request(molt_agent_link(app->agent), MOLT_FRAME_MODULES, NULL, -1, ANSWER_MS,
                               &answer, &err);
    if (rc < 0 || molt_record_get_versions(answer.data, answer.len, &list, &n) < 0)
        molt_bench_die("the host doesn't list its modules: %s", err.text);
    unsigned found = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (module && strcmp(list[i].module, module) != 0)
            continue;
        found++;
        bytes += list[i].bytes;
    }
    molt_record_free_versions(list, n);
    molt_buf_fini(&answer);
    if (ret_bytes)
        *ret_bytes = bytes;
    return found;
}

void molt_bench_app_stops(struct molt_bench_app *app, uint64_t *buckets)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_error err = {0};
    struct molt_stats_record stats;
    struct molt_link *link = molt_agent_link(app->agent);
    if (!link || molt_link_request(link, MOLT_FRAME_STATS, NULL, -1, 5000, &answer, &err) < 0 ||
        molt_record_get_stats(answer.data, answer.len, &stats) < 0)
        molt_bench_die("the host gives no statistics: %s", err.text);
    for (unsigned i = 0; i < MOLT_STOP_BUCKETS; i++)
        buckets[i] += stats.stopped_threads[i] + stats.stopped_processes[i];
    molt_buf_fini(&answer);
}
