/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "control/agent/link.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/listen.h"

#define HELLO_MS 10000
#define CHILD_FD 3

struct molt_link {
    struct molt_conn *conn;
    pid_t pid;
    int pidfd; /* -1: the kernel has none */
    bool is_child, is_started, is_lost;
    char *root; /* supervisor; NULL before HELLO */
    uint32_t last_id;
    molt_link_event_fn *on_event;
    void *user;
};

/* ---- finding and starting -------------------------------------------------- */

int molt_link_find_host(char **ret, struct molt_error *err)
{
    const char *env = getenv("MOLT_HOST");
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    struct molt_buf path = MOLT_BUF_INIT;
    if (env && *env)
        molt_buf_printf(&path, "%s", env);
    else
        molt_buf_printf(&path, "%s/molt-host", self);
    char *found = molt_buf_take(&path);
    if (!found)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (access(found, X_OK) < 0) {
        molt_error_set(err, MOLT_ENOENT,
                       "%s: %s; it belongs beside molt, or set MOLT_HOST to its path", found,
                       strerror(errno));
        free(found);
        return MOLT_ENOENT;
    }
    *ret = found;
    return 0;
}

/* Default signal actions, nothing blocked, a process group of its own. */
static int prepare_spawn(posix_spawnattr_t *attr, posix_spawn_file_actions_t *actions, int fd)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (int s = 1; s < 32; s++)
        if (s != SIGKILL && s != SIGSTOP)
            sigaddset(&defaults, s);
    int rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attr, 0);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attr, &defaults);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", 0, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, fd, CHILD_FD);
    return rc;
}

struct arguments {
    size_t n;
    const char *v[20];
    char numbers[4][24];
    size_t n_numbers;
};

/* "--@option N", unless @number is 0. */
static void add_number(struct arguments *a, const char *option, unsigned long number)
{
    if (!number)
        return;
    char *text = a->numbers[a->n_numbers++];
    snprintf(text, sizeof(a->numbers[0]), "%lu", number);
    a->v[a->n++] = option;
    a->v[a->n++] = text;
}

static void make_arguments(struct arguments *a, const struct molt_link_options *o)
{
    a->v[a->n++] = o->host;
    a->v[a->n++] = "--store";
    a->v[a->n++] = o->store;
    add_number(a, "--control", CHILD_FD);
    if (o->socket) {
        a->v[a->n++] = "--control";
        a->v[a->n++] = o->socket;
    }
    add_number(a, "--workers", o->tuning.workers);
    add_number(a, "--spare", o->tuning.spares);
    add_number(a, "--stack", o->tuning.stack_kib);
    if (o->tuning.is_pinned)
        a->v[a->n++] = "--pinned";
    if (o->is_sealed)
        a->v[a->n++] = "--sealed";
}

static int spawn_host(const struct molt_link_options *o, int fd, pid_t *ret_pid)
{
    struct arguments a = {0};
    make_arguments(&a, o);
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_init(&actions);
    int rc = prepare_spawn(&attr, &actions, fd);
    if (rc == 0)
        rc = posix_spawn(ret_pid, o->host, &actions, &attr, (char *const *)(uintptr_t)a.v, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return rc;
}

/* ---- life ------------------------------------------------------------------- */

static struct molt_link *make_link(const struct molt_link_options *o, int fd)
{
    struct molt_link *link = calloc(1, sizeof(*link));
    if (!link)
        return NULL;
    link->pidfd = -1;
    link->on_event = o->on_event;
    link->user = o->user;
    if (molt_conn_new(fd, &link->conn) < 0) {
        free(link);
        return NULL;
    }
    return link;
}

static void open_pidfd(struct molt_link *link)
{
    if (link->pidfd < 0 && link->pid > 0)
        link->pidfd = (int)syscall(SYS_pidfd_open, link->pid, 0);
}

static int say_hello(struct molt_link *link, struct molt_error *err)
{
    struct molt_buf ask = MOLT_BUF_INIT, answer = MOLT_BUF_INIT;
    molt_buf_u32(&ask, MOLT_PROTOCOL_VERSION);
    int rc = molt_link_request(link, MOLT_FRAME_HELLO, &ask, -1, HELLO_MS, &answer, err);
    if (rc == 0) {
        struct molt_reader r = molt_reader_init(answer.data, answer.len);
        molt_reader_u32(&r);
        molt_reader_u32(&r);
        link->pid = (pid_t)molt_reader_u32(&r);
        link->is_started = molt_reader_u8(&r);
        free(link->root);
        link->root = molt_reader_str(&r);
        if (!molt_reader_at_end(&r))
            rc = molt_error_set(err, MOLT_EFORMAT, "the host's HELLO is malformed");
    }
    molt_buf_fini(&ask);
    molt_buf_fini(&answer);
    return rc;
}

/* A host that didn't get as far as HELLO says why on standard error. */
static int give_up(struct molt_link *link)
{
    int status, code = MOLT_ECLOSED;
    if (link->is_child && molt_link_wait_exit(link, 1000, &status) < 0)
        kill(link->pid, SIGKILL);
    if (link->is_child)
        molt_link_wait_exit(link, -1, &status);
    molt_link_free(link);
    return code;
}

int molt_link_spawn(const struct molt_link_options *options, struct molt_link **ret,
                    struct molt_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return molt_error_set(err, MOLT_EIO, "socketpair: %s", strerror(errno));
    struct molt_link *link = make_link(options, pair[0]);
    if (!link) {
        close(pair[0]);
        close(pair[1]);
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    int rc = spawn_host(options, pair[1], &link->pid);
    close(pair[1]);
    if (rc) {
        molt_link_free(link);
        return molt_error_set(err, MOLT_EIO, "%s: %s", options->host, strerror(rc));
    }
    link->is_child = true;
    open_pidfd(link);
    rc = say_hello(link, err);
    if (rc < 0) {
        give_up(link);
        return molt_error_wrap(err, rc, "starting %s", options->host);
    }
    *ret = link;
    return 0;
}

int molt_link_attach(const struct molt_link_options *options, struct molt_link **ret,
                     struct molt_error *err)
{
    int fd;
    int rc = molt_connect_unix(options->socket, &fd, err);
    if (rc < 0)
        return rc;
    struct molt_link *link = make_link(options, fd);
    if (!link) {
        close(fd);
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    rc = say_hello(link, err);
    if (rc < 0) {
        molt_link_free(link);
        return rc;
    }
    open_pidfd(link);
    *ret = link;
    return 0;
}

void molt_link_free(struct molt_link *link)
{
    if (!link)
        return;
    molt_conn_free(link->conn);
    if (link->pidfd >= 0)
        close(link->pidfd);
    free(link->root);
    free(link);
}

int molt_link_fd(const struct molt_link *link)
{
    return molt_conn_fd(link->conn);
}

pid_t molt_link_pid(const struct molt_link *link)
{
    return link->pid;
}

bool molt_link_is_started(const struct molt_link *link)
{
    return link->is_started;
}

const char *molt_link_root(const struct molt_link *link)
{
    return link->root ? link->root : "";
}

bool molt_link_is_lost(const struct molt_link *link)
{
    return link->is_lost;
}

/* ---- talking ------------------------------------------------------------------ */

static int lose(struct molt_link *link, int code, struct molt_error *err)
{
    link->is_lost = true;
    if (code == MOLT_ETIMEDOUT)
        return molt_error_set(err, code, "the host (pid %d) does not answer", (int)link->pid);
    if (code == MOLT_EFORMAT)
        return molt_error_set(err, MOLT_ECLOSED, "the host (pid %d) sent garbage", (int)link->pid);
    return molt_error_set(err, MOLT_ECLOSED, "the host (pid %d) ended the connection",
                          (int)link->pid);
}

static void deliver(struct molt_link *link, const struct molt_frame *frame)
{
    if (frame->fd >= 0)
        close(frame->fd);
    if (link->on_event && frame->type != MOLT_FRAME_REPLY)
        link->on_event(link->user, frame);
}

/* The reply's code, with its payload or its text. */
static int read_reply(const struct molt_frame *frame, struct molt_buf *ret, struct molt_error *err)
{
    struct molt_reader r = molt_reader_init(frame->payload, frame->len);
    int code = (int)molt_reader_u32(&r);
    if (code < 0) {
        char *text = molt_reader_str(&r);
        molt_error_set(err, code, "%s", text ? text : molt_error_text(code));
        free(text);
        return code;
    }
    if (r.is_failed)
        return molt_error_set(err, MOLT_EFORMAT, "the host's reply is malformed");
    if (ret)
        molt_buf_add(ret, r.at, (size_t)(r.end - r.at));
    return ret && ret->is_failed ? molt_error_set(err, MOLT_ENOMEM, "out of memory") : 0;
}

int molt_link_request(struct molt_link *link, uint32_t type, const struct molt_buf *payload, int fd,
                      int timeout_ms, struct molt_buf *ret, struct molt_error *err)
{
    if (link->is_lost)
        return lose(link, MOLT_ECLOSED, err);
    if (payload && payload->is_failed)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    uint32_t id = ++link->last_id ? link->last_id : ++link->last_id;
    /* A send that fails is not the last word: the reason may have come in. */
    int sent = molt_conn_send(link->conn, type, id, payload ? payload->data : NULL,
                              payload ? payload->len : 0, fd);
    if (sent == MOLT_ELIMIT)
        return molt_error_set(err, sent, "the request is longer than a frame may be");
    uint64_t deadline = molt_clock_ms() + (uint64_t)timeout_ms;
    for (;;) {
        uint64_t now = molt_clock_ms();
        struct molt_frame frame;
        int rc = molt_conn_receive(link->conn, now < deadline ? (int)(deadline - now) : 0, &frame);
        if (rc == 0)
            return lose(link, sent < 0 ? MOLT_ECLOSED : MOLT_ETIMEDOUT, err);
        if (rc < 0)
            return lose(link, rc, err);
        bool is_mine = frame.type == MOLT_FRAME_REPLY && (frame.id == id || frame.id == 0);
        if (!is_mine) {
            deliver(link, &frame);
            continue;
        }
        if (frame.fd >= 0)
            close(frame.fd);
        return read_reply(&frame, ret, err);
    }
}

int molt_link_poll(struct molt_link *link)
{
    while (!link->is_lost) {
        struct molt_frame frame;
        int rc = molt_conn_receive(link->conn, 0, &frame);
        if (rc == 0)
            return 0;
        if (rc < 0)
            break;
        deliver(link, &frame);
    }
    link->is_lost = true;
    return MOLT_ECLOSED;
}

/* 1: it ended; 0: not within the time. */
static int wait_pidfd(int pidfd, int timeout_ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    uint64_t deadline = molt_clock_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
    int n;
    do {
        uint64_t now = molt_clock_ms();
        n = poll(&p, 1, timeout_ms < 0 ? -1 : now < deadline ? (int)(deadline - now) : 0);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/* Kernels without pidfd_open(2) have no event for this: look now and then. */
static int wait_child(pid_t pid, int timeout_ms, int *ret_status)
{
    uint64_t deadline = molt_clock_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
    for (;;) {
        pid_t done = waitpid(pid, ret_status, timeout_ms < 0 ? 0 : WNOHANG);
        if (done == pid || (done < 0 && errno != EINTR))
            return 1;
        if (timeout_ms >= 0 && molt_clock_ms() >= deadline)
            return 0;
        poll(NULL, 0, 10);
    }
}

int molt_link_wait_exit(struct molt_link *link, int timeout_ms, int *ret_status)
{
    *ret_status = -1;
    if (link->pidfd >= 0 && !wait_pidfd(link->pidfd, timeout_ms))
        return MOLT_ETIMEDOUT;
    if (link->is_child && !wait_child(link->pid, timeout_ms, ret_status))
        return MOLT_ETIMEDOUT;
    link->is_child = false; /* reaped: the number is no longer ours */
    return 0;
}
