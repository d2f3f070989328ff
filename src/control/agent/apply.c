/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "build/build.h"
#include "code/meta.h"
#include "control/agent/file.h"
#include "control/agent/link.h"
#include "control/agent/matched.h"
#include "control/agent/plan.h"
#include "control/agent/preview.h"
#include "control/agent/send_match.h"
#include "types/image_info.h"
#include "types/old_states.h"

#define ANSWER_MS 30000
#define APPLY_SLACK_MS 60000 /* over the deadline: on_load and code_change take their time */
#define DEADLINE_MS 2000
#define TRIAL_MS 5000
/* What is tried of each server before an upgrade with an author's conversion: enough to see
 * whether that returns. */
#define TRIAL_STATES 1000

/* Everything that one application knows; freed as a whole. */
struct apply {
    const struct molt_apply_context *context;
    struct molt_set *set;
    struct molt_error err;
    size_t n_running;
    struct molt_plan_running *running; /* metas are owned */
    size_t n_processes;
    struct molt_process_record *processes;
    size_t n_targets, n_counts;
    struct molt_plan_target *targets;
    struct molt_plan_count *counts;
    struct molt_matched matched;
    struct molt_plan_input input; /* of the plan: the lists above */
    struct molt_plan plan;
    uint64_t stage; /* 0: none open */
};

static int no_memory(struct apply *a)
{
    return molt_error_set(&a->err, MOLT_ENOMEM, "out of memory");
}

static int ask(struct apply *a, uint32_t type, const struct molt_buf *payload, int fd,
               struct molt_buf *ret)
{
    return molt_link_request(a->context->link, type, payload, fd, ANSWER_MS, ret, &a->err);
}

/* ---- what runs -------------------------------------------------------------- */

static int fetch_meta(struct apply *a, const char *module, struct molt_meta **ret)
{
    struct molt_buf payload = MOLT_BUF_INIT, answer = MOLT_BUF_INIT;
    molt_buf_str(&payload, module);
    molt_buf_u32(&payload, 0);
    int rc = ask(a, MOLT_FRAME_META, &payload, -1, &answer);
    if (rc == 0) {
        struct molt_reader r = molt_reader_init(answer.data, answer.len);
        size_t len;
        const uint8_t *bytes = molt_reader_bytes(&r, &len);
        rc = molt_meta_decode(bytes, len, ret, &a->err);
    }
    molt_buf_fini(&payload);
    molt_buf_fini(&answer);
    return rc;
}

static int fetch_running(struct apply *a)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_version_record *versions = NULL;
    size_t n = 0;
    int rc = ask(a, MOLT_FRAME_MODULES, NULL, -1, &answer);
    if (rc == 0)
        rc = molt_record_get_versions(answer.data, answer.len, &versions, &n);
    molt_buf_fini(&answer);
    if (rc == 0 && !(a->running = calloc(n ? n : 1, sizeof(*a->running))))
        rc = no_memory(a);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct molt_meta *meta;
        if (!versions[i].is_current)
            continue;
        rc = fetch_meta(a, versions[i].module, &meta);
        if (rc == 0)
            a->running[a->n_running++] = (struct molt_plan_running){meta, versions[i].number};
    }
    molt_record_free_versions(versions, n);
    return rc;
}

static int fetch_processes(struct apply *a)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    int rc = ask(a, MOLT_FRAME_PROCESSES, NULL, -1, &answer);
    if (rc == 0)
        rc = molt_record_get_processes(answer.data, answer.len, &a->processes, &a->n_processes);
    molt_buf_fini(&answer);
    return rc;
}

static void count_process(struct apply *a, const char *server)
{
    for (size_t i = 0; i < a->n_counts; i++) {
        if (strcmp(a->counts[i].server, server) == 0) {
            a->counts[i].n++;
            return;
        }
    }
    a->counts[a->n_counts++] = (struct molt_plan_count){server, 1};
}

/* ---- the plan ---------------------------------------------------------------- */

static int make_matches(struct apply *a)
{
    const struct molt_meta **metas = calloc(a->n_running + 1, sizeof(const struct molt_meta *));
    if (!metas)
        return no_memory(a);
    for (size_t i = 0; i < a->n_running; i++)
        metas[i] = a->running[i].meta;
    struct molt_matched_input input = {.store = a->context->store,
                                       .project = a->context->project,
                                       .n_running = a->n_running,
                                       .running = metas,
                                       .set = a->set};
    int rc = molt_matched_make(&input, &a->matched, &a->err);
    free(metas);
    return rc;
}

static int make_plan(struct apply *a)
{
    a->targets = calloc(a->set->n_modules + 1, sizeof(*a->targets));
    a->counts = calloc(a->n_processes + 1, sizeof(*a->counts));
    if (!a->targets || !a->counts)
        return no_memory(a);
    for (size_t i = 0; i < a->set->n_modules; i++) {
        const struct molt_set_module *module = &a->set->modules[i];
        const struct molt_matched_module *matched =
            molt_matched_find(&a->matched, module->meta->module);
        a->targets[a->n_targets++] = (struct molt_plan_target){module->meta, module->image_path,
                                                               matched ? &matched->there : NULL};
    }
    for (size_t i = 0; i < a->n_processes; i++)
        count_process(a, a->processes[i].server);
    a->input = (struct molt_plan_input){.n_running = a->n_running,
                                        .running = a->running,
                                        .n_targets = a->n_targets,
                                        .targets = a->targets,
                                        .n_counts = a->n_counts,
                                        .counts = a->counts};
    return molt_plan_make(&a->input, &a->plan) < 0 ? no_memory(a) : 0;
}

static void print_refusal(const struct molt_plan_refusal *refusal, struct molt_buf *out)
{
    molt_buf_printf(out, "%s%s refused", out->len ? "\n" : "", refusal->module);
    if (refusal->old_number)
        molt_buf_printf(out, ", %s@%u goes on", refusal->module, refusal->old_number);
    bool is_text = refusal->remedy[0] == '\n'; /* lines to paste */
    molt_buf_printf(out, "\n  %s\n  to allow it%s%s", refusal->what, is_text ? ", paste:" : ": ",
                    refusal->remedy);
}

static char *print_refusals(struct apply *a)
{
    struct molt_buf out = MOLT_BUF_INIT;
    for (size_t i = 0; i < a->plan.n_refusals; i++)
        print_refusal(&a->plan.refusals[i], &out);
    char *text = molt_buf_take(&out);
    molt_buf_fini(&out);
    return text;
}

/* ---- interfaces ----------------------------------------------------------------- */

/* Names with a thunk in the host, as molt_meta_symbol_name() writes them. */
static int fetch_known(struct apply *a, char ***ret, size_t *ret_n)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_iface_record *ifaces = NULL;
    size_t n = 0;
    int rc = ask(a, MOLT_FRAME_INTERFACES, NULL, -1, &answer);
    if (rc == 0)
        rc = molt_record_get_ifaces(answer.data, answer.len, &ifaces, &n);
    molt_buf_fini(&answer);
    char **names = rc == 0 ? calloc(n + 1, sizeof(*names)) : NULL;
    if (rc == 0 && !names)
        rc = no_memory(a);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        char name[512];
        rc = molt_meta_symbol_name(name, sizeof(name), ifaces[i].module, ifaces[i].name,
                                   ifaces[i].sig);
        if (rc >= 0)
            rc = (names[i] = strdup(name)) ? 0 : no_memory(a);
    }
    molt_record_free_ifaces(ifaces, n);
    if (rc < 0) {
        for (size_t i = 0; names && i < n; i++)
            free(names[i]);
        free(names);
        return rc;
    }
    *ret = names;
    *ret_n = n;
    return 0;
}

static bool is_known(char *const *known, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

static bool needs_interface(const struct apply *a, char *const *known, size_t n)
{
    for (size_t i = 0; i < a->plan.n_steps; i++) {
        const struct molt_plan_step *step = &a->plan.steps[i];
        for (size_t e = 0; step->action == MOLT_PLAN_PUT && e < step->meta->n_exports; e++) {
            char name[512];
            const struct molt_meta_symbol *s = &step->meta->exports[e];
            if (molt_meta_symbol_name(name, sizeof(name), s->module, s->name, s->sig) < 0 ||
                !is_known(known, n, name))
                return true;
        }
    }
    return false;
}

static int make_interface(struct molt_builder *builder, struct molt_set *set, size_t n_known,
                          char *const *known, struct molt_error *err)
{
    const struct molt_meta **metas = calloc(set->n_modules + 1, sizeof(const struct molt_meta *));
    if (!metas)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    for (size_t i = 0; i < set->n_modules; i++)
        metas[i] = set->modules[i].meta;
    char *path = NULL;
    int rc = molt_builder_interface(builder, set->n_modules, metas, n_known,
                                    (const char *const *)known, &path, err);
    free(metas);
    if (rc == 0 && path)
        rc = molt_set_add_interface(set, path);
    free(path);
    return rc;
}

int molt_apply_make_interfaces(struct molt_builder *builder, struct molt_set *set,
                               struct molt_error *err)
{
    return make_interface(builder, set, 0, NULL, err);
}

static int send_interface(struct apply *a, const char *path)
{
    uint8_t digest[MOLT_SHA256_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return molt_error_set(&a->err, MOLT_EIO, "%s: %s", path, strerror(errno));
    struct molt_buf payload = MOLT_BUF_INIT;
    int rc = molt_sha256_fd(fd, digest);
    if (rc < 0)
        molt_error_set(&a->err, rc, "%s: %s", path, molt_error_text(rc));
    molt_buf_u64(&payload, a->stage);
    molt_buf_add(&payload, digest, sizeof(digest));
    if (rc == 0)
        rc = ask(a, MOLT_FRAME_INTERFACE, &payload, fd, NULL);
    close(fd);
    molt_buf_fini(&payload);
    return rc;
}

static int send_interfaces(struct apply *a)
{
    char **known;
    size_t n;
    int rc = fetch_known(a, &known, &n);
    if (rc < 0)
        return rc;
    if (needs_interface(a, known, n)) {
        if (a->context->builder)
            rc = make_interface(a->context->builder, a->set, n, known, &a->err);
        for (size_t i = 0; rc == 0 && i < a->set->n_interfaces; i++)
            rc = send_interface(a, a->set->interfaces[i]);
    }
    for (size_t i = 0; i < n; i++)
        free(known[i]);
    free(known);
    return rc;
}

/* ---- the stage -------------------------------------------------------------------- */

static int begin(struct apply *a)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    int rc = ask(a, MOLT_FRAME_BEGIN, NULL, -1, &answer);
    if (rc == 0) {
        struct molt_reader r = molt_reader_init(answer.data, answer.len);
        a->stage = molt_reader_u64(&r);
    }
    molt_buf_fini(&answer);
    return rc;
}

static int send_put(struct apply *a, const struct molt_plan_step *step, struct molt_buf *payload)
{
    int fd = open(step->image_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return molt_error_set(&a->err, MOLT_EIO, "%s: %s", step->image_path, strerror(errno));
    int rc = ask(a, MOLT_FRAME_PUT, payload, fd, NULL);
    close(fd);
    return rc;
}

static int send_step(struct apply *a, const struct molt_plan_step *step)
{
    struct molt_buf payload = MOLT_BUF_INIT, meta = MOLT_BUF_INIT;
    int rc = step->action == MOLT_PLAN_DELETE ? 0 : molt_meta_encode(step->meta, &meta);
    molt_buf_u64(&payload, a->stage);
    if (step->action == MOLT_PLAN_DELETE)
        molt_buf_str(&payload, step->meta->module);
    else
        molt_buf_bytes(&payload, meta.data, meta.len);
    if (rc < 0)
        rc = no_memory(a);
    else if (step->action == MOLT_PLAN_PUT)
        rc = send_put(a, step, &payload);
    else
        rc = ask(a, step->action == MOLT_PLAN_KEEP ? MOLT_FRAME_KEEP : MOLT_FRAME_DELETE, &payload,
                 -1, NULL);
    molt_buf_fini(&payload);
    molt_buf_fini(&meta);
    return rc < 0 ? molt_error_wrap(&a->err, rc, "%s", step->meta->module) : 0;
}

static int send_matches(struct apply *a)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->matched.n; i++) {
        const struct molt_matched_module *m = &a->matched.modules[i];
        rc = molt_agent_send_match(a->context->link, a->stage, &m->there, ANSWER_MS, &a->err);
        if (rc == 0)
            rc = molt_agent_send_match(a->context->link, a->stage, &m->back, ANSWER_MS, &a->err);
    }
    return rc;
}

static int switch_over(struct apply *a, struct molt_upgrade_record *ret)
{
    int deadline_ms = a->context->deadline_ms ? a->context->deadline_ms : DEADLINE_MS;
    struct molt_buf payload = MOLT_BUF_INIT, answer = MOLT_BUF_INIT;
    molt_buf_u64(&payload, a->stage);
    molt_buf_u32(&payload, (uint32_t)deadline_ms);
    a->stage = 0; /* consumed, however it ends */
    int rc = molt_link_request(a->context->link, MOLT_FRAME_APPLY, &payload, -1,
                               deadline_ms + APPLY_SLACK_MS, &answer, &a->err);
    if (rc == 0)
        rc = molt_record_get_upgrade(answer.data, answer.len, ret);
    molt_buf_fini(&payload);
    molt_buf_fini(&answer);
    return rc;
}

static void abort_stage(struct apply *a)
{
    struct molt_buf payload = MOLT_BUF_INIT;
    molt_buf_u64(&payload, a->stage);
    molt_link_request(a->context->link, MOLT_FRAME_ABORT, &payload, -1, ANSWER_MS, NULL, NULL);
    molt_buf_fini(&payload);
    a->stage = 0;
}

/* Everything into a new stage. On failure it may be open. */
static int fill_stage(struct apply *a)
{
    int rc = begin(a);
    if (rc == 0)
        rc = send_interfaces(a);
    for (size_t i = 0; rc == 0 && i < a->plan.n_steps; i++)
        rc = send_step(a, &a->plan.steps[i]);
    return rc == 0 ? send_matches(a) : rc;
}

/* ---- trying it -------------------------------------------------------------------- */

static int try_stage(struct apply *a, uint32_t max_states, int deadline_ms,
                     struct molt_trial_record *ret)
{
    struct molt_buf payload = MOLT_BUF_INIT, answer = MOLT_BUF_INIT;
    molt_buf_u64(&payload, a->stage);
    molt_buf_u32(&payload, max_states);
    molt_buf_u32(&payload, (uint32_t)deadline_ms);
    int rc = molt_link_request(a->context->link, MOLT_FRAME_TRY, &payload, -1,
                               deadline_ms + APPLY_SLACK_MS, &answer, &a->err);
    if (rc == 0)
        rc = molt_record_get_trial(answer.data, answer.len, ret);
    molt_buf_fini(&payload);
    molt_buf_fini(&answer);
    return rc;
}

/* The image of @module@@number: what runs, or else what shall run. */
static void print_image_path(const struct apply *a, const char *module, uint32_t number,
                             struct molt_buf *out)
{
    const struct molt_set_module *now = molt_set_find(a->set, module);
    char hex[MOLT_SHA256_HEX];
    for (size_t i = 0; i < a->n_running; i++) {
        const struct molt_plan_running *r = &a->running[i];
        if (r->number != number || strcmp(r->meta->module, module) != 0)
            continue;
        molt_sha256_hex(r->meta->digest, hex);
        molt_buf_printf(out, "%s/%s-%s.so", a->context->store, module, hex);
        return;
    }
    molt_buf_printf(out, "%s", now ? now->image_path : "");
}

static const char *shorten(const char *root, const char *file)
{
    size_t len = root ? strlen(root) : 0;
    return len && strncmp(root, file, len) == 0 && file[len] == '/' ? file + len + 1 : file;
}

/* "from_1() src/counter.c:14"; NULL if it isn't known. */
static char *locate(const struct apply *a, const struct molt_trial_failure_record *f)
{
    struct molt_buf path = MOLT_BUF_INIT, out = MOLT_BUF_INIT;
    struct molt_source_location at = {0};
    print_image_path(a, f->module, f->number, &path);
    if (*f->module && !path.is_failed && molt_image_locate(path.data, f->offset, &at) == 0) {
        if (at.function)
            molt_buf_printf(&out, "%s()", at.function);
        if (at.file)
            molt_buf_printf(&out, "%s%s:%d", at.function ? " " : "",
                            shorten(a->context->project, at.file), at.line);
    }
    molt_source_location_fini(&at);
    char *text = out.len ? molt_buf_take(&out) : NULL;
    molt_buf_fini(&path);
    molt_buf_fini(&out);
    return text;
}

/* Try the stage, and find out where it failed. */
static int try_into(struct apply *a, uint32_t max_states, int deadline_ms, struct molt_preview *ret)
{
    int rc = try_stage(a, max_states, deadline_ms, &ret->trial);
    if (rc < 0)
        return rc;
    ret->is_tried = true;
    ret->trial_places = calloc(ret->trial.n_failures + 1, sizeof(*ret->trial_places));
    if (!ret->trial_places)
        return no_memory(a);
    for (size_t i = 0; i < ret->trial.n_failures; i++)
        ret->trial_places[i] = locate(a, &ret->trial.failures[i]);
    return 0;
}

/* Whether an author's function converts states that there are. */
static bool calls_change(const struct apply *a)
{
    for (size_t i = 0; i < a->matched.n; i++) {
        const struct molt_match *match = &a->matched.modules[i].there;
        for (size_t k = 0; k < match->n_types; k++)
            if (match->types[k].recipe && match->types[k].recipe->change_module)
                return true;
    }
    for (size_t i = 0; i < a->n_running; i++) {
        const struct molt_plan_running *r = &a->running[i];
        for (size_t s = 0; s < r->meta->n_servers; s++)
            if (molt_plan_processes(&a->input, r->meta->servers[s].name) &&
                molt_plan_fate(&a->input, r, &r->meta->servers[s], NULL, NULL) == MOLT_PLAN_CHANGE)
                return true;
    }
    return false;
}

/* Authors' functions run in a child of the host before they run in it: one that crashes or
 * loops would take it along. */
static int try_changes(struct apply *a)
{
    struct molt_preview tried = {0};
    int rc = calls_change(a) ? try_into(a, TRIAL_STATES, TRIAL_MS, &tried) : 0;
    if (rc == 0 && tried.trial.n_failed) {
        struct molt_buf out = MOLT_BUF_INIT;
        molt_buf_adds(&out, "tried on copies, and it failed:");
        molt_preview_print_failures(&tried, &out);
        rc =
            molt_error_set(&a->err, MOLT_ECHANGE, "%s", out.is_failed ? "out of memory" : out.data);
        molt_buf_fini(&out);
    }
    molt_preview_fini(&tried);
    return rc;
}

static int run_stage(struct apply *a, struct molt_upgrade_record *ret)
{
    int rc = fill_stage(a);
    if (rc == 0)
        rc = try_changes(a);
    if (rc == 0)
        rc = switch_over(a, ret);
    if (a->stage)
        abort_stage(a);
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------ */

static void apply_fini(struct apply *a)
{
    molt_plan_fini(&a->plan);
    molt_matched_fini(&a->matched);
    for (size_t i = 0; i < a->n_running; i++)
        molt_meta_free((struct molt_meta *)(uintptr_t)a->running[i].meta);
    free(a->running);
    molt_record_free_processes(a->processes, a->n_processes);
    free(a->targets);
    free(a->counts);
}

/* What the host said, told as a result: nothing has changed. */
static char *print_failure(struct apply *a, int code)
{
    struct molt_buf out = MOLT_BUF_INIT;
    const char *verb = code == MOLT_ECLOSED ? "failed" : "refused";
    molt_buf_printf(&out, "upgrade %s, nothing changed\n  %s", verb,
                    *a->err.text ? a->err.text : molt_error_text(code));
    char *text = molt_buf_take(&out);
    molt_buf_fini(&out);
    return text;
}

static int learn_module(struct apply *a, const struct molt_meta *meta)
{
    char hex[MOLT_SHA256_HEX];
    struct molt_buf path = MOLT_BUF_INIT;
    molt_sha256_hex(meta->digest, hex);
    molt_buf_printf(&path, "%s/%s-%s.so", a->context->store, meta->module, hex);
    int rc = path.is_failed ? MOLT_ENOMEM : molt_set_put(a->set, meta, path.data);
    molt_buf_fini(&path);
    return rc < 0 ? no_memory(a) : 0;
}

int molt_apply_learn(const struct molt_apply_context *context, struct molt_set *set,
                     struct molt_error *err)
{
    struct apply a = {.context = context, .set = set};
    char *start = strdup(molt_link_root(context->link));
    int rc = start ? fetch_running(&a) : no_memory(&a);
    for (size_t i = 0; rc == 0 && i < a.n_running; i++)
        rc = learn_module(&a, a.running[i].meta);
    if (rc == 0) {
        free(set->start);
        set->start = start;
        start = NULL;
    } else {
        molt_error_set(err, rc, "%s", *a.err.text ? a.err.text : molt_error_text(rc));
    }
    free(start);
    apply_fini(&a);
    return rc;
}

/* "counter: +max = 0" for each server that is live and has another state now, and what became
 * of mutable globals. */
static char *describe_moved(const struct apply *a)
{
    struct molt_buf out = MOLT_BUF_INIT;
    for (size_t i = 0; i < a->n_running; i++) {
        const struct molt_meta *meta = a->running[i].meta;
        for (size_t s = 0; s < meta->n_servers; s++) {
            const struct molt_meta_server *server = &meta->servers[s];
            char *text = molt_matched_describe(&a->matched, &meta->types[server->state_type]);
            for (size_t k = 0; text && k < a->n_counts; k++)
                if (strcmp(a->counts[k].server, server->name) == 0)
                    molt_buf_printf(&out, "%s%s: %s", out.len ? "\n" : "", server->name, text);
            free(text);
        }
    }
    char *globals = molt_matched_describe_globals(&a->matched);
    if (globals)
        molt_buf_printf(&out, "%s%.*s", out.len ? "\n" : "", (int)strlen(globals) - 1, globals);
    free(globals);
    char *text = out.len ? molt_buf_take(&out) : NULL;
    molt_buf_fini(&out);
    return text;
}

static int prepare(struct apply *a)
{
    int rc = fetch_running(a);
    if (rc == 0)
        rc = fetch_processes(a);
    if (rc == 0)
        rc = make_matches(a);
    return rc == 0 ? make_plan(a) : rc;
}

int molt_apply_set(const struct molt_apply_context *context, struct molt_set *set,
                   struct molt_outcome *ret)
{
    struct apply a = {.context = context, .set = set};
    *ret = (struct molt_outcome){0};
    int rc = prepare(&a);
    if (rc == 0 && a.plan.n_refusals) {
        rc = MOLT_EREFUSED;
        ret->text = print_refusals(&a);
    } else if (rc == 0 && !a.plan.n_steps) {
        ret->is_unchanged = true;
    } else if (rc == 0) {
        rc = run_stage(&a, &ret->upgrade);
        if (rc == 0)
            ret->moved = describe_moved(&a);
    }
    if (rc < 0 && !ret->text)
        ret->text = print_failure(&a, rc);
    apply_fini(&a);
    return ret->code = rc;
}

void molt_outcome_fini(struct molt_outcome *outcome)
{
    free(outcome->text);
    free(outcome->moved);
    molt_record_fini_upgrade(&outcome->upgrade);
    *outcome = (struct molt_outcome){0};
}

/* ---- what would happen ------------------------------------------------------------------- */

/* Stage it, try it, drop it. What the host says no to is part of the preview. */
static int try_preview(struct apply *a, const struct molt_preview_options *options,
                       struct molt_preview *p)
{
    int deadline_ms = options->deadline_ms > 0 ? options->deadline_ms : TRIAL_MS;
    int rc = fill_stage(a);
    if (rc == 0)
        rc = try_into(a, options->max_states, deadline_ms, p);
    if (a->stage)
        abort_stage(a);
    if (rc == 0 || rc == MOLT_ECLOSED || rc == MOLT_ETIMEDOUT || rc == MOLT_ENOMEM)
        return rc;
    p->refusal = strdup(*a->err.text ? a->err.text : molt_error_text(rc));
    return p->refusal ? 0 : no_memory(a);
}

/* The state of @server as C, of the version that runs; its tag has the version's number, so that it
 * can stand beside the new one. */
static int print_old_state(const struct apply *a, const struct molt_plan_running *r,
                           const char *server, struct molt_buf *out, struct molt_error *err)
{
    struct molt_image_options options = {.project = a->context->project, .allow_sanitizer = true};
    struct molt_buf path = MOLT_BUF_INIT, bytes = MOLT_BUF_INIT;
    char suffix[16];
    snprintf(suffix, sizeof(suffix), "_%u", r->number);
    print_image_path(a, r->meta->module, r->number, &path);
    int rc = path.is_failed ? MOLT_ENOMEM : molt_agent_file_read(path.data, &bytes, err);
    if (rc == 0) {
        molt_buf_printf(out, "\n/* The state of server %s in %s@%u. */\n", server, r->meta->module,
                        r->number);
        rc = molt_old_state_print(bytes.data, bytes.len, &options, server, suffix, out, err);
    }
    molt_buf_fini(&path);
    molt_buf_fini(&bytes);
    return rc;
}

/* All states that change. Servers that share a struct by value can't stand in one header: both
 * would declare it. */
static int print_old_states(struct apply *a, const struct molt_preview *p, char **ret)
{
    struct molt_buf out = MOLT_BUF_INIT;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->n_running; i++) {
        const struct molt_plan_running *r = &a->running[i];
        for (size_t s = 0; rc == 0 && s < r->meta->n_servers; s++)
            for (size_t k = 0; rc == 0 && k < p->n_servers; k++)
                if (strcmp(p->servers[k].name, r->meta->servers[s].name) == 0 &&
                    p->servers[k].fate != MOLT_PLAN_STAYS && p->servers[k].fate != MOLT_PLAN_GONE)
                    rc = print_old_state(a, r, p->servers[k].name, &out, &a->err);
    }
    if (rc == 0 && out.len) {
        molt_buf_printf(&out, "%s", "");
        *ret = molt_buf_take(&out);
        rc = *ret ? 0 : no_memory(a);
    }
    molt_buf_fini(&out);
    return rc;
}

static int preview(struct apply *a, const struct molt_preview_options *options,
                   struct molt_preview *p)
{
    int rc = prepare(a);
    if (rc == 0 && molt_preview_make(&a->input, &a->plan, &a->matched, p) < 0)
        rc = no_memory(a);
    if (rc == 0 && options->wants_states)
        rc = print_old_states(a, p, &p->old_states);
    if (rc < 0 || !a->plan.n_steps || options->is_untried)
        return rc;
    if (!a->plan.n_refusals)
        return try_preview(a, options, p);
    p->untried = strdup("it is refused before that");
    return p->untried ? 0 : no_memory(a);
}

int molt_apply_preview(const struct molt_apply_context *context, struct molt_set *set,
                       const struct molt_preview_options *options, molt_preview_fn *fn, void *user,
                       struct molt_error *err)
{
    struct apply a = {.context = context, .set = set};
    struct molt_preview p = {0};
    int rc = preview(&a, options, &p);
    if (rc == 0)
        fn(user, &p);
    else
        molt_error_set(err, rc, "%s", *a.err.text ? a.err.text : molt_error_text(rc));
    molt_preview_fini(&p);
    apply_fini(&a);
    return rc;
}
