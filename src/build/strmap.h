/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A hash table from strings to pointers, in the order of insertion.
 *
 * Threads: a map belongs to one thread at a time.
 */
#ifndef MOLT_BUILD_STRMAP_H
#define MOLT_BUILD_STRMAP_H

#include <stddef.h>
#include <stdint.h>

struct molt_strmap_entry {
    char *key;
    void *value;
};

struct molt_strmap {
    size_t n, cap;
    struct molt_strmap_entry *entries; /* [n], for walking */
    size_t n_slots;
    uint32_t *slots; /* index + 1, 0 is free */
};

#define MOLT_STRMAP_INIT ((struct molt_strmap){0})

/* @free_value may be NULL. */
void molt_strmap_fini(struct molt_strmap *map, void (*free_value)(void *));
/* NULL if absent. */
void *molt_strmap_get(const struct molt_strmap *map, const char *key);
/* Set @key (copied) to @value; the value before is overwritten, not freed.
 * MOLT_ENOMEM. */
int molt_strmap_put(struct molt_strmap *map, const char *key, void *value);

#endif
