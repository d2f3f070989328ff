/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/fields.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

static int add(struct molt_fields *fields, const struct molt_graph *g, uint32_t record,
               uint64_t base, int depth)
{
    const struct molt_node *node = &g->nodes[record];
    for (uint32_t i = 0; i < node->n_members && depth < DEPTH_MAX; i++) {
        const struct molt_member *m = &node->members[i];
        uint32_t whole = molt_graph_whole(g, m->type);
        const struct molt_node *inner = &g->nodes[whole];
        if (!m->name && inner->kind == MOLT_KIND_RECORD && !inner->is_union) {
            int rc = add(fields, g, whole, base + m->bit_offset, depth + 1);
            if (rc < 0)
                return rc;
            continue;
        }
        if (molt_array_grow(fields->items, fields->n, fields->cap) < 0)
            return MOLT_ENOMEM;
        fields->items[fields->n++] = (struct molt_field){.name = m->name,
                                                         .type = m->type,
                                                         .bit_offset = base + m->bit_offset,
                                                         .bit_size = m->bit_size,
                                                         .line = m->line,
                                                         .file = node->file};
    }
    return 0;
}

int molt_fields_init(struct molt_fields *fields, const struct molt_graph *g, uint32_t record)
{
    *fields = (struct molt_fields){0};
    int rc = add(fields, g, record, 0, 0);
    if (rc < 0)
        molt_fields_fini(fields);
    return rc;
}

void molt_fields_fini(struct molt_fields *fields)
{
    free(fields->items);
    *fields = (struct molt_fields){0};
}

const struct molt_field *molt_fields_find(const struct molt_fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->n; i++)
        if (fields->items[i].name && strcmp(fields->items[i].name, name) == 0)
            return &fields->items[i];
    return NULL;
}

/* Also members of anonymous unions have names. */
static bool find_named(const struct molt_graph *g, uint32_t record, const char *name, size_t len,
                       uint64_t base, int depth, struct molt_field *ret)
{
    const struct molt_node *node = &g->nodes[record];
    for (uint32_t i = 0; i < node->n_members && depth < DEPTH_MAX; i++) {
        const struct molt_member *m = &node->members[i];
        if (!m->name && find_named(g, molt_graph_whole(g, m->type), name, len, base + m->bit_offset,
                                   depth + 1, ret))
            return true;
        if (!m->name || strncmp(m->name, name, len) != 0 || m->name[len])
            continue;
        *ret = (struct molt_field){.name = m->name,
                                   .type = m->type,
                                   .bit_offset = base + m->bit_offset,
                                   .bit_size = m->bit_size,
                                   .line = m->line,
                                   .file = node->file};
        return true;
    }
    return false;
}

bool molt_field_at(const struct molt_graph *g, uint32_t record, const char *path,
                   struct molt_field *ret)
{
    uint64_t base = 0;
    for (;;) {
        size_t len = strcspn(path, ".");
        if (g->nodes[record].kind != MOLT_KIND_RECORD ||
            !find_named(g, record, path, len, base, 0, ret))
            return false;
        if (!path[len])
            return true;
        base = ret->bit_offset;
        record = molt_graph_whole(g, ret->type);
        path += len + 1;
    }
}
