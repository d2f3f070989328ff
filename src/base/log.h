/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where a component's messages go. Library code never prints: it calls the
 * sink that its owner gave it, or nothing.
 *
 * Threads: the sink is called from any thread and must not call back.
 */
#ifndef MOLT_BASE_LOG_H
#define MOLT_BASE_LOG_H

#include <stdarg.h>

#include <molt/molt.h>

struct molt_sink {
    void (*fn)(void *user, enum molt_level level, const char *text); /* may be NULL */
    void *user;
};

/* Formats into 1 KiB on the stack, cuts what is longer. @sink may be NULL. */
void molt_sink_log(const struct molt_sink *sink, enum molt_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void molt_sink_vlog(const struct molt_sink *sink, enum molt_level level, const char *fmt,
                    va_list ap) __attribute__((format(printf, 3, 0)));

#endif
