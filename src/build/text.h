/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Reading what compilers write: dependency files and messages.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_BUILD_TEXT_H
#define MOLT_BUILD_TEXT_H

#include <stddef.h>

#include "build/args.h"
#include "build/build.h"

/* The prerequisites of all rules in @text, a dependency file as make reads it
 * (`\ `, `$$`, `\#`, lines joined by a backslash), to @out. */
void molt_text_deps(const char *text, struct molt_args *out);

struct molt_diagnostics {
    size_t n, cap;
    struct molt_diagnostic *v;
    bool is_failed; /* out of memory */
};

void molt_diagnostics_fini(struct molt_diagnostics *list);
/* @file may be NULL; strings are copied. */
void molt_diagnostics_add(struct molt_diagnostics *list, const char *file, int line, int column,
                          bool is_error, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* Errors and warnings in the output of gcc, clang or a GNU linker:
 * "file:line:column: error: message" and its shorter forms. */
void molt_text_diagnostics(const char *text, struct molt_diagnostics *list);

#endif
