/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/old_states.h"

#include <string.h>

#include "types/decl.h"
#include "types/image.h"

static bool any_changed(void *user, uint32_t record)
{
    (void)user;
    (void)record;
    return true;
}

static int print(const struct molt_image *image, const char *server, const char *suffix,
                 struct molt_buf *out, struct molt_error *err)
{
    const struct molt_meta *meta = image->meta;
    struct molt_decl_options options = {.suffix = suffix, .is_changed = any_changed};
    size_t i = 0;
    while (i < meta->n_servers && strcmp(meta->servers[i].name, server) != 0)
        i++;
    if (i == meta->n_servers)
        return molt_error_set(err, MOLT_ENOENT, "%s has no server %s", meta->module, server);
    uint32_t node = molt_graph_whole(&image->graph, image->type_nodes[meta->servers[i].state_type]);
    if (molt_graph_node(&image->graph, node)->kind != MOLT_KIND_RECORD)
        return molt_error_set(err, MOLT_ENOTSUP, "the state of server %s is no struct", server);
    int rc = molt_decl_print(&image->graph, node, &options, out);
    return rc < 0 ? molt_error_set(err, rc, "the state of server %s can't be printed", server) : 0;
}

int molt_old_state_print(const void *bytes, size_t len, const struct molt_image_options *options,
                         const char *server, const char *suffix, struct molt_buf *out,
                         struct molt_error *err)
{
    struct molt_image image;
    int rc = molt_image_begin(bytes, len, options, &image, err);
    if (rc < 0)
        return rc;
    rc = print(&image, server, suffix, out, err);
    molt_image_fini(&image);
    return rc;
}
