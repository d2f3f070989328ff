/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Types that a version may know without making blocks of them itself: it may have got
 * such blocks in messages, or from a version before. Its world must know their layout, or a
 * block of an older one would be taken for one of nobody's.
 */
#include <string.h>

#include "types/image.h"

#define DEPTH_MAX 64
#define IN_SIGNATURES " in signatures"

struct visit {
    struct molt_image *image;
    struct molt_map seen;
    struct molt_error *err;
};

/* Of the system, of other projects or of molt itself: they don't change with modules. */
static bool is_foreign(const struct molt_node *node)
{
    const char *file = node->file ? node->file->text : "/";
    return file[0] == '/' || strncmp(file, "molt/", 5) == 0;
}

/* A struct or enum of the project's, or pointers to one. */
static bool may_be_block(const struct molt_graph *g, uint32_t node)
{
    for (int i = 0; g->nodes[node].kind == MOLT_KIND_POINTER && i < DEPTH_MAX; i++)
        node = molt_graph_whole(g, g->nodes[node].target);
    const struct molt_node *n = &g->nodes[node];
    if (n->kind == MOLT_KIND_RECORD)
        return n->completed != MOLT_NODE_NONE && !is_foreign(n);
    return n->kind == MOLT_KIND_ENUM && !is_foreign(n);
}

enum how { BY_VALUE, BY_POINTER };

/* 1: for the first time. */
static int see(struct visit *v, uint32_t node, enum how how)
{
    uint64_t known, key = (uint64_t)node << 1 | how;
    if (molt_map_get(&v->seen, key, &known))
        return 0;
    return molt_map_put(&v->seen, key, 1) < 0 ? MOLT_ENOMEM : 1;
}

static int visit_pointer(struct visit *v, const struct molt_node *pointer)
{
    uint32_t to = molt_graph_whole(&v->image->graph, pointer->target);
    if (!may_be_block(&v->image->graph, to))
        return 0;
    int rc = see(v, to, BY_POINTER);
    return rc > 0 ? molt_image_add_pointee(v->image, to, v->err) : rc;
}

/* What lies in a value of @node. */
static int visit(struct visit *v, uint32_t node, int depth)
{
    const struct molt_graph *g = &v->image->graph;
    node = molt_graph_whole(g, node);
    const struct molt_node *n = &g->nodes[node];
    if (depth > DEPTH_MAX)
        return 0; /* what is so deep was refused with its words */
    if (n->kind == MOLT_KIND_POINTER)
        return visit_pointer(v, n);
    if (n->kind == MOLT_KIND_ARRAY)
        return visit(v, n->target, depth + 1);
    int rc = n->kind == MOLT_KIND_RECORD ? see(v, node, BY_VALUE) : 0;
    for (uint32_t i = 0; rc > 0 && i < g->nodes[node].n_members; i++) {
        int one = visit(v, g->nodes[node].members[i].type, depth + 1); /* nodes may move */
        rc = one < 0 ? one : rc;
    }
    return rc < 0 ? rc : 0;
}

int molt_image_add_pointees(struct molt_image *image, struct molt_error *err)
{
    struct visit v = {.image = image, .err = err};
    const struct molt_meta *meta = image->meta;
    int rc = 0;
    /* The meta grows meanwhile. */
    for (size_t i = 0; rc == 0 && i < meta->n_types; i++) {
        const char *suffix = strstr(meta->types[i].key, IN_SIGNATURES);
        if (!suffix)
            rc = visit(&v, image->type_nodes[i], 0);
    }
    molt_map_fini(&v.seen);
    if (rc == MOLT_ENOMEM)
        return molt_error_set(err, rc, "reading types: out of memory");
    return rc;
}
