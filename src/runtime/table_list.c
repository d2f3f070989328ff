/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What tables there are, and what their rows lead to. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/table_visit.h"

/* Under the lock. */
static void describe(struct molt_table *table, struct molt_table_info *info)
{
    struct molt_table_body *body = molt_table_body_locked(table);
    *info = (struct molt_table_info){
        .table = table->handle,
        .kind = table->kind,
        .access = table->access,
        .owner = atomic_load_explicit(&table->owner, memory_order_acquire),
        .rows = molt_table_body_count(body),
        .rows_max = table->rows_max == UINT64_MAX ? 0 : table->rows_max,
        .bytes = sizeof(*table) + molt_table_body_bytes(body),
        .row_bytes = body->layout.row_bytes,
        .layout = body->layout.number,
    };
    snprintf(info->name, sizeof(info->name), "%s", table->name);
    snprintf(info->key_type, sizeof(info->key_type), "%s", body->layout.key_type->name);
    snprintf(info->value_type, sizeof(info->value_type), "%s", body->layout.value_type->name);
}

/* Under the lock. */
static int describe_handle(struct molt_tables *tables, molt_table handle,
                           struct molt_table_info *ret_info, struct molt_table **ret)
{
    struct molt_table *table = molt_tables_look(tables, handle);
    if (!table)
        return molt_tables_why(tables, handle);
    describe(table, ret_info);
    ret_info->heir = table->heir;
    *ret = table;
    return 0;
}

int molt_tables_describe(struct molt_tables *tables, molt_table handle,
                         struct molt_table_info *ret_info)
{
    struct molt_table *table;
    if (!ret_info)
        return MOLT_EINVAL;
    /* The lock is for the heir. */
    pthread_mutex_lock(&tables->lock);
    int rc = describe_handle(tables, handle, ret_info, &table);
    pthread_mutex_unlock(&tables->lock);
    return rc;
}

/* The handle in slot @number, or 0. */
static molt_table handle_at(struct molt_tables *tables, uint32_t number)
{
    struct molt_table_thread *thread = molt_table_enter(&tables->epochs);
    if (!thread)
        return 0;
    struct molt_table *table =
        atomic_load_explicit(&molt_tables_slot(tables, number)->table, memory_order_seq_cst);
    molt_table handle = table ? table->handle : 0;
    molt_table_leave(thread);
    return handle;
}

/* This thread can enter from now on. */
static int prepare(struct molt_tables *tables)
{
    struct molt_table_thread *thread = molt_table_enter(&tables->epochs);
    if (!thread)
        return MOLT_ENOMEM;
    molt_table_leave(thread);
    return 0;
}

int molt_tables_each_typed(struct molt_tables *tables,
                           void (*fn)(void *user, const struct molt_table_info *info,
                                      const struct molt_type *key_type,
                                      const struct molt_type *value_type),
                           void *user)
{
    int count = 0, rc = prepare(tables);
    if (rc < 0)
        return rc;
    uint32_t n = atomic_load_explicit(&tables->n_slots, memory_order_acquire);
    for (uint32_t i = 1; i <= n; i++) {
        struct molt_table_info info;
        struct molt_table *table;
        struct molt_table_layout layout = {.number = 0};
        molt_table handle = handle_at(tables, i);
        pthread_mutex_lock(&tables->lock);
        if (handle && describe_handle(tables, handle, &info, &table) == 0)
            layout = molt_table_body_locked(table)->layout;
        pthread_mutex_unlock(&tables->lock);
        if (!layout.number)
            continue;
        fn(user, &info, layout.key_type, layout.value_type);
        count++;
    }
    return count;
}

struct untyped {
    void (*fn)(void *user, const struct molt_table_info *info);
    void *user;
};

static void call_untyped(void *user, const struct molt_table_info *info,
                         const struct molt_type *key_type, const struct molt_type *value_type)
{
    const struct untyped *untyped = user;
    (void)key_type;
    (void)value_type;
    untyped->fn(untyped->user, info);
}

int molt_tables_each(struct molt_tables *tables,
                     void (*fn)(void *user, const struct molt_table_info *info), void *user)
{
    struct untyped untyped = {fn, user};
    return molt_tables_each_typed(tables, call_untyped, &untyped);
}

/* ---- scan ------------------------------------------------------------------------ */

struct look {
    const struct molt_range *ranges;
    size_t n_ranges;
    bool *is_reported; /* [n_ranges], of this table */
    molt_pin_fn *report;
    void *user;
    int n_found;
    const char *name; /* of the table */
    molt_pid owner;
};

static size_t find_range(const struct look *look, uintptr_t word)
{
    size_t lo = 0, hi = look->n_ranges;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (word < look->ranges[mid].lo)
            hi = mid;
        else if (word >= look->ranges[mid].hi)
            lo = mid + 1;
        else
            return mid;
    }
    return look->n_ranges;
}

static void found(struct look *look, size_t range, const struct molt_type *type, const char *field)
{
    char why[256];
    if (look->is_reported[range])
        return;
    look->is_reported[range] = true;
    snprintf(why, sizeof(why), "table '%.63s': %.80s.%.80s", look->name, type->name,
             field ? field : "?");
    look->n_found++;
    look->report(look->user, &look->ranges[range], look->owner, why);
}

static void look_at(struct look *look, const struct molt_type *type, const void *bytes)
{
    for (size_t i = 0; i < type->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &type->ptrs[i];
        for (uint32_t k = 0; k < ptr->count; k++) {
            uintptr_t word;
            memcpy(&word, (const char *)bytes + ptr->offset + k * sizeof(word), sizeof(word));
            size_t range = find_range(look, word);
            if (range < look->n_ranges)
                found(look, range, type, ptr->field);
        }
    }
}

/* One row in the order of the walk, entered for that alone: a scan of a large
 * table doesn't keep what others drop. @at, the key before, becomes the row's. */
static int next_row(struct molt_tables *tables, molt_table handle, uint64_t *at, bool is_first,
                    struct molt_table_layout *layout, void *value)
{
    struct molt_table_visit v;
    uint64_t key[MOLT_TABLE_KEY_WORDS];
    int rc = molt_table_visit_begin(tables, handle, &v);
    if (rc < 0)
        return rc == MOLT_ENOMEM ? rc : MOLT_ENOENT;
    rc = v.body->layout.may_point ? 0 : MOLT_ENOENT;
    if (rc == 0) {
        struct molt_table_cursor cursor = {is_first ? NULL : at, MOLT_TABLE_NEXT};
        *layout = v.body->layout;
        rc = molt_table_body_step(v.body, &cursor, key, value);
    }
    molt_table_visit_end(&v);
    if (rc == 0)
        memcpy(at, key, sizeof(key[0]) * layout->key_words);
    return rc;
}

static int look_at_table(struct molt_tables *tables, molt_table handle, struct look *look,
                         char *value)
{
    struct molt_table_layout layout;
    uint64_t at[MOLT_TABLE_KEY_WORDS];
    char key[MOLT_TABLE_KEY_MAX];
    int rc = next_row(tables, handle, at, true, &layout, value);
    for (; rc == 0; rc = next_row(tables, handle, at, false, &layout, value)) {
        molt_table_key_decode(&layout, at, key);
        look_at(look, layout.key_type, key);
        look_at(look, layout.value_type, value);
    }
    return rc == MOLT_ENOENT ? 0 : rc;
}

static int look_at_all(struct molt_tables *tables, struct look *look, char *value)
{
    int rc = prepare(tables);
    uint32_t n = atomic_load_explicit(&tables->n_slots, memory_order_acquire);
    for (uint32_t i = 1; rc == 0 && i <= n; i++) {
        struct molt_table_info info;
        molt_table handle = handle_at(tables, i);
        if (!handle || molt_tables_describe(tables, handle, &info) < 0)
            continue;
        look->name = info.name;
        look->owner = info.owner;
        memset(look->is_reported, 0, look->n_ranges * sizeof(bool));
        rc = look_at_table(tables, handle, look, value);
    }
    return rc;
}

bool molt_tables_may_point(struct molt_tables *tables)
{
    bool may_point = false;
    pthread_mutex_lock(&tables->lock);
    uint32_t n = atomic_load_explicit(&tables->n_slots, memory_order_relaxed);
    for (uint32_t i = 1; !may_point && i <= n; i++) {
        struct molt_table *table =
            atomic_load_explicit(&molt_tables_slot(tables, i)->table, memory_order_relaxed);
        struct molt_table_body *body = table ? molt_table_body_locked(table) : NULL;
        may_point = body && body->layout.may_point && molt_table_body_count(body) > 0;
    }
    pthread_mutex_unlock(&tables->lock);
    return may_point;
}

int molt_table_scan(struct molt_tables *tables, const struct molt_range *ranges, size_t n,
                    molt_pin_fn *report, void *report_user)
{
    if (n == 0 || atomic_load_explicit(&tables->n_tables, memory_order_relaxed) == 0)
        return 0;
    struct look look = {.ranges = ranges,
                        .n_ranges = n,
                        .is_reported = calloc(n, sizeof(bool)),
                        .report = report,
                        .user = report_user};
    char *value = malloc(MOLT_TABLE_VALUE_MAX);
    int rc = look.is_reported && value ? look_at_all(tables, &look, value) : MOLT_ENOMEM;
    free(value);
    free(look.is_reported);
    return rc < 0 ? rc : look.n_found;
}
