/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Migration of a graph of blocks into a world's layouts.
 *
 * What must change is converted into new blocks, what points to such, over any
 * number of steps, is copied, and the pointers in both are rewired; everything else
 * stays where it is and serves both graphs. The payloads of the old blocks aren't
 * touched, so until molt_migration_adopt() the new ones can be thrown away.
 *
 * Threads: whoever runs or claimed the owner of the blocks.
 */
#ifndef MOLT_RUNTIME_MIGRATE_H
#define MOLT_RUNTIME_MIGRATE_H

#include "code/layout.h"
#include "runtime/block.h"

/* An old block and what it became. */
struct molt_moved_block {
    struct molt_block *old, *now;
};

/* Stays at its address from molt_migrate() on. */
struct molt_migration {
    struct molt_owner made;    /* the new blocks */
    struct molt_owner written; /* what the author's conversions allocated */
    size_t n_moved;
    struct molt_moved_block *moved; /* ascending old; malloc'd, or &one */
    size_t n_frees;
    struct molt_block **frees;   /* what the author's conversions freed of the old; malloc'd */
    struct molt_moved_block one; /* what `moved` is if it is alone */
};

/* What stopped it: "struct counter.n of block 0x... : 4294967296 doesn't fit into int". */
struct molt_migration_fault {
    int code; /* MOLT_ECHANGE, MOLT_ENOMEM */
    char why[256];
};

/* How to call an author's conversion: in the world, as the process concerned. What
 * it allocates has to become `written`'s; of the old, what it frees belongs on `frees`. */
typedef int molt_change_call(void *user, molt_any_fn change, const void *old, void *now);

/* What to migrate, and where to. */
struct molt_migrate {
    struct molt_heap *heap;
    struct molt_block_cache *cache;
    const struct molt_list *blocks; /* through molt_block.link; all of one owner */
    const struct molt_world *world;
    molt_change_call *call;
    void *user;
    /* May be NULL: a block, the author's conversion for it, and to what. If there is a way
     * without one from its layout to that, the conversion runs after it; else on a zeroed
     * @root_type, and no pointer may lead into the middle of the old block. */
    const struct molt_block *root;
    const struct molt_type *root_type;
    molt_any_fn root_change;
};

/* Make what the blocks need to be in the world. Returns 1 if something was made, 0 if all
 * may stay as it is, else a code with @fault; in these two cases nothing was made. Works in
 * time and memory that grow with the blocks and their pointers, whatever the graph. */
int molt_migrate(const struct molt_migrate *how, struct molt_migration *ret,
                 struct molt_migration_fault *fault);

/* What @old became; itself if it stayed. */
struct molt_block *molt_migration_of(const struct molt_migration *migration,
                                     struct molt_block *old);

/* Note that the author's conversion freed @old, which goes at the adoption. Without
 * memory for that it stays with its owner. */
void molt_migration_free_later(struct molt_migration *migration, struct molt_block *old);

/* The new blocks become @owner's, the old ones, which are linked to it, are freed. Can't
 * fail; allocates nothing. */
void molt_migration_adopt(struct molt_migration *migration, struct molt_heap *heap,
                          struct molt_block_cache *cache, struct molt_owner *owner);

/* The same for blocks on a list of their own, which nobody counts: @owner's, too. */
void molt_migration_replace(struct molt_migration *migration, struct molt_heap *heap,
                            struct molt_block_cache *cache, struct molt_list *blocks,
                            struct molt_owner *owner);

/* Throw away what was made. */
void molt_migration_drop(struct molt_migration *migration, struct molt_heap *heap,
                         struct molt_block_cache *cache);

#endif
