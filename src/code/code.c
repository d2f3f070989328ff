/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "code/code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "code/store.h"
#include "code/table.h"

static int init_sync(struct molt_code *code)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return MOLT_ENOMEM;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&code->boundary, &attr) ? MOLT_ENOMEM : 0;
    pthread_condattr_destroy(&attr);
    if (rc == 0 && pthread_mutex_init(&code->lock, NULL) != 0) {
        pthread_cond_destroy(&code->boundary);
        rc = MOLT_ENOMEM;
    }
    return rc;
}

static int check_store(const char *store, struct molt_error *err)
{
    struct stat st;
    if (!store || stat(store, &st) < 0 || !S_ISDIR(st.st_mode))
        return molt_error_set(err, MOLT_EINVAL, "the store %s is not a folder", store ? store : "");
    return 0;
}

int molt_code_new(const struct molt_code_config *config, struct molt_code **ret,
                  struct molt_error *err)
{
    int rc = check_store(config->store, err);
    if (rc < 0)
        return rc;
    struct molt_code *code = calloc(1, sizeof(*code));
    if (!code || init_sync(code) < 0) {
        free(code);
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    code->worlds_max = config->worlds_max ? config->worlds_max : MOLT_WORLDS_MAX;
    code->is_sealed = config->is_sealed;
    code->sink = config->sink;
    code->on_idle_world = config->on_idle_world;
    code->on_unloaded = config->on_unloaded;
    code->user = config->user;
    /* Absolute, because gdb, perf and the loader know images by it. */
    code->store = realpath(config->store, NULL);
    if (code->store && code->is_sealed)
        molt_store_sweep(code->store);
    struct molt_world *first = molt_world_empty(code);
    if (!code->store || !first || molt_types_new(&code->types) < 0) {
        molt_world_free(first);
        pthread_mutex_destroy(&code->lock);
        pthread_cond_destroy(&code->boundary);
        free(code->store);
        free(code);
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    first->id = ++code->last_world_id;
    code->worlds = first;
    atomic_store(&code->current, first);
    *ret = code;
    return 0;
}

static void free_versions(struct molt_code *code)
{
    while (code->versions) {
        struct molt_version *v = code->versions;
        if (molt_version_unload(code, v) == MOLT_IMAGE_KEPT) {
            code->versions = v->next;
            molt_store_withdraw(&v->image);
            molt_version_free(v);
        }
    }
    molt_code_drop_spans(code);
}

void molt_code_free(struct molt_code *code)
{
    if (!code)
        return;
    pthread_mutex_lock(&code->lock);
    if (code->stage)
        molt_stage_drop(code);
    pthread_mutex_unlock(&code->lock);
    while (code->worlds) {
        struct molt_world *world = code->worlds;
        code->worlds = world->next_older;
        molt_world_free(world);
    }
    free_versions(code);
    molt_layouts_free(code);
    molt_types_free(code->types);
    for (unsigned i = 0; i < atomic_load(&code->n_server_names); i++)
        free(atomic_load(&code->server_names[i]));
    pthread_mutex_destroy(&code->lock);
    pthread_cond_destroy(&code->boundary);
    free(code->numbers);
    free(code->store);
    free(code);
}
