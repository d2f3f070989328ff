/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Where the functions, variables and literals of an image are in another image of the
 * same module. Functions and variables are known by file, enclosing function, name and
 * type; texts by their bytes. Never by ELF names or numbers, which compilers give anew each
 * time; and other constants without a name are gone.
 *
 * Threads: images belong to one thread at a time.
 */
#ifndef MOLT_TYPES_MOVES_H
#define MOLT_TYPES_MOVES_H

#include "code/recipe.h"
#include "types/image.h"

/* Everything of @from that a pointer could lead to, with its place in @to or as gone.
 * molt_moves_free() it. MOLT_ENOMEM; rule debug-bad. */
int molt_moves_make(struct molt_image *from, struct molt_image *to, struct molt_moves **ret,
                    struct molt_error *err);

#endif
