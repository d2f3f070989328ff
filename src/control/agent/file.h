/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Whole files. Threads: any. */
#ifndef MOLT_CONTROL_AGENT_FILE_H
#define MOLT_CONTROL_AGENT_FILE_H

#include <stddef.h>

#include <molt/error.h>

#include "base/buf.h"

#define MOLT_AGENT_FILE_MAX (256u << 20) /* bytes that molt_agent_file_read takes */

/* Append the file at @path to @out. MOLT_ENOENT, MOLT_EIO, MOLT_ELIMIT,
 * MOLT_ENOMEM. */
int molt_agent_file_read(const char *path, struct molt_buf *out, struct molt_error *err);

/* Replace @path by @bytes: a temporary file beside it, synced and renamed, so
 * that a reader sees the old content or the new. */
int molt_agent_file_write(const char *path, const void *bytes, size_t len, struct molt_error *err);

#endif
