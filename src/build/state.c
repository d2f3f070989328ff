/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * .molt/state: the records of headers, units and modules between two runs of
 * the agent. A state that can't be used costs a full build, nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/builder.h"

#define STATE_FORMAT UINT32_C(0x4d530002)

static void put_args(struct molt_buf *out, const struct molt_args *args)
{
    molt_buf_u32(out, (uint32_t)args->n);
    for (size_t i = 0; i < args->n; i++)
        molt_buf_str(out, args->v[i]);
}

static void get_args(struct molt_reader *r, struct molt_args *ret)
{
    size_t n = molt_reader_count(r, 4);
    for (size_t i = 0; i < n && !r->is_failed; i++)
        molt_args_take(ret, molt_reader_str(r));
    r->is_failed = r->is_failed || ret->is_failed;
}

static void put_digest(struct molt_buf *out, const uint8_t digest[MOLT_SHA256_BYTES])
{
    molt_buf_add(out, digest, MOLT_SHA256_BYTES);
}

static void get_digest(struct molt_reader *r, uint8_t digest[MOLT_SHA256_BYTES])
{
    const uint8_t *bytes = molt_reader_raw(r, MOLT_SHA256_BYTES);
    if (bytes)
        memcpy(digest, bytes, MOLT_SHA256_BYTES);
}

/* ---- records ---------------------------------------------------------------- */

static void put_header(struct molt_buf *out, const void *record)
{
    const struct molt_header *h = record;
    molt_buf_str(out, h->module);
    put_digest(out, h->key);
    put_digest(out, h->digest);
    put_digest(out, h->probe_key);
    put_args(out, &h->deps);
    put_args(out, &h->names);
    for (size_t i = 0; i < h->names.n; i++)
        molt_buf_u64(out, h->sigs[i]);
}

static void *get_header(struct molt_reader *r)
{
    struct molt_header *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->module = molt_reader_str(r);
    get_digest(r, h->key);
    get_digest(r, h->digest);
    get_digest(r, h->probe_key);
    get_args(r, &h->deps);
    get_args(r, &h->names);
    h->sigs = calloc(h->names.n + 1, sizeof(*h->sigs));
    for (size_t i = 0; h->sigs && i < h->names.n; i++)
        h->sigs[i] = molt_reader_u64(r);
    if (!h->sigs || !h->module)
        r->is_failed = true;
    return h;
}

static void put_unit(struct molt_buf *out, const void *record)
{
    const struct molt_unit *u = record;
    put_digest(out, u->key);
    put_digest(out, u->object);
    put_digest(out, u->source);
    put_args(out, &u->deps);
}

static void *get_unit(struct molt_reader *r)
{
    struct molt_unit *u = calloc(1, sizeof(*u));
    if (!u)
        return NULL;
    get_digest(r, u->key);
    get_digest(r, u->object);
    get_digest(r, u->source);
    get_args(r, &u->deps);
    return u;
}

static void put_linked(struct molt_buf *out, const void *record)
{
    const struct molt_linked *l = record;
    put_digest(out, l->key);
    put_digest(out, l->source);
    molt_buf_str(out, l->image_path);
    struct molt_buf meta = MOLT_BUF_INIT;
    if (molt_meta_encode(l->meta, &meta) < 0)
        out->is_failed = true;
    molt_buf_bytes(out, meta.data, meta.len);
    molt_buf_fini(&meta);
}

static void *get_linked(struct molt_reader *r)
{
    struct molt_linked *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    get_digest(r, l->key);
    get_digest(r, l->source);
    l->image_path = molt_reader_str(r);
    size_t len = 0;
    const uint8_t *bytes = molt_reader_bytes(r, &len);
    if (!bytes || !l->image_path || molt_meta_decode(bytes, len, &l->meta, NULL) < 0)
        r->is_failed = true;
    return l;
}

/* ---- maps ------------------------------------------------------------------- */

static void put_map(struct molt_buf *out, const struct molt_strmap *map,
                    void (*put)(struct molt_buf *, const void *))
{
    uint32_t n = 0;
    for (size_t i = 0; i < map->n; i++)
        n += map->entries[i].value != NULL;
    molt_buf_u32(out, n);
    for (size_t i = 0; i < map->n; i++) {
        if (!map->entries[i].value)
            continue;
        molt_buf_str(out, map->entries[i].key);
        put(out, map->entries[i].value);
    }
}

static void get_map(struct molt_reader *r, struct molt_strmap *map,
                    void *(*get)(struct molt_reader *), void (*free_record)(void *))
{
    size_t n = molt_reader_count(r, 4);
    for (size_t i = 0; i < n && !r->is_failed; i++) {
        char *key = molt_reader_str(r);
        void *record = key ? get(r) : NULL;
        bool is_ok = record && !r->is_failed && !molt_strmap_get(map, key) &&
                     molt_strmap_put(map, key, record) == 0;
        if (!is_ok) {
            free_record(record);
            r->is_failed = true;
        }
        free(key);
    }
}

static void state_path(const struct molt_builder *b, char *path, size_t size)
{
    snprintf(path, size, "%s/state", b->dir);
}

void molt_state_load(struct molt_builder *b)
{
    char path[4096];
    struct molt_buf bytes = MOLT_BUF_INIT;
    state_path(b, path, sizeof(path));
    if (molt_file_read(path, &bytes, NULL) == 0) {
        struct molt_reader r = molt_reader_init(bytes.data, bytes.len);
        if (molt_reader_u32(&r) != STATE_FORMAT)
            r.is_failed = true;
        get_map(&r, &b->headers, get_header, molt_header_free);
        get_map(&r, &b->units, get_unit, molt_unit_free);
        get_map(&r, &b->linked, get_linked, molt_linked_free);
        if (r.is_failed || !molt_reader_at_end(&r)) {
            molt_strmap_fini(&b->headers, molt_header_free);
            molt_strmap_fini(&b->units, molt_unit_free);
            molt_strmap_fini(&b->linked, molt_linked_free);
        }
    }
    molt_buf_fini(&bytes);
}

int molt_state_store(struct molt_builder *b, struct molt_error *err)
{
    if (!b->is_dirty)
        return 0;
    struct molt_buf out = MOLT_BUF_INIT;
    molt_buf_u32(&out, STATE_FORMAT);
    put_map(&out, &b->headers, put_header);
    put_map(&out, &b->units, put_unit);
    put_map(&out, &b->linked, put_linked);
    char path[4096];
    state_path(b, path, sizeof(path));
    int rc = out.is_failed ? molt_error_set(err, MOLT_ENOMEM, "out of memory")
                           : molt_file_write(path, out.data, out.len, 0644, err);
    molt_buf_fini(&out);
    if (rc == 0)
        b->is_dirty = false;
    return rc;
}
