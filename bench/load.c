/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "load_thread.h"

const char *molt_load_failure_name(enum molt_load_failure failure)
{
    static const char *const names[MOLT_LOAD_FAILURES] = {"status", "body",    "short",
                                                          "format", "timeout", "connect"};
    return (unsigned)failure < MOLT_LOAD_FAILURES ? names[failure] : "?";
}

/* ---- starting ---------------------------------------------------------------- */

static int check_config(const struct molt_load_config *config, struct molt_load *load,
                        struct molt_error *err)
{
    const char *address = config->address ? config->address : "127.0.0.1";
    load->address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)config->port)};
    if (inet_pton(AF_INET, address, &load->address.sin_addr) != 1)
        return molt_error_set(err, MOLT_EINVAL, "%s is no IPv4 address", address);
    if (config->port == 0 || config->port > 65535)
        return molt_error_set(err, MOLT_EINVAL, "%u is no port", config->port);
    if (config->connections + config->idle == 0)
        return molt_error_set(err, MOLT_EINVAL, "no connections asked for");
    return 0;
}

static int make_request(struct molt_load *load, struct molt_error *err)
{
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &load->address.sin_addr, address, sizeof(address));
    int len = asprintf(&load->request, "GET %s HTTP/1.1\r\nHost: %s:%u\r\n\r\n",
                       load->config.path ? load->config.path : "/", address, load->config.port);
    if (len < 0) {
        load->request = NULL;
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    load->request_len = (size_t)len;
    return 0;
}

static int init_thread(struct molt_load *load, struct load_thread *t, struct molt_error *err)
{
    t->load = load;
    t->epoll_fd = -1;
    pthread_mutex_init(&t->lock, NULL);
    unsigned all = load->config.connections + load->config.idle;
    t->connections = calloc(all / load->n_threads + 1, sizeof(*t->connections));
    if (!t->connections)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (t->epoll_fd < 0 || epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, load->stop_fd, &event) < 0)
        return molt_error_set(err, MOLT_EIO, "epoll: %s", strerror(errno));
    return 0;
}

/* Connection @i belongs to thread i mod n; the idle ones come last. */
static struct load_connection *connection_at(struct molt_load *load, unsigned i)
{
    return &load->threads[i % load->n_threads].connections[i / load->n_threads];
}

static void init_connections(struct molt_load *load)
{
    for (unsigned i = 0; i < load->config.connections + load->config.idle; i++) {
        struct load_connection *c = connection_at(load, i);
        c->number = i;
        c->fd = -1;
        c->is_idle = i >= load->config.connections;
        c->success_ns = load->start_ns;
        load->threads[i % load->n_threads].n_connections++;
    }
}

static int start_threads(struct molt_load *load, struct molt_error *err)
{
    load->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    load->threads = calloc(load->n_threads, sizeof(*load->threads));
    if (!load->threads)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    for (unsigned i = 0; i < load->n_threads; i++) {
        int rc = init_thread(load, &load->threads[i], err);
        if (rc < 0)
            return rc;
    }
    load->start_ns = load->counted_ns = molt_clock_ns();
    init_connections(load);
    for (unsigned i = 0; i < load->n_threads; i++) {
        struct load_thread *t = &load->threads[i];
        int error = pthread_create(&t->id, NULL, molt_load_thread_run, t);
        if (error != 0)
            return molt_error_set(err, MOLT_EIO, "can't start a thread: %s", strerror(error));
        t->is_started = true;
    }
    return 0;
}

int molt_load_start(const struct molt_load_config *config, struct molt_load **ret,
                    struct molt_error *err)
{
    struct molt_load *load = calloc(1, sizeof(*load));
    if (!load)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    load->config = *config;
    load->stop_fd = -1;
    load->n_threads = config->threads > 0 ? config->threads : 1;
    if (config->timeout_ms == 0)
        load->config.timeout_ms = 10000;
    int rc = check_config(config, load, err);
    if (rc == 0)
        rc = make_request(load, err);
    if (rc == 0)
        rc = start_threads(load, err);
    if (rc < 0) {
        molt_load_free(load);
        return rc;
    }
    *ret = load;
    return 0;
}

/* ---- ending ------------------------------------------------------------------- */

void molt_load_wait(struct molt_load *load)
{
    uint64_t end_ns = load->start_ns + (uint64_t)load->config.duration_ms * 1000000;
    while (load->end_ns == 0 && molt_clock_ns() < end_ns) {
        uint64_t left_ms = (end_ns - molt_clock_ns()) / 1000000 + 1;
        struct pollfd stop = {.fd = load->stop_fd, .events = POLLIN};
        if (poll(&stop, 1, left_ms > 60000 ? 60000 : (int)left_ms) > 0)
            break;
    }
    molt_load_stop(load);
}

void molt_load_stop(struct molt_load *load)
{
    uint64_t one = 1;
    if (load->end_ns > 0)
        return;
    if (load->stop_fd >= 0 && write(load->stop_fd, &one, sizeof(one)) < 0)
        return;
    for (unsigned i = 0; load->threads && i < load->n_threads; i++)
        if (load->threads[i].is_started)
            pthread_join(load->threads[i].id, NULL);
    load->end_ns = molt_clock_ns();
}

static void fini_thread(struct load_thread *t)
{
    for (unsigned i = 0; i < t->n_connections; i++) {
        if (t->connections[i].fd >= 0)
            close(t->connections[i].fd);
        free(t->connections[i].body);
    }
    free(t->connections);
    if (t->load) {
        if (t->epoll_fd >= 0)
            close(t->epoll_fd);
        pthread_mutex_destroy(&t->lock);
    }
}

void molt_load_free(struct molt_load *load)
{
    if (!load)
        return;
    molt_load_stop(load);
    for (unsigned i = 0; load->threads && i < load->n_threads; i++)
        fini_thread(&load->threads[i]);
    for (int i = 0; i < load->n_markers; i++)
        free(load->markers[i].body);
    if (load->stop_fd >= 0)
        close(load->stop_fd);
    free(load->threads);
    free(load->request);
    free(load);
}

/* ---- looking ------------------------------------------------------------------- */

void molt_load_forget(struct molt_load *load)
{
    for (unsigned i = 0; i < load->n_threads; i++) {
        struct load_thread *t = &load->threads[i];
        pthread_mutex_lock(&t->lock);
        t->sums = (struct molt_load_stats){0};
        molt_histogram_reset(&t->latency);
        for (unsigned k = 0; k < t->n_connections; k++)
            t->connections[k].sums = (struct molt_load_connection){0};
        pthread_mutex_unlock(&t->lock);
    }
    load->counted_ns = molt_clock_ns();
}

static uint64_t gap_of(const struct load_connection *c, uint64_t now)
{
    uint64_t open_gap = now > c->success_ns ? now - c->success_ns : 0;
    return open_gap > c->sums.longest_gap_ns ? open_gap : c->sums.longest_gap_ns;
}

static void add_thread(struct load_thread *t, struct molt_load_stats *ret,
                       struct molt_histogram *latency, uint64_t now)
{
    for (unsigned i = 0; i < t->n_connections; i++) {
        const struct load_connection *c = &t->connections[i];
        bool is_open = c->fd >= 0 && !c->is_connecting;
        if (c->is_idle) {
            ret->idle_open += is_open;
            continue;
        }
        ret->open += is_open;
        uint64_t gap = gap_of(c, now);
        if (gap > ret->longest_gap_ns)
            ret->longest_gap_ns = gap;
    }
    for (int i = 0; i < MOLT_LOAD_FAILURES; i++)
        ret->failures[i] += t->sums.failures[i];
    ret->requests += t->sums.requests;
    ret->n_failures += t->sums.n_failures;
    ret->lost += t->sums.lost;
    ret->reconnects += t->sums.reconnects;
    ret->bytes += t->sums.bytes;
    ret->idle_lost += t->sums.idle_lost;
    molt_histogram_merge(latency, &t->latency);
}

void molt_load_snapshot(struct molt_load *load, struct molt_load_stats *ret)
{
    struct molt_histogram latency;
    molt_histogram_reset(&latency);
    *ret = (struct molt_load_stats){0};
    uint64_t now = load->end_ns > 0 ? load->end_ns : molt_clock_ns();
    ret->elapsed_ns = now > load->counted_ns ? now - load->counted_ns : 0;
    for (unsigned i = 0; i < load->n_threads; i++) {
        pthread_mutex_lock(&load->threads[i].lock);
        add_thread(&load->threads[i], ret, &latency, now);
        pthread_mutex_unlock(&load->threads[i].lock);
    }
    ret->p50_ns = molt_histogram_quantile(&latency, 0.5);
    ret->p90_ns = molt_histogram_quantile(&latency, 0.9);
    ret->p99_ns = molt_histogram_quantile(&latency, 0.99);
    ret->p999_ns = molt_histogram_quantile(&latency, 0.999);
    ret->max_ns = latency.max;
    ret->mean_ns = (uint64_t)molt_histogram_mean(&latency);
}

int molt_load_connection(struct molt_load *load, unsigned connection,
                         struct molt_load_connection *ret)
{
    if (connection >= load->config.connections)
        return MOLT_EINVAL;
    struct load_thread *t = &load->threads[connection % load->n_threads];
    const struct load_connection *c = connection_at(load, connection);
    pthread_mutex_lock(&t->lock);
    *ret = c->sums;
    ret->longest_gap_ns = gap_of(c, load->end_ns > 0 ? load->end_ns : molt_clock_ns());
    pthread_mutex_unlock(&t->lock);
    return 0;
}

int molt_load_watch(struct molt_load *load, const char *body)
{
    int n = load->n_markers;
    if (n == MOLT_LOAD_MARKERS_MAX)
        return MOLT_ELIMIT;
    struct load_marker *m = &load->markers[n];
    m->body = strdup(body);
    if (!m->body)
        return MOLT_ENOMEM;
    m->len = strlen(body);
    m->watched_ns = molt_clock_ns() - load->start_ns;
    __atomic_store_n(&load->n_markers, n + 1, __ATOMIC_RELEASE);
    return n;
}

int molt_load_marker(struct molt_load *load, int marker, struct molt_load_marker *ret)
{
    if (marker < 0 || marker >= load->n_markers)
        return MOLT_EINVAL;
    *ret = (struct molt_load_marker){.watched_ns = load->markers[marker].watched_ns};
    for (unsigned i = 0; i < load->config.connections; i++) {
        struct load_thread *t = &load->threads[i % load->n_threads];
        const struct load_connection *c = connection_at(load, i);
        pthread_mutex_lock(&t->lock);
        if (c->seen_ns[marker] > 0) {
            uint64_t ns = c->seen_ns[marker] - load->start_ns;
            ret->first_ns = ret->n_seen == 0 || ns < ret->first_ns ? ns : ret->first_ns;
            ret->last_ns = ns > ret->last_ns ? ns : ret->last_ns;
            ret->n_seen++;
            ret->n_unbroken += c->is_seen_unbroken[marker];
        }
        pthread_mutex_unlock(&t->lock);
    }
    return 0;
}
