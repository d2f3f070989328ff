/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A struct as C that compiles to the same layout under another tag: an old state,
 * spelled again in the source of the version that replaces it.
 *
 * Names inside are kept, so the text can't meet a macro or type that it didn't meet
 * before; what lies inside by value is declared first, also under another tag. Enums
 * become integers, since their constants are the new version's. Pointers to structs that
 * @is_changed is true for get another tag, of a struct that is never declared, so that
 * nobody follows them with the new layout.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_TYPES_DECL_H
#define MOLT_TYPES_DECL_H

#include "base/buf.h"
#include "types/graph.h"

struct molt_decl_options {
    const char *suffix; /* of tags: "_1" */
    bool (*is_changed)(void *user, uint32_t record);
    void *user;
};

/* Append the declaration of @record and of what it needs. MOLT_ENOMEM; MOLT_ELIMIT: too
 * many structs in each other. */
int molt_decl_print(const struct molt_graph *graph, uint32_t record,
                    const struct molt_decl_options *options, struct molt_buf *out);

#endif
