/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the build knows of files: digests by content, remembered as long as
 * stat(2) says that nothing changed, and the `#include` lines in them. Also
 * reading and atomic writing.
 *
 * Invariant: a digest is trusted without reading only if the file's times were
 * well in the past when it was read, so that two edits within one tick of the
 * file system's clock aren't taken for one.
 *
 * Threads: a table belongs to one thread at a time; molt_file_* any.
 */
#ifndef MOLT_BUILD_FILES_H
#define MOLT_BUILD_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "build/args.h"

struct molt_files;

struct molt_files *molt_files_new(void); /* NULL: out of memory */
void molt_files_free(struct molt_files *files);

/* A new build begins: look at each file again when it is asked for. */
void molt_files_next(struct molt_files *files);
/* Read @path again, whatever stat says. */
void molt_files_forget(struct molt_files *files, const char *path);

/* Digest of the content of @path; all zeroes if it can't be read. Once per
 * build: later changes are seen after molt_files_next(). MOLT_ENOENT,
 * MOLT_ENOMEM. */
int molt_files_digest(struct molt_files *files, const char *path,
                      uint8_t digest[MOLT_SHA256_BYTES]);
bool molt_files_exists(struct molt_files *files, const char *path);

/* A moment, for molt_files_is_settled(). */
struct molt_files_time {
    int64_t real_ns, monotonic_ns;
};
struct molt_files_time molt_files_now(void);
/* Can somebody who read @path after @since have read only what its digest in
 * this build covers? Asks the file system now. False for a missing file. */
bool molt_files_is_settled(struct molt_files *files, const char *path,
                           struct molt_files_time since);

/* The names in the `#include` lines of @path as written, with their quotes,
 * conditions not evaluated. NULL if it can't be read. Borrowed until the next
 * molt_files_next(). */
const struct molt_args *molt_files_includes(struct molt_files *files, const char *path);

/* Append the whole of @path. MOLT_ENOENT, MOLT_EIO, MOLT_ENOMEM. */
int molt_file_read(const char *path, struct molt_buf *out, struct molt_error *err);
/* Wait until nobody has @path open for writing. MOLT_EBUSY: somebody has, for
 * all of @timeout_ms; 0 also where the file system can't tell. */
int molt_file_await_writers(const char *path, int timeout_ms, struct molt_error *err);
/* Create or replace @path by a temporary file and a rename. */
int molt_file_write(const char *path, const void *bytes, size_t len, unsigned mode,
                    struct molt_error *err);
/* As above, but leaves a file with that content alone. Returns 1 if written. */
int molt_file_update(const char *path, const void *bytes, size_t len, struct molt_error *err);
/* Make the folder @path and those above it. */
int molt_file_mkdirs(const char *path, struct molt_error *err);

#endif
