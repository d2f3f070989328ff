/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "port/limits.h"

/* One name of a dependency file, unescaped. Returns where it ends. */
static const char *dep_read(const char *at, struct molt_buf *name)
{
    for (; *at && !isspace((unsigned char)*at); at++) {
        if (*at == '\\' && (at[1] == '\n' || at[1] == '\r'))
            break;
        if ((*at == '\\' && at[1] && strchr(" #\\:", at[1])) || (*at == '$' && at[1] == '$'))
            at++;
        molt_buf_add(name, at, 1);
    }
    return at;
}

void molt_text_deps(const char *text, struct molt_args *out)
{
    bool is_target = true; /* until the colon of the rule */
    while (*text) {
        if (*text == '\\' && (text[1] == '\n' || text[1] == '\r')) {
            text += 2;
        } else if (*text == '\n') {
            is_target = true;
            text++;
        } else if (isspace((unsigned char)*text)) {
            text++;
        } else {
            struct molt_buf name = MOLT_BUF_INIT;
            text = dep_read(text, &name);
            bool ends_target = is_target && name.len && name.data[name.len - 1] == ':';
            molt_buf_printf(&name, "%s", "");
            if (!is_target)
                molt_args_take(out, molt_buf_take(&name));
            molt_buf_fini(&name);
            is_target = is_target && !ends_target;
        }
    }
}

void molt_diagnostics_fini(struct molt_diagnostics *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->v[i].file);
        free(list->v[i].message);
    }
    free(list->v);
    *list = (struct molt_diagnostics){0};
}

static void add(struct molt_diagnostics *list, struct molt_diagnostic d)
{
    if (list->n == list->cap && !list->is_failed) {
        size_t cap = list->cap ? list->cap * 2 : MOLT_LIMIT(8, 1);
        struct molt_diagnostic *v = realloc(list->v, cap * sizeof(*v));
        if (v) {
            list->v = v;
            list->cap = cap;
        } else {
            list->is_failed = true;
        }
    }
    if (!d.message || list->is_failed) {
        list->is_failed = true;
        free(d.file);
        free(d.message);
        return;
    }
    list->v[list->n++] = d;
}

void molt_diagnostics_add(struct molt_diagnostics *list, const char *file, int line, int column,
                          bool is_error, const char *fmt, ...)
{
    struct molt_diagnostic d = {.line = line, .column = column, .is_error = is_error};
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&d.message, fmt, ap) < 0)
        d.message = NULL;
    va_end(ap);
    d.file = file ? strdup(file) : NULL;
    add(list, d);
}

/* The message behind "error: " and the like; NULL if @text has none. */
static const char *after_kind(const char *text, bool *ret_is_error)
{
    static const struct {
        const char *word;
        bool is_error;
    } kinds[] = {{"fatal error: ", true}, {"error: ", true}, {"warning: ", false}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        size_t len = strlen(kinds[i].word);
        if (strncmp(text, kinds[i].word, len) == 0) {
            *ret_is_error = kinds[i].is_error;
            return text + len;
        }
    }
    /* bfd writes these without a word in front. */
    if (strncmp(text, "undefined reference", 19) == 0 ||
        strncmp(text, "multiple definition", 19) == 0) {
        *ret_is_error = true;
        return text;
    }
    return NULL;
}

/* ":12" or ":12:34" at @at; returns behind them and the colon that follows. */
static const char *position(const char *at, int *ret_line, int *ret_column)
{
    char *end = NULL;
    *ret_line = *ret_column = 0;
    if (*at == ':' && isdigit((unsigned char)at[1])) {
        *ret_line = (int)strtol(at + 1, &end, 10);
        at = end;
        if (*at == ':' && isdigit((unsigned char)at[1])) {
            *ret_column = (int)strtol(at + 1, &end, 10);
            at = end;
        }
    }
    return *at == ':' ? at + 1 : NULL;
}

/* "<object>:<file>:<line>: ..." is how gold names a place. */
static const char *file_start(const char *line, const char *end)
{
    for (const char *p = line; p + 3 < end; p++)
        if (strncmp(p, ".o:", 3) == 0 && p[3] != ' ')
            return p + 3;
    return line;
}

static void line_read(const char *line, struct molt_diagnostics *list)
{
    for (const char *colon = strchr(line, ':'); colon; colon = strchr(colon + 1, ':')) {
        struct molt_diagnostic d = {0};
        const char *rest = position(colon, &d.line, &d.column);
        if (!rest || *rest != ' ')
            continue;
        const char *message = after_kind(rest + 1, &d.is_error);
        if (!message)
            continue;
        const char *file = file_start(line, colon);
        file += strncmp(file, "./", 2) == 0 ? 2 : 0;
        if (d.line)
            d.file = strndup(file, (size_t)(colon - file));
        d.message = strdup(message);
        add(list, d);
        return;
    }
}

void molt_text_diagnostics(const char *text, struct molt_diagnostics *list)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        char *line = strndup(text, len);
        if (line)
            line_read(line, list);
        else
            list->is_failed = true;
        free(line);
        text += len + (text[len] == '\n');
    }
}
