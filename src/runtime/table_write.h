/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a writing operation does to the row that it finds, or doesn't. The two
 * kinds of index find the place and lock it; this is the same in both.
 *
 * Threads: by whoever has locked the row's bucket or leaf.
 */
#ifndef MOLT_RUNTIME_TABLE_WRITE_H
#define MOLT_RUNTIME_TABLE_WRITE_H

#include <molt/table.h>

#include "runtime/table_row.h"

enum molt_table_op {
    MOLT_TABLE_OP_PUT,
    MOLT_TABLE_OP_INSERT,
    MOLT_TABLE_OP_TAKE,
    MOLT_TABLE_OP_DELETE,
    MOLT_TABLE_OP_SWAP,
    MOLT_TABLE_OP_DELETE_SAME,
    MOLT_TABLE_OP_ADD,
    MOLT_TABLE_OP_TOUCH, /* changes nothing, but counts as a write of the row */
};

struct molt_table_write {
    enum molt_table_op op;
    unsigned shard;      /* of the calling thread */
    const uint64_t *key; /* encoded */
    uint32_t hash;
    const void *value;             /* PUT, INSERT, SWAP; of a new row in ADD, or NULL */
    const void *expected;          /* SWAP, DELETE_SAME */
    void *ret_value;               /* TAKE */
    struct molt_table_field field; /* ADD */
    int64_t delta, sum;
    int rc; /* the result */
};

enum molt_table_act {
    MOLT_TABLE_KEEP,    /* nothing changed */
    MOLT_TABLE_CHANGED, /* in the row */
    MOLT_TABLE_ADD_ROW, /* the caller has to insert one, filled by molt_table_write_fill() */
    MOLT_TABLE_REMOVE,  /* the caller has to remove it */
};

/* @row is NULL if there is none; sets w->rc. */
enum molt_table_act molt_table_write_apply(const struct molt_table_layout *layout,
                                           struct molt_table_row *row, struct molt_table_write *w);

/* A new row; nobody else sees it yet. */
void molt_table_write_fill(const struct molt_table_layout *layout, struct molt_table_row *row,
                           struct molt_table_write *w);

#endif
