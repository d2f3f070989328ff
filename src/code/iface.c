/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Interface objects and slots. A part holds thunks for a batch of new names;
 * it is loaded once, globally, and stays.
 *
 * The registry belongs to the OS process, not to a host: thunks are ELF names
 * of the global scope, of which there is one, so two hosts in one process have
 * to agree on the slots behind them. A slot is given out in this order: its
 * stub stands in every table from the start, then its index goes into the
 * part's data word, then images that use its name are loaded.
 *
 * Locks: registry.lock guards it all; taken under molt_code.lock, and takes
 * the loader's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code/table.h"
#include "port/limits.h"

#define BUCKETS 4096u

/* A (module, name, signature) that ever had a thunk. Never removed. */
struct slot {
    char *module, *name;
    char *label; /* "module:name" */
    uint64_t sig;
    void *thunk;
    uint32_t next; /* in its hash chain, index + 1 */
};

struct part {
    struct molt_image image;
    uint8_t digest[MOLT_SHA256_BYTES];
    struct part *next;
};

static struct {
    pthread_mutex_t lock;
    struct part *parts;
    struct slot *slots; /* [n] */
    size_t n, cap;
    uint32_t buckets[BUCKETS]; /* index + 1 */
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t bucket_of(const char *module, const char *name, uint64_t sig)
{
    uint64_t h = 14695981039346656037u ^ sig; /* FNV-1a */
    for (const char *p = module; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    for (const char *p = name; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    return (uint32_t)(h >> 32) % BUCKETS;
}

static long find(const char *module, const char *name, uint64_t sig)
{
    uint32_t at = registry.buckets[bucket_of(module, name, sig)];
    while (at) {
        const struct slot *slot = &registry.slots[at - 1];
        if (slot->sig == sig && !strcmp(slot->name, name) && !strcmp(slot->module, module))
            return (long)(at - 1);
        at = slot->next;
    }
    return -1;
}

long molt_iface_find(const char *module, const char *name, uint64_t sig, uint32_t ret_bytes,
                     void **ret_thunk)
{
    pthread_mutex_lock(&registry.lock);
    long slot = find(module, name, sig);
    if (slot >= 0) {
        *ret_thunk = registry.slots[slot].thunk;
        molt_thunk_describe((uint32_t)slot, registry.slots[slot].label, ret_bytes);
    }
    pthread_mutex_unlock(&registry.lock);
    return slot;
}

size_t molt_iface_count(void)
{
    pthread_mutex_lock(&registry.lock);
    size_t n = registry.n;
    pthread_mutex_unlock(&registry.lock);
    return n;
}

int molt_code_slot_name(struct molt_code *code, uint32_t slot, char *buf, size_t size)
{
    (void)code;
    const char *text = size ? molt_thunk_name(slot) : NULL;
    if (!text)
        return MOLT_ENOENT;
    size_t n = strnlen(text, size - 1);
    memcpy(buf, text, n);
    buf[n] = '\0';
    return 0;
}

/* ---- loading ---------------------------------------------------------------- */

/* Room for @n more. */
static int reserve_slots(size_t n, struct molt_error *err)
{
    if (n > MOLT_SLOTS_MAX - registry.n)
        return molt_error_set(err, MOLT_ELIMIT,
                              "all %u slots for exported functions are used; restart the host",
                              MOLT_SLOTS_MAX);
    size_t cap = registry.cap ? registry.cap : MOLT_LIMIT(256, 1);
    while (cap < registry.n + n)
        cap *= 2;
    if (cap == registry.cap)
        return 0;
    struct slot *slots = realloc(registry.slots, cap * sizeof(*slots));
    if (!slots)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    registry.slots = slots;
    registry.cap = cap;
    return 0;
}

static void fini_slot(struct slot *slot)
{
    free(slot->module);
    free(slot->name);
    free(slot->label);
}

/* Fill in @slot, which is nobody's yet. */
static int init_slot(struct slot *slot, const struct molt_interface_entry *entry)
{
    *slot = (struct slot){
        .module = strdup(entry->module),
        .name = strdup(entry->name),
        .sig = entry->sig,
        .thunk = entry->thunk,
    };
    if (slot->module && slot->name &&
        asprintf(&slot->label, "%s:%s", slot->module, slot->name) >= 0)
        return 0;
    slot->label = NULL; /* undefined after a failure */
    fini_slot(slot);
    return MOLT_ENOMEM;
}

/* The next slot, which was filled in, can be found from here on. */
static uint32_t add_slot(void)
{
    uint32_t index = (uint32_t)registry.n++;
    struct slot *slot = &registry.slots[index];
    if (index % MOLT_SLOTS_PER_PAGE == 0)
        molt_thunk_outside_fill(index, index + MOLT_SLOTS_PER_PAGE);
    uint32_t *bucket = &registry.buckets[bucket_of(slot->module, slot->name, slot->sig)];
    slot->next = *bucket;
    molt_thunk_describe(index, slot->label, 0);
    *bucket = index + 1;
    return index;
}

/* Whether [p, p + len) lies in the object, so that its table can be trusted to
 * be its own. */
static bool is_inside(const struct molt_image *image, const void *p, size_t len)
{
    uintptr_t a = (uintptr_t)p;
    return a >= image->lo && a <= image->hi && len <= image->hi - a;
}

static const struct molt_interface *check_part(const struct molt_image *image,
                                               struct molt_error *err)
{
    const struct molt_interface *table = molt_image_symbol(image, MOLT_INTERFACE_SYMBOL);
    bool ok = table && is_inside(image, table, sizeof(*table)) &&
              table->magic == MOLT_INTERFACE_MAGIC && table->count <= MOLT_SLOTS_MAX &&
              is_inside(image, table->slots, table->count * sizeof(*table->slots)) &&
              is_inside(image, table->entries, table->count * sizeof(*table->entries));
    for (uint32_t i = 0; ok && i < table->count; i++) {
        const struct molt_interface_entry *e = &table->entries[i];
        ok = is_inside(image, e->module, 1) && is_inside(image, e->name, 1) &&
             is_inside(image, e->thunk, 1);
    }
    if (!ok) {
        molt_error_set(err, MOLT_EFORMAT, "the interface object is malformed; build it again");
        return NULL;
    }
    if (table->abi != MOLT_ABI_VERSION) {
        molt_error_set(err, MOLT_EABI,
                       "the interface object is of ABI version %u, this host of %u; build it "
                       "with the same molt release",
                       table->abi, MOLT_ABI_VERSION);
        return NULL;
    }
    return table;
}

static int give_slots(const struct molt_interface *table, struct molt_error *err)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct molt_interface_entry *e = &table->entries[i];
        if (find(e->module, e->name, e->sig) >= 0)
            return molt_error_set(err, MOLT_EEXIST,
                                  "%s:%s has a thunk already in another interface object",
                                  e->module, e->name);
    }
    int rc = reserve_slots(table->count, err);
    if (rc < 0)
        return rc;
    /* All or none: a name that has a slot can't come again. */
    struct slot *next = registry.slots + registry.n;
    for (uint32_t i = 0; i < table->count; i++) {
        if (init_slot(&next[i], &table->entries[i]) == 0)
            continue;
        while (i-- > 0)
            fini_slot(&next[i]);
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < table->count; i++)
        table->slots[i] = add_slot();
    return 0;
}

static int load_part(struct molt_code *code, struct part *part, int fd, struct molt_error *err)
{
    struct molt_image_request request = {
        .store = code->store,
        .name = "molt-if",
        .fd = fd,
        .digest = part->digest,
        .is_sealed = code->is_sealed,
        .is_global = true,
    };
    int rc = molt_image_open(&request, &part->image, err);
    if (rc < 0)
        return rc;
    const struct molt_interface *table = check_part(&part->image, err);
    rc = table ? give_slots(table, err) : MOLT_EFORMAT;
    if (rc < 0) {
        char why[128];
        uintptr_t lo = part->image.lo, hi = part->image.hi;
        /* Nothing binds to it yet. */
        if (molt_image_close(&part->image, why, sizeof(why)) == MOLT_IMAGE_GONE)
            molt_image_unreserve(lo, hi);
    }
    return rc;
}

int molt_iface_load(struct molt_code *code, int fd, const uint8_t *digest, struct molt_error *err)
{
    pthread_mutex_lock(&registry.lock);
    struct part *part = registry.parts;
    while (part && memcmp(part->digest, digest, sizeof(part->digest)) != 0)
        part = part->next;
    int rc = 0;
    if (!part) {
        part = calloc(1, sizeof(*part));
        rc = part ? 0 : molt_error_set(err, MOLT_ENOMEM, "out of memory");
        if (rc == 0) {
            memcpy(part->digest, digest, sizeof(part->digest));
            rc = load_part(code, part, fd, err);
        }
        if (rc < 0) {
            free(part);
        } else {
            part->next = registry.parts;
            registry.parts = part;
        }
    }
    pthread_mutex_unlock(&registry.lock);
    return rc;
}

int molt_code_each_iface(struct molt_code *code,
                         void (*fn)(void *user, const struct molt_iface_info *), void *user)
{
    (void)code;
    pthread_mutex_lock(&registry.lock);
    for (size_t i = 0; i < registry.n; i++) {
        const struct slot *s = &registry.slots[i];
        fn(user, &(struct molt_iface_info){s->module, s->name, s->sig, (uint32_t)i});
    }
    pthread_mutex_unlock(&registry.lock);
    return 0;
}
