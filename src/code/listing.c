/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "code/table.h"

/* Why a version that isn't current is still there. */
static void explain(const struct molt_code *code, const struct molt_version *v, char *buf,
                    size_t size)
{
    size_t n = 0;
    buf[0] = '\0';
    struct molt_world *current = atomic_load(&code->current);
    for (struct molt_world *w = code->worlds; w && n < size; w = w->next_older) {
        char owners[512];
        if (w == current || molt_world_find(w, v->module) != v)
            continue;
        molt_world_owners(code, w, owners, sizeof(owners));
        int m = snprintf(buf + n, size - n, "%sworld %llu: %s", n ? "; " : "",
                         (unsigned long long)w->id, *owners ? owners : "being freed");
        n += m > 0 ? (size_t)m : 0;
    }
    if (v->why && n < size)
        snprintf(buf + n, size - n, "%s%s", n ? "; " : "", v->why);
}

int molt_code_each_version(struct molt_code *code,
                           void (*fn)(void *user, const struct molt_version_info *), void *user)
{
    pthread_mutex_lock(&code->lock);
    struct molt_world *current = atomic_load(&code->current);
    for (struct molt_version *v = code->versions; v; v = v->next) {
        char why[4608] = "";
        bool is_current = molt_world_find(current, v->module) == v;
        if (!is_current)
            explain(code, v, why, sizeof(why));
        fn(user, &(struct molt_version_info){
                     .module = v->module,
                     .number = v->number,
                     .digest = v->meta->digest,
                     .build_id = v->image.build_id,
                     .build_id_len = v->image.build_id_len,
                     .base = v->image.base,
                     .bytes = v->image.hi - v->image.lo,
                     .is_current = is_current,
                     .path = v->image.path,
                     .why = why,
                     .loaded_ms = v->loaded_ms,
                 });
    }
    pthread_mutex_unlock(&code->lock);
    return 0;
}

/* Bytes that would go with @world: its table, and images in no other world. */
static size_t bytes_of(const struct molt_world *world)
{
    size_t bytes = molt_world_table_bytes();
    for (size_t i = 0; i < world->n_versions; i++)
        if (world->versions[i]->n_worlds == 1)
            bytes += world->versions[i]->image.hi - world->versions[i]->image.lo;
    return bytes;
}

int molt_code_each_world(struct molt_code *code,
                         void (*fn)(void *user, const struct molt_world_info *), void *user)
{
    pthread_mutex_lock(&code->lock);
    molt_worlds_collect(code);
    uint64_t now = molt_clock_ms();
    struct molt_world *current = atomic_load(&code->current);
    for (struct molt_world *w = code->worlds; w; w = w->next_older) {
        char owners[1024];
        if (w->id == 0)
            continue; /* staged, not committed */
        molt_world_owners(code, w, owners, sizeof(owners));
        fn(user, &(struct molt_world_info){
                     .id = w->id,
                     .age_ms = now - w->created_ms,
                     .bytes = bytes_of(w),
                     .is_current = w == current,
                     .n_holds = atomic_load(&w->n_holds),
                     .owners = owners,
                 });
    }
    pthread_mutex_unlock(&code->lock);
    return 0;
}

bool molt_code_world_has(struct molt_code *code, uint64_t world_id, const char *module,
                         unsigned number)
{
    bool has = false;
    pthread_mutex_lock(&code->lock);
    for (struct molt_world *w = code->worlds; w; w = w->next_older) {
        const struct molt_version *v = w->id == world_id ? molt_world_find(w, module) : NULL;
        has |= v && v->number == number;
    }
    pthread_mutex_unlock(&code->lock);
    return has;
}

unsigned molt_code_last_number(struct molt_code *code, const char *module)
{
    unsigned number = 0;
    pthread_mutex_lock(&code->lock);
    for (size_t i = 0; i < code->n_numbers; i++)
        if (strcmp(code->numbers[i].module, module) == 0)
            number = code->numbers[i].number;
    pthread_mutex_unlock(&code->lock);
    return number;
}
