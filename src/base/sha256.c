/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "base/sha256.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <molt/error.h>

/* Once a step failed (out of memory inside libcrypto) the digest is all
 * zeroes, which matches nothing. */
struct molt_sha256 {
    EVP_MD_CTX *md;
    int is_failed;
};

struct molt_sha256 *molt_sha256_new(void)
{
    struct molt_sha256 *ctx = calloc(1, sizeof(*ctx));
    if (!ctx)
        return NULL;
    ctx->md = EVP_MD_CTX_new();
    if (!ctx->md || EVP_DigestInit_ex(ctx->md, EVP_sha256(), NULL) != 1) {
        molt_sha256_free(ctx);
        return NULL;
    }
    return ctx;
}

void molt_sha256_update(struct molt_sha256 *ctx, const void *bytes, size_t len)
{
    if (EVP_DigestUpdate(ctx->md, bytes, len) != 1)
        ctx->is_failed = 1;
}

void molt_sha256_final(struct molt_sha256 *ctx, uint8_t digest[MOLT_SHA256_BYTES])
{
    if (ctx->is_failed || EVP_DigestFinal_ex(ctx->md, digest, NULL) != 1)
        memset(digest, 0, MOLT_SHA256_BYTES);
}

void molt_sha256_free(struct molt_sha256 *ctx)
{
    if (!ctx)
        return;
    EVP_MD_CTX_free(ctx->md);
    free(ctx);
}

int molt_sha256(const void *bytes, size_t len, uint8_t digest[MOLT_SHA256_BYTES])
{
    struct molt_sha256 *ctx = molt_sha256_new();
    if (!ctx)
        return MOLT_ENOMEM;
    molt_sha256_update(ctx, bytes, len);
    int rc = ctx->is_failed ? MOLT_ENOMEM : 0;
    molt_sha256_final(ctx, digest);
    molt_sha256_free(ctx);
    return rc;
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
