/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Hash index: buckets that grow one by one (linear hashing).
 *
 * A bucket is a version (table_seq.h) and a chain of rows. With n buckets and
 * 2^L <= n < 2^(L+1), a hash belongs to bucket hash mod 2^(L+1), or, where
 * that is not yet there, mod 2^L. Growing by one splits bucket n - 2^L into
 * itself and bucket n; shrinking is the reverse. Buckets lie in segments that
 * double in size and never move, so growing stops nobody.
 *
 *  who          | excludes                         | how
 *  -------------+----------------------------------+---------------------------
 *  reader       | nobody                           | asks the bucket's version
 *  writer       | writers of the same bucket       | locks its version
 *  split, merge | other splits and merges;         | is_resizing (tried, never
 *               | writers of the two buckets       | waited for); both versions
 *
 * A writer holds one bucket and waits for none with it; a split holds two,
 * taken in ascending order. n_buckets changes only under the versions of the
 * two buckets that it concerns. So who reads or locks a bucket and then finds,
 * by n_buckets, that the hash still belongs there, is right until the version
 * changes (before it: the acquire on the version shows the n_buckets that was
 * stored before it; after it: the version shows).
 *
 * A walk goes by the reversed bits of the hash, then by key: a bucket has all
 * hashes of one interval of that order, and a split cuts an interval in two.
 * So the order of all rows is the same however many buckets there are, and
 * "the next row after this one" needs no memory of the walk.
 *
 * Pointers in chains are stored with release and loaded with acquire: who
 * follows one sees an initialised row. All else in rows is relaxed, under the
 * version.
 *
 * Progress: see table_seq.h. A chain that a reader follows while it is changed
 * may lead into another; the version is asked at each step, so it ends there.
 */
#ifndef MOLT_RUNTIME_TABLE_HASH_H
#define MOLT_RUNTIME_TABLE_HASH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/table_write.h"

struct molt_table_body;
struct molt_table_bucket;

#define MOLT_TABLE_SEGMENTS 32

struct molt_table_hash {
    _Atomic(uint32_t) n_buckets;
    atomic_bool is_resizing;
    atomic_size_t bytes;
    _Atomic(struct molt_table_bucket *) segments[MOLT_TABLE_SEGMENTS];
};

int molt_table_hash_init(struct molt_table_hash *hash);
void molt_table_hash_fini(struct molt_table_hash *hash);
size_t molt_table_hash_bytes(struct molt_table_hash *hash);

int molt_table_hash_get(struct molt_table_body *body, const uint64_t *key, void *ret_value);

/* False: nothing was done, there is no free row; refill and try again. */
bool molt_table_hash_write(struct molt_table_body *body, struct molt_table_write *w);

/* @after NULL: the first. */
int molt_table_hash_step(struct molt_table_body *body, const uint64_t *after, uint64_t *ret_key,
                         void *ret_value);

#endif
