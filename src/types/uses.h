/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where an image uses a symbol that nobody defines, and as what; for messages.
 *
 * Threads: as image.h.
 */
#ifndef MOLT_TYPES_USES_H
#define MOLT_TYPES_USES_H

#include "types/image.h"

enum molt_use { MOLT_USE_UNKNOWN, MOLT_USE_CALL, MOLT_USE_DATA };

/* How dynamic symbol @index is used; "src/counter.c:12" of a use into @place,
 * empty if it can't be found. */
enum molt_use molt_uses_find(struct molt_image *image, size_t index, char *place, size_t size);

#endif
