/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Tables that follow their types, in the steps of an upgrade:
 *
 * - prepare: each table whose types change gets a mirror; all rows are touched.
 * - close: operations on these tables wait. When nobody is inside any more, the mirrors have
 *   just what the tables have.
 * - (the world is committed)
 * - open: the mirrors' bodies take the place of the old ones, or are thrown away.
 *
 * So the switch of tables and world is one for everybody: an operation sees the old rows in the
 * old world, or the new ones when the new world is current.
 *
 *  who               | meets                    | excluded by
 *  ------------------+--------------------------+------------------------------------------
 *  writer of a row   | the touch of that row    | the row's place is locked
 *  create, clear     | close to open            | wait for is_closed; made before it: prepared
 *                    |                          | by close
 *  drop              | any step                 | nothing: steps look up the table anew
 *  reader            | any step                 | nothing; it waits while closed
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/table_convert.h"
#include "runtime/table_mirror.h"
#include "runtime/table_visit.h"

#define CLOSE_TRIES 64 /* tables come faster than they are prepared */

/* ---- every table -------------------------------------------------------------------- */

static uint32_t n_slots(struct molt_tables *tables)
{
    return atomic_load_explicit(&tables->n_slots, memory_order_acquire);
}

/* Under the lock. */
static struct molt_table *table_at(struct molt_tables *tables, uint32_t number)
{
    return atomic_load_explicit(&molt_tables_slot(tables, number)->table, memory_order_relaxed);
}

static struct molt_table_mirror *mirror_of(struct molt_table_body *body)
{
    return atomic_load_explicit(&body->mirror, memory_order_seq_cst);
}

/* What messages call it. */
static const char *label(const struct molt_table *table, char *buf, size_t size)
{
    molt_pid owner = atomic_load_explicit(&table->owner, memory_order_relaxed);
    if (table->name[0])
        return table->name;
    snprintf(buf, size, "(no name, of process %llu)", (unsigned long long)owner);
    return buf;
}

/* ---- mirrors -------------------------------------------------------------------------- */

/* Under the lock: attach a mirror if @table needs one and has none; 1 if so. */
static int attach(struct molt_table *table, const struct molt_world *world, struct molt_error *err)
{
    struct molt_table_body *body = molt_table_body_of(table);
    struct molt_way key_way, value_way;
    struct molt_table_mirror *mirror;
    char buf[MOLT_TABLE_NAME_MAX];
    const char *name = label(table, buf, sizeof(buf));
    if (!body || mirror_of(body))
        return 0;
    int rc = molt_table_mirror_ways(world, &body->layout, name, &key_way, &value_way, err);
    /* An empty table may stay behind: nothing in it could be misread. */
    if (rc < 0 && molt_table_body_count(body) == 0)
        return 0;
    if (rc <= 0)
        return rc;
    rc = molt_table_mirror_new(body, world, name, &key_way, &value_way, &mirror, err);
    if (rc < 0)
        return rc;
    atomic_store_explicit(&body->mirror, mirror, memory_order_seq_cst);
    return 1;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* As next_fn: touch the first row behind @key of a table that is being prepared, NULL: the
 * first of all. MOLT_ENOENT: there is none, or the table is gone or cleared. */
static int touch_next(struct molt_tables *tables, molt_table handle, const uint64_t *key,
                      uint64_t *ret_key, void *value, struct molt_error *err)
{
    struct molt_table_visit v;
    struct molt_table_cursor cursor = {key, MOLT_TABLE_NEXT};
    int rc = molt_table_visit_begin(tables, handle, &v);
    if (rc < 0)
        return rc == MOLT_ENOMEM ? rc : MOLT_ENOENT;
    struct molt_table_mirror *mirror = mirror_of(v.body);
    rc = mirror ? molt_table_body_step(v.body, &cursor, ret_key, value) : MOLT_ENOENT;
    if (rc == 0) {
        struct molt_table_write w = {.op = MOLT_TABLE_OP_TOUCH,
                                     .shard = v.thread->index,
                                     .key = ret_key};
        (void)molt_table_body_write(v.body, &w); /* it may have been deleted since */
        rc = molt_table_mirror_status(mirror, err);
    }
    molt_table_visit_end(&v);
    return rc;
}

typedef int next_fn(struct molt_tables *tables, molt_table handle, const uint64_t *key,
                    uint64_t *ret_key, void *user, struct molt_error *err);

/* Each row, entered for that alone. */
static int walk(struct molt_tables *tables, molt_table handle, next_fn *next, void *user,
                struct molt_error *err)
{
    uint64_t key[MOLT_TABLE_KEY_WORDS], found[MOLT_TABLE_KEY_WORDS] = {0};
    int rc = next(tables, handle, NULL, found, user, err);
    while (rc == 0) {
        memcpy(key, found, sizeof(key));
        rc = next(tables, handle, key, found, user, err);
    }
    return rc == MOLT_ENOENT ? 0 : rc;
}

/* ---- keys that become equal ----------------------------------------------------------------- */

/* New keys, with the old one that each came from. */
struct origins {
    struct molt_table_body *body;
    char *value;
};

/* The table is being prepared, with other keys, and seems to have lost some. The origins'
 * body, or NULL. */
static struct molt_table_body *suspect(struct molt_tables *tables, molt_table handle)
{
    struct molt_table_visit v;
    struct molt_table_body *body = NULL;
    if (molt_table_visit_begin(tables, handle, &v) < 0)
        return NULL;
    struct molt_table_mirror *mirror = mirror_of(v.body);
    if (mirror && mirror->key_way.n &&
        molt_table_body_count(mirror->body) < molt_table_body_count(v.body)) {
        struct molt_table_layout layout = mirror->body->layout;
        layout.value_words = v.body->layout.key_words;
        layout.value_bytes = 8 * layout.value_words;
        layout.row_bytes =
            (uint32_t)sizeof(struct molt_table_row) + 8 * (layout.key_words + layout.value_words);
        body = molt_table_body_new(&layout, false, tables->seed, UINT64_MAX);
    }
    molt_table_visit_end(&v);
    return body;
}

static int fail_equal(const struct molt_table_mirror *mirror,
                      const struct molt_table_layout *layout, const uint64_t *a, const uint64_t *b,
                      struct molt_error *err)
{
    char one[96], other[96];
    molt_table_key_print(layout, a, one, sizeof(one));
    molt_table_key_print(layout, b, other, sizeof(other));
    return molt_error_set(err, MOLT_ECHANGE, "table '%s': the keys %s and %s become equal as %s",
                          mirror->name, one, other, mirror->body->layout.key_type->name);
}

/* As next_fn: note where the row's new key comes from; fails if it is there. */
static int note_origin(struct molt_tables *tables, molt_table handle, const uint64_t *key,
                       uint64_t *ret_key, void *user, struct molt_error *err)
{
    struct origins *origins = user;
    struct molt_table_visit v;
    struct molt_table_cursor cursor = {key, MOLT_TABLE_NEXT};
    uint64_t now[MOLT_TABLE_KEY_WORDS], other[MOLT_TABLE_KEY_WORDS];
    struct molt_recipe_fault fault;
    if (molt_table_visit_begin(tables, handle, &v) < 0)
        return MOLT_ENOENT;
    struct molt_table_mirror *mirror = mirror_of(v.body);
    const struct molt_table_layout *layout = &v.body->layout;
    int rc = mirror ? molt_table_body_step(v.body, &cursor, ret_key, origins->value) : MOLT_ENOENT;
    if (rc == 0 && molt_table_convert_key(&mirror->key_way, layout, ret_key, &mirror->body->layout,
                                          now, &fault) == 0) {
        struct molt_table_write w = {.op = MOLT_TABLE_OP_INSERT, .key = now, .value = ret_key};
        rc = molt_table_body_write(origins->body, &w);
        if (rc == MOLT_EEXIST && molt_table_body_get(origins->body, now, other) == 0)
            rc = fail_equal(mirror, layout, other, ret_key, err);
    }
    molt_table_visit_end(&v);
    return rc;
}

static int find_equal(struct molt_tables *tables, molt_table handle, void *value,
                      struct molt_error *err)
{
    struct origins origins = {suspect(tables, handle), value};
    int rc = origins.body ? walk(tables, handle, note_origin, &origins, err) : 0;
    molt_table_body_free(origins.body);
    return rc;
}

/* ---- prepare ------------------------------------------------------------------------------- */

/* Attach where there is need, note the handles. */
static int attach_all(struct molt_tables *tables, const struct molt_world *world,
                      molt_table *ret_handles, uint32_t n, uint32_t *ret_n, struct molt_error *err)
{
    int rc = 0;
    *ret_n = 0;
    pthread_mutex_lock(&tables->lock);
    for (uint32_t i = 1; rc >= 0 && i <= n; i++) {
        struct molt_table *table = table_at(tables, i);
        rc = table ? attach(table, world, err) : 0;
        if (rc > 0)
            ret_handles[(*ret_n)++] = table->handle;
    }
    pthread_mutex_unlock(&tables->lock);
    return rc < 0 ? rc : 0;
}

/* Mirrors for all that need one and have none, with all rows. */
static int prepare_missing(struct molt_tables *tables, const struct molt_world *world,
                           struct molt_error *err)
{
    uint32_t n = n_slots(tables), n_attached = 0;
    molt_table *handles = malloc((n + 1) * sizeof(*handles));
    void *value = malloc(MOLT_TABLE_VALUE_MAX);
    int rc = handles && value ? attach_all(tables, world, handles, n, &n_attached, err)
                              : molt_error_set(err, MOLT_ENOMEM, "no memory to convert tables");
    /* Who writes from here on sees the mirrors. */
    if (rc == 0 && n_attached)
        molt_table_await_quiet(&tables->epochs);
    for (uint32_t i = 0; rc == 0 && i < n_attached; i++)
        rc = walk(tables, handles[i], touch_next, value, err);
    for (uint32_t i = 0; rc == 0 && i < n_attached; i++)
        rc = find_equal(tables, handles[i], value, err);
    free(value);
    free(handles);
    return rc;
}

int molt_tables_prepare(struct molt_tables *tables, const struct molt_world *world,
                        struct molt_error *err)
{
    if (atomic_load_explicit(&tables->n_tables, memory_order_relaxed) == 0)
        return 0;
    int rc = prepare_missing(tables, world, err);
    if (rc < 0)
        molt_tables_open(tables, world, false);
    return rc;
}

int molt_tables_check(struct molt_tables *tables, const struct molt_world *world,
                      struct molt_error *err)
{
    /* Closing counts: keys may have become equal. */
    int rc = molt_tables_close(tables, world, err);
    molt_tables_open(tables, world, false);
    return rc;
}

/* ---- close ------------------------------------------------------------------------------ */

/* Under the lock: has prepare still to do with it, be it to say no? */
static bool is_missing(struct molt_table *table, const struct molt_world *world)
{
    struct molt_table_body *body = molt_table_body_of(table);
    struct molt_way key_way, value_way;
    if (!body || mirror_of(body))
        return false;
    int rc = molt_table_mirror_ways(world, &body->layout, table->name, &key_way, &value_way, NULL);
    return rc > 0 || (rc < 0 && molt_table_body_count(body) > 0);
}

/* False: a table was made or cleared since, nothing is closed. */
static bool close_all(struct molt_tables *tables, const struct molt_world *world)
{
    bool is_missing_any = false;
    pthread_mutex_lock(&tables->lock);
    uint32_t n = n_slots(tables);
    for (uint32_t i = 1; !is_missing_any && i <= n; i++) {
        struct molt_table *table = table_at(tables, i);
        is_missing_any = table && is_missing(table, world);
    }
    for (uint32_t i = 1; !is_missing_any && i <= n; i++) {
        struct molt_table *table = table_at(tables, i);
        struct molt_table_body *body = table ? molt_table_body_of(table) : NULL;
        if (!body || !mirror_of(body))
            continue;
        table->parked = body;
        atomic_store_explicit(&table->body, NULL, memory_order_seq_cst);
    }
    tables->is_closed = !is_missing_any;
    pthread_mutex_unlock(&tables->lock);
    return !is_missing_any;
}

/* Nobody is inside: was every row converted, and are all keys still different? */
static int check_closed(struct molt_table *table, struct molt_error *err)
{
    struct molt_table_body *body = table->parked;
    struct molt_table_mirror *mirror = body ? mirror_of(body) : NULL;
    if (!mirror)
        return 0;
    int rc = molt_table_mirror_status(mirror, err);
    uint64_t was = molt_table_body_count(body), now = molt_table_body_count(mirror->body);
    if (rc < 0 || was == now)
        return rc;
    return molt_error_set(err, MOLT_ECHANGE,
                          "table '%s': of the keys of its %llu rows only %llu are still different "
                          "as %s",
                          mirror->name, (unsigned long long)was, (unsigned long long)now,
                          mirror->body->layout.key_type->name);
}

static int check_all_closed(struct molt_tables *tables, struct molt_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&tables->lock);
    uint32_t n = n_slots(tables);
    for (uint32_t i = 1; rc == 0 && i <= n; i++) {
        struct molt_table *table = table_at(tables, i);
        rc = table ? check_closed(table, err) : 0;
    }
    pthread_mutex_unlock(&tables->lock);
    return rc;
}

int molt_tables_close(struct molt_tables *tables, const struct molt_world *world,
                      struct molt_error *err)
{
    int rc = 0;
    bool is_closed = false;
    for (unsigned i = 0; rc == 0 && !is_closed && i < CLOSE_TRIES; i++) {
        is_closed = close_all(tables, world);
        if (!is_closed)
            rc = prepare_missing(tables, world, err);
    }
    if (rc == 0 && !is_closed)
        rc = molt_error_set(err, MOLT_ETIMEDOUT,
                            "tables of types that change are made or cleared faster than they can "
                            "be prepared");
    if (rc == 0) {
        molt_table_await_quiet(&tables->epochs);
        rc = check_all_closed(tables, err);
    }
    if (rc < 0)
        molt_tables_open(tables, world, false);
    return rc;
}

/* ---- open ------------------------------------------------------------------------------- */

static void free_body(struct molt_table_retired *retired)
{
    molt_table_body_free((struct molt_table_body *)(void *)retired);
}

/* Under the lock: to the mirror's body. */
static void take_mirror(struct molt_tables *tables, struct molt_table *table)
{
    struct molt_table_body *old = table->parked;
    struct molt_table_mirror *mirror = mirror_of(old);
    table->parked = NULL;
    atomic_store_explicit(&table->body, mirror->body, memory_order_seq_cst);
    mirror->body = NULL;
    molt_table_retire_later(&tables->epochs, &old->retired, free_body);
}

/* Under the lock: back to what it was. The mirror, which nobody meets once all have
 * left who are inside. */
static struct molt_table_mirror *drop_mirror(struct molt_table *table)
{
    struct molt_table_body *body = molt_table_body_locked(table);
    struct molt_table_mirror *mirror = mirror_of(body);
    if (mirror)
        atomic_store_explicit(&body->mirror, NULL, memory_order_seq_cst);
    if (table->parked)
        atomic_store_explicit(&table->body, table->parked, memory_order_seq_cst);
    table->parked = NULL;
    return mirror;
}

void molt_tables_open(struct molt_tables *tables, const struct molt_world *world, bool is_committed)
{
    struct molt_table_mirror *dropped = NULL;
    bool is_any = false;
    pthread_mutex_lock(&tables->lock);
    uint32_t n = n_slots(tables);
    for (uint32_t i = 1; i <= n; i++) {
        struct molt_table *table = table_at(tables, i);
        if (!table)
            continue;
        if (is_committed && table->parked) {
            take_mirror(tables, table);
            is_any = true;
            continue;
        }
        struct molt_table_mirror *mirror = drop_mirror(table);
        if (!mirror)
            continue;
        mirror->next_dropped = dropped;
        dropped = mirror;
    }
    if (is_committed)
        tables->world = world;
    tables->n_openings += is_committed;
    tables->is_closed = false;
    pthread_mutex_unlock(&tables->lock);
    if (dropped || is_any)
        molt_table_await_quiet(&tables->epochs);
    while (dropped) {
        struct molt_table_mirror *mirror = dropped;
        dropped = mirror->next_dropped;
        molt_table_mirror_free(mirror);
    }
    if (is_any)
        molt_table_reclaim(&tables->epochs);
}

/* ---- sweep ------------------------------------------------------------------------------ */

/* Lead on the pointers of the row of @key, whose value was @value. */
static size_t sweep_row(struct molt_table_visit *v, const struct molt_world *world,
                        const uint64_t *key, char *value, char *copy)
{
    const struct molt_table_layout *layout = &v->body->layout;
    int rc = 0;
    do {
        if (!molt_table_lead_on(layout->value_type, world, value, copy))
            return 0;
        struct molt_table_write w = {.op = MOLT_TABLE_OP_SWAP,
                                     .shard = v->thread->index,
                                     .key = key,
                                     .value = copy,
                                     .expected = value};
        rc = molt_table_body_write(v->body, &w);
    } while (rc == 1 && molt_table_body_get(v->body, key, value) == 0);
    return rc == 0;
}

/* The next row of the table in the sweep's slot. MOLT_ENOENT: there is none. */
static int sweep_next(struct molt_tables *tables, molt_table handle, const struct molt_world *world,
                      char *value, size_t *n_changed)
{
    struct molt_table_visit v;
    uint64_t key[MOLT_TABLE_KEY_WORDS];
    struct molt_table_cursor cursor = {tables->sweep.is_inside ? tables->sweep.key : NULL,
                                       MOLT_TABLE_NEXT};
    int rc = molt_table_visit_begin(tables, handle, &v);
    if (rc < 0)
        return rc == MOLT_ENOMEM ? rc : MOLT_ENOENT;
    rc = v.body->layout.value_type->may_point ? molt_table_body_step(v.body, &cursor, key, value)
                                              : MOLT_ENOENT;
    if (rc == 0)
        *n_changed += sweep_row(&v, world, key, value, value + MOLT_TABLE_VALUE_MAX);
    molt_table_visit_end(&v);
    if (rc == 0) {
        memcpy(tables->sweep.key, key, sizeof(key));
        tables->sweep.is_inside = true;
    }
    return rc;
}

static molt_table handle_at(struct molt_tables *tables, uint32_t slot)
{
    pthread_mutex_lock(&tables->lock);
    struct molt_table *table = table_at(tables, slot);
    molt_table handle = table ? table->handle : 0;
    pthread_mutex_unlock(&tables->lock);
    return handle;
}

int molt_tables_sweep(struct molt_tables *tables, const struct molt_world *world, size_t n_rows,
                      size_t *n_changed)
{
    char *value = malloc(2 * (size_t)MOLT_TABLE_VALUE_MAX);
    if (!value)
        return 0; /* another time */
    uint32_t n = n_slots(tables), *slot = &tables->sweep.slot;
    *slot = *slot ? *slot : 1;
    for (size_t i = 0; i < n_rows && *slot <= n; i++) {
        molt_table handle = handle_at(tables, *slot);
        if (handle && sweep_next(tables, handle, world, value, n_changed) == 0)
            continue;
        ++*slot;
        tables->sweep.is_inside = false;
    }
    bool is_over = *slot > n;
    if (is_over)
        *slot = 0;
    free(value);
    return !is_over;
}
