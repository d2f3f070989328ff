/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where molt's own headers and the modules that ship with it are.
 *
 * MOLT_SHARE in the environment wins; then the place relative to the running
 * executable (<prefix>/share/molt and <prefix>/include); then the source tree
 * that this library was built from.
 *
 * Threads: any; reads the environment.
 */
#ifndef MOLT_BUILD_SHARE_H
#define MOLT_BUILD_SHARE_H

#include <molt/error.h>

struct molt_share {
    char *modules; /* folder with one folder per shipped module */
    char *include; /* holds molt/molt.h */
};

/* MOLT_ENOENT: says where it looked. */
int molt_share_find(struct molt_share *ret, struct molt_error *err);
void molt_share_fini(struct molt_share *share);

#endif
