/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/behaviour.h"

#include <dwarf.h>
#include <string.h>

#include "types/rules.h"

int molt_behaviour_read_word(const struct molt_behaviour *b, size_t offset,
                             struct molt_elf_word *ret, struct molt_error *err)
{
    if (molt_elf_word(&b->image->elf, b->addr + offset, ret) < 0)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s is unreadable", b->name);
    return 0;
}

int molt_behaviour_read_string(const struct molt_behaviour *b, size_t offset, const char **ret,
                               struct molt_error *err)
{
    struct molt_elf_word word;
    int rc = molt_behaviour_read_word(b, offset, &word, err);
    if (rc < 0)
        return rc;
    *ret = word.addr && !word.sym ? molt_elf_string_at(&b->image->elf, word.addr) : NULL;
    if (!*ret)
        return molt_rule_break(err, MOLT_RULE_BEHAVIOUR, "%s has a name that is no string",
                               b->name);
    return 0;
}

uint32_t molt_behaviour_read_u32(const struct molt_behaviour *b, size_t offset)
{
    uint32_t value = 0;
    const uint8_t *at = molt_elf_at(&b->image->elf, b->addr + offset, sizeof value);
    if (at)
        memcpy(&value, at, sizeof value);
    return value;
}

/* ---- types ------------------------------------------------------------ */

bool molt_behaviour_is_base(const struct molt_graph *g, uint32_t type, unsigned encoding,
                            uint64_t size)
{
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, type, NULL)];
    return node->kind == MOLT_KIND_BASE && node->encoding == encoding && node->size == size;
}

bool molt_behaviour_is_int(const struct molt_graph *g, uint32_t type)
{
    return molt_behaviour_is_base(g, type, DW_ATE_signed, 4);
}

bool molt_behaviour_is_void(const struct molt_graph *g, uint32_t type)
{
    return g->nodes[molt_graph_strip(g, type, NULL)].kind == MOLT_KIND_VOID;
}

/* What a pointer leads to; NONE if @type is no pointer. */
uint32_t molt_behaviour_pointee(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, type, NULL)];
    return node->kind == MOLT_KIND_POINTER ? node->target : MOLT_NODE_NONE;
}

bool molt_behaviour_points_to(const struct molt_graph *g, uint32_t type, uint32_t target)
{
    uint32_t found = molt_behaviour_pointee(g, type);
    return found != MOLT_NODE_NONE && molt_graph_is_same(g, found, target);
}

bool molt_behaviour_fits(const struct molt_graph *g, uint32_t function, bool returns_void,
                         unsigned n_parameters)
{
    const struct molt_node *node = &g->nodes[function];
    return node->kind == MOLT_KIND_FUNCTION && node->n_members == n_parameters &&
           !node->is_variadic &&
           (returns_void ? molt_behaviour_is_void(g, node->target)
                         : molt_behaviour_is_int(g, node->target));
}

uint32_t molt_behaviour_parameter(const struct molt_graph *g, uint32_t function, unsigned i)
{
    return g->nodes[function].members[i].type;
}

/* ---- functions of the table --------------------------------------------- */

/* A handler that another module exports could change without this one. */
static int refuse_import(const struct molt_behaviour *b, const Elf64_Sym *sym,
                         struct molt_error *err)
{
    return molt_rule_break_with(err, MOLT_RULE_HANDLER,
                                "write a function in this module that calls it",
                                "%s behaviour %s uses %.200s, which another module defines",
                                b->place, b->name,
                                molt_elf_symbol_name(&b->image->elf.dynsym, sym));
}

/* The function at @offset of the table; *ret_is_set false: there is none. */
int molt_behaviour_read_callee(struct molt_behaviour *b, size_t offset, struct molt_callee *ret,
                               bool *ret_is_set, struct molt_error *err)
{
    struct molt_elf_word word;
    *ret = (struct molt_callee){.name = "?"};
    *ret_is_set = false;
    int rc = molt_behaviour_read_word(b, offset, &word, err);
    if (rc < 0)
        return rc;
    *ret_is_set = word.addr != 0 || word.sym;
    if (!*ret_is_set)
        return 0;
    if (word.sym)
        return refuse_import(b, word.sym, err);
    const struct molt_debug_fn *fn = molt_debug_fn_at(&b->image->debug, word.addr);
    if (!fn)
        return molt_rule_break(err, MOLT_RULE_HANDLER,
                               "%s behaviour %s names a function without debug info", b->place,
                               b->name);
    Dwarf_Die die = fn->die;
    ret->name = fn->name;
    molt_debug_place(&b->image->debug, &die, ret->place, sizeof ret->place);
    return molt_graph_add(&b->image->graph, &die, &ret->function, err);
}

/* A printed type in a message's life. */
const char *molt_behaviour_print_type(const struct molt_graph *g, uint32_t type,
                                      struct molt_buf *buf)
{
    molt_buf_reset(buf);
    molt_graph_print(g, type, buf);
    return buf->data ? buf->data : "?";
}

/* Refuse @callee, whose type should have been @expected. */
int molt_behaviour_refuse(const struct molt_behaviour *b, const struct molt_callee *callee,
                          const char *expected, struct molt_error *err)
{
    struct molt_buf found = MOLT_BUF_INIT;
    int rc = molt_rule_break(err, MOLT_RULE_HANDLER,
                             "%s %s of behaviour %s is %.150s, declared for %.150s", callee->place,
                             callee->name, b->name,
                             molt_behaviour_print_type(&b->image->graph, callee->function, &found),
                             expected);
    molt_buf_fini(&found);
    return rc;
}
