/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The server behaviour http_listener: one listening socket, one process of
 * http_connection per client.
 */
#include <errno.h>
#include <string.h>

#include <molt/molt.h>
#include <molt/net.h>

#include "connection.h"
#include "limits.h"

#define BACKLOG 1024
#define PAUSE_MS 100 /* without descriptors or memory, before the next attempt */

struct http_listener {
    int fd;
    uint8_t is_paused;   /* nothing is accepted until the timer fires */
    uint8_t is_reported; /* why, once, until accepting works again */
};

static int report_failure(int code, const char *address, unsigned port)
{
    if (code == MOLT_EEXIST)
        molt_log(MOLT_ERR,
                 "http: port %u on %s is taken by another process. Stop that one, or set "
                 "http.port in molt.conf to a free port.",
                 port, address);
    else
        molt_log(MOLT_ERR,
                 "http: can't listen on %s port %u: %s (%s). Check http.address and http.port in "
                 "molt.conf.",
                 address, port, molt_error_text(code), strerror(errno));
    return code;
}

static int init(struct http_listener *l, const void *none)
{
    (void)none;
    struct http_limits limits;
    bool is_valid;
    const char *address = molt_config("http.address", "127.0.0.1");
    unsigned port = molt_http_limits_number("http.port", 9000, 0, 65535, &is_valid);
    if (!is_valid) {
        molt_log(MOLT_ERR,
                 "http: http.port = %s is no port number (0 to 65535; 0 takes a free one)",
                 molt_config("http.port", ""));
        return MOLT_EINVAL;
    }
    molt_http_limits_load(&limits, true);
    struct molt_net_options options = {.size = sizeof(options), .backlog = BACKLOG};
    l->fd = molt_net_listen(address, port, &options);
    if (l->fd < 0)
        return report_failure(l->fd, address, port);
    int rc = molt_net_attach(l->fd);
    if (rc < 0)
        return rc;
    molt_log(MOLT_INFO, "http: listening on %s port %d", address, molt_net_port(l->fd));
    return 0;
}

/* The connection gets @fd with its first on_ready. */
static int start_connection(int fd)
{
    molt_pid pid;
    int rc = molt_spawn("http_connection", NULL, NULL, &pid);
    if (rc == 0)
        rc = molt_net_give(fd, pid);
    if (rc < 0)
        molt_net_close(fd);
    /* Who was killed before it had begun is no reason to stop accepting. */
    return rc == MOLT_EDEAD ? 0 : rc;
}

/* The event that announced the waiting clients won't come again, so the timer
 * has to. */
static int pause_accepting(struct http_listener *l, int code)
{
    if (!l->is_reported)
        molt_log(MOLT_WARN,
                 "http: can't accept a connection: %s (%s). Trying again every %d ms; clients wait "
                 "meanwhile. Raise the limit of open files, or close idle connections sooner "
                 "(http.idle_ms).",
                 molt_error_name(code), molt_error_text(code), PAUSE_MS);
    l->is_reported = 1;
    l->is_paused = 1;
    return molt_timeout(PAUSE_MS);
}

static void report_recovery(struct http_listener *l)
{
    if (l->is_reported)
        molt_log(MOLT_INFO, "http: accepting connections again");
    l->is_reported = 0;
}

static int accept_all(struct http_listener *l)
{
    for (;;) {
        int fd = molt_net_accept(l->fd, 0);
        if (fd == MOLT_EBUSY)
            return 0;
        int rc = fd < 0 ? fd : start_connection(fd);
        if (rc < 0)
            return pause_accepting(l, rc);
        report_recovery(l);
    }
}

static int on_ready(struct http_listener *l, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    return l->is_paused ? 0 : accept_all(l);
}

static int on_timeout(struct http_listener *l)
{
    l->is_paused = 0;
    return accept_all(l);
}

MOLT_SERVER(http_listener, struct http_listener, .init = MOLT_FN(init),
            .on_ready = MOLT_FN(on_ready), .on_timeout = MOLT_FN(on_timeout));
