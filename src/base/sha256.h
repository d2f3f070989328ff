/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * SHA-256 (FIPS 180-4), by libcrypto.
 *
 * Threads: any; a context belongs to one thread at a time.
 */
#ifndef MOLT_BASE_SHA256_H
#define MOLT_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define MOLT_SHA256_BYTES 32
#define MOLT_SHA256_HEX (2 * MOLT_SHA256_BYTES + 1)

struct molt_sha256; /* a running digest */

/* NULL when out of memory. */
struct molt_sha256 *molt_sha256_new(void);
void molt_sha256_update(struct molt_sha256 *ctx, const void *bytes, size_t len);
/* The digest of all updates; @ctx can only be freed afterwards. */
void molt_sha256_final(struct molt_sha256 *ctx, uint8_t digest[MOLT_SHA256_BYTES]);
void molt_sha256_free(struct molt_sha256 *ctx);

/* In one go. MOLT_ENOMEM. */
int molt_sha256(const void *bytes, size_t len, uint8_t digest[MOLT_SHA256_BYTES]);

/* Of the rest of file @fd, read with pread from 0. MOLT_EIO, MOLT_ENOMEM. */
int molt_sha256_fd(int fd, uint8_t digest[MOLT_SHA256_BYTES]);

/* Lower-case hex, NUL-terminated. */
void molt_sha256_hex(const uint8_t digest[MOLT_SHA256_BYTES], char hex[MOLT_SHA256_HEX]);
int molt_sha256_from_hex(const char *hex, uint8_t digest[MOLT_SHA256_BYTES]);

/* First eight bytes, big-endian: a 64-bit name for what the digest covers. */
uint64_t molt_sha256_word(const uint8_t digest[MOLT_SHA256_BYTES]);

#endif
