/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct molt_reader molt_reader_init(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    return (struct molt_reader){.at = at, .end = at + len};
}

const uint8_t *molt_reader_raw(struct molt_reader *r, size_t len)
{
    if (r->is_failed || (size_t)(r->end - r->at) < len) {
        r->is_failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += len;
    return p;
}

static uint64_t read_le(struct molt_reader *r, size_t width)
{
    const uint8_t *p = molt_reader_raw(r, width);
    uint64_t v = 0;
    for (size_t i = 0; p && i < width; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint8_t molt_reader_u8(struct molt_reader *r)
{
    return (uint8_t)read_le(r, 1);
}

uint32_t molt_reader_u32(struct molt_reader *r)
{
    return (uint32_t)read_le(r, 4);
}

uint64_t molt_reader_u64(struct molt_reader *r)
{
    return read_le(r, 8);
}

const uint8_t *molt_reader_bytes(struct molt_reader *r, size_t *ret_len)
{
    size_t len = molt_reader_u32(r);
    const uint8_t *p = molt_reader_raw(r, len);
    *ret_len = p ? len : 0;
    return p;
}

char *molt_reader_str(struct molt_reader *r)
{
    size_t len;
    const uint8_t *p = molt_reader_bytes(r, &len);
    if (!p)
        return NULL;
    bool is_text = !memchr(p, '\0', len);
    char *text = is_text ? malloc(len + 1) : NULL;
    if (!text) {
        r->is_failed = true;
        r->is_out_of_memory |= is_text;
        return NULL;
    }
    memcpy(text, p, len);
    text[len] = '\0';
    return text;
}

size_t molt_reader_count(struct molt_reader *r, size_t min_bytes)
{
    size_t n = molt_reader_u32(r);
    if (r->is_failed || n > (size_t)(r->end - r->at) / (min_bytes ? min_bytes : 1)) {
        r->is_failed = true;
        return 0;
    }
    return n;
}

bool molt_reader_at_end(const struct molt_reader *r)
{
    return !r->is_failed && r->at == r->end;
}
