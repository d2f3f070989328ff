/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Reading an image before it is loaded: is it a module that molt can load, and
 * what does the host need to know of it?
 *
 * Reads untrusted bytes: every offset is checked, and whatever is wrong is a
 * refusal with a reason, never a crash.
 *
 * Threads: any; no shared state.
 */
#ifndef MOLT_TYPES_IMAGE_INFO_H
#define MOLT_TYPES_IMAGE_INFO_H

#include <stdbool.h>
#include <stddef.h>

#include "code/meta.h"

struct molt_image_options {
    const char *module;   /* expected name; NULL: whatever it says */
    const char *project;  /* root folder: header paths are named relative to it */
    bool allow_sanitizer; /* a sanitizer's own constructors are fine */
    size_t n_headers;     /* put into the meta as they are */
    const struct molt_meta_header *headers;
};

/* Check the ELF file in @bytes and describe it. MOLT_EREFUSED: @err says which
 * rule and what to do; MOLT_EFORMAT: not readable as an image. */
int molt_image_read(const void *bytes, size_t len, const struct molt_image_options *options,
                    struct molt_meta **ret, struct molt_error *err);

/* Where @offset (from the image's base) lies: function, file, line. Strings
 * are malloc'd, NULL where unknown. */
struct molt_source_location {
    char *function, *file;
    int line;
};
int molt_image_locate(const char *path, uint64_t offset, struct molt_source_location *ret);
void molt_source_location_fini(struct molt_source_location *loc);

/* Hashes of the signatures of functions in an object file compiled from a probe
 * that declares, for each function f, a variable of type `typeof(f) *` named
 * molt_anchor_<f>. @names in, @ret_sigs out, in the same order. */
int molt_image_probe(const void *bytes, size_t len, const char *project, size_t n,
                     const char *const *names, uint64_t *ret_sigs, struct molt_error *err);

#endif
