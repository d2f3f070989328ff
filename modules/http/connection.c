/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The server behaviour http_connection: events, deadlines and the end of a
 * connection.
 *
 * Deadlines cost nothing while requests flow: the timer is armed for the
 * earliest moment at which something may be overdue, and asks again then.
 */
#include <molt/molt.h>
#include <molt/net.h>

#include "connection.h"

#define ROUNDS_MAX 16    /* reads in one callback, then others get their turn */
#define LINGER_MS 2000   /* how long a refused client may go on sending */
#define LINGER_ROUNDS 64 /* reads of such input in one callback */

/* Sent to oneself when a callback stops although there is more to read. */
struct http_again {
    uint8_t unused;
};

static int init(struct http_connection *c)
{
    c->fd = -1;
    molt_http_limits_load(&c->limits, false);
    c->active_ms = molt_now_ms();
    c->timer_ms = c->active_ms + c->limits.idle_ms;
    return molt_timeout((int)c->limits.idle_ms);
}

/* An ordinary end, whatever the client did. */
static int finish(struct http_connection *c)
{
    c->is_closing = 1;
    if (c->fd >= 0)
        molt_net_close(c->fd);
    molt_exit(molt_self(), 0);
    return 0;
}

/* ---- deadlines ------------------------------------------------------------ */

static uint64_t deadline(const struct http_connection *c)
{
    if (c->is_lingering)
        return c->active_ms + LINGER_MS;
    if (c->out)
        return c->active_ms + c->limits.request_ms;
    if (c->request)
        return c->started_ms + c->limits.request_ms;
    return c->active_ms + c->limits.idle_ms;
}

static int arm(struct http_connection *c, uint64_t now)
{
    uint64_t at = deadline(c);
    if (c->timer_ms > 0 && c->timer_ms <= at)
        return 0;
    c->timer_ms = at;
    return molt_timeout(at > now ? (int)(at - now) : 1);
}

/* ---- the end of a connection ----------------------------------------------- */

/* Closing a socket with unread input resets the connection, and the client may
 * never see why. So: end our side, and discard for a while what it still
 * sends. */
static int linger(struct http_connection *c)
{
    char waste[4096];
    for (int i = 0; i < LINGER_ROUNDS; i++) {
        long n = molt_net_read(c->fd, waste, sizeof(waste), 0);
        if (n == MOLT_EBUSY)
            return 0;
        if (n <= 0)
            break;
    }
    return finish(c);
}

static int begin_linger(struct http_connection *c)
{
    c->is_lingering = 1;
    c->active_ms = molt_now_ms();
    molt_net_shutdown(c->fd, MOLT_NET_WRITE);
    int rc = arm(c, c->active_ms);
    return rc < 0 ? rc : linger(c);
}

/* ---- events ---------------------------------------------------------------- */

/* Half a request, and the client has ended its side. */
static int end_input(struct http_turn *t)
{
    t->conn->is_closing = 1;
    return t->rq->is_begun ? molt_http_turn_refuse(t, 400) : 0;
}

/* Serve what is there: first what the last turn left, then what can be read.
 * *ret_is_cut: stopped although there may be more to read. 0; MOLT_EBUSY: the
 * client has to take its answers first; else the connection is lost. */
static int work(struct http_turn *t, bool *ret_is_cut)
{
    struct http_connection *c = t->conn;
    bool is_more = true;
    int rc = molt_http_output_flush(&t->out, c->fd, &t->moved);
    *ret_is_cut = true;
    for (int round = 0; rc == 0 && round < ROUNDS_MAX; round++) {
        rc = molt_http_turn_serve(t);
        if (rc == 0 && c->is_eof && !c->is_closing)
            rc = end_input(t);
        if (rc < 0 || c->is_closing || !is_more) {
            *ret_is_cut = false;
            break;
        }
        rc = molt_http_turn_fill(t);
        is_more = rc > 0;
        rc = rc > 0 ? 0 : rc;
    }
    if (rc == 0)
        rc = molt_http_output_flush(&t->out, c->fd, &t->moved);
    return rc;
}

static int ask_again(void)
{
    struct http_again *again = molt_new(struct http_again);
    if (!again)
        return MOLT_ENOMEM;
    return molt_send_pid(molt_self(), again);
}

/* Put the rest of the turn away; end the connection, or wait for what comes. */
static int end_turn(struct http_turn *t, int rc)
{
    struct http_connection *c = t->conn;
    if ((rc < 0 && rc != MOLT_EBUSY) || molt_http_turn_end(t) < 0)
        return finish(c);
    uint64_t now = molt_now_ms();
    if (t->moved > 0)
        c->active_ms = now;
    if (c->request && c->started_ms == 0)
        c->started_ms = now;
    if (c->is_closing && !c->out)
        return c->is_refusing && !c->is_eof ? begin_linger(c) : finish(c);
    return arm(c, now);
}

static int go_on(struct http_connection *c)
{
    if (c->is_lingering)
        return linger(c);
    struct http_turn t;
    bool is_cut;
    molt_http_turn_begin(&t, c);
    int rc = work(&t, &is_cut);
    bool is_again = rc == 0 && is_cut && !c->is_closing;
    rc = end_turn(&t, rc);
    return rc == 0 && is_again ? ask_again() : rc;
}

static int on_ready(struct http_connection *c, int fd, unsigned events)
{
    c->fd = fd;
    c->is_hangup |= (events & MOLT_NET_HANGUP) != 0;
    return go_on(c);
}

static int on_again(struct http_connection *c, struct http_again *again)
{
    (void)again;
    return go_on(c);
}

static int refuse_late(struct http_connection *c)
{
    struct http_turn t;
    molt_http_turn_begin(&t, c);
    int rc = molt_http_turn_refuse(&t, 408);
    if (rc == 0)
        rc = molt_http_output_flush(&t.out, c->fd, &t.moved);
    return end_turn(&t, rc);
}

static int on_timeout(struct http_connection *c)
{
    uint64_t now = molt_now_ms();
    c->timer_ms = 0;
    if (now < deadline(c))
        return arm(c, now);
    if (c->request && !c->out && !c->is_lingering)
        return refuse_late(c);
    return finish(c);
}

MOLT_SERVER(http_connection, struct http_connection, .init = MOLT_FN(init),
            .on_ready = MOLT_FN(on_ready), .on_timeout = MOLT_FN(on_timeout),
            .on = {MOLT_CAST(struct http_again, on_again)});
