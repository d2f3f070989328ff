/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Building and freeing worlds. A world's table has room for all slots that can
 * ever be; it differs from the table of stubs only in the pages that hold its
 * own functions, so a slot that is given out later has a stub already.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "code/table.h"

/* Pages that hold slots in use are this world's own. */
size_t molt_world_table_bytes(void)
{
    size_t pages = (molt_iface_count() + MOLT_SLOTS_PER_PAGE - 1) / MOLT_SLOTS_PER_PAGE;
    return pages * MOLT_SLOTS_PER_PAGE * sizeof(void *);
}

static struct molt_world *new_world(struct molt_code *code)
{
    struct molt_world *world = calloc(1, sizeof(*world));
    if (!world)
        return NULL;
    world->table = molt_thunk_table_new();
    if (!world->table) {
        free(world);
        return NULL;
    }
    world->code = code;
    world->created_ms = molt_clock_ms();
    return world;
}

void molt_world_free(struct molt_world *world)
{
    if (!world)
        return;
    for (size_t i = 0; i < world->n_versions; i++)
        world->versions[i]->n_worlds--;
    molt_thunk_table_free(world->table);
    free(world->versions);
    free(world->servers);
    free(world->extensions);
    free(world->types);
    free(world);
}

struct molt_world *molt_world_empty(struct molt_code *code)
{
    struct molt_world *world = new_world(code);
    if (world)
        world->layout_epoch = 1;
    return world;
}

struct molt_version *molt_world_find(const struct molt_world *world, const char *module)
{
    size_t lo = 0, hi = world->n_versions;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = strcmp(world->versions[mid]->module, module);
        if (order == 0)
            return world->versions[mid];
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* ---- building ---------------------------------------------------------------- */

static const struct molt_stage_item *item_of(const struct molt_stage *stage, const char *module)
{
    for (size_t i = 0; i < stage->n_items; i++)
        if (stage->items[i].kind != MOLT_ITEM_KEEP && !strcmp(stage->items[i].module, module))
            return &stage->items[i];
    return NULL;
}

static int by_module(const void *a, const void *b)
{
    const struct molt_version *const *x = a, *const *y = b;
    return strcmp((*x)->module, (*y)->module);
}

/* The base's versions, with the stage's items applied. */
static int choose_versions(struct molt_world *world, const struct molt_stage *stage)
{
    const struct molt_world *base = stage->base;
    world->versions = calloc(base->n_versions + stage->n_items + 1, sizeof(*world->versions));
    if (!world->versions)
        return MOLT_ENOMEM;
    for (size_t i = 0; i < base->n_versions; i++)
        if (!item_of(stage, base->versions[i]->module))
            world->versions[world->n_versions++] = base->versions[i];
    for (size_t i = 0; i < stage->n_items; i++)
        if (stage->items[i].kind == MOLT_ITEM_PUT)
            world->versions[world->n_versions++] = stage->items[i].version;
    for (size_t i = 0; i < world->n_versions; i++)
        world->versions[i]->n_worlds++;
    qsort(world->versions, world->n_versions, sizeof(*world->versions), by_module);
    return 0;
}

static void fill_table(struct molt_world *world)
{
    for (size_t i = 0; i < world->n_versions; i++) {
        const struct molt_version *v = world->versions[i];
        for (size_t j = 0; j < v->meta->n_exports; j++)
            world->table[v->slots[j]] = v->functions[j];
    }
}

static int fill_servers(struct molt_world *world)
{
    world->n_servers = atomic_load(&world->code->n_server_names);
    world->servers = calloc(world->n_servers + 1, sizeof(*world->servers));
    if (!world->servers)
        return MOLT_ENOMEM;
    for (size_t i = 0; i < world->n_versions; i++) {
        const struct molt_version *v = world->versions[i];
        for (size_t j = 0; j < v->meta->n_servers; j++)
            world->servers[v->server_ids[j]] = v->servers[j];
    }
    return 0;
}

static int fill_extensions(struct molt_world *world)
{
    size_t n = 0;
    for (size_t i = 0; i < world->n_versions; i++) {
        const struct molt_module *d = world->versions[i]->desc;
        n += (size_t)(d->extensions_end - d->extensions);
    }
    world->extensions = calloc(n + 1, sizeof(*world->extensions));
    if (!world->extensions)
        return MOLT_ENOMEM;
    for (size_t i = 0; i < world->n_versions; i++) {
        const struct molt_module *d = world->versions[i]->desc;
        size_t m = (size_t)(d->extensions_end - d->extensions);
        if (m)
            memcpy(world->extensions + world->n_extensions, d->extensions,
                   m * sizeof(*world->extensions));
        world->n_extensions += m;
    }
    return 0;
}

struct molt_world *molt_world_build(struct molt_code *code, const struct molt_stage *stage,
                                    struct molt_error *err)
{
    struct molt_world *world = new_world(code);
    if (!world || choose_versions(world, stage) < 0 || fill_servers(world) < 0 ||
        fill_extensions(world) < 0 || molt_world_fill_layouts(world, stage) < 0) {
        molt_world_free(world);
        molt_error_set(err, MOLT_ENOMEM, "out of memory for a new world");
        return NULL;
    }
    fill_table(world);
    for (size_t i = 0; i < stage->n_items; i++)
        world->n_modules_changed += stage->items[i].kind != MOLT_ITEM_KEEP;
    return world;
}

const struct molt_supervisor *molt_world_supervisor(const struct molt_world *world,
                                                    const char *name)
{
    for (size_t i = 0; i < world->n_versions; i++) {
        const struct molt_module *d = world->versions[i]->desc;
        for (const struct molt_supervisor *s = d->supervisors; s < d->supervisors_end; s++)
            if (strcmp(s->name, name) == 0)
                return s;
    }
    return NULL;
}

const struct molt_supervisor *molt_world_supervisor_at(const struct molt_world *world, size_t i)
{
    for (size_t k = 0; k < world->n_versions; k++) {
        const struct molt_module *d = world->versions[k]->desc;
        size_t n = (size_t)(d->supervisors_end - d->supervisors);
        if (i < n)
            return &d->supervisors[i];
        i -= n;
    }
    return NULL;
}

/* ---- owners ------------------------------------------------------------------ */

bool molt_world_is_owned(const struct molt_code *code, const struct molt_world *world)
{
    /* Seq_cst: pairs with molt_world_release() and molt_participant_advance(). */
    if (atomic_load(&world->n_holds))
        return true;
    for (const struct molt_participant *p = code->participants; p; p = p->next)
        if (molt_announced(p) == world)
            return true;
    /* A callback that was suspended between the two looks holds it by now. */
    return atomic_load(&world->n_holds) != 0;
}

void molt_world_owners(const struct molt_code *code, const struct molt_world *world, char *buf,
                       size_t size)
{
    size_t n = 0;
    buf[0] = '\0';
    for (const struct molt_participant *p = code->participants; p && n < size; p = p->next) {
        if (molt_announced(p) != world)
            continue;
        int m = snprintf(buf + n, size - n, "%s%s%s", n ? ", " : "", p->is_foreign ? "thread " : "",
                         p->name);
        n += m > 0 ? (size_t)m : 0;
    }
    unsigned long holds = atomic_load(&world->n_holds);
    if (holds && n < size)
        snprintf(buf + n, size - n, "%s%lu suspended callback%s", n ? ", " : "", holds,
                 holds == 1 ? "" : "s");
}

void molt_worlds_collect(struct molt_code *code)
{
    struct molt_world *current = atomic_load(&code->current);
    struct molt_world **at = &code->worlds;
    while (*at) {
        struct molt_world *world = *at;
        bool is_staged = code->stage && (code->stage->world == world || code->stage->base == world);
        if (world == current || is_staged || molt_world_is_owned(code, world)) {
            at = &world->next_older;
            continue;
        }
        *at = world->next_older;
        molt_world_free(world);
    }
}
