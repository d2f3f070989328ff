/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The functions that libmolt has for modules, read from its public headers: a
 * name that begins with molt_ and isn't among them would only be missed by
 * dlopen.
 *
 * Threads: a list belongs to one thread at a time.
 */
#ifndef MOLT_BUILD_API_NAMES_H
#define MOLT_BUILD_API_NAMES_H

#include <molt/error.h>

#include "build/args.h"

/* The functions declared in the headers of @include (the folder that holds
 * molt/molt.h), sorted. Headers of modules that ship with molt don't count.
 * MOLT_ENOENT, MOLT_EIO, MOLT_ENOMEM. */
int molt_api_names_read(const char *include, struct molt_args *out, struct molt_error *err);

/* The one that @name was probably meant to be, or NULL. */
const char *molt_api_names_nearest(const struct molt_args *names, const char *name);

#endif
