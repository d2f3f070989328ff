/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "build/project.h"
#include "cli/conf_changes.h"
#include "cli/port.h"
#include "cli/report.h"
#include "control/listen.h"
#include "web/journal.h"
#include "web/web.h"

#define SOURCES_MAX 4
#define LISTEN_MS 5000

struct molt_session {
    struct molt_session_options options;
    struct molt_out *out;
    char *root, *socket_path;
    int lock_fd;
    struct molt_agent *agent;
    struct molt_web *web;
    struct molt_journal *journal;
    size_t n_sources;
    struct molt_session_source sources[SOURCES_MAX];
    bool is_live;     /* was said to be */
    bool is_stopping; /* asked to, over the API, or there is nothing more to do */
    bool is_done;     /* the app ended by itself, in order, and wasn't started since */
    int stop_ms;
    unsigned n_upgrades;
    char *app, *url, *problem_kind, *problem, *last;
    bool is_applying;         /* then what is unloaded is told afterwards */
    struct molt_buf unloaded; /* lines, each with its newline */
};

/* ---- signals ------------------------------------------------------------------------ */

/* A handler has no user pointer. An eventfd, and not a blocked mask with a
 * signalfd, because compilers that we start would inherit the mask. */
static int signal_fd = -1;
static int hangup_fd = -1;

static void on_hangup_signal(int signal)
{
    (void)signal;
    int error = errno;
    (void)!write(hangup_fd, &(uint64_t){1}, sizeof(uint64_t));
    errno = error;
}

static void on_signal(int signal)
{
    (void)signal;
    int error = errno;
    (void)!write(signal_fd, &(uint64_t){1}, sizeof(uint64_t));
    errno = error;
}

static int take_signals(bool takes_hangup, struct molt_error *err)
{
    signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hangup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signal_fd < 0 || hangup_fd < 0)
        return molt_error_set(err, MOLT_EIO, "eventfd: %s", strerror(errno));
    /* The second signal has the default action again: for who can't wait. */
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sa.sa_handler = on_hangup_signal;
    sa.sa_flags = SA_RESTART;
    if (takes_hangup)
        sigaction(SIGHUP, &sa, NULL);
    return 0;
}

static void give_signals(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    int *const fds[] = {&signal_fd, &hangup_fd};
    for (size_t i = 0; i < 2; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

bool molt_session_is_stopping(struct molt_session *session)
{
    struct pollfd p = {.fd = signal_fd, .events = POLLIN};
    return session->is_stopping || poll(&p, 1, 0) > 0;
}

int molt_session_signal_fd(const struct molt_session *session)
{
    (void)session;
    return signal_fd;
}

/* ---- what is told ------------------------------------------------------------------------ */

static void keep(char **at, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return; /* an old text is better than none */
    free(*at);
    *at = copy;
}

void molt_session_problem(struct molt_session *session, const char *kind, const char *text)
{
    molt_out_line(session->out, MOLT_TONE_BAD, kind, "%s", text);
    keep(&session->problem_kind, kind);
    keep(&session->problem, text);
}

void molt_session_clear_problem(struct molt_session *session)
{
    keep(&session->problem_kind, "");
    keep(&session->problem, "");
}

const char *molt_session_last(const struct molt_session *session)
{
    return session->last;
}

const char *molt_session_last_problem(const struct molt_session *session)
{
    return session->problem;
}

/* For `molt log`. */
static void note(struct molt_session *session, enum molt_level level, const char *text)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    molt_journal_push(session->journal, time_ms, level, text);
    molt_web_wake(session->web);
}

static void on_log(void *user, enum molt_level level, const char *text)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    struct molt_session *session = user;
    note(session, level, text);
    if (level == MOLT_DEBUG)
        return;
    molt_out_line(session->out, level >= MOLT_WARN ? MOLT_TONE_BAD : MOLT_TONE_DIM, "log", "%s: %s",
                  names[level], text);
}

/* Versions that left memory since the last time. */
static void tell_unloaded(struct molt_session *session)
{
    session->is_applying = false;
    if (session->unloaded.len && !session->unloaded.is_failed)
        molt_out_line(session->out, MOLT_TONE_DIM, "unloaded", "%s", session->unloaded.data);
    molt_buf_reset(&session->unloaded);
}

static void on_unloaded(void *user, const char *module, unsigned number, uint64_t retained_ms)
{
    struct molt_session *session = user;
    molt_buf_printf(&session->unloaded, "%s%s@%u unloaded after %llu ms",
                    session->unloaded.len ? "\n" : "", module, number,
                    (unsigned long long)retained_ms);
    if (!session->is_applying)
        tell_unloaded(session);
}

static void on_down(void *user, const char *text, unsigned restart_ms)
{
    struct molt_session *session = user;
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_printf(&buf, "%s", text);
    if (molt_agent_good_set(session->agent))
        molt_buf_printf(&buf, "\n  starting again in %u ms, on the last good set", restart_ms);
    note(session, MOLT_ERR, buf.is_failed ? text : buf.data);
    molt_session_problem(session, "crash", buf.is_failed ? text : buf.data);
    molt_buf_fini(&buf);
}

/* In production there is nothing left to do; in development the next save starts it
 * again. */
static void on_done(void *user)
{
    static const char text[] = "the app is done: its root supervisor ended in order";
    struct molt_session *session = user;
    bool is_production = !session->options.builder;
    session->is_stopping |= is_production;
    session->is_done = true;
    note(session, MOLT_INFO, text);
    molt_out_line(session->out, MOLT_TONE_PLAIN, "done", "%s%s", text,
                  is_production ? "" : "; the next save starts it again");
}

static void on_up(void *user, pid_t pid)
{
    struct molt_session *session = user;
    note(session, MOLT_INFO, "the host runs again");
    molt_out_line(session->out, MOLT_TONE_GOOD, "restarted", "the host runs again (pid %d)",
                  (int)pid);
    if (strcmp(session->problem_kind, "crash") == 0)
        molt_session_clear_problem(session);
}

static void view(void *user, struct molt_web_view *ret)
{
    const struct molt_session *session = user;
    *ret = (struct molt_web_view){.app = session->app,
                                  .mode = session->options.mode,
                                  .url = session->url,
                                  .problem_kind = session->problem_kind,
                                  .problem = session->problem,
                                  .last = session->last,
                                  .n_upgrades = session->n_upgrades};
}

static int load(void *user, const char *file, char **ret_text, struct molt_error *err)
{
    const struct molt_session *session = user;
    return session->options.load(session->options.user, file, ret_text, err);
}

static int plan(void *user, const char *folder, const struct molt_preview_options *options,
                molt_preview_fn *fn, void *fn_user, struct molt_error *err)
{
    struct molt_session *session = user;
    struct molt_set *set = NULL;
    int rc = folder ? molt_set_read(folder, &set, err)
                    : session->options.make_set(session->options.user, &set, err);
    if (rc < 0)
        return rc;
    rc = molt_agent_preview(session->agent, set, options, fn, fn_user, err);
    molt_set_free(set);
    return rc;
}

/* The set's files become the project's, so that it can be started again without @folder. */
static int take_files(struct molt_session *session, struct molt_set *set, struct molt_error *err)
{
    struct molt_buf folder = MOLT_BUF_INIT;
    molt_buf_printf(&folder, "%s/.molt/store", session->root);
    int rc = folder.is_failed ? MOLT_ENOMEM : molt_set_import(set, folder.data, err);
    molt_buf_fini(&folder);
    return rc;
}

/* It is what is started from now on. */
static int keep_set(struct molt_session *session, struct molt_error *err)
{
    struct molt_buf folder = MOLT_BUF_INIT;
    molt_buf_printf(&folder, "%s/.molt", session->root);
    int rc = folder.is_failed
                 ? MOLT_ENOMEM
                 : molt_set_write(molt_agent_good_set(session->agent), folder.data, err);
    molt_buf_fini(&folder);
    return rc;
}

static int apply(void *user, const char *folder, char **ret_text, struct molt_error *err)
{
    struct molt_session *session = user;
    struct molt_set *set = NULL;
    int rc = molt_set_read(folder, &set, err);
    if (rc < 0)
        return rc;
    rc = take_files(session, set, err);
    if (rc < 0) {
        molt_set_free(set);
        return rc;
    }
    rc = molt_session_apply(session, set, NULL, molt_clock_ns());
    if (rc < 0)
        return molt_error_set(err, rc, "%s",
                              *session->problem ? session->problem : molt_error_text(rc));
    rc = keep_set(session, err);
    if (rc < 0)
        return molt_error_wrap(err, rc, "it is live, but the next start won't know of it");
    *ret_text = strdup(session->last);
    return 0;
}

static int reload(void *user, char **ret_text, struct molt_error *err)
{
    return molt_session_reload(user, ret_text, err);
}

static void stop(void *user, int timeout_ms)
{
    struct molt_session *session = user;
    session->is_stopping = true;
    session->stop_ms = timeout_ms;
}

/* ---- life ------------------------------------------------------------------------------------ */

static char *join(const char *folder, const char *name)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_printf(&buf, "%s/%s", folder, name);
    char *path = molt_buf_take(&buf);
    molt_buf_fini(&buf);
    return path;
}

static int make_folder(const char *root, const char *name, struct molt_error *err)
{
    char *path = join(root, name);
    int rc = path ? 0 : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc == 0 && mkdir(path, 0755) < 0 && errno != EEXIST)
        rc = molt_error_set(err, MOLT_EIO, "%s: %s", path, strerror(errno));
    free(path);
    return rc;
}

static int say_who_has_it(const struct molt_session *session, struct molt_error *err)
{
    char who[64] = "an agent";
    ssize_t n = pread(session->lock_fd, who, sizeof(who) - 1, 0);
    if (n > 0)
        who[n] = 0;
    return molt_error_set(err, MOLT_EBUSY,
                          "%s runs for %s already: see `molt status`, or `molt stop` it", who,
                          session->root);
}

/* For the above. Who can't write it goes on. */
static void note_who_has_it(const struct molt_session *session)
{
    char who[64];
    int n = snprintf(who, sizeof(who), "molt %s (pid %d)", session->options.mode, (int)getpid());
    if (ftruncate(session->lock_fd, 0) == 0)
        (void)!pwrite(session->lock_fd, who, (size_t)n, 0);
}

/* Held as long as the descriptor is open, also if we are killed. */
static int take_lock(struct molt_session *session, struct molt_error *err)
{
    char *path = join(session->root, ".molt/agent.lock");
    if (!path)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    session->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = 0;
    if (session->lock_fd < 0)
        rc = molt_error_set(err, MOLT_EIO, "%s: %s", path, strerror(errno));
    else if (flock(session->lock_fd, LOCK_EX | LOCK_NB) < 0)
        rc = say_who_has_it(session, err);
    else
        note_who_has_it(session);
    free(path);
    return rc;
}

/* Of the host; handled like one of ours, from the loop. */
static void on_hangup(void *user)
{
    (void)user;
    (void)!write(hangup_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static int open_agent(struct molt_session *session, struct molt_error *err)
{
    struct molt_agent_options options = {.root = session->root,
                                         .builder = session->options.builder,
                                         .tuning = session->options.tuning,
                                         .is_sealed = session->options.is_sealed,
                                         .events = {.on_log = on_log,
                                                    .on_unloaded = on_unloaded,
                                                    .on_down = on_down,
                                                    .on_up = on_up,
                                                    .on_done = on_done,
                                                    .on_hangup = on_hangup,
                                                    .user = session}};
    return molt_agent_new(&options, &session->agent, err);
}

static int open_web(struct molt_session *session, struct molt_error *err)
{
    struct molt_api api = {.agent = session->agent,
                           .journal = session->journal,
                           .actions = {.view = view,
                                       .load = session->options.load ? load : NULL,
                                       .plan = plan,
                                       .apply = session->options.takes_sets ? apply : NULL,
                                       .reload = reload,
                                       .stop = stop,
                                       .user = session}};
    int fd;
    int rc = molt_listen_unix(session->socket_path, &fd, err);
    return rc < 0 ? rc : molt_web_new(&api, fd, &session->web, err);
}

static void free_session(struct molt_session *session)
{
    molt_web_free(session->web);
    molt_journal_free(session->journal);
    if (session->web)
        unlink(session->socket_path);
    molt_agent_free(session->agent);
    if (session->lock_fd >= 0)
        close(session->lock_fd);
    give_signals();
    char *strings[] = {session->root,         session->socket_path, session->app, session->url,
                       session->problem_kind, session->problem,     session->last};
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
        free(strings[i]);
    molt_buf_fini(&session->unloaded);
    free(session);
}

static int open_session(struct molt_session *session, struct molt_error *err)
{
    int rc = molt_journal_new(&session->journal);
    if (rc < 0)
        return molt_error_set(err, rc, "out of memory");
    rc = make_folder(session->root, ".molt", err);
    if (rc == 0)
        rc = make_folder(session->root, ".molt/store", err);
    if (rc == 0)
        rc = take_lock(session, err);
    if (rc == 0)
        rc = take_signals(session->options.takes_hangup, err);
    if (rc == 0)
        rc = open_agent(session, err);
    return rc < 0 ? rc : open_web(session, err);
}

int molt_session_new(const struct molt_session_options *options, struct molt_session **ret,
                     struct molt_error *err)
{
    struct molt_session *session = calloc(1, sizeof(*session));
    if (!session)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    session->options = *options;
    session->out = options->out;
    session->lock_fd = -1;
    session->stop_ms = -1; /* as configured */
    session->root = strdup(options->root);
    session->socket_path = join(options->root, ".molt/agent.sock");
    char **empty[] = {&session->app, &session->url, &session->problem_kind, &session->problem,
                      &session->last};
    int rc = session->root && session->socket_path ? 0 : MOLT_ENOMEM;
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
        if (!(*empty[i] = strdup("")))
            rc = MOLT_ENOMEM;
    keep(&session->app, options->app);
    if (rc < 0)
        molt_error_set(err, rc, "out of memory");
    else
        rc = open_session(session, err);
    if (rc < 0) {
        free_session(session);
        return rc;
    }
    *ret = session;
    return 0;
}

/* The answer to /v1/stop shall arrive before the socket closes. */
static void finish_answers(struct molt_session *session)
{
    uint64_t deadline = molt_clock_ms() + 1000;
    molt_web_end_waits(session->web);
    while (molt_web_is_busy(session->web) && molt_clock_ms() < deadline) {
        int fds[MOLT_WEB_FDS];
        molt_web_fds(session->web, fds);
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        int timeout = molt_web_timeout(session->web);
        poll(&p, 1, timeout < 0 || timeout > 100 ? 100 : timeout);
        molt_web_run(session->web);
    }
}

int molt_session_end(struct molt_session *session)
{
    if (!session)
        return MOLT_EXIT_OK;
    struct molt_error err = {0};
    finish_answers(session);
    int rc = molt_agent_stop(session->agent, session->stop_ms, &err);
    int code = rc < 0 ? molt_out_fail(session->out, rc, &err) : MOLT_EXIT_OK;
    if (rc == 0 && session->is_live)
        molt_out_line(session->out, MOLT_TONE_PLAIN, "stopped", "stopped");
    free_session(session);
    return code;
}

struct molt_agent *molt_session_agent(struct molt_session *session)
{
    return session->agent;
}

int molt_session_add_source(struct molt_session *session, const struct molt_session_source *source)
{
    if (session->n_sources == SOURCES_MAX)
        return MOLT_ELIMIT;
    session->sources[session->n_sources++] = *source;
    return 0;
}

void molt_session_open_page(struct molt_session *session, unsigned port)
{
    struct molt_error err = {0};
    if (molt_web_open_page(session->web, port, &err) < 0)
        molt_out_line(session->out, MOLT_TONE_DIM, "page",
                      "no page for the browser: %s (set dev.port in molt.conf)", err.text);
}

/* ---- applying ----------------------------------------------------------------------------------
 */

/* Where the app can be reached, if its set says so. 0: nowhere. */
static unsigned http_port(const struct molt_set *set)
{
    const char *text = molt_set_config(set, "http.port");
    if (!molt_set_find(set, "http"))
        return 0;
    unsigned long port = text ? strtoul(text, NULL, 10) : 9000;
    return port < 65536 ? (unsigned)port : 0;
}

/* A port that somebody else has is found before anything is started, unless
 * a host of ours runs already: then it is probably that. */
static int check_port(struct molt_session *session, const struct molt_set *set)
{
    unsigned port = http_port(set);
    const char *address = molt_set_config(set, "http.address");
    struct molt_buf text = MOLT_BUF_INIT;
    if (session->is_live || !port || molt_port_is_free(address, port))
        return 0;
    char *host_socket = join(session->root, ".molt/host.sock");
    int fd = -1;
    if (host_socket && molt_connect_unix(host_socket, &fd, NULL) == 0)
        close(fd);
    free(host_socket);
    if (fd >= 0)
        return 0;
    molt_buf_printf(&text,
                    "port %u is taken by another program\n  to go on: end that program, or set "
                    "another http.port in molt.conf",
                    port);
    molt_session_problem(session, "port", text.is_failed ? "the port is taken" : text.data);
    molt_buf_fini(&text);
    return MOLT_EEXIST;
}

/* Until the app accepts connections; there is no event for that across OS
 * processes. What the host has to say meanwhile is told. */
static bool wait_for_port(struct molt_session *session, const char *address, unsigned port)
{
    uint64_t deadline = molt_clock_ms() + LISTEN_MS;
    while (molt_clock_ms() < deadline && !molt_session_is_stopping(session)) {
        if (molt_port_accepts(address, port))
            return true;
        struct pollfd p = {.fd = molt_agent_fd(session->agent), .events = POLLIN};
        poll(&p, 1, 5);
        molt_agent_tick(session->agent);
        if (molt_agent_state(session->agent) != MOLT_AGENT_LIVE)
            return false;
    }
    return false;
}

static void say_live(struct molt_session *session, const struct molt_set *set)
{
    unsigned port = http_port(set);
    const char *hint =
        strcmp(session->options.mode, "dev") == 0 ? molt_report_hint(session->root) : "";
    struct molt_buf url = MOLT_BUF_INIT, line = MOLT_BUF_INIT;
    keep(&session->app, set->name);
    if (port)
        molt_buf_printf(&url, "http://localhost:%u", port);
    if (port && !wait_for_port(session, molt_set_config(set, "http.address"), port)) {
        molt_buf_printf(&line, "%s runs, but nothing listens on port %u", set->name, port);
        molt_session_problem(session, "not listening", line.data ? line.data : "");
    } else {
        keep(&session->url, url.data ? url.data : "");
        molt_buf_printf(&line, "%s is live%s%s%s%s", set->name, port ? ": " : "",
                        port ? session->url : "", *hint ? "   edit " : "", hint);
        molt_out_line(session->out, MOLT_TONE_GOOD, "live", "%s", line.data ? line.data : "");
    }
    if (molt_agent_is_attached(session->agent))
        molt_out_line(session->out, MOLT_TONE_DIM, "attached",
                      "the host (pid %d) was running already, and went on",
                      (int)molt_agent_host_pid(session->agent));
    session->is_live = true;
    molt_buf_fini(&url);
    molt_buf_fini(&line);
}

static void say_upgraded(struct molt_session *session, const struct molt_outcome *outcome,
                         const struct molt_build_result *built, uint64_t start_ns)
{
    struct molt_buf line = MOLT_BUF_INIT;
    if (outcome->is_unchanged) {
        molt_buf_printf(&line, "nothing to change: what runs is what was saved");
    } else {
        molt_report_upgrade(&outcome->upgrade, built, molt_clock_ns() - start_ns, &line);
        molt_report_moved(outcome->moved, &line);
        session->n_upgrades++;
        keep(&session->last, line.data ? line.data : "");
        note(session, MOLT_INFO, session->last);
    }
    molt_out_line(session->out, outcome->is_unchanged ? MOLT_TONE_DIM : MOLT_TONE_GOOD,
                  outcome->is_unchanged ? "unchanged" : "upgraded", "%s",
                  line.data ? line.data : "");
    molt_buf_fini(&line);
}

int molt_session_adopt(struct molt_session *session, struct molt_set *set, struct molt_error *err)
{
    int rc = molt_agent_adopt(session->agent, set, err);
    if (rc == 0 && molt_agent_state(session->agent) == MOLT_AGENT_LIVE)
        say_live(session, molt_agent_good_set(session->agent));
    return rc;
}

int molt_session_apply(struct molt_session *session, struct molt_set *set,
                       const struct molt_build_result *built, uint64_t start_ns)
{
    int rc = check_port(session, set);
    if (rc < 0) {
        molt_set_free(set);
        return rc;
    }
    struct molt_outcome outcome;
    session->is_applying = true;
    session->is_done = false;
    rc = molt_agent_apply(session->agent, set, &outcome);
    if (rc < 0 && session->is_done) {
        rc = 0; /* its tree ended while it was started: that has been told */
    } else if (rc < 0) {
        molt_session_problem(session, "refused", outcome.text ? outcome.text : molt_error_text(rc));
    } else {
        molt_session_clear_problem(session);
        if (session->is_live)
            say_upgraded(session, &outcome, built, start_ns);
        else
            say_live(session, molt_agent_good_set(session->agent));
    }
    tell_unloaded(session);
    molt_outcome_fini(&outcome);
    return rc;
}

/* ---- molt.conf, again
 * ------------------------------------------------------------------------------------- */

static int configure(struct molt_session *session, const struct molt_conf *conf,
                     struct molt_conf_changes *ret, struct molt_error *err)
{
    const struct molt_set *good = molt_agent_good_set(session->agent);
    if (!good)
        return molt_error_set(err, MOLT_ECLOSED, "no app runs yet");
    molt_conf_changes_find(good, conf->n, conf->keys, conf->values, ret);
    return molt_agent_configure(session->agent, conf->n, conf->keys, conf->values, err);
}

int molt_session_reload(struct molt_session *session, char **ret_text, struct molt_error *err)
{
    struct molt_conf conf;
    struct molt_conf_changes changes = {MOLT_BUF_INIT, MOLT_BUF_INIT};
    int rc = molt_project_read_conf(session->root, &conf, err);
    if (rc < 0)
        return rc;
    rc = configure(session, &conf, &changes, err);
    if (rc == 0) {
        struct molt_buf text = MOLT_BUF_INIT;
        molt_conf_changes_show(&changes, session->options.mode, session->out);
        molt_conf_changes_print(&changes, session->options.mode, &text);
        if (ret_text)
            *ret_text = molt_buf_take(&text);
        molt_buf_fini(&text);
    }
    molt_conf_changes_fini(&changes);
    molt_conf_fini(&conf);
    return rc;
}

static void reload_on_hangup(struct molt_session *session)
{
    struct molt_error err = {0};
    (void)!read(hangup_fd, &(uint64_t){0}, sizeof(uint64_t));
    int rc = molt_session_reload(session, NULL, &err);
    if (rc < 0)
        molt_out_line(session->out, MOLT_TONE_BAD, "config", "%s\nnothing changed",
                      *err.text ? err.text : molt_error_text(rc));
}

/* ---- the loop
 * ------------------------------------------------------------------------------------- */

static int least(int a, int b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

static void step(struct molt_session *session)
{
    enum { SIGNAL, HANGUP, AGENT, WEB, SOURCES = WEB + MOLT_WEB_FDS, N = SOURCES + SOURCES_MAX };
    int web[MOLT_WEB_FDS];
    molt_web_fds(session->web, web);
    struct pollfd p[N];
    for (int i = 0; i < N; i++)
        p[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    p[SIGNAL].fd = signal_fd;
    p[HANGUP].fd = hangup_fd;
    p[AGENT].fd = molt_agent_fd(session->agent);
    for (int i = 0; i < MOLT_WEB_FDS; i++)
        p[WEB + i].fd = web[i];
    for (size_t i = 0; i < session->n_sources; i++)
        p[SOURCES + i].fd = session->sources[i].fd;
    int timeout = least(molt_agent_timeout(session->agent), molt_web_timeout(session->web));
    if (poll(p, N, timeout) < 0)
        return; /* interrupted: the next round looks again */
    if (p[SIGNAL].revents)
        session->is_stopping = true;
    if (p[HANGUP].revents && !session->is_stopping)
        reload_on_hangup(session);
    for (size_t i = 0; i < session->n_sources && !session->is_stopping; i++)
        if (p[SOURCES + i].revents)
            session->sources[i].on_ready(session->sources[i].user);
    molt_agent_tick(session->agent);
    molt_web_run(session->web);
}

void molt_session_loop(struct molt_session *session)
{
    while (!session->is_stopping)
        step(session);
}
