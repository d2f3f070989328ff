/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "types/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <molt/error.h>

#include "port/limits.h"

#define CHUNK_BYTES ((size_t)32768)
#define ALIGNMENT ((size_t)16)

struct molt_arena_chunk {
    struct molt_arena_chunk *next;
    size_t used, cap;
    _Alignas(16) unsigned char bytes[];
};

static struct molt_arena_chunk *add_chunk(struct molt_arena *arena, size_t size)
{
    size_t cap = size > CHUNK_BYTES ? size : CHUNK_BYTES;
    struct molt_arena_chunk *chunk = calloc(1, sizeof *chunk + cap);
    if (!chunk)
        return NULL;
    chunk->cap = cap;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    return chunk;
}

void *molt_arena_alloc(struct molt_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) {
        arena->is_failed = true;
        return NULL;
    }
    size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    struct molt_arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->cap - chunk->used < size) {
        chunk = add_chunk(arena, size);
        if (!chunk) {
            arena->is_failed = true;
            return NULL;
        }
    }
    void *piece = chunk->bytes + chunk->used;
    chunk->used += size;
    return piece;
}

char *molt_arena_strdup(struct molt_arena *arena, const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = molt_arena_alloc(arena, len);
    if (copy)
        memcpy(copy, text, len);
    return copy;
}

char *molt_arena_printf(struct molt_arena *arena, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0) {
        arena->is_failed = true;
        return NULL;
    }
    char *copy = molt_arena_strdup(arena, text);
    free(text);
    return copy;
}

void molt_arena_fini(struct molt_arena *arena)
{
    struct molt_arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct molt_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    arena->chunks = NULL;
}

/* splitmix64's finaliser: addresses differ in few bits. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static struct molt_map_entry *find_entry(const struct molt_map *map, uint64_t key)
{
    size_t i = mix(key) & (map->cap - 1);
    while (map->entries[i].is_used && map->entries[i].key != key)
        i = (i + 1) & (map->cap - 1);
    return &map->entries[i];
}

static int widen(struct molt_map *map)
{
    struct molt_map wider = {.cap = map->cap ? 2 * map->cap : MOLT_LIMIT(64, 2), .n = map->n};
    wider.entries = calloc(wider.cap, sizeof *wider.entries);
    if (!wider.entries)
        return MOLT_ENOMEM;
    for (size_t i = 0; i < map->cap; i++)
        if (map->entries[i].is_used)
            *find_entry(&wider, map->entries[i].key) = map->entries[i];
    free(map->entries);
    *map = wider;
    return 0;
}

int molt_map_put(struct molt_map *map, uint64_t key, uint64_t value)
{
    if (2 * map->n >= map->cap && widen(map) < 0)
        return MOLT_ENOMEM;
    struct molt_map_entry *entry = find_entry(map, key);
    map->n += !entry->is_used;
    *entry = (struct molt_map_entry){.key = key, .value = value, .is_used = true};
    return 0;
}

bool molt_map_get(const struct molt_map *map, uint64_t key, uint64_t *ret_value)
{
    if (map->n == 0)
        return false;
    const struct molt_map_entry *entry = find_entry(map, key);
    if (!entry->is_used)
        return false;
    *ret_value = entry->value;
    return true;
}

void molt_map_fini(struct molt_map *map)
{
    free(map->entries);
    *map = (struct molt_map){0};
}

uint64_t molt_map_hash(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

void *molt_array_room(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    size_t wider = *cap ? 2 * *cap : MOLT_LIMIT(16, 1);
    void *moved = reallocarray(items, wider, size);
    if (moved)
        *cap = wider;
    return moved;
}
