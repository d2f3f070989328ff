/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Reading frame information byte by byte, within bounds. After a read past the
 * end is_bad is set, and all further reads give 0.
 *
 * Threads: any, async-signal-safe.
 */
#ifndef MOLT_PORT_UNWIND_BYTES_H
#define MOLT_PORT_UNWIND_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct molt_bytes {
    const uint8_t *at, *end;
    bool is_bad;
};

/* Little-endian, 1 to 8 bytes. */
static inline uint64_t molt_bytes_uint(struct molt_bytes *b, unsigned width)
{
    uint64_t v = 0;
    if (b->is_bad || (size_t)(b->end - b->at) < width) {
        b->is_bad = true;
        return 0;
    }
    for (unsigned i = 0; i < width; i++)
        v |= (uint64_t)b->at[i] << (8 * i);
    b->at += width;
    return v;
}

static inline int64_t molt_bytes_int(struct molt_bytes *b, unsigned width)
{
    uint64_t v = molt_bytes_uint(b, width);
    unsigned unused = 64 - 8 * width;
    return (int64_t)(v << unused) >> unused;
}

static inline uint64_t molt_bytes_uleb(struct molt_bytes *b)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = molt_bytes_uint(b, 1);
        v |= (byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    b->is_bad = true;
    return 0;
}

static inline int64_t molt_bytes_sleb(struct molt_bytes *b)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64;) {
        uint64_t byte = molt_bytes_uint(b, 1);
        v |= (byte & 0x7f) << shift;
        shift += 7;
        if (byte & 0x80)
            continue;
        if (shift < 64 && (byte & 0x40))
            v |= ~UINT64_C(0) << shift;
        return (int64_t)v;
    }
    b->is_bad = true;
    return 0;
}

/* The next @len bytes as an object of their own. */
static inline struct molt_bytes molt_bytes_part(struct molt_bytes *b, uint64_t len)
{
    struct molt_bytes part = {b->at, b->at, true};
    if (b->is_bad || (uint64_t)(b->end - b->at) < len) {
        b->is_bad = true;
        return part;
    }
    part = (struct molt_bytes){b->at, b->at + len, false};
    b->at += len;
    return part;
}

#endif
