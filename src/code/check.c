/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Is a world complete and type-safe? All that is wrong is collected, so that a
 * person sees the whole list at once.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "code/table.h"

struct check {
    const struct molt_world *world;
    const struct molt_stage *stage;
    struct molt_buf reasons;
    size_t n_reasons;
};

__attribute__((format(printf, 2, 3))) static void refuse(struct check *check, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (check->n_reasons++)
        molt_buf_adds(&check->reasons, "\n");
    molt_buf_vprintf(&check->reasons, fmt, ap);
    va_end(ap);
}

/* The headers that count for @v: those of a keep in this stage, or its own. */
static const struct molt_meta_header *headers_of(const struct check *check,
                                                 const struct molt_version *v, size_t *ret_n)
{
    for (size_t i = 0; i < check->stage->n_items; i++) {
        const struct molt_stage_item *item = &check->stage->items[i];
        if (item->kind == MOLT_ITEM_KEEP && strcmp(item->module, v->module) == 0) {
            *ret_n = item->meta->n_headers;
            return item->meta->headers;
        }
    }
    *ret_n = v->n_headers;
    return v->headers;
}

static const struct molt_meta_header *header_of(const struct check *check,
                                                const struct molt_version *v, const char *module)
{
    size_t n;
    const struct molt_meta_header *headers = headers_of(check, v, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(headers[i].module, module) == 0)
            return &headers[i];
    return NULL;
}

static void check_import(struct check *check, const struct molt_version *v,
                         const struct molt_meta_symbol *import)
{
    const struct molt_version *provider = molt_world_find(check->world, import->module);
    if (!provider) {
        refuse(check, "%s@%u calls %s of module %s, which would not be there any more", v->module,
               v->number, import->name, import->module);
        return;
    }
    bool has_name = false;
    for (size_t i = 0; i < provider->meta->n_exports; i++) {
        const struct molt_meta_symbol *e = &provider->meta->exports[i];
        if (strcmp(e->name, import->name) != 0)
            continue;
        has_name = true;
        if (e->sig == import->sig)
            return;
    }
    if (has_name)
        refuse(check,
               "%s@%u calls %s of %s with another signature than %s@%u has; rebuild %s against "
               "the new header and put it into the same upgrade",
               v->module, v->number, import->name, import->module, provider->module,
               provider->number, v->module);
    else
        refuse(check, "%s@%u calls %s, which %s@%u does not export", v->module, v->number,
               import->name, provider->module, provider->number);
}

static void check_headers(struct check *check, const struct molt_version *v)
{
    size_t n;
    const struct molt_meta_header *headers = headers_of(check, v, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(headers[i].module, v->module) == 0)
            continue;
        const struct molt_version *provider = molt_world_find(check->world, headers[i].module);
        const struct molt_meta_header *own =
            provider ? header_of(check, provider, provider->module) : NULL;
        if (own && memcmp(own->digest, headers[i].digest, sizeof(own->digest)) != 0)
            refuse(check,
                   "%s@%u was compiled against another state of %s's header than %s@%u; rebuild "
                   "%s and put it into the same upgrade",
                   v->module, v->number, provider->module, provider->module, provider->number,
                   v->module);
    }
}

struct seen_type {
    const struct molt_meta_type *type;
    const struct molt_version *version;
};

static int by_key(const void *a, const void *b)
{
    const struct seen_type *x = a, *y = b;
    return strcmp(x->type->key, y->type->key);
}

static int check_types(struct check *check)
{
    const struct molt_world *world = check->world;
    size_t n = 0;
    for (size_t i = 0; i < world->n_versions; i++)
        n += world->versions[i]->meta->n_types;
    struct seen_type *seen = calloc(n + 1, sizeof(*seen));
    if (!seen)
        return MOLT_ENOMEM;
    n = 0;
    for (size_t i = 0; i < world->n_versions; i++) {
        const struct molt_version *v = world->versions[i];
        for (size_t j = 0; j < v->meta->n_types; j++)
            if (v->meta->types[j].is_from_header)
                seen[n++] = (struct seen_type){&v->meta->types[j], v};
    }
    qsort(seen, n, sizeof(*seen), by_key);
    for (size_t i = 1; i < n; i++) {
        const struct seen_type *a = &seen[i - 1], *b = &seen[i];
        if (strcmp(a->type->key, b->type->key) == 0 && a->type->hash != b->type->hash)
            refuse(check,
                   "%s (%s) has one layout in %s@%u and another in %s@%u; rebuild the "
                   "one that is behind",
                   a->type->name, a->type->key, a->version->module, a->version->number,
                   b->version->module, b->version->number);
    }
    free(seen);
    return 0;
}

static void check_server_names(struct check *check)
{
    const struct molt_world *world = check->world;
    for (size_t i = 0; i < world->n_versions; i++) {
        const struct molt_version *v = world->versions[i];
        for (size_t j = 0; j < v->meta->n_servers; j++) {
            /* fill_servers() let the last one of a name win. */
            const struct molt_version *winner = world->servers[v->server_ids[j]].version;
            if (winner != v)
                refuse(check, "both %s@%u and %s@%u define a server named %s; rename one",
                       v->module, v->number, winner->module, winner->number,
                       v->meta->servers[j].name);
        }
    }
}

int molt_world_check(const struct molt_world *world, const struct molt_stage *stage,
                     struct molt_error *err)
{
    struct check check = {.world = world, .stage = stage};
    for (size_t i = 0; i < world->n_versions; i++) {
        const struct molt_version *v = world->versions[i];
        for (size_t j = 0; j < v->meta->n_imports; j++)
            check_import(&check, v, &v->meta->imports[j]);
        check_headers(&check, v);
    }
    check_server_names(&check);
    size_t len = check.reasons.len;
    molt_carries_check(stage, &check.reasons);
    check.n_reasons += check.reasons.len > len;
    int rc = check_types(&check);
    if (rc == 0 && check.reasons.is_failed)
        rc = MOLT_ENOMEM;
    if (rc < 0) {
        molt_buf_fini(&check.reasons);
        return molt_error_set(err, rc, "out of memory");
    }
    if (check.n_reasons) {
        rc = molt_error_set(err, MOLT_EREFUSED, "%.*s", (int)check.reasons.len, check.reasons.data);
    }
    molt_buf_fini(&check.reasons);
    return rc;
}
