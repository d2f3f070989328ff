/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Encoding: u32 version, then the members of struct molt_meta in the order in
 * which encode() writes them (base/buf.h for the elements).
 */
#include "code/meta.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define META_VERSION 3u

struct molt_meta *molt_meta_new(void)
{
    return calloc(1, sizeof(struct molt_meta));
}

static void free_symbols(struct molt_meta_symbol *symbols, size_t n)
{
    for (size_t i = 0; symbols && i < n; i++) {
        free(symbols[i].module);
        free(symbols[i].name);
    }
    free(symbols);
}

static void free_ptrs(struct molt_meta_ptr *ptrs, size_t n)
{
    for (size_t i = 0; ptrs && i < n; i++)
        free(ptrs[i].field);
    free(ptrs);
}

static void free_types(struct molt_meta_type *types, size_t n)
{
    for (size_t i = 0; types && i < n; i++) {
        free(types[i].key);
        free(types[i].name);
        free_ptrs(types[i].ptrs, types[i].n_ptrs);
        free_ptrs(types[i].flex_ptrs, types[i].n_flex_ptrs);
    }
    free(types);
}

static void free_servers(struct molt_meta_server *servers, size_t n)
{
    for (size_t i = 0; servers && i < n; i++) {
        free(servers[i].name);
        free(servers[i].handler_types);
        free(servers[i].change_types);
    }
    free(servers);
}

static void free_strings(char **strings, size_t n)
{
    for (size_t i = 0; strings && i < n; i++)
        free(strings[i]);
    free(strings);
}

static void free_globals(struct molt_meta_global *globals, size_t n)
{
    for (size_t i = 0; globals && i < n; i++) {
        free(globals[i].name);
        free(globals[i].type);
        free(globals[i].obstacle);
    }
    free(globals);
}

void molt_meta_free(struct molt_meta *meta)
{
    if (!meta)
        return;
    free(meta->module);
    free_symbols(meta->exports, meta->n_exports);
    free_symbols(meta->imports, meta->n_imports);
    for (size_t i = 0; meta->headers && i < meta->n_headers; i++)
        free(meta->headers[i].module);
    free(meta->headers);
    free_types(meta->types, meta->n_types);
    free(meta->tags);
    free_servers(meta->servers, meta->n_servers);
    free_strings(meta->pins, meta->n_pins);
    free_globals(meta->globals, meta->n_globals);
    free(meta);
}

/* ---- encoding ----------------------------------------------------------- */

static void put_symbols(struct molt_buf *out, const struct molt_meta_symbol *symbols, size_t n)
{
    molt_buf_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        molt_buf_str(out, symbols[i].module);
        molt_buf_str(out, symbols[i].name);
        molt_buf_u64(out, symbols[i].sig);
        molt_buf_u32(out, symbols[i].ret_bytes);
    }
}

static void put_ptrs(struct molt_buf *out, const struct molt_meta_ptr *ptrs, size_t n)
{
    molt_buf_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        molt_buf_u32(out, ptrs[i].offset);
        molt_buf_u32(out, ptrs[i].count);
        molt_buf_u8(out, (uint8_t)ptrs[i].kind);
        molt_buf_str(out, ptrs[i].field);
    }
}

static void put_type(struct molt_buf *out, const struct molt_meta_type *type)
{
    molt_buf_str(out, type->key);
    molt_buf_str(out, type->name);
    molt_buf_u64(out, type->hash);
    molt_buf_u64(out, type->shape);
    molt_buf_u32(out, type->size);
    molt_buf_u8(out, type->is_from_header);
    put_ptrs(out, type->ptrs, type->n_ptrs);
    molt_buf_u32(out, type->flex_at);
    molt_buf_u32(out, type->flex_size);
    put_ptrs(out, type->flex_ptrs, type->n_flex_ptrs);
}

static void put_indexes(struct molt_buf *out, const uint32_t *indexes, size_t n)
{
    molt_buf_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        molt_buf_u32(out, indexes[i]);
}

static void put_strings(struct molt_buf *out, char *const *strings, size_t n)
{
    molt_buf_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        molt_buf_str(out, strings[i]);
}

static void put_globals(struct molt_buf *out, const struct molt_meta_global *globals, size_t n)
{
    molt_buf_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        molt_buf_str(out, globals[i].name);
        molt_buf_str(out, globals[i].type);
        molt_buf_u64(out, globals[i].at);
        molt_buf_u64(out, globals[i].bytes);
        molt_buf_str(out, globals[i].obstacle);
    }
}

int molt_meta_encode(const struct molt_meta *meta, struct molt_buf *out)
{
    molt_buf_u32(out, META_VERSION);
    molt_buf_str(out, meta->module);
    molt_buf_add(out, meta->digest, sizeof(meta->digest));
    molt_buf_bytes(out, meta->build_id, meta->build_id_len);
    molt_buf_u64(out, meta->content);
    molt_buf_u32(out, meta->flags);
    put_symbols(out, meta->exports, meta->n_exports);
    put_symbols(out, meta->imports, meta->n_imports);
    molt_buf_u32(out, (uint32_t)meta->n_headers);
    for (size_t i = 0; i < meta->n_headers; i++) {
        molt_buf_str(out, meta->headers[i].module);
        molt_buf_add(out, meta->headers[i].digest, sizeof(meta->headers[i].digest));
    }
    molt_buf_u32(out, (uint32_t)meta->n_types);
    for (size_t i = 0; i < meta->n_types; i++)
        put_type(out, &meta->types[i]);
    put_indexes(out, meta->tags, meta->n_tags);
    molt_buf_u32(out, (uint32_t)meta->n_servers);
    for (size_t i = 0; i < meta->n_servers; i++) {
        const struct molt_meta_server *s = &meta->servers[i];
        molt_buf_str(out, s->name);
        molt_buf_u32(out, s->state_type);
        molt_buf_u32(out, s->init_type);
        put_indexes(out, s->handler_types, s->n_handlers);
        put_indexes(out, s->change_types, s->n_changes);
    }
    put_strings(out, meta->pins, meta->n_pins);
    put_globals(out, meta->globals, meta->n_globals);
    return out->is_failed ? MOLT_ENOMEM : 0;
}

/* ---- decoding ----------------------------------------------------------- */

/* Zeroed array of @n elements; fails the reader when out of memory. */
static void *get_array(struct molt_reader *r, size_t n, size_t size)
{
    void *array = calloc(n ? n : 1, size);
    if (!array)
        r->is_failed = r->is_out_of_memory = true;
    return array;
}

static struct molt_meta_symbol *get_symbols(struct molt_reader *r, size_t *ret_n)
{
    size_t n = molt_reader_count(r, 4 + 4 + 8 + 4);
    struct molt_meta_symbol *symbols = get_array(r, n, sizeof(*symbols));
    *ret_n = symbols ? n : 0;
    for (size_t i = 0; i < *ret_n; i++) {
        symbols[i].module = molt_reader_str(r);
        symbols[i].name = molt_reader_str(r);
        symbols[i].sig = molt_reader_u64(r);
        symbols[i].ret_bytes = molt_reader_u32(r);
    }
    return symbols;
}

static uint32_t *get_indexes(struct molt_reader *r, size_t *ret_n)
{
    size_t n = molt_reader_count(r, 4);
    uint32_t *indexes = get_array(r, n, sizeof(*indexes));
    *ret_n = indexes ? n : 0;
    for (size_t i = 0; i < *ret_n; i++)
        indexes[i] = molt_reader_u32(r);
    return indexes;
}

static char **get_strings(struct molt_reader *r, size_t *ret_n)
{
    size_t n = molt_reader_count(r, 4);
    char **strings = get_array(r, n, sizeof(*strings));
    *ret_n = strings ? n : 0;
    for (size_t i = 0; i < *ret_n; i++)
        strings[i] = molt_reader_str(r);
    return strings;
}

static struct molt_meta_global *get_globals(struct molt_reader *r, size_t *ret_n)
{
    size_t n = molt_reader_count(r, 4 + 4 + 8 + 8 + 4);
    struct molt_meta_global *globals = get_array(r, n, sizeof(*globals));
    *ret_n = globals ? n : 0;
    for (size_t i = 0; i < *ret_n && !r->is_failed; i++) {
        globals[i].name = molt_reader_str(r);
        globals[i].type = molt_reader_str(r);
        globals[i].at = molt_reader_u64(r);
        globals[i].bytes = molt_reader_u64(r);
        globals[i].obstacle = molt_reader_str(r);
    }
    return globals;
}

/* Words inside the element of @size bytes, ascending, none twice. */
static void check_ptr(struct molt_reader *r, const struct molt_meta_ptr *p, size_t i, uint32_t size)
{
    uint64_t end = (uint64_t)p->offset + (uint64_t)p->count * sizeof(void *);
    uint64_t before = 0;
    if (i > 0)
        before = (uint64_t)p[-1].offset + (uint64_t)p[-1].count * sizeof(void *);
    if (p->count == 0 || end > size || p->offset < before || p->kind > MOLT_PTR_ANY)
        r->is_failed = true;
}

static struct molt_meta_ptr *get_ptrs(struct molt_reader *r, uint32_t size, size_t *ret_n)
{
    size_t n = molt_reader_count(r, 4 + 4 + 1 + 4);
    struct molt_meta_ptr *ptrs = get_array(r, n, sizeof(*ptrs));
    *ret_n = ptrs ? n : 0;
    for (size_t i = 0; i < *ret_n && !r->is_failed; i++) {
        ptrs[i].offset = molt_reader_u32(r);
        ptrs[i].count = molt_reader_u32(r);
        ptrs[i].kind = (enum molt_ptr_kind)molt_reader_u8(r);
        ptrs[i].field = molt_reader_str(r);
        check_ptr(r, &ptrs[i], i, size);
    }
    return ptrs;
}

static void get_type(struct molt_reader *r, struct molt_meta_type *type)
{
    type->key = molt_reader_str(r);
    type->name = molt_reader_str(r);
    type->hash = molt_reader_u64(r);
    type->shape = molt_reader_u64(r);
    type->size = molt_reader_u32(r);
    type->is_from_header = molt_reader_u8(r) != 0;
    type->ptrs = get_ptrs(r, type->size, &type->n_ptrs);
    type->flex_at = molt_reader_u32(r);
    type->flex_size = molt_reader_u32(r);
    type->flex_ptrs = get_ptrs(r, type->flex_size, &type->n_flex_ptrs);
    /* It begins behind all other members, and at the latest where the struct ends. */
    uint64_t last = 0;
    if (type->n_ptrs && !r->is_failed)
        last = type->ptrs[type->n_ptrs - 1].offset +
               sizeof(void *) * (uint64_t)type->ptrs[type->n_ptrs - 1].count;
    if (type->flex_at > type->size || (type->flex_size && type->flex_at < last) ||
        (!type->flex_size && type->flex_at))
        r->is_failed = true;
}

static void get_server(struct molt_reader *r, struct molt_meta_server *server)
{
    server->name = molt_reader_str(r);
    server->state_type = molt_reader_u32(r);
    server->init_type = molt_reader_u32(r);
    server->handler_types = get_indexes(r, &server->n_handlers);
    server->change_types = get_indexes(r, &server->n_changes);
}

static void get_lists(struct molt_reader *r, struct molt_meta *meta)
{
    size_t n = molt_reader_count(r, 4 + MOLT_SHA256_BYTES);
    meta->headers = get_array(r, n, sizeof(*meta->headers));
    meta->n_headers = meta->headers ? n : 0;
    for (size_t i = 0; i < meta->n_headers; i++) {
        meta->headers[i].module = molt_reader_str(r);
        const uint8_t *digest = molt_reader_raw(r, MOLT_SHA256_BYTES);
        if (digest)
            memcpy(meta->headers[i].digest, digest, MOLT_SHA256_BYTES);
    }
    n = molt_reader_count(r, 4 + 4 + 8 + 8 + 4 + 1 + 4 + 4 + 4 + 4);
    meta->types = get_array(r, n, sizeof(*meta->types));
    meta->n_types = meta->types ? n : 0;
    for (size_t i = 0; i < meta->n_types && !r->is_failed; i++)
        get_type(r, &meta->types[i]);
    meta->tags = get_indexes(r, &meta->n_tags);
    n = molt_reader_count(r, 4 + 4 + 4 + 4 + 4);
    meta->servers = get_array(r, n, sizeof(*meta->servers));
    meta->n_servers = meta->servers ? n : 0;
    for (size_t i = 0; i < meta->n_servers && !r->is_failed; i++)
        get_server(r, &meta->servers[i]);
    meta->pins = get_strings(r, &meta->n_pins);
    meta->globals = get_globals(r, &meta->n_globals);
}

static bool are_indexes_valid(const struct molt_meta *meta, const uint32_t *indexes, size_t n,
                              bool may_be_none)
{
    for (size_t i = 0; i < n; i++) {
        bool is_none = indexes[i] == MOLT_TYPE_NONE;
        if (is_none ? !may_be_none : indexes[i] >= meta->n_types)
            return false;
    }
    return true;
}

static bool is_consistent(const struct molt_meta *meta)
{
    if (!are_indexes_valid(meta, meta->tags, meta->n_tags, true))
        return false;
    for (size_t i = 0; i < meta->n_servers; i++) {
        const struct molt_meta_server *s = &meta->servers[i];
        if (!are_indexes_valid(meta, &s->state_type, 1, false) ||
            !are_indexes_valid(meta, &s->init_type, 1, true) ||
            !are_indexes_valid(meta, s->handler_types, s->n_handlers, false) ||
            !are_indexes_valid(meta, s->change_types, s->n_changes, false))
            return false;
    }
    return meta->module[0] != '\0';
}

int molt_meta_decode(const void *bytes, size_t len, struct molt_meta **ret, struct molt_error *err)
{
    struct molt_reader r = molt_reader_init(bytes, len);
    if (molt_reader_u32(&r) != META_VERSION || r.is_failed)
        return molt_error_set(err, MOLT_EFORMAT,
                              "the module's description has another format version; agent and host "
                              "must be of the same molt release");
    struct molt_meta *meta = molt_meta_new();
    if (!meta)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    meta->module = molt_reader_str(&r);
    const uint8_t *digest = molt_reader_raw(&r, MOLT_SHA256_BYTES);
    if (digest)
        memcpy(meta->digest, digest, MOLT_SHA256_BYTES);
    const uint8_t *id = molt_reader_bytes(&r, &meta->build_id_len);
    if (meta->build_id_len > MOLT_BUILD_ID_MAX)
        r.is_failed = true;
    else if (id)
        memcpy(meta->build_id, id, meta->build_id_len);
    meta->content = molt_reader_u64(&r);
    meta->flags = molt_reader_u32(&r);
    meta->exports = get_symbols(&r, &meta->n_exports);
    meta->imports = get_symbols(&r, &meta->n_imports);
    get_lists(&r, meta);
    if (!molt_reader_at_end(&r) || !is_consistent(meta)) {
        molt_meta_free(meta);
        if (r.is_out_of_memory)
            return molt_error_set(err, MOLT_ENOMEM, "no memory for the module's description");
        return molt_error_set(err, MOLT_EFORMAT, "the module's description is malformed");
    }
    *ret = meta;
    return 0;
}
