/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/server.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/connections.h"
#include "control/crash.h"
#include "control/log_ring.h"
#include "control/protocol.h"
#include "control/record.h"
#include "control/request.h"
#include "control/settings.h"
#include "upgrade/upgrade.h"

/* An old version that left memory, until the agent was told. */
struct unloaded {
    struct unloaded *next;
    unsigned number;
    uint64_t retained_ms;
    char module[64];
};

struct molt_control {
    struct molt_control_config config;
    struct molt_request_state requests;
    struct molt_conn *conn; /* the agent; NULL: none */
    int result;             /* of the host's stop */
    int root_end;           /* negative: that is why it was stopped */
    struct unloaded *unloaded, **unloaded_end;
};

/* Called with locks held: only note it. What can't be noted isn't told. */
static void note_unloaded(void *user, const char *module, unsigned number, uint64_t retained_ms)
{
    struct molt_control *control = user;
    struct unloaded *u = calloc(1, sizeof(*u));
    if (!u)
        return;
    u->number = number;
    u->retained_ms = retained_ms;
    snprintf(u->module, sizeof(u->module), "%s", module);
    *control->unloaded_end = u;
    control->unloaded_end = &u->next;
}

/* On a worker. The ring outlives the host's threads. */
static void note_crash(void *ring, const struct molt_runtime_crash *crash)
{
    struct molt_buf payload = MOLT_BUF_INIT;
    molt_record_put_contained(&payload, crash);
    molt_log_ring_push_crash(ring, &payload);
}

int molt_control_new(const struct molt_control_config *config, struct molt_control **ret)
{
    struct molt_control *control = calloc(1, sizeof(*control));
    if (!control)
        return MOLT_ENOMEM;
    control->config = *config;
    control->unloaded_end = &control->unloaded;
    molt_control_request_init(&control->requests, config->host, config->settings);
    if (config->conn_fd >= 0) {
        int rc = molt_conn_new(config->conn_fd, &control->conn);
        if (rc < 0) {
            free(control);
            return rc;
        }
        molt_crash_attach(config->conn_fd);
    }
    molt_host_on_unloaded(config->host, note_unloaded, control);
    molt_host_on_crash(config->host, note_crash, config->ring);
    *ret = control;
    return 0;
}

/* The agent is gone: what it left half done is undone. */
static void detach(struct molt_control *control)
{
    molt_crash_attach(-1);
    molt_conn_free(control->conn);
    control->conn = NULL;
    molt_control_request_abandon(&control->requests);
}

static void drop_unloaded(struct molt_control *control)
{
    struct unloaded *u = control->unloaded;
    control->unloaded = u->next;
    if (!control->unloaded)
        control->unloaded_end = &control->unloaded;
    free(u);
}

void molt_control_free(struct molt_control *control)
{
    if (!control)
        return;
    if (control->conn)
        detach(control);
    if (control->config.listen_fd >= 0)
        close(control->config.listen_fd);
    molt_host_on_unloaded(control->config.host, NULL, NULL);
    while (control->unloaded)
        drop_unloaded(control);
    free(control);
}

static void end_if_over(struct molt_control *control);

/* ---- the agent's connection --------------------------------------------- */

static void send_event(struct molt_control *control, uint32_t type, const struct molt_buf *buf)
{
    if (!control->conn || buf->is_failed)
        return;
    if (molt_conn_send(control->conn, type, 0, buf->data, buf->len, -1) < 0)
        detach(control);
}

static void send_log(struct molt_control *control, enum molt_level level, const char *text)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_u32(&buf, level);
    molt_buf_str(&buf, text);
    send_event(control, MOLT_FRAME_LOG, &buf);
    molt_buf_fini(&buf);
}

/* At most one ring's worth at a time, so that a flood of messages can't keep
 * requests waiting. */
static void drain_log(struct molt_control *control)
{
    struct molt_log_entry entry;
    uint64_t lost = 0;
    for (int i = 0; control->conn && i < 256; i++) {
        if (!molt_log_ring_pop(control->config.ring, &entry, &lost))
            return;
        if (lost) {
            char note[64];
            snprintf(note, sizeof(note), "%llu log messages were dropped here",
                     (unsigned long long)lost);
            send_log(control, MOLT_WARN, note);
        }
        if (entry.crash.len)
            send_event(control, MOLT_FRAME_CONTAINED, &entry.crash);
        else
            send_log(control, entry.level, entry.text);
        molt_buf_fini(&entry.crash);
    }
}

static void serve_frame(struct molt_control *control, const struct molt_frame *frame)
{
    struct molt_buf out = MOLT_BUF_INIT;
    struct molt_error err = {0};
    int rc = molt_control_request_serve(&control->requests, frame, &out, &err);
    if (frame->fd >= 0)
        close(frame->fd);
    /* A tree that could not start, or didn't survive the upgrade: no answer is the
     * right one, the host ends. */
    end_if_over(control);
    if (control->root_end < 0) {
        molt_buf_fini(&out);
        return;
    }
    /* What the stop had to say comes before the agent goes away. */
    if (control->requests.is_stopped)
        drain_log(control);
    if (control->conn && (rc == MOLT_REQUEST_MALFORMED ||
                          molt_conn_reply(control->conn, frame->id, rc, err.text, &out) < 0))
        detach(control);
    molt_buf_fini(&out);
}

static void serve_conn(struct molt_control *control)
{
    while (control->conn && !control->requests.is_stopped) {
        struct molt_frame frame;
        int rc = molt_conn_receive(control->conn, 0, &frame);
        if (rc == 0)
            return;
        if (rc < 0)
            detach(control);
        else
            serve_frame(control, &frame);
    }
}

static void send_unloaded(struct molt_control *control)
{
    for (; control->unloaded; drop_unloaded(control)) {
        struct molt_buf buf = MOLT_BUF_INIT;
        molt_buf_str(&buf, control->unloaded->module);
        molt_buf_u32(&buf, control->unloaded->number);
        molt_buf_u64(&buf, control->unloaded->retained_ms);
        send_event(control, MOLT_FRAME_UNLOADED, &buf);
        molt_buf_fini(&buf);
    }
}

/* ---- new agents --------------------------------------------------------- */

/* Whoever may send us code is us, or root. */
static bool is_allowed(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return false;
    return cred.uid == geteuid() || cred.uid == 0;
}

static void accept_agent(struct molt_control *control)
{
    int fd = accept4(control->config.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct molt_conn *conn;
    if (!is_allowed(fd) || molt_conn_new(fd, &conn) < 0) {
        close(fd);
        return;
    }
    if (control->conn) {
        molt_conn_set_stall(conn, 0);
        molt_conn_reply(conn, 0, MOLT_EBUSY, "another agent is connected to this host", NULL);
        molt_conn_free(conn);
        return;
    }
    control->conn = conn;
    molt_control_request_greet(&control->requests);
    molt_crash_attach(fd);
}

/* ---- the loop ----------------------------------------------------------- */

static void stop_host(struct molt_control *control)
{
    control->result = molt_host_stop(control->config.host,
                                     molt_settings_stop_ms(
                                         molt_settings_get(control->config.settings, "stop_ms")));
    control->requests.is_stopped = true;
}

static int quiet_without_agent(const struct molt_control *control, int fd)
{
    return control->conn ? fd : -1;
}

static void send_over(struct molt_control *control)
{
    struct molt_buf buf = MOLT_BUF_INIT;
    molt_buf_u32(&buf, (uint32_t)control->root_end);
    molt_buf_str(&buf, control->requests.root);
    molt_buf_u64(&buf, molt_connections_count());
    send_event(control, MOLT_FRAME_OVER, &buf);
    molt_buf_fini(&buf);
}

/* Nothing supervises the app any more: what is left of it is no app. The agent
 * hears why before it hears the end. */
static void end_if_over(struct molt_control *control)
{
    int root_end = molt_host_root_end(control->config.host);
    if (root_end == 0 || control->requests.is_stopped)
        return;
    control->root_end = root_end;
    drain_log(control);
    send_over(control);
    stop_host(control);
}

/* The file is the agent's to read: without one nothing can be done. */
static void pass_hangup(struct molt_control *control)
{
    struct signalfd_siginfo info;
    struct molt_buf nothing = MOLT_BUF_INIT;
    if (read(control->config.hangup_fd, &info, sizeof(info)) < 0)
        return;
    if (control->conn)
        send_event(control, MOLT_FRAME_HANGUP, &nothing);
    else
        molt_log_ring_push(control->config.ring, MOLT_WARN,
                           "SIGHUP: no agent is connected that could read the configuration; "
                           "nothing changed");
}

int molt_control_step(struct molt_control *control, int timeout_ms)
{
    struct molt_control_config *config = &control->config;
    enum { CONN, EVENT, RING, LISTEN, SIGNAL, HANGUP, N };
    struct pollfd p[N] = {
        [CONN] = {control->conn ? molt_conn_fd(control->conn) : -1, POLLIN, 0},
        [EVENT] = {molt_host_event_fd(config->host), POLLIN, 0},
        [RING] = {quiet_without_agent(control, molt_log_ring_fd(config->ring)), POLLIN, 0},
        [LISTEN] = {config->listen_fd, POLLIN, 0},
        [SIGNAL] = {config->signal_fd, POLLIN, 0},
        [HANGUP] = {config->hangup_fd, POLLIN, 0},
    };
    if (poll(p, N, timeout_ms) < 0 && errno != EINTR)
        return 1;
    if (p[SIGNAL].revents)
        stop_host(control);
    if (p[HANGUP].revents)
        pass_hangup(control);
    if (p[CONN].revents && control->conn)
        serve_conn(control);
    if (p[EVENT].revents && !control->requests.is_stopped)
        molt_host_housekeep(config->host);
    end_if_over(control);
    send_unloaded(control);
    if (p[RING].revents)
        drain_log(control);
    if (p[LISTEN].revents && !control->requests.is_stopped)
        accept_agent(control);
    return !control->requests.is_stopped;
}

int molt_control_run(struct molt_control *control, struct molt_error *err)
{
    while (molt_control_step(control, -1))
        ;
    if (control->conn)
        drain_log(control);
    if (control->root_end < 0 && control->root_end != MOLT_ESHUTDOWN) {
        molt_error_set(err, control->root_end,
                       "the root supervisor '%s' ended: %s; nothing of the app runs any more",
                       control->requests.root, molt_error_text(control->root_end));
        return MOLT_CONTROL_OVER;
    }
    int rc = control->result ? control->result : control->requests.stop_code;
    if (rc < 0)
        return molt_error_set(err, rc, "the stop was not complete: %s", molt_error_text(rc));
    return 0;
}
