/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "base/log.h"

#include <stdio.h>

void molt_sink_vlog(const struct molt_sink *sink, enum molt_level level, const char *fmt,
                    va_list ap)
{
    if (!sink || !sink->fn)
        return;
    char text[1024];
    vsnprintf(text, sizeof(text), fmt, ap);
    sink->fn(sink->user, level, text);
}

void molt_sink_log(const struct molt_sink *sink, enum molt_level level, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    molt_sink_vlog(sink, level, fmt, ap);
    va_end(ap);
}
