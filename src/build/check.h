/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Does a linked module define what its public header declares, and nothing
 * that another module's header declares? Is every name found?
 *
 * Threads: one build at a time.
 */
#ifndef MOLT_BUILD_CHECK_H
#define MOLT_BUILD_CHECK_H

#include "build/builder.h"

/* Does the image of @module in @bytes define all that its header declares, and
 * nothing of others? What is wrong becomes diagnostics of @run, and
 * result->code MOLT_ELINK. */
int molt_run_check_defined(struct molt_run *run, const struct molt_project_module *module,
                           const void *bytes, size_t len);

/* Is every name that it uses found? @link is the command that linked it,
 * repeated to find out where a missing name is used. */
int molt_run_check_undefined(struct molt_run *run, const struct molt_project_module *module,
                             const void *bytes, size_t len, const struct molt_args *link);

#endif
