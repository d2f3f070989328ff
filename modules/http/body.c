/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "body.h"

#include <string.h>

/* What the next byte is. Anything else than what the comment says is refused. */
enum state {
    BODY_PLAIN,         /* of a body of known length */
    BODY_SIZE_FIRST,    /* hex digit */
    BODY_SIZE,          /* hex digit, CR, or what begins an extension */
    BODY_EXTENSION,     /* any text, CR */
    BODY_SIZE_LF,       /* LF */
    BODY_DATA,          /* of a chunk */
    BODY_DATA_CR,       /* CR */
    BODY_DATA_LF,       /* LF */
    BODY_TRAILER_FIRST, /* CR, or what begins a trailer field */
    BODY_TRAILER,       /* any text, CR */
    BODY_TRAILER_LF,    /* LF */
    BODY_LAST_LF,       /* LF */
    BODY_END,
};

void molt_http_framing_init(struct http_framing *f, bool is_chunked,
                            const struct http_limits *limits, uint64_t content_length)
{
    *f = (struct http_framing){
        .left = is_chunked ? 0 : content_length,
        .line_max = limits->header_bytes,
        .body_max = limits->body_bytes,
        .state = is_chunked ? BODY_SIZE_FIRST : BODY_PLAIN,
    };
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text_char(char c)
{
    return (unsigned char)c >= ' ' ? c != 0x7f : c == '\t';
}

/* @then if @c is @wanted. */
static int expect(struct http_framing *f, char c, char wanted, enum state then)
{
    if (c != wanted)
        return 400;
    f->state = (uint8_t)then;
    return 0;
}

/* A digit of the size, or what ends it. */
static int take_size(struct http_framing *f, char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        f->left = f->left * 16 + (unsigned)digit;
        f->state = BODY_SIZE;
        return f->left > f->body_max ? 413 : 0;
    }
    if (f->state == BODY_SIZE_FIRST)
        return 400;
    f->state = BODY_EXTENSION;
    if (c == '\r')
        f->state = BODY_SIZE_LF;
    return c == '\r' || c == ';' || c == ' ' || c == '\t' ? 0 : 400;
}

static int take_text(struct http_framing *f, char c, enum state text, enum state at_cr)
{
    f->state = (uint8_t)(c == '\r' ? at_cr : text);
    return c == '\r' || is_text_char(c) ? 0 : 400;
}

/* One byte that is no data. 0, or the status to refuse with. */
static int take_framing(struct http_framing *f, char c)
{
    if (++f->line > f->line_max)
        return 431;
    switch ((enum state)f->state) {
    case BODY_SIZE_FIRST:
    case BODY_SIZE:
        return take_size(f, c);
    case BODY_EXTENSION:
        return take_text(f, c, BODY_EXTENSION, BODY_SIZE_LF);
    case BODY_SIZE_LF:
        f->line = 0;
        return expect(f, c, '\n', f->left > 0 ? BODY_DATA : BODY_TRAILER_FIRST);
    case BODY_DATA_CR:
        return expect(f, c, '\r', BODY_DATA_LF);
    case BODY_DATA_LF:
        f->line = 0;
        return expect(f, c, '\n', BODY_SIZE_FIRST);
    case BODY_TRAILER_FIRST:
        return take_text(f, c, BODY_TRAILER, BODY_LAST_LF);
    case BODY_TRAILER:
        return take_text(f, c, BODY_TRAILER, BODY_TRAILER_LF);
    case BODY_TRAILER_LF:
        return expect(f, c, '\n', BODY_TRAILER_FIRST);
    case BODY_LAST_LF:
        return expect(f, c, '\n', BODY_END);
    case BODY_PLAIN:
    case BODY_DATA:
    case BODY_END:
        break;
    }
    return 400;
}

/* As much data as is here. 413 beyond the limit. */
static int take_data(struct http_framing *f, char *data, size_t *at, size_t len, char *body,
                     size_t *body_len)
{
    size_t n = len - *at;
    if (n > f->left)
        n = (size_t)f->left;
    if (n > f->body_max - *body_len)
        return 413;
    if (body + *body_len != data + *at)
        memmove(body + *body_len, data + *at, n);
    *body_len += n;
    *at += n;
    f->left -= n;
    if (f->left == 0)
        f->state = f->state == BODY_PLAIN ? BODY_END : BODY_DATA_CR;
    return 0;
}

int molt_http_framing_decode(struct http_framing *f, char *data, size_t *at, size_t len, char *body,
                             size_t *body_len)
{
    if (f->state == BODY_PLAIN && f->left == 0)
        f->state = BODY_END;
    while (f->state != BODY_END && *at < len) {
        int rc = f->state == BODY_PLAIN || f->state == BODY_DATA
                     ? take_data(f, data, at, len, body, body_len)
                     : take_framing(f, data[(*at)++]);
        if (rc > 0)
            return rc;
    }
    return f->state == BODY_END;
}
