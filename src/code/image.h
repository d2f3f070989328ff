/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Images: a version's bytes in memory.
 *
 * The bytes that were verified are the bytes that are mapped: they come from a
 * descriptor whose digest was computed here, go to the store under a name made
 * of that digest (or to a sealed memfd behind a link of that name), and the
 * build-id of what the loader mapped is compared. A path is never loaded twice
 * while the loader may still know it: glibc matches by path string first and
 * would silently return the old code.
 *
 * Threads: the executor thread.
 * Locks:   under molt_code.lock; takes the loader's lock.
 */
#ifndef MOLT_CODE_IMAGE_H
#define MOLT_CODE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

#include "base/sha256.h"

#define MOLT_IMAGE_WRITABLE_MAX 4

struct molt_span_of {
    uintptr_t lo, hi; /* [lo, hi) */
};

struct molt_image {
    void *handle; /* of dlopen */
    char *path;   /* what the loader, gdb and perf know it by */
    int fd;       /* sealed memfd behind path, or -1 */
    uintptr_t base;
    uintptr_t lo, hi; /* page-aligned range of all segments */
    size_t n_writable;
    struct molt_span_of writable[MOLT_IMAGE_WRITABLE_MAX]; /* data that code may write */
    const uint8_t *build_id;                               /* in the image */
    size_t build_id_len;
};

struct molt_image_request {
    const char *store;
    const char *name; /* module, or "molt-if" */
    int fd;           /* borrowed; the bytes */
    const uint8_t *digest;
    const uint8_t *build_id; /* expected; NULL: don't compare */
    size_t build_id_len;
    bool is_sealed;
    bool is_global; /* an interface object */
};

/* Verify and map. MOLT_EDIGEST, MOLT_EIO, MOLT_EFORMAT; nothing stays behind
 * on failure. */
int molt_image_open(const struct molt_image_request *request, struct molt_image *ret,
                    struct molt_error *err);

enum molt_image_fate {
    MOLT_IMAGE_GONE,    /* unmapped; the range is reserved without access */
    MOLT_IMAGE_EXPOSED, /* unmapped, but somebody took part of the range */
    MOLT_IMAGE_KEPT,    /* dlclose returned and left it mapped */
};

/* dlclose, then look whether it is really gone, and reserve its range. For
 * MOLT_IMAGE_KEPT @why (size bytes) says what kept it. */
enum molt_image_fate molt_image_close(struct molt_image *image, char *why, size_t size);

/* Address of a symbol that the image itself defines; NULL if it doesn't. */
void *molt_image_symbol(const struct molt_image *image, const char *name);

/* Give a reserved range back. */
void molt_image_unreserve(uintptr_t lo, uintptr_t hi);

#endif
