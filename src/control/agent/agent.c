/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/agent.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "code/meta.h"
#include "control/agent/backoff.h"
#include "control/agent/crash_report.h"
#include "control/agent/link.h"
#include "control/agent/prune.h"
#include "control/crash.h"
#include "control/record.h"
#include "control/settings.h"

#define ANSWER_MS 30000
#define EXIT_MS 2000        /* a host whose connection ended ends soon, or lives on */
#define EXIT_CRASH_MS 60000 /* writing a core file takes its time */
#define TAKE_OVER_MS 2000   /* until the host noticed that the agent before is gone */
#define SAMPLE_MS 5000      /* what a crash costs is counted so often */
#define EARLY_MS 10000      /* a host that ends sooner may not be able to run its set */
#define EARLY_MAX 3         /* in a row; then the set before is tried */

struct molt_agent {
    char *root, *store, *socket, *host;
    struct molt_builder *builder;
    struct molt_tuning tuning;
    bool is_sealed;
    struct molt_agent_events events;

    enum molt_agent_state state;
    struct molt_link *link;
    bool is_attached, is_started;
    struct molt_set *good, *before; /* what runs, and what ran well before that */
    unsigned n_early;               /* ends in a row, of hosts of the good set */
    struct molt_stats_record sample;
    uint64_t sample_ms; /* 0: none of this host */
    struct molt_backoff backoff;
    uint64_t up_ms, restart_ms; /* since when it runs; when to start it again */
    unsigned n_restarts;

    bool has_crash;
    struct molt_crash_record crash;
    bool is_over; /* its root supervisor gave up, with what follows */
    int over_reason;
    uint64_t over_connections;
    char over_root[64];
    size_t n_images;
    struct molt_crash_image *images; /* versions that this host loaded, for crash reports */
    struct contained *contained;     /* not told yet, first one first */
};

/* A crash of a process. It may be in a version that we have yet to learn of. */
struct contained {
    struct contained *next;
    struct molt_contained_record record;
};

/* ---- life ---------------------------------------------------------------------- */

static char *join(const char *folder, const char *name)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_printf(&buf, "%s/%s", folder, name);
    char *path = molt_buf_take(&buf);
    molt_buf_fini(&buf);
    return path;
}

int molt_agent_new(const struct molt_agent_options *options, struct molt_agent **ret,
                   struct molt_error *err)
{
    struct molt_agent *agent = calloc(1, sizeof(*agent));
    if (!agent)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    agent->builder = options->builder;
    agent->tuning = options->tuning;
    agent->is_sealed = options->is_sealed;
    agent->events = options->events;
    agent->root = strdup(options->root);
    agent->store = join(options->root, ".molt/store");
    agent->socket = join(options->root, ".molt/host.sock");
    int rc = 0;
    if (options->host)
        agent->host = strdup(options->host);
    else
        rc = molt_link_find_host(&agent->host, err);
    if (rc == 0 && (!agent->root || !agent->store || !agent->socket || !agent->host))
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc < 0) {
        molt_agent_free(agent);
        return rc;
    }
    *ret = agent;
    return 0;
}

static void forget_crash(struct molt_agent *agent)
{
    molt_record_fini_crash(&agent->crash);
    agent->has_crash = agent->is_over = false;
}

static struct contained *pop_contained(struct molt_agent *agent)
{
    struct contained *c = agent->contained;
    if (c)
        agent->contained = c->next;
    return c;
}

static void free_contained(struct contained *c)
{
    molt_record_fini_contained(&c->record);
    free(c);
}

void molt_agent_free(struct molt_agent *agent)
{
    if (!agent)
        return;
    for (struct contained *c; (c = pop_contained(agent));)
        free_contained(c);
    molt_link_free(agent->link);
    molt_set_free(agent->good);
    molt_set_free(agent->before);
    forget_crash(agent);
    free(agent->images);
    free(agent->root);
    free(agent->store);
    free(agent->socket);
    free(agent->host);
    free(agent);
}

/* ---- events of the host ------------------------------------------------------------ */

static void take_log(struct molt_agent *agent, struct molt_reader *r)
{
    uint32_t level = molt_reader_u32(r);
    char *text = molt_reader_str(r);
    if (text && molt_reader_at_end(r) && level <= MOLT_ERR && agent->events.on_log)
        agent->events.on_log(agent->events.user, (enum molt_level)level, text);
    free(text);
}

static void take_unloaded(struct molt_agent *agent, struct molt_reader *r)
{
    char *module = molt_reader_str(r);
    uint32_t number = molt_reader_u32(r);
    uint64_t retained_ms = molt_reader_u64(r);
    if (module && molt_reader_at_end(r) && agent->events.on_unloaded)
        agent->events.on_unloaded(agent->events.user, module, number, retained_ms);
    free(module);
}

static void tell_contained(struct molt_agent *agent, const struct molt_contained_record *crash)
{
    struct molt_buf out = MOLT_BUF_INIT;
    if (!agent->events.on_log)
        return;
    molt_crash_report_process(crash, agent->images, agent->n_images, agent->store, agent->root,
                              &out);
    agent->events.on_log(agent->events.user, MOLT_ERR,
                         out.is_failed ? "a process crashed, and was ended" : out.data);
    molt_buf_fini(&out);
}

/* Those that can be: all if @is_all. */
static void tell_all_contained(struct molt_agent *agent, bool is_all)
{
    while (agent->contained &&
           (is_all ||
            molt_crash_knows_images(&agent->contained->record, agent->images, agent->n_images))) {
        struct contained *c = pop_contained(agent);
        tell_contained(agent, &c->record);
        free_contained(c);
    }
}

static void take_contained(struct molt_agent *agent, const struct molt_frame *frame)
{
    struct contained *c = calloc(1, sizeof(*c));
    if (!c || molt_record_get_contained(frame->payload, frame->len, &c->record) < 0) {
        free(c);
        return;
    }
    struct contained **end = &agent->contained;
    while (*end)
        end = &(*end)->next;
    *end = c;
    tell_all_contained(agent, false);
}

static void take_over(struct molt_agent *agent, struct molt_reader *r)
{
    int reason = (int)molt_reader_u32(r);
    char *root = molt_reader_str(r);
    uint64_t connections = molt_reader_u64(r);
    /* What follows is of a newer host. */
    if (root && !r->is_failed) {
        agent->is_over = true;
        agent->over_reason = reason;
        agent->over_connections = connections;
        snprintf(agent->over_root, sizeof(agent->over_root), "%s", root);
    }
    free(root);
}

static void on_event(void *user, const struct molt_frame *frame)
{
    struct molt_agent *agent = user;
    struct molt_reader r = molt_reader_init(frame->payload, frame->len);
    if (frame->type == MOLT_FRAME_LOG)
        take_log(agent, &r);
    else if (frame->type == MOLT_FRAME_UNLOADED)
        take_unloaded(agent, &r);
    else if (frame->type == MOLT_FRAME_CONTAINED)
        take_contained(agent, frame);
    else if (frame->type == MOLT_FRAME_OVER)
        take_over(agent, &r);
    else if (frame->type == MOLT_FRAME_HANGUP && agent->events.on_hangup)
        agent->events.on_hangup(agent->events.user);
    else if (frame->type == MOLT_FRAME_CRASH && !agent->has_crash)
        agent->has_crash = molt_record_get_crash(frame->payload, frame->len, &agent->crash) == 0;
}

/* ---- a host comes up ------------------------------------------------------------------- */

static int configure(struct molt_agent *agent, const struct molt_set *set, struct molt_error *err)
{
    struct molt_buf payload = MOLT_BUF_INIT;
    molt_buf_u32(&payload, (uint32_t)set->n_config);
    for (size_t i = 0; i < set->n_config; i++) {
        molt_buf_str(&payload, set->config_keys[i]);
        molt_buf_str(&payload, set->config_values[i]);
    }
    int rc = molt_link_request(agent->link, MOLT_FRAME_CONFIG, &payload, -1, ANSWER_MS, NULL, err);
    molt_buf_fini(&payload);
    return rc;
}

static void drop_link(struct molt_agent *agent)
{
    molt_link_free(agent->link);
    agent->link = NULL;
    agent->is_started = false;
    agent->is_attached = false;
}

/* A host that an earlier agent left running, else a new one. */
static int connect_host(struct molt_agent *agent, const struct molt_set *set, bool may_spawn,
                        struct molt_error *err)
{
    struct molt_link_options options = {.host = agent->host,
                                        .store = agent->store,
                                        .socket = agent->socket,
                                        .tuning = molt_tuning_of(&agent->tuning, set),
                                        .is_sealed = agent->is_sealed,
                                        .on_event = on_event,
                                        .user = agent};
    uint64_t end_ms = molt_clock_ms() + TAKE_OVER_MS;
    int rc = molt_link_attach(&options, &agent->link, err);
    /* The lock of the project is ours, so the other agent is dead; the host
     * finishes what it does for it first. No event tells when. */
    for (; rc == MOLT_EBUSY && molt_clock_ms() < end_ms; poll(NULL, 0, 5))
        rc = molt_link_attach(&options, &agent->link, err);
    agent->is_attached = rc == 0;
    if (may_spawn && (rc == MOLT_ENOENT || rc == MOLT_ECLOSED))
        rc = molt_link_spawn(&options, &agent->link, err);
    return rc;
}

static int bring_up(struct molt_agent *agent, const struct molt_set *set, bool may_spawn,
                    struct molt_error *err)
{
    if (agent->link)
        return 0;
    forget_crash(agent);
    agent->sample_ms = 0;
    int rc = connect_host(agent, set, may_spawn, err);
    if (rc < 0)
        return rc;
    agent->is_started = molt_link_is_started(agent->link);
    agent->up_ms = molt_clock_ms();
    rc = configure(agent, set, err);
    if (rc < 0)
        drop_link(agent);
    return rc;
}

static int start_root(struct molt_agent *agent, const struct molt_set *set, struct molt_error *err)
{
    if (agent->is_started)
        return 0;
    struct molt_buf payload = MOLT_BUF_INIT;
    molt_buf_str(&payload, set->start);
    int rc = molt_link_request(agent->link, MOLT_FRAME_START, &payload, -1, ANSWER_MS, NULL, err);
    molt_buf_fini(&payload);
    if (rc == 0)
        agent->is_started = true;
    return rc;
}

/* Remember which bytes each version is made of: after a crash nobody can be
 * asked any more. Losing this only makes a report poorer. */
static void remember_images(struct molt_agent *agent)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    struct molt_version_record *versions = NULL;
    size_t n = 0;
    if (molt_link_request(agent->link, MOLT_FRAME_MODULES, NULL, -1, ANSWER_MS, &answer, NULL) == 0)
        molt_record_get_versions(answer.data, answer.len, &versions, &n);
    molt_buf_fini(&answer);
    for (size_t i = 0; i < n; i++) {
        const struct molt_version_record *v = &versions[i];
        size_t at = 0;
        while (at < agent->n_images && (agent->images[at].number != v->number ||
                                        strcmp(agent->images[at].module, v->module) != 0))
            at++;
        struct molt_crash_image *grown = at < agent->n_images
                                             ? agent->images
                                             : realloc(agent->images, (at + 1) * sizeof(*grown));
        if (!grown)
            break;
        agent->images = grown;
        snprintf(grown[at].module, sizeof(grown[at].module), "%s", v->module);
        grown[at].number = v->number;
        memcpy(grown[at].digest, v->digest, sizeof(grown[at].digest));
        agent->n_images = at < agent->n_images ? agent->n_images : at + 1;
    }
    molt_record_free_versions(versions, n);
    tell_all_contained(agent, true);
}

/* ---- applying ------------------------------------------------------------------------------ */

static int fail_outcome(struct molt_outcome *ret, int code, const struct molt_error *err)
{
    if (!ret->text)
        ret->text = strdup(*err->text ? err->text : molt_error_text(code));
    return ret->code = code;
}

static struct molt_apply_context context_of(const struct molt_agent *agent)
{
    return (struct molt_apply_context){.link = agent->link,
                                       .builder = agent->builder,
                                       .store = agent->store,
                                       .project = agent->root};
}

int molt_agent_preview(struct molt_agent *agent, struct molt_set *set,
                       const struct molt_preview_options *options, molt_preview_fn *fn, void *user,
                       struct molt_error *err)
{
    struct molt_apply_context context = context_of(agent);
    if (!agent->link || agent->state != MOLT_AGENT_LIVE)
        return molt_error_set(err, MOLT_ECLOSED, "no host runs at the moment");
    return molt_apply_preview(&context, set, options, fn, user, err);
}

static int apply_and_start(struct molt_agent *agent, struct molt_set *set, struct molt_outcome *ret)
{
    struct molt_apply_context context = context_of(agent);
    struct molt_error err = {0};
    int rc = molt_apply_set(&context, set, ret);
    if (rc < 0)
        return rc;
    remember_images(agent);
    rc = start_root(agent, set, &err);
    return rc < 0 ? fail_outcome(ret, rc, &err) : 0;
}

static void go_down(struct molt_agent *agent);

/* Count what would be lost; not knowing it only makes a report poorer. */
static void sample(struct molt_agent *agent)
{
    struct molt_buf answer = MOLT_BUF_INIT;
    if (molt_link_request(agent->link, MOLT_FRAME_STATS, NULL, -1, ANSWER_MS, &answer, NULL) == 0 &&
        molt_record_get_stats(answer.data, answer.len, &agent->sample) == 0)
        agent->sample_ms = molt_clock_ms();
    molt_buf_fini(&answer);
}

static bool has_config(const struct molt_set *set, const struct molt_set *other)
{
    for (size_t i = 0; i < other->n_config; i++) {
        const char *value = molt_set_config(set, other->config_keys[i]);
        if (!value || strcmp(value, other->config_values[i]) != 0)
            return false;
    }
    return true;
}

/* A host that runs gets the configuration of @set if it has another. */
static int reconfigure(struct molt_agent *agent, const struct molt_set *set, struct molt_error *err)
{
    return agent->good && !has_config(agent->good, set) ? configure(agent, set, err) : 0;
}

/* Needless files are no harm: what can't be done now is done next time. */
static void prune(struct molt_agent *agent)
{
    const struct molt_set *sets[] = {agent->good, agent->before};
    char *folder = join(agent->root, ".molt");
    struct molt_prune request = {.folder = folder,
                                 .host = molt_link_pid(agent->link),
                                 .n_sets = 2,
                                 .sets = sets,
                                 .n_images = agent->n_images,
                                 .images = agent->images};
    if (folder)
        molt_prune_store(&request, NULL);
    free(folder);
}

/* @set runs. @is_same: as code it is what ran before. @was_down: what it
 * replaces was not running, and is nothing to go back to. */
static void take_set(struct molt_agent *agent, struct molt_set *set, bool is_same, bool was_down)
{
    if (is_same || was_down) {
        molt_set_free(agent->good);
    } else {
        molt_set_free(agent->before);
        agent->before = agent->good;
    }
    agent->good = set;
    if (!is_same)
        agent->n_early = 0;
    agent->state = MOLT_AGENT_LIVE;
    sample(agent);
    if (!is_same)
        prune(agent);
}

/* Nothing changed, so the configuration doesn't either. */
static void reconfigure_back(struct molt_agent *agent, const struct molt_set *set)
{
    if (agent->good && !has_config(agent->good, set))
        configure(agent, agent->good, NULL);
}

/* Do both run the same code? */
static bool is_same_set(const struct molt_set *a, const struct molt_set *b)
{
    for (size_t i = 0; a && i < b->n_modules; i++) {
        const struct molt_set_module *m = molt_set_find(a, b->modules[i].meta->module);
        if (!m || memcmp(m->meta->digest, b->modules[i].meta->digest, sizeof(m->meta->digest)) != 0)
            return false;
    }
    return a && a->n_modules == b->n_modules;
}

static int learn(struct molt_agent *agent, struct molt_set *set, struct molt_error *err)
{
    struct molt_apply_context context = {.link = agent->link, .store = agent->store};
    int rc = bring_up(agent, set, false, err);
    context.link = agent->link;
    return rc < 0 || !agent->is_started ? rc : molt_apply_learn(&context, set, err);
}

int molt_agent_adopt(struct molt_agent *agent, struct molt_set *set, struct molt_error *err)
{
    int rc = learn(agent, set, err);
    if (rc == 0 && agent->is_started) {
        remember_images(agent);
        take_set(agent, set, false, true);
        return 0;
    }
    molt_set_free(set);
    if (rc < 0 && agent->link)
        drop_link(agent);
    return rc == MOLT_ENOENT || rc == MOLT_ECLOSED ? 0 : rc;
}

int molt_agent_apply(struct molt_agent *agent, struct molt_set *set, struct molt_outcome *ret)
{
    struct molt_error err = {0};
    *ret = (struct molt_outcome){0};
    bool was_down = !agent->link;
    int rc = bring_up(agent, set, true, &err);
    if (rc == 0 && !was_down)
        rc = reconfigure(agent, set, &err);
    if (rc < 0) {
        molt_set_free(set);
        return fail_outcome(ret, rc, &err);
    }
    rc = apply_and_start(agent, set, ret);
    if (rc < 0 && !was_down && !molt_link_is_lost(agent->link))
        reconfigure_back(agent, set);
    if (molt_link_is_lost(agent->link)) {
        molt_set_free(set);
        go_down(agent);
        return rc < 0 ? rc : (ret->code = MOLT_ECLOSED);
    }
    if (rc < 0) {
        molt_set_free(set);
        return rc;
    }
    take_set(agent, set, was_down ? is_same_set(agent->good, set) : ret->is_unchanged, was_down);
    return 0;
}

static int configure_copy(struct molt_agent *agent, struct molt_set *set, size_t n,
                          char *const *keys, char *const *values, struct molt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = molt_set_configure(set, keys[i], values[i]);
    if (rc < 0)
        return molt_error_set(err, rc, "out of memory");
    rc = reconfigure(agent, set, err);
    if (rc < 0 && !molt_link_is_lost(agent->link))
        reconfigure_back(agent, set);
    return rc;
}

int molt_agent_configure(struct molt_agent *agent, size_t n, char *const *keys, char *const *values,
                         struct molt_error *err)
{
    struct molt_set *set;
    if (!agent->good || !agent->link)
        return molt_error_set(err, MOLT_ECLOSED, "no host runs at the moment");
    int rc = molt_set_copy(agent->good, &set);
    if (rc < 0)
        return molt_error_set(err, rc, "out of memory");
    rc = configure_copy(agent, set, n, keys, values, err);
    if (rc < 0) {
        molt_set_free(set);
        return rc;
    }
    molt_set_free(agent->good);
    agent->good = set;
    return 0;
}

/* ---- a host ends ------------------------------------------------------------------------------
 */

static void print_status(int status, struct molt_buf *out)
{
    if (status == -1)
        molt_buf_adds(out, "ended");
    else if (WIFSIGNALED(status))
        molt_buf_printf(out, "was killed by %s (%d)", molt_crash_signal_name(WTERMSIG(status)),
                        WTERMSIG(status));
    else
        molt_buf_printf(out, "exited with code %d", WEXITSTATUS(status));
}

static const char *plural(uint64_t n, const char *one, const char *more)
{
    return n == 1 ? one : more;
}

/* As it was counted last: nobody can be asked any more. */
static void print_loss(const struct molt_agent *agent, struct molt_buf *out)
{
    const struct molt_stats_record *s = &agent->sample;
    uint64_t n = agent->has_crash ? agent->crash.connections
                 : agent->is_over ? agent->over_connections
                                  : s->connections;
    if (agent->sample_ms &&
        (agent->has_crash || agent->is_over)) /* which said how many, in the end */
        molt_buf_printf(out, "\n  lost: %llu process%s with %s, %llu connection%s",
                        (unsigned long long)s->processes, plural(s->processes, "", "es"),
                        plural(s->processes, "its state", "their states"), (unsigned long long)n,
                        plural(n, "", "s"));
    else if (agent->sample_ms)
        molt_buf_printf(out,
                        "\n  lost: %llu process%s with %s, %llu connection%s (counted %.1f s "
                        "before)",
                        (unsigned long long)s->processes, plural(s->processes, "", "es"),
                        plural(s->processes, "its state", "their states"), (unsigned long long)n,
                        plural(n, "", "s"), (double)(molt_clock_ms() - agent->sample_ms) / 1e3);
    else
        molt_buf_adds(out, "\n  lost: all connections, and the states of all processes");
}

static void print_prospect(const struct molt_agent *agent, struct molt_buf *out)
{
    if (agent->n_early >= EARLY_MAX && agent->before)
        molt_buf_printf(out,
                        "\n  it ended %u times in a row within %u s of its start: going back to "
                        "the set before; save a fix to go on",
                        agent->n_early, EARLY_MS / 1000);
    else if (agent->n_early >= EARLY_MAX)
        molt_buf_printf(out,
                        "\n  it ended %u times in a row within %u s of its start, and there is no "
                        "set before to go back to; a save is tried at once",
                        agent->n_early, EARLY_MS / 1000);
}

/* The set before takes the place of one that can't run. */
static void fall_back(struct molt_agent *agent)
{
    if (agent->n_early < EARLY_MAX || !agent->before)
        return;
    molt_set_free(agent->good);
    agent->good = agent->before;
    agent->before = NULL;
    agent->n_early = 0;
}

static char *describe_end(struct molt_agent *agent, bool is_dead, int status)
{
    struct molt_buf out = MOLT_BUF_INIT;
    if (agent->has_crash) {
        molt_buf_adds(&out, "the host crashed: ");
        molt_crash_report(&agent->crash, agent->images, agent->n_images, agent->store, agent->root,
                          &out);
    } else if (is_dead && agent->is_over) {
        molt_buf_printf(&out,
                        "the app is over: its root supervisor '%s' ended (%s, %s), and the host "
                        "with it",
                        agent->over_root, molt_error_name(agent->over_reason),
                        molt_error_text(agent->over_reason));
    } else if (is_dead) {
        molt_buf_adds(&out, "the host ");
        print_status(status, &out);
    } else {
        molt_buf_printf(&out, "the connection to the host (pid %d), which lives, was lost",
                        (int)molt_link_pid(agent->link));
    }
    if (is_dead)
        print_loss(agent, &out);
    if (is_dead && agent->good)
        print_prospect(agent, &out);
    char *text = molt_buf_take(&out);
    molt_buf_fini(&out);
    return text;
}

/* The app is done: nothing failed, and there is nothing to start again. */
static void be_done(struct molt_agent *agent)
{
    int status;
    tell_all_contained(agent, true);
    molt_link_wait_exit(agent->link, EXIT_CRASH_MS, &status);
    agent->sample_ms = 0;
    agent->n_images = 0;
    drop_link(agent);
    agent->state = MOLT_AGENT_DONE;
    if (agent->events.on_done)
        agent->events.on_done(agent->events.user);
}

static void go_down(struct molt_agent *agent)
{
    int status = -1;
    if (agent->is_over && agent->over_reason == MOLT_ESHUTDOWN) {
        be_done(agent);
        return;
    }
    tell_all_contained(agent, true);
    bool has_last_words = agent->has_crash || agent->is_over;
    bool is_dead =
        molt_link_wait_exit(agent->link, has_last_words ? EXIT_CRASH_MS : EXIT_MS, &status) == 0;
    uint64_t now = molt_clock_ms(), lived_ms = now - agent->up_ms;
    unsigned delay_ms = molt_backoff_next(&agent->backoff, lived_ms);
    if (is_dead)
        agent->n_early = lived_ms < EARLY_MS ? agent->n_early + 1 : 0;
    char *text = describe_end(agent, is_dead, status);
    if (is_dead)
        fall_back(agent);
    agent->sample_ms = 0;
    drop_link(agent);
    if (is_dead)
        agent->n_images = 0; /* numbers start anew */
    agent->state = MOLT_AGENT_DOWN;
    agent->restart_ms = now + delay_ms;
    if (agent->events.on_down)
        agent->events.on_down(agent->events.user, text ? text : "the host ended", delay_ms);
    free(text);
}

/* It didn't come up, and go_down() hasn't seen to it: later again. */
static void retry_later(struct molt_agent *agent, uint64_t planned_ms, const char *why)
{
    if (agent->restart_ms != planned_ms)
        return;
    if (agent->link)
        drop_link(agent);
    agent->restart_ms = molt_clock_ms() + molt_backoff_next(&agent->backoff, 0);
    if (agent->events.on_log)
        agent->events.on_log(agent->events.user, MOLT_ERR, why);
}

/* Again on the good set. */
static void restart(struct molt_agent *agent)
{
    struct molt_set *set = NULL;
    struct molt_outcome outcome = {0};
    uint64_t planned_ms = agent->restart_ms;
    agent->n_restarts++;
    int rc = molt_set_copy(agent->good, &set);
    if (rc == 0)
        rc = molt_agent_apply(agent, set, &outcome);
    if (rc < 0)
        retry_later(agent, planned_ms, outcome.text ? outcome.text : molt_error_text(rc));
    else if (agent->events.on_up)
        agent->events.on_up(agent->events.user, molt_link_pid(agent->link));
    molt_outcome_fini(&outcome);
}

/* ---- the embedder's loop
 * -------------------------------------------------------------------------- */

int molt_agent_fd(const struct molt_agent *agent)
{
    return agent->link ? molt_link_fd(agent->link) : -1;
}

int molt_agent_timeout(const struct molt_agent *agent)
{
    uint64_t now = molt_clock_ms(), then;
    if (agent->state == MOLT_AGENT_DOWN && agent->good)
        then = agent->restart_ms;
    else if (agent->state == MOLT_AGENT_LIVE && agent->sample_ms)
        then = agent->sample_ms + SAMPLE_MS;
    else
        return -1;
    return now < then ? (int)(then - now) : 0;
}

void molt_agent_tick(struct molt_agent *agent)
{
    if (agent->link && molt_link_poll(agent->link) < 0)
        go_down(agent);
    if (agent->contained && agent->link)
        remember_images(agent);
    if (molt_agent_timeout(agent) != 0)
        return;
    if (agent->state == MOLT_AGENT_DOWN)
        restart(agent);
    else
        sample(agent);
}

int molt_agent_stop(struct molt_agent *agent, int timeout_ms, struct molt_error *err)
{
    if (!agent->link)
        return 0;
    if (timeout_ms < 0)
        timeout_ms =
            molt_settings_stop_ms(agent->good ? molt_set_config(agent->good, "stop_ms") : NULL);
    struct molt_buf payload = MOLT_BUF_INIT;
    molt_buf_u32(&payload, (uint32_t)timeout_ms);
    int rc = molt_link_request(agent->link, MOLT_FRAME_STOP, &payload, -1, timeout_ms + ANSWER_MS,
                               NULL, err);
    molt_buf_fini(&payload);
    int status;
    if (molt_link_wait_exit(agent->link, timeout_ms, &status) < 0) {
        kill(molt_link_pid(agent->link), SIGTERM);
        rc = molt_error_set(err, MOLT_ETIMEDOUT, "the host (pid %d) did not stop within %d ms",
                            (int)molt_link_pid(agent->link), timeout_ms);
    }
    drop_link(agent);
    agent->state = MOLT_AGENT_IDLE;
    return rc;
}

enum molt_agent_state molt_agent_state(const struct molt_agent *agent)
{
    return agent->state;
}

struct molt_link *molt_agent_link(struct molt_agent *agent)
{
    return agent->link;
}

pid_t molt_agent_host_pid(const struct molt_agent *agent)
{
    return agent->link ? molt_link_pid(agent->link) : 0;
}

unsigned molt_agent_restarts(const struct molt_agent *agent)
{
    return agent->n_restarts;
}

bool molt_agent_is_attached(const struct molt_agent *agent)
{
    return agent->is_attached;
}

const struct molt_set *molt_agent_good_set(const struct molt_agent *agent)
{
    return agent->good;
}

const char *molt_agent_root(const struct molt_agent *agent)
{
    return agent->root;
}
