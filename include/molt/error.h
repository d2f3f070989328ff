/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Error codes and the error object.
 *
 * Every function that can fail returns 0 or a positive value, or one of the
 * negative codes below. Where a person needs the reason, the last parameter is
 * a struct molt_error on the caller's stack; it may be NULL, and filling it
 * never allocates. Codes, names and texts come from this one list.
 *
 * Threads: all functions here are pure but for the object they are given.
 */
#ifndef MOLT_ERROR_H
#define MOLT_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* X(name, value, text). Values are part of the ABI: append only. */
#define MOLT_ERROR_LIST(X)                                                                         \
    X(MOLT_ENOMEM, -1, "out of memory")                                                            \
    X(MOLT_EINVAL, -2, "invalid argument")                                                         \
    X(MOLT_EIO, -3, "input/output error")                                                          \
    X(MOLT_ENOENT, -4, "no such thing")                                                            \
    X(MOLT_EEXIST, -5, "already exists")                                                           \
    X(MOLT_ETIMEDOUT, -6, "timed out")                                                             \
    X(MOLT_ENOPROC, -7, "not inside a process")                                                    \
    X(MOLT_EDEAD, -8, "the process does not exist (any more)")                                     \
    X(MOLT_EUNDEF, -9, "function undefined in this world")                                         \
    X(MOLT_ENOWORLD, -10, "the thread has no world")                                               \
    X(MOLT_ETYPE, -11, "type not known to the receiver")                                           \
    X(MOLT_ELOCKED, -12, "would block with a lock held")                                           \
    X(MOLT_EFORMAT, -13, "malformed data")                                                         \
    X(MOLT_EDIGEST, -14, "digest mismatch")                                                        \
    X(MOLT_EABI, -15, "ABI version mismatch")                                                      \
    X(MOLT_EREFUSED, -16, "refused")                                                               \
    X(MOLT_ESTALE, -17, "stale handle")                                                            \
    X(MOLT_EBUSY, -18, "busy")                                                                     \
    X(MOLT_ELIMIT, -19, "limit reached")                                                           \
    X(MOLT_EONLOAD, -20, "on_load failed")                                                         \
    X(MOLT_EPINNED, -21, "still in use")                                                           \
    X(MOLT_ECLOSED, -22, "closed")                                                                 \
    X(MOLT_ECRASH, -23, "crashed")                                                                 \
    X(MOLT_ECOMPILE, -24, "compile error")                                                         \
    X(MOLT_ELINK, -25, "link error")                                                               \
    X(MOLT_EOWNER, -26, "block belongs to another process")                                        \
    X(MOLT_ECHANGE, -27, "code_change failed")                                                     \
    X(MOLT_ENOTSUP, -28, "not supported here")                                                     \
    X(MOLT_EKILLED, -29, "killed")                                                                 \
    X(MOLT_ESHUTDOWN, -30, "shutting down")

enum molt_errcode {
    MOLT_OK = 0,
#define MOLT_ERROR_ENUM_(name, value, text) name = (value),
    MOLT_ERROR_LIST(MOLT_ERROR_ENUM_)
#undef MOLT_ERROR_ENUM_
};

#define MOLT_ERROR_TEXT_MAX 1024

/* What failed and why, in sentences for a person. Lives on the caller's stack. */
struct molt_error {
    int code;                       /* one of enum molt_errcode; 0 when unset */
    char text[MOLT_ERROR_TEXT_MAX]; /* NUL-terminated; cut with "..." if longer */
};

/* Name ("MOLT_ENOMEM") and default text of a code; "MOLT_E?" and "unknown
 * error" for values outside the list. Static strings. */
const char *molt_error_name(int code);
const char *molt_error_text(int code);

/* Fill @err (may be NULL) with @code and a formatted sentence; return @code. */
int molt_error_set(struct molt_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int molt_error_vset(struct molt_error *err, int code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

/* Put "<formatted>: " before the text already in @err (may be NULL); return
 * the code in @err, or @code if @err is NULL or empty. */
int molt_error_wrap(struct molt_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
