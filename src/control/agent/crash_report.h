/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where a host or a process crashed, for people: frames of modules become function, file
 * and line, read from the images in the store.
 *
 * Threads: one at a time.
 */
#ifndef MOLT_CONTROL_AGENT_CRASH_REPORT_H
#define MOLT_CONTROL_AGENT_CRASH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "control/record.h"

/* Which bytes a version was made of. */
struct molt_crash_image {
    char module[64];
    uint32_t number;
    uint8_t digest[MOLT_SHA256_BYTES];
};

/* Append "SIGSEGV at 0x0 in counter@2, on_next() src/counter.c:14", and one
 * line "\n  called from ..." for each further frame of a module. @root: paths
 * below it are shown relative to it. */
void molt_crash_report(const struct molt_crash_record *crash, const struct molt_crash_image *images,
                       size_t n_images, const char *store, const char *root, struct molt_buf *out);

/* The same for a crash that ended only its process: "process 12 'counter' crashed
 * and was ended: SIGSEGV, bad address 0x0, in counter@2, on_next()
 * src/counter.c:14", the other frames, and what it was doing. */
void molt_crash_report_process(const struct molt_contained_record *crash,
                               const struct molt_crash_image *images, size_t n_images,
                               const char *store, const char *root, struct molt_buf *out);

/* Are the images of all frames among @images? */
bool molt_crash_knows_images(const struct molt_contained_record *crash,
                             const struct molt_crash_image *images, size_t n_images);

#endif
