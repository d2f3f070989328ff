/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Files of `key = value` lines with # comments: molt.conf, module.conf.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_BUILD_CONF_H
#define MOLT_BUILD_CONF_H

#include <stddef.h>

#include <molt/error.h>

struct molt_conf {
    size_t n;
    char **keys, **values;
    int *lines;
};

/* MOLT_ENOENT, MOLT_EIO; MOLT_EFORMAT with file and line: no `=`, an empty or
 * repeated key, a NUL byte. */
int molt_conf_read(const char *path, struct molt_conf *ret, struct molt_error *err);
void molt_conf_fini(struct molt_conf *conf);
/* The value of @key, NULL if absent. */
const char *molt_conf_get(const struct molt_conf *conf, const char *key);

#endif
