/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Putting a recipe together: lists of steps that grow at their end, each step with
 * the list of its children, until molt_maker_finish() makes flat tables of them.
 * Copies that continue each other become one, arrays of what is copied too.
 *
 * Out of memory is noted in the maker; callers ask at the end.
 *
 * Threads: belongs to one thread at a time.
 */
#ifndef MOLT_TYPES_RECIPE_MAKE_H
#define MOLT_TYPES_RECIPE_MAKE_H

#include "code/recipe.h"
#include "types/arena.h"

struct molt_made_step;

struct molt_step_list {
    struct molt_made_step *items;
    size_t n, cap;
    bool is_closed; /* the last copy can't go on over a gap */
    bool is_tight;  /* none ever can: bytes in the gaps were fields */
};

struct molt_made_step {
    struct molt_step step;
    const char *text; /* outlives the maker */
    struct molt_step_list inner;
    const struct molt_recipe_map *maps; /* of ENUM */
    const void *bytes;                  /* of SET */
};

struct molt_maker {
    bool is_failed;  /* out of memory */
    bool is_too_big; /* for the numbers of steps */
    size_t n_steps; /* made so far: a bound for what can become of them */
};

/* What steps take: the place in both elements. */
struct molt_make_at {
    uint64_t old_at, new_at; /* bytes; bits for bitfields */
    const char *text;        /* outlives the maker */
};

void molt_step_list_fini(struct molt_step_list *list);

/* @bytes bytes of type id @type (0: several or unknown). */
void molt_make_copy(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                    uint64_t bytes, uint64_t type);
/* A leaf; kind, flags, widths, count, type, limit and maps' number are taken from @step. */
void molt_make_leaf(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                    struct molt_step step);
/* A bitfield. Neighbours of unchanged width become one. */
void molt_make_bits(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                    unsigned old_bits, unsigned new_bits, unsigned flags);
/* @maps (@step.n_steps of them) and @bytes outlive the maker. */
void molt_make_enum(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                    struct molt_step step, const struct molt_recipe_map *maps);
void molt_make_set(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                   const void *bytes, uint64_t n);
/* A step with children, which are consumed. EACH of a single copy becomes one. */
void molt_make_parent(struct molt_maker *maker, struct molt_step_list *list, struct molt_make_at at,
                      struct molt_step step, struct molt_step_list *inner);
/* New bytes without a step follow. */
void molt_make_gap(struct molt_step_list *list);
/* The struct of these sizes ends: its padding may go with a copy. */
void molt_make_end(struct molt_step_list *list, uint64_t old_size, uint64_t new_size);

/* Fill the tables of @recipe; @list is consumed. MOLT_ENOMEM; MOLT_ELIMIT: too many. */
int molt_maker_finish(struct molt_maker *maker, struct molt_step_list *list,
                      struct molt_recipe *recipe);

#endif
