/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * An image that is being read: what the steps of molt_image_read() share. Each
 * step checks its rules and adds its part to the meta.
 *
 * Threads: belongs to one thread at a time.
 */
#ifndef MOLT_TYPES_IMAGE_H
#define MOLT_TYPES_IMAGE_H

#include "code/meta.h"
#include "types/canon.h"
#include "types/debug.h"
#include "types/elf_view.h"
#include "types/graph.h"
#include "types/hint.h"
#include "types/image_info.h"

struct molt_image {
    const struct molt_image_options *options;
    struct molt_elf elf;
    struct molt_debug debug;
    struct molt_graph graph;
    struct molt_canon canon;
    size_t build_id_at; /* offset of the build-id in the file */
    const char *module; /* from the descriptor, in the image's bytes */
    struct molt_meta *meta;
    size_t cap_types;
    uint32_t *type_nodes; /* [meta->n_types] where each was found */
    size_t cap_type_nodes;
    struct molt_image_hints hints;
    struct molt_map type_of_identity; /* signature types that are in already */
    struct molt_map type_of_key;      /* (key, hash) -> index */
};

/* Open the bytes and check the rules that need no debug info; sets module,
 * build-id and flags. */
int molt_image_check_elf(struct molt_image *image, struct molt_error *err);

/* Rules constructor ..., see elf_check.c. */
int molt_image_check_constructors(struct molt_image *image, struct molt_error *err);

/* Exports and imports with their signatures, pins, undefined names. */
int molt_image_read_symbols(struct molt_image *image, struct molt_error *err);

/* The word of each tag. */
int molt_image_read_tags(struct molt_image *image, struct molt_error *err);

/* Behaviours and the types of their handlers. */
int molt_image_read_servers(struct molt_image *image, struct molt_error *err);
/* Does a state machine of the image have a state called @name? */
bool molt_image_has_state(const struct molt_image *image, const char *name);

/* Mutable globals. */
int molt_image_read_globals(struct molt_image *image, struct molt_error *err);

/* Put the type @node into the meta, once; its index, NONE for void. */
int molt_image_add_type(struct molt_image *image, uint32_t node, uint32_t *ret,
                        struct molt_error *err);
/* The same for one that a block may point to; it needs no single layout per world. */
int molt_image_add_pointee(struct molt_image *image, uint32_t node, struct molt_error *err);
/* Put all types into the meta that pointers of those that are in it lead to, over any
 * number of pointers: the project's own structs and enums, and pointers to such. */
int molt_image_add_pointees(struct molt_image *image, struct molt_error *err);
/* Put the header types that a signature reaches into the meta. */
int molt_image_add_reached(struct molt_image *image, uint32_t function, struct molt_error *err);
/* A header type has one layout in the module. */
int molt_image_check_layouts(struct molt_image *image, struct molt_error *err);

/* Open everything and fill the meta, but for digest and content. */
int molt_image_begin(const void *bytes, size_t len, const struct molt_image_options *options,
                     struct molt_image *ret, struct molt_error *err);
/* The same for any ELF file with debug info: of a meta only the types, which are all structs
 * and unions with a name that are complete in some unit, each once. */
int molt_image_begin_debug(const void *bytes, size_t len, const struct molt_image_options *options,
                           struct molt_image *ret, struct molt_error *err);
void molt_image_fini(struct molt_image *image);

/* Does a name belong to a sanitizer's run time or instrumentation? */
bool molt_image_is_sanitizer_name(const char *name);

#endif
