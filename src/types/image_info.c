/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Reading an image: the steps in their order, and what sums them up. */
#include "types/image_info.h"

#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "types/image.h"
#include "types/rules.h"

static int add_headers(struct molt_image *image, struct molt_error *err)
{
    const struct molt_image_options *o = image->options;
    struct molt_meta *meta = image->meta;
    meta->headers = calloc(o->n_headers + 1, sizeof *meta->headers);
    if (!meta->headers)
        return molt_error_set(err, MOLT_ENOMEM, "reading an image: out of memory");
    for (size_t i = 0; i < o->n_headers; i++) {
        meta->headers[i] = o->headers[i];
        meta->headers[i].module = strdup(o->headers[i].module);
        meta->n_headers = i + 1;
        if (!meta->headers[i].module)
            return molt_error_set(err, MOLT_ENOMEM, "reading an image: out of memory");
    }
    return 0;
}

static int run_steps(struct molt_image *image, const void *bytes, size_t len,
                     struct molt_error *err)
{
    int rc = molt_elf_open(bytes, len, &image->elf, err);
    if (rc < 0 || (rc = molt_image_check_elf(image, err)) < 0)
        return rc;
    image->meta->module = strdup(image->module);
    if (!image->meta->module)
        return molt_error_set(err, MOLT_ENOMEM, "reading an image: out of memory");
    rc = molt_debug_open(&image->elf, image->options->project, image->module, &image->debug, err);
    if (rc < 0 || (rc = molt_graph_init(&image->graph, &image->debug, err)) < 0)
        return rc;
    molt_canon_init(&image->canon, &image->graph);
    if ((rc = molt_image_read_hints(image, err)) < 0 ||
        (rc = molt_image_read_symbols(image, err)) < 0 ||
        (rc = molt_image_read_tags(image, err)) < 0 ||
        (rc = molt_image_read_servers(image, err)) < 0 ||
        (rc = molt_image_add_pointees(image, err)) < 0 ||
        (rc = molt_image_read_globals(image, err)) < 0 ||
        (rc = molt_image_check_layouts(image, err)) < 0)
        return rc;
    return add_headers(image, err);
}

int molt_image_begin(const void *bytes, size_t len, const struct molt_image_options *options,
                     struct molt_image *ret, struct molt_error *err)
{
    *ret = (struct molt_image){.options = options, .meta = molt_meta_new()};
    if (!ret->meta)
        return molt_error_set(err, MOLT_ENOMEM, "reading an image: out of memory");
    int rc = run_steps(ret, bytes, len, err);
    if (ret->debug.arena.is_failed)
        rc = molt_error_set(err, MOLT_ENOMEM, "reading an image: out of memory");
    if (rc < 0) {
        if (ret->module)
            molt_error_wrap(err, rc, "module %s", ret->module);
        molt_image_fini(ret);
    }
    return rc;
}

void molt_image_fini(struct molt_image *image)
{
    molt_canon_fini(&image->canon);
    molt_graph_fini(&image->graph);
    molt_debug_fini(&image->debug);
    molt_elf_fini(&image->elf);
    molt_map_fini(&image->type_of_identity);
    molt_map_fini(&image->type_of_key);
    free(image->type_nodes);
    free(image->hints.items);
    molt_meta_free(image->meta);
    *image = (struct molt_image){0};
}

/* ---- content ------------------------------------------------------------ */

/* [from, to) of the file, with zeroes for the bytes of the build-id. */
static void hash_range(struct molt_sha256 *ctx, const struct molt_image *image, uint64_t from,
                       uint64_t to)
{
    static const uint8_t zeroes[MOLT_BUILD_ID_MAX];
    uint64_t id = image->build_id_at, id_end = id + image->meta->build_id_len;
    if (id >= from && id_end <= to) {
        molt_sha256_update(ctx, image->elf.bytes + from, id - from);
        molt_sha256_update(ctx, zeroes, id_end - id);
        from = id_end;
    }
    molt_sha256_update(ctx, image->elf.bytes + from, to - from);
}

/* What is mapped. The ELF header says where the section headers are, which
 * depends on the debug info: of it, only the program headers' count matters. */
static void hash_segments(struct molt_sha256 *ctx, const struct molt_image *image)
{
    for (size_t i = 0; i < image->elf.n_segments; i++) {
        const Elf64_Phdr *p = &image->elf.segments[i];
        if (p->p_type != PT_LOAD)
            continue;
        uint64_t from = p->p_offset, to = p->p_offset + p->p_filesz;
        if (from < sizeof(Elf64_Ehdr))
            from = to < sizeof(Elf64_Ehdr) ? to : sizeof(Elf64_Ehdr);
        molt_sha256_update(ctx, p, sizeof *p);
        hash_range(ctx, image, from, to);
    }
}

static void list_meta(const struct molt_meta *meta, struct molt_buf *out)
{
    molt_buf_u32(out, meta->flags);
    for (size_t i = 0; i < meta->n_exports + meta->n_imports; i++) {
        const struct molt_meta_symbol *s =
            i < meta->n_exports ? &meta->exports[i] : &meta->imports[i - meta->n_exports];
        molt_buf_str(out, s->module);
        molt_buf_str(out, s->name);
        molt_buf_u64(out, s->sig);
        molt_buf_u32(out, s->ret_bytes);
    }
    for (size_t i = 0; i < meta->n_types; i++) {
        molt_buf_str(out, meta->types[i].key);
        molt_buf_u64(out, meta->types[i].hash);
    }
    for (size_t i = 0; i < meta->n_tags; i++)
        molt_buf_u32(out, meta->tags[i]);
    for (size_t i = 0; i < meta->n_servers; i++) {
        const struct molt_meta_server *s = &meta->servers[i];
        molt_buf_str(out, s->name);
        molt_buf_u32(out, s->state_type);
        molt_buf_u32(out, s->init_type);
        molt_buf_bytes(out, s->handler_types, s->n_handlers * sizeof *s->handler_types);
        molt_buf_bytes(out, s->change_types, s->n_changes * sizeof *s->change_types);
    }
    /* Whether one is marked MOLT_FRESH doesn't show in what is mapped. */
    for (size_t i = 0; i < meta->n_globals; i++) {
        molt_buf_str(out, meta->globals[i].name);
        molt_buf_str(out, meta->globals[i].type);
        molt_buf_u64(out, meta->globals[i].at);
    }
}

static int sum_up(struct molt_image *image, struct molt_error *err)
{
    struct molt_meta *meta = image->meta;
    struct molt_buf listed = MOLT_BUF_INIT;
    struct molt_sha256 *ctx = molt_sha256_new();
    uint8_t digest[MOLT_SHA256_BYTES];
    list_meta(meta, &listed);
    bool is_failed =
        !ctx || listed.is_failed || molt_sha256(image->elf.bytes, image->elf.len, meta->digest) < 0;
    if (!is_failed) {
        hash_segments(ctx, image);
        molt_sha256_update(ctx, listed.data, listed.len);
        molt_sha256_final(ctx, digest);
        meta->content = molt_sha256_word(digest);
    }
    molt_sha256_free(ctx);
    molt_buf_fini(&listed);
    return is_failed ? molt_error_set(err, MOLT_ENOMEM, "reading an image: out of memory") : 0;
}

int molt_image_read(const void *bytes, size_t len, const struct molt_image_options *options,
                    struct molt_meta **ret, struct molt_error *err)
{
    static const struct molt_image_options none;
    struct molt_image image;
    int rc = molt_image_begin(bytes, len, options ? options : &none, &image, err);
    if (rc < 0)
        return rc;
    rc = sum_up(&image, err);
    if (rc == 0) {
        *ret = image.meta;
        image.meta = NULL;
    }
    molt_image_fini(&image);
    return rc;
}
