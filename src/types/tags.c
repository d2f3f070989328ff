/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Tags: each word of section molt_tags is a variable whose type is a union
 * with a member `of`, a pointer to the block's type (MOLT_TAG() in
 * <molt/molt.h>). A word without debug info belongs to no type.
 */
#include <stdlib.h>
#include <string.h>

#include "types/image.h"
#include "types/rules.h"

#define WORD 8

/* The pointee of member `of`; NONE if this is no tag. */
static uint32_t tagged_type(const struct molt_graph *g, uint32_t type)
{
    const struct molt_node *node = &g->nodes[molt_graph_strip(g, type, NULL)];
    if (node->kind != MOLT_KIND_RECORD || !node->is_union)
        return MOLT_NODE_NONE;
    for (uint32_t i = 0; i < node->n_members; i++) {
        const struct molt_member *m = &node->members[i];
        if (!m->name || strcmp(m->name, "of") != 0)
            continue;
        const struct molt_node *pointer = &g->nodes[molt_graph_strip(g, m->type, NULL)];
        return pointer->kind == MOLT_KIND_POINTER ? pointer->target : MOLT_NODE_NONE;
    }
    return MOLT_NODE_NONE;
}

/* The type of @var as a tag: a type index or NONE. */
static int read_tag(struct molt_image *image, const struct molt_debug_var *var, uint32_t *ret,
                    struct molt_error *err)
{
    uint32_t type;
    Dwarf_Die die = var->die;
    *ret = MOLT_TYPE_NONE;
    int rc = molt_graph_add_type_of(&image->graph, &die, &type, err);
    if (rc < 0)
        return rc;
    type = tagged_type(&image->graph, type);
    return type == MOLT_NODE_NONE ? 0 : molt_image_add_type(image, type, ret, err);
}

int molt_image_read_tags(struct molt_image *image, struct molt_error *err)
{
    const Elf64_Shdr *section = molt_elf_section(&image->elf, "molt_tags");
    struct molt_meta *meta = image->meta;
    size_t n = section ? section->sh_size / WORD : 0;
    if (!section || n == 0)
        return 0;
    if (section->sh_size % WORD != 0 || section->sh_type == SHT_NOBITS || n > image->elf.len)
        return molt_rule_break(err, MOLT_RULE_CORRUPT, "section molt_tags has no whole words");
    meta->tags = malloc(n * sizeof *meta->tags);
    if (!meta->tags)
        return molt_error_set(err, MOLT_ENOMEM, "reading tags: out of memory");
    meta->n_tags = n;
    for (size_t i = 0; i < n; i++) {
        const struct molt_debug_var *var =
            molt_debug_var_at(&image->debug, section->sh_addr + WORD * i);
        meta->tags[i] = MOLT_TYPE_NONE;
        int rc = var ? read_tag(image, var, &meta->tags[i], err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}
