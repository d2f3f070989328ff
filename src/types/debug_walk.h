/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the files that open debug info share. Threads: as debug.h. */
#ifndef MOLT_TYPES_DEBUG_WALK_H
#define MOLT_TYPES_DEBUG_WALK_H

#include "types/debug.h"

/* Visit all units once and fill the index. Rules debug-none, -split, -bad. */
int molt_debug_walk(struct molt_debug *debug, struct molt_error *err);

/* The source object for @file as the unit names it; NULL when out of memory. */
const struct molt_source *molt_debug_source_named(struct molt_debug *debug,
                                                  const struct molt_unit *unit, const char *file);

#endif
