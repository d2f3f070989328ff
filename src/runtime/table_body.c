/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_body.h"

#include <stdlib.h>

#include "runtime/table_mirror.h"

struct molt_table_body *molt_table_body_new(const struct molt_table_layout *layout, bool is_ordered,
                                            uint64_t seed, uint64_t rows_max)
{
    struct molt_table_body *body = calloc(1, sizeof(*body));
    if (!body)
        return NULL;
    body->layout = *layout;
    body->is_ordered = is_ordered;
    body->seed = seed;
    body->rows_max = rows_max;
    molt_table_rows_init(&body->rows, layout->row_bytes);
    int rc = is_ordered ? molt_table_tree_init(&body->tree, layout->key_words)
                        : molt_table_hash_init(&body->hash);
    if (rc == 0)
        return body;
    molt_table_rows_fini(&body->rows);
    free(body);
    return NULL;
}

void molt_table_body_free(struct molt_table_body *body)
{
    if (!body)
        return;
    if (body->is_ordered)
        molt_table_tree_fini(&body->tree);
    else
        molt_table_hash_fini(&body->hash);
    molt_table_rows_fini(&body->rows);
    molt_table_mirror_free(atomic_load_explicit(&body->mirror, memory_order_relaxed));
    free(body);
}

uint64_t molt_table_body_count(struct molt_table_body *body)
{
    return atomic_load_explicit(&body->count, memory_order_relaxed);
}

uint64_t molt_table_body_bytes(struct molt_table_body *body)
{
    size_t index =
        body->is_ordered ? molt_table_tree_bytes(&body->tree) : molt_table_hash_bytes(&body->hash);
    return sizeof(*body) + index + atomic_load_explicit(&body->rows.bytes, memory_order_relaxed);
}

int molt_table_body_get(struct molt_table_body *body, const uint64_t *key, void *ret_value)
{
    return body->is_ordered ? molt_table_tree_get(body, key, ret_value)
                            : molt_table_hash_get(body, key, ret_value);
}

/* The indexes can't wait for memory with a lock held, so they come back for it. */
int molt_table_body_write(struct molt_table_body *body, struct molt_table_write *w)
{
    if (!body->is_ordered)
        w->hash = molt_table_key_hash(w->key, body->layout.key_words, body->seed);
    while (!(body->is_ordered ? molt_table_tree_write(body, w) : molt_table_hash_write(body, w))) {
        int rc = molt_table_rows_refill(&body->rows, w->shard);
        if (rc < 0)
            return rc;
    }
    return w->rc;
}

int molt_table_body_step(struct molt_table_body *body, const struct molt_table_cursor *cursor,
                         uint64_t *ret_key, void *ret_value)
{
    if (body->is_ordered)
        return molt_table_tree_step(body, cursor, ret_key, ret_value);
    if (cursor->step != MOLT_TABLE_NEXT)
        return MOLT_ENOTSUP;
    return molt_table_hash_step(body, cursor->key, ret_key, ret_value);
}

void molt_table_body_tell_mirror(struct molt_table_body *body, const struct molt_table_row *row,
                                 const struct molt_table_write *w)
{
    struct molt_table_mirror *mirror = atomic_load_explicit(&body->mirror, memory_order_seq_cst);
    if (mirror)
        molt_table_mirror_row(mirror, body, row, w->key, w->shard);
}

struct molt_table_row *molt_table_body_take(struct molt_table_body *body,
                                            struct molt_table_write *w, int *rc)
{
    *rc = 0;
    /* Counted before it is there, so that the limit holds for all threads. */
    if (atomic_fetch_add_explicit(&body->count, 1, memory_order_relaxed) >= body->rows_max) {
        atomic_fetch_sub_explicit(&body->count, 1, memory_order_relaxed);
        *rc = MOLT_ELIMIT;
        return NULL;
    }
    struct molt_table_row *row = molt_table_rows_take(&body->rows, w->shard);
    if (!row) {
        atomic_fetch_sub_explicit(&body->count, 1, memory_order_relaxed);
        return NULL;
    }
    molt_table_write_fill(&body->layout, row, w);
    return row;
}

void molt_table_body_give(struct molt_table_body *body, unsigned shard, struct molt_table_row *row)
{
    atomic_fetch_sub_explicit(&body->count, 1, memory_order_relaxed);
    molt_table_rows_give(&body->rows, shard, row);
}
