/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What an edited molt.conf changes for an app that runs.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_CLI_CONF_CHANGES_H
#define MOLT_CLI_CONF_CHANGES_H

#include <stddef.h>

#include "base/buf.h"
#include "cli/out.h"

struct molt_set;

/* Names of keys, with commas between them. */
struct molt_conf_changes {
    struct molt_buf live; /* hold from now on */
    struct molt_buf late; /* are read at the start only, or are gone from the file */
};

/* From the configuration of @before to @n @keys with @values. */
void molt_conf_changes_find(const struct molt_set *before, size_t n, char *const *keys,
                            char *const *values, struct molt_conf_changes *ret);
void molt_conf_changes_fini(struct molt_conf_changes *changes);

/* Append it in one or two lines, the last without its newline. @command ("dev") is
 * what has to be started again for the late ones. */
void molt_conf_changes_print(const struct molt_conf_changes *changes, const char *command,
                             struct molt_buf *out);
/* The same to people; nothing if nothing changed. */
void molt_conf_changes_show(const struct molt_conf_changes *changes, const char *command,
                            struct molt_out *out);

#endif
