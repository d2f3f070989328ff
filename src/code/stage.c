/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A stage: what is being put together beside the current world. Until commit
 * nothing that runs can see it; abort leaves no trace but interface objects,
 * which bind to nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "code/table.h"
#include "port/limits.h"

struct molt_stage *molt_stage_find(struct molt_code *code, uint64_t id, struct molt_error *err)
{
    if (code->stage && code->stage->id == id)
        return code->stage;
    molt_error_set(err, MOLT_ESTALE,
                   "stage %llu was committed or aborted already, or never existed; begin a new one",
                   (unsigned long long)id);
    return NULL;
}

static int check_worlds(struct molt_code *code, struct molt_error *err)
{
    molt_worlds_collect(code);
    unsigned n = 0;
    for (struct molt_world *w = code->worlds; w; w = w->next_older)
        n++;
    if (n < code->worlds_max)
        return 0;
    molt_error_set(err, MOLT_ELIMIT,
                   "%u worlds are in use, the limit: wait for these callbacks to return, or purge "
                   "by hand",
                   n);
    struct molt_world *current = atomic_load(&code->current);
    for (struct molt_world *w = code->worlds; err && w; w = w->next_older) {
        char owners[256];
        if (w == current)
            continue;
        molt_world_owners(code, w, owners, sizeof(owners));
        size_t n_text = strlen(err->text);
        char line[320];
        int m = snprintf(line, sizeof(line), "\nworld %llu: %s", (unsigned long long)w->id, owners);
        if (m > 0 && n_text + (size_t)m < sizeof(err->text))
            memcpy(err->text + n_text, line, (size_t)m + 1);
    }
    return MOLT_ELIMIT;
}

int molt_stage_begin(struct molt_code *code, uint64_t *ret_stage, struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    int rc = 0;
    if (code->stage)
        rc = molt_error_set(err, MOLT_EBUSY,
                            "another upgrade is being staged (stage %llu); one at a time",
                            (unsigned long long)code->stage->id);
    else
        rc = check_worlds(code, err);
    struct molt_stage *stage = rc == 0 ? calloc(1, sizeof(*stage)) : NULL;
    if (rc == 0 && !stage)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc == 0) {
        stage->id = ++code->last_stage_id;
        stage->base = atomic_load(&code->current);
        code->stage = stage;
        *ret_stage = stage->id;
    }
    pthread_mutex_unlock(&code->lock);
    return rc;
}

int molt_stage_check_open(const struct molt_stage *stage, const char *module,
                          struct molt_error *err)
{
    if (stage->world)
        return molt_error_set(err, MOLT_EINVAL, "stage %llu is sealed; nothing can be added",
                              (unsigned long long)stage->id);
    for (size_t i = 0; module && i < stage->n_items; i++)
        if (strcmp(stage->items[i].module, module) == 0)
            return molt_error_set(err, MOLT_EEXIST, "module %s is in this stage twice", module);
    return 0;
}

static struct molt_stage_item *add_item(struct molt_stage *stage, const char *module)
{
    if (stage->n_items == stage->cap_items) {
        size_t cap = stage->cap_items ? 2 * stage->cap_items : MOLT_LIMIT(8, 1);
        struct molt_stage_item *items = realloc(stage->items, cap * sizeof(*items));
        if (!items)
            return NULL;
        stage->items = items;
        stage->cap_items = cap;
    }
    struct molt_stage_item *item = &stage->items[stage->n_items];
    *item = (struct molt_stage_item){0};
    strncpy(item->module, module, sizeof(item->module) - 1);
    return item;
}

int molt_stage_interface(struct molt_code *code, uint64_t id, int fd,
                         const uint8_t digest[MOLT_SHA256_BYTES], struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage ? molt_stage_check_open(stage, NULL, err) : MOLT_ESTALE;
    if (rc == 0)
        rc = molt_iface_load(code, fd, digest, err);
    pthread_mutex_unlock(&code->lock);
    return rc;
}

/* Whether @v counts as compiled against just the headers of @meta. */
static bool has_headers(const struct molt_version *v, const struct molt_meta *meta)
{
    if (v->n_headers != meta->n_headers)
        return false;
    for (size_t i = 0; i < v->n_headers; i++)
        if (strcmp(v->headers[i].module, meta->headers[i].module) != 0 ||
            memcmp(v->headers[i].digest, meta->headers[i].digest, MOLT_SHA256_BYTES) != 0)
            return false;
    return true;
}

static int put(struct molt_code *code, struct molt_stage *stage, struct molt_meta *meta, int fd,
               struct molt_error *err)
{
    int rc = molt_stage_check_open(stage, meta->module, err);
    if (rc < 0)
        return rc;
    const struct molt_version *now = molt_world_find(stage->base, meta->module);
    bool is_same = now && memcmp(now->meta->digest, meta->digest, sizeof(meta->digest)) == 0;
    if (is_same && has_headers(now, meta))
        return 1;
    struct molt_stage_item *item = add_item(stage, meta->module);
    if (!item)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (is_same) {
        item->kind = MOLT_ITEM_KEEP;
        item->meta = meta;
        stage->n_items++;
        return 0;
    }
    item->kind = MOLT_ITEM_PUT;
    rc = molt_version_load(code, meta, fd, &item->version, err);
    if (rc == 0)
        stage->n_items++;
    return rc;
}

int molt_stage_put(struct molt_code *code, uint64_t id, struct molt_meta *meta, int fd,
                   struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage ? put(code, stage, meta, fd, err) : MOLT_ESTALE;
    pthread_mutex_unlock(&code->lock);
    if (rc == 1)
        molt_meta_free(meta);
    return rc;
}

int molt_stage_keep(struct molt_code *code, uint64_t id, struct molt_meta *meta,
                    struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage ? molt_stage_check_open(stage, meta->module, err) : MOLT_ESTALE;
    const struct molt_version *now = rc == 0 ? molt_world_find(stage->base, meta->module) : NULL;
    if (rc == 0 && (!now || now->meta->content != meta->content))
        rc = molt_error_set(err, MOLT_EREFUSED,
                            "%s: what was rebuilt isn't equal to what runs; send it as a change",
                            meta->module);
    struct molt_stage_item *item = rc == 0 ? add_item(stage, meta->module) : NULL;
    if (rc == 0 && !item)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc == 0) {
        item->kind = MOLT_ITEM_KEEP;
        item->meta = meta;
        stage->n_items++;
    }
    pthread_mutex_unlock(&code->lock);
    return rc;
}

int molt_stage_delete(struct molt_code *code, uint64_t id, const char *module,
                      struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage ? molt_stage_check_open(stage, module, err) : MOLT_ESTALE;
    if (rc == 0 && !molt_world_find(stage->base, module))
        rc = molt_error_set(err, MOLT_ENOENT, "there is no module %s to delete", module);
    struct molt_stage_item *item = rc == 0 ? add_item(stage, module) : NULL;
    if (rc == 0 && !item)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc == 0) {
        item->kind = MOLT_ITEM_DELETE;
        stage->n_items++;
    }
    pthread_mutex_unlock(&code->lock);
    return rc;
}

/* ---- on_load, on_abandon -------------------------------------------------------- */

static const void *hook_of(const struct molt_version *v, const char *kind)
{
    for (const struct molt_extension *e = v->desc->extensions; e < v->desc->extensions_end; e++)
        if (strcmp(e->kind, kind) == 0)
            return e->data;
    return NULL;
}

/* Hooks see only their own module: this thread has no world meanwhile. */
static int run_on_load(struct molt_version *v, struct molt_error *err)
{
    int (*fn)(void) = (int (*)(void))(uintptr_t)hook_of(v, MOLT_EXT_ON_LOAD);
    void **world = molt_world;
    molt_world = molt_thunk_outside_table();
    int rc = fn ? fn() : 0;
    molt_world = world;
    if (rc != 0)
        return molt_error_set(err, MOLT_EONLOAD,
                              "%s@%u: on_load returned %d; what ran before goes on", v->module,
                              v->number, rc);
    v->is_loaded = true;
    return 0;
}

static void run_on_abandon(struct molt_version *v)
{
    void (*fn)(void) = (void (*)(void))(uintptr_t)hook_of(v, MOLT_EXT_ON_ABANDON);
    if (!v->is_loaded || !fn)
        return;
    void **world = molt_world;
    molt_world = molt_thunk_outside_table();
    fn();
    molt_world = world;
}

/* ---- seal, commit, abort ---------------------------------------------------------- */

static int seal(struct molt_code *code, struct molt_stage *stage, struct molt_error *err)
{
    int rc = molt_stage_check_open(stage, NULL, err);
    if (rc < 0)
        return rc;
    struct molt_world *world = molt_world_build(code, stage, err);
    if (!world)
        return MOLT_ENOMEM;
    rc = molt_world_check(world, stage, err);
    if (rc == 0)
        rc = molt_layouts_bind(code, stage, world, err);
    /* Author's code runs without the lock; the stage is the executor's own. */
    pthread_mutex_unlock(&code->lock);
    for (size_t i = 0; rc == 0 && i < stage->n_items; i++)
        if (stage->items[i].kind == MOLT_ITEM_PUT && !stage->items[i].version->is_loaded)
            rc = run_on_load(stage->items[i].version, err);
    pthread_mutex_lock(&code->lock);
    if (rc < 0) {
        molt_world_free(world);
        return rc;
    }
    stage->world = world;
    world->next_older = code->worlds;
    code->worlds = world;
    return 0;
}

int molt_stage_seal(struct molt_code *code, uint64_t id, struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage ? seal(code, stage, err) : MOLT_ESTALE;
    pthread_mutex_unlock(&code->lock);
    return rc;
}

int molt_stage_world(struct molt_code *code, uint64_t id, struct molt_world **ret)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, NULL);
    int rc = stage && stage->world ? 0 : MOLT_ESTALE;
    if (rc == 0)
        *ret = stage->world;
    pthread_mutex_unlock(&code->lock);
    return rc;
}

static void free_stage(struct molt_code *code)
{
    struct molt_stage *stage = code->stage;
    for (size_t i = 0; i < stage->n_items; i++)
        molt_meta_free(stage->items[i].meta);
    molt_layouts_drop(stage);
    molt_carries_drop(stage);
    free(stage->items);
    free(stage);
    code->stage = NULL;
}

/* Header digests of kept versions, and the moment when replaced ones became
 * old. What can fail here was allocated before the store. */
static int settle(struct molt_stage *stage)
{
    for (size_t i = 0; i < stage->n_items; i++) {
        struct molt_stage_item *item = &stage->items[i];
        struct molt_version *v = molt_world_find(stage->base, item->module);
        if (item->kind == MOLT_ITEM_KEEP && molt_version_set_headers(v, item->meta) < 0)
            return MOLT_ENOMEM;
    }
    uint64_t now = molt_clock_ms();
    for (size_t i = 0; i < stage->n_items; i++) {
        struct molt_version *v = molt_world_find(stage->base, stage->items[i].module);
        if (stage->items[i].kind != MOLT_ITEM_KEEP && v)
            v->retired_ms = now;
    }
    return 0;
}

int molt_stage_commit(struct molt_code *code, uint64_t id, uint64_t *ret_world_id,
                      struct molt_error *err)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, err);
    int rc = stage ? 0 : MOLT_ESTALE;
    if (rc == 0 && !stage->world)
        rc = molt_error_set(err, MOLT_ESTALE, "stage %llu is not sealed", (unsigned long long)id);
    if (rc == 0 && settle(stage) < 0)
        rc = molt_error_set(err, MOLT_ENOMEM, "out of memory");
    if (rc == 0) {
        struct molt_world *world = stage->world;
        world->id = ++code->last_world_id;
        world->created_ms = molt_clock_ms();
        *ret_world_id = world->id;
        molt_layouts_commit(code, stage);
        free_stage(code);
        /* The switch. Seq_cst: pairs with molt_participant_advance(); the
         * release half with the acquire of every boundary. */
        atomic_store(&code->current, world);
        molt_hostile_gap();
    }
    pthread_mutex_unlock(&code->lock);
    if (rc == 0 && code->on_idle_world)
        code->on_idle_world(code->user);
    return rc;
}

/* With the lock held, but for the hooks. */
void molt_stage_drop(struct molt_code *code)
{
    struct molt_stage *stage = code->stage;
    molt_carries_undo(stage);
    if (stage->world) {
        struct molt_world **at = &code->worlds;
        while (*at != stage->world)
            at = &(*at)->next_older;
        *at = stage->world->next_older;
        molt_world_free(stage->world);
    }
    for (size_t i = stage->n_items; i-- > 0;) {
        if (stage->items[i].kind != MOLT_ITEM_PUT)
            continue;
        pthread_mutex_unlock(&code->lock);
        run_on_abandon(stage->items[i].version);
        pthread_mutex_lock(&code->lock);
        molt_version_unload(code, stage->items[i].version);
    }
    free_stage(code);
}

int molt_stage_abort(struct molt_code *code, uint64_t id)
{
    pthread_mutex_lock(&code->lock);
    struct molt_stage *stage = molt_stage_find(code, id, NULL);
    if (stage)
        molt_stage_drop(code);
    pthread_mutex_unlock(&code->lock);
    return stage ? 0 : MOLT_ESTALE;
}
