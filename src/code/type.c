/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "code/type.h"

#include <stdlib.h>
#include <string.h>

/* Types per host are few (tens to some thousands), and interned only when an
 * image is loaded: a chained hash of fixed size is enough. */
#define BUCKETS 1024u

struct molt_type_key {
    char *text;
};

struct node {
    struct molt_type type; /* first: what callers hold */
    struct node *next;
};

struct molt_types {
    struct node *buckets[BUCKETS];
};

int molt_types_new(struct molt_types **ret)
{
    struct molt_types *types = calloc(1, sizeof(*types));
    if (!types)
        return MOLT_ENOMEM;
    *ret = types;
    return 0;
}

static void free_ptrs(struct molt_meta_ptr *ptrs, size_t n)
{
    for (size_t i = 0; ptrs && i < n; i++)
        free(ptrs[i].field);
    free(ptrs);
}

static void free_node(struct node *node, bool owns_key)
{
    if (!node)
        return;
    free_ptrs((struct molt_meta_ptr *)(uintptr_t)node->type.ptrs, node->type.n_ptrs);
    free_ptrs((struct molt_meta_ptr *)(uintptr_t)node->type.flex_ptrs, node->type.n_flex_ptrs);
    free((char *)(uintptr_t)node->type.name);
    if (owns_key && node->type.key) {
        struct molt_type_key *key = (struct molt_type_key *)(uintptr_t)node->type.key;
        free(key->text);
        free(key);
    }
    free(node);
}

/* All layouts of a key are in one bucket; the first of them in the chain that
 * was made owns the key. */
static bool owns_key(const struct node *node)
{
    for (const struct node *n = node->next; n; n = n->next)
        if (n->type.key == node->type.key)
            return false;
    return true;
}

void molt_types_free(struct molt_types *types)
{
    if (!types)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (types->buckets[i]) {
            struct node *node = types->buckets[i];
            bool is_owner = owns_key(node);
            types->buckets[i] = node->next;
            free_node(node, is_owner);
        }
    }
    free(types);
}

/* FNV-1a, 32 bit. */
static uint32_t hash_text(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

static struct molt_type_key *new_key(const char *text)
{
    struct molt_type_key *key = calloc(1, sizeof(*key));
    if (!key)
        return NULL;
    key->text = strdup(text);
    if (!key->text) {
        free(key);
        return NULL;
    }
    return key;
}

static struct molt_meta_ptr *copy_ptrs(const struct molt_meta_ptr *from, size_t n)
{
    struct molt_meta_ptr *ptrs = calloc(n + 1, sizeof(*ptrs));
    for (size_t i = 0; ptrs && i < n; i++) {
        ptrs[i] = from[i];
        ptrs[i].field = strdup(from[i].field ? from[i].field : "");
        if (!ptrs[i].field) {
            free_ptrs(ptrs, i);
            return NULL;
        }
    }
    return ptrs;
}

static struct node *new_node(const struct molt_meta_type *meta, const struct molt_type_key *key)
{
    struct node *node = calloc(1, sizeof(*node));
    if (!node)
        return NULL;
    node->type = (struct molt_type){
        .key = key,
        .key_text = key->text,
        .name = strdup(meta->name),
        .hash = meta->hash,
        .shape = meta->shape,
        .size = meta->size,
        .is_from_header = meta->is_from_header,
        .may_point = meta->n_ptrs + meta->n_flex_ptrs > 0,
        .ptrs = copy_ptrs(meta->ptrs, meta->n_ptrs),
        .flex_at = meta->flex_at,
        .flex_size = meta->flex_size,
        .flex_ptrs = copy_ptrs(meta->flex_ptrs, meta->n_flex_ptrs),
    };
    node->type.n_ptrs = node->type.ptrs ? meta->n_ptrs : 0;
    node->type.n_flex_ptrs = node->type.flex_ptrs ? meta->n_flex_ptrs : 0;
    if (!node->type.name || !node->type.ptrs || !node->type.flex_ptrs) {
        free_node(node, false);
        return NULL;
    }
    return node;
}

const struct molt_type *molt_types_find(struct molt_types *types, const char *key, uint64_t hash,
                                        uint32_t size)
{
    for (struct node *n = types->buckets[hash_text(key) % BUCKETS]; n; n = n->next)
        if (n->type.hash == hash && n->type.size == size && strcmp(n->type.key_text, key) == 0)
            return &n->type;
    return NULL;
}

const struct molt_type *molt_types_next(struct molt_types *types, const struct molt_type *after)
{
    const struct node *node = (const struct node *)after;
    if (node && node->next)
        return &node->next->type;
    for (size_t i = node ? hash_text(after->key_text) % BUCKETS + 1 : 0; i < BUCKETS; i++)
        if (types->buckets[i])
            return &types->buckets[i]->type;
    return NULL;
}

/* There are several layouts now: who meets one looks where it belongs. Whoever is in
 * a world that has only one of them reads its world's list, whatever it sees here. */
static void mark_many(struct node *bucket, const struct molt_type_key *key)
{
    for (struct node *n = bucket; n; n = n->next)
        if (n->type.key == key)
            atomic_store_explicit(&n->type.is_many, true, memory_order_relaxed);
}

const struct molt_type *molt_types_intern(struct molt_types *types,
                                          const struct molt_meta_type *meta)
{
    struct node **bucket = &types->buckets[hash_text(meta->key) % BUCKETS];
    const struct molt_type_key *key = NULL;
    for (struct node *n = *bucket; n; n = n->next) {
        if (strcmp(n->type.key_text, meta->key) != 0)
            continue;
        key = n->type.key;
        if (n->type.hash == meta->hash && n->type.size == meta->size)
            return &n->type;
    }
    struct molt_type_key *fresh = NULL;
    if (!key)
        key = fresh = new_key(meta->key);
    struct node *node = key ? new_node(meta, key) : NULL;
    if (!node) {
        if (fresh)
            free(fresh->text);
        free(fresh);
        return NULL;
    }
    node->next = *bucket;
    *bucket = node;
    if (!fresh)
        mark_many(node, key);
    return &node->type;
}
