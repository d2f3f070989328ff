/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "limits.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include <molt/molt.h>

struct limit {
    const char *key;
    size_t offset;
    uint32_t fallback, min, max;
};

/* The parser library refuses heads beyond 80 KiB, hence the first maximum. */
static const struct limit limits[] = {
    {"http.header_bytes", offsetof(struct http_limits, header_bytes), 16 << 10, 64, 64 << 10},
    {"http.url_bytes", offsetof(struct http_limits, url_bytes), 8 << 10, 16, 64 << 10},
    {"http.body_bytes", offsetof(struct http_limits, body_bytes), 1 << 20, 0, 1 << 30},
    {"http.headers", offsetof(struct http_limits, fields), 100, 1, HTTP_FIELDS_MAX},
    {"http.idle_ms", offsetof(struct http_limits, idle_ms), 60000, 1, 1 << 30},
    {"http.request_ms", offsetof(struct http_limits, request_ms), 30000, 1, 1 << 30},
};

uint32_t molt_http_limits_number(const char *key, uint32_t fallback, uint32_t min, uint32_t max,
                                 bool *ret_is_valid)
{
    const char *text = molt_config(key, NULL);
    if (!text) {
        *ret_is_valid = true;
        return fallback;
    }
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *ret_is_valid =
        *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && value >= min && value <= max;
    return *ret_is_valid ? (uint32_t)value : fallback;
}

void molt_http_limits_load(struct http_limits *ret, bool is_reporting)
{
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct limit *l = &limits[i];
        bool is_valid;
        uint32_t value = molt_http_limits_number(l->key, l->fallback, l->min, l->max, &is_valid);
        if (!is_valid && is_reporting)
            molt_log(MOLT_WARN,
                     "http: %s = %s is not a number from %u to %u; going on with %u. Correct it in "
                     "molt.conf and restart.",
                     l->key, molt_config(l->key, ""), l->min, l->max, l->fallback);
        *(uint32_t *)(void *)((char *)ret + l->offset) = value;
    }
}
