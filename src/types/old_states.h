/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The state of a server of an image as C, under another tag (types/decl.h): for the source of
 * the version that replaces it, whose MOLT_CHANGE then sees both layouts under names.
 *
 * Threads: pure.
 */
#ifndef MOLT_TYPES_OLD_STATES_H
#define MOLT_TYPES_OLD_STATES_H

#include "base/buf.h"
#include "types/image_info.h"

/* Append the state of @server, of the image in @bytes; tags get @suffix. Pointers to structs
 * lead to tags that are never declared, because what is there now may have another layout. As
 * molt_image_read(); MOLT_ENOENT: there is no such server; MOLT_ENOTSUP: its state isn't a
 * struct; MOLT_ELIMIT. */
int molt_old_state_print(const void *bytes, size_t len, const struct molt_image_options *options,
                         const char *server, const char *suffix, struct molt_buf *out,
                         struct molt_error *err);

#endif
