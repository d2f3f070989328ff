/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * molt-host: the OS process that runs an app's modules, told what to run by an
 * agent over the control protocol.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <molt/host.h>

#include "control/crash.h"
#include "control/listen.h"
#include "control/log_ring.h"
#include "control/protocol.h"
#include "control/server.h"
#include "control/settings.h"
#include "upgrade/upgrade.h"

#define LOG_MESSAGES 256

static const char help[] =
    "usage: molt-host --store DIR --control FD|PATH [OPTION]...\n"
    "Run an app's modules. The agent (molt) starts this program; see molt(1).\n"
    "\n"
    "  --store DIR        where images are mapped from; must exist\n"
    "  --control FD|PATH  serve the agent on descriptor FD, or any agent that connects\n"
    "                     to the unix socket PATH; may be given once for each\n"
    "  --workers N        threads that run processes; default: one per core\n"
    "  --pinned           each of them on a core of its own\n"
    "  --spare N          more threads, for when callbacks block theirs; default: 8\n"
    "  --stack KIB        stack of a callback; default: 256\n"
    "  --sealed           map images from sealed memory instead of the store\n"
    "  --help, --version\n"
    "\n"
    "SIGTERM and SIGINT stop the app in order, within 5 seconds or the app's stop_ms.\n"
    "SIGHUP asks the agent to read molt.conf again.\n"
    "Exit codes: 0 stopped, 1 failed, 2 usage, 3 the root supervisor gave up.\n";

struct options {
    const char *store, *listen_path;
    int conn_fd;
    int signal_fd, hangup_fd; /* not given, but beside them all the way */
    unsigned workers, spares;
    size_t stack_bytes;
    bool is_sealed, is_pinned;
};

/* What the host calls back for. */
struct surroundings {
    struct molt_settings *settings;
    struct molt_log_ring *ring;
};

static void on_log(void *user, enum molt_level level, const char *text)
{
    molt_log_ring_push(((struct surroundings *)user)->ring, level, text);
}

static const char *on_config(void *user, const char *key)
{
    return molt_settings_get(((struct surroundings *)user)->settings, key);
}

/* ---- options -------------------------------------------------------------- */

static int usage(const char *what, const char *value)
{
    fprintf(stderr, "molt-host: %s%s%s\nTry molt-host --help.\n", what, value ? ": " : "",
            value ? value : "");
    return 2;
}

static bool read_number(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || v > max)
        return false;
    *ret = v;
    return true;
}

static int read_option(int c, struct options *o)
{
    unsigned long n;
    switch (c) {
    case 's':
        o->store = optarg;
        return 0;
    case 'c':
        if (read_number(optarg, INT_MAX, &n))
            o->conn_fd = (int)n;
        else
            o->listen_path = optarg;
        return 0;
    case 'w':
        if (!read_number(optarg, 256, &n))
            return usage("--workers needs a number up to 256", optarg);
        o->workers = (unsigned)n;
        return 0;
    case 'r':
        if (!read_number(optarg, 256, &n) || n < 1)
            return usage("--spare needs a number from 1 to 256", optarg);
        o->spares = (unsigned)n;
        return 0;
    case 'p':
        o->is_pinned = true;
        return 0;
    case 'k':
        if (!read_number(optarg, 1u << 20, &n) || n < 16)
            return usage("--stack needs a number of KiB from 16 to 1048576", optarg);
        o->stack_bytes = (size_t)n * 1024;
        return 0;
    case 'S':
        o->is_sealed = true;
        return 0;
    case 'h':
        fputs(help, stdout);
        return -1;
    case 'v':
        puts("molt-host " MOLT_VERSION);
        return -1;
    default:
        return 2; /* getopt said what */
    }
}

/* 0: go on; -1: done; else an exit code. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option table[] = {
        {"store", required_argument, NULL, 's'},   {"control", required_argument, NULL, 'c'},
        {"workers", required_argument, NULL, 'w'}, {"stack", required_argument, NULL, 'k'},
        {"pinned", no_argument, NULL, 'p'},        {"spare", required_argument, NULL, 'r'},
        {"sealed", no_argument, NULL, 'S'},        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},       {0}};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        int rc = read_option(c, o);
        if (rc)
            return rc;
    }
    if (optind < argc)
        return usage("unexpected argument", argv[optind]);
    if (!o->store)
        return usage("--store is missing", NULL);
    if (o->conn_fd < 0 && !o->listen_path)
        return usage("--control is missing", NULL);
    return 0;
}

/* ---- the parts, put together ------------------------------------------------ */

/* Before any thread exists: signals come through a descriptor, and a peer that
 * went away is an error code. */
static int take_signals(struct options *o)
{
    sigset_t stop, hangup;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &stop, NULL) < 0 || sigprocmask(SIG_BLOCK, &hangup, NULL) < 0)
        return -1;
    signal(SIGPIPE, SIG_IGN);
    o->hangup_fd = signalfd(-1, &hangup, SFD_CLOEXEC | SFD_NONBLOCK);
    o->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    return o->hangup_fd < 0 || o->signal_fd < 0 ? -1 : 0;
}

static int complain(int code, const struct molt_error *err)
{
    fprintf(stderr, "molt-host: %s\n", *err->text ? err->text : molt_error_text(code));
    return 1;
}

static int serve(struct molt_host *host, struct surroundings *s, const struct options *o,
                 int listen_fd)
{
    struct molt_control_config config = {.host = host,
                                         .settings = s->settings,
                                         .ring = s->ring,
                                         .conn_fd = o->conn_fd,
                                         .listen_fd = listen_fd,
                                         .signal_fd = o->signal_fd,
                                         .hangup_fd = o->hangup_fd};
    struct molt_control *control;
    struct molt_error err = {0};
    int rc = molt_control_new(&config, &control);
    if (rc < 0)
        return complain(rc, &err);
    rc = molt_control_run(control, &err);
    molt_control_free(control);
    if (rc == MOLT_CONTROL_OVER) {
        complain(err.code, &err);
        return MOLT_HOST_EXIT_OVER;
    }
    return rc < 0 ? complain(rc, &err) : 0;
}

static int run_host(struct surroundings *s, const struct options *o, int listen_fd)
{
    struct molt_host_config config = {.size = sizeof(config),
                                      .store = o->store,
                                      .workers = o->workers,
                                      .stack_bytes = o->stack_bytes,
                                      .spares = o->spares,
                                      .is_pinned = o->is_pinned,
                                      .is_sealed = o->is_sealed,
                                      .log = on_log,
                                      .config_get = on_config,
                                      .user = s};
    struct molt_host *host;
    struct molt_error err = {0};
    int rc = molt_host_new(&config, &host, &err);
    if (rc < 0)
        return complain(rc, &err);
    rc = molt_crash_install(molt_host_code(host), &err);
    rc = rc < 0 ? complain(rc, &err) : serve(host, s, o, listen_fd);
    molt_crash_uninstall();
    molt_host_free(host);
    return rc;
}

static int run(struct options *o)
{
    struct surroundings s = {0};
    struct molt_error err = {0};
    int listen_fd = -1;
    int rc =
        take_signals(o) < 0 ? molt_error_set(&err, MOLT_EIO, "signals: %s", strerror(errno)) : 0;
    if (rc == 0 && o->conn_fd >= 0 && fcntl(o->conn_fd, F_SETFD, FD_CLOEXEC) < 0)
        rc = molt_error_set(&err, MOLT_EINVAL, "--control %d: %s", o->conn_fd, strerror(errno));
    if (rc == 0 && o->listen_path)
        rc = molt_listen_unix(o->listen_path, &listen_fd, &err);
    if (rc == 0)
        rc = molt_settings_new(&s.settings);
    if (rc == 0)
        rc = molt_log_ring_new(LOG_MESSAGES, &s.ring);
    rc = rc < 0 ? complain(rc, &err) : run_host(&s, o, listen_fd);
    if (listen_fd >= 0)
        unlink(o->listen_path);
    molt_log_ring_free(s.ring);
    molt_settings_free(s.settings);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o = {.conn_fd = -1};
    int rc = read_options(argc, argv, &o);
    if (rc)
        return rc < 0 ? 0 : rc;
    return run(&o);
}
