/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Which public headers does a file include? From its dependencies exactly, or
 * before it was compiled from its text, conditions not evaluated.
 *
 * Threads: one build at a time.
 */
#ifndef MOLT_BUILD_INCLUDES_H
#define MOLT_BUILD_INCLUDES_H

#include <stdbool.h>

#include "build/builder.h"

/* ret_set[i]: is the header of run->modules[i] among @deps (absolute)? */
void molt_includes_from_deps(const struct molt_run *run, const struct molt_args *deps,
                             bool *ret_set);

/* The same, guessed from the #include lines of @source and of what they lead
 * to; @flags are searched for -I, -iquote and -isystem. MOLT_ENOMEM. */
int molt_includes_guess(const struct molt_run *run, const char *source,
                        const struct molt_args *flags, bool *ret_set);

/* Absolute folders that @flags have searched; quotes first. */
void molt_includes_folders(const struct molt_run *run, const struct molt_args *flags,
                           struct molt_args *out);

#endif
