/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "cli/show.h"

#include <stdio.h>

const char *molt_show_bytes(uint64_t bytes, char buf[MOLT_SHOW_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int unit = 0;
    while (v >= 1024 && unit < 4) {
        v /= 1024;
        unit++;
    }
    snprintf(buf, MOLT_SHOW_MAX, unit && v < 10 ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return buf;
}

const char *molt_show_ms(uint64_t ms, char buf[MOLT_SHOW_MAX])
{
    unsigned long long s = ms / 1000;
    if (ms < 1000)
        snprintf(buf, MOLT_SHOW_MAX, "%llu ms", (unsigned long long)ms);
    else if (s < 60)
        snprintf(buf, MOLT_SHOW_MAX, "%llu s", s);
    else if (s < 3600)
        snprintf(buf, MOLT_SHOW_MAX, "%llu min %llu s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(buf, MOLT_SHOW_MAX, "%llu h %llu min", s / 3600, s % 3600 / 60);
    else
        snprintf(buf, MOLT_SHOW_MAX, "%llu d %llu h", s / 86400, s % 86400 / 3600);
    return buf;
}

const char *molt_show_text(json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return text ? text : "";
}

uint64_t molt_show_number(json_t *doc, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(doc, key));
    return v < 0 ? 0 : (uint64_t)v;
}
