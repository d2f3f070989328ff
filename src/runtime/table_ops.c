/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Operations on rows: enter, find the table, check types and rights, leave. */
#include "runtime/table.h"

#include "runtime/table_bridge.h"

int molt_table_visit_again(struct molt_tables *tables, molt_table handle,
                           struct molt_table_visit *v)
{
    for (unsigned spins = 0; !v->body;) {
        /* Who closed it waits for this thread to leave, and for nothing else. */
        molt_table_leave(v->thread);
        molt_seq_pause(&spins);
        molt_table_enter(&tables->epochs); /* not the first time: it can't fail */
        v->table = molt_tables_look(tables, handle);
        if (!v->table) {
            molt_table_leave(v->thread);
            return molt_tables_why(tables, handle);
        }
        v->body = molt_table_body_of(v->table);
    }
    return 0;
}

/* Are @key and @value what the table has? Then the key as words. */
static inline int take_key(const struct molt_table_layout *layout,
                           const struct molt_table_args *args, uint64_t *key)
{
    if (args->key_type != layout->key_type && !molt_table_layout_takes(layout, args->key_type))
        return MOLT_ETYPE;
    return molt_table_key_encode(layout, args->key_type, args->key, key);
}

static inline int take_types(const struct molt_table_layout *layout,
                             const struct molt_table_args *args, uint64_t *key)
{
    return args->value_type == layout->value_type ? take_key(layout, args, key) : MOLT_ETYPE;
}

static int vet_out(struct molt_tables *tables, bool may_point, const struct molt_type *type,
                   const void *bytes)
{
    if (may_point && type->may_point && tables->config.vet)
        (void)tables->config.vet(tables->config.user, type, bytes, false);
    return 0;
}

static int vet_in(struct molt_tables *tables, const struct molt_type *type, const void *bytes)
{
    if (!bytes || !type->may_point || !tables->config.vet)
        return 0;
    return tables->config.vet(tables->config.user, type, bytes, true);
}

/* ---- get ------------------------------------------------------------------------ */

int molt_tables_get(struct molt_tables *tables, const struct molt_table_args *args, void *ret_value)
{
    struct molt_table_visit v;
    uint64_t key[MOLT_TABLE_KEY_WORDS];
    if (!ret_value)
        return MOLT_EINVAL;
    int rc = molt_table_visit_begin(tables, args->table, &v);
    if (rc < 0)
        return rc;
    rc = take_types(&v.body->layout, args, key);
    if (rc == 0)
        rc = molt_table_body_get(v.body, key, ret_value);
    else if (rc == MOLT_ETYPE)
        rc = molt_table_bridge_get(tables, &v, args, ret_value);
    bool may_point = v.body->layout.may_point;
    molt_table_visit_end(&v);
    return rc == 0 ? vet_out(tables, may_point, args->value_type, ret_value) : rc;
}

/* ---- write ------------------------------------------------------------------------ */

static bool has_field(const struct molt_type *type, struct molt_table_field field)
{
    if ((field.size != 4 && field.size != 8) || field.size > type->size ||
        field.offset > type->size - field.size)
        return false;
    for (size_t i = 0; i < type->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &type->ptrs[i];
        if (field.offset < ptr->offset + 8 * ptr->count && ptr->offset < field.offset + field.size)
            return false;
    }
    return true;
}

static int check_write(enum molt_table_op op, const struct molt_table_args *args, const void *ret)
{
    switch (op) {
    case MOLT_TABLE_OP_PUT:
    case MOLT_TABLE_OP_INSERT:
        return args->value ? 0 : MOLT_EINVAL;
    case MOLT_TABLE_OP_TAKE:
        return ret ? 0 : MOLT_EINVAL;
    case MOLT_TABLE_OP_SWAP:
        return args->value && args->expected ? 0 : MOLT_EINVAL;
    case MOLT_TABLE_OP_DELETE_SAME:
        return args->expected ? 0 : MOLT_EINVAL;
    default:
        return 0;
    }
}

/* By who knows another layout. */
static int write_other(struct molt_tables *tables, struct molt_table_visit *v,
                       const struct molt_table_args *args, struct molt_table_write *w)
{
    if (w->op == MOLT_TABLE_OP_ADD && args->value_type && !has_field(args->value_type, args->field))
        return MOLT_EINVAL;
    return molt_table_bridge_write(tables, v, args, w);
}

/* By who has entered. */
static int write_row(struct molt_tables *tables, struct molt_table_visit *v,
                     const struct molt_table_args *args, uint64_t *key, struct molt_table_write *w)
{
    const struct molt_table_layout *layout = &v->body->layout;
    int rc =
        w->op == MOLT_TABLE_OP_DELETE ? take_key(layout, args, key) : take_types(layout, args, key);
    if (rc < 0 && rc != MOLT_ETYPE)
        return rc;
    /* Acquire: pairs with set_owner(); an heir that was told is the owner. */
    if (v->table->access == MOLT_TABLE_PROTECTED &&
        atomic_load_explicit(&v->table->owner, memory_order_acquire) != args->self)
        return MOLT_EOWNER;
    if (rc < 0)
        return write_other(tables, v, args, w);
    if (w->op == MOLT_TABLE_OP_ADD && !has_field(layout->value_type, args->field))
        return MOLT_EINVAL;
    w->key = key;
    w->shard = v->thread->index;
    return molt_table_body_write(v->body, w);
}

int molt_tables_write(struct molt_tables *tables, enum molt_table_op op,
                      const struct molt_table_args *args, void *ret)
{
    struct molt_table_visit v;
    uint64_t key[MOLT_TABLE_KEY_WORDS];
    struct molt_table_write w = {.op = op,
                                 .value = args->value,
                                 .expected = args->expected,
                                 .ret_value = ret,
                                 .field = args->field,
                                 .delta = args->delta};
    int rc = check_write(op, args, ret);
    /* Before it enters: what has to be looked at may take locks. A wrong type is
     * found later; what is looked at here is what the caller says it is. */
    if (rc == 0 && args->value && args->value_type)
        rc = vet_in(tables, args->value_type, args->value);
    if (rc == 0 && args->value && args->key && args->key_type)
        rc = vet_in(tables, args->key_type, args->key);
    if (rc == 0)
        rc = molt_table_visit_begin(tables, args->table, &v);
    if (rc < 0)
        return rc;
    rc = write_row(tables, &v, args, key, &w);
    bool may_point = v.body->layout.may_point;
    molt_table_visit_end(&v);
    if (rc == 0 && op == MOLT_TABLE_OP_TAKE)
        vet_out(tables, may_point, args->value_type, ret);
    if (rc == 0 && op == MOLT_TABLE_OP_ADD && ret)
        *(int64_t *)ret = w.sum;
    return rc;
}

/* ---- step --------------------------------------------------------------------------- */

/* By who has entered. */
static int step_row(struct molt_tables *tables, struct molt_table_visit *v,
                    const struct molt_table_args *args, const struct molt_type *ret_key_type,
                    enum molt_table_step step, void *ret_key, void *ret_value)
{
    const struct molt_table_layout *layout = &v->body->layout;
    uint64_t from[MOLT_TABLE_KEY_WORDS], key[MOLT_TABLE_KEY_WORDS];
    bool is_ours = args->value_type == layout->value_type && ret_key_type == layout->key_type;
    int rc = is_ours && args->key ? take_key(layout, args, from) : 0;
    if (!is_ours || rc == MOLT_ETYPE)
        return molt_table_bridge_step(tables, v, args, step, ret_key, ret_key_type, ret_value);
    struct molt_table_cursor cursor = {.key = args->key ? from : NULL, .step = step};
    if (rc == 0)
        rc = molt_table_body_step(v->body, &cursor, key, ret_value);
    if (rc == 0)
        molt_table_key_decode(layout, key, ret_key);
    return rc;
}

int molt_tables_step(struct molt_tables *tables, const struct molt_table_args *args,
                     enum molt_table_step step, void *ret_key, const struct molt_type *ret_key_type,
                     void *ret_value)
{
    struct molt_table_visit v;
    if (!ret_key || !ret_value || step > MOLT_TABLE_FROM || (step == MOLT_TABLE_FROM && !args->key))
        return MOLT_EINVAL;
    int rc = molt_table_visit_begin(tables, args->table, &v);
    if (rc < 0)
        return rc;
    rc = step_row(tables, &v, args, ret_key_type, step, ret_key, ret_value);
    bool may_point = v.body->layout.may_point;
    molt_table_visit_end(&v);
    if (rc < 0)
        return rc;
    vet_out(tables, may_point, ret_key_type, ret_key);
    return vet_out(tables, may_point, args->value_type, ret_value);
}

int molt_tables_compare(struct molt_tables *tables, molt_table handle, const void *a,
                        const struct molt_type *a_type, const void *b,
                        const struct molt_type *b_type, int *ret_order)
{
    struct molt_table_visit v;
    uint64_t one[MOLT_TABLE_KEY_WORDS], other[MOLT_TABLE_KEY_WORDS];
    int rc = molt_table_visit_begin(tables, handle, &v);
    if (rc < 0)
        return rc;
    const struct molt_table_layout *layout = &v.body->layout;
    const struct molt_table_args first = {.key = a, .key_type = a_type},
                                 second = {.key = b, .key_type = b_type};
    rc = molt_table_bridge_key(tables, layout, &first, one);
    if (rc == 0)
        rc = molt_table_bridge_key(tables, layout, &second, other);
    if (rc == 0)
        *ret_order = molt_table_key_compare(one, other, layout->key_words);
    molt_table_visit_end(&v);
    return rc;
}

int64_t molt_tables_count(struct molt_tables *tables, molt_table handle)
{
    struct molt_table_visit v;
    int rc = molt_table_visit_begin(tables, handle, &v);
    if (rc < 0)
        return rc;
    uint64_t count = molt_table_body_count(v.body);
    molt_table_visit_end(&v);
    return (int64_t)count;
}
