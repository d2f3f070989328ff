/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Tokens of preprocessed C, as `cc -E -dD` prints it: with linemarkers
 * (GCC manual, "Preprocessor Output") and #define lines.
 *
 * Threads: pure functions; the text must outlive its tokens.
 */
#ifndef MOLT_BUILD_TOKENS_H
#define MOLT_BUILD_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "build/args.h"

enum molt_token_kind {
    MOLT_TOKEN_NAME,   /* identifier or keyword */
    MOLT_TOKEN_NUMBER, /* preprocessing number */
    MOLT_TOKEN_STRING, /* string or character constant */
    MOLT_TOKEN_PUNCT,
    MOLT_TOKEN_DIRECTIVE, /* the whole of a #define, #undef or #pragma line */
};

struct molt_token {
    enum molt_token_kind kind;
    const char *text; /* into the source, not NUL-terminated */
    size_t len;
    uint32_t file; /* index into molt_tokens.files */
};

struct molt_tokens {
    size_t n, cap;
    struct molt_token *v;
    struct molt_args files; /* names in linemarkers, each once */
    bool *is_system;        /* [files.n]: in a system header */
    bool is_failed;         /* out of memory */
};

/* Tokens of @text. MOLT_ENOMEM. */
int molt_tokens_read(const char *text, struct molt_tokens *ret);
void molt_tokens_fini(struct molt_tokens *tokens);

bool molt_token_is(const struct molt_token *token, const char *text);

/* Names of the functions that the tokens declare or define, as far as the name
 * stands in a file for which @is_own answers true and the function is neither
 * static nor an inline definition. Sorted; added to @out. */
void molt_tokens_functions(const struct molt_tokens *tokens,
                           bool (*is_own)(void *user, uint32_t file), void *user,
                           struct molt_args *out);

#endif
