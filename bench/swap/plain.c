/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A small HTTP/1.1 server as a C expert writes it for speed: one thread, epoll,
 * one read and one write a request. The instance behind the proxy in rolling
 * restarts.
 *
 * usage: molt-plain-server PORT VERSION LINGER-MS
 *
 * It serves "Hello VERSION\n". At SIGTERM it stops listening, answers what has
 * arrived with "Connection: close", and does so with what arrives until nothing
 * came for LINGER-MS; then it closes the rest and exits. With 0 that is what
 * the graceful ends of nginx and of Go's net/http do with idle connections.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define FDS_MAX 16384
#define EVENTS_MAX 1024
#define REQUEST_MAX 8192

struct connection {
    size_t len;
    char in[REQUEST_MAX];
};

struct server {
    int epoll_fd, listen_fd, signal_fd;
    bool is_stopping;
    unsigned n_open, linger_ms;
    uint64_t last_ms; /* of the latest request */
    char answer[256], last_answer[256];
    struct connection *connections[FDS_MAX];
};

static void die(const char *what)
{
    fprintf(stderr, "molt-plain-server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void add(const struct server *s, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll");
}

static void finish(struct server *s, int fd)
{
    free(s->connections[fd]);
    s->connections[fd] = NULL;
    s->n_open--;
    close(fd);
}

static void accept_all(struct server *s)
{
    for (int fd; (fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (fd >= FDS_MAX || !(s->connections[fd] = malloc(sizeof(struct connection)))) {
            close(fd);
            continue;
        }
        s->connections[fd]->len = 0;
        s->n_open++;
        add(s, fd);
    }
}

/* Answer the requests in the buffer. False when the connection is done. */
static bool answer(struct server *s, struct connection *c, int fd)
{
    for (char *end; (end = memmem(c->in, c->len, "\r\n\r\n", 4));) {
        size_t used = (size_t)(end + 4 - c->in);
        const char *text = s->is_stopping ? s->last_answer : s->answer;
        if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text) || s->is_stopping)
            return false;
        memmove(c->in, c->in + used, c->len - used);
        c->len -= used;
    }
    return c->len < sizeof(c->in);
}

static void serve(struct server *s, int fd)
{
    struct connection *c = s->connections[fd];
    ssize_t n = recv(fd, c->in + c->len, sizeof(c->in) - c->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    s->last_ms = s->is_stopping ? molt_clock_ms() : 0;
    c->len += n > 0 ? (size_t)n : 0;
    if (n <= 0 || !answer(s, c, fd))
        finish(s, fd);
}

static void begin_stop(struct server *s)
{
    struct signalfd_siginfo info;
    if (read(s->signal_fd, &info, sizeof(info)) <= 0 || s->is_stopping)
        return;
    accept_all(s); /* whoever is in the queue has connected */
    close(s->listen_fd);
    s->is_stopping = true;
    s->last_ms = molt_clock_ms();
}

static int listen_on(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, 4096) < 0)
        die("listen");
    return fd;
}

static void write_answer(char *to, size_t size, const char *version, const char *more)
{
    snprintf(to, size,
             "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n"
             "Hello %s\n",
             strlen(version) + 7, more, version);
}

/* One round more at least after the signal: for what has arrived. */
static void run(struct server *s)
{
    struct epoll_event events[EVENTS_MAX];
    for (bool is_over = false; !is_over;) {
        is_over =
            s->is_stopping && (s->n_open == 0 || molt_clock_ms() - s->last_ms >= s->linger_ms);
        int wait_ms = is_over ? 0 : s->is_stopping ? 5 : -1;
        int n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, wait_ms);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == s->listen_fd)
                accept_all(s);
            else if (fd == s->signal_fd)
                begin_stop(s);
            else
                serve(s, fd);
        }
    }
}

int main(int argc, char **argv)
{
    static struct server s;
    sigset_t set;
    if (argc != 4) {
        fprintf(stderr, "usage: molt-plain-server PORT VERSION LINGER-MS\n");
        return 2;
    }
    s.linger_ms = (unsigned)atoi(argv[3]);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    write_answer(s.answer, sizeof(s.answer), argv[2], "");
    write_answer(s.last_answer, sizeof(s.last_answer), argv[2], "Connection: close\r\n");
    s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    s.listen_fd = listen_on((unsigned)atoi(argv[1]));
    add(&s, s.listen_fd);
    add(&s, s.signal_fd);
    run(&s);
    return 0;
}
