/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void molt_buf_fini(struct molt_buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    *buf = MOLT_BUF_INIT;
}

void molt_buf_reset(struct molt_buf *buf)
{
    buf->len = 0;
    buf->is_failed = false;
}

/* Room for @extra more bytes and a NUL. */
static bool reserve(struct molt_buf *buf, size_t extra)
{
    if (buf->is_failed)
        return false;
    if (extra >= SIZE_MAX / 2 - buf->len) {
        buf->is_failed = true;
        return false;
    }
    size_t need = buf->len + extra + 1;
    if (need <= buf->cap)
        return true;
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap *= 2;
    char *data = realloc(buf->data, cap);
    if (!data) {
        buf->is_failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void molt_buf_add(struct molt_buf *buf, const void *bytes, size_t len)
{
    if (!reserve(buf, len))
        return;
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
}

void molt_buf_adds(struct molt_buf *buf, const char *text)
{
    molt_buf_add(buf, text, strlen(text));
}

void molt_buf_vprintf(struct molt_buf *buf, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0)
        buf->is_failed = true;
    else if (reserve(buf, (size_t)n)) {
        vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

void molt_buf_printf(struct molt_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    molt_buf_vprintf(buf, fmt, ap);
    va_end(ap);
}

char *molt_buf_take(struct molt_buf *buf)
{
    if (!reserve(buf, 0)) {
        molt_buf_fini(buf);
        return NULL;
    }
    buf->data[buf->len] = '\0';
    char *text = buf->data;
    *buf = MOLT_BUF_INIT;
    return text;
}

static void add_le(struct molt_buf *buf, uint64_t v, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    molt_buf_add(buf, bytes, width);
}

void molt_buf_u8(struct molt_buf *buf, uint8_t v)
{
    add_le(buf, v, 1);
}

void molt_buf_u32(struct molt_buf *buf, uint32_t v)
{
    add_le(buf, v, 4);
}

void molt_buf_u64(struct molt_buf *buf, uint64_t v)
{
    add_le(buf, v, 8);
}

void molt_buf_bytes(struct molt_buf *buf, const void *bytes, size_t len)
{
    if (len > UINT32_MAX) {
        buf->is_failed = true;
        return;
    }
    molt_buf_u32(buf, (uint32_t)len);
    molt_buf_add(buf, bytes, len);
}

void molt_buf_str(struct molt_buf *buf, const char *text)
{
    molt_buf_bytes(buf, text ? text : "", text ? strlen(text) : 0);
}
