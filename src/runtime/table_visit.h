/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A thread inside one table's operation.
 *
 * Threads: any; each has its own visit, and not two at a time.
 */
#ifndef MOLT_RUNTIME_TABLE_VISIT_H
#define MOLT_RUNTIME_TABLE_VISIT_H

#include "runtime/table.h"

struct molt_table_visit {
    struct molt_table_thread *thread;
    struct molt_table *table;
    struct molt_table_body *body;
};

/* The slow half of the following: the table is closed for a moment. */
int molt_table_visit_again(struct molt_tables *tables, molt_table handle,
                           struct molt_table_visit *v);

/* MOLT_ENOMEM, MOLT_ESTALE, MOLT_ENOENT: nothing to end. A call of its own would cost each
 * operation a tenth. */
static inline __attribute__((always_inline)) int
molt_table_visit_begin(struct molt_tables *tables, molt_table handle, struct molt_table_visit *v)
{
    v->body = NULL;
    v->thread = molt_table_enter(&tables->epochs);
    if (!v->thread)
        return MOLT_ENOMEM;
    v->table = molt_tables_look(tables, handle);
    if (!v->table) {
        molt_table_leave(v->thread);
        return molt_tables_why(tables, handle);
    }
    v->body = molt_table_body_of(v->table);
    if (__builtin_expect(!v->body, 0))
        return molt_table_visit_again(tables, handle, v);
    return 0;
}

static inline void molt_table_visit_end(struct molt_table_visit *v)
{
    molt_table_leave(v->thread);
}

#endif
