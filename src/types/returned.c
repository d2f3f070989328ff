/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * x86-64 psABI 3.2.3: aggregates over 16 bytes, or with unaligned fields, are
 * of class MEMORY. AAPCS64 6.9: composites over 16 bytes are returned through
 * x8, unless they are homogeneous floating-point aggregates of up to four.
 */
#include "types/returned.h"

#include <dwarf.h>
#include <elf.h>

#define DEPTH_MAX 64
#define REGISTERS_BYTES 16

struct leaves { /* of an aggregate */
    uint64_t n;
    uint64_t size; /* of each, 0: not equal */
    bool are_floats, are_aligned;
};

static void visit(const struct molt_graph *g, uint32_t type, uint64_t offset, int depth,
                  struct leaves *leaves)
{
    uint64_t count = 1;
    type = molt_graph_strip(g, type, NULL);
    while (g->nodes[type].kind == MOLT_KIND_ARRAY && ++depth < DEPTH_MAX) {
        count *= g->nodes[type].count == MOLT_COUNT_OPEN ? 0 : g->nodes[type].count;
        type = molt_graph_strip(g, g->nodes[type].target, NULL);
    }
    const struct molt_node *node = &g->nodes[type];
    if (node->kind == MOLT_KIND_RECORD && depth < DEPTH_MAX) {
        uint64_t before = leaves->n;
        for (uint32_t i = 0; i < node->n_members; i++)
            if (!node->members[i].bit_size)
                visit(g, node->members[i].type, offset + node->members[i].bit_offset / 8, depth + 1,
                      leaves);
        leaves->n = before + (leaves->n - before) * count;
        return;
    }
    leaves->are_floats &= node->kind == MOLT_KIND_BASE && node->encoding == DW_ATE_float;
    leaves->are_aligned &= node->size == 0 || offset % node->size == 0;
    if (leaves->n == 0)
        leaves->size = node->size;
    else if (leaves->size != node->size)
        leaves->size = 0;
    leaves->n += count;
}

uint32_t molt_returned_bytes(const struct molt_graph *g, uint32_t function, uint16_t machine)
{
    uint32_t type = molt_graph_strip(g, g->nodes[function].target, NULL);
    const struct molt_node *node = &g->nodes[type];
    if (node->kind != MOLT_KIND_RECORD)
        return 0;
    if (node->completed != MOLT_NODE_NONE)
        node = &g->nodes[node->completed];
    if (node->size > UINT32_MAX)
        return UINT32_MAX;
    struct leaves leaves = {.are_floats = true, .are_aligned = true};
    visit(g, type, 0, 0, &leaves);
    bool is_in_memory = node->size > REGISTERS_BYTES;
    if (machine == EM_X86_64)
        is_in_memory |= !leaves.are_aligned;
    else if (leaves.are_floats && leaves.size && leaves.n <= 4)
        is_in_memory = false;
    return is_in_memory ? (uint32_t)node->size : 0;
}
