/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table_row.h"

#include <stdlib.h>

#define SLAB_ROWS_FIRST MOLT_LIMIT(16, 1)
#define SLAB_BYTES_MAX MOLT_LIMIT((size_t)1 << 20, (size_t)256)
#define BATCH_ROWS MOLT_LIMIT(64, 1)

struct molt_table_slab {
    struct molt_table_slab *next;
    uint64_t rows[]; /* keeps what follows aligned */
};

void molt_table_rows_init(struct molt_table_rows *rows, size_t row_bytes)
{
    memset(rows, 0, sizeof(*rows));
    rows->row_bytes = row_bytes;
    rows->slab_rows = SLAB_ROWS_FIRST;
    pthread_mutex_init(&rows->lock, NULL);
}

void molt_table_rows_fini(struct molt_table_rows *rows)
{
    while (rows->slabs) {
        struct molt_table_slab *slab = rows->slabs;
        rows->slabs = slab->next;
        free(slab);
    }
    pthread_mutex_destroy(&rows->lock);
}

static struct molt_table_row *next_of(struct molt_table_row *row)
{
    return atomic_load_explicit(&row->next, memory_order_relaxed);
}

struct molt_table_row *molt_table_rows_take(struct molt_table_rows *rows, unsigned shard)
{
    struct molt_table_shard *s = &rows->shards[shard % MOLT_TABLE_SHARDS];
    molt_seq_lock(&s->seq);
    struct molt_table_row *row = s->free;
    if (row)
        s->free = next_of(row);
    molt_seq_unlock(&s->seq);
    return row;
}

static void give_list(struct molt_table_shard *s, struct molt_table_row *first,
                      struct molt_table_row *last)
{
    molt_seq_lock(&s->seq);
    /* Release: a late reader may still follow this pointer. */
    atomic_store_explicit(&last->next, s->free, memory_order_release);
    s->free = first;
    molt_seq_unlock(&s->seq);
}

void molt_table_rows_give(struct molt_table_rows *rows, unsigned shard, struct molt_table_row *row)
{
    give_list(&rows->shards[shard % MOLT_TABLE_SHARDS], row, row);
}

/* Some of what another shard has free: one thread may delete what another puts. */
static bool steal(struct molt_table_rows *rows, unsigned shard)
{
    for (unsigned i = 1; i < MOLT_TABLE_SHARDS; i++) {
        struct molt_table_shard *s = &rows->shards[(shard + i) % MOLT_TABLE_SHARDS];
        molt_seq_lock(&s->seq);
        struct molt_table_row *first = s->free, *last = first;
        for (int n = 1; last && n < BATCH_ROWS && next_of(last); n++)
            last = next_of(last);
        if (last)
            s->free = next_of(last);
        molt_seq_unlock(&s->seq);
        if (!first)
            continue;
        give_list(&rows->shards[shard], first, last);
        return true;
    }
    return false;
}

/* Under the lock. */
static int add_slab(struct molt_table_rows *rows)
{
    size_t bytes = rows->slab_rows * rows->row_bytes;
    struct molt_table_slab *slab = malloc(sizeof(*slab) + bytes);
    if (!slab)
        return MOLT_ENOMEM;
    slab->next = rows->slabs;
    rows->slabs = slab;
    rows->carving = (char *)slab->rows;
    rows->carving_end = rows->carving + bytes;
    atomic_fetch_add_explicit(&rows->bytes, sizeof(*slab) + bytes, memory_order_relaxed);
    if (2 * bytes <= SLAB_BYTES_MAX)
        rows->slab_rows *= 2;
    return 0;
}

/* Under the lock. */
static void carve(struct molt_table_rows *rows, unsigned shard)
{
    struct molt_table_row *first = NULL, *last = NULL;
    for (int i = 0; i < BATCH_ROWS && rows->carving < rows->carving_end; i++) {
        struct molt_table_row *row = (struct molt_table_row *)(void *)rows->carving;
        rows->carving += rows->row_bytes;
        atomic_init(&row->next, first);
        atomic_init(&row->hash, 0);
        atomic_init(&row->layout, 0);
        first = row;
        last = last ? last : row;
    }
    give_list(&rows->shards[shard], first, last);
}

int molt_table_rows_refill(struct molt_table_rows *rows, unsigned shard)
{
    int rc = 0;
    shard %= MOLT_TABLE_SHARDS;
    pthread_mutex_lock(&rows->lock);
    if (rows->carving == rows->carving_end && !steal(rows, shard))
        rc = add_slab(rows);
    if (rc == 0 && rows->carving < rows->carving_end)
        carve(rows, shard);
    pthread_mutex_unlock(&rows->lock);
    return rc;
}
