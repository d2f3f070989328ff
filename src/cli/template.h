/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The files of a new app; "@NAME@" stands for its name. Threads: constant data. */
#ifndef MOLT_CLI_TEMPLATE_H
#define MOLT_CLI_TEMPLATE_H

#include <stddef.h>

struct molt_template {
    const char *path, *text;
};

const struct molt_template *molt_template_list(size_t *ret_n);

#endif
