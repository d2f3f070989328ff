/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Which compiler and linker, and where libc and libgcc are: asked once, then
 * remembered in .molt/cache/toolchain until the compiler's file changes.
 *
 * Threads: a toolchain is read-only once opened, but for the cache of library
 * paths: one thread at a time.
 */
#ifndef MOLT_BUILD_TOOLCHAIN_H
#define MOLT_BUILD_TOOLCHAIN_H

#include <stdbool.h>

#include <molt/error.h>

#include "base/sha256.h"
#include "build/args.h"
#include "build/strmap.h"

struct molt_toolchain {
    struct molt_args cc; /* the words of `cc` in molt.conf */
    char *cc_path;       /* the file that cc[0] is */
    char *version;       /* first line of `cc --version` */
    bool is_clang;
    char *linker;                  /* file of ld.gold, ld.bfd or ld.lld */
    char *linker_name;             /* "gold", "bfd", "lld" */
    char *libc, *libgcc;           /* files */
    uint8_t id[MOLT_SHA256_BYTES]; /* covers all of it, with file times */
    struct molt_strmap libraries;  /* name -> path */
    char *cache;                   /* file */
};

/* @cc as in molt.conf; @folder is for the cache and exists. MOLT_ENOENT: no
 * such compiler or linker, with the package to install. */
int molt_toolchain_open(const char *cc, const char *folder, struct molt_toolchain **ret,
                        struct molt_error *err);
void molt_toolchain_free(struct molt_toolchain *tools);
/* Is it still the compiler that `@cc` names, unchanged on disk? */
bool molt_toolchain_is_current(const struct molt_toolchain *tools, const char *cc);

/* File of library @name as in -l@name; borrowed. MOLT_ENOENT. */
int molt_toolchain_library(struct molt_toolchain *tools, const char *name, const char **ret,
                           struct molt_error *err);

#endif
