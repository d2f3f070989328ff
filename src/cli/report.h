/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Lines about builds and upgrades, for people; tests read them too.
 *
 * Threads: pure, but for molt_report_hint().
 */
#ifndef MOLT_CLI_REPORT_H
#define MOLT_CLI_REPORT_H

#include <stdint.h>

#include "base/buf.h"
#include "build/build.h"
#include "control/record.h"

/* "hello@1 -> 2   live in 96 ms (compile 81, link 6, check 2, switch 0.4)   1
 * process moved". @built may be NULL. */
void molt_report_upgrade(const struct molt_upgrade_record *upgrade,
                         const struct molt_build_result *built, uint64_t elapsed_ns,
                         struct molt_buf *out);

/* What changed in the states, as in molt_outcome.moved (may be NULL): behind the line if it
 * is one server, else below it. */
void molt_report_moved(const char *moved, struct molt_buf *out);

/* The kind of a build's failure: "compile error", "link error", "refused". */
const char *molt_report_build_kind(int code);

/* "compile error, nothing changed", then "file:line:column: error: ..." lines,
 * paths relative to @root; what the compiler printed if it said nothing in
 * particular. */
void molt_report_build_failure(const struct molt_build_result *built, const char *root,
                               struct molt_buf *out);
/* The warnings of a build that succeeded; empty if none. */
void molt_report_warnings(const struct molt_build_result *built, const char *root,
                          struct molt_buf *out);

/* A file below @root worth editing: "src/hello.c" if it exists, or "". */
const char *molt_report_hint(const char *root);

#endif
