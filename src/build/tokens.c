/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/tokens.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <molt/error.h>

#include "base/buf.h"
#include "port/limits.h"

struct lexer {
    struct molt_tokens *out;
    const char *at;
    uint32_t file;
    bool at_line_start;
};

void molt_tokens_fini(struct molt_tokens *tokens)
{
    free(tokens->v);
    free(tokens->is_system);
    molt_args_fini(&tokens->files);
    *tokens = (struct molt_tokens){0};
}

bool molt_token_is(const struct molt_token *token, const char *text)
{
    return strncmp(token->text, text, token->len) == 0 && text[token->len] == 0;
}

static void add(struct lexer *lx, enum molt_token_kind kind, size_t len)
{
    struct molt_tokens *t = lx->out;
    if (t->n == t->cap && !t->is_failed) {
        size_t cap = t->cap ? t->cap * 2 : MOLT_LIMIT(1024, 1);
        struct molt_token *v = realloc(t->v, cap * sizeof(*v));
        if (v) {
            t->v = v;
            t->cap = cap;
        } else {
            t->is_failed = true;
        }
    }
    if (!t->is_failed)
        t->v[t->n++] = (struct molt_token){kind, lx->at, len, lx->file};
    lx->at += len;
    lx->at_line_start = false;
}

/* Index of the file @name (consumed), which is new or known. */
static uint32_t file_index(struct molt_tokens *t, char *name, bool is_system)
{
    for (size_t i = 0; name && i < t->files.n; i++) {
        if (strcmp(t->files.v[i], name) == 0) {
            free(name);
            return (uint32_t)i;
        }
    }
    molt_args_take(&t->files, name);
    bool *flags = realloc(t->is_system, (t->files.n + 1) * sizeof(*flags));
    if (!flags || t->files.is_failed) {
        t->is_failed = true;
        t->is_system = flags ? flags : t->is_system;
        return 0;
    }
    t->is_system = flags;
    flags[t->files.n - 1] = is_system;
    return (uint32_t)(t->files.n - 1);
}

/* `# 12 "file" 1 3`: the text behind it comes from there; flag 3 is a system
 * header. Names in <> are the compiler's own. */
static void linemarker(struct lexer *lx, const char *end)
{
    const char *p = memchr(lx->at, '"', (size_t)(end - lx->at));
    if (!p)
        return;
    struct molt_buf name = MOLT_BUF_INIT;
    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        molt_buf_add(&name, p, 1);
    }
    molt_buf_printf(&name, "%s", "");
    bool is_system = name.data && name.data[0] == '<';
    while (p < end)
        is_system |= *p++ == '3';
    lx->file = file_index(lx->out, molt_buf_take(&name), is_system);
}

static void directive(struct lexer *lx)
{
    const char *end = lx->at + strcspn(lx->at, "\n");
    const char *word = lx->at + 1 + strspn(lx->at + 1, " \t");
    if (isdigit((unsigned char)*word)) {
        linemarker(lx, end);
        lx->at = end;
        return;
    }
    add(lx, MOLT_TOKEN_DIRECTIVE, (size_t)(end - lx->at));
}

/* Length of a string or character constant, including its prefix @prefix. */
static size_t string_len(const char *at, size_t prefix)
{
    const char *p = at + prefix;
    char quote = *p++;
    while (*p && *p != quote && *p != '\n')
        p += *p == '\\' && p[1] ? 2 : 1;
    return (size_t)(p - at) + (*p == quote);
}

static size_t name_len(const char *at)
{
    const char *p = at;
    while (isalnum((unsigned char)*p) || *p == '_' || *p == '$' || (unsigned char)*p >= 0x80)
        p++;
    return (size_t)(p - at);
}

/* C17 6.4.8: digits, letters, dots, and signs after an exponent's letter. */
static size_t number_len(const char *at)
{
    const char *p = at;
    while (isalnum((unsigned char)*p) || *p == '_' || *p == '.' ||
           ((*p == '+' || *p == '-') && strchr("eEpP", p[-1])))
        p++;
    return (size_t)(p - at);
}

/* C17 6.4.6, longest first. */
static size_t punct_len(const char *at)
{
    static const char *const puncts[] = {"%:%:", "...", "<<=", ">>=", "->", "++", "--", "<<",
                                         ">>",   "<=",  ">=",  "==",  "!=", "&&", "||", "*=",
                                         "/=",   "%=",  "+=",  "-=",  "&=", "^=", "|=", "##",
                                         "<:",   ":>",  "<%",  "%>",  "%:"};
    for (size_t i = 0; i < sizeof(puncts) / sizeof(*puncts); i++)
        if (strncmp(at, puncts[i], strlen(puncts[i])) == 0)
            return strlen(puncts[i]);
    return 1;
}

static void token(struct lexer *lx)
{
    const char *at = lx->at;
    size_t len = name_len(at);
    if (*at == '"' || *at == '\'')
        add(lx, MOLT_TOKEN_STRING, string_len(at, 0));
    else if (isdigit((unsigned char)*at) || (*at == '.' && isdigit((unsigned char)at[1])))
        add(lx, MOLT_TOKEN_NUMBER, number_len(at));
    else if (len && len <= 2 && (at[len] == '"' || at[len] == '\'') && strchr("LuU", *at))
        add(lx, MOLT_TOKEN_STRING, string_len(at, len));
    else if (len)
        add(lx, MOLT_TOKEN_NAME, len);
    else
        add(lx, MOLT_TOKEN_PUNCT, punct_len(at));
}

int molt_tokens_read(const char *text, struct molt_tokens *ret)
{
    *ret = (struct molt_tokens){0};
    struct lexer lx = {.out = ret, .at = text, .at_line_start = true};
    lx.file = file_index(ret, strdup("<none>"), true);
    while (*lx.at && !ret->is_failed) {
        if (*lx.at == '\n') {
            lx.at_line_start = true;
            lx.at++;
        } else if (isspace((unsigned char)*lx.at)) {
            lx.at++;
        } else if (*lx.at == '#' && lx.at_line_start) {
            directive(&lx);
        } else {
            token(&lx);
        }
    }
    if (!ret->is_failed)
        return 0;
    molt_tokens_fini(ret);
    return MOLT_ENOMEM;
}
