/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "base/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libcrypto's own SHA-256 functions, deprecated since 3.0 in favour of EVP but
 * kept: the first EVP digest of a process loads configuration and providers,
 * which costs a host 3 to 11 ms of its start and 1.8 MB of memory. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <molt/error.h>

struct molt_sha256 {
    SHA256_CTX sha;
};

struct molt_sha256 *molt_sha256_new(void)
{
    struct molt_sha256 *ctx = calloc(1, sizeof(*ctx));
    if (ctx)
        SHA256_Init(&ctx->sha);
    return ctx;
}

void molt_sha256_update(struct molt_sha256 *ctx, const void *bytes, size_t len)
{
    SHA256_Update(&ctx->sha, bytes, len);
}

void molt_sha256_final(struct molt_sha256 *ctx, uint8_t digest[MOLT_SHA256_BYTES])
{
    SHA256_Final(digest, &ctx->sha);
}

void molt_sha256_free(struct molt_sha256 *ctx)
{
    free(ctx);
}

int molt_sha256(const void *bytes, size_t len, uint8_t digest[MOLT_SHA256_BYTES])
{
    struct molt_sha256 *ctx = molt_sha256_new();
    if (!ctx)
        return MOLT_ENOMEM;
    molt_sha256_update(ctx, bytes, len);
    molt_sha256_final(ctx, digest);
    molt_sha256_free(ctx);
    return 0;
}

int molt_sha256_fd(int fd, uint8_t digest[MOLT_SHA256_BYTES])
{
    struct molt_sha256 *ctx = molt_sha256_new();
    if (!ctx)
        return MOLT_ENOMEM;
    char chunk[16384];
    off_t at = 0;
    ssize_t n;
    while ((n = pread(fd, chunk, sizeof(chunk), at)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        molt_sha256_update(ctx, chunk, (size_t)n);
        at += n;
    }
    molt_sha256_final(ctx, digest);
    molt_sha256_free(ctx);
    return n < 0 ? MOLT_EIO : 0;
}

void molt_sha256_hex(const uint8_t digest[MOLT_SHA256_BYTES], char hex[MOLT_SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < MOLT_SHA256_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * MOLT_SHA256_BYTES] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int molt_sha256_from_hex(const char *hex, uint8_t digest[MOLT_SHA256_BYTES])
{
    uint8_t out[MOLT_SHA256_BYTES];
    for (size_t i = 0; i < MOLT_SHA256_BYTES; i++) {
        int hi = hex_value(hex[2 * i]);
        int lo = hi < 0 ? -1 : hex_value(hex[2 * i + 1]);
        if (lo < 0)
            return MOLT_EFORMAT;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    if (hex[2 * MOLT_SHA256_BYTES] != '\0')
        return MOLT_EFORMAT;
    memcpy(digest, out, sizeof(out));
    return 0;
}

uint64_t molt_sha256_word(const uint8_t digest[MOLT_SHA256_BYTES])
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++)
        word = word << 8 | digest[i];
    return word;
}
