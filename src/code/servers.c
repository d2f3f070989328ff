/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Ids of server names: inserted under the table's lock, never removed, so that
 * lookups need none. Release of a bucket pairs with the acquire of a lookup.
 */
#include <stdlib.h>
#include <string.h>

#include "code/table.h"

static uint32_t hash_text(const char *text)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

int molt_code_server_id(struct molt_code *code, const char *name)
{
    uint32_t at = hash_text(name) % MOLT_SERVER_BUCKETS;
    for (;;) {
        unsigned id = atomic_load_explicit(&code->server_buckets[at], memory_order_acquire);
        if (id == 0)
            return -1;
        if (strcmp(atomic_load(&code->server_names[id - 1]), name) == 0)
            return (int)(id - 1);
        at = (at + 1) % MOLT_SERVER_BUCKETS;
    }
}

const char *molt_code_server_name(struct molt_code *code, int id)
{
    if (id < 0 || (unsigned)id >= atomic_load(&code->n_server_names))
        return NULL;
    return atomic_load(&code->server_names[id]);
}

int molt_server_intern(struct molt_code *code, const char *name, struct molt_error *err)
{
    int known = molt_code_server_id(code, name);
    if (known >= 0)
        return known;
    unsigned id = atomic_load(&code->n_server_names);
    if (id == MOLT_SERVERS_MAX)
        return molt_error_set(err, MOLT_ELIMIT, "more than %d server names in one host",
                              MOLT_SERVERS_MAX);
    char *copy = strdup(name);
    if (!copy)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    atomic_store(&code->server_names[id], copy);
    atomic_store(&code->n_server_names, id + 1);
    uint32_t at = hash_text(name) % MOLT_SERVER_BUCKETS;
    while (atomic_load(&code->server_buckets[at]))
        at = (at + 1) % MOLT_SERVER_BUCKETS;
    atomic_store_explicit(&code->server_buckets[at], id + 1, memory_order_release);
    return (int)id;
}
