/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The rows of a table in one index: what readers look at. A table has one body
 * at a time; clearing and migrating put another in its place.
 *
 * Threads: any that has entered the table's epochs, as long as it is inside.
 */
#ifndef MOLT_RUNTIME_TABLE_BODY_H
#define MOLT_RUNTIME_TABLE_BODY_H

#include "runtime/table_epoch.h"
#include "runtime/table_hash.h"
#include "runtime/table_tree.h"
#include "runtime/table_write.h"

struct molt_table_mirror;

/* What a step starts from. */
struct molt_table_cursor {
    const uint64_t *key; /* encoded; NULL: the edge of the table */
    enum molt_table_step step;
};

struct molt_table_body {
    struct molt_table_retired retired; /* first */
    struct molt_table_layout layout;
    bool is_ordered;
    uint64_t seed;
    uint64_t rows_max; /* UINT64_MAX: no limit */
    /* What writers keep up to date beside it, or NULL; owned. Seq_cst: who entered after the
     * wait that follows the store sees it; see molt_table_enter(). */
    _Atomic(struct molt_table_mirror *) mirror;
    union {
        struct molt_table_hash hash;
        struct molt_table_tree tree;
    };
    char apart[64]; /* readers don't share a cache line with the count */
    _Atomic(uint64_t) count;
    struct molt_table_rows rows;
};

/* NULL when out of memory. */
struct molt_table_body *molt_table_body_new(const struct molt_table_layout *layout, bool is_ordered,
                                            uint64_t seed, uint64_t rows_max);
/* Nobody is inside any more. NULL is fine. */
void molt_table_body_free(struct molt_table_body *body);

/* MOLT_ENOENT. */
int molt_table_body_get(struct molt_table_body *body, const uint64_t *key, void *ret_value);

/* What @w says; its result. MOLT_ENOMEM, MOLT_ELIMIT: nothing changed. */
int molt_table_body_write(struct molt_table_body *body, struct molt_table_write *w);

/* The row that the cursor leads to: its key and value, and for a table of keys
 * and values that may point, one row at one instant. MOLT_ENOENT at the end. */
int molt_table_body_step(struct molt_table_body *body, const struct molt_table_cursor *cursor,
                         uint64_t *ret_key, void *ret_value);

uint64_t molt_table_body_count(struct molt_table_body *body);
uint64_t molt_table_body_bytes(struct molt_table_body *body);

/* ---- for the indexes ---------------------------------------------------------- */

/* Room for one more row: a free one, or NULL. *rc says what is missing:
 * MOLT_ELIMIT, or 0: refill and try again. Takes part in the count at once. */
struct molt_table_row *molt_table_body_take(struct molt_table_body *body,
                                            struct molt_table_write *w, int *rc);
void molt_table_body_give(struct molt_table_body *body, unsigned shard, struct molt_table_row *row);

/* By the slow half of the following. */
void molt_table_body_tell_mirror(struct molt_table_body *body, const struct molt_table_row *row,
                                 const struct molt_table_write *w);

/* A write of @w is done: @row is what the key has now, NULL if nothing. Its place is
 * locked still. */
static inline void molt_table_body_wrote(struct molt_table_body *body,
                                         const struct molt_table_row *row,
                                         const struct molt_table_write *w)
{
    if (__builtin_expect(atomic_load_explicit(&body->mirror, memory_order_seq_cst) != NULL, 0))
        molt_table_body_tell_mirror(body, row, w);
}

/* Copy out a row under a version that is asked afterwards. MOLT_ETYPE if it has
 * another layout. */
static inline int molt_table_body_copy(const struct molt_table_body *body,
                                       const struct molt_table_row *row, void *ret_value)
{
    if (atomic_load_explicit(&row->layout, memory_order_relaxed) != body->layout.number)
        return MOLT_ETYPE;
    molt_table_words_out(&row->words[body->layout.key_words], ret_value, body->layout.value_bytes);
    return 0;
}

#endif
