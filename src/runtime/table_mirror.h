/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A body's rows in another layout, kept up to date: what staging makes beside a table
 * whose types change.
 *
 * From when the mirror is attached and all who were inside have left, whoever writes a row
 * writes what it becomes into the mirror's body, too, before letting go of the row's
 * bucket or leaf. So what happens to one row happens to both in one order, and whoever
 * makes the rows of before "touches" them, which is a write that changes nothing. When
 * nobody is inside, the mirror's body has exactly what the body has.
 *
 * A row that can't be converted doesn't fail the write: the mirror has failed for good then,
 * with the reason, and the upgrade is refused.
 *
 * Threads: molt_table_mirror_row() by who has locked the row's place; the others the executor.
 * Locks:   molt_table_mirror.lock guards err; nothing nests in it. The locks of the mirror's
 *          body nest in the locked place of the body; never the other way round.
 */
#ifndef MOLT_RUNTIME_TABLE_MIRROR_H
#define MOLT_RUNTIME_TABLE_MIRROR_H

#include <pthread.h>
#include <stdatomic.h>

#include <molt/error.h>

#include "runtime/table_body.h"
#include "runtime/table_convert.h"

struct molt_table_mirror {
    struct molt_table_body *body;   /* owned, unless it was taken */
    const struct molt_world *world; /* whose layouts it has; not held */
    struct molt_way key_way, value_way;
    char name[MOLT_TABLE_NAME_MAX]; /* of the table */
    atomic_int failed;              /* 0, or why: a code */
    pthread_mutex_t lock;
    struct molt_error err; /* the first failure, for people */
    struct molt_table_mirror *next_dropped;
};

/* What @world makes necessary for @layout: 1 and the ways, 0 nothing, or MOLT_ECHANGE with
 * @err, which calls the table @name. */
int molt_table_mirror_ways(const struct molt_world *world, const struct molt_table_layout *layout,
                           const char *name, struct molt_way *ret_key_way,
                           struct molt_way *ret_value_way, struct molt_error *err);

/* The layout at the ends of the ways, which may be @old's place. MOLT_EINVAL with @err. */
int molt_table_mirror_layout(const struct molt_table_layout *old, const struct molt_way *key_way,
                             const struct molt_way *value_way, struct molt_table_layout *ret,
                             struct molt_error *err);

/* An empty mirror for @body, not attached. MOLT_ECHANGE, MOLT_EINVAL, MOLT_ENOMEM with @err. */
int molt_table_mirror_new(const struct molt_table_body *body, const struct molt_world *world,
                          const char *name, const struct molt_way *key_way,
                          const struct molt_way *value_way, struct molt_table_mirror **ret,
                          struct molt_error *err);
/* NULL is fine. */
void molt_table_mirror_free(struct molt_table_mirror *mirror);

/* @row of @body, at its locked place, is what @key has now; NULL: nothing. */
void molt_table_mirror_row(struct molt_table_mirror *mirror, const struct molt_table_body *body,
                           const struct molt_table_row *row, const uint64_t *key, unsigned shard);

/* 0, or the code of what failed, with the reason. */
int molt_table_mirror_status(struct molt_table_mirror *mirror, struct molt_error *err);

#endif
