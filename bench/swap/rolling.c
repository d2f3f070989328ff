/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Rolling restarts: two instances of a plain C server behind HAProxy, each in
 * turn stopped with SIGTERM and started in the new version: without draining it
 * at the proxy first, with a server that closes idle connections at once and
 * with one that lingers for them, and with draining.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "swap/swap.h"
#include "tool/bench.h"
#include "tool/talk.h"

#define INSTANCES 2
#define READY_MS 5000

static const char config[] = "global\n"
                             "  nbthread 1\n"
                             "  maxconn 4000\n"
                             "  stats socket %s mode 600 level admin\n"
                             "defaults\n"
                             "  mode http\n"
                             "  timeout connect 2s\n"
                             "  timeout client 60s\n"
                             "  timeout server 60s\n"
                             "  retries 3\n"
                             "  option redispatch\n"
                             "%s"
                             "frontend in\n"
                             "  bind 127.0.0.1:%u\n"
                             "  default_backend app\n"
                             "backend app\n"
                             "  balance roundrobin\n"
                             "  default-server check inter 100ms rise 1 fall 2\n"
                             "  server s0 127.0.0.1:%u\n"
                             "  server s1 127.0.0.1:%u\n";

/* A busy proxy may take an idle connection for good whose end it hasn't read. */
static const char retry_line[] = "  retry-on conn-failure empty-response\n";

struct subject {
    bool is_draining;
    const char *linger_ms;
    unsigned port, ports[INSTANCES];
    char *config, *socket, *log, *program;
    struct molt_bench_child proxy, instances[INSTANCES];
};

static void *prepare(const char *name, bool is_draining, const char *linger_ms)
{
    struct subject *s = calloc(1, sizeof(*s));
    if (!s)
        molt_bench_die("out of memory");
    const char *dir = molt_bench_folder();
    s->is_draining = is_draining;
    s->linger_ms = linger_ms;
    s->port = molt_bench_port();
    for (int i = 0; i < INSTANCES; i++)
        s->ports[i] = molt_bench_port();
    s->program = molt_bench_program("molt-plain-server", NULL);
    s->config = molt_bench_text("%s/%s.cfg", dir, name);
    s->socket = molt_bench_text("%s/%s.sock", dir, name);
    s->log = molt_bench_text("%s/%s.log", dir, name);
    char *text = molt_bench_text(config, s->socket, is_draining ? retry_line : "", s->port,
                                 s->ports[0], s->ports[1]);
    molt_bench_write(s->config, text);
    free(text);
    return s;
}

static void *prepare_rolling(unsigned n)
{
    (void)n;
    return prepare("rolling", false, "0");
}

static void *prepare_lingering(unsigned n)
{
    (void)n;
    return prepare("lingering", false, "50");
}

static void *prepare_drained(unsigned n)
{
    (void)n;
    return prepare("drained", true, "50");
}

/* ---- the proxy's admin socket ---------------------------------------------------- */

/* Send @command, which ends in a newline; the answer in @out. */
static void admin(const struct subject *s, const char *command, char *out, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t len = 0;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        write(fd, command, strlen(command)) < 0)
        molt_bench_die("HAProxy's admin socket doesn't answer");
    for (ssize_t n; len + 1 < size && (n = read(fd, out + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
    close(fd);
}

/* Columns of `show stat`: pxname,svname,qcur,qmax,scur,...,status (18th). */
static void look(const struct subject *s, int instance, unsigned *ret_sessions, bool *ret_is_up)
{
    static char stat[65536];
    char name[16];
    admin(s, "show stat\n", stat, sizeof(stat));
    snprintf(name, sizeof(name), "app,s%d,", instance);
    const char *at = strstr(stat, name);
    if (!at)
        molt_bench_die("HAProxy knows no server %d", instance);
    for (int column = 0; column < 17; column++) {
        if (column == 4)
            *ret_sessions = (unsigned)strtoul(at, NULL, 10);
        at = strchr(at, ',');
        if (!at++)
            molt_bench_die("HAProxy's statistics have another form");
    }
    *ret_is_up = strncmp(at, "UP,", 3) == 0;
}

static void set_state(const struct subject *s, int instance, const char *state)
{
    char command[64], answer[256];
    snprintf(command, sizeof(command), "set server app/s%d state %s\n", instance, state);
    admin(s, command, answer, sizeof(answer));
}

static void wait_up(const struct subject *s, int instance)
{
    uint64_t end = molt_clock_ms() + READY_MS;
    bool is_up = false;
    for (unsigned sessions; !is_up && molt_clock_ms() < end; molt_bench_wait(1))
        look(s, instance, &sessions, &is_up);
    if (!is_up)
        molt_bench_die("HAProxy doesn't see instance %d come back", instance);
}

static void drain(const struct subject *s, int instance)
{
    uint64_t end = molt_clock_ms() + READY_MS;
    unsigned sessions = 1;
    set_state(s, instance, "drain");
    for (bool is_up; sessions && molt_clock_ms() < end; molt_bench_wait(1))
        look(s, instance, &sessions, &is_up);
}

/* ---- the subject ------------------------------------------------------------------ */

static void start_instance(struct subject *s, int instance, unsigned version)
{
    char port[16], text[16];
    snprintf(port, sizeof(port), "%u", s->ports[instance]);
    snprintf(text, sizeof(text), "%u", version);
    const char *argv[] = {s->program, port, text, s->linger_ms, NULL};
    s->instances[instance] = molt_bench_start(argv, NULL, s->log, 0);
    uint64_t end = molt_clock_ms() + READY_MS;
    while (!molt_bench_port_is_taken(s->ports[instance])) {
        if (molt_clock_ms() > end)
            molt_bench_die("an instance doesn't listen; see %s", s->log);
        usleep(500);
    }
}

static unsigned start(void *state)
{
    struct subject *s = state;
    const char *argv[] = {"/usr/sbin/haproxy", "-db", "-f", s->config, NULL};
    for (int i = 0; i < INSTANCES; i++)
        start_instance(s, i, 0);
    s->proxy = molt_bench_start(argv, NULL, s->log, 0);
    struct molt_bench_talk talk = molt_bench_talk_tcp(s->port, 1000);
    if (!molt_bench_talk_until(&talk, "/", "Hello 0\n", 2000, READY_MS))
        molt_bench_die("HAProxy doesn't answer; see %s. Is haproxy installed?", s->log);
    molt_bench_talk_close(&talk);
    for (int i = 0; i < INSTANCES; i++)
        wait_up(s, i);
    return s->port;
}

/* The next instance follows when the proxy has seen this one come up: one of the
 * two always serves. */
static void swap(void *state, unsigned version, struct swap_times *ret)
{
    struct subject *s = state;
    uint64_t began = molt_clock_ns();
    for (int i = 0; i < INSTANCES; i++) {
        if (s->is_draining)
            drain(s, i);
        if (!molt_bench_stop(&s->instances[i], READY_MS))
            molt_bench_die("an instance doesn't end at SIGTERM");
        start_instance(s, i, version);
        if (s->is_draining)
            set_state(s, i, "ready");
        wait_up(s, i);
    }
    ret->total_ns = molt_clock_ns() - began;
}

static double standing(void *state)
{
    const struct subject *s = state;
    return molt_bench_memory(s->proxy.pid).pss + molt_bench_memory(s->instances[1].pid).pss;
}

static double memory(void *state)
{
    return standing(state) + molt_bench_memory(((struct subject *)state)->instances[0].pid).pss;
}

static double cpu(void *state)
{
    const struct subject *s = state;
    struct rusage ended;
    getrusage(RUSAGE_CHILDREN, &ended);
    double sum = molt_bench_cpu(s->proxy.pid) +
                 (double)(ended.ru_utime.tv_sec + ended.ru_stime.tv_sec) +
                 (double)(ended.ru_utime.tv_usec + ended.ru_stime.tv_usec) / 1e6;
    for (int i = 0; i < INSTANCES; i++)
        sum += molt_bench_cpu(s->instances[i].pid);
    return sum;
}

static void stop(void *state)
{
    struct subject *s = state;
    kill(s->proxy.pid, SIGKILL);
    molt_bench_stop(&s->proxy, 1000);
    for (int i = 0; i < INSTANCES; i++)
        molt_bench_stop(&s->instances[i], 1000);
}

#define ROLLING(prepare_)                                                                          \
    .prepare = prepare_, .start = start, .swap = swap, .memory = memory, .cpu = cpu,               \
    .standing = standing, .stop = stop

const struct swap_subject molt_swap_rolling = {.name = "rolling",
                                               .title = "rolling restart behind HAProxy, no drain",
                                               ROLLING(prepare_rolling)};

const struct swap_subject molt_swap_lingering = {.name = "lingering",
                                                 .title = "the same, server lingers at SIGTERM",
                                                 ROLLING(prepare_lingering)};

const struct swap_subject molt_swap_drained = {.name = "drained",
                                               .title = "the same, drained at the proxy",
                                               ROLLING(prepare_drained)};
