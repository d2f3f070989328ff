/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * `typedef struct { ... } item;` that became `struct item_s { ... }` with the same typedef, or
 * the other way round. The source calls both item, so they are one type.
 */
#include <string.h>

#include "types/match_work.h"

int molt_match_add_renamed(struct molt_matcher *m, struct molt_match_renamed pair)
{
    if (molt_array_grow(m->renamed, m->n_renamed, m->cap_renamed) < 0)
        return MOLT_ENOMEM;
    pair.old = molt_graph_whole(&m->from.graph, pair.old);
    pair.new = molt_graph_whole(&m->to.graph, pair.new);
    m->renamed[m->n_renamed++] = pair;
    return 0;
}

/* What all units of @image call @text; NONE if there is nothing or no one answer. */
static int find(struct molt_matcher *m, struct molt_image *image, const char *text, uint32_t *ret)
{
    int rc = molt_graph_find(&image->graph, SIZE_MAX, text, ret, m->err);
    if (rc <= 0)
        *ret = MOLT_NODE_NONE;
    else
        *ret = molt_graph_whole(&image->graph, *ret);
    return rc < 0 ? rc : 0;
}

static bool is_alike(const struct molt_node *bare, const struct molt_node *tagged)
{
    return tagged->kind == MOLT_KIND_RECORD && tagged->is_union == bare->is_union &&
           !tagged->is_incomplete && !tagged->is_tagless && tagged->name && tagged->file &&
           bare->file && strcmp(tagged->file->text, bare->file->text) == 0;
}

/* The struct with a tag in @other that @bare's typedef, of @image, names there; NONE: none
 * of which @image doesn't know the tag. Files must be the same, too. */
static int find_tagged(struct molt_matcher *m, struct molt_image *image, uint32_t bare,
                       struct molt_image *other, uint32_t *ret)
{
    uint32_t found, before;
    int rc = find(m, other, image->graph.nodes[bare].name, &found);
    *ret = MOLT_NODE_NONE;
    if (rc < 0 || found == MOLT_NODE_NONE ||
        !is_alike(&image->graph.nodes[bare], &other->graph.nodes[found]))
        return rc;
    const struct molt_node *tagged = &other->graph.nodes[found];
    const char *tag =
        molt_match_text(m, "%s %s", tagged->is_union ? "union" : "struct", tagged->name);
    rc = find(m, image, tag, &before);
    if (rc == 0 && before == MOLT_NODE_NONE)
        *ret = found;
    return rc;
}

static int find_tags_of(struct molt_matcher *m, struct molt_image *image, struct molt_image *other)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < image->meta->n_types; i++) {
        uint32_t tagged, bare = molt_graph_whole(&image->graph, image->type_nodes[i]);
        const struct molt_node *node = &image->graph.nodes[bare];
        if (node->kind != MOLT_KIND_RECORD || !node->is_tagless || !node->name)
            continue;
        rc = find_tagged(m, image, bare, other, &tagged);
        bool is_old = image == &m->from;
        if (rc < 0 || tagged == MOLT_NODE_NONE ||
            molt_match_renamed(m, is_old ? bare : tagged, is_old ? tagged : bare))
            continue;
        rc = molt_match_add_renamed(m, (struct molt_match_renamed){.old = is_old ? bare : tagged,
                                                                   .new = is_old ? tagged : bare});
    }
    return rc;
}

int molt_match_find_tags(struct molt_matcher *m)
{
    int rc = find_tags_of(m, &m->from, &m->to);
    return rc < 0 ? rc : find_tags_of(m, &m->to, &m->from);
}
