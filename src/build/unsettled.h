/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Files that are on their way: being written, or gone for a moment because an
 * editor moved them aside before it writes the new text. Who builds meanwhile
 * reads half of a text, or none.
 *
 * Threads: one at a time. Times are the caller's, in ms.
 */
#ifndef MOLT_BUILD_UNSETTLED_H
#define MOLT_BUILD_UNSETTLED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file that nobody has written to for so long while it is open counts as
 * saved, or one program that keeps a file open would stop everything. */
#define MOLT_UNSETTLED_WRITE_MS 2000
/* vim (backupcopy=no) and emacs sync the new text before they close it. */
#define MOLT_UNSETTLED_GONE_MS 250
/* Saves that come this close together are one change. */
#define MOLT_UNSETTLED_QUIET_MS 2

struct molt_unsettled_file;

struct molt_unsettled {
    size_t n, cap;
    struct molt_unsettled_file *files;
    uint64_t last_ms; /* of the last event */
};

void molt_unsettled_fini(struct molt_unsettled *u);

/* Somebody writes to @path, and will close it. MOLT_ENOMEM. */
int molt_unsettled_write(struct molt_unsettled *u, const char *path, uint64_t now_ms);
/* @path was deleted or moved away. MOLT_ENOMEM. */
int molt_unsettled_gone(struct molt_unsettled *u, const char *path, uint64_t now_ms);
/* @path is whole, or will not come back. */
void molt_unsettled_done(struct molt_unsettled *u, const char *path, uint64_t now_ms);

/* How long until all is settled if nothing more happens; 0: it is. */
unsigned molt_unsettled_wait(struct molt_unsettled *u, uint64_t now_ms);
/* Is there a file that somebody writes to now? */
bool molt_unsettled_is_writing(const struct molt_unsettled *u);

#endif
