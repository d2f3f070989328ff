/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "runtime/table_mirror.h"

#define AGAIN 1 /* layouts changed meanwhile */

/* ---- init and fini --------------------------------------------------------------- */

/* Unpredictable where the system has any randomness; unequal everywhere. */
static uint64_t random_word(const void *salt)
{
    uint64_t word = 0;
    if (getrandom(&word, sizeof(word), GRND_NONBLOCK) != (ssize_t)sizeof(word))
        word = molt_clock_ns();
    return word ^ (uint64_t)(uintptr_t)salt;
}

void molt_tables_init(struct molt_tables *tables, const struct molt_tables_config *config)
{
    memset(tables, 0, sizeof(*tables));
    if (config)
        tables->config = *config;
    molt_table_epochs_init(&tables->epochs, random_word(tables));
    tables->seed = random_word(tables);
    pthread_mutex_init(&tables->lock, NULL);
    for (unsigned i = 0; i < MOLT_TABLE_OWNER_BUCKETS; i++)
        molt_list_init(&tables->owners[i]);
}

static void free_table(struct molt_table_retired *retired)
{
    struct molt_table *table = (struct molt_table *)(void *)retired;
    molt_table_body_free(atomic_load_explicit(&table->body, memory_order_relaxed));
    molt_table_body_free(table->parked);
    free(table);
}

static void free_body(struct molt_table_retired *retired)
{
    molt_table_body_free((struct molt_table_body *)(void *)retired);
}

void molt_tables_fini(struct molt_tables *tables)
{
    if (!tables->epochs.id)
        return;
    uint32_t n = atomic_load_explicit(&tables->n_slots, memory_order_relaxed);
    for (uint32_t i = 1; i <= n; i++) {
        struct molt_table *table =
            atomic_load_explicit(&molt_tables_slot(tables, i)->table, memory_order_relaxed);
        if (table)
            free_table(&table->retired);
    }
    for (size_t i = 0; i < MOLT_TABLES_MAX / MOLT_TABLE_SEGMENT_SLOTS; i++)
        free(atomic_load_explicit(&tables->segments[i], memory_order_relaxed));
    molt_table_epochs_fini(&tables->epochs);
    pthread_mutex_destroy(&tables->lock);
    tables->epochs.id = 0;
}

/* ---- slots and handles -------------------------------------------------------------- */

int molt_tables_why(struct molt_tables *tables, molt_table handle)
{
    uint32_t number = molt_table_number(handle);
    if (number == 0 || number > atomic_load_explicit(&tables->n_slots, memory_order_acquire))
        return MOLT_ENOENT;
    uint64_t next =
        atomic_load_explicit(&molt_tables_slot(tables, number)->generation, memory_order_acquire);
    uint64_t generation = handle >> MOLT_TABLE_SLOT_BITS;
    return generation > 0 && generation < next ? MOLT_ESTALE : MOLT_ENOENT;
}

/* Under the lock. */
static int add_slots(struct molt_tables *tables)
{
    uint32_t n = atomic_load_explicit(&tables->n_slots, memory_order_relaxed);
    if (n + MOLT_TABLE_SEGMENT_SLOTS > MOLT_TABLES_MAX)
        return MOLT_ELIMIT;
    struct molt_table_slot *slots = calloc(MOLT_TABLE_SEGMENT_SLOTS, sizeof(*slots));
    if (!slots)
        return MOLT_ENOMEM;
    for (uint32_t i = MOLT_TABLE_SEGMENT_SLOTS; i > 0; i--) {
        slots[i - 1].number = n + i;
        atomic_init(&slots[i - 1].generation, 1);
        slots[i - 1].next_free = tables->free_slots;
        tables->free_slots = &slots[i - 1];
    }
    atomic_store_explicit(&tables->segments[n / MOLT_TABLE_SEGMENT_SLOTS], slots,
                          memory_order_release);
    atomic_store_explicit(&tables->n_slots, n + MOLT_TABLE_SEGMENT_SLOTS, memory_order_release);
    return 0;
}

/* ---- names and owners ----------------------------------------------------------------- */

static _Atomic(struct molt_table *) *name_bucket(struct molt_tables *tables, const char *name)
{
    uint32_t h = 2166136261u;
    for (const char *at = name; *at; at++)
        h = (h ^ (unsigned char)*at) * 16777619u;
    return &tables->names[(h ^ h >> 16) % MOLT_TABLE_NAME_BUCKETS];
}

/* By who has entered, or has the lock. */
static struct molt_table *find_name(struct molt_tables *tables, const char *name)
{
    /* Seq_cst: see molt_table_enter(). */
    struct molt_table *t = atomic_load_explicit(name_bucket(tables, name), memory_order_seq_cst);
    while (t && strcmp(t->name, name) != 0)
        t = atomic_load_explicit(&t->next_name, memory_order_seq_cst);
    return t;
}

/* Under the lock. */
static void forget_name(struct molt_tables *tables, struct molt_table *table)
{
    if (!table->name[0])
        return;
    _Atomic(struct molt_table *) *at = name_bucket(tables, table->name);
    struct molt_table *t = atomic_load_explicit(at, memory_order_relaxed);
    while (t != table) {
        at = &t->next_name;
        t = atomic_load_explicit(at, memory_order_relaxed);
    }
    /* A reader that is at @table goes on by its next_name, which stays. */
    atomic_store(at, atomic_load_explicit(&table->next_name, memory_order_relaxed));
}

static struct molt_list *owner_bucket(struct molt_tables *tables, molt_pid owner)
{
    return &tables->owners[(owner ^ owner >> 22) % MOLT_TABLE_OWNER_BUCKETS];
}

/* Under the lock. */
static void set_owner(struct molt_tables *tables, struct molt_table *table, molt_pid owner)
{
    molt_list_unlink(&table->owner_link);
    molt_list_append(owner_bucket(tables, owner), &table->owner_link);
    atomic_store_explicit(&table->owner, owner, memory_order_release);
}

/* Lock, while no upgrade is being made. */
static void lock_open(struct molt_tables *tables)
{
    for (unsigned spins = 0;; molt_seq_pause(&spins)) {
        pthread_mutex_lock(&tables->lock);
        if (!tables->is_closed)
            return;
        pthread_mutex_unlock(&tables->lock);
    }
}

/* ---- create ------------------------------------------------------------------------------ */

static int check_options(const struct molt_table_options *o, struct molt_error *err)
{
    if (o->kind > MOLT_TABLE_ORDERED || o->access > MOLT_TABLE_PUBLIC)
        return molt_error_set(err, MOLT_EINVAL, "no table has kind %u and access %u", o->kind,
                              o->access);
    if (o->name && (!o->name[0] || strlen(o->name) >= MOLT_TABLE_NAME_MAX))
        return molt_error_set(err, MOLT_EINVAL,
                              "a table's name has 1 to %d bytes; leave it out for a table that is "
                              "known by its handle alone",
                              MOLT_TABLE_NAME_MAX - 1);
    return 0;
}

static struct molt_table *make(struct molt_tables *tables, const struct molt_table_layout *layout,
                               const struct molt_table_options *o)
{
    struct molt_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->kind = o->kind;
    table->access = o->access;
    table->rows_max = o->rows_max ? o->rows_max : UINT64_MAX;
    if (o->bytes_max && o->bytes_max / layout->row_bytes < table->rows_max)
        table->rows_max = o->bytes_max / layout->row_bytes;
    if (o->name)
        strcpy(table->name, o->name);
    molt_list_init(&table->owner_link);
    struct molt_table_body *body =
        molt_table_body_new(layout, o->kind == MOLT_TABLE_ORDERED, tables->seed, table->rows_max);
    if (!body) {
        free(table);
        return NULL;
    }
    atomic_init(&table->body, body);
    return table;
}

/* New tables have the layouts of the current world also if older code makes them. Returns
 * n_openings, which tells whether that is still so. MOLT_ECHANGE, MOLT_EINVAL. */
static int64_t adapt(struct molt_tables *tables, struct molt_table_layout *layout,
                     struct molt_error *err)
{
    struct molt_way key_way = {.n = 0}, value_way = {.n = 0};
    pthread_mutex_lock(&tables->lock);
    int64_t n = (int64_t)tables->n_openings;
    int rc = tables->world
                 ? molt_table_mirror_ways(tables->world, layout, "new", &key_way, &value_way, err)
                 : 0;
    pthread_mutex_unlock(&tables->lock);
    if (rc > 0)
        rc = molt_table_mirror_layout(layout, &key_way, &value_way, layout, err);
    return rc < 0 ? rc : n;
}

/* Under the lock. */
static int publish(struct molt_tables *tables, struct molt_table *table, molt_pid owner)
{
    if (table->name[0] && find_name(tables, table->name))
        return MOLT_EEXIST;
    int rc = tables->free_slots ? 0 : add_slots(tables);
    if (rc < 0)
        return rc;
    struct molt_table_slot *slot = tables->free_slots;
    tables->free_slots = slot->next_free;
    uint64_t generation = atomic_load_explicit(&slot->generation, memory_order_relaxed);
    table->handle = generation << MOLT_TABLE_SLOT_BITS | slot->number;
    set_owner(tables, table, owner);
    atomic_store(&slot->table, table);
    if (table->name[0]) {
        _Atomic(struct molt_table *) *at = name_bucket(tables, table->name);
        atomic_init(&table->next_name, atomic_load_explicit(at, memory_order_relaxed));
        atomic_store(at, table);
    }
    atomic_fetch_add_explicit(&tables->n_tables, 1, memory_order_relaxed);
    return 0;
}

int molt_tables_create(struct molt_tables *tables, molt_pid owner,
                       const struct molt_table_layout *layout,
                       const struct molt_table_options *options, molt_table *ret_table,
                       struct molt_error *err)
{
    const struct molt_table_options none = {0};
    const struct molt_table_options *o = options ? options : &none;
    int rc = check_options(o, err);
    if (rc < 0)
        return rc;
    molt_table handle = 0;
    struct molt_table *table = NULL;
    do {
        struct molt_table_layout adapted = *layout;
        int64_t n_openings = adapt(tables, &adapted, err);
        if (table)
            free_table(&table->retired);
        if (n_openings < 0)
            return (int)n_openings;
        table = make(tables, &adapted, o);
        if (!table)
            return molt_error_set(err, MOLT_ENOMEM, "no memory for a table");
        lock_open(tables);
        bool is_late = tables->n_openings != (uint64_t)n_openings;
        rc = is_late ? AGAIN : publish(tables, table, owner);
        handle = table->handle; /* from now on it may be dropped by others */
        pthread_mutex_unlock(&tables->lock);
    } while (rc == AGAIN);
    if (rc < 0) {
        free_table(&table->retired);
        return molt_error_set(err, rc, "can't make table '%s': %s", o->name ? o->name : "",
                              molt_error_text(rc));
    }
    *ret_table = handle;
    return 0;
}

/* ---- drop and inherit ---------------------------------------------------------------------- */

/* Under the lock: out of sight; the caller retires it. */
static void withdraw(struct molt_tables *tables, struct molt_table *table)
{
    struct molt_table_slot *slot = molt_tables_slot(tables, molt_table_number(table->handle));
    forget_name(tables, table);
    molt_list_unlink(&table->owner_link);
    atomic_fetch_add_explicit(&slot->generation, 1, memory_order_release);
    atomic_store(&slot->table, NULL);
    slot->next_free = tables->free_slots;
    tables->free_slots = slot;
    atomic_fetch_sub_explicit(&tables->n_tables, 1, memory_order_relaxed);
}

/* Under the lock: a table that @self may do anything with. */
static int look_as_owner(struct molt_tables *tables, molt_pid self, molt_table handle,
                         struct molt_table **ret)
{
    *ret = molt_tables_look(tables, handle);
    if (!*ret)
        return molt_tables_why(tables, handle);
    return atomic_load_explicit(&(*ret)->owner, memory_order_relaxed) == self ? 0 : MOLT_EOWNER;
}

int molt_tables_drop(struct molt_tables *tables, molt_pid self, molt_table handle)
{
    struct molt_table *table;
    pthread_mutex_lock(&tables->lock);
    int rc = look_as_owner(tables, self, handle, &table);
    if (rc == 0)
        withdraw(tables, table);
    pthread_mutex_unlock(&tables->lock);
    if (rc == 0)
        molt_table_retire(&tables->epochs, &table->retired, free_table);
    return rc;
}

int molt_tables_find(struct molt_tables *tables, const char *name, molt_table *ret_table)
{
    if (!name)
        return MOLT_EINVAL;
    struct molt_table_thread *thread = molt_table_enter(&tables->epochs);
    if (!thread)
        return MOLT_ENOMEM;
    struct molt_table *table = find_name(tables, name);
    molt_table handle = table ? table->handle : 0;
    molt_table_leave(thread);
    if (!handle)
        return MOLT_ENOENT;
    *ret_table = handle;
    return 0;
}

int molt_tables_set_heir(struct molt_tables *tables, molt_pid self, molt_table handle,
                         molt_pid heir, uint64_t data, const struct molt_type *heritage_type)
{
    struct molt_table *table;
    if (heir && !heritage_type)
        return MOLT_ETYPE;
    pthread_mutex_lock(&tables->lock);
    int rc = look_as_owner(tables, self, handle, &table);
    if (rc == 0) {
        table->heir = heir;
        table->heir_data = data;
        table->heritage_type = heritage_type;
    }
    pthread_mutex_unlock(&tables->lock);
    return rc;
}

/* Under the lock: one of the tables of @owner. */
static struct molt_table *table_of(struct molt_tables *tables, molt_pid owner)
{
    struct molt_list *head = owner_bucket(tables, owner);
    for (struct molt_list *node = head->next; node != head; node = node->next) {
        struct molt_table *table = molt_container_of(node, struct molt_table, owner_link);
        if (atomic_load_explicit(&table->owner, memory_order_relaxed) == owner)
            return table;
    }
    return NULL;
}

/* What becomes of one table of an owner that ended. */
struct bequest {
    struct molt_table *dropped; /* or: */
    molt_pid heir;
    struct molt_table_heritage heritage;
    const struct molt_type *type;
};

/* False: it has no table any more. */
static bool bequeath(struct molt_tables *tables, molt_pid owner, struct bequest *ret)
{
    *ret = (struct bequest){0};
    pthread_mutex_lock(&tables->lock);
    struct molt_table *table = table_of(tables, owner);
    if (table && table->heir && table->heir != owner) {
        ret->heir = table->heir;
        ret->heritage = (struct molt_table_heritage){table->handle, owner, table->heir_data};
        ret->type = table->heritage_type;
        /* The new owner names its own heir. */
        table->heir = 0;
        set_owner(tables, table, ret->heir);
    } else if (table) {
        withdraw(tables, table);
        ret->dropped = table;
    }
    pthread_mutex_unlock(&tables->lock);
    return table != NULL;
}

void molt_tables_owner_ended(struct molt_tables *tables, molt_pid owner,
                             molt_table_inherit_fn *inherit, void *user)
{
    struct bequest b;
    /* Relaxed: an owner that ended has seen its own tables made. */
    if (owner == 0 || atomic_load_explicit(&tables->n_tables, memory_order_relaxed) == 0)
        return;
    while (bequeath(tables, owner, &b)) {
        if (b.dropped) {
            molt_table_retire(&tables->epochs, &b.dropped->retired, free_table);
            continue;
        }
        /* It may have ended before it became the owner: then nobody else drops
         * what it got. If it ended since, it has dropped it. */
        if (inherit(user, b.heir, &b.heritage, b.type) == MOLT_EDEAD)
            molt_tables_drop(tables, b.heir, b.heritage.table);
    }
}

/* ---- clear ------------------------------------------------------------------------------------
 */

int molt_tables_clear(struct molt_tables *tables, molt_pid self, molt_table handle)
{
    struct molt_table_body *old = NULL;
    lock_open(tables);
    struct molt_table *table;
    int rc = look_as_owner(tables, self, handle, &table);
    if (rc == MOLT_EOWNER && table->access == MOLT_TABLE_PUBLIC)
        rc = 0;
    if (rc == 0) {
        old = molt_table_body_of(table);
        struct molt_table_body *fresh =
            molt_table_body_new(&old->layout, old->is_ordered, old->seed, old->rows_max);
        if (fresh)
            atomic_store(&table->body, fresh);
        else
            rc = MOLT_ENOMEM;
    }
    pthread_mutex_unlock(&tables->lock);
    if (rc == 0)
        molt_table_retire(&tables->epochs, &old->retired, free_body);
    return rc;
}
