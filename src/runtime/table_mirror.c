/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_BYTES 512 /* of both values: these need no memory from the system */

/* ---- life --------------------------------------------------------------------------- */

static int refuse_change(const char *name, const struct molt_type *type, struct molt_error *err)
{
    return molt_error_set(err, MOLT_ECHANGE,
                          "table '%s': %s would need its MOLT_CHANGE, which rows can't wait for; "
                          "keep the layout, describe the change by hints, or make a new table and "
                          "copy the rows in after_switch",
                          name, type->name);
}

static int find_way(const struct molt_world *world, const struct molt_type *type, const char *name,
                    struct molt_way *ret, struct molt_error *err)
{
    int n = molt_world_way(world, type, ret);
    if (n < 0)
        return molt_error_set(err, MOLT_ECHANGE,
                              "table '%s' has rows of %s, of which the new code has another "
                              "layout, and nothing leads from the old one to it",
                              name, type->name);
    return molt_table_way_has_change(ret) ? refuse_change(name, type, err) : n;
}

int molt_table_mirror_ways(const struct molt_world *world, const struct molt_table_layout *layout,
                           const char *name, struct molt_way *ret_key_way,
                           struct molt_way *ret_value_way, struct molt_error *err)
{
    int key = find_way(world, layout->key_type, name, ret_key_way, err);
    int value = key < 0 ? key : find_way(world, layout->value_type, name, ret_value_way, err);
    return value < 0 ? value : key + value > 0;
}

static const struct molt_type *end_of(const struct molt_way *way, const struct molt_type *type)
{
    return way->n ? way->edges[way->n - 1]->to : type;
}

int molt_table_mirror_layout(const struct molt_table_layout *old, const struct molt_way *key_way,
                             const struct molt_way *value_way, struct molt_table_layout *ret,
                             struct molt_error *err)
{
    struct molt_table_layout layout;
    int rc = molt_table_layout_init(&layout, end_of(key_way, old->key_type), old->key,
                                    end_of(value_way, old->value_type), err);
    if (rc == 0)
        *ret = layout;
    return rc;
}

int molt_table_mirror_new(const struct molt_table_body *body, const struct molt_world *world,
                          const char *name, const struct molt_way *key_way,
                          const struct molt_way *value_way, struct molt_table_mirror **ret,
                          struct molt_error *err)
{
    const struct molt_table_layout *old = &body->layout;
    struct molt_table_layout layout;
    int rc = molt_table_mirror_layout(old, key_way, value_way, &layout, err);
    if (rc < 0)
        return molt_error_wrap(err, rc, "table '%s'", name);
    layout.number = old->number + 1;
    struct molt_table_mirror *m = calloc(1, sizeof(*m));
    if (m)
        m->body = molt_table_body_new(&layout, body->is_ordered, body->seed, body->rows_max);
    if (!m || !m->body) {
        free(m);
        return molt_error_set(err, MOLT_ENOMEM, "table '%s': no memory for its new rows", name);
    }
    m->world = world;
    m->key_way = *key_way;
    m->value_way = *value_way;
    snprintf(m->name, sizeof(m->name), "%s", name);
    pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return 0;
}

void molt_table_mirror_free(struct molt_table_mirror *mirror)
{
    if (!mirror)
        return;
    molt_table_body_free(mirror->body);
    pthread_mutex_destroy(&mirror->lock);
    free(mirror);
}

/* ---- rows ----------------------------------------------------------------------------- */

static void fail(struct molt_table_mirror *m, const struct molt_table_layout *layout,
                 const uint64_t *key, int code, const struct molt_type *type,
                 const struct molt_recipe_fault *fault)
{
    char text[96];
    molt_table_key_print(layout, key, text, sizeof(text));
    pthread_mutex_lock(&m->lock);
    if (atomic_load_explicit(&m->failed, memory_order_relaxed) == 0)
        molt_error_set(&m->err, code, "table '%s', the row of key %s: %s: %s", m->name, text,
                       fault->field ? fault->field : type->name, fault->why);
    atomic_store_explicit(&m->failed, code, memory_order_relaxed);
    pthread_mutex_unlock(&m->lock);
}

int molt_table_mirror_status(struct molt_table_mirror *m, struct molt_error *err)
{
    pthread_mutex_lock(&m->lock);
    int rc = atomic_load_explicit(&m->failed, memory_order_relaxed);
    if (rc < 0 && err)
        *err = m->err;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* Put what the row becomes under its new key. */
static void put_row(struct molt_table_mirror *m, const struct molt_table_layout *old,
                    const struct molt_table_row *row, const uint64_t *key, const uint64_t *new_key,
                    unsigned shard)
{
    const struct molt_table_layout *new = &m->body->layout;
    uint64_t small[SMALL_BYTES / 8];
    size_t bytes = 8 * ((size_t)old->value_words + new->value_words);
    struct molt_recipe_fault fault = {.why = "no memory for what it becomes"};
    char *value = bytes <= sizeof(small) ? (char *)small : malloc(bytes);
    int rc = value ? 0 : MOLT_ENOMEM;
    if (rc == 0) {
        char *now = value + 8 * (size_t)old->value_words;
        molt_table_words_out(&row->words[old->key_words], value, old->value_bytes);
        rc = molt_table_convert(&m->value_way, m->world, value, old->value_bytes, now,
                                new->value_bytes, &fault);
        struct molt_table_write w = {.op = MOLT_TABLE_OP_PUT,
                                     .shard = shard,
                                     .key = new_key,
                                     .value = now};
        if (rc == 0) {
            rc = molt_table_body_write(m->body, &w);
            snprintf(fault.why, sizeof(fault.why), "%s", molt_error_text(rc));
            fault.field = NULL;
        }
    }
    if (value != (char *)small)
        free(value);
    if (rc < 0)
        fail(m, old, key, rc, old->value_type, &fault);
}

void molt_table_mirror_row(struct molt_table_mirror *m, const struct molt_table_body *body,
                           const struct molt_table_row *row, const uint64_t *key, unsigned shard)
{
    uint64_t new_key[MOLT_TABLE_KEY_WORDS];
    struct molt_recipe_fault fault = {0};
    const uint64_t *at = key;
    /* Relaxed: it failed for good; what is written now doesn't count any more. */
    if (atomic_load_explicit(&m->failed, memory_order_relaxed) < 0)
        return;
    if (m->key_way.n) {
        int rc = molt_table_convert_key(&m->key_way, &body->layout, key, &m->body->layout, new_key,
                                        &fault);
        if (rc < 0) {
            fail(m, &body->layout, key, rc, body->layout.key_type, &fault);
            return;
        }
        at = new_key;
    }
    if (row) {
        put_row(m, &body->layout, row, key, at, shard);
        return;
    }
    struct molt_table_write w = {.op = MOLT_TABLE_OP_DELETE, .shard = shard, .key = at};
    (void)molt_table_body_write(m->body, &w); /* it may not be there yet */
}
