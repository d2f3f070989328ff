/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Two layouts of one type in words. Members are matched by name. A struct
 * that lies inside is shown under the path of its member, one that is pointed
 * to under its own name, once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types/image.h"

#define DEPTH_MAX 64
#define LINES_MAX 200
#define PATH_BYTES 256

struct side {
    struct molt_image image;
    const struct molt_graph *graph;
};

struct pair {
    uint32_t old, new;
};

struct diff {
    struct side old, new;
    struct molt_buf *out;
    int n_lines;
    struct pair *pairs; /* pointed-to structs, compared in turn */
    size_t n_pairs, cap_pairs;
    struct molt_map seen;
    bool is_failed;
};

static uint32_t strip(const struct molt_graph *g, uint32_t type)
{
    type = molt_graph_strip(g, type, NULL);
    if (g->nodes[type].kind == MOLT_KIND_RECORD && g->nodes[type].completed != MOLT_NODE_NONE)
        return g->nodes[type].completed;
    return type;
}

static void print(struct diff *d, const struct molt_graph *g, uint32_t type, char *buf, size_t size)
{
    struct molt_buf text = MOLT_BUF_INIT;
    molt_graph_print(g, type, &text);
    snprintf(buf, size, "%s", text.data ? text.data : "?");
    d->is_failed |= text.is_failed;
    molt_buf_fini(&text);
}

static void line(struct diff *d, const char *path, const char *what)
{
    if (d->n_lines == LINES_MAX)
        return;
    molt_buf_printf(d->out, "%s  %s\n", path, what);
    d->n_lines++;
}

/* "long -> int"; when both are spelled alike, what the name stands for. */
static void line_types(struct diff *d, const char *path, uint32_t old, uint32_t new)
{
    char a[200], b[200], what[450];
    print(d, d->old.graph, old, a, sizeof a);
    print(d, d->new.graph, new, b, sizeof b);
    if (strcmp(a, b) == 0) {
        print(d, d->old.graph, strip(d->old.graph, old), a, sizeof a);
        print(d, d->new.graph, strip(d->new.graph, new), b, sizeof b);
    }
    snprintf(what, sizeof what, "%s -> %s", a, b);
    line(d, path, what);
}

static void line_member(struct diff *d, const char *path, const char *verb,
                        const struct molt_graph *g, uint32_t type)
{
    char a[200], what[256];
    print(d, g, type, a, sizeof a);
    snprintf(what, sizeof what, "%s (%s)", verb, a);
    line(d, path, what);
}

static void later(struct diff *d, uint32_t old, uint32_t new)
{
    uint64_t key = (uint64_t)old << 32 | new, known;
    if (molt_map_get(&d->seen, key, &known))
        return;
    if (molt_map_put(&d->seen, key, 1) < 0 ||
        molt_array_grow(d->pairs, d->n_pairs, d->cap_pairs) < 0) {
        d->is_failed = true;
        return;
    }
    d->pairs[d->n_pairs++] = (struct pair){old, new};
}

static void compare(struct diff *d, const char *path, uint32_t old, uint32_t new, int depth);

static const struct molt_member *find_member(const struct molt_node *node, const char *name)
{
    for (uint32_t i = 0; i < node->n_members; i++)
        if (node->members[i].name && strcmp(node->members[i].name, name) == 0)
            return &node->members[i];
    return NULL;
}

/* The @nth member without a name. */
static const struct molt_member *find_anonymous(const struct molt_node *node, uint32_t nth)
{
    for (uint32_t i = 0; i < node->n_members; i++)
        if (!node->members[i].name && nth-- == 0)
            return &node->members[i];
    return NULL;
}

static void extend(char *path, const char *base, const char *name)
{
    snprintf(path, PATH_BYTES, "%.150s%s%.100s", base, name ? "." : "", name ? name : "");
}

static void compare_bits(struct diff *d, const char *path, const struct molt_member *old,
                         const struct molt_member *new)
{
    char what[64];
    if (old->bit_size == new->bit_size)
        return;
    snprintf(what, sizeof what, "%" PRIu32 " bits -> %" PRIu32 " bits", old->bit_size,
             new->bit_size);
    line(d, path, what);
}

/* Members that are in both, then those that are new. */
static void compare_members(struct diff *d, const char *base, const struct molt_node *old,
                            const struct molt_node *new, int depth)
{
    char path[PATH_BYTES];
    uint32_t nth = 0;
    for (uint32_t i = 0; i < old->n_members; i++) {
        const struct molt_member *a = &old->members[i];
        const struct molt_member *b =
            a->name ? find_member(new, a->name) : find_anonymous(new, nth++);
        extend(path, base, a->name);
        if (!b) {
            line_member(d, path, "removed", d->old.graph, a->type);
            continue;
        }
        compare_bits(d, path, a, b);
        compare(d, path, a->type, b->type, depth + 1);
    }
    nth = 0;
    for (uint32_t i = 0; i < new->n_members; i++) {
        const struct molt_member *b = &new->members[i];
        const struct molt_member *a =
            b->name ? find_member(old, b->name) : find_anonymous(old, nth++);
        extend(path, base, b->name);
        if (!a)
            line_member(d, path, "added", d->new.graph, b->type);
    }
}

/* Places only matter when nothing else explains a difference. */
static void compare_places(struct diff *d, const char *base, const struct molt_node *old,
                           const struct molt_node *new)
{
    char path[PATH_BYTES], what[80];
    for (uint32_t i = 0; i < old->n_members; i++) {
        const struct molt_member *a = &old->members[i];
        const struct molt_member *b = a->name ? find_member(new, a->name) : NULL;
        if (!b || a->bit_offset == b->bit_offset)
            continue;
        extend(path, base, a->name);
        snprintf(what, sizeof what, "moved from byte %" PRIu64 " to %" PRIu64, a->bit_offset / 8,
                 b->bit_offset / 8);
        line(d, path, what);
    }
    if (old->size != new->size) {
        snprintf(what, sizeof what, "%" PRIu64 " bytes -> %" PRIu64 " bytes", old->size, new->size);
        line(d, base, what);
    }
}

static void compare_enumerators(struct diff *d, const char *base, const struct molt_node *old,
                                const struct molt_node *new)
{
    char path[PATH_BYTES], what[80];
    for (uint32_t i = 0; i < old->n_members; i++) {
        const struct molt_member *a = &old->members[i], *b = find_member(new, a->name);
        extend(path, base, a->name);
        if (b && a->value == b->value)
            continue;
        if (b)
            snprintf(what, sizeof what, "%" PRId64 " -> %" PRId64, a->value, b->value);
        else
            snprintf(what, sizeof what, "removed (%" PRId64 ")", a->value);
        line(d, path, what);
    }
    for (uint32_t i = 0; i < new->n_members; i++) {
        if (find_member(old, new->members[i].name))
            continue;
        extend(path, base, new->members[i].name);
        snprintf(what, sizeof what, "added (%" PRId64 ")", new->members[i].value);
        line(d, path, what);
    }
}

static bool are_names_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void compare_records(struct diff *d, const char *path, const struct molt_node *old,
                            const struct molt_node *new, int depth)
{
    int before = d->n_lines;
    compare_members(d, path, old, new, depth);
    if (d->n_lines == before)
        compare_places(d, path, old, new);
}

static void compare_functions(struct diff *d, const char *path, uint32_t old, uint32_t new)
{
    char a[400], b[400];
    print(d, d->old.graph, old, a, sizeof a);
    print(d, d->new.graph, new, b, sizeof b);
    if (strcmp(a, b) != 0)
        line_types(d, path, old, new);
}

/* Where the pointees are structs, later; otherwise here. */
static void compare_pointees(struct diff *d, const char *path, uint32_t old, uint32_t new,
                             uint32_t old_pointer, uint32_t new_pointer, int depth)
{
    uint32_t a = strip(d->old.graph, old), b = strip(d->new.graph, new);
    const struct molt_node *x = &d->old.graph->nodes[a], *y = &d->new.graph->nodes[b];
    bool are_structs = x->kind == MOLT_KIND_RECORD && y->kind == MOLT_KIND_RECORD;
    if (are_structs && are_names_equal(x->name, y->name) && x->name) {
        if (!x->is_incomplete && !y->is_incomplete)
            later(d, a, b);
        return;
    }
    int before = d->n_lines;
    char a_text[200], b_text[200];
    print(d, d->old.graph, a, a_text, sizeof a_text);
    print(d, d->new.graph, b, b_text, sizeof b_text);
    if (strcmp(a_text, b_text) != 0)
        line_types(d, path, old_pointer, new_pointer);
    else if (d->n_lines == before)
        compare(d, path, old, new, depth + 1);
}

static void compare(struct diff *d, const char *path, uint32_t old, uint32_t new, int depth)
{
    uint32_t a = strip(d->old.graph, old), b = strip(d->new.graph, new);
    const struct molt_node *x = &d->old.graph->nodes[a], *y = &d->new.graph->nodes[b];
    if (depth > DEPTH_MAX)
        return;
    if (x->kind != y->kind || x->is_union != y->is_union ||
        (x->kind == MOLT_KIND_RECORD && depth > 0 && !are_names_equal(x->name, y->name))) {
        line_types(d, path, old, new);
        return;
    }
    switch (x->kind) {
    case MOLT_KIND_BASE:
        if (x->encoding != y->encoding || x->size != y->size)
            line_types(d, path, old, new);
        break;
    case MOLT_KIND_ARRAY:
        if (x->count != y->count)
            line_types(d, path, old, new);
        else
            compare(d, path, x->target, y->target, depth + 1);
        break;
    case MOLT_KIND_POINTER:
        compare_pointees(d, path, x->target, y->target, old, new, depth);
        break;
    case MOLT_KIND_RECORD:
        compare_records(d, path, x, y, depth);
        break;
    case MOLT_KIND_ENUM:
        compare_enumerators(d, path, x, y);
        break;
    case MOLT_KIND_FUNCTION:
        compare_functions(d, path, a, b);
        break;
    default:
        break;
    }
}

/* Here keys of header types are absolute, in @key they are relative to a
 * project that we weren't told. */
static bool is_key(const char *found, const char *key)
{
    size_t n = strlen(found), n_key = strlen(key);
    if (n == n_key)
        return strcmp(found, key) == 0;
    return found[0] == '/' && n > n_key && strcmp(found + n - n_key, key) == 0 &&
           found[n - n_key - 1] == '/';
}

static bool find_type(const struct molt_image *image, const char *key, uint32_t *ret)
{
    for (size_t i = 0; i < image->meta->n_types; i++) {
        if (is_key(image->meta->types[i].key, key)) {
            *ret = image->type_nodes[i];
            return true;
        }
    }
    return false;
}

static int compare_all(struct diff *d, const char *key, struct molt_error *err)
{
    uint32_t old, new;
    if (!find_type(&d->old.image, key, &old) || !find_type(&d->new.image, key, &new))
        return molt_error_set(err, MOLT_ENOENT, "not both images have the type %s", key);
    d->old.graph = &d->old.image.graph;
    d->new.graph = &d->new.image.graph;
    later(d, strip(d->old.graph, old), strip(d->new.graph, new));
    for (size_t i = 0; i < d->n_pairs && !d->is_failed; i++) {
        char name[200];
        print(d, d->old.graph, d->pairs[i].old, name, sizeof name);
        compare(d, name, d->pairs[i].old, d->pairs[i].new, 0);
    }
    if (d->is_failed || d->out->is_failed || d->old.image.debug.arena.is_failed ||
        d->new.image.debug.arena.is_failed)
        return molt_error_set(err, MOLT_ENOMEM, "comparing types: out of memory");
    return d->n_lines;
}

int molt_image_diff(const void *old_bytes, size_t old_len, const void *new_bytes, size_t new_len,
                    const char *key, struct molt_buf *out, struct molt_error *err)
{
    struct diff d = {.out = out};
    struct molt_image_options options = {.allow_sanitizer = true};
    int rc = molt_image_begin(old_bytes, old_len, &options, &d.old.image, err);
    if (rc < 0)
        return rc;
    rc = molt_image_begin(new_bytes, new_len, &options, &d.new.image, err);
    if (rc == 0) {
        rc = compare_all(&d, key, err);
        molt_image_fini(&d.new.image);
    }
    molt_image_fini(&d.old.image);
    molt_map_fini(&d.seen);
    free(d.pairs);
    return rc;
}
