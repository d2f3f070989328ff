/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <molt/error.h>

#include <stdio.h>
#include <string.h>

const char *molt_error_name(int code)
{
    switch (code) {
    case MOLT_OK:
        return "MOLT_OK";
#define NAME(name, value, text)                                                                    \
    case name:                                                                                     \
        return #name;
        MOLT_ERROR_LIST(NAME)
#undef NAME
    }
    return "MOLT_E?";
}

const char *molt_error_text(int code)
{
    switch (code) {
    case MOLT_OK:
        return "no error";
#define TEXT(name, value, text)                                                                    \
    case name:                                                                                     \
        return text;
        MOLT_ERROR_LIST(TEXT)
#undef TEXT
    }
    return "unknown error";
}

/* Show that a text was cut: it ends in "...". Not inside a character, since
 * half of one is no valid UTF-8 and has no place in JSON. */
static void mark_cut(struct molt_error *err)
{
    char *end = err->text + sizeof(err->text) - 4;
    while (end > err->text && ((unsigned char)*end & 0xc0) == 0x80)
        end--;
    memcpy(end, "...", 4);
}

int molt_error_vset(struct molt_error *err, int code, const char *fmt, va_list ap)
{
    if (!err)
        return code;
    err->code = code;
    int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    if (n < 0)
        err->text[0] = '\0';
    else if ((size_t)n >= sizeof(err->text))
        mark_cut(err);
    return code;
}

int molt_error_set(struct molt_error *err, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    molt_error_vset(err, code, fmt, ap);
    va_end(ap);
    return code;
}

int molt_error_wrap(struct molt_error *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char inner[MOLT_ERROR_TEXT_MAX];
    memcpy(inner, err->text, sizeof(inner));
    inner[sizeof(inner) - 1] = '\0';
    if (err->code == 0) {
        err->code = code;
        snprintf(inner, sizeof(inner), "%s", molt_error_text(code));
    }
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    if (n < 0)
        n = 0;
    if ((size_t)n < sizeof(err->text)) {
        size_t room = sizeof(err->text) - (size_t)n;
        int m = snprintf(err->text + n, room, ": %s", inner);
        if (m < 0 || (size_t)m < room)
            return err->code;
    }
    mark_cut(err);
    return err->code;
}
