/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Growing byte buffer, and the reader and writer of our binary encodings.
 *
 * Integers are little-endian of fixed width, strings and byte runs a u32
 * length before the bytes. A buffer that ran out of memory, and a reader that
 * met a bound, stays failed and ignores what follows, so callers check once at
 * the end.
 *
 * Threads: a buffer or reader belongs to one thread at a time.
 */
#ifndef MOLT_BASE_BUF_H
#define MOLT_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct molt_buf {
    char *data; /* malloc'd; NUL-terminated after molt_buf_printf */
    size_t len, cap;
    bool is_failed; /* out of memory */
};

#define MOLT_BUF_INIT ((struct molt_buf){0})

void molt_buf_fini(struct molt_buf *buf);
void molt_buf_reset(struct molt_buf *buf); /* keeps the memory */
void molt_buf_add(struct molt_buf *buf, const void *bytes, size_t len);
void molt_buf_adds(struct molt_buf *buf, const char *text);
void molt_buf_printf(struct molt_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void molt_buf_vprintf(struct molt_buf *buf, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* The NUL-terminated content, the caller's to free; NULL if failed. Resets. */
char *molt_buf_take(struct molt_buf *buf);

void molt_buf_u8(struct molt_buf *buf, uint8_t v);
void molt_buf_u32(struct molt_buf *buf, uint32_t v);
void molt_buf_u64(struct molt_buf *buf, uint64_t v);
void molt_buf_bytes(struct molt_buf *buf, const void *bytes, size_t len);
void molt_buf_str(struct molt_buf *buf, const char *text); /* NULL as "" */

struct molt_reader {
    const uint8_t *at, *end;
    bool is_failed;
    bool is_out_of_memory; /* that is why it failed: the bytes may be fine */
};

struct molt_reader molt_reader_init(const void *bytes, size_t len);
uint8_t molt_reader_u8(struct molt_reader *r);
uint32_t molt_reader_u32(struct molt_reader *r);
uint64_t molt_reader_u64(struct molt_reader *r);
/* Borrowed run; NULL and 0 on failure. */
const uint8_t *molt_reader_bytes(struct molt_reader *r, size_t *ret_len);
/* Exactly @len raw bytes without a length before them. */
const uint8_t *molt_reader_raw(struct molt_reader *r, size_t len);
/* malloc'd copy without NUL bytes inside; NULL on failure. */
char *molt_reader_str(struct molt_reader *r);
/* A count of items that take at least @min_bytes each in the rest. */
size_t molt_reader_count(struct molt_reader *r, size_t min_bytes);
bool molt_reader_at_end(const struct molt_reader *r);

#endif
