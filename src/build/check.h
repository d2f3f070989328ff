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

/* Check the image of @module in @bytes; what is wrong becomes diagnostics of
 * @run, and result->code MOLT_ELINK. @link is the command that linked it,
 * repeated to find out where a missing name is used. */
int molt_run_check(struct molt_run *run, const struct molt_project_module *module,
                   const void *bytes, size_t len, const struct molt_args *link);

#endif
