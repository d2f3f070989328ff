/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- pointers --------------------------------------------------------------------- */

/* As molt_rewire.pointer: rows lead to images alone. */
static int rewire_pointer(void *user, uint64_t value, uint64_t type, uint64_t *ret, char *why,
                          size_t why_size)
{
    const struct molt_world *world = user;
    *ret = value;
    int rc = molt_world_moved(world, value, type, ret, why, why_size);
    return rc < 0 ? rc : 0;
}

/* As molt_rewire.moves. */
static bool is_moving(void *user, uint64_t value)
{
    const struct molt_world *world = user;
    char why[16];
    uint64_t now;
    return molt_world_moved(world, value, 0, &now, why, sizeof(why)) != 0;
}

/* Nothing says whether the pointer is one to char, which alone may lead to a literal. What is
 * known by its bytes alone has the same bytes there, whoever asks. */
static int find_moved(const struct molt_world *world, const struct molt_meta_ptr *ptr,
                      uintptr_t word, uint64_t *ret)
{
    char why[16];
    int rc = molt_world_moved(world, word, 0, ret, why, sizeof(why));
    if (rc < 0 && ptr->kind == MOLT_PTR_ANY)
        rc = molt_world_moved(world, word, MOLT_RECIPE_TYPE_TEXT, ret, why, sizeof(why));
    return rc;
}

/* Word by word, where no recipe says what the pointers lead to. */
static bool lead_words_on(const struct molt_type *type, const struct molt_world *world, char *bytes)
{
    bool has_changed = false;
    for (size_t i = 0; i < type->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &type->ptrs[i];
        for (uint32_t k = 0; ptr->kind != MOLT_PTR_WORD && k < ptr->count; k++) {
            char *at = bytes + ptr->offset + k * sizeof(uintptr_t);
            uintptr_t word;
            uint64_t now;
            memcpy(&word, at, sizeof(word));
            if (!word || find_moved(world, ptr, word, &now) <= 0)
                continue;
            word = (uintptr_t)now;
            memcpy(at, &word, sizeof(word));
            has_changed = true;
        }
    }
    return has_changed;
}

bool molt_table_lead_on(const struct molt_type *type, const struct molt_world *world,
                        const void *value, void *ret_value)
{
    struct molt_rewire rewire = {.pointer = rewire_pointer,
                                 .moves = is_moving,
                                 .user = (void *)(uintptr_t)world};
    struct molt_recipe_fault fault;
    const struct molt_recipe *recipe = molt_world_same(world, type);
    memset(ret_value, 0, type->size);
    if (recipe && molt_recipe_new_bytes(recipe, type->size) == type->size &&
        molt_recipe_run(recipe, value, type->size, ret_value, &rewire, &fault) == 0)
        return memcmp(value, ret_value, type->size) != 0;
    memcpy(ret_value, value, type->size);
    return lead_words_on(type, world, ret_value);
}

/* ---- ways --------------------------------------------------------------------------- */

bool molt_table_way_has_change(const struct molt_way *way)
{
    for (unsigned i = 0; i < way->n; i++)
        if (way->edges[i]->change)
            return true;
    return false;
}

static int fail(struct molt_recipe_fault *fault, int code, const char *why)
{
    fault->field = NULL;
    snprintf(fault->why, sizeof(fault->why), "%s", why);
    return code;
}

/* The first edge leads pointers on; those behind it copy them. */
static int follow(const struct molt_edge *edge, const struct molt_world *world, const void *old,
                  size_t old_bytes, void *new, struct molt_recipe_fault *fault)
{
    struct molt_rewire rewire = {.pointer = rewire_pointer,
                                 .moves = is_moving,
                                 .user = (void *)(uintptr_t)world};
    return molt_recipe_run(edge->recipe, old, old_bytes, new, world ? &rewire : NULL, fault);
}

int molt_table_convert(const struct molt_way *way, const struct molt_world *world, const void *old,
                       size_t old_bytes, void *new, size_t new_bytes,
                       struct molt_recipe_fault *fault)
{
    void *made = NULL; /* what the edge before made */
    int rc = 0;
    if (way->n == 0)
        memcpy(new, old, old_bytes);
    for (unsigned i = 0; rc == 0 && i < way->n; i++) {
        bool is_last = i + 1 == way->n;
        size_t bytes = molt_recipe_new_bytes(way->edges[i]->recipe, old_bytes);
        if (bytes == SIZE_MAX || (is_last && bytes != new_bytes)) {
            rc = fail(fault, MOLT_ECHANGE, "its size isn't that of the new layout");
            break;
        }
        void *now = is_last ? memset(new, 0, new_bytes) : calloc(1, bytes + 1);
        rc = now ? follow(way->edges[i], i == 0 ? world : NULL, old, old_bytes, now, fault)
                 : fail(fault, MOLT_ENOMEM, "no memory to convert it");
        free(made);
        made = is_last ? NULL : now;
        old = now;
        old_bytes = bytes;
    }
    free(made);
    return rc;
}

int molt_table_convert_key(const struct molt_way *way, const struct molt_table_layout *from,
                           const uint64_t *words, const struct molt_table_layout *to,
                           uint64_t *ret_words, struct molt_recipe_fault *fault)
{
    char old[MOLT_TABLE_KEY_MAX], new[MOLT_TABLE_KEY_MAX];
    molt_table_key_decode(from, words, old);
    int rc = molt_table_convert(way, NULL, old, from->key_bytes, new, to->key_bytes, fault);
    if (rc < 0)
        return rc;
    rc = molt_table_key_encode(to, to->key_type, new, ret_words);
    return rc < 0 ? fail(fault, rc, "what it becomes is no key") : 0;
}
