/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Rows, and where their memory comes from.
 *
 * Invariant: memory that was a row stays a row of this size until the table's
 * body is freed, so a reader that comes late finds another row or a free one,
 * never foreign bytes, and sees by the version of the bucket or leaf that it is
 * too late. All words of a row are atomic for that reason.
 *
 * Threads: any. A row that is in a table is written by whoever has locked its
 * bucket or leaf; one that isn't, by whoever took it.
 * Locks:   each shard's seq and molt_table_rows.lock guard what stands below
 *          them. A shard nests in a bucket's or leaf's seq and in the lock;
 *          nobody holds two shards.
 */
#ifndef MOLT_RUNTIME_TABLE_ROW_H
#define MOLT_RUNTIME_TABLE_ROW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "port/limits.h"
#include "runtime/table_layout.h"
#include "runtime/table_seq.h"

#define MOLT_TABLE_SHARDS MOLT_LIMIT(8u, 2u)

struct molt_table_row {
    _Atomic(struct molt_table_row *) next; /* in a bucket, or in a list of free ones */
    _Atomic(uint32_t) hash;                /* of the key; 0 in ordered tables */
    _Atomic(uint32_t) layout;              /* number of the layout that it has */
    _Atomic(uint64_t) words[];             /* the key's, then the value's */
};

struct molt_table_slab; /* memory for many rows */

struct molt_table_shard {
    struct molt_seq seq;
    struct molt_table_row *free;
    char apart[48]; /* from the next one's cache line */
};

struct molt_table_rows {
    size_t row_bytes;
    struct molt_table_shard shards[MOLT_TABLE_SHARDS];
    pthread_mutex_t lock;
    struct molt_table_slab *slabs;
    char *carving, *carving_end; /* never used yet */
    size_t slab_rows;            /* of the next slab */
    atomic_size_t bytes;         /* of all slabs */
};

void molt_table_rows_init(struct molt_table_rows *rows, size_t row_bytes);
void molt_table_rows_fini(struct molt_table_rows *rows);

/* A free row from shard @shard, or NULL: then let go of all locks, refill and
 * try again. Takes no memory from the system. */
struct molt_table_row *molt_table_rows_take(struct molt_table_rows *rows, unsigned shard);
void molt_table_rows_give(struct molt_table_rows *rows, unsigned shard, struct molt_table_row *row);

/* Rows from other shards or the system into @shard. MOLT_ENOMEM. */
int molt_table_rows_refill(struct molt_table_rows *rows, unsigned shard);

/* ---- words ------------------------------------------------------------------ */

/* Relaxed throughout: the versions order them; see table_seq.h. */

static inline uint64_t molt_table_word(const _Atomic(uint64_t) *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static inline void molt_table_words_out(const _Atomic(uint64_t) *from, void *to, size_t bytes)
{
    char *at = to;
    for (; bytes >= 8; bytes -= 8, at += 8, from++) {
        uint64_t word = molt_table_word(from);
        memcpy(at, &word, 8);
    }
    if (bytes > 0) {
        uint64_t word = molt_table_word(from);
        memcpy(at, &word, bytes);
    }
}

/* What stands behind the last byte becomes zero, so that words compare. */
static inline void molt_table_words_in(_Atomic(uint64_t) *to, const void *from, size_t bytes)
{
    const char *at = from;
    for (; bytes >= 8; bytes -= 8, at += 8, to++) {
        uint64_t word;
        memcpy(&word, at, 8);
        atomic_store_explicit(to, word, memory_order_relaxed);
    }
    if (bytes > 0) {
        uint64_t word = 0;
        memcpy(&word, at, bytes);
        atomic_store_explicit(to, word, memory_order_relaxed);
    }
}

static inline bool molt_table_words_are(const _Atomic(uint64_t) *words, const uint64_t *key,
                                        size_t n)
{
    if (molt_table_word(&words[0]) != key[0])
        return false;
    for (size_t i = 1; i < n; i++)
        if (molt_table_word(&words[i]) != key[i])
            return false;
    return true;
}

#endif
