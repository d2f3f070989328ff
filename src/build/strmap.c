/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "build/strmap.h"

#include <stdlib.h>
#include <string.h>

#include <molt/error.h>

#include "port/limits.h"

void molt_strmap_fini(struct molt_strmap *map, void (*free_value)(void *))
{
    for (size_t i = 0; i < map->n; i++) {
        free(map->entries[i].key);
        if (free_value && map->entries[i].value)
            free_value(map->entries[i].value);
    }
    free(map->entries);
    free(map->slots);
    *map = MOLT_STRMAP_INIT;
}

/* FNV-1a; the keys are paths and names of the project itself. */
static uint64_t hash(const char *key)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    return h;
}

/* The slot that holds @key, or the free one where it would go. */
static size_t slot_of(const struct molt_strmap *map, const char *key)
{
    size_t mask = map->n_slots - 1;
    size_t i = (size_t)hash(key) & mask;
    while (map->slots[i] && strcmp(map->entries[map->slots[i] - 1].key, key) != 0)
        i = (i + 1) & mask;
    return i;
}

static int grow(struct molt_strmap *map)
{
    size_t cap = map->cap ? map->cap * 2 : MOLT_LIMIT(32, 1);
    struct molt_strmap_entry *entries = realloc(map->entries, cap * sizeof(*entries));
    if (!entries)
        return MOLT_ENOMEM;
    map->entries = entries;
    uint32_t *slots = calloc(cap * 2, sizeof(*slots));
    if (!slots)
        return MOLT_ENOMEM;
    free(map->slots);
    map->slots = slots;
    map->n_slots = cap * 2;
    map->cap = cap;
    for (size_t i = 0; i < map->n; i++)
        map->slots[slot_of(map, map->entries[i].key)] = (uint32_t)i + 1;
    return 0;
}

void *molt_strmap_get(const struct molt_strmap *map, const char *key)
{
    if (!map->n_slots)
        return NULL;
    uint32_t at = map->slots[slot_of(map, key)];
    return at ? map->entries[at - 1].value : NULL;
}

int molt_strmap_put(struct molt_strmap *map, const char *key, void *value)
{
    if (map->n == map->cap) {
        int rc = grow(map);
        if (rc < 0)
            return rc;
    }
    size_t slot = slot_of(map, key);
    if (map->slots[slot]) {
        map->entries[map->slots[slot] - 1].value = value;
        return 0;
    }
    char *copy = strdup(key);
    if (!copy)
        return MOLT_ENOMEM;
    map->entries[map->n++] = (struct molt_strmap_entry){copy, value};
    map->slots[slot] = (uint32_t)map->n;
    return 0;
}
