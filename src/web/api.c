/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "web/api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "control/agent/agent.h"
#include "control/agent/link.h"
#include "web/journal.h"
#include "web/json.h"
#include "web/plan_json.h"

#define ANSWER_MS 30000
#define STOP_MAX_MS 600000

typedef int serve_fn(const struct molt_api *api, json_t *body, json_t **ret,
                     struct molt_error *err);

/* ---- what was asked --------------------------------------------------------------- */

/* Members that are given have to be of the right type; others are refused, so
 * that a misspelt one isn't silently nothing. */
static int unpack(json_t *body, struct molt_error *err, const char *fmt, ...)
{
    va_list ap;
    json_error_t why;
    va_start(ap, fmt);
    int rc = json_vunpack_ex(body, &why, JSON_STRICT, fmt, ap);
    va_end(ap);
    return rc < 0 ? molt_error_set(err, MOLT_EINVAL, "request: %s", why.text) : 0;
}

/* ---- asking the host --------------------------------------------------------- */

static int ask(const struct molt_api *api, uint32_t type, const struct molt_buf *payload,
               struct molt_buf *ret, struct molt_error *err)
{
    struct molt_link *link = molt_agent_link(api->agent);
    if (!link)
        return molt_error_set(err, MOLT_ECLOSED, "no host runs at the moment");
    return molt_link_request(link, type, payload, -1, ANSWER_MS, ret, err);
}

/* Code @rc of decoding, and a document: NULL is out of memory. */
static int finish(int rc, json_t *doc, json_t **ret, struct molt_error *err)
{
    if (rc < 0)
        return molt_error_set(err, rc, "the host's answer does not decode");
    if (!doc)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    *ret = doc;
    return 0;
}

static int serve_modules(const struct molt_api *api, json_t *body, json_t **ret,
                         struct molt_error *err)
{
    (void)body;
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_version_record *list = NULL;
    size_t n = 0;
    int rc = ask(api, MOLT_FRAME_MODULES, NULL, &answer, err);
    if (rc == 0) {
        rc = molt_record_get_versions(answer.data, answer.len, &list, &n);
        rc = finish(rc, rc == 0 ? molt_json_modules(list, n) : NULL, ret, err);
    }
    molt_record_free_versions(list, n);
    molt_buf_fini(&answer);
    return rc;
}

static int serve_worlds(const struct molt_api *api, json_t *body, json_t **ret,
                        struct molt_error *err)
{
    (void)body;
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_world_record *list = NULL;
    size_t n = 0;
    int rc = ask(api, MOLT_FRAME_WORLDS, NULL, &answer, err);
    if (rc == 0) {
        rc = molt_record_get_worlds(answer.data, answer.len, &list, &n);
        rc = finish(rc, rc == 0 ? molt_json_worlds(list, n) : NULL, ret, err);
    }
    molt_record_free_worlds(list, n);
    molt_buf_fini(&answer);
    return rc;
}

static int serve_ps(const struct molt_api *api, json_t *body, json_t **ret, struct molt_error *err)
{
    (void)body;
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_process_record *list = NULL;
    size_t n = 0;
    int rc = ask(api, MOLT_FRAME_PROCESSES, NULL, &answer, err);
    if (rc == 0) {
        rc = molt_record_get_processes(answer.data, answer.len, &list, &n);
        rc = finish(rc, rc == 0 ? molt_json_processes(list, n) : NULL, ret, err);
    }
    molt_record_free_processes(list, n);
    molt_buf_fini(&answer);
    return rc;
}

static int serve_tree(const struct molt_api *api, json_t *body, json_t **ret,
                      struct molt_error *err)
{
    (void)body;
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_child_record *list = NULL;
    size_t n = 0;
    int rc = ask(api, MOLT_FRAME_CHILDREN, NULL, &answer, err);
    if (rc == 0) {
        rc = molt_record_get_children(answer.data, answer.len, &list, &n);
        rc = finish(rc, rc == 0 ? molt_json_tree(list, n) : NULL, ret, err);
    }
    molt_record_free_children(list, n);
    molt_buf_fini(&answer);
    return rc;
}

/* ---- status -------------------------------------------------------------------- */

bool molt_api_stats(const struct molt_api *api, struct molt_stats_record *ret)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    bool is_there = ask(api, MOLT_FRAME_STATS, NULL, &answer, NULL) == 0 &&
                    molt_record_get_stats(answer.data, answer.len, ret) == 0;
    molt_buf_fini(&answer);
    return is_there;
}

/* null when no host runs: then the rest of the status says why. */
static json_t *get_stats(const struct molt_api *api)
{
    struct molt_stats_record stats;
    json_t *doc = molt_api_stats(api, &stats) ? molt_json_stats(&stats) : NULL;
    return doc ? doc : json_null();
}

const char *molt_api_state(const struct molt_api *api)
{
    switch (molt_agent_state(api->agent)) {
    case MOLT_AGENT_LIVE:
        return "live";
    case MOLT_AGENT_DOWN:
        return "down";
    case MOLT_AGENT_DONE:
        return "done";
    case MOLT_AGENT_IDLE:
        break;
    }
    return "starting";
}

static json_t *problem(const struct molt_web_view *view)
{
    if (!*view->problem)
        return json_null();
    return json_pack("{s:o, s:o}", "kind", molt_json_text(view->problem_kind), "text",
                     molt_json_text(view->problem));
}

static int serve_status(const struct molt_api *api, json_t *body, json_t **ret,
                        struct molt_error *err)
{
    (void)body;
    struct molt_web_view view = {"", "", "", "", "", "", 0};
    api->actions.view(api->actions.user, &view);
    json_t *doc =
        json_pack("{s:o, s:s, s:s, s:o, s:o, s:i, s:i, s:i, s:i, s:o, s:o, s:o}", "app",
                  molt_json_text(view.app), "mode", view.mode, "state", molt_api_state(api), "url",
                  molt_json_text(view.url), "root", molt_json_text(molt_agent_root(api->agent)),
                  "agent_pid", (int)getpid(), "host_pid", (int)molt_agent_host_pid(api->agent),
                  "host_restarts", (int)molt_agent_restarts(api->agent), "upgrades",
                  (int)view.n_upgrades, "last", molt_json_text(view.last), "problem",
                  problem(&view), "stats", get_stats(api));
    return finish(0, doc, ret, err);
}

/* ---- log ------------------------------------------------------------------------ */

static int read_log_request(json_t *body, uint64_t *ret_after, int *ret_wait,
                            struct molt_error *err)
{
    json_int_t after = 0;
    *ret_wait = 0;
    int rc = unpack(body, err, "{s?I, s?i}", "after", &after, "wait", ret_wait);
    *ret_after = after > 0 ? (uint64_t)after : 0;
    return rc;
}

static int serve_log(const struct molt_api *api, json_t *body, json_t **ret, struct molt_error *err)
{
    uint64_t after;
    int wait;
    int rc = read_log_request(body, &after, &wait, err);
    if (rc < 0)
        return rc;
    json_t *list = molt_journal_json(api->journal, after);
    return finish(0, list ? json_pack("{s:o}", "messages", list) : NULL, ret, err);
}

/* ---- actions --------------------------------------------------------------------- */

static int serve_purge(const struct molt_api *api, json_t *body, json_t **ret,
                       struct molt_error *err)
{
    const char *module = "";
    json_int_t version = 0;
    int is_hard = 0;
    int rc = unpack(body, err, "{s?s, s?I, s?b}", "module", &module, "version", &version, "hard",
                    &is_hard);
    if (rc < 0)
        return rc;
    if (version < 0 || version > UINT32_MAX || (is_hard && !*module))
        return molt_error_set(err, MOLT_EINVAL,
                              "a hard purge needs a module, and versions count from 1");
    struct molt_buf payload = MOLT_BUF_INIT, answer = MOLT_BUF_INIT;
    molt_buf_str(&payload, module);
    molt_buf_u32(&payload, (uint32_t)version);
    molt_buf_u8(&payload, (uint8_t)is_hard);
    rc = ask(api, MOLT_FRAME_PURGE, &payload, &answer, err);
    if (rc == 0) {
        struct molt_reader r = molt_reader_init(answer.data, answer.len);
        uint32_t unloaded = molt_reader_u32(&r), killed = molt_reader_u32(&r);
        rc = finish(molt_reader_at_end(&r) ? 0 : MOLT_EFORMAT,
                    json_pack("{s:i, s:i}", "unloaded", (int)unloaded, "killed", (int)killed), ret,
                    err);
    }
    molt_buf_fini(&payload);
    molt_buf_fini(&answer);
    return rc;
}

static int serve_load(const struct molt_api *api, json_t *body, json_t **ret,
                      struct molt_error *err)
{
    const char *file;
    char *text = NULL;
    int rc = unpack(body, err, "{s:s}", "file", &file);
    if (rc < 0)
        return rc;
    if (!api->actions.load)
        return molt_error_set(err, MOLT_ENOTSUP,
                              "this agent has no compiler (molt run): use molt dev, or build and "
                              "restart");
    if (*file != '/')
        return molt_error_set(err, MOLT_EINVAL, "file: an absolute path is needed");
    rc = api->actions.load(api->actions.user, file, &text, err);
    if (rc == 0)
        rc = finish(0, json_pack("{s:o}", "text", molt_json_text(text ? text : "")), ret, err);
    free(text);
    return rc;
}

static void take_plan(void *user, const struct molt_preview *preview)
{
    json_t **doc = user;
    *doc = molt_json_plan(preview);
}

static int serve_plan(const struct molt_api *api, json_t *body, json_t **ret,
                      struct molt_error *err)
{
    const char *folder = NULL;
    int is_tried = 1, wants_states = 0;
    json_int_t sample = 0;
    json_t *doc = NULL;
    int rc = unpack(body, err, "{s?s, s?b, s?I, s?b}", "set", &folder, "trial", &is_tried, "sample",
                    &sample, "old_states", &wants_states);
    if (rc < 0)
        return rc;
    if (sample < 0 || sample > UINT32_MAX)
        return molt_error_set(err, MOLT_EINVAL, "sample: 0 (all) to 4294967295 of each server");
    if (folder && *folder != '/')
        return molt_error_set(err, MOLT_EINVAL, "set: an absolute path is needed");
    struct molt_preview_options options = {.is_untried = !is_tried,
                                           .wants_states = wants_states,
                                           .max_states = (uint32_t)sample};
    rc = api->actions.plan(api->actions.user, folder, &options, take_plan, &doc, err);
    return rc < 0 ? rc : finish(0, doc, ret, err);
}

static int serve_apply(const struct molt_api *api, json_t *body, json_t **ret,
                       struct molt_error *err)
{
    const char *folder;
    char *text = NULL;
    int rc = unpack(body, err, "{s:s}", "set", &folder);
    if (rc < 0)
        return rc;
    if (!api->actions.apply)
        return molt_error_set(err, MOLT_ENOTSUP,
                              "molt dev brings in what is saved, and would undo this at the next "
                              "save: save it, or use molt run");
    if (*folder != '/')
        return molt_error_set(err, MOLT_EINVAL, "set: an absolute path is needed");
    rc = api->actions.apply(api->actions.user, folder, &text, err);
    if (rc == 0)
        rc = finish(0, json_pack("{s:o}", "text", molt_json_text(text ? text : "")), ret, err);
    free(text);
    return rc;
}

static int serve_reload(const struct molt_api *api, json_t *body, json_t **ret,
                        struct molt_error *err)
{
    char *text = NULL;
    int rc = unpack(body, err, "{}");
    if (rc == 0)
        rc = api->actions.reload(api->actions.user, &text, err);
    if (rc == 0)
        rc = finish(0, json_pack("{s:o}", "text", molt_json_text(text ? text : "")), ret, err);
    free(text);
    return rc;
}

static int serve_stop(const struct molt_api *api, json_t *body, json_t **ret,
                      struct molt_error *err)
{
    json_int_t timeout_ms = -1; /* as configured */
    int rc = unpack(body, err, "{s?I}", "timeout_ms", &timeout_ms);
    if (rc < 0)
        return rc;
    if (timeout_ms < -1 || timeout_ms > STOP_MAX_MS)
        return molt_error_set(err, MOLT_EINVAL, "timeout_ms: 0 to %d", STOP_MAX_MS);
    api->actions.stop(api->actions.user, (int)timeout_ms);
    return finish(0, json_pack("{s:b}", "stopping", 1), ret, err);
}

/* ---- dispatch ------------------------------------------------------------------------ */

static const struct route {
    const char *method, *path;
    serve_fn *serve;
} routes[] = {
    {"GET", "/v1/status", serve_status}, {"GET", "/v1/modules", serve_modules},
    {"GET", "/v1/worlds", serve_worlds}, {"GET", "/v1/ps", serve_ps},
    {"GET", "/v1/tree", serve_tree},     {"POST", "/v1/purge", serve_purge},
    {"POST", "/v1/load", serve_load},    {"POST", "/v1/reload", serve_reload},
    {"POST", "/v1/stop", serve_stop},    {"GET", "/v1/log", serve_log},
    {"POST", "/v1/plan", serve_plan},    {"POST", "/v1/apply", serve_apply},
};

static unsigned http_status(int code)
{
    switch (code) {
    case MOLT_EINVAL:
    case MOLT_EFORMAT:
        return 400;
    case MOLT_ENOENT:
        return 404;
    case MOLT_ENOTSUP:
        return 501;
    case MOLT_ECLOSED:
    case MOLT_EDEAD:
    case MOLT_ESHUTDOWN:
        return 503;
    case MOLT_ETIMEDOUT:
        return 504;
    case MOLT_ENOMEM:
    case MOLT_EIO:
        return 500;
    default:
        return 409; /* refused, pinned, busy, ...: the state of things forbids it */
    }
}

static int parse_body(const char *body, size_t len, json_t **ret, struct molt_error *err)
{
    json_error_t why;
    *ret = len ? json_loadb(body, len, JSON_REJECT_DUPLICATES, &why) : json_object();
    if (json_is_object(*ret))
        return 0;
    json_decref(*ret);
    return molt_error_set(err, MOLT_EINVAL, "the request's body is not a JSON object");
}

static int serve_route(const struct molt_api *api, const struct route *route, const char *body,
                       size_t body_len, json_t **ret, struct molt_error *err)
{
    json_t *doc;
    int rc = parse_body(body, body_len, &doc, err);
    if (rc < 0)
        return rc;
    rc = route->serve(api, doc, ret, err);
    json_decref(doc);
    return rc;
}

unsigned molt_api_serve(const struct molt_api *api, const char *method, const char *path,
                        const char *body, size_t body_len, json_t **ret)
{
    bool is_path = false;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        is_path = true;
        if (strcmp(routes[i].method, method) != 0)
            continue;
        struct molt_error err = {0};
        int rc = serve_route(api, &routes[i], body, body_len, ret, &err);
        if (rc == 0)
            return 200;
        *ret = molt_json_error(rc, err.text);
        return http_status(rc);
    }
    *ret = is_path ? molt_json_error(MOLT_EINVAL, "this path takes another method")
                   : molt_json_error(MOLT_ENOENT, "no such path; see molt(1) for the API");
    return is_path ? 405 : 404;
}

bool molt_api_is_to_wait(const struct molt_api *api, const char *path, const char *body,
                         size_t body_len)
{
    json_t *doc = NULL;
    uint64_t after = 0;
    int wait = 0;
    if (strcmp(path, "/v1/log") != 0 || parse_body(body, body_len, &doc, NULL) < 0)
        return false;
    int rc = read_log_request(doc, &after, &wait, NULL);
    json_decref(doc);
    return rc == 0 && wait && after >= molt_journal_newest(api->journal);
}
