/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Encoding: u32 version, then the members of struct molt_recipe in the order in
 * which molt_recipe_encode() writes them (base/buf.h for the elements).
 */
#include "code/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define RECIPE_VERSION 1u
#define STEP_BYTES (4 + 4 * 8 + 8 + 8)

uint64_t molt_recipe_type_id(const char *key)
{
    /* FNV-1a, 64 bit. */
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *key; key++)
        h = (h ^ (uint8_t)*key) * UINT64_C(1099511628211);
    return h > MOLT_RECIPE_TYPE_TEXT ? h : h + 2;
}

static void free_strings(char **strings, size_t n)
{
    for (size_t i = 0; strings && i < n; i++)
        free(strings[i]);
    free(strings);
}

void molt_recipe_free(struct molt_recipe *recipe)
{
    if (!recipe)
        return;
    free(recipe->from_key);
    free(recipe->to_key);
    free(recipe->steps);
    free_strings(recipe->texts, recipe->n_texts);
    free(recipe->maps);
    free(recipe->bytes);
    free(recipe->change_module);
    free_strings(recipe->lost, recipe->n_lost);
    free(recipe);
}

/* ---- equality ------------------------------------------------------------------ */

static bool are_strings_equal(char *const *a, char *const *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Member by member: there is padding between them. */
static bool is_step_equal(const struct molt_step *a, const struct molt_step *b)
{
    return a->kind == b->kind && a->flags == b->flags && a->old_bytes == b->old_bytes &&
           a->new_bytes == b->new_bytes && a->text == b->text && a->old_at == b->old_at &&
           a->new_at == b->new_at && a->count == b->count && a->old_stride == b->old_stride &&
           a->new_stride == b->new_stride && a->first == b->first && a->n_steps == b->n_steps &&
           a->type == b->type && a->limit == b->limit;
}

static bool are_steps_equal(const struct molt_recipe *a, const struct molt_recipe *b)
{
    for (uint32_t i = 0; i < a->n_steps; i++)
        if (!is_step_equal(&a->steps[i], &b->steps[i]))
            return false;
    return true;
}

static bool is_equal_run(const void *a, const void *b, size_t n)
{
    return n == 0 || memcmp(a, b, n) == 0;
}

static bool is_same_change(const struct molt_recipe *a, const struct molt_recipe *b)
{
    if (!a->change_module || !b->change_module)
        return a->change_module == b->change_module;
    return strcmp(a->change_module, b->change_module) == 0 && a->change_at == b->change_at;
}

bool molt_recipe_is_equal(const struct molt_recipe *a, const struct molt_recipe *b)
{
    return strcmp(a->from_key, b->from_key) == 0 && strcmp(a->to_key, b->to_key) == 0 &&
           a->from_hash == b->from_hash && a->to_hash == b->to_hash &&
           a->from_size == b->from_size && a->to_size == b->to_size && a->n_top == b->n_top &&
           a->flags == b->flags && a->n_steps == b->n_steps && a->n_texts == b->n_texts &&
           a->n_maps == b->n_maps && a->n_bytes == b->n_bytes && a->n_lost == b->n_lost &&
           are_steps_equal(a, b) && are_strings_equal(a->texts, b->texts, a->n_texts) &&
           is_equal_run(a->maps, b->maps, a->n_maps * sizeof(*a->maps)) &&
           is_equal_run(a->bytes, b->bytes, a->n_bytes) && is_same_change(a, b) &&
           are_strings_equal(a->lost, b->lost, a->n_lost);
}

/* ---- encoding ------------------------------------------------------------------ */

static void put_step(struct molt_buf *out, const struct molt_step *step)
{
    molt_buf_u8(out, step->kind);
    molt_buf_u8(out, step->flags);
    molt_buf_u8(out, step->old_bytes);
    molt_buf_u8(out, step->new_bytes);
    molt_buf_u32(out, step->text);
    molt_buf_u32(out, step->old_at);
    molt_buf_u32(out, step->new_at);
    molt_buf_u32(out, step->count);
    molt_buf_u32(out, step->old_stride);
    molt_buf_u32(out, step->new_stride);
    molt_buf_u32(out, step->first);
    molt_buf_u32(out, step->n_steps);
    molt_buf_u64(out, step->type);
    molt_buf_u64(out, (uint64_t)step->limit);
}

static void put_strings(struct molt_buf *out, char *const *strings, uint32_t n)
{
    molt_buf_u32(out, n);
    for (uint32_t i = 0; i < n; i++)
        molt_buf_str(out, strings[i]);
}

int molt_recipe_encode(const struct molt_recipe *recipe, struct molt_buf *out)
{
    molt_buf_u32(out, RECIPE_VERSION);
    molt_buf_str(out, recipe->from_key);
    molt_buf_str(out, recipe->to_key);
    molt_buf_u64(out, recipe->from_hash);
    molt_buf_u64(out, recipe->to_hash);
    molt_buf_u32(out, recipe->from_size);
    molt_buf_u32(out, recipe->to_size);
    molt_buf_u32(out, recipe->n_top);
    molt_buf_u32(out, recipe->flags);
    molt_buf_u32(out, recipe->n_steps);
    for (uint32_t i = 0; i < recipe->n_steps; i++)
        put_step(out, &recipe->steps[i]);
    put_strings(out, recipe->texts, recipe->n_texts);
    molt_buf_u32(out, recipe->n_maps);
    for (uint32_t i = 0; i < recipe->n_maps; i++) {
        molt_buf_u64(out, (uint64_t)recipe->maps[i].old);
        molt_buf_u64(out, (uint64_t)recipe->maps[i].new);
    }
    molt_buf_bytes(out, recipe->bytes, recipe->n_bytes);
    molt_buf_str(out, recipe->change_module);
    molt_buf_u64(out, recipe->change_at);
    put_strings(out, recipe->lost, recipe->n_lost);
    return out->is_failed ? MOLT_ENOMEM : 0;
}

/* ---- decoding ------------------------------------------------------------------ */

static void *get_array(struct molt_reader *r, size_t n, size_t size)
{
    void *array = calloc(n ? n : 1, size);
    if (!array)
        r->is_failed = r->is_out_of_memory = true;
    return array;
}

static void get_step(struct molt_reader *r, struct molt_step *step)
{
    step->kind = molt_reader_u8(r);
    step->flags = molt_reader_u8(r);
    step->old_bytes = molt_reader_u8(r);
    step->new_bytes = molt_reader_u8(r);
    step->text = molt_reader_u32(r);
    step->old_at = molt_reader_u32(r);
    step->new_at = molt_reader_u32(r);
    step->count = molt_reader_u32(r);
    step->old_stride = molt_reader_u32(r);
    step->new_stride = molt_reader_u32(r);
    step->first = molt_reader_u32(r);
    step->n_steps = molt_reader_u32(r);
    step->type = molt_reader_u64(r);
    step->limit = (int64_t)molt_reader_u64(r);
}

static char **get_strings(struct molt_reader *r, uint32_t *ret_n)
{
    size_t n = molt_reader_count(r, 4);
    char **strings = get_array(r, n, sizeof(*strings));
    *ret_n = strings ? (uint32_t)n : 0;
    for (uint32_t i = 0; i < *ret_n; i++)
        strings[i] = molt_reader_str(r);
    return strings;
}

static void get_steps(struct molt_reader *r, struct molt_recipe *recipe)
{
    size_t n = molt_reader_count(r, STEP_BYTES);
    recipe->steps = get_array(r, n, sizeof(*recipe->steps));
    recipe->n_steps = recipe->steps ? (uint32_t)n : 0;
    for (uint32_t i = 0; i < recipe->n_steps; i++)
        get_step(r, &recipe->steps[i]);
}

static void get_maps(struct molt_reader *r, struct molt_recipe *recipe)
{
    size_t n = molt_reader_count(r, 8 + 8);
    recipe->maps = get_array(r, n, sizeof(*recipe->maps));
    recipe->n_maps = recipe->maps ? (uint32_t)n : 0;
    for (uint32_t i = 0; i < recipe->n_maps; i++) {
        recipe->maps[i].old = (int64_t)molt_reader_u64(r);
        recipe->maps[i].new = (int64_t)molt_reader_u64(r);
    }
}

static void get_bytes(struct molt_reader *r, struct molt_recipe *recipe)
{
    size_t n;
    const uint8_t *bytes = molt_reader_bytes(r, &n);
    recipe->bytes = get_array(r, n, 1);
    recipe->n_bytes = recipe->bytes ? (uint32_t)n : 0;
    if (recipe->n_bytes)
        memcpy(recipe->bytes, bytes, n);
}

static void get_change(struct molt_reader *r, struct molt_recipe *recipe)
{
    recipe->change_module = molt_reader_str(r);
    recipe->change_at = molt_reader_u64(r);
    if (recipe->change_module && !recipe->change_module[0]) {
        free(recipe->change_module);
        recipe->change_module = NULL;
    }
}

static void get_recipe(struct molt_reader *r, struct molt_recipe *recipe)
{
    recipe->from_key = molt_reader_str(r);
    recipe->to_key = molt_reader_str(r);
    recipe->from_hash = molt_reader_u64(r);
    recipe->to_hash = molt_reader_u64(r);
    recipe->from_size = molt_reader_u32(r);
    recipe->to_size = molt_reader_u32(r);
    recipe->n_top = molt_reader_u32(r);
    recipe->flags = molt_reader_u32(r);
    get_steps(r, recipe);
    recipe->texts = get_strings(r, &recipe->n_texts);
    get_maps(r, recipe);
    get_bytes(r, recipe);
    get_change(r, recipe);
    recipe->lost = get_strings(r, &recipe->n_lost);
}

int molt_recipe_decode(const void *bytes, size_t len, struct molt_recipe **ret,
                       struct molt_error *err)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    if (molt_reader_u32(&r) != RECIPE_VERSION || r.is_failed)
        return molt_error_set(err, MOLT_EFORMAT,
                              "the recipe has another format version; agent and host must be of "
                              "the same molt release");
    struct molt_recipe *recipe = calloc(1, sizeof(*recipe));
    if (!recipe)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    get_recipe(&r, recipe);
    int rc = 0;
    if (r.is_out_of_memory)
        rc = molt_error_set(err, MOLT_ENOMEM, "no memory for a recipe");
    else if (!molt_reader_at_end(&r))
        rc = molt_error_set(err, MOLT_EFORMAT, "a recipe is malformed");
    else
        rc = molt_recipe_check(recipe, err);
    if (rc < 0) {
        molt_recipe_free(recipe);
        return rc;
    }
    recipe->from_type = molt_recipe_type_id(recipe->from_key);
    *ret = recipe;
    return 0;
}
