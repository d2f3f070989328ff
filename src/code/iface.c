/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Interface objects and slots. A part holds thunks for a batch of new names;
 * it is loaded once, globally, and stays. Giving a slot to a name happens in
 * this order: stubs into every live table, then the index into the part's data
 * word, then the part's names become visible to images that are loaded later.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code/store.h"
#include "code/table.h"

static uint32_t bucket_of(const char *module, const char *name, uint64_t sig)
{
    uint64_t h = 14695981039346656037u ^ sig;
    for (const char *p = module; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    for (const char *p = name; *p; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    return (uint32_t)(h >> 32) % MOLT_IFACE_BUCKETS;
}

long molt_iface_find(const struct molt_code *code, const char *module, const char *name,
                     uint64_t sig)
{
    uint32_t at = code->slot_buckets[bucket_of(module, name, sig)];
    while (at) {
        const struct molt_iface_slot *slot = &code->slots[at - 1];
        if (slot->sig == sig && !strcmp(slot->name, name) && !strcmp(slot->module, module))
            return (long)(at - 1);
        at = slot->next;
    }
    return -1;
}

/* ---- descriptions ------------------------------------------------------------- */

void molt_iface_set_ret_bytes(struct molt_code *code, uint32_t slot, uint32_t bytes)
{
    molt_thunk_describe(slot, code->slots[slot].label, bytes);
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

static int new_slot(struct molt_code *code, const struct molt_interface_entry *entry, uint32_t *ret,
                    struct molt_error *err)
{
    if (code->n_slots == MOLT_SLOTS_MAX)
        return molt_error_set(err, MOLT_ELIMIT,
                              "all %u slots for exported functions are used; restart the host",
                              MOLT_SLOTS_MAX);
    if (code->n_slots == code->cap_slots) {
        size_t cap = code->cap_slots ? 2 * code->cap_slots : 256;
        struct molt_iface_slot *slots = realloc(code->slots, cap * sizeof(*slots));
        if (!slots)
            return molt_error_set(err, MOLT_ENOMEM, "out of memory");
        code->slots = slots;
        code->cap_slots = cap;
    }
    uint32_t index = (uint32_t)code->n_slots;
    if (index % MOLT_SLOTS_PER_PAGE == 0) {
        size_t to = index + MOLT_SLOTS_PER_PAGE;
        for (struct molt_world *w = code->worlds; w; w = w->next_older)
            if (molt_world_fill(w, index, to) < 0)
                return molt_error_set(err, MOLT_ENOMEM, "out of memory");
        molt_thunk_outside_fill(index, to);
    }
    struct molt_iface_slot slot = {
        .module = strdup(entry->module),
        .name = strdup(entry->name),
        .sig = entry->sig,
        .thunk = entry->thunk,
    };
    if (!slot.module || !slot.name || asprintf(&slot.label, "%s:%s", slot.module, slot.name) < 0) {
        free(slot.module);
        free(slot.name);
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    }
    uint32_t *bucket = &code->slot_buckets[bucket_of(slot.module, slot.name, slot.sig)];
    slot.next = *bucket;
    code->slots[index] = slot;
    molt_thunk_describe(index, slot.label, 0);
    *bucket = index + 1;
    code->n_slots++;
    *ret = index;
    return 0;
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

/* Modules find thunks in the global scope, which is the process's, not the
 * host's: if another host was there first, they would bind to its thunks, with
 * its slots. */
static int check_visible(const struct molt_interface *table, struct molt_error *err)
{
    int rc = 0;
    void *program = dlopen(NULL, RTLD_NOW);
    for (uint32_t i = 0; program && rc == 0 && i < table->count; i++) {
        const struct molt_interface_entry *e = &table->entries[i];
        char symbol[512];
        if (molt_meta_symbol_name(symbol, sizeof(symbol), e->module, e->name, e->sig) < 0)
            rc = molt_error_set(err, MOLT_EFORMAT, "the name %.80s is too long", e->name);
        else if (dlsym(program, symbol) != e->thunk)
            rc = molt_error_set(err, MOLT_EEXIST,
                                "%s:%s has a thunk already, of another interface object or of "
                                "another host in this process; hosts with the same modules need "
                                "processes of their own",
                                e->module, e->name);
    }
    if (!program)
        return molt_error_set(err, MOLT_EIO, "the loader knows no program");
    dlclose(program);
    return rc;
}

static int give_slots(struct molt_code *code, const struct molt_interface *table,
                      struct molt_error *err)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct molt_interface_entry *e = &table->entries[i];
        if (molt_iface_find(code, e->module, e->name, e->sig) >= 0)
            return molt_error_set(err, MOLT_EEXIST,
                                  "%s:%s has a thunk already in another interface object",
                                  e->module, e->name);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        int rc = new_slot(code, &table->entries[i], &table->slots[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int molt_iface_load(struct molt_code *code, int fd, const uint8_t *digest, struct molt_error *err)
{
    for (struct molt_iface_part *p = code->parts; p; p = p->next)
        if (memcmp(p->digest, digest, sizeof(p->digest)) == 0)
            return 0;
    struct molt_iface_part *part = calloc(1, sizeof(*part));
    if (!part)
        return molt_error_set(err, MOLT_ENOMEM, "out of memory");
    memcpy(part->digest, digest, sizeof(part->digest));
    struct molt_image_request request = {
        .store = code->store,
        .name = "molt-if",
        .fd = fd,
        .digest = digest,
        .is_sealed = code->is_sealed,
        .is_global = true,
    };
    int rc = molt_image_open(&request, &part->image, err);
    if (rc < 0) {
        free(part);
        return rc;
    }
    const struct molt_interface *table = check_part(&part->image, err);
    rc = table ? check_visible(table, err) : MOLT_EFORMAT;
    if (rc == 0)
        rc = give_slots(code, table, err);
    if (rc < 0) {
        char why[128];
        /* Nothing binds to it yet; if slots were given before memory ran out,
         * they stay with their stubs. */
        molt_image_close(&part->image, why, sizeof(why));
        molt_store_withdraw(&part->image);
        free(part);
        return err && err->code ? err->code : rc;
    }
    part->next = code->parts;
    code->parts = part;
    return 0;
}

void molt_iface_fini(struct molt_code *code)
{
    while (code->parts) {
        struct molt_iface_part *part = code->parts;
        char why[128];
        code->parts = part->next;
        uintptr_t lo = part->image.lo, hi = part->image.hi;
        if (molt_image_close(&part->image, why, sizeof(why)) == MOLT_IMAGE_GONE)
            molt_image_unreserve(lo, hi);
        else
            molt_store_withdraw(&part->image); /* kept: somebody bound to a thunk */
        free(part);
    }
    for (size_t i = 0; i < code->n_slots; i++) {
        molt_thunk_describe((uint32_t)i, NULL, 0);
        free(code->slots[i].module);
        free(code->slots[i].name);
        free(code->slots[i].label);
    }
    free(code->slots);
}

int molt_code_each_iface(struct molt_code *code,
                         void (*fn)(void *user, const struct molt_iface_info *), void *user)
{
    pthread_mutex_lock(&code->lock);
    for (size_t i = 0; i < code->n_slots; i++) {
        const struct molt_iface_slot *s = &code->slots[i];
        fn(user, &(struct molt_iface_info){s->module, s->name, s->sig, (uint32_t)i});
    }
    pthread_mutex_unlock(&code->lock);
    return 0;
}
