/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Layouts: which one a world knows of a type, and how to get there from another.
 *
 * Each type object knows the recipes that lead away from it (they are added when
 * an upgrade commits and stay as long as the host). A world knows, of the types
 * that ever had more than one layout in this host, which is its own. So what is
 * converted, and when, needs no upgrade to be under way: a block that was
 * forgotten in a timer for ten upgrades finds its way.
 *
 * Threads: lookups from any thread that is in the world or holds it; they take no
 * lock. The rest on the executor thread.
 */
#ifndef MOLT_CODE_LAYOUT_H
#define MOLT_CODE_LAYOUT_H

#include "code/code.h"
#include "code/recipe.h"
#include "code/type.h"

/* Recipes that are followed one after the other, at most. */
#define MOLT_WAY_MAX 8

/* One step of a way. */
struct molt_edge {
    const struct molt_recipe *recipe;
    const struct molt_type *from, *to;
    /* The author's conversion, int (const OLD *, NEW *), to be run in a world that has its
     * version; NULL: none. An edge whose version left memory is on no way. */
    molt_any_fn change;
};

struct molt_way {
    unsigned n;
    const struct molt_edge *edges[MOLT_WAY_MAX];
};

/* Whether blocks of @type may stay as they are in @world: it is the world's layout,
 * or the world knows no layout of it at all and none that a recipe leads to (only
 * code that doesn't look inside can have such a block). For most types one load. */
bool molt_world_takes(const struct molt_world *world, const struct molt_type *type);

/* How blocks of @type become the world's. Returns the number of edges, 0 if they may stay
 * as they are; MOLT_ECHANGE: they may not, and there is no way. The shortest way counts;
 * among equal ones the newest recipes. */
int molt_world_way(const struct molt_world *world, const struct molt_type *type,
                   struct molt_way *ret);

/* What the pointers of a block lead to whose @type stays as it is, but which moves because of
 * what it points to: a recipe from @type to itself, or NULL if nobody brought one. */
const struct molt_recipe *molt_world_same(const struct molt_world *world,
                                          const struct molt_type *type);

/* The same from @from to just @to, whichever @world has, without authors' functions: what
 * somebody in @world can follow at any moment. MOLT_ECHANGE. */
int molt_world_way_between(const struct molt_world *world, const struct molt_type *from,
                           const struct molt_type *to, struct molt_way *ret);

/* A number that all worlds share between which no layout changed; it grows with each
 * commit that brings recipes, changes a type that there may be blocks of, or the state of a
 * server. Its low byte is never 0. */
static inline uint32_t molt_world_epoch(const struct molt_world *world)
{
    return world->layout_epoch;
}

/* Where the address @value of a pointer to @type (as in steps), in an image that @world doesn't
 * have, is in the version of the same module that it has, following moves from version to version.
 * 0 if it is in no image or in one of this world: then it stays. 1 and *ret; MOLT_ECHANGE, naming
 * in @why what is gone ("counter@3: counter.c:tick()"). */
int molt_world_moved(const struct molt_world *world, uint64_t value, uint64_t type, uint64_t *ret,
                     char *why, size_t why_size);

/* Add to the stage: a recipe between two layouts of which at least one is known after the
 * seal, and moves between two versions' images. Consumed on success; checked again at the
 * seal, where MOLT_EREFUSED names what doesn't fit type or version. A recipe for a type that
 * there never was a description of is of no use, and dropped: there are no blocks of it.
 * One that leads from a layout to itself is for molt_world_same() and on no way.
 * After the commit they hold, after an abort they never were. */
int molt_stage_recipe(struct molt_code *code, uint64_t stage, struct molt_recipe *recipe,
                      struct molt_error *err);
int molt_stage_moves(struct molt_code *code, uint64_t stage, struct molt_moves *moves,
                     struct molt_error *err);

#endif
