/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The graph as others see it: adding roots, completing records, comparing. */
#include "types/graph.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "types/graph_read.h"

#define DEPTH_MAX 256

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "reading types: out of memory");
}

int molt_graph_init(struct molt_graph *g, struct molt_debug *debug, struct molt_error *err)
{
    *g = (struct molt_graph){.debug = debug};
    if (molt_array_grow(g->nodes, 0, g->cap_nodes) < 0)
        return no_memory(err);
    g->nodes[0] = (struct molt_node){.kind = MOLT_KIND_VOID, .unit = SIZE_MAX};
    g->n_nodes = 1;
    return 0;
}

void molt_graph_fini(struct molt_graph *g)
{
    free(g->nodes);
    free(g->pending);
    free(g->next_by_name);
    molt_map_fini(&g->node_of_die);
    molt_map_fini(&g->identities);
    molt_map_fini(&g->type_by_name);
    molt_map_fini(&g->semantics);
    *g = (struct molt_graph){0};
}

static int index_names(struct molt_graph *g, struct molt_error *err)
{
    const struct molt_debug *d = g->debug;
    if (g->next_by_name)
        return 0;
    g->next_by_name = calloc(d->n_types + 1, sizeof *g->next_by_name);
    if (!g->next_by_name)
        return no_memory(err);
    for (size_t i = d->n_types; i-- > 0;) { /* backwards: chains in order */
        uint64_t key = molt_map_hash(d->types[i].name), first = 0;
        molt_map_get(&g->type_by_name, key, &first);
        g->next_by_name[i] = first;
        if (molt_map_put(&g->type_by_name, key, i + 1) < 0)
            return no_memory(err);
    }
    return 0;
}

/* The first type called @name at or after a position of its chain (+ 1). */
static size_t first_named(const struct molt_graph *g, const char *name)
{
    uint64_t at = 0;
    molt_map_get(&g->type_by_name, molt_map_hash(name), &at);
    return at;
}

/* What completes the record @index: of all complete types of its kind and tag
 * outside of functions, the only one, wherever it is declared. */
static int complete(struct molt_graph *g, uint32_t index, struct molt_error *err)
{
    struct molt_node node = g->nodes[index];
    g->nodes[index].completed = MOLT_NODE_NONE;
    int rc = node.name ? index_names(g, err) : 0;
    if (rc < 0 || !node.name)
        return rc;
    int tag = node.is_union ? DW_TAG_union_type : DW_TAG_structure_type;
    uint32_t only = MOLT_NODE_NONE;
    for (size_t at = first_named(g, node.name); at; at = g->next_by_name[at - 1]) {
        struct molt_debug_type *type = &g->debug->types[at - 1];
        uint32_t found;
        if (type->tag != tag || type->scope || strcmp(type->name, node.name) != 0)
            continue;
        if ((rc = molt_graph_read(g, &type->die, 0, &found, err)) < 0)
            return rc;
        if (only != MOLT_NODE_NONE && g->nodes[only].identity != g->nodes[found].identity)
            return 0;
        if (only == MOLT_NODE_NONE)
            only = found;
    }
    if (only == MOLT_NODE_NONE)
        return 0;
    g->nodes[index].completed = only;
    g->nodes[index].identity = g->nodes[only].identity;
    return 0;
}

static int settle(struct molt_graph *g, struct molt_error *err)
{
    while (g->n_pending > 0) {
        struct molt_graph_pending next = g->pending[--g->n_pending];
        int rc = g->nodes[next.node].is_incomplete
                     ? complete(g, next.node, err)
                     : molt_graph_read_members(g, next.node, &next.die, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int molt_graph_add(struct molt_graph *g, Dwarf_Die *die, uint32_t *ret, struct molt_error *err)
{
    int rc = molt_graph_read(g, die, 0, ret, err);
    return rc < 0 ? rc : settle(g, err);
}

int molt_graph_add_type_of(struct molt_graph *g, Dwarf_Die *die, uint32_t *ret,
                           struct molt_error *err)
{
    int rc = molt_graph_read_type_of(g, die, 0, ret, err);
    return rc < 0 ? rc : settle(g, err);
}

uint32_t molt_graph_strip(const struct molt_graph *g, uint32_t index, unsigned *quals)
{
    while (g->nodes[index].kind == MOLT_KIND_TYPEDEF ||
           g->nodes[index].kind == MOLT_KIND_QUALIFIED) {
        if (quals)
            *quals |= g->nodes[index].quals;
        index = g->nodes[index].target;
    }
    return index;
}

static bool is_same(const struct molt_graph *g, uint32_t a, uint32_t b, int depth);

static bool are_members_same(const struct molt_graph *g, const struct molt_node *x,
                             const struct molt_node *y, int depth)
{
    if (x->n_members != y->n_members || x->is_variadic != y->is_variadic)
        return false;
    for (uint32_t i = 0; i < x->n_members; i++)
        if (!is_same(g, x->members[i].type, y->members[i].type, depth + 1))
            return false;
    return true;
}

static bool is_same(const struct molt_graph *g, uint32_t a, uint32_t b, int depth)
{
    a = molt_graph_strip(g, a, NULL);
    b = molt_graph_strip(g, b, NULL);
    if (a == b)
        return true;
    const struct molt_node *x = &g->nodes[a], *y = &g->nodes[b];
    if (x->kind != y->kind || depth > DEPTH_MAX)
        return false;
    switch (x->kind) {
    case MOLT_KIND_BASE:
        return x->encoding == y->encoding && x->size == y->size;
    case MOLT_KIND_RECORD:
    case MOLT_KIND_ENUM:
        if (x->identity || y->identity)
            return x->identity == y->identity;
        return x->is_incomplete && y->is_incomplete && x->is_union == y->is_union && x->name &&
               y->name && strcmp(x->name, y->name) == 0;
    case MOLT_KIND_ARRAY:
        return x->count == y->count && is_same(g, x->target, y->target, depth + 1);
    case MOLT_KIND_POINTER:
        return is_same(g, x->target, y->target, depth + 1);
    case MOLT_KIND_FUNCTION:
        return is_same(g, x->target, y->target, depth + 1) && are_members_same(g, x, y, depth);
    default:
        return true;
    }
}

bool molt_graph_is_same(const struct molt_graph *g, uint32_t a, uint32_t b)
{
    return is_same(g, a, b, 0);
}

#define NAME_MAX_BYTES 256

/* Copy @text without const, volatile and superfluous blanks. */
static bool plain_name(const char *text, char buf[NAME_MAX_BYTES])
{
    size_t len = 0;
    while (*text) {
        size_t n = strcspn(text, " \t\n");
        bool is_dropped = n == 0 || (n == 5 && memcmp(text, "const", 5) == 0) ||
                          (n == 8 && memcmp(text, "volatile", 8) == 0);
        if (!is_dropped) {
            if (len + n + 2 > NAME_MAX_BYTES)
                return false;
            if (len)
                buf[len++] = ' ';
            memcpy(buf + len, text, n);
            len += n;
        }
        text += n;
        text += *text != '\0';
    }
    buf[len] = '\0';
    return len > 0;
}

static const char *tag_and_name(const char *name, int *ret_tag)
{
    static const struct {
        const char *word;
        int tag;
    } kinds[] = {{"struct ", DW_TAG_structure_type},
                 {"union ", DW_TAG_union_type},
                 {"enum ", DW_TAG_enumeration_type}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i].word);
        if (strncmp(name, kinds[i].word, n) == 0) {
            *ret_tag = kinds[i].tag;
            return name + n;
        }
    }
    *ret_tag = DW_TAG_typedef;
    return name;
}

/* What @unit itself calls so decides. Without such a type all others of that
 * name must be @index: link-time optimisation moves types between units. */
static int is_tag_named(struct molt_graph *g, size_t unit, const char *name, uint32_t index,
                        bool *ret, struct molt_error *err)
{
    int tag;
    const char *bare = tag_and_name(name, &tag);
    bool is_elsewhere = false, is_other = false;
    for (size_t at = first_named(g, bare); at; at = g->next_by_name[at - 1]) {
        struct molt_debug_type *type = &g->debug->types[at - 1];
        uint32_t found;
        if (type->tag != tag || type->scope || strcmp(type->name, bare) != 0)
            continue;
        int rc = molt_graph_add(g, &type->die, &found, err);
        if (rc < 0)
            return rc;
        bool is_it = molt_graph_is_same(g, found, index);
        if (type->unit == unit) {
            *ret = is_it;
            return 0;
        }
        is_elsewhere |= is_it;
        is_other |= !is_it;
    }
    *ret = is_elsewhere && !is_other;
    return 0;
}

int molt_graph_is_named(struct molt_graph *g, size_t unit, const char *text, uint32_t index,
                        bool *ret, struct molt_error *err)
{
    char name[NAME_MAX_BYTES];
    *ret = false;
    if (!plain_name(text, name))
        return 0;
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, index, NULL)];
    if (node->kind == MOLT_KIND_BASE) {
        const char *base = molt_graph_base_name(&g->debug->arena, name);
        if (base && strcmp(base, node->name) == 0) {
            *ret = true;
            return 0;
        }
    }
    int rc = index_names(g, err);
    return rc < 0 ? rc : is_tag_named(g, unit, name, index, ret, err);
}

uint32_t molt_graph_whole(const struct molt_graph *g, uint32_t index)
{
    index = molt_graph_strip(g, index, NULL);
    const struct molt_node *node = &g->nodes[index];
    bool is_completed = node->kind == MOLT_KIND_RECORD && node->completed != MOLT_NODE_NONE;
    return is_completed ? node->completed : index;
}

uint64_t molt_graph_size(const struct molt_graph *g, uint32_t index)
{
    uint64_t count = 1, size;
    index = molt_graph_whole(g, index);
    for (int i = 0; g->nodes[index].kind == MOLT_KIND_ARRAY && i < 64; i++) {
        uint64_t n = g->nodes[index].count == MOLT_COUNT_OPEN ? 0 : g->nodes[index].count;
        if (__builtin_mul_overflow(count, n, &count))
            return UINT64_MAX;
        index = molt_graph_whole(g, g->nodes[index].target);
    }
    return __builtin_mul_overflow(count, g->nodes[index].size, &size) ? UINT64_MAX : size;
}

int molt_graph_find(struct molt_graph *g, size_t unit, const char *text, uint32_t *ret,
                    struct molt_error *err)
{
    char name[NAME_MAX_BYTES];
    int tag, rc;
    uint32_t only = MOLT_NODE_NONE;
    if (!plain_name(text, name))
        return 0;
    const char *bare = tag_and_name(name, &tag);
    if ((rc = index_names(g, err)) < 0)
        return rc;
    for (size_t at = first_named(g, bare); at; at = g->next_by_name[at - 1]) {
        struct molt_debug_type *type = &g->debug->types[at - 1];
        uint32_t found;
        if (type->tag != tag || type->scope || strcmp(type->name, bare) != 0)
            continue;
        if ((rc = molt_graph_add(g, &type->die, &found, err)) < 0)
            return rc;
        if (type->unit == unit) {
            *ret = found;
            return 1;
        }
        if (only != MOLT_NODE_NONE && !molt_graph_is_same(g, only, found))
            return 0;
        only = found;
    }
    *ret = only;
    return only != MOLT_NODE_NONE;
}
