/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The stage's part of mutable globals: checking what is to follow, and copying it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code/carry.h"
#include "code/table.h"

int molt_stage_carry(struct molt_code *code, uint64_t id, struct molt_carry *carry,
                     struct molt_error *err)
{
    struct molt_carry_node *node = calloc(1, sizeof(*node));
    if (!node)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage ? molt_stage_check_open(stage, NULL, err) : MOLT_ESTALE;
    if (rc == 0) {
        node->carry = carry;
        node->stage_next = stage->carries;
        stage->carries = node;
    }
    pthread_mutex_unlock(&code->lock);
    if (rc < 0)
        free(node);
    return rc;
}

bool molt_stage_carries(struct molt_code *code, uint64_t id)
{
    bool is = false;
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, NULL);
    for (const struct molt_carry_node *n = stage ? stage->carries : NULL; n; n = n->stage_next)
        is = is || n->carry->n > 0;
    pthread_mutex_unlock(&code->lock);
    return is;
}

/* ---- checking ------------------------------------------------------------------------- */

static bool is_version(const struct molt_version *v, const uint8_t *digest)
{
    return v && memcmp(v->digest, digest, MOLT_SHA256_BYTES) == 0;
}

static bool is_writable(const struct molt_image *image, uint64_t at, uint64_t bytes)
{
    uintptr_t lo, hi;
    if (__builtin_add_overflow(image->base, at, &lo) || __builtin_add_overflow(lo, bytes, &hi))
        return false;
    for (size_t i = 0; i < image->n_writable; i++)
        if (lo >= image->writable[i].lo && hi <= image->writable[i].hi)
            return true;
    return false;
}

static const struct molt_meta_global *find_global(const struct molt_meta *meta, const char *name)
{
    for (size_t i = 0; i < meta->n_globals; i++)
        if (strcmp(meta->globals[i].name, name) == 0)
            return &meta->globals[i];
    return NULL;
}

/* The item for a global that both have is just what their descriptions say. */
static bool fits(const struct molt_carried *item, const struct molt_meta_global *old,
                 const struct molt_meta_global *now)
{
    return strcmp(item->name, old->name) == 0 && item->old_at == old->at &&
           item->recipe->from_size == old->bytes && item->new_at == now->at &&
           item->recipe->to_size == now->bytes && !*old->obstacle && !*now->obstacle;
}

static const struct molt_carry_node *node_of(const struct molt_stage *stage, const char *module)
{
    const struct molt_carry_node *node = stage->carries;
    while (node && strcmp(node->carry->module, module) != 0)
        node = node->stage_next;
    return node;
}

static size_t count_fits(const struct molt_carry_node *node, const struct molt_meta_global *old,
                         const struct molt_meta_global *now)
{
    size_t n = 0;
    for (size_t i = 0; node && i < node->carry->n; i++)
        n += fits(&node->carry->items[i], old, now);
    return n;
}

static void note(struct molt_buf *reasons, const struct molt_version *old,
                 const struct molt_meta_global *global, const char *why)
{
    molt_buf_printf(reasons,
                    "%s%s@%u: mutable global %s would lose its value: %s; mark it MOLT_FRESH if it "
                    "may start anew in each version, or move it into the state of a process or "
                    "a table",
                    reasons->len ? "\n" : "", old->module, old->number, global->name, why);
}

/* Each global that both versions have follows; returns how many there are. */
static size_t check_values(const struct molt_version *old, const struct molt_version *now,
                           const struct molt_carry_node *node, struct molt_buf *reasons)
{
    size_t n = 0;
    for (size_t i = 0; i < old->meta->n_globals; i++) {
        const struct molt_meta_global *a = &old->meta->globals[i];
        const struct molt_meta_global *b = find_global(now->meta, a->name);
        if (!b)
            continue;
        n++;
        if (count_fits(node, a, b) == 1)
            continue;
        const char *why = *a->obstacle ? a->obstacle : b->obstacle;
        note(reasons, old, a, *why ? why : "nobody said how it follows");
    }
    return n;
}

static bool is_in_images(const struct molt_carry *carry, const struct molt_version *old,
                         const struct molt_version *now)
{
    for (size_t i = 0; i < carry->n; i++) {
        const struct molt_carried *item = &carry->items[i];
        if (!is_writable(&old->image, item->old_at, item->recipe->from_size) ||
            !is_writable(&now->image, item->new_at, item->recipe->to_size))
            return false;
    }
    return true;
}

void molt_carries_check(const struct molt_stage *stage, struct molt_buf *reasons)
{
    for (size_t i = 0; i < stage->n_items; i++) {
        const struct molt_version *now = stage->items[i].version;
        const struct molt_version *old = now ? molt_world_find(stage->base, now->module) : NULL;
        const struct molt_carry_node *node = old ? node_of(stage, old->module) : NULL;
        size_t n = old ? check_values(old, now, node, reasons) : 0;
        if (!node)
            continue;
        if (node->carry->n != n || !is_version(old, node->carry->from_digest) ||
            !is_version(now, node->carry->to_digest) || !is_in_images(node->carry, old, now))
            molt_buf_printf(reasons,
                            "%s%s: the list of its mutable globals is not of the versions "
                            "that run and come; plan the upgrade again",
                            reasons->len ? "\n" : "", old->module);
    }
}

/* ---- copying ---------------------------------------------------------------------------- */

struct copy {
    struct molt_world *world; /* the new one */
    const struct molt_carry_env *env;
};

/* As molt_rewire.pointer. */
static int follow_pointer(void *user, uint64_t value, uint64_t type, uint64_t *ret, char *why,
                          size_t why_size)
{
    const struct copy *c = user;
    if (c->env->is_block(c->env->user, value)) {
        snprintf(why, why_size, "it leads to a block of a process, which may move or end");
        return MOLT_ECHANGE;
    }
    int rc = molt_world_moved(c->world, value, type, ret, why, why_size);
    if (rc == 0)
        *ret = value;
    return rc < 0 ? rc : 0;
}

static bool is_moving(void *user, uint64_t value)
{
    const struct copy *c = user;
    char why[160];
    uint64_t now;
    return molt_world_moved(c->world, value, 0, &now, why, sizeof(why)) != 0;
}

static bool owns(void *user, uint64_t value)
{
    const struct copy *c = user;
    uintptr_t offset;
    bool is_unloaded;
    return c->env->is_block(c->env->user, value) ||
           molt_code_find_pc(c->world->code, (const void *)(uintptr_t)value, &offset, &is_unloaded);
}

static uint8_t *place_of(const struct molt_version *v, uint64_t at)
{
    return (uint8_t *)(v->image.base + at); /* NOLINT: checked by molt_carries_check() */
}

static size_t bytes_of(const struct molt_carry *carry)
{
    size_t n = 0;
    for (size_t i = 0; i < carry->n; i++)
        n += carry->items[i].recipe->to_size;
    return n;
}

/* The values as they shall be, one behind the other, each made over its initial one. */
static int make_values(struct copy *c, const struct molt_carry_node *node, uint8_t *at,
                       struct molt_error *err)
{
    struct molt_rewire rewire = {follow_pointer, is_moving, c, owns};
    for (size_t i = 0; i < node->carry->n; i++) {
        const struct molt_carried *item = &node->carry->items[i];
        struct molt_recipe_fault fault = {0};
        memcpy(at, place_of(node->to, item->new_at), item->recipe->to_size);
        if (molt_recipe_run(item->recipe, place_of(node->from, item->old_at),
                            item->recipe->from_size, at, &rewire, &fault) < 0)
            return molt_error_set(err, MOLT_ECHANGE,
                                  "mutable global %s of %s@%u can't follow: %s: %s", item->name,
                                  node->from->module, node->from->number,
                                  fault.field ? fault.field : "its value", fault.why);
        at += item->recipe->to_size;
    }
    return 0;
}

/* Exchange the new image's values with those at @at. */
static void swap_values(const struct molt_carry_node *node)
{
    uint8_t *at = node->values;
    for (size_t i = 0; i < node->carry->n; i++) {
        const struct molt_carried *item = &node->carry->items[i];
        uint8_t *there = place_of(node->to, item->new_at);
        for (size_t k = 0; k < item->recipe->to_size; k++) {
            uint8_t byte = there[k];
            there[k] = at[k];
            at[k] = byte;
        }
        at += item->recipe->to_size;
    }
}

static int make_all(struct copy *c, struct molt_stage *stage, struct molt_error *err)
{
    int rc = 0;
    for (struct molt_carry_node *n = stage->carries; rc == 0 && n; n = n->stage_next) {
        n->from = molt_world_find(stage->base, n->carry->module);
        n->to = molt_world_find(stage->world, n->carry->module);
        if (!is_version(n->from, n->carry->from_digest) || !is_version(n->to, n->carry->to_digest))
            return molt_error_set(err, MOLT_ESTALE, "the globals of %s are another version's",
                                  n->carry->module);
        n->values = malloc(bytes_of(n->carry) + 1);
        rc = n->values ? make_values(c, n, n->values, err)
                       : molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    return rc;
}

int molt_stage_copy_globals(struct molt_code *code, uint64_t id, const struct molt_carry_env *env,
                            struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage && stage->world ? 0 : MOLT_ESTALE;
    if (rc == 0) {
        struct copy c = {stage->world, env};
        rc = make_all(&c, stage, err);
    }
    for (struct molt_carry_node *n = rc == 0 ? stage->carries : NULL; n; n = n->stage_next) {
        swap_values(n);
        n->is_copied = true;
    }
    pthread_mutex_unlock(&code->lock);
    return rc;
}

void molt_carries_undo(struct molt_stage *stage)
{
    for (struct molt_carry_node *n = stage->carries; n; n = n->stage_next) {
        if (n->is_copied)
            swap_values(n);
        n->is_copied = false;
    }
}

void molt_carries_commit(struct molt_code *code, struct molt_stage *stage)
{
    for (struct molt_carry_node *node = stage->carries; node; node = node->stage_next) {
        free(node->values);
        node->values = NULL;
        node->next = atomic_load_explicit(&code->carries, memory_order_relaxed);
        /* Release: pairs with the acquire in is_carried(). */
        atomic_store_explicit(&code->carries, node, memory_order_release);
    }
    stage->carries = NULL;
}

static void free_node(struct molt_carry_node *node)
{
    molt_carry_free(node->carry);
    free(node->values);
    free(node);
}

void molt_carries_drop(struct molt_stage *stage)
{
    while (stage->carries) {
        struct molt_carry_node *node = stage->carries;
        stage->carries = node->stage_next;
        free_node(node);
    }
}

void molt_carries_free_all(struct molt_code *code)
{
    struct molt_carry_node *node = atomic_load_explicit(&code->carries, memory_order_relaxed);
    while (node) {
        struct molt_carry_node *next = node->next;
        free_node(node);
        node = next;
    }
}
