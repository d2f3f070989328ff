/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Pointers into images of other worlds. Versions of a module are known by their
 * digests; moves lead from one to another, and are kept when versions between them have
 * left memory.
 */
#include <stdio.h>
#include <string.h>

#include "code/layout.h"
#include "code/table.h"

/* Versions that one search passes: a pointer that stays behind for more upgrades than
 * this is no more followed. */
#define SEEN_MAX 64

struct place {
    const uint8_t *digest;
    uint32_t at;
};

static bool is_same(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, MOLT_SHA256_BYTES) == 0;
}

static bool is_seen(const struct place *places, unsigned n, const uint8_t *digest)
{
    for (unsigned i = 0; i < n; i++)
        if (is_same(places[i].digest, digest))
            return true;
    return false;
}

/* Where @start is in the version with digest @target. MOLT_ENOENT, and what is gone in
 * @ret_gone, NULL if nothing says. */
static int follow(struct molt_code *code, const char *module, struct place start, uint64_t type,
                  const uint8_t *target, uint32_t *ret, const char **ret_gone)
{
    struct place places[SEEN_MAX] = {start};
    unsigned n = 1;
    if (is_same(start.digest, target)) { /* loaded anew after a way back */
        *ret = start.at;
        return 0;
    }
    /* Acquire: pairs with the release in molt_layouts_commit(). */
    const struct molt_moves_node *first = atomic_load_explicit(&code->moves, memory_order_acquire);
    *ret_gone = NULL;
    for (unsigned i = 0; i < n; i++) {
        for (const struct molt_moves_node *node = first; node; node = node->next) {
            const struct molt_moves *m = node->moves;
            const char *gone = NULL;
            uint32_t at;
            if (!is_same(m->from_digest, places[i].digest) || strcmp(m->module, module) != 0 ||
                is_seen(places, n, m->to_digest))
                continue;
            if (molt_moves_find(m, places[i].at, type, &at, &gone) < 0) {
                *ret_gone = *ret_gone ? *ret_gone : gone;
                continue;
            }
            if (is_same(m->to_digest, target)) {
                *ret = at;
                return 0;
            }
            if (n < SEEN_MAX)
                places[n++] = (struct place){m->to_digest, at};
        }
    }
    return MOLT_ENOENT;
}

static bool has_version(const struct molt_world *world, const struct molt_version *version)
{
    return molt_world_find(world, version->module) == version;
}

int molt_world_moved(const struct molt_world *world, uint64_t value, uint64_t type, uint64_t *ret,
                     char *why, size_t why_size)
{
    uintptr_t offset;
    bool is_unloaded;
    const struct molt_version *v =
        molt_code_find_pc(world->code, (const void *)(uintptr_t)value, &offset, &is_unloaded);
    /* What points into an unloaded image is stale already; it traps by name. */
    if (!v || is_unloaded || has_version(world, v))
        return 0;
    const struct molt_version *now = molt_world_find(world, v->module);
    if (!now) {
        snprintf(why, why_size, "%s@%u: the module isn't in the new world", v->module, v->number);
        return MOLT_ECHANGE;
    }
    struct place start = {v->digest, (uint32_t)offset};
    const char *gone = NULL;
    uint32_t at = 0;
    int rc = offset <= UINT32_MAX
                 ? follow(world->code, v->module, start, type, now->digest, &at, &gone)
                 : MOLT_ENOENT;
    if (rc == 0) {
        *ret = (uint64_t)(now->image.base + at);
        return 1;
    }
    if (gone)
        snprintf(why, why_size, "%s@%u: %s", v->module, v->number, gone);
    else
        snprintf(why, why_size, "%s@%u: what is at its byte %#llx has no counterpart in %s@%u",
                 v->module, v->number, (unsigned long long)offset, now->module, now->number);
    return MOLT_ECHANGE;
}
