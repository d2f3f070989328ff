/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * All tables of a runtime: who has them, and what is done with them. The
 * public functions (<molt/table.h>, api_table.c) come here with the caller's
 * pid and type objects; nothing here knows processes, blocks or worlds.
 *
 * A handle is a slot's number and a generation. Reading a slot, a name or a
 * body takes no lock: what is taken out of sight is freed when everybody who
 * could have seen it has left (table_epoch.h).
 *
 * Threads: any, unless said otherwise.
 * Locks:   molt_tables.lock guards slots, names, owners and heirs (their
 *          pointers are atomic for readers). The locks of epochs and bodies
 *          nest in it. No callback is called with a lock held.
 */
#ifndef MOLT_RUNTIME_TABLE_H
#define MOLT_RUNTIME_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/table.h>

#include "base/list.h"
#include "code/code.h"
#include "port/limits.h"
#include "runtime/table_body.h"
#include "runtime/table_epoch.h"

struct molt_world;

#define MOLT_TABLE_SLOT_BITS 20 /* of a handle */
#define MOLT_TABLES_MAX MOLT_LIMIT(65536u, 64u)
#define MOLT_TABLE_SEGMENT_SLOTS MOLT_LIMIT(256u, 2u)
#define MOLT_TABLE_NAME_BUCKETS MOLT_LIMIT(256u, 2u)
#define MOLT_TABLE_OWNER_BUCKETS MOLT_LIMIT(256u, 2u)

struct molt_table {
    struct molt_table_retired retired; /* first */
    molt_table handle;
    char name[MOLT_TABLE_NAME_MAX];
    uint32_t kind, access;
    uint64_t rows_max;
    _Atomic(struct molt_table_body *) body; /* NULL: closed, operations wait a moment */
    _Atomic(molt_pid) owner;
    _Atomic(struct molt_table *) next_name;
    /* Under the lock. */
    struct molt_list owner_link;
    molt_pid heir;
    uint64_t heir_data;
    const struct molt_type *heritage_type;
    struct molt_table_body *parked; /* the body, while it is closed */
};

struct molt_table_slot {
    _Atomic(struct molt_table *) table;
    _Atomic(uint64_t) generation;      /* of the table that is in it, or comes next */
    struct molt_table_slot *next_free; /* under the lock */
    uint32_t number;
};

/* What has to be done with the words of rows that may point. Called with no
 * lock held. @is_stored: they are about to be put into a table; a negative
 * result refuses that. Otherwise they were copied out. */
typedef int molt_table_vet_fn(void *user, const struct molt_type *type, const void *bytes,
                              bool is_stored);

struct molt_tables_config {
    molt_table_vet_fn *vet; /* NULL: nothing */
    /* The world that the calling thread is in. NULL: there are no other layouts. */
    const struct molt_world *(*world)(void *user);
    void *user;
};

struct molt_tables {
    struct molt_tables_config config;
    struct molt_table_epochs epochs;
    uint64_t seed;
    _Atomic(uint32_t) n_slots; /* grows only */
    _Atomic(struct molt_table_slot *) segments[MOLT_TABLES_MAX / MOLT_TABLE_SEGMENT_SLOTS];
    _Atomic(struct molt_table *) names[MOLT_TABLE_NAME_BUCKETS];
    _Atomic(uint32_t) n_tables;
    pthread_mutex_t lock;
    struct molt_table_slot *free_slots;
    struct molt_list owners[MOLT_TABLE_OWNER_BUCKETS]; /* tables by owner */
    const struct molt_world *world; /* whose layouts tables have; NULL: none was set */
    uint64_t n_openings;            /* counts molt_tables_open() */
    bool is_closed;                 /* no table is made or cleared meanwhile */
    /* Of the executor: where the sweep is. */
    struct {
        uint32_t slot;
        bool is_inside; /* behind key of that slot's table */
        uint64_t key[MOLT_TABLE_KEY_WORDS];
    } sweep;
};

/* @config may be NULL. */
void molt_tables_init(struct molt_tables *tables, const struct molt_tables_config *config);
/* Nobody uses them any more. Also after a failed or no init, if it is zeroed. */
void molt_tables_fini(struct molt_tables *tables);

/* ---- life -------------------------------------------------------------------- */

/* As molt_table_new(); @options may be NULL. */
int molt_tables_create(struct molt_tables *tables, molt_pid owner,
                       const struct molt_table_layout *layout,
                       const struct molt_table_options *options, molt_table *ret_table,
                       struct molt_error *err);
int molt_tables_drop(struct molt_tables *tables, molt_pid self, molt_table table);
int molt_tables_find(struct molt_tables *tables, const char *name, molt_table *ret_table);
int molt_tables_set_heir(struct molt_tables *tables, molt_pid self, molt_table table, molt_pid heir,
                         uint64_t data, const struct molt_type *heritage_type);

/* Tell @heir, which owns the table already. MOLT_EDEAD: there is no such
 * process any more, the table is dropped. Other failures: it stays the heir's. */
typedef int molt_table_inherit_fn(void *user, molt_pid heir,
                                  const struct molt_table_heritage *heritage,
                                  const struct molt_type *type);

/* Process @owner has ended: its tables go to their heirs, or are dropped.
 * Costs next to nothing if it has none. */
void molt_tables_owner_ended(struct molt_tables *tables, molt_pid owner,
                             molt_table_inherit_fn *inherit, void *user);

/* ---- rows -------------------------------------------------------------------- */

/* What an operation is called with; which members it reads is told by
 * <molt/table.h>. Types are those of what the pointers point to. */
struct molt_table_args {
    molt_table table;
    molt_pid self;
    const void *key;
    const struct molt_type *key_type, *value_type;
    const void *value, *expected;
    struct molt_table_field field;
    int64_t delta;
};

int molt_tables_get(struct molt_tables *tables, const struct molt_table_args *args,
                    void *ret_value);
/* *ret is the taken value (MOLT_TABLE_OP_TAKE), an int64_t with the sum
 * (MOLT_TABLE_OP_ADD, may be NULL), or not used. */
int molt_tables_write(struct molt_tables *tables, enum molt_table_op op,
                      const struct molt_table_args *args, void *ret);
/* @args->key NULL: from the edge. */
int molt_tables_step(struct molt_tables *tables, const struct molt_table_args *args,
                     enum molt_table_step step, void *ret_key, const struct molt_type *ret_key_type,
                     void *ret_value);
int molt_tables_compare(struct molt_tables *tables, molt_table table, const void *a,
                        const struct molt_type *a_type, const void *b,
                        const struct molt_type *b_type, int *ret_order);
int64_t molt_tables_count(struct molt_tables *tables, molt_table table);
int molt_tables_clear(struct molt_tables *tables, molt_pid self, molt_table table);

/* ---- other layouts (table_migrate.c); by the executor -------------------------------- */

/* Make all rows once more, in the layouts of @world, beside the tables, while everything
 * serves; what is written meanwhile is, too. Nothing to do for tables whose types @world
 * takes. MOLT_ECHANGE: a row can't be converted, or would become another row's key, @err
 * names table, key and field; MOLT_EINVAL: the new type is none for a table; MOLT_ENOMEM. On
 * failure nothing was prepared. @world stays until molt_tables_open(). */
int molt_tables_prepare(struct molt_tables *tables, const struct molt_world *world,
                        struct molt_error *err);

/* Prepare what came since, and have operations on prepared tables wait until
 * molt_tables_open(), which must come soon, on this thread. Fails like prepare. */
int molt_tables_close(struct molt_tables *tables, const struct molt_world *world,
                      struct molt_error *err);

/* Whatever was prepared or closed: with @is_committed the tables go on with what was made
 * for @world, which is the current one now, else as they were, and what was made is freed.
 * Always to be called at the end. Can't fail. */
void molt_tables_open(struct molt_tables *tables, const struct molt_world *world,
                      bool is_committed);

/* Whether molt_tables_prepare() would succeed now: it does, and throws away what it made. */
int molt_tables_check(struct molt_tables *tables, const struct molt_world *world,
                      struct molt_error *err);

/* Nobody is in an older world than @world: lead pointers in rows on that lead into older
 * images. @n_rows at most, from where the call before ended. 1: there is more; 0: that was the
 * last table, the next call begins again. *n_changed is added to. */
int molt_tables_sweep(struct molt_tables *tables, const struct molt_world *world, size_t n_rows,
                      size_t *n_changed);

/* ---- all of them ---------------------------------------------------------------- */

int molt_tables_describe(struct molt_tables *tables, molt_table table,
                         struct molt_table_info *ret_info);

/* Each table there is; not one consistent instant. The number of tables, or
 * MOLT_ENOMEM. @fn may do anything with tables. */
int molt_tables_each(struct molt_tables *tables,
                     void (*fn)(void *user, const struct molt_table_info *info), void *user);

/* Each table with its types: as molt_tables_each(). */
int molt_tables_each_typed(struct molt_tables *tables,
                           void (*fn)(void *user, const struct molt_table_info *info,
                                      const struct molt_type *key_type,
                                      const struct molt_type *value_type),
                           void *user);

/* Do rows of any table have words that may hold an address? */
bool molt_tables_may_point(struct molt_tables *tables);

/* Look for words into @ranges (sorted by lo) in the rows of all tables, beside
 * whoever uses them; names what it finds: "table 'routes': struct route.handler".
 * One report for each table and range. What is put or copied out meanwhile is
 * looked at by who does that (molt_tables_config.vet). The number of reports,
 * or MOLT_ENOMEM. */
int molt_table_scan(struct molt_tables *tables, const struct molt_range *ranges, size_t n,
                    molt_pin_fn *report, void *report_user);

/* ---- for the files of the tables --------------------------------------------------- */

/* MOLT_ESTALE: it was one. MOLT_ENOENT: it never was. */
int molt_tables_why(struct molt_tables *tables, molt_table table);

static inline struct molt_table_slot *molt_tables_slot(struct molt_tables *tables, uint32_t number)
{
    uint32_t i = number - 1;
    /* Acquire: pairs with the release store of add_slots(). */
    return atomic_load_explicit(&tables->segments[i / MOLT_TABLE_SEGMENT_SLOTS],
                                memory_order_acquire) +
           i % MOLT_TABLE_SEGMENT_SLOTS;
}

/* The slot's number; it may be none. */
static inline uint32_t molt_table_number(molt_table handle)
{
    return (uint32_t)(handle & ((UINT64_C(1) << MOLT_TABLE_SLOT_BITS) - 1));
}

/* The table of a handle, for a thread that has entered, or has the lock. NULL:
 * see molt_tables_why(). */
static inline struct molt_table *molt_tables_look(struct molt_tables *tables, molt_table handle)
{
    uint32_t number = molt_table_number(handle);
    if (number == 0 || number > atomic_load_explicit(&tables->n_slots, memory_order_acquire))
        return NULL;
    /* Seq_cst: see molt_table_enter(). */
    struct molt_table *table =
        atomic_load_explicit(&molt_tables_slot(tables, number)->table, memory_order_seq_cst);
    return table && table->handle == handle ? table : NULL;
}

static inline struct molt_table_body *molt_table_body_of(struct molt_table *table)
{
    /* Seq_cst: see molt_table_enter(). */
    return atomic_load_explicit(&table->body, memory_order_seq_cst);
}

/* The same under the lock, also while it is closed. */
static inline struct molt_table_body *molt_table_body_locked(struct molt_table *table)
{
    struct molt_table_body *body = molt_table_body_of(table);
    return body ? body : table->parked;
}

#endif
