/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "load_thread.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENTS_MAX 256
#define READ_BYTES (64u << 10)
#define RETRY_NS UINT64_C(10000000)  /* after a failed connect */
#define SWEEP_NS UINT64_C(100000000) /* between looks at timeouts */

/* ---- the parser's side ----------------------------------------------------- */

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct load_connection *c = parser->data;
    if (len > MOLT_LOAD_BODY_MAX - c->body_len) {
        c->is_too_long = true;
        return 0;
    }
    if (c->body_len + len > c->body_cap) {
        size_t cap = 2 * (c->body_len + len);
        char *body = realloc(c->body, cap);
        if (!body)
            return -1;
        c->body = body;
        c->body_cap = cap;
    }
    memcpy(c->body + c->body_len, at, len);
    c->body_len += len;
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct load_connection *c = parser->data;
    c->is_complete = true;
    c->is_closing = !http_should_keep_alive(parser);
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {.on_body = on_body,
                                              .on_message_complete = on_complete};

/* ---- connecting and closing -------------------------------------------------- */

static void watch(struct load_thread *t, struct load_connection *c, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = c}};
    epoll_ctl(t->epoll_fd, op, c->fd, &event);
}

static void count_failure(struct load_thread *t, struct load_connection *c,
                          enum molt_load_failure failure)
{
    t->sums.failures[failure]++;
    t->sums.n_failures++;
    c->sums.failures++;
}

static void open_at(struct load_thread *t, struct load_connection *c, uint64_t ns)
{
    c->retry_ns = ns;
    if (ns < t->due_ns)
        t->due_ns = ns;
}

static void disconnect(struct load_thread *t, struct load_connection *c, bool is_lost)
{
    close(c->fd);
    c->fd = -1;
    c->is_waiting = c->is_connecting = false;
    c->is_original = false;
    if (c->is_idle) {
        t->sums.idle_lost++;
        open_at(t, c, UINT64_MAX); /* held ones aren't opened again */
        return;
    }
    t->sums.lost += is_lost;
    open_at(t, c, 0);
}

static void fail_connect(struct load_thread *t, struct load_connection *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->is_connecting = false;
    open_at(t, c, molt_clock_ns() + RETRY_NS);
    count_failure(t, c, MOLT_LOAD_CONNECT);
}

static void ask(struct load_thread *t, struct load_connection *c);

static void connected(struct load_thread *t, struct load_connection *c)
{
    c->is_connecting = false;
    if (c->was_connected) {
        c->sums.reconnects++;
        t->sums.reconnects++;
    }
    c->was_connected = true;
    watch(t, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
    if (!c->is_idle)
        ask(t, c);
}

static void begin_connect(struct load_thread *t, struct load_connection *c)
{
    int on = 1;
    c->is_original = !c->was_connected;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        fail_connect(t, c);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const struct sockaddr_in *to = &t->load->address;
    int rc = connect(c->fd, (const struct sockaddr *)(const void *)to, sizeof(*to));
    if (rc < 0 && errno != EINPROGRESS) {
        fail_connect(t, c);
        return;
    }
    c->is_connecting = true;
    watch(t, c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void finish_connect(struct load_thread *t, struct load_connection *c)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0)
        fail_connect(t, c);
    else
        connected(t, c);
}

/* ---- requests ------------------------------------------------------------------ */

static void send_rest(struct load_thread *t, struct load_connection *c)
{
    const struct molt_load *load = t->load;
    while (c->sent < load->request_len) {
        ssize_t n = send(c->fd, load->request + c->sent, load->request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            watch(t, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
            return;
        }
        if (n < 0) {
            count_failure(t, c, MOLT_LOAD_SHORT);
            disconnect(t, c, true);
            return;
        }
        c->sent += (size_t)n;
    }
}

static void ask(struct load_thread *t, struct load_connection *c)
{
    http_parser_init(&c->parser, HTTP_RESPONSE);
    c->parser.data = c;
    c->body_len = 0;
    c->is_complete = c->is_too_long = false;
    c->is_waiting = true;
    c->sent = 0;
    c->asked_ns = molt_clock_ns();
    send_rest(t, c);
}

static void note_markers(struct load_thread *t, struct load_connection *c, uint64_t now)
{
    const struct molt_load *load = t->load;
    int n = __atomic_load_n(&load->n_markers, __ATOMIC_ACQUIRE);
    for (int i = 0; i < n; i++) {
        const struct load_marker *m = &load->markers[i];
        if (c->seen_ns[i] > 0 || m->len != c->body_len || memcmp(m->body, c->body, m->len) != 0)
            continue;
        c->seen_ns[i] = now;
        c->is_seen_unbroken[i] = c->is_original;
    }
}

static void succeed(struct load_thread *t, struct load_connection *c)
{
    uint64_t now = molt_clock_ns(), gap = now - c->success_ns;
    c->success_ns = now;
    if (gap > c->sums.longest_gap_ns)
        c->sums.longest_gap_ns = gap;
    molt_histogram_add(&t->latency, now - c->asked_ns);
    t->sums.requests++;
    c->sums.requests++;
    note_markers(t, c, now);
}

/* A whole answer is here. */
static void judge(struct load_thread *t, struct load_connection *c)
{
    const struct molt_load_config *config = &t->load->config;
    unsigned status = c->parser.status_code;
    c->is_waiting = false;
    if (status < 200 || status > 299)
        count_failure(t, c, MOLT_LOAD_STATUS);
    else if (c->is_too_long ||
             (config->check && config->check(config->user, c->number, c->body, c->body_len) < 0))
        count_failure(t, c, MOLT_LOAD_BODY);
    else
        succeed(t, c);
    if (c->is_closing)
        disconnect(t, c, false);
    else
        ask(t, c);
}

/* @len 0: the end of the stream, which completes an answer without length. */
static void take_bytes(struct load_thread *t, struct load_connection *c, const char *bytes,
                       size_t len)
{
    size_t used = c->is_waiting ? http_parser_execute(&c->parser, &settings, bytes, len) : 0;
    if (c->is_waiting && c->is_complete && used == len) {
        judge(t, c);
        return;
    }
    bool is_broken = used != len || HTTP_PARSER_ERRNO(&c->parser) != HPE_OK;
    if (len > 0 && c->is_waiting && !is_broken)
        return;
    if (len > 0)
        count_failure(t, c, MOLT_LOAD_FORMAT);
    else if (c->is_waiting)
        count_failure(t, c, MOLT_LOAD_SHORT);
    disconnect(t, c, true);
}

static void receive(struct load_thread *t, struct load_connection *c)
{
    static __thread char bytes[READ_BYTES];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        t->sums.bytes += (uint64_t)n;
    if (c->is_idle) {
        if (n <= 0)
            disconnect(t, c, true);
        return;
    }
    take_bytes(t, c, bytes, n > 0 ? (size_t)n : 0);
}

/* ---- the loop --------------------------------------------------------------------- */

static void handle(struct load_thread *t, struct load_connection *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (c->is_connecting) {
        finish_connect(t, c);
        return;
    }
    if (events & EPOLLOUT) {
        send_rest(t, c);
        if (c->fd >= 0 && c->sent == t->load->request_len)
            watch(t, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
    }
    if (c->fd >= 0 && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        receive(t, c);
}

/* Open what is closed and due. */
static void reopen(struct load_thread *t)
{
    uint64_t now = molt_clock_ns();
    if (t->due_ns > now)
        return;
    t->due_ns = UINT64_MAX;
    for (unsigned i = 0; i < t->n_connections; i++) {
        struct load_connection *c = &t->connections[i];
        if (c->fd < 0 && c->retry_ns <= now)
            begin_connect(t, c);
        else if (c->fd < 0 && c->retry_ns < t->due_ns)
            t->due_ns = c->retry_ns;
    }
}

static void sweep(struct load_thread *t)
{
    uint64_t now = molt_clock_ns(), limit_ns = (uint64_t)t->load->config.timeout_ms * 1000000;
    for (unsigned i = 0; i < t->n_connections; i++) {
        struct load_connection *c = &t->connections[i];
        if (c->fd < 0 || !c->is_waiting || now - c->asked_ns < limit_ns)
            continue;
        count_failure(t, c, MOLT_LOAD_TIMEOUT);
        disconnect(t, c, true);
    }
}

/* False once it is over. */
static bool step(struct load_thread *t, uint64_t *swept_ns)
{
    struct epoll_event events[EVENTS_MAX];
    pthread_mutex_unlock(&t->lock);
    int n = epoll_wait(t->epoll_fd, events, EVENTS_MAX, (int)(RETRY_NS / 1000000));
    pthread_mutex_lock(&t->lock);
    bool is_over = false;
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr)
            handle(t, events[i].data.ptr, events[i].events);
        else
            is_over = true;
    }
    reopen(t);
    if (molt_clock_ns() - *swept_ns > SWEEP_NS) {
        sweep(t);
        *swept_ns = molt_clock_ns();
    }
    return !is_over;
}

void *molt_load_thread_run(void *thread)
{
    struct load_thread *t = thread;
    uint64_t swept_ns = molt_clock_ns();
    pthread_mutex_lock(&t->lock);
    reopen(t);
    while (step(t, &swept_ns))
        continue;
    pthread_mutex_unlock(&t->lock);
    return NULL;
}
