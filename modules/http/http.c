/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The functions of <molt/http.h>.
 *
 * struct molt_http stays incomplete in this module too: the signatures of the
 * interface reach it, and have to be equal here and in the modules that use it.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <molt/http.h>

#include "exchange.h"

#define TEXT_TYPE "text/plain; charset=utf-8"

static struct http_exchange *exchange_of(const struct molt_http *r)
{
    return (struct http_exchange *)(uintptr_t)r;
}

const char *molt_http_method(const struct molt_http *r)
{
    return exchange_of(r)->method;
}

const char *molt_http_path(const struct molt_http *r)
{
    return exchange_of(r)->path;
}

const char *molt_http_query(const struct molt_http *r)
{
    return exchange_of(r)->query;
}

const char *molt_http_header(const struct molt_http *r, const char *name)
{
    const struct http_exchange *x = exchange_of(r);
    return molt_http_parse_field(x->rq, x->base, name);
}

const char *molt_http_body(const struct molt_http *r, size_t *ret_len)
{
    const struct http_exchange *x = exchange_of(r);
    *ret_len = x->rq->body.len;
    return x->rq->body.len > 0 ? x->base + x->rq->body.off : "";
}

/* ---- the head of an answer ---------------------------------------------- */

#define HEAD_MAX 512 /* all that put_head() writes but the content type */

/* In line, so that the lengths of literals are constants. */
__attribute__((always_inline)) static inline char *put(char *to, const char *text)
{
    size_t len = strlen(text);
    memcpy(to, text, len);
    return to + len;
}

static char *put_number(char *to, size_t n)
{
    char digits[24];
    size_t len = 0;
    do
        digits[len++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    while (len > 0)
        *to++ = digits[--len];
    return to;
}

static char *put_2(char *to, int n)
{
    to[0] = (char)('0' + n / 10 % 10);
    to[1] = (char)('0' + n % 10);
    return to + 2;
}

/* RFC 9110, 5.6.7: IMF-fixdate. Made anew when the second has changed. */
static const char *date_text(struct http_date *date)
{
    static const char days[7][6] = {"Sun, ", "Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, "};
    static const char months[12][6] = {" Jan ", " Feb ", " Mar ", " Apr ", " May ", " Jun ",
                                       " Jul ", " Aug ", " Sep ", " Oct ", " Nov ", " Dec "};
    time_t now = time(NULL);
    struct tm tm;
    if (date->second == now && date->text[0])
        return date->text;
    if (!gmtime_r(&now, &tm))
        return "Thu, 01 Jan 1970 00:00:00 GMT";
    char *to = put(date->text, days[tm.tm_wday]);
    to = put(put_2(to, tm.tm_mday), months[tm.tm_mon]);
    to = put_2(put_2(to, (tm.tm_year + 1900) / 100), tm.tm_year % 100);
    *to++ = ' ';
    to = put_2(to, tm.tm_hour);
    *to++ = ':';
    to = put_2(to, tm.tm_min);
    *to++ = ':';
    to = put_2(to, tm.tm_sec);
    memcpy(to, " GMT", 5);
    date->second = now;
    return date->text;
}

/* Does an answer of this status never have a body (RFC 9110, 6.4.1)? */
static bool is_bodiless(int status)
{
    return status == 204 || status == 304;
}

static char *put_head(struct http_exchange *x, char *to, int status, const char *content_type,
                      size_t len)
{
    to = put(to, "HTTP/1.1 ");
    to = put_number(to, (size_t)status);
    to = put(to, " ");
    const char *reason = http_status_str((enum http_status)status);
    to = put(to, reason[0] == '<' ? "Status" : reason);
    to = put(put(to, "\r\nDate: "), date_text(x->date));
    if (!is_bodiless(status))
        to = put_number(put(to, "\r\nContent-Length: "), len);
    if (content_type)
        to = put(put(to, "\r\nContent-Type: "), content_type);
    if (!x->is_kept_alive)
        to = put(to, "\r\nConnection: close");
    else if (x->is_http10)
        to = put(to, "\r\nConnection: keep-alive");
    return put(to, "\r\n");
}

/* ---- answering ---------------------------------------------------------- */

static bool is_one_line(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

/* The fields added so far lie behind the mark: they move up to make room for
 * the status line and our own, which are written behind them first. */
static void insert_head(struct http_exchange *x, int status, const char *content_type,
                        size_t type_len, size_t len)
{
    struct http_output *out = x->out;
    char *mark = out->data + out->at + x->mark, *end = out->data + out->len;
    size_t added = (size_t)(end - mark);
    if (added == 0) {
        out->len += (size_t)(put_head(x, mark, status, content_type, len) - mark);
        return;
    }
    char *head = end + HEAD_MAX + type_len;
    size_t head_len = (size_t)(put_head(x, head, status, content_type, len) - head);
    memmove(mark + head_len, mark, added);
    memmove(mark, head, head_len);
    out->len += head_len;
}

int molt_http_reply(struct molt_http *r, int status, const char *content_type, const void *data,
                    size_t len)
{
    struct http_exchange *x = exchange_of(r);
    if (x->is_answered || status < 200 || status > 999 || (!data && len > 0) ||
        (content_type && !is_one_line(content_type)))
        return MOLT_EINVAL;
    struct http_output *out = x->out;
    size_t body = x->is_head || is_bodiless(status) ? 0 : len;
    size_t type_len = content_type ? strlen(content_type) : 0;
    if (type_len > SIZE_MAX / 4 || body > SIZE_MAX / 4)
        return MOLT_ENOMEM;
    int rc = molt_http_output_reserve(out, 2 * (HEAD_MAX + type_len) + body);
    if (rc < 0)
        return rc;
    insert_head(x, status, content_type, type_len, len);
    memcpy(out->data + out->len, "\r\n", 2);
    out->len += 2;
    if (body > 0)
        memcpy(out->data + out->len, data, body);
    out->len += body;
    x->is_answered = true;
    return 0;
}

static int reply_long(struct molt_http *r, int status, int len, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));
static int reply_long(struct molt_http *r, int status, int len, const char *fmt, va_list ap)
{
    char *text = molt_new_array(char, (size_t)len + 1);
    if (!text)
        return MOLT_ENOMEM;
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    int rc = molt_http_reply(r, status, TEXT_TYPE, text, (size_t)len);
    molt_free(text);
    return rc;
}

int molt_http_printf(struct molt_http *r, int status, const char *fmt, ...)
{
    char text[1024];
    va_list ap, again;
    if (!strchr(fmt, '%'))
        return molt_http_reply(r, status, TEXT_TYPE, fmt, strlen(fmt));
    va_start(ap, fmt);
    va_copy(again, ap);
    int rc, len = vsnprintf(text, sizeof(text), fmt, ap);
    if (len < 0)
        rc = MOLT_EINVAL;
    else if ((size_t)len < sizeof(text))
        rc = molt_http_reply(r, status, TEXT_TYPE, text, (size_t)len);
    else
        rc = reply_long(r, status, len, fmt, again);
    va_end(again);
    va_end(ap);
    return rc;
}

static bool is_token(const char *text)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return *text && text[strspn(text, token)] == '\0';
}

/* Framing is ours: a second length, or a body in another coding, would let two
 * readers see different answers. */
static bool is_reserved(const char *name)
{
    return strcasecmp(name, "content-length") == 0 || strcasecmp(name, "transfer-encoding") == 0 ||
           strcasecmp(name, "date") == 0;
}

int molt_http_add_header(struct molt_http *r, const char *name, const char *value)
{
    struct http_exchange *x = exchange_of(r);
    if (x->is_answered || !is_token(name) || !is_one_line(value) || is_reserved(name))
        return MOLT_EINVAL;
    if (strcasecmp(name, "connection") == 0) {
        if (strcasecmp(value, "close") != 0)
            return MOLT_EINVAL;
        x->is_kept_alive = false;
        return 0;
    }
    size_t name_len = strlen(name), value_len = strlen(value);
    int rc = molt_http_output_reserve(x->out, name_len + value_len + 4);
    if (rc < 0)
        return rc;
    char *to = put(x->out->data + x->out->len, name);
    to = put(put(put(to, ": "), value), "\r\n");
    x->out->len = (size_t)(to - x->out->data);
    return 0;
}
