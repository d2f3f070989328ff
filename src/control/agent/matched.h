/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * How the values of each module that an upgrade replaces follow, and how they would
 * come back: the matches of its two images, read from the store and the set.
 *
 * Threads: the agent's.
 */
#ifndef MOLT_CONTROL_AGENT_MATCHED_H
#define MOLT_CONTROL_AGENT_MATCHED_H

#include "code/meta.h"
#include "control/agent/set.h"
#include "types/match.h"

struct molt_matched_module {
    const char *module;      /* borrowed from the set's meta */
    struct molt_match there; /* with moves */
    struct molt_match back;
};

struct molt_matched {
    size_t n;
    struct molt_matched_module *modules;
};

/* Where things are: all borrowed. */
struct molt_matched_input {
    const char *store;   /* folder of <module>-<digest>.so */
    const char *project; /* root folder, as the images were read with; may be NULL */
    size_t n_running;
    const struct molt_meta *const *running;
    const struct molt_set *set;
};

/* A module whose old image left the store is left out: what it knows is decided by layouts
 * alone. MOLT_ENOMEM; what molt_match_images() says. */
int molt_matched_make(const struct molt_matched_input *input, struct molt_matched *ret,
                      struct molt_error *err);
void molt_matched_fini(struct molt_matched *matched);

/* NULL: none. */
const struct molt_matched_module *molt_matched_find(const struct molt_matched *matched,
                                                    const char *module);

/* "+max = 0, n  int -> long": what changed in the type of @key and @hash, for one line; NULL
 * if nothing, or if it isn't known. malloc'd. */
char *molt_matched_describe(const struct molt_matched *matched, const struct molt_meta_type *type);

/* What becomes of mutable globals, but for those that follow as they are: "counter: lost
 * src/counter.c:hits", a line each, each ending in \n. malloc'd; NULL: nothing. */
char *molt_matched_describe_globals(const struct molt_matched *matched);

#endif
