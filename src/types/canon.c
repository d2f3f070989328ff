/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A type is written as text-free bytes: first the root, with a number for each
 * named struct at its first mention; then the body of each of these, in the
 * order of their numbers. So cycles end, and nothing depends on the order or
 * the sharing of DWARF entries. Only named structs have numbers: compilers
 * differ in how often they repeat the others.
 */
#include "types/canon.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "types/rules.h"

#define DEPTH_MAX 256
#define OUT_MAX ((size_t)16 << 20)
#define MASK_BITS 5

/* Where a type stands: what decides whether a pointee counts. */
struct place {
    const struct molt_source *home; /* file of the struct around it; NULL: none */
    bool is_pointee;
    bool is_in_record;
    int depth;
};

void molt_canon_init(struct molt_canon *c, const struct molt_graph *graph)
{
    *c = (struct molt_canon){.graph = graph};
}

void molt_canon_fini(struct molt_canon *c)
{
    molt_buf_fini(&c->out);
    free(c->marks);
    free(c->numbers);
    free(c->queue);
    *c = (struct molt_canon){0};
}

static int widen_marks(struct molt_canon *c)
{
    size_t n = (size_t)c->graph->n_identities + 1;
    if (n <= c->n_marks)
        return 0;
    n *= 2;
    uint32_t *marks = calloc(n, sizeof *marks), *numbers = calloc(n, sizeof *numbers);
    if (!marks || !numbers) {
        free(marks);
        free(numbers);
        return MOLT_ENOMEM;
    }
    free(c->marks);
    free(c->numbers);
    c->marks = marks;
    c->numbers = numbers;
    c->n_marks = n;
    c->generation = 0;
    return 0;
}

static int start(struct molt_canon *c, enum molt_reach reach)
{
    if (widen_marks(c) < 0)
        return MOLT_ENOMEM;
    c->generation++;
    c->next_number = 0;
    c->n_queue = 0;
    c->n_pointees = 0;
    c->opaque_mask = 0;
    c->hides_root = false;
    c->reach = reach;
    c->code = 0;
    molt_buf_reset(&c->out);
    return 0;
}

static void fail(struct molt_canon *c, int code)
{
    if (c->code == 0)
        c->code = code;
}

static void emit_type(struct molt_canon *c, uint32_t index, struct place place);

/* The number of a record by identity; queues it when it is new. */
static uint32_t number_record(struct molt_canon *c, uint32_t index)
{
    uint32_t identity = c->graph->nodes[index].identity;
    if (c->marks[identity] == c->generation)
        return c->numbers[identity];
    if (molt_array_grow(c->queue, c->n_queue, c->cap_queue) < 0) {
        fail(c, MOLT_ENOMEM);
        return 0;
    }
    c->queue[c->n_queue++] = index;
    c->marks[identity] = c->generation;
    c->numbers[identity] = c->next_number;
    return c->next_number++;
}

/* The bit of a struct that a signature itself points to; false if it has none. */
static bool is_masked(struct molt_canon *c, uint32_t identity)
{
    size_t i = 0;
    while (i < c->n_pointees && c->pointees[i] != identity)
        i++;
    if (i == MASK_BITS)
        return false;
    if (i == c->n_pointees)
        c->pointees[c->n_pointees++] = identity;
    return c->opaque_mask >> i & 1;
}

static bool is_expanded(struct molt_canon *c, const struct molt_node *node, struct place place)
{
    if (!place.is_pointee || c->reach == MOLT_REACH_ALL)
        return true;
    if (!node->file || !node->file->is_header)
        return false;
    if (c->reach == MOLT_REACH_HEADERS)
        return true;
    return place.is_in_record ? node->file == place.home : !is_masked(c, node->identity);
}

/* MOLT_SEMANTIC makes another type of the same layout. A signature doesn't see it: it is
 * made from headers alone; nor does a shape, by which an old type is spelled out again. */
static void emit_semantic(struct molt_canon *c, const struct molt_node *node)
{
    uint64_t number;
    if (c->reach == MOLT_REACH_FILE || c->hides_root || node->identity == 0 ||
        !molt_map_get(&c->graph->semantics, node->identity, &number))
        return;
    molt_buf_u8(&c->out, 'm');
    molt_buf_u64(&c->out, number);
}

static void emit_members(struct molt_canon *c, const struct molt_node *node, int depth)
{
    struct place place = {.home = node->file, .is_in_record = true, .depth = depth + 1};
    molt_buf_u8(&c->out, node->is_union ? 'U' : 'S');
    molt_buf_u64(&c->out, node->size);
    molt_buf_u32(&c->out, node->n_members);
    emit_semantic(c, node);
    for (uint32_t i = 0; i < node->n_members && c->code == 0; i++) {
        const struct molt_member *m = &node->members[i];
        molt_buf_str(&c->out, m->name);
        molt_buf_u64(&c->out, m->bit_offset);
        molt_buf_u32(&c->out, m->bit_size);
        emit_type(c, m->type, place);
    }
}

static void emit_record(struct molt_canon *c, uint32_t index, struct place place)
{
    const struct molt_graph *g = c->graph;
    uint32_t whole = g->nodes[index].completed;
    const struct molt_node *node = &g->nodes[whole == MOLT_NODE_NONE ? index : whole];
    if (!node->name) {
        emit_members(c, node, place.depth);
    } else if (whole == MOLT_NODE_NONE || !is_expanded(c, node, place)) {
        molt_buf_u8(&c->out, 'o');
        molt_buf_u8(&c->out, node->is_union);
        molt_buf_str(&c->out, node->name);
    } else {
        molt_buf_u8(&c->out, 'r');
        molt_buf_u32(&c->out, number_record(c, whole));
    }
}

static void emit_enum(struct molt_canon *c, const struct molt_node *node, bool is_root)
{
    molt_buf_u8(&c->out, 'e');
    molt_buf_str(&c->out, is_root && c->hides_root ? NULL : node->name);
    molt_buf_u64(&c->out, node->size);
    molt_buf_u32(&c->out, node->n_members);
    for (uint32_t i = 0; i < node->n_members; i++) {
        molt_buf_str(&c->out, node->members[i].name);
        molt_buf_u64(&c->out, (uint64_t)node->members[i].value);
    }
}

/* The parameters of a nested function type needn't be complete, like pointees. */
static void emit_function(struct molt_canon *c, const struct molt_node *node, struct place place)
{
    place.is_pointee |= place.is_in_record || place.depth > 1;
    molt_buf_u8(&c->out, 'f');
    molt_buf_u8(&c->out, node->is_variadic);
    molt_buf_u32(&c->out, node->n_members);
    emit_type(c, node->target, place);
    for (uint32_t i = 0; i < node->n_members; i++)
        emit_type(c, node->members[i].type, place);
}

/* const, volatile and restrict don't change a layout, but const and volatile
 * belong to what a signature promises. Those of an array are its elements'. */
static void emit_quals(struct molt_canon *c, unsigned quals, struct place place)
{
    unsigned kept = MOLT_QUAL_ATOMIC;
    if (!place.is_in_record)
        kept |= MOLT_QUAL_CONST | MOLT_QUAL_VOLATILE;
    if (quals & kept) {
        molt_buf_u8(&c->out, 'q');
        molt_buf_u8(&c->out, (uint8_t)(quals & kept));
    }
}

static void emit_type(struct molt_canon *c, uint32_t index, struct place place)
{
    unsigned quals = 0;
    bool is_root = place.depth == 0;
    index = molt_graph_strip(c->graph, index, &quals);
    while (c->graph->nodes[index].kind == MOLT_KIND_ARRAY) {
        molt_buf_u8(&c->out, 'a');
        molt_buf_u64(&c->out, c->graph->nodes[index].count);
        index = molt_graph_strip(c->graph, c->graph->nodes[index].target, &quals);
    }
    if (++place.depth > DEPTH_MAX || c->out.len > OUT_MAX)
        fail(c, MOLT_EFORMAT);
    if (c->code != 0)
        return;
    emit_quals(c, is_root ? quals & MOLT_QUAL_ATOMIC : quals, place);
    const struct molt_node *node = &c->graph->nodes[index];
    switch (node->kind) {
    case MOLT_KIND_BASE:
        molt_buf_u8(&c->out, 'b');
        molt_buf_u8(&c->out, node->encoding);
        molt_buf_u64(&c->out, node->size);
        /* A quadruple and x87's long double differ in their names alone. */
        if (node->encoding == DW_ATE_float && node->size == 16 && strstr(node->name, "loat128"))
            molt_buf_u8(&c->out, 'q');
        break;
    case MOLT_KIND_POINTER:
        molt_buf_u8(&c->out, 'p');
        place.is_pointee = true;
        emit_type(c, node->target, place);
        break;
    case MOLT_KIND_RECORD:
        emit_record(c, index, place);
        break;
    case MOLT_KIND_ENUM:
        emit_enum(c, node, is_root);
        break;
    case MOLT_KIND_FUNCTION:
        emit_function(c, node, place);
        break;
    default:
        molt_buf_u8(&c->out, 'v');
    }
}

static void emit_queue(struct molt_canon *c, uint32_t root)
{
    for (size_t i = 0; i < c->n_queue && c->code == 0; i++) {
        const struct molt_node *node = &c->graph->nodes[c->queue[i]];
        bool is_hidden = c->hides_root && c->queue[i] == root;
        molt_buf_str(&c->out, is_hidden ? NULL : node->name);
        emit_members(c, node, 0);
    }
}

static int finish(struct molt_canon *c, uint64_t *ret, struct molt_error *err)
{
    uint8_t digest[MOLT_SHA256_BYTES];
    if (c->code == MOLT_EFORMAT)
        return molt_rule_break(err, MOLT_RULE_DEBUG_BAD, "a type is too big or nests too deeply");
    if (c->code < 0 || c->out.is_failed || molt_sha256(c->out.data, c->out.len, digest) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "hashing types: out of memory");
    *ret = molt_sha256_word(digest);
    return 0;
}

int molt_canon_type(struct molt_canon *c, uint32_t root, enum molt_reach reach, bool hides_root,
                    uint64_t *ret, struct molt_error *err)
{
    if (start(c, reach) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "hashing types: out of memory");
    root = molt_graph_strip(c->graph, root, NULL);
    c->hides_root = hides_root;
    emit_type(c, root, (struct place){0});
    if (c->graph->nodes[root].completed != MOLT_NODE_NONE)
        root = c->graph->nodes[root].completed;
    emit_queue(c, root);
    return finish(c, ret, err);
}

static int hash_signature(struct molt_canon *c, uint32_t function, unsigned mask, uint64_t *ret,
                          struct molt_error *err)
{
    if (start(c, MOLT_REACH_FILE) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "hashing types: out of memory");
    c->opaque_mask = mask;
    emit_type(c, function, (struct place){0});
    emit_queue(c, MOLT_NODE_NONE);
    return finish(c, ret, err);
}

int molt_canon_signature(struct molt_canon *c, uint32_t function, uint64_t *ret,
                         struct molt_error *err)
{
    return hash_signature(c, function, 0, ret, err);
}

int molt_canon_has_signature(struct molt_canon *c, uint32_t function, uint64_t sig,
                             struct molt_error *err)
{
    unsigned n_masks = 1;
    for (unsigned mask = 0; mask < n_masks; mask++) {
        uint64_t found = 0; /* set unless rc < 0, which gcc -O3 doesn't see */
        int rc = hash_signature(c, function, mask, &found, err);
        if (rc < 0)
            return rc;
        if (found == sig)
            return 1;
        if (1u << c->n_pointees > n_masks)
            n_masks = 1u << c->n_pointees;
    }
    return 0;
}

int molt_canon_shared(struct molt_canon *c, uint32_t root, uint32_t **ret, size_t *ret_n,
                      struct molt_error *err)
{
    uint64_t unused;
    int rc = molt_canon_type(c, root, MOLT_REACH_ALL, false, &unused, err);
    if (rc < 0)
        return rc;
    uint32_t *found = malloc((c->n_queue + 1) * sizeof *found);
    if (!found)
        return molt_error_set(err, MOLT_ENOMEM, "hashing types: out of memory");
    size_t n = 0;
    for (size_t i = 0; i < c->n_queue; i++)
        if (molt_graph_is_shared(c->graph, c->queue[i]))
            found[n++] = c->queue[i];
    *ret = found;
    *ret_n = n;
    return 0;
}
