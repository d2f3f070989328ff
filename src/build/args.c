/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <molt/error.h>

#include "base/buf.h"
#include "port/limits.h"

void molt_args_reset(struct molt_args *args)
{
    for (size_t i = 0; i < args->n; i++)
        free(args->v[i]);
    args->n = 0;
    if (args->v)
        args->v[0] = NULL;
}

void molt_args_fini(struct molt_args *args)
{
    molt_args_reset(args);
    free(args->v);
    *args = MOLT_ARGS_INIT;
}

/* Room for one more and the NULL at the end. */
static bool reserve(struct molt_args *args)
{
    if (args->is_failed)
        return false;
    if (args->n + 2 <= args->cap)
        return true;
    size_t cap = args->cap ? args->cap * 2 : MOLT_LIMIT(16, 2);
    char **v = realloc(args->v, cap * sizeof(*v));
    if (!v) {
        args->is_failed = true;
        return false;
    }
    args->v = v;
    args->cap = cap;
    return true;
}

void molt_args_take(struct molt_args *args, char *text)
{
    if (!text)
        args->is_failed = true;
    if (!text || !reserve(args)) {
        free(text);
        return;
    }
    args->v[args->n++] = text;
    args->v[args->n] = NULL;
}

void molt_args_add(struct molt_args *args, const char *text)
{
    molt_args_take(args, strdup(text));
}

void molt_args_addf(struct molt_args *args, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int rc = vasprintf(&text, fmt, ap);
    va_end(ap);
    molt_args_take(args, rc < 0 ? NULL : text);
}

void molt_args_copy(struct molt_args *args, const struct molt_args *from)
{
    for (size_t i = 0; i < from->n; i++)
        molt_args_add(args, from->v[i]);
    args->is_failed = args->is_failed || from->is_failed;
}

/* Append one word's characters to @word; returns where it ends, NULL when a
 * quote stays open. */
static const char *word_read(const char *at, struct molt_buf *word)
{
    char quote = 0;
    for (; *at; at++) {
        if (!quote && strchr(" \t\r\n", *at))
            break;
        if (*at == '\\' && quote != '\'' && at[1]) {
            molt_buf_add(word, ++at, 1);
        } else if (quote ? *at == quote : *at == '"' || *at == '\'') {
            quote = quote ? 0 : *at;
        } else {
            molt_buf_add(word, at, 1);
        }
    }
    return quote ? NULL : at;
}

int molt_args_words(struct molt_args *args, const char *text)
{
    size_t n = args->n;
    while (*(text += strspn(text, " \t\r\n"))) {
        struct molt_buf word = MOLT_BUF_INIT;
        molt_buf_adds(&word, "");
        text = word_read(text, &word);
        if (!text) {
            molt_buf_fini(&word);
            while (args->n > n)
                free(args->v[--args->n]);
            if (args->v)
                args->v[n] = NULL;
            return MOLT_EFORMAT;
        }
        molt_args_take(args, molt_buf_take(&word));
    }
    return 0;
}

bool molt_args_has(const struct molt_args *args, const char *text)
{
    for (size_t i = 0; i < args->n; i++)
        if (strcmp(args->v[i], text) == 0)
            return true;
    return false;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void molt_args_sort(struct molt_args *args)
{
    if (args->n < 2)
        return;
    qsort(args->v, args->n, sizeof(*args->v), compare);
    size_t n = 1;
    for (size_t i = 1; i < args->n; i++) {
        if (strcmp(args->v[i], args->v[n - 1]) == 0)
            free(args->v[i]);
        else
            args->v[n++] = args->v[i];
    }
    args->n = n;
    args->v[n] = NULL;
}
