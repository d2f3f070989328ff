/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "tool/talk.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "tool/bench.h"

#define HEAD_MAX 16384

struct molt_bench_talk molt_bench_talk_tcp(unsigned port, unsigned timeout_ms)
{
    return (struct molt_bench_talk){.fd = -1, .port = port, .timeout_ms = timeout_ms};
}

struct molt_bench_talk molt_bench_talk_unix(const char *path, unsigned timeout_ms)
{
    return (struct molt_bench_talk){.fd = -1, .path = path, .timeout_ms = timeout_ms};
}

void molt_bench_talk_close(struct molt_bench_talk *talk)
{
    if (talk->fd >= 0)
        close(talk->fd);
    talk->fd = -1;
}

/* ---- connecting --------------------------------------------------------------- */

static struct sockaddr_in local(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_tcp(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = local(port);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A path longer than an address takes is reached through its folder. */
static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        molt_bench_die("%s is too long for a unix socket: put the build folder elsewhere", path);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool is_connected(struct molt_bench_talk *talk)
{
    if (talk->fd >= 0)
        return true;
    talk->fd = talk->port ? connect_tcp(talk->port) : connect_unix(talk->path);
    if (talk->fd < 0)
        return false;
    struct timeval limit = {.tv_sec = talk->timeout_ms / 1000,
                            .tv_usec = talk->timeout_ms % 1000 * 1000};
    setsockopt(talk->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    talk->n_connects++;
    return true;
}

bool molt_bench_port_is_taken(unsigned port)
{
    int fd = connect_tcp(port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Below the range that the kernel takes the ports of clients from. */
unsigned molt_bench_port(void)
{
    static unsigned next;
    for (unsigned i = 0; i < 8000; i++) {
        unsigned port = 20000 + ((unsigned)getpid() * 16 + next++) % 8000;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = local(port);
        bool is_free = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        if (fd >= 0)
            close(fd);
        if (is_free)
            return port;
    }
    molt_bench_die("no free port from 20000 to 27999");
}

/* ---- one request ---------------------------------------------------------------- */

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool receive_more(int fd, struct molt_buf *in)
{
    char bytes[HEAD_MAX];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
    if (n <= 0)
        return false;
    molt_buf_add(in, bytes, (size_t)n);
    molt_buf_add(in, "", 1);
    in->len--;
    return !in->is_failed;
}

/* Value of field @name in the head that ends before @end, or NULL. */
static const char *find_field(const char *head, const char *end, const char *name)
{
    for (const char *at = head; (at = strstr(at, "\r\n")) && at < end;) {
        at += 2;
        if (strncasecmp(at, name, strlen(name)) == 0)
            return at + strlen(name);
    }
    return NULL;
}

/* Append the chunks at @at to @body. 1: complete, 0: more is needed. */
static int join_chunks(const char *at, const char *end, struct molt_buf *body)
{
    molt_buf_reset(body);
    for (;;) {
        const char *line = strstr(at, "\r\n");
        if (!line)
            return 0;
        size_t len = strtoul(at, NULL, 16);
        if ((size_t)(end - line) < len + 4)
            return 0;
        if (!len)
            return 1;
        molt_buf_add(body, line + 2, len);
        at = line + 2 + len + 2;
    }
}

/* Receive an answer: its status, body in @body. */
static int receive_answer(int fd, struct molt_buf *in, struct molt_buf *body)
{
    for (;;) {
        if (!receive_more(fd, in))
            return -1;
        const char *head_end = strstr(in->data, "\r\n\r\n");
        if (!head_end)
            continue;
        const char *start = head_end + 4, *end = in->data + in->len;
        const char *len = find_field(in->data, head_end, "content-length:");
        if (len && (size_t)(end - start) < strtoul(len, NULL, 10))
            continue;
        if (len)
            molt_buf_add(body, start, strtoul(len, NULL, 10));
        else if (find_field(in->data, head_end, "transfer-encoding:") &&
                 !join_chunks(start, end, body))
            continue;
        const char *space = strchr(in->data, ' ');
        return space ? atoi(space) : -1;
    }
}

int molt_bench_talk(struct molt_bench_talk *talk, const char *method, const char *target,
                    const char *body, char **ret_body)
{
    if (!is_connected(talk))
        return -1;
    char *request = molt_bench_text("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                    "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                    method, target, body ? strlen(body) : 0, body ? body : "");
    struct molt_buf in = MOLT_BUF_INIT, out = MOLT_BUF_INIT;
    int status =
        send_all(talk->fd, request, strlen(request)) ? receive_answer(talk->fd, &in, &out) : -1;
    free(request);
    molt_buf_fini(&in);
    if (status < 0)
        molt_bench_talk_close(talk);
    molt_buf_add(&out, "", 1);
    if (ret_body && status >= 0)
        *ret_body = molt_buf_take(&out);
    molt_buf_fini(&out);
    return status;
}

unsigned long molt_bench_talk_until(struct molt_bench_talk *talk, const char *target,
                                    const char *prefix, unsigned pause_us, unsigned ms)
{
    uint64_t end = molt_clock_ms() + ms;
    do {
        char *body = NULL;
        int status = molt_bench_talk(talk, "GET", target, NULL, &body);
        uint64_t now = molt_clock_ns();
        bool is_it = status == 200 && strncmp(body, prefix, strlen(prefix)) == 0;
        free(body);
        if (is_it)
            return now;
        if (molt_bench_is_stopped())
            molt_bench_wait(0);
        usleep(pause_us);
    } while (molt_clock_ms() < end);
    return 0;
}
