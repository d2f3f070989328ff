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

struct search {
    const char *module;
    uint64_t type;
    const uint8_t *target;
    const struct molt_world *world;
    const char *gone; /* what is; NULL: nothing says */
    unsigned n;
    struct place places[SEEN_MAX]; /* the last one is the target's, if it was found */
};

static bool is_between(const struct molt_carry *c, const struct search *s, const struct place *from,
                       const uint8_t *to)
{
    return is_same(c->from_digest, from->digest) && is_same(c->to_digest, to) &&
           strcmp(c->module, s->module) == 0;
}

/* A variable whose type changed isn't the same thing, but its value went there. */
static bool is_carried(const struct search *s, const struct place *from, const uint8_t *to,
                       uint32_t *ret)
{
    char why[160];
    for (const struct molt_carry_node *n = s->world->carries; n; n = n->stage_next)
        if (is_between(n->carry, s, from, to))
            return molt_carry_find(n->carry, from->at, s->type, ret, why, sizeof(why)) == 0;
    /* Acquire: pairs with the release in molt_carries_commit(). */
    const struct molt_carry_node *n =
        atomic_load_explicit(&s->world->code->carries, memory_order_acquire);
    while (n && !is_between(n->carry, s, from, to))
        n = n->next;
    return n && molt_carry_find(n->carry, from->at, s->type, ret, why, sizeof(why)) == 0;
}

/* Follow @m from place @i. True: that is the target. */
static bool step(struct search *s, unsigned i, const struct molt_moves *m)
{
    const char *gone = NULL;
    uint32_t at;
    if (s->n == SEEN_MAX || !is_same(m->from_digest, s->places[i].digest) ||
        strcmp(m->module, s->module) != 0 || is_seen(s->places, s->n, m->to_digest))
        return false;
    if (molt_moves_find(m, s->places[i].at, s->type, &at, &gone) < 0 &&
        !is_carried(s, &s->places[i], m->to_digest, &at)) {
        s->gone = s->gone ? s->gone : gone;
        return false;
    }
    s->places[s->n++] = (struct place){m->to_digest, at};
    return is_same(m->to_digest, s->target);
}

/* Where places[0] is in the target: what the world's stage brought counts before its commit,
 * too. MOLT_ENOENT. */
static int follow(struct search *s, const struct molt_world *world, uint32_t *ret)
{
    /* Loaded anew after a way back? */
    bool is_there = is_same(s->places[0].digest, s->target);
    /* Acquire: pairs with the release in molt_layouts_commit(). */
    const struct molt_moves_node *first =
        atomic_load_explicit(&world->code->moves, memory_order_acquire);
    for (unsigned i = 0; i < s->n && !is_there; i++) {
        for (const struct molt_moves_node *m = world->moves; m && !is_there; m = m->stage_next)
            is_there = step(s, i, m->moves);
        for (const struct molt_moves_node *m = first; m && !is_there; m = m->next)
            is_there = step(s, i, m->moves);
    }
    *ret = s->places[s->n - 1].at;
    return is_there ? 0 : MOLT_ENOENT;
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
    struct search s;
    s.module = v->module;
    s.type = type;
    s.target = now->digest;
    s.world = world;
    s.gone = NULL;
    s.places[0] = (struct place){v->digest, (uint32_t)offset};
    s.n = 1;
    uint32_t at = 0;
    int rc = offset <= UINT32_MAX ? follow(&s, world, &at) : MOLT_ENOENT;
    if (rc == 0) {
        *ret = (uint64_t)(now->image.base + at);
        return 1;
    }
    if (s.gone)
        snprintf(why, why_size, "%s@%u: %s", v->module, v->number, s.gone);
    else
        snprintf(why, why_size, "%s@%u: what is at its byte %#llx has no counterpart in %s@%u",
                 v->module, v->number, (unsigned long long)offset, now->module, now->number);
    return MOLT_ECHANGE;
}
