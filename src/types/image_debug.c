/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* All types of a file that is no module: any C program's objects will do. */
#include <dwarf.h>
#include <string.h>

#include "types/image.h"

static int add_record(struct molt_image *image, struct molt_map *seen,
                      const struct molt_debug_type *type, struct molt_error *err)
{
    Dwarf_Die die = type->die;
    uint32_t node;
    uint64_t known;
    int rc = molt_graph_add(&image->graph, &die, &node, err);
    if (rc < 0)
        return rc;
    node = molt_graph_whole(&image->graph, node);
    const struct molt_node *n = molt_graph_node(&image->graph, node);
    if (n->kind != MOLT_KIND_RECORD || n->is_incomplete || !n->identity ||
        molt_map_get(seen, n->identity, &known))
        return 0;
    if (molt_map_put(seen, n->identity, 1) < 0)
        return molt_error_set(err, MOLT_ENOMEM, "reading types: out of memory");
    return molt_image_add_pointee(image, node, err);
}

static int add_records(struct molt_image *image, struct molt_error *err)
{
    struct molt_map seen = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < image->debug.n_types; i++) {
        const struct molt_debug_type *type = &image->debug.types[i];
        if (type->tag != DW_TAG_enumeration_type)
            rc = add_record(image, &seen, type, err);
    }
    molt_map_fini(&seen);
    return rc;
}

int molt_image_begin_debug(const void *bytes, size_t len, const struct molt_image_options *options,
                           struct molt_image *ret, struct molt_error *err)
{
    *ret = (struct molt_image){.options = options, .meta = molt_meta_new()};
    int rc = ret->meta && (ret->meta->module = strdup("")) ? 0 : MOLT_ENOMEM;
    if (rc < 0)
        molt_error_set(err, rc, "reading types: out of memory");
    if (rc == 0)
        rc = molt_elf_open(bytes, len, &ret->elf, err);
    if (rc == 0)
        rc = molt_debug_open(&ret->elf, options->project, NULL, &ret->debug, err);
    if (rc == 0)
        rc = molt_graph_init(&ret->graph, &ret->debug, err);
    if (rc == 0) {
        molt_canon_init(&ret->canon, &ret->graph);
        rc = add_records(ret, err);
    }
    if (ret->debug.arena.is_failed)
        rc = molt_error_set(err, MOLT_ENOMEM, "reading types: out of memory");
    if (rc < 0)
        molt_image_fini(ret);
    return rc;
}
