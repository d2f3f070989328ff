/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Two images of one module, older and newer: which types changed, how their values
 * follow, and what can't be proven. The rules are in docs/design/migration.md.
 *
 * Pure: bytes in, recipes and text out. Reads untrusted bytes, as image_info.h does.
 *
 * Threads: any; no shared state.
 */
#ifndef MOLT_TYPES_MATCH_H
#define MOLT_TYPES_MATCH_H

#include <stddef.h>

#include <molt/error.h>

#include "code/carry.h"
#include "code/recipe.h"
#include "types/image_info.h"

enum molt_verdict {
    MOLT_MATCH_AUTOMATIC, /* follows from the types alone */
    MOLT_MATCH_HINTED,    /* hints decided something */
    MOLT_MATCH_CHANGE,    /* refused, but for the author's MOLT_CHANGE */
    MOLT_MATCH_REFUSED,
};

/* A field that stands in the way. */
struct molt_match_refusal {
    char *rule;   /* "narrowing", as in docs/refusals.md */
    char *field;  /* "struct counter.n" */
    char *why;    /* "long -> int could lose values" */
    char *remedy; /* the smallest thing that would allow it, ready to paste; lines end in \n */
    char *place;  /* "src/counter.c:4", where the new (else the old) field is declared */
};

/* A type that has another layout, or reaches one. */
struct molt_match_type {
    char *from_key, *to_key;
    uint64_t from_hash, to_hash;
    char *name; /* "struct counter" */
    enum molt_verdict verdict;
    bool is_reach_only;         /* its own bytes are the same */
    struct molt_recipe *recipe; /* NULL if refused */
    size_t n_refusals;
    struct molt_match_refusal *refusals;
    char *lines; /* field by field: "+max = 0", "n  int -> long", "-old", each ending in \n */
};

enum molt_global_fate {
    MOLT_GLOBAL_FOLLOWS, /* its value becomes the new variable's */
    MOLT_GLOBAL_REFUSED,
    MOLT_GLOBAL_ANEW, /* MOLT_FRESH now, or constant: it starts as it is initialised */
    MOLT_GLOBAL_LOST, /* the new version has no such variable */
    MOLT_GLOBAL_NEW,  /* the old version had none */
};

/* A mutable global that isn't marked MOLT_FRESH. */
struct molt_match_global {
    char *name; /* "src/counter.c:tick:hits" */
    enum molt_global_fate fate;
    uint64_t old_at, new_at; /* from the images' bases; 0: it isn't there */
    /* If it follows or is refused: as of its type, but that the recipe writes over the new
     * variable's initial value: what is new in it stays as it is initialised. */
    struct molt_match_type value;
};

struct molt_match {
    size_t n_types;
    struct molt_match_type *types;
    size_t n_globals; /* none on the way back: there is one live copy */
    struct molt_match_global *globals;
    /* Of types that stay as they are, if others don't: what their pointers lead to, for blocks
     * that move because they point to what changes. From a layout to itself. */
    size_t n_same;
    struct molt_recipe **same;
    struct molt_moves *moves; /* NULL if not asked for */
    /* What is wrong with the pair as a whole, e.g. a renumbered enum. */
    size_t n_refusals;
    struct molt_match_refusal *refusals;
    /* What no diff of types can see, for people: "macros of counter.h changed". */
    char *unseen;
};

struct molt_match_side {
    const void *bytes;
    size_t len;
};

struct molt_match_options {
    const char *project; /* as in image_info.h */
    bool allow_sanitizer;
    bool wants_moves;
    bool is_backward; /* the way back: @to is the older one. The hints are @from's then, read
                         the other way round; a value of a removed field is lost without being
                         asked, and listed; what was widened narrows with a check of each value
                         (also floats: exact or not at all), what got longer gets shorter if the
                         rest is zero; MOLT_CHANGE counts for nothing */
};

/* MOLT_EREFUSED, MOLT_EFORMAT: an image isn't one; MOLT_EINVAL: a hint names what there isn't,
 * with place and remedy. Refusals are results, not errors. */
int molt_match_images(const struct molt_match_side *from, const struct molt_match_side *to,
                      const struct molt_match_options *options, struct molt_match *ret,
                      struct molt_error *err);

/* How many types of the older file there are, and what became of those that the match says
 * nothing of. The others are in match->types. */
struct molt_match_census {
    size_t n_types;
    size_t n_same; /* and so is all that they reach */
    size_t n_gone; /* no type of the newer file goes by their key */
};

/* The same for two ELF files that needn't be modules: every struct and union with a name
 * that has debug info is a block's type. What rules of modules forbid is not looked at. For
 * tools that measure the matcher. */
int molt_match_debug(const struct molt_match_side *from, const struct molt_match_side *to,
                     const struct molt_match_options *options, struct molt_match *ret,
                     struct molt_match_census *ret_census, struct molt_error *err);
/* The type with this old key; NULL if it didn't change. A header's key may be absolute in
 * the match, if that wasn't told the project. */
const struct molt_match_type *molt_match_find(const struct molt_match *match, const char *from_key);
/* What the host needs to know of globals, by reference into a match with moves: only
 * ret->items is to be freed. Empty if none follow. MOLT_ENOMEM. */
int molt_match_carry(const struct molt_match *match, struct molt_carry *ret);
void molt_match_fini(struct molt_match *match);

#endif
