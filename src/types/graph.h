/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * C types as a graph, the same for gcc and clang, DWARF 4 and 5. Nodes are
 * read on demand and known by number; node 0 is void.
 *
 * Invariant between calls: every node number is valid, members of complete
 * records have been read, incomplete records know what completes them: the
 * only type of that tag in the module's files. Chains of pointers, arrays,
 * functions, typedefs and qualifiers end; only records close cycles.
 *
 * Threads: belongs to one thread at a time.
 */
#ifndef MOLT_TYPES_GRAPH_H
#define MOLT_TYPES_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "types/debug.h"

#define MOLT_NODE_VOID 0u
#define MOLT_NODE_NONE UINT32_MAX
#define MOLT_CHAIN_MAX 200
#define MOLT_COUNT_OPEN UINT64_MAX /* length of `x[]`, and of `x[0]` */

enum molt_node_kind {
    MOLT_KIND_VOID,
    MOLT_KIND_BASE,
    MOLT_KIND_POINTER,
    MOLT_KIND_ARRAY, /* one dimension */
    MOLT_KIND_RECORD,
    MOLT_KIND_ENUM,
    MOLT_KIND_TYPEDEF,
    MOLT_KIND_QUALIFIED,
    MOLT_KIND_FUNCTION,
};

#define MOLT_QUAL_CONST 1u
#define MOLT_QUAL_VOLATILE 2u
#define MOLT_QUAL_RESTRICT 4u
#define MOLT_QUAL_ATOMIC 8u

struct molt_member {  /* of a record, enum or function */
    const char *name; /* NULL: anonymous member, parameter */
    uint32_t type;
    uint64_t bit_offset; /* of a record's member, from the record's start */
    uint32_t bit_size;   /* of a bitfield, else 0 */
    int64_t value;       /* of an enumerator; as int64_t if it is larger */
    uint32_t line;       /* where a record's member is declared; 0 if unknown */
};

struct molt_node {
    enum molt_node_kind kind;
    uint8_t quals;    /* of QUALIFIED: one MOLT_QUAL_ */
    uint8_t encoding; /* of BASE: DW_ATE_... */
    bool is_union;
    bool is_incomplete; /* record or enum known by name only */
    bool is_variadic;   /* function, also one without prototype */
    bool is_tagless;    /* the name of a record or enum is its typedef's */
    const char *name;   /* tag, typedef name, canonical C name of a base type */
    const char *scope;  /* function that the type is declared in, or NULL */
    const struct molt_source *file;
    uint32_t line;   /* of a record or enum; 0 if unknown */
    size_t unit;     /* where it was read; SIZE_MAX if unknown */
    uint64_t size;   /* bytes; 0 for incomplete ones */
    uint64_t count;  /* of ARRAY */
    uint32_t target; /* pointee, element, aliased, qualified, returned */
    uint32_t n_members;
    struct molt_member *members;
    uint32_t completed; /* record: the node that has its members; itself if it is
                           complete, NONE if that is unknown */
    uint32_t identity;  /* named complete records and enums: number of (kind, file,
                           scope, name), equal in all units; else 0 */
};

struct molt_graph_pending;

struct molt_graph {
    struct molt_debug *debug;
    size_t n_nodes, cap_nodes;
    struct molt_node *nodes;
    struct molt_map node_of_die;
    size_t n_pending, cap_pending;
    struct molt_graph_pending *pending; /* records to look at */
    struct molt_map identities;         /* hash of the text -> number and text */
    uint32_t n_identities;
    struct molt_map type_by_name; /* hash -> first in debug->types, + 1 */
    size_t *next_by_name;         /* [debug->n_types], + 1; 0 ends; made when needed */
    struct molt_map semantics;    /* identity -> number of its MOLT_SEMANTIC */
};

int molt_graph_init(struct molt_graph *graph, struct molt_debug *debug, struct molt_error *err);
void molt_graph_fini(struct molt_graph *graph);

/* The node of a type's entry, or of a subprogram's function type; settles the
 * graph. Pointers to nodes are invalid afterwards. Rule debug-bad. */
int molt_graph_add(struct molt_graph *graph, Dwarf_Die *die, uint32_t *ret, struct molt_error *err);
/* Of the type that the entry @die (a variable, ...) has. */
int molt_graph_add_type_of(struct molt_graph *graph, Dwarf_Die *die, uint32_t *ret,
                           struct molt_error *err);

static inline const struct molt_node *molt_graph_node(const struct molt_graph *graph,
                                                      uint32_t index)
{
    return &graph->nodes[index];
}

/* @index without typedefs and qualifiers; these are added to *quals (may be
 * NULL) as MOLT_QUAL_ bits. */
uint32_t molt_graph_strip(const struct molt_graph *graph, uint32_t index, unsigned *quals);

/* @index without typedefs and qualifiers; an incomplete record as what completes it. */
uint32_t molt_graph_whole(const struct molt_graph *graph, uint32_t index);
/* Bytes of a value; 0 of open arrays, functions and incomplete types; UINT64_MAX: too many. */
uint64_t molt_graph_size(const struct molt_graph *graph, uint32_t index);

/* What a person calls so in unit @unit: there, or else what all other units mean by
 * it. 1 and the type, 0: nothing or not certain. May read more nodes. */
int molt_graph_find(struct molt_graph *graph, size_t unit, const char *text, uint32_t *ret,
                    struct molt_error *err);

/* Does what a person wrote in unit @unit ("struct next", "next_t", "unsigned
 * long") mean the type @index? False also if the debug info doesn't know the name.
 * May read more nodes. */
int molt_graph_is_named(struct molt_graph *graph, size_t unit, const char *text, uint32_t index,
                        bool *ret, struct molt_error *err);

/* One type, but for qualifiers: records and enums by identity, the others by
 * structure. */
bool molt_graph_is_same(const struct molt_graph *graph, uint32_t a, uint32_t b);

/* "struct next", "char[16]", "int (*)(struct next *)" as a person writes it. */
struct molt_buf;
void molt_graph_print(const struct molt_graph *graph, uint32_t index, struct molt_buf *out);

/* The type's key, see code/meta.h; in the debug's arena. @hash stands for the
 * name of an anonymous one. NULL when out of memory. */
const char *molt_graph_key(struct molt_graph *graph, uint32_t index, uint64_t hash);
/* Declared in a header, or made of such: has one layout per world. */
bool molt_graph_is_shared(const struct molt_graph *graph, uint32_t index);

#endif
