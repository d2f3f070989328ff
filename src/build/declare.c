/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The declarator scan: which functions does preprocessed text declare?
 *
 * It follows the grammar of C17 6.7 as far as it needs to tell declarators of
 * functions from everything else; expressions, bodies and member lists are
 * skipped by their brackets. Text that isn't C leads to a wrong answer, never
 * to a crash: the probe that is compiled afterwards reports it.
 */
#include <stdlib.h>
#include <string.h>

#include "build/tokens.h"

#define DEPTH_MAX 64 /* of parentheses around a name; C17 5.2.4.1 asks for 63 */

struct scan {
    const struct molt_tokens *tokens;
    size_t at;
    unsigned depth;                  /* of nested declarators */
    struct molt_args function_types; /* typedef names of function types */
    bool (*is_own)(void *user, uint32_t file);
    void *user;
    struct molt_args *out;
};

/* What the specifiers of a declaration said. */
struct specifiers {
    bool is_typedef, is_static, is_inline, is_extern, has_type;
    bool is_function_type; /* by a typedef name */
};

struct declarator {
    const struct molt_token *name; /* NULL: abstract */
    bool is_function;
    bool is_plain; /* neither pointer nor array nor function */
};

static const struct molt_token *peek(const struct scan *s)
{
    return s->at < s->tokens->n ? &s->tokens->v[s->at] : NULL;
}

static bool at(const struct scan *s, const char *text)
{
    const struct molt_token *t = peek(s);
    return t && molt_token_is(t, text);
}

static bool at_any(const struct scan *s, const char *const *words)
{
    for (; *words; words++)
        if (at(s, *words))
            return true;
    return false;
}

/* Past a bracket and all up to its partner. */
static void skip_group(struct scan *s)
{
    size_t depth = 0;
    for (const struct molt_token *t; (t = peek(s));) {
        char c = t->kind == MOLT_TOKEN_PUNCT && t->len == 1 ? *t->text : 0;
        s->at++;
        if (c == '(' || c == '[' || c == '{')
            depth++;
        if ((c == ')' || c == ']' || c == '}') && --depth == 0)
            return;
    }
}

/* Past `word` and the parenthesised group behind it, if there is one. */
static void skip_word_group(struct scan *s)
{
    s->at++;
    if (at(s, "("))
        skip_group(s);
}

static const char *const groups[] = {"__attribute__", "__attribute", "__asm__",    "asm",
                                     "__asm",         "_Alignas",    "__declspec", NULL};
static const char *const qualifiers[] = {"const",
                                         "volatile",
                                         "restrict",
                                         "__const",
                                         "__const__",
                                         "__volatile",
                                         "__volatile__",
                                         "__restrict",
                                         "__restrict__",
                                         "_Noreturn",
                                         "__extension__",
                                         "register",
                                         "_Thread_local",
                                         "__thread",
                                         "_Nonnull",
                                         "_Nullable",
                                         "_Null_unspecified",
                                         "auto",
                                         NULL};
static const char *const basics[] = {"void",       "char",       "short",       "int",
                                     "long",       "float",      "double",      "signed",
                                     "unsigned",   "_Bool",      "_Complex",    "__int128",
                                     "__signed__", "__signed",   "__complex__", "_Float16",
                                     "_Float32",   "_Float64",   "_Float128",   "_Float32x",
                                     "_Float64x",  "__float128", "_Imaginary",  "__auto_type",
                                     NULL};
static const char *const tags[] = {"struct", "union", "enum", NULL};
static const char *const typeofs[] = {"typeof", "__typeof__", "__typeof", "_Atomic", NULL};
static const char *const inlines[] = {"inline", "__inline", "__inline__", NULL};

static void skip_attributes(struct scan *s)
{
    for (;;) {
        if (at_any(s, groups))
            skip_word_group(s);
        else if (at_any(s, qualifiers))
            s->at++;
        else
            return;
    }
}

static void skip_tag(struct scan *s)
{
    s->at++;
    skip_attributes(s);
    const struct molt_token *t = peek(s);
    if (t && t->kind == MOLT_TOKEN_NAME)
        s->at++;
    skip_attributes(s);
    if (at(s, "{"))
        skip_group(s);
}

static bool is_function_type(const struct scan *s, const struct molt_token *t)
{
    for (size_t i = 0; i < s->function_types.n; i++)
        if (molt_token_is(t, s->function_types.v[i]))
            return true;
    return false;
}

/* One specifier; false when a declarator begins. */
static bool specifier(struct scan *s, struct specifiers *spec)
{
    const struct molt_token *t = peek(s);
    if (!t)
        return false;
    bool *flag = at(s, "typedef")     ? &spec->is_typedef
                 : at(s, "static")    ? &spec->is_static
                 : at(s, "extern")    ? &spec->is_extern
                 : at_any(s, inlines) ? &spec->is_inline
                                      : NULL;
    if (flag) {
        *flag = true;
        s->at++;
    } else if (at_any(s, qualifiers)) {
        s->at++;
    } else if (at_any(s, groups)) {
        skip_word_group(s);
    } else if (at_any(s, tags)) {
        spec->has_type = true;
        skip_tag(s);
    } else if (at_any(s, typeofs)) {
        bool is_atomic = at(s, "_Atomic");
        s->at++;
        spec->has_type = spec->has_type || !is_atomic || at(s, "(");
        if (at(s, "("))
            skip_group(s);
    } else if (at_any(s, basics)) {
        spec->has_type = true;
        s->at++;
    } else if (t->kind == MOLT_TOKEN_NAME && !spec->has_type) {
        spec->has_type = true;
        spec->is_function_type = is_function_type(s, t);
        s->at++;
    } else if (at(s, "[") && !spec->has_type) {
        skip_group(s); /* [[attribute]] */
    } else {
        return false;
    }
    return true;
}

static struct declarator declarator(struct scan *s)
{
    struct declarator d = {.is_plain = true};
    skip_attributes(s);
    bool is_pointer = false;
    while (at(s, "*") || at(s, "^")) {
        is_pointer = true;
        s->at++;
        skip_attributes(s);
        while (at(s, "_Atomic"))
            s->at++;
    }
    const struct molt_token *t = peek(s);
    if (at(s, "(") && s->depth < DEPTH_MAX) {
        s->at++;
        s->depth++;
        d = declarator(s);
        s->depth--;
        while (peek(s) && !at(s, ")"))
            s->at++; /* what the scan doesn't know */
        s->at++;
    } else if (t && t->kind == MOLT_TOKEN_NAME) {
        d.name = t;
        s->at++;
    }
    skip_attributes(s);
    /* What stands next to the name decides. */
    bool is_decided = !d.is_plain;
    while (at(s, "(") || at(s, "[")) {
        if (!is_decided)
            d.is_function = at(s, "(");
        is_decided = true;
        skip_group(s);
        skip_attributes(s);
    }
    d.is_plain = !is_decided && !is_pointer;
    return d;
}

static void note(struct scan *s, const struct specifiers *spec, const struct declarator *d,
                 bool is_definition)
{
    bool is_function = d->is_function || (d->is_plain && spec->is_function_type);
    if (!d->name || !is_function)
        return;
    char *name = strndup(d->name->text, d->name->len);
    if (spec->is_typedef)
        molt_args_take(&s->function_types, name);
    else if (!spec->is_static && !(spec->is_inline && is_definition && !spec->is_extern) &&
             s->is_own(s->user, d->name->file))
        molt_args_take(s->out, name);
    else
        free(name);
}

/* Past an initialiser, a bit field's width, or whatever else comes before the
 * next comma or semicolon. */
static void skip_to_separator(struct scan *s)
{
    while (peek(s) && !at(s, ",") && !at(s, ";")) {
        if (at(s, "(") || at(s, "[") || at(s, "{"))
            skip_group(s);
        else
            s->at++;
    }
}

static void declaration(struct scan *s)
{
    if (at(s, "_Static_assert") || at(s, "static_assert")) {
        skip_to_separator(s);
        s->at++;
        return;
    }
    struct specifiers spec = {0};
    while (specifier(s, &spec))
        ;
    for (;;) {
        size_t before = s->at;
        struct declarator d = declarator(s);
        bool is_definition = at(s, "{");
        note(s, &spec, &d, is_definition);
        if (is_definition) {
            skip_group(s);
            return;
        }
        skip_to_separator(s);
        bool is_last = !at(s, ",");
        s->at++;
        if (is_last || s->at <= before)
            return;
    }
}

/* Without the directives, which may stand inside a declaration. */
static int without_directives(const struct molt_tokens *from, struct molt_tokens *ret)
{
    *ret = (struct molt_tokens){.v = calloc(from->n + 1, sizeof(*from->v))};
    if (!ret->v)
        return -1;
    for (size_t i = 0; i < from->n; i++)
        if (from->v[i].kind != MOLT_TOKEN_DIRECTIVE)
            ret->v[ret->n++] = from->v[i];
    return 0;
}

void molt_tokens_functions(const struct molt_tokens *tokens,
                           bool (*is_own)(void *user, uint32_t file), void *user,
                           struct molt_args *out)
{
    struct molt_tokens plain;
    if (without_directives(tokens, &plain) < 0) {
        out->is_failed = true;
        return;
    }
    struct scan s = {.tokens = &plain, .is_own = is_own, .user = user, .out = out};
    while (peek(&s)) {
        if (at(&s, ";"))
            s.at++;
        else
            declaration(&s);
    }
    out->is_failed = out->is_failed || s.function_types.is_failed;
    molt_args_fini(&s.function_types);
    free(plain.v);
    molt_args_sort(out);
}
