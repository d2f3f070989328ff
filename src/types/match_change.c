/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The author's own conversion: the MOLT_CHANGE whose OLD is the old state, spelled
 * again. Tags don't count, since the new version has another struct of that name. */
#include <stddef.h>
#include <string.h>

#include <molt/abi.h>

#include "types/match_work.h"

#define DEPTH_MAX 48

static bool is_spelled(const struct molt_matcher *m, uint32_t old, uint32_t again, unsigned depth);

static bool is_record_spelled(const struct molt_matcher *m, const struct molt_node *a,
                              const struct molt_node *b, unsigned depth)
{
    if (a->is_union != b->is_union || a->size != b->size || a->n_members != b->n_members)
        return false;
    for (uint32_t i = 0; i < a->n_members; i++) {
        const struct molt_member *x = &a->members[i], *y = &b->members[i];
        bool is_named_same =
            x->name && y->name ? strcmp(x->name, y->name) == 0 : x->name == y->name;
        if (!is_named_same || x->bit_offset != y->bit_offset || x->bit_size != y->bit_size ||
            !is_spelled(m, x->type, y->type, depth + 1))
            return false;
    }
    return true;
}

static bool is_enum_spelled(const struct molt_node *a, const struct molt_node *b)
{
    return a->size == b->size;
}

/* Equal bytes by value; what pointers lead to only matters by kind. */
static bool is_spelled(const struct molt_matcher *m, uint32_t old, uint32_t again, unsigned depth)
{
    const struct molt_node *a = molt_match_old(m, molt_graph_whole(&m->from.graph, old));
    const struct molt_node *b = molt_match_new(m, molt_graph_whole(&m->to.graph, again));
    if (a->kind != b->kind || depth > DEPTH_MAX)
        return false;
    switch (a->kind) {
    case MOLT_KIND_BASE:
        return a->encoding == b->encoding && a->size == b->size;
    case MOLT_KIND_ENUM:
        return is_enum_spelled(a, b);
    case MOLT_KIND_ARRAY:
        return a->count == b->count && is_spelled(m, a->target, b->target, depth + 1);
    case MOLT_KIND_RECORD:
        return is_record_spelled(m, a, b, depth);
    case MOLT_KIND_POINTER:
        return molt_match_old(m, molt_graph_whole(&m->from.graph, a->target))->kind ==
               molt_match_new(m, molt_graph_whole(&m->to.graph, b->target))->kind;
    default:
        return true;
    }
}

static bool function_at(const struct molt_matcher *m, size_t server, size_t change,
                        uint64_t *ret_at)
{
    const Elf64_Shdr *section = molt_elf_section(&m->to.elf, "molt_servers");
    struct molt_elf_word word;
    if (!section)
        return false;
    uint64_t addr = section->sh_addr + server * sizeof(struct molt_server) +
                    offsetof(struct molt_server, change) + change * sizeof(struct molt_change) +
                    offsetof(struct molt_change, fn);
    if (molt_elf_word(&m->to.elf, addr, &word) < 0 || word.sym || !word.addr)
        return false;
    *ret_at = word.addr;
    return true;
}

bool molt_match_find_change(struct molt_matcher *m, uint64_t *ret_at)
{
    const struct molt_meta *meta = m->to.meta;
    if (m->options->is_backward)
        return false;
    for (size_t i = 0; i < meta->n_servers; i++) {
        const struct molt_meta_server *s = &meta->servers[i];
        uint32_t state = molt_graph_whole(&m->to.graph, m->to.type_nodes[s->state_type]);
        if (!molt_graph_is_same(&m->to.graph, state, m->subject.new))
            continue;
        m->subject.is_state = true;
        for (size_t k = 0; k < s->n_changes; k++)
            if (is_spelled(m, m->subject.old, m->to.type_nodes[s->change_types[k]], 0) &&
                function_at(m, i, k, ret_at))
                return true;
    }
    return false;
}
