/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Signatures of a header's functions, from an object file of anchors. */
#include <string.h>

#include "types/image.h"
#include "types/rules.h"

struct probe {
    struct molt_elf elf;
    struct molt_debug debug;
    struct molt_graph graph;
    struct molt_canon canon;
};

static int hash_anchor(struct probe *p, Dwarf_Die *die, const char *name, uint64_t *ret,
                       struct molt_error *err)
{
    uint32_t type;
    int rc = molt_graph_add_type_of(&p->graph, die, &type, err);
    if (rc < 0)
        return rc;
    type = molt_graph_strip(&p->graph, type, NULL);
    if (p->graph.nodes[type].kind == MOLT_KIND_POINTER)
        type = molt_graph_strip(&p->graph, p->graph.nodes[type].target, NULL);
    if (p->graph.nodes[type].kind != MOLT_KIND_FUNCTION)
        return molt_error_set(err, MOLT_EINVAL, "%s is no function", name);
    return molt_canon_signature(&p->canon, type, ret, err);
}

static int hash_all(struct probe *p, size_t n, const char *const *names, uint64_t *ret_sigs,
                    struct molt_error *err)
{
    struct molt_map by_name = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->debug.n_anchors; i++)
        rc = molt_map_put(&by_name, molt_map_hash(p->debug.anchors[i].name), i);
    if (rc < 0)
        molt_error_set(err, rc, "reading the probe: out of memory");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        uint64_t at;
        if (!molt_map_get(&by_name, molt_map_hash(names[i]), &at) ||
            strcmp(p->debug.anchors[at].name, names[i]) != 0)
            rc = molt_error_set(err, MOLT_ENOENT, "%s is not in the probe", names[i]);
        else
            rc = hash_anchor(p, &p->debug.anchors[at].die, names[i], &ret_sigs[i], err);
    }
    molt_map_fini(&by_name);
    return rc;
}

int molt_image_probe(const void *bytes, size_t len, const char *project, size_t n,
                     const char *const *names, uint64_t *ret_sigs, struct molt_error *err)
{
    struct probe p = {0};
    int rc = molt_elf_open(bytes, len, &p.elf, err);
    if (rc == 0)
        rc = molt_debug_open(&p.elf, project, NULL, &p.debug, err);
    if (rc == 0)
        rc = molt_graph_init(&p.graph, &p.debug, err);
    if (rc == 0) {
        molt_canon_init(&p.canon, &p.graph);
        rc = hash_all(&p, n, names, ret_sigs, err);
    }
    if (p.debug.arena.is_failed)
        rc = molt_error_set(err, MOLT_ENOMEM, "reading a probe: out of memory");
    molt_canon_fini(&p.canon);
    molt_graph_fini(&p.graph);
    molt_debug_fini(&p.debug);
    molt_elf_fini(&p.elf);
    return rc;
}
