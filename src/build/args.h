/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A growing list of strings that ends in NULL: command lines, lists of paths.
 *
 * A list that ran out of memory stays failed and ignores what follows, so
 * callers check once at the end.
 *
 * Threads: a list belongs to one thread at a time.
 */
#ifndef MOLT_BUILD_ARGS_H
#define MOLT_BUILD_ARGS_H

#include <stdbool.h>
#include <stddef.h>

struct molt_args {
    char **v; /* v[n] is NULL once anything was added */
    size_t n, cap;
    bool is_failed; /* out of memory */
};

#define MOLT_ARGS_INIT ((struct molt_args){0})

void molt_args_fini(struct molt_args *args);
/* Drop all strings, keep the memory of the list. */
void molt_args_reset(struct molt_args *args);
void molt_args_add(struct molt_args *args, const char *text);
void molt_args_addf(struct molt_args *args, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Take the malloc'd @text (NULL counts as out of memory). */
void molt_args_take(struct molt_args *args, char *text);
void molt_args_copy(struct molt_args *args, const struct molt_args *from);
/* Split @text like a shell does, without expansions: white space separates,
 * '...', "..." and backslash quote. Returns 0, or MOLT_EFORMAT when a quote
 * isn't closed (then nothing was added). */
int molt_args_words(struct molt_args *args, const char *text);
bool molt_args_has(const struct molt_args *args, const char *text);
/* By strcmp order, without duplicates. */
void molt_args_sort(struct molt_args *args);

#endif
