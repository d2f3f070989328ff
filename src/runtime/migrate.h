/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Migration of a graph of blocks into a world's layouts.
 *
 * What must change is converted into new blocks, what points to such, over any
 * number of steps, is copied, and the pointers in both are rewired; everything else
 * stays where it is and serves both graphs. The old blocks aren't touched, so until
 * molt_migration_adopt() the new ones can be thrown away.
 *
 * Threads: whoever runs or claimed the owner of the blocks.
 */
#ifndef MOLT_RUNTIME_MIGRATE_H
#define MOLT_RUNTIME_MIGRATE_H

#include "code/layout.h"
#include "runtime/block.h"

struct molt_runtime;

/* An old block and what it became. */
struct molt_moved_block {
    struct molt_block *old, *now;
};

struct molt_migration {
    struct molt_owner made; /* the new blocks, and what the author's conversions allocated */
    size_t n_moved;
    struct molt_moved_block *moved; /* ascending old; malloc'd */
};

/* What stopped it: "struct counter.n of block 0x... : 4294967296 doesn't fit into int". */
struct molt_migration_fault {
    int code; /* MOLT_ECHANGE, MOLT_ENOMEM */
    char why[256];
};

/* How to call an author's conversion: on a worker in the world, as the process concerned. */
typedef int molt_change_call(void *user, molt_any_fn change, const void *old, void *now);

/* Make what the blocks on @list (linked through molt_block.link) need to be in @world. Returns
 * 1 if something was made, 0 if all may stay as it is, else a code with @fault, and nothing
 * was made. */
int molt_migrate(struct molt_heap *heap, struct molt_block_cache *cache,
                 const struct molt_list *list, const struct molt_world *world,
                 molt_change_call *call, void *user, struct molt_migration *ret,
                 struct molt_migration_fault *fault);

/* What @old became; itself if it stayed. */
struct molt_block *molt_migration_of(const struct molt_migration *migration,
                                     struct molt_block *old);

/* The new blocks become @owner's, the old ones are freed. Can't fail. */
void molt_migration_adopt(struct molt_migration *migration, struct molt_heap *heap,
                          struct molt_block_cache *cache, struct molt_owner *owner);

/* Throw away what was made. */
void molt_migration_drop(struct molt_migration *migration, struct molt_heap *heap,
                         struct molt_block_cache *cache);

#endif
