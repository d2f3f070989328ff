/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Modules that came by `molt load`: they are no part of the project's sources,
 * and stay until the app ends, also when another agent takes it over. So their
 * names are kept in a file, written before they are brought in.
 *
 * Threads: one.
 */
#ifndef MOLT_CLI_EXTRAS_H
#define MOLT_CLI_EXTRAS_H

#include <stdbool.h>
#include <stddef.h>

#include <molt/error.h>

struct molt_set;

struct molt_extras {
    char *path; /* of the file */
    size_t n;
    char **names;
};

/* None yet; the file belongs to the project at @root. MOLT_ENOMEM. */
int molt_extras_init(struct molt_extras *extras, const char *root);
void molt_extras_fini(struct molt_extras *extras);

/* Take the names in the file that are modules of @running. A file that can't
 * be read or decoded holds none. MOLT_ENOMEM. */
int molt_extras_learn(struct molt_extras *extras, const struct molt_set *running);
/* Add @name, and write the file. MOLT_ENOMEM, MOLT_EIO. */
int molt_extras_add(struct molt_extras *extras, const char *name, struct molt_error *err);
/* Put those that are in @running and not in @set into it, as they run. */
int molt_extras_put(const struct molt_extras *extras, const struct molt_set *running,
                    struct molt_set *set);

#endif
