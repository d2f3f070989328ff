/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Memory that lives as long as the reading of one image: zeroed pieces of big
 * chunks, freed together; a map from 64-bit keys; growing arrays.
 *
 * Threads: an arena or map belongs to one thread at a time.
 */
#ifndef MOLT_TYPES_ARENA_H
#define MOLT_TYPES_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

struct molt_arena_chunk;

struct molt_arena {
    struct molt_arena_chunk *chunks; /* the newest first */
    bool is_failed;                  /* something could not be had, at least once */
};

/* Zeroed, aligned to 16 bytes; NULL when out of memory. What was concluded
 * from a NULL may be wrong, so readers ask is_failed before they tell. */
void *molt_arena_alloc(struct molt_arena *arena, size_t size);
char *molt_arena_strdup(struct molt_arena *arena, const char *text);
char *molt_arena_printf(struct molt_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void molt_arena_fini(struct molt_arena *arena);

/* Open addressing; a zeroed struct is an empty map. */
struct molt_map_entry {
    uint64_t key;
    uint64_t value;
    bool is_used;
};
struct molt_map {
    struct molt_map_entry *entries;
    size_t n, cap;
};

/* Set the value of @key. MOLT_ENOMEM. */
int molt_map_put(struct molt_map *map, uint64_t key, uint64_t value);
bool molt_map_get(const struct molt_map *map, uint64_t key, uint64_t *ret_value);
void molt_map_fini(struct molt_map *map);

/* FNV-1a; for maps, not for identities. */
uint64_t molt_map_hash(const char *text);

/* @items (malloc'd, *cap items of @size bytes, @n used) with room for one more,
 * perhaps moved; NULL when out of memory, then it is as it was. */
void *molt_array_room(void *items, size_t n, size_t *cap, size_t size);

/* Make room in an array held by the lvalues @items and @cap. 0 or MOLT_ENOMEM. */
#define molt_array_grow(items, n, cap)                                                             \
    __extension__({                                                                                \
        void *moved_ = molt_array_room((items), (n), &(cap), sizeof *(items));                     \
        if (moved_)                                                                                \
            (items) = moved_;                                                                      \
        moved_ ? 0 : MOLT_ENOMEM;                                                                  \
    })

#endif
