/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A pair as C: the older text builds the objects and, for the way back, checks them; the
 * newer one checks them. Values and checks are written out field by field, so what the
 * compilers make of the layouts is their own business.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_PROPERTY_EMIT_H
#define MOLT_TESTS_PROPERTY_EMIT_H

#include <stdio.h>

#include "model.h"

/* What the texts offer to the test, as an extension of kind "property". */
struct property_entry {
    int (*build)(void **objects);       /* the older one: makes the objects; 0 or -1 */
    int (*check)(void *const *objects); /* 0, or the line of the first value that is wrong */
};

/* The beginning of a text, all of @n pairs, and the end. */
void emit_text(FILE *out, const struct pair *pairs, int n, bool is_now);

#endif
