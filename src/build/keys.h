/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The keys of molt.conf that molt itself reads when an app runs, with the values
 * that they may have. All other keys belong to the app.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_BUILD_KEYS_H
#define MOLT_BUILD_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/error.h>

#include "build/conf.h"

struct molt_key {
    const char *name;
    unsigned long min, max; /* of a number; both 0: yes or no */
    const char *unit;       /* "milliseconds", or "a number" */
    bool is_for_start;      /* a running host keeps what it was started with */
};

/* NULL: none of these. */
const struct molt_key *molt_key_find(const char *name);

/* The value of @text, which is sound: a number, or 1 for yes and 0 for no. NULL, or
 * a text that isn't sound: @fallback. */
unsigned long molt_key_value(const struct molt_key *key, const char *text, unsigned long fallback);

/* MOLT_EFORMAT, with file and line, for a value that its key can't have, and for a
 * key that begins like a group of molt's (`workers.`) but isn't one. */
int molt_keys_check(const struct molt_conf *conf, const char *path, struct molt_error *err);

#endif
