/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The store: where images are mapped from.
 *
 * Invariant: a path handed out is one that the loader does not know now.
 *
 * Threads: the executor thread.
 */
#ifndef MOLT_CODE_STORE_H
#define MOLT_CODE_STORE_H

#include "code/image.h"

/* Make the verified bytes of request->fd available under a fresh path, in
 * image->path and image->fd. */
int molt_store_publish(const struct molt_image_request *request, struct molt_image *image,
                       struct molt_error *err);

/* The image was closed: give path and descriptor back. Files of the store
 * stay, for gdb, perf and core files; copies and links go. */
void molt_store_withdraw(struct molt_image *image);

/* Remove the links that hosts left in @store when they ended: those that lead
 * nowhere. */
void molt_store_sweep(const char *store);

#endif
