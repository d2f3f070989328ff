/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/words.h"

#include <dwarf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types/rules.h"

#define WORD ((uint64_t)8)
#define DEPTH_MAX 64
#define PATH_BYTES 256
/* Records that are looked at for one type: bounds arrays of structs. */
#define VISITS_MAX 1000000u

struct collector {
    const struct molt_graph *graph;
    struct molt_meta_ptr *ptrs;
    size_t n, cap;
    uint64_t size; /* of the root: nothing lies behind it */
    unsigned visits;
    int code;
};

struct spot {
    uint64_t offset;
    char path[PATH_BYTES];
    int depth;
};

static void free_ptrs(struct molt_meta_ptr *ptrs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(ptrs[i].field);
    free(ptrs);
}

static void fail(struct collector *c, int code)
{
    if (c->code == 0)
        c->code = code;
}

static bool extends(const struct collector *c, uint64_t offset, enum molt_ptr_kind kind)
{
    if (c->n == 0)
        return false;
    const struct molt_meta_ptr *last = &c->ptrs[c->n - 1];
    return last->kind == kind && last->offset + WORD * last->count == offset;
}

/* @count words from @at on. @may_join: they continue an array. */
static void add(struct collector *c, const struct spot *at, uint64_t count, enum molt_ptr_kind kind,
                bool may_join)
{
    if (at->offset > c->size || count > (c->size - at->offset) / WORD)
        count = at->offset > c->size ? 0 : (c->size - at->offset) / WORD;
    if (count == 0 || c->code != 0)
        return;
    if (may_join && extends(c, at->offset, kind)) {
        c->ptrs[c->n - 1].count += (uint32_t)count;
        return;
    }
    if (c->n >= MOLT_WORDS_MAX) {
        fail(c, MOLT_ELIMIT);
        return;
    }
    char *field = strdup(at->path[0] == '.' ? at->path + 1 : at->path);
    if (!field || molt_array_grow(c->ptrs, c->n, c->cap) < 0) {
        free(field);
        fail(c, MOLT_ENOMEM);
        return;
    }
    c->ptrs[c->n++] = (struct molt_meta_ptr){.offset = (uint32_t)at->offset,
                                             .count = (uint32_t)count,
                                             .kind = kind,
                                             .field = field};
}

/* The aligned words inside @bytes bytes. */
static void add_bytes(struct collector *c, const struct spot *at, uint64_t bytes)
{
    struct spot aligned = *at;
    aligned.offset = (at->offset + WORD - 1) & ~(WORD - 1);
    uint64_t skipped = aligned.offset - at->offset;
    if (bytes >= skipped + WORD)
        add(c, &aligned, (bytes - skipped) / WORD, MOLT_PTR_WORD, false);
}

static bool is_byte(const struct molt_node *node)
{
    return node->kind == MOLT_KIND_BASE && node->size == 1 && node->encoding != DW_ATE_boolean;
}

/* A typedef on the way says that it holds an address. */
static bool is_intptr(const struct molt_graph *g, uint32_t type)
{
    for (;;) {
        const struct molt_node *node = &g->nodes[type];
        if (node->kind == MOLT_KIND_TYPEDEF &&
            (strcmp(node->name, "intptr_t") == 0 || strcmp(node->name, "uintptr_t") == 0))
            return true;
        if (node->kind != MOLT_KIND_TYPEDEF && node->kind != MOLT_KIND_QUALIFIED)
            return false;
        type = node->target;
    }
}

static enum molt_ptr_kind pointer_kind(const struct molt_graph *g, const struct molt_node *pointer)
{
    const struct molt_node *to = &g->nodes[molt_graph_strip(g, pointer->target, NULL)];
    if (to->kind == MOLT_KIND_FUNCTION)
        return MOLT_PTR_CODE;
    return to->kind == MOLT_KIND_VOID || is_byte(to) ? MOLT_PTR_ANY : MOLT_PTR_DATA;
}

/* Bytes of a value of @type; 0 for open arrays and incomplete types. */
static uint64_t size_of(const struct molt_graph *g, uint32_t type, int depth)
{
    type = molt_graph_strip(g, type, NULL);
    const struct molt_node *node = &g->nodes[type];
    if (node->kind != MOLT_KIND_ARRAY)
        return node->size;
    if (node->count == MOLT_COUNT_OPEN || depth > DEPTH_MAX)
        return 0;
    uint64_t size;
    if (__builtin_mul_overflow(node->count, size_of(g, node->target, depth + 1), &size))
        return UINT64_MAX / 2;
    return size;
}

/* The elements of all dimensions. */
static const struct molt_node *innermost(const struct molt_graph *g, const struct molt_node *array)
{
    const struct molt_node *node = array;
    for (int depth = 0; node->kind == MOLT_KIND_ARRAY && depth <= DEPTH_MAX; depth++)
        node = &g->nodes[molt_graph_strip(g, node->target, NULL)];
    return node;
}

static void visit(struct collector *c, uint32_t type, const struct spot *at);

static void visit_array(struct collector *c, const struct molt_node *array, const struct spot *at)
{
    const struct molt_graph *g = c->graph;
    uint64_t size = size_of(g, array->target, 0);
    const struct molt_node *element = &g->nodes[molt_graph_strip(g, array->target, NULL)];
    if (array->count == MOLT_COUNT_OPEN || size == 0)
        return;
    if (is_byte(innermost(g, array))) {
        add_bytes(c, at, size > (c->size / array->count) ? c->size : size * array->count);
        return;
    }
    if (element->kind == MOLT_KIND_POINTER) {
        add(c, at, array->count, pointer_kind(g, element), false);
        return;
    }
    for (uint64_t i = 0; i < array->count && c->code == 0; i++) {
        size_t n = c->n;
        struct spot inner = {.offset = at->offset + i * size, .depth = at->depth};
        if (inner.offset >= c->size)
            break;
        snprintf(inner.path, sizeof inner.path, "%.230s[%" PRIu64 "]", at->path, i);
        visit(c, array->target, &inner);
        if (i == 0 && c->n == n)
            break; /* no addresses in any of them */
    }
}

static void visit_struct(struct collector *c, const struct molt_node *node, const struct spot *at)
{
    for (uint32_t i = 0; i < node->n_members && c->code == 0; i++) {
        const struct molt_member *m = &node->members[i];
        if (m->bit_size)
            continue;
        struct spot inner = {.offset = at->offset + m->bit_offset / 8, .depth = at->depth};
        snprintf(inner.path, sizeof inner.path, "%.200s%s%.50s", at->path, m->name ? "." : "",
                 m->name ? m->name : "");
        visit(c, m->type, &inner);
    }
}

static int by_offset(const void *a, const void *b)
{
    const struct molt_meta_ptr *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Whatever a member says of a word, another may hold something else there: all
 * these words are unknown. Overlaps are merged. */
static void visit_union(struct collector *c, const struct molt_node *node, const struct spot *at)
{
    struct collector inner = {.graph = c->graph, .size = c->size, .visits = c->visits};
    visit_struct(&inner, node, at);
    fail(c, inner.code);
    c->visits = inner.visits;
    if (inner.n)
        qsort(inner.ptrs, inner.n, sizeof *inner.ptrs, by_offset);
    uint64_t end = 0;
    for (size_t i = 0; i < inner.n; i++) {
        struct spot word = *at;
        uint64_t last = inner.ptrs[i].offset + WORD * inner.ptrs[i].count;
        word.offset = inner.ptrs[i].offset < end ? end : inner.ptrs[i].offset;
        if (last > word.offset)
            add(c, &word, (last - word.offset) / WORD, MOLT_PTR_WORD, i > 0);
        end = last > end ? last : end;
    }
    free_ptrs(inner.ptrs, inner.n);
}

static void visit(struct collector *c, uint32_t type, const struct spot *at)
{
    const struct molt_graph *g = c->graph;
    bool is_address = is_intptr(g, type);
    type = molt_graph_strip(g, type, NULL);
    const struct molt_node *node = &g->nodes[type];
    struct spot deeper = *at;
    if (++deeper.depth > DEPTH_MAX || ++c->visits > VISITS_MAX)
        fail(c, MOLT_ELIMIT);
    if (c->code != 0)
        return;
    if (node->kind == MOLT_KIND_RECORD && node->completed != MOLT_NODE_NONE)
        node = &g->nodes[node->completed];
    if (is_address && node->size == WORD)
        add(c, at, 1, MOLT_PTR_WORD, false);
    else if (node->kind == MOLT_KIND_POINTER)
        add(c, at, 1, pointer_kind(g, node), false);
    else if (node->kind == MOLT_KIND_ARRAY)
        visit_array(c, node, &deeper);
    else if (node->kind == MOLT_KIND_RECORD && node->is_union)
        visit_union(c, node, &deeper);
    else if (node->kind == MOLT_KIND_RECORD)
        visit_struct(c, node, &deeper);
}

/* The words of one @type, which are called @path. */
static int collect(const struct molt_graph *g, uint32_t type, const char *path,
                   struct molt_meta_ptr **ret, size_t *ret_n, struct molt_error *err)
{
    struct collector c = {.graph = g, .size = size_of(g, type, 0)};
    struct spot root = {0};
    snprintf(root.path, sizeof root.path, "%s", path);
    if (c.size > UINT32_MAX)
        return molt_error_set(err, MOLT_ELIMIT, "a type of %" PRIu64 " bytes is too big", c.size);
    visit(&c, type, &root);
    if (c.code < 0) {
        free_ptrs(c.ptrs, c.n);
        if (c.code == MOLT_ENOMEM)
            return molt_error_set(err, c.code, "reading types: out of memory");
        return molt_error_set(err, c.code,
                              "a type has more than %d places with addresses; allocate its arrays "
                              "as blocks of their own (molt_new_array)",
                              MOLT_WORDS_MAX);
    }
    if (c.n)
        qsort(c.ptrs, c.n, sizeof *c.ptrs, by_offset);
    *ret = c.ptrs;
    *ret_n = c.n;
    return 0;
}

/* The flexible member of a struct: its last, an array without a length. */
static const struct molt_member *flexible(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, type, NULL)];
    if (node->kind == MOLT_KIND_RECORD && node->completed != MOLT_NODE_NONE)
        node = &g->nodes[node->completed];
    if (node->kind != MOLT_KIND_RECORD || node->is_union || node->n_members == 0)
        return NULL;
    const struct molt_member *last = &node->members[node->n_members - 1];
    const struct molt_node *array = &g->nodes[molt_graph_strip(g, last->type, NULL)];
    bool is_open = array->kind == MOLT_KIND_ARRAY && array->count == MOLT_COUNT_OPEN;
    return is_open && last->bit_offset / 8 <= node->size ? last : NULL;
}

static int collect_flexible(const struct molt_graph *g, const struct molt_member *member,
                            struct molt_meta_type *ret, struct molt_error *err)
{
    uint32_t element = g->nodes[molt_graph_strip(g, member->type, NULL)].target;
    uint64_t size = size_of(g, element, 0);
    char path[PATH_BYTES];
    if (size == 0)
        return 0;
    snprintf(path, sizeof path, "%.200s[]", member->name ? member->name : "");
    int rc = collect(g, element, path, &ret->flex_ptrs, &ret->n_flex_ptrs, err);
    if (rc < 0)
        return rc;
    ret->flex_at = (uint32_t)(member->bit_offset / 8);
    ret->flex_size = (uint32_t)size;
    return 0;
}

int molt_words_of(const struct molt_graph *g, uint32_t type, struct molt_meta_type *ret,
                  struct molt_error *err)
{
    const struct molt_member *last = flexible(g, type);
    int rc = collect(g, type, "", &ret->ptrs, &ret->n_ptrs, err);
    if (rc == 0 && last)
        rc = collect_flexible(g, last, ret, err);
    if (rc < 0)
        molt_words_free(ret);
    return rc;
}

void molt_words_free(struct molt_meta_type *type)
{
    free_ptrs(type->ptrs, type->n_ptrs);
    free_ptrs(type->flex_ptrs, type->n_flex_ptrs);
    type->ptrs = type->flex_ptrs = NULL;
    type->n_ptrs = type->n_flex_ptrs = 0;
}
