/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "exchange.h"

#include <string.h>

#include "route.h"

/* Absolute form (RFC 9112, 3.2.2): what follows the authority. */
static int split_absolute(struct http_exchange *x, char *url, size_t len)
{
    struct http_parser_url parts;
    http_parser_url_init(&parts);
    if (http_parser_parse_url(url, len, 0, &parts) != 0)
        return MOLT_EFORMAT;
    x->path = "/";
    if (parts.field_set & (1 << UF_PATH))
        x->path = url + parts.field_data[UF_PATH].off;
    if (parts.field_set & (1 << UF_QUERY))
        x->query = url + parts.field_data[UF_QUERY].off;
    return 0;
}

/* Splits in place: path and query end in NUL afterwards. The path stays as it
 * was sent, percent signs and all. */
static int split_url(struct http_exchange *x, char *url, size_t len)
{
    x->query = "";
    if (url[0] != '/' && strcmp(url, "*") != 0) {
        int rc = split_absolute(x, url, len);
        if (rc < 0)
            return rc;
    } else {
        x->path = url;
    }
    char *fragment = memchr(url, '#', len);
    if (fragment)
        *fragment = '\0';
    char *question = strchr(url, '?');
    if (question) {
        *question = '\0';
        x->query = question + 1;
    }
    return 0;
}

int molt_http_exchange_init(struct http_exchange *x, const struct http_parser *parser,
                            const struct http_request *rq, char *base)
{
    x->rq = rq;
    x->base = base;
    x->method = http_method_str((enum http_method)parser->method);
    x->path = "/";
    x->is_head = parser->method == HTTP_HEAD;
    x->is_http10 = parser->http_minor == 0;
    x->is_kept_alive = rq->is_kept_alive;
    return split_url(x, base + rq->url.off, rq->url.len);
}

static void forget_answer(struct http_exchange *x)
{
    x->out->len = x->out->at + x->mark;
    x->is_answered = false;
}

int molt_http_exchange_refuse(struct http_exchange *x, unsigned status, const char *allow)
{
    struct molt_http *r = (struct molt_http *)x;
    forget_answer(x);
    int rc = allow && *allow ? molt_http_add_header(r, "Allow", allow) : 0;
    if (rc == 0)
        rc = molt_http_printf(r, (int)status, "%u %s\n", status,
                              http_status_str((enum http_status)status));
    if (rc < 0)
        forget_answer(x);
    return rc;
}

static int refuse_unrouted(struct http_exchange *x, bool is_path_known)
{
    char allow[256];
    if (!is_path_known)
        return molt_http_exchange_refuse(x, 404, NULL);
    molt_http_route_allow(x->path, allow, sizeof(allow));
    return molt_http_exchange_refuse(x, 405, allow);
}

/* At most one line a second and connection: a handler may fail at every
 * request, and there are many of those. */
static void log_failure(struct http_exchange *x, int code)
{
    uint64_t now = molt_now_ms();
    if (*x->logged_ms > 0 && now - *x->logged_ms < 1000)
        return;
    *x->logged_ms = now;
    if (code < 0)
        molt_log(MOLT_WARN, "http: the handler of %s %s failed with %s (%s); the client got 500",
                 x->method, x->path, molt_error_name(code), molt_error_text(code));
    else
        molt_log(MOLT_WARN,
                 "http: the handler of %s %s returned without an answer; the client got 500. "
                 "Call molt_http_printf() or molt_http_reply() on every way out of it.",
                 x->method, x->path);
}

/* The reason stays here: a client learns nothing of our insides. */
static int refuse_failed(struct http_exchange *x, int code)
{
    if (code == MOLT_EKILLED || code == MOLT_ESHUTDOWN) {
        x->is_kept_alive = false;
        return molt_http_exchange_refuse(x, 503, NULL);
    }
    log_failure(x, code);
    return molt_http_exchange_refuse(x, 500, NULL);
}

int molt_http_exchange_run(struct http_exchange *x)
{
    bool is_path_known;
    const struct molt_route *route = molt_http_route_find(x->method, x->path, &is_path_known);
    if (!route)
        return refuse_unrouted(x, is_path_known);
    int code = route->handler((struct molt_http *)x);
    if (code < 0 || !x->is_answered)
        return refuse_failed(x, code);
    return 0;
}
