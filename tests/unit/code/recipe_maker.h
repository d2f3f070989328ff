/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Recipes for tests, written as lists of steps. */
#ifndef MOLT_TEST_RECIPE_MAKER_H
#define MOLT_TEST_RECIPE_MAKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "code/recipe.h"

#define OLD MOLT_STEP_OLD_SIGNED
#define NEW MOLT_STEP_NEW_SIGNED
#define BOTH (OLD | NEW)

static inline void *maker_copy(const void *from, size_t size)
{
    void *to = malloc(size ? size : 1);
    assert_non_null(to);
    if (size)
        memcpy(to, from, size);
    return to;
}

/* Keys "old" and "new", hashes 1 and 2, one text "s.f"; all steps are the root's
 * unless n_top is set afterwards. */
static inline struct molt_recipe *maker_new(uint32_t from_size, uint32_t to_size,
                                            const struct molt_step *steps, uint32_t n)
{
    struct molt_recipe *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->from_key = strdup("old");
    r->to_key = strdup("new");
    r->from_hash = 1;
    r->to_hash = 2;
    r->from_size = from_size;
    r->to_size = to_size;
    r->n_top = r->n_steps = n;
    r->steps = maker_copy(steps, n * sizeof(*steps));
    r->n_texts = 1;
    r->texts = calloc(1, sizeof(*r->texts));
    r->texts[0] = strdup("s.f");
    return r;
}

#define MAKE(from, to, ...)                                                                        \
    maker_new((from), (to), (const struct molt_step[]){__VA_ARGS__},                               \
              sizeof((struct molt_step[]){__VA_ARGS__}) / sizeof(struct molt_step))

static inline void maker_maps(struct molt_recipe *r, const struct molt_recipe_map *maps, uint32_t n)
{
    r->maps = maker_copy(maps, n * sizeof(*maps));
    r->n_maps = n;
}

static inline void maker_bytes(struct molt_recipe *r, const void *bytes, uint32_t n)
{
    r->bytes = maker_copy(bytes, n);
    r->n_bytes = n;
}

/* Checked, run from and into memory that ends where the blocks end. */
static inline int maker_run(const struct molt_recipe *r, const void *old, size_t old_bytes,
                            void *new, const struct molt_rewire *rewire,
                            struct molt_recipe_fault *fault)
{
    struct molt_error err = {0};
    if (molt_recipe_check(r, &err) < 0)
        fail_msg("%s", err.text);
    size_t new_bytes = molt_recipe_new_bytes(r, old_bytes);
    void *from = maker_copy(old, old_bytes);
    void *to = calloc(1, new_bytes ? new_bytes : 1);
    assert_non_null(to);
    int rc = molt_recipe_run(r, from, old_bytes, to, rewire, fault);
    if (rc == 0 && new_bytes)
        memcpy(new, to, new_bytes);
    free(from);
    free(to);
    return rc;
}

#endif
