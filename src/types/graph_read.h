/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Reading single entries into nodes, for graph.c. Threads: as graph.h. */
#ifndef MOLT_TYPES_GRAPH_READ_H
#define MOLT_TYPES_GRAPH_READ_H

#include "types/graph.h"

/* A record whose members, or completion, haven't been looked for. */
struct molt_graph_pending {
    uint32_t node;
    Dwarf_Die die;
};

/* The node for @die, reading it and what it is made of, but not the members
 * of records: these are left in graph->pending. @depth: length of the chain. */
int molt_graph_read(struct molt_graph *graph, Dwarf_Die *die, int depth, uint32_t *ret,
                    struct molt_error *err);
/* Of the type of @die; void if it has none. */
int molt_graph_read_type_of(struct molt_graph *graph, Dwarf_Die *die, int depth, uint32_t *ret,
                            struct molt_error *err);
/* Read the members of one pending record. */
int molt_graph_read_members(struct molt_graph *graph, uint32_t node, Dwarf_Die *die,
                            struct molt_error *err);

/* "unsigned long" for gcc's "long unsigned int" and clang's "unsigned long". */
const char *molt_graph_base_name(struct molt_arena *arena, const char *name);

#endif
