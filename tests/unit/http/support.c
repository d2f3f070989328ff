/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/http/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <http_parser.h>

#include <molt/http.h>

#include "unit/http/fake_molt.h"

void (*molt_http_support_blocking)(void);

static int hello(struct molt_http *r)
{
    return molt_http_printf(r, 200, "Hello\n");
}

static int echo(struct molt_http *r)
{
    size_t len;
    const char *body = molt_http_body(r, &len), *x = molt_http_header(r, "x");
    return molt_http_printf(r, 200, "%s %s ?%s x=%s [%.*s]", molt_http_method(r), molt_http_path(r),
                            molt_http_query(r), x ? x : "(none)", (int)len, body);
}

static int fail(struct molt_http *r)
{
    molt_http_add_header(r, "X-Secret", "inside");
    molt_http_printf(r, 200, "never seen");
    return MOLT_EDEAD;
}

static int silent(struct molt_http *r)
{
    (void)r;
    return 0;
}

static int big(struct molt_http *r)
{
    size_t n = strtoul(molt_http_query(r), NULL, 10);
    char *data = malloc(n + 1);
    memset(data, 'b', n);
    int rc = molt_http_reply(r, 200, "application/octet-stream", data, n);
    free(data);
    return rc;
}

static int late(struct molt_http *r)
{
    if (molt_http_support_blocking)
        molt_http_support_blocking();
    return molt_http_printf(r, 200, "late\n");
}

static int killed(struct molt_http *r)
{
    (void)r;
    return MOLT_EKILLED;
}

static const struct molt_route routes[] = {
    {"GET", "/", hello},    {"POST", "/echo", echo},    {"PUT", "/echo", echo},
    {"*", "/any*", echo},   {"GET", "/users/*", echo},  {"GET", "/users/me", hello},
    {"GET", "/fail", fail}, {"GET", "/silent", silent}, {"GET", "/big", big},
    {"GET", "/late", late}, {"GET", "/killed", killed}, {NULL, NULL, NULL},
};

void molt_http_support_setup(void)
{
    molt_fake_reset();
    molt_fake_routes(routes);
    molt_http_support_blocking = NULL;
}

char *molt_http_support_answers(int fd)
{
    size_t len;
    const char *got = molt_fake_received(fd, &len);
    char *text = malloc(len + 1), *date;
    memcpy(text, got, len + 1);
    text[len] = '\0';
    while ((date = strstr(text, "Date: ")) != NULL) {
        char *end = strstr(date, "\r\n") + 2;
        memmove(date, end, strlen(end) + 1);
    }
    return text;
}

bool molt_http_support_got(int fd, const char *text)
{
    char *got = molt_http_support_answers(fd);
    bool is_equal = strcmp(got, text) == 0;
    if (!is_equal)
        fprintf(stderr, "expected:\n%s\ngot:\n%s\n", text, got);
    free(got);
    return is_equal;
}

/* ---- answers, read by the library's other half ------------------------------ */

struct reading {
    int status, n;
    bool is_inside;
};

static int on_begin(http_parser *p)
{
    ((struct reading *)p->data)->is_inside = true;
    return 0;
}

static int on_complete(http_parser *p)
{
    struct reading *r = p->data;
    r->is_inside = false;
    if (p->status_code != 100) {
        r->status = p->status_code;
        r->n++;
    }
    return 0;
}

static bool read_answers(int fd, struct reading *ret)
{
    static const http_parser_settings settings = {.on_message_begin = on_begin,
                                                  .on_message_complete = on_complete};
    http_parser p;
    size_t len;
    const char *got = molt_fake_received(fd, &len);
    *ret = (struct reading){.status = -1};
    http_parser_init(&p, HTTP_RESPONSE);
    p.data = ret;
    return http_parser_execute(&p, &settings, got, len) == len && !ret->is_inside;
}

int molt_http_support_status(int fd)
{
    struct reading r;
    read_answers(fd, &r);
    return r.status;
}

int molt_http_support_count(int fd)
{
    struct reading r;
    read_answers(fd, &r);
    return r.n;
}

bool molt_http_support_is_well_formed(int fd)
{
    struct reading r;
    return read_answers(fd, &r);
}
