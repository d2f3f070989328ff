/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Where the project is. Threads: one. */
#ifndef MOLT_CLI_PROJECT_ROOT_H
#define MOLT_CLI_PROJECT_ROOT_H

#include <molt/error.h>

/* The nearest folder with a molt.conf, from the working directory upwards;
 * absolute, malloc'd. MOLT_ENOENT says how to make one. */
int molt_project_root(char **ret, struct molt_error *err);

#endif
