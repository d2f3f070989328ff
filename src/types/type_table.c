/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The types of a meta: each (key, hash) once.
 *
 * A header type that signatures reach is entered under a key of its own, with
 * a hash that doesn't depend on which further headers a unit includes: in all
 * modules that see it the layout must be one. The same type as a block's has
 * its plain key and the hash of all that it reaches.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "types/image.h"
#include "types/rules.h"
#include "types/words.h"

#define IN_SIGNATURES " in signatures"

static int no_memory(struct molt_error *err)
{
    return molt_error_set(err, MOLT_ENOMEM, "reading types: out of memory");
}

/* Takes the words of @like. */
static int append(struct molt_image *image, uint32_t node, const char *key,
                  const struct molt_meta_type *like, uint32_t *ret, struct molt_error *err)
{
    struct molt_meta *meta = image->meta;
    struct molt_buf name = MOLT_BUF_INIT;
    molt_graph_print(&image->graph, molt_graph_strip(&image->graph, node, NULL), &name);
    struct molt_meta_type type = *like;
    type.key = strdup(key);
    type.name = molt_buf_take(&name);
    if (!type.key || !type.name || meta->n_types >= MOLT_TYPE_NONE ||
        molt_array_grow(meta->types, meta->n_types, image->cap_types) < 0 ||
        molt_array_grow(image->type_nodes, meta->n_types, image->cap_type_nodes) < 0) {
        free(type.key);
        free(type.name);
        molt_words_free(&type);
        return no_memory(err);
    }
    *ret = (uint32_t)meta->n_types;
    image->type_nodes[meta->n_types] = node;
    meta->types[meta->n_types++] = type;
    return 0;
}

/* Does the meta have it? Otherwise *ret_slot is where to note it. */
static bool is_known(const struct molt_image *image, const char *key, uint64_t hash, uint32_t *ret,
                     uint64_t *ret_slot)
{
    uint64_t slot = molt_map_hash(key) ^ hash, known;
    for (; molt_map_get(&image->type_of_key, slot, &known); slot++) {
        const struct molt_meta_type *type = &image->meta->types[known];
        if (type->hash == hash && strcmp(type->key, key) == 0) {
            *ret = (uint32_t)known;
            return true;
        }
    }
    *ret_slot = slot;
    return false;
}

static int describe(struct molt_image *image, uint32_t node, enum molt_reach reach,
                    struct molt_meta_type *ret, struct molt_error *err)
{
    uint64_t size = molt_graph_size(&image->graph, node);
    if (size > UINT32_MAX)
        return molt_error_set(err, MOLT_ELIMIT, "a type of %" PRIu64 " bytes is too big", size);
    *ret = (struct molt_meta_type){.size = (uint32_t)size,
                                   .is_from_header = molt_graph_is_shared(&image->graph, node)};
    int rc = molt_canon_type(&image->canon, node, reach, false, &ret->hash, err);
    if (rc < 0)
        return rc;
    return molt_canon_type(&image->canon, node, MOLT_REACH_ALL, true, &ret->shape, err);
}

static int add(struct molt_image *image, uint32_t node, enum molt_reach reach, const char *suffix,
               uint32_t *ret, struct molt_error *err)
{
    struct molt_meta_type type;
    uint64_t slot;
    int rc = describe(image, node, reach, &type, err);
    if (rc < 0)
        return rc;
    const char *key = molt_graph_key(&image->graph, node, type.hash);
    if (key && *suffix)
        key = molt_arena_printf(&image->debug.arena, "%s%s", key, suffix);
    if (!key)
        return no_memory(err);
    if (is_known(image, key, type.hash, ret, &slot))
        return 0;
    if ((rc = molt_words_of(&image->graph, node, &type, err)) < 0)
        return molt_error_wrap(err, rc, "%s", key);
    if ((rc = append(image, node, key, &type, ret, err)) < 0)
        return rc;
    return molt_map_put(&image->type_of_key, slot, *ret) < 0 ? no_memory(err) : 0;
}

int molt_image_add_type(struct molt_image *image, uint32_t node, uint32_t *ret,
                        struct molt_error *err)
{
    node = molt_graph_strip(&image->graph, node, NULL);
    const struct molt_node *n = &image->graph.nodes[node];
    *ret = MOLT_TYPE_NONE;
    if (n->kind == MOLT_KIND_VOID)
        return 0;
    if (n->kind == MOLT_KIND_RECORD && n->completed == MOLT_NODE_NONE)
        return molt_rule_break(err, MOLT_RULE_DEBUG_NONE, "struct %s is used but not described",
                               n->name ? n->name : "{...}");
    bool is_shared = molt_graph_is_shared(&image->graph, node);
    return add(image, node, is_shared ? MOLT_REACH_HEADERS : MOLT_REACH_ALL, "", ret, err);
}

int molt_image_add_pointee(struct molt_image *image, uint32_t node, struct molt_error *err)
{
    size_t n = image->meta->n_types;
    uint32_t index;
    int rc = molt_image_add_type(image, node, &index, err);
    /* Whether modules agree on it shows when it is in a signature or a block; how far its
     * hash reaches depends on the headers that its units include. */
    if (rc == 0 && index != MOLT_TYPE_NONE && index >= n)
        image->meta->types[index].is_from_header = false;
    return rc;
}

int molt_image_add_reached(struct molt_image *image, uint32_t function, struct molt_error *err)
{
    uint32_t *nodes = NULL, unused;
    size_t n = 0;
    int rc = molt_canon_shared(&image->canon, function, &nodes, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        uint64_t known;
        uint64_t identity = image->graph.nodes[nodes[i]].identity;
        uint64_t key = identity << 32 | image->graph.nodes[nodes[i]].unit;
        if (molt_map_get(&image->type_of_identity, key, &known))
            continue;
        rc = add(image, nodes[i], MOLT_REACH_FILE, IN_SIGNATURES, &unused, err);
        if (rc == 0 && molt_map_put(&image->type_of_identity, key, 1) < 0)
            rc = no_memory(err);
    }
    free(nodes);
    return rc;
}

static int by_key(const void *a, const void *b)
{
    const struct molt_meta_type *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

int molt_image_check_layouts(struct molt_image *image, struct molt_error *err)
{
    const struct molt_meta *meta = image->meta;
    const struct molt_meta_type **sorted = calloc(meta->n_types + 1, sizeof *sorted);
    int rc = 0;
    if (!sorted)
        return no_memory(err);
    for (size_t i = 0; i < meta->n_types; i++)
        sorted[i] = &meta->types[i];
    qsort(sorted, meta->n_types, sizeof *sorted, by_key);
    for (size_t i = 1; rc == 0 && i < meta->n_types; i++)
        if (sorted[i]->is_from_header && strcmp(sorted[i]->key, sorted[i - 1]->key) == 0)
            rc = molt_rule_break(err, MOLT_RULE_LAYOUTS,
                                 "%s: %s (%" PRIu32 " and %" PRIu32 " bytes)", sorted[i]->key,
                                 sorted[i]->name, sorted[i - 1]->size, sorted[i]->size);
    free(sorted);
    return rc;
}
