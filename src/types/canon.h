/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Canonical hashes of types: equal for equal declarations, whichever compiler,
 * optimisation and unit they come from. docs/design/images.md says what is in
 * them and why.
 *
 * Threads: a canon belongs to one thread at a time.
 */
#ifndef MOLT_TYPES_CANON_H
#define MOLT_TYPES_CANON_H

#include "base/buf.h"
#include "types/graph.h"

/* How far a hash follows pointers to structs. By value they always count. */
enum molt_reach {
    MOLT_REACH_ALL,     /* to all that the module knows: private types */
    MOLT_REACH_HEADERS, /* not into .c files, whose types go by name: header types */
    MOLT_REACH_FILE,    /* only to the header of the struct that points, others go by
                           name: what doesn't depend on the headers that a unit
                           happens to include; signatures, their types */
};

struct molt_canon {
    const struct molt_graph *graph;
    enum molt_reach reach;
    struct molt_buf out;
    size_t n_marks; /* by identity */
    uint32_t *marks, *numbers;
    uint32_t generation, next_number;
    uint32_t *queue; /* records to write, by node */
    size_t n_queue, cap_queue;
    bool hides_root;
    unsigned opaque_mask; /* of a signature's own pointees, which go by name */
    size_t n_pointees;
    uint32_t pointees[8];
    int code;
};

void molt_canon_init(struct molt_canon *canon, const struct molt_graph *graph);
void molt_canon_fini(struct molt_canon *canon);

/* Layout and all that it reaches. @hides_root: without the root's own name.
 * MOLT_ENOMEM; rule debug-bad if it is absurdly big or deep. */
int molt_canon_type(struct molt_canon *canon, uint32_t root, enum molt_reach reach, bool hides_root,
                    uint64_t *ret, struct molt_error *err);

/* A function type with all header types that its own pointers lead to. */
int molt_canon_signature(struct molt_canon *canon, uint32_t function, uint64_t *ret,
                         struct molt_error *err);

/* Can @sig be the hash of @function's type, seen from a place where some of the
 * structs that it points to were only declared? 1 or 0, or a negative code. */
int molt_canon_has_signature(struct molt_canon *canon, uint32_t function, uint64_t sig,
                             struct molt_error *err);

/* The header structs and unions with a name that @root reaches in any way, as
 * node numbers, malloc'd. MOLT_ENOMEM; rule debug-bad. */
int molt_canon_shared(struct molt_canon *canon, uint32_t root, uint32_t **ret, size_t *ret_n,
                      struct molt_error *err);

#endif
