/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The public functions on tables: who calls, in which runtime, with what types. */
#include <molt/table.h>

#include "runtime/rt.h"
#include "runtime/rt_table.h"
#include "runtime/table.h"

/* ---- the runtime's side ---------------------------------------------------------- */

/* A row lives longer than the process that put it, and so must what it has. */
static int check_word(struct molt_runtime *rt, const struct molt_type *type,
                      const struct molt_meta_ptr *ptr, uintptr_t word)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): it is looked up, not followed */
    if (!molt_heap_find(rt->heap, (const void *)word))
        return 0;
    molt_runtime_log(rt, MOLT_ERR,
                     "a row for a table is refused: %s.%s leads to a block, which belongs to a "
                     "process and dies with it; put the bytes into the value, or send the block",
                     type->name, ptr->field ? ptr->field : "?");
    return MOLT_EOWNER;
}

static int check_words(struct molt_runtime *rt, const struct molt_type *type, const void *bytes)
{
    for (size_t i = 0; i < type->n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &type->ptrs[i];
        for (uint32_t k = 0; ptr->kind != MOLT_PTR_CODE && k < ptr->count; k++) {
            uintptr_t word;
            memcpy(&word, (const char *)bytes + ptr->offset + k * sizeof(word), sizeof(word));
            int rc = check_word(rt, type, ptr, word);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int vet(void *user, const struct molt_type *type, const void *bytes, bool is_stored)
{
    struct molt_runtime *rt = user;
    if (atomic_load(&rt->scan.is_on))
        molt_scan_bytes(&rt->scan, type, bytes);
    return is_stored ? check_words(rt, type, bytes) : 0;
}

static const struct molt_world *world_here(void *user)
{
    const struct molt_runner *runner = molt_runner_here();
    (void)user;
    return runner ? molt_runner_world(runner) : NULL;
}

void molt_runtime_init_tables(struct molt_runtime *rt)
{
    molt_tables_init(&rt->tables,
                     &(struct molt_tables_config){.vet = vet, .world = world_here, .user = rt});
}

int molt_runtime_prepare_tables(struct molt_runtime *rt, const struct molt_world *world,
                                struct molt_error *err)
{
    return molt_tables_prepare(&rt->tables, world, err);
}

int molt_runtime_close_tables(struct molt_runtime *rt, const struct molt_world *world,
                              struct molt_error *err)
{
    return molt_tables_close(&rt->tables, world, err);
}

void molt_runtime_open_tables(struct molt_runtime *rt, const struct molt_world *world,
                              bool is_committed)
{
    molt_tables_open(&rt->tables, world, is_committed);
}

int molt_runtime_check_tables(struct molt_runtime *rt, const struct molt_world *world,
                              struct molt_error *err)
{
    return molt_tables_check(&rt->tables, world, err);
}

int molt_runtime_sweep_tables(struct molt_runtime *rt, size_t n_rows, size_t *n_changed)
{
    /* Acquire: pairs with the store of molt_stage_commit(). */
    const struct molt_world *world = atomic_load_explicit(rt->current, memory_order_acquire);
    return molt_tables_sweep(&rt->tables, world, n_rows, n_changed);
}

struct bequest {
    struct molt_runtime *rt;
    struct molt_block_cache *cache;
};

static int inherit(void *user, molt_pid heir, const struct molt_table_heritage *heritage,
                   const struct molt_type *type)
{
    struct bequest *b = user;
    struct molt_owner nobody;
    molt_owner_init(&nobody);
    struct molt_block *root = molt_block_make(b->rt->heap, b->cache, &nobody, type, 1);
    int rc = root ? molt_message_pack(b->rt->heap, &nobody, root, NULL) : MOLT_ENOMEM;
    if (root)
        *(struct molt_table_heritage *)molt_block_payload(root) = *heritage;
    if (rc == 0)
        rc = molt_process_post(b->rt, heir, root, MOLT_MESSAGE_CAST, (struct molt_from){0});
    if (rc < 0 && root)
        molt_message_drop(b->rt->heap, b->cache, root);
    if (rc < 0 && rc != MOLT_EDEAD)
        molt_runtime_log(b->rt, MOLT_ERR,
                         "process %llu got table %llu from process %llu, but could not be told: %s",
                         (unsigned long long)heir, (unsigned long long)heritage->table,
                         (unsigned long long)heritage->from, molt_error_text(rc));
    return rc;
}

void molt_runtime_bequeath_tables(struct molt_runtime *rt, struct molt_block_cache *cache,
                                  molt_pid pid)
{
    struct bequest b = {rt, cache};
    molt_tables_owner_ended(&rt->tables, pid, inherit, &b);
}

/* ---- life --------------------------------------------------------------------------- */

/* NULL where there is no runtime, and in change functions: what these see of
 * the world must not depend on when they run. */
static struct molt_tables *tables_here(void)
{
    struct molt_runner *runner = molt_runner_here();
    return runner && !runner->is_converting ? &runner->rt->tables : NULL;
}

static const struct molt_type *type_of(molt_table_tag tag)
{
    return tag ? *tag : NULL;
}

int molt_table_new_typed(molt_table_tag key_tag, enum molt_table_key key, molt_table_tag value_tag,
                         const struct molt_table_options *options, molt_table *ret_table,
                         struct molt_error *err)
{
    struct molt_tables *tables = tables_here();
    struct molt_table_layout layout;
    if (!tables)
        return molt_error_set(err, MOLT_ENOPROC,
                              "a table is made by a process or a registered thread, and not in a "
                              "change function");
    if (!ret_table)
        return molt_error_set(err, MOLT_EINVAL, "there is no place for the table's handle");
    int rc = molt_table_layout_init(&layout, type_of(key_tag), key, type_of(value_tag), err);
    if (rc < 0)
        return rc;
    return molt_tables_create(tables, molt_self(), &layout, options, ret_table, err);
}

int molt_table_drop(molt_table table)
{
    struct molt_tables *tables = tables_here();
    return tables ? molt_tables_drop(tables, molt_self(), table) : MOLT_ENOPROC;
}

int molt_table_find(const char *name, molt_table *ret_table)
{
    struct molt_tables *tables = tables_here();
    if (!tables)
        return MOLT_ENOPROC;
    return ret_table ? molt_tables_find(tables, name, ret_table) : MOLT_EINVAL;
}

int molt_table_set_heir_typed(molt_table table, molt_pid heir, uint64_t data,
                              molt_table_tag heritage_tag)
{
    struct molt_tables *tables = tables_here();
    const struct molt_type *type = type_of(heritage_tag);
    if (!tables)
        return MOLT_ENOPROC;
    if (!type || type->size != sizeof(struct molt_table_heritage))
        return MOLT_ETYPE;
    return molt_tables_set_heir(tables, molt_self(), table, heir, data, type);
}

int64_t molt_table_count(molt_table table)
{
    struct molt_tables *tables = tables_here();
    return tables ? molt_tables_count(tables, table) : MOLT_ENOPROC;
}

int molt_table_clear(molt_table table)
{
    struct molt_tables *tables = tables_here();
    return tables ? molt_tables_clear(tables, molt_self(), table) : MOLT_ENOPROC;
}

int molt_table_describe(molt_table table, struct molt_table_info *ret_info)
{
    struct molt_tables *tables = tables_here();
    return tables ? molt_tables_describe(tables, table, ret_info) : MOLT_ENOPROC;
}

/* ---- rows ---------------------------------------------------------------------------- */

static int write_row(enum molt_table_op op, struct molt_table_args *args, void *ret)
{
    struct molt_tables *tables = tables_here();
    if (!tables)
        return MOLT_ENOPROC;
    args->self = molt_self();
    return molt_tables_write(tables, op, args, ret);
}

static struct molt_table_args args_of(molt_table table, const void *key, molt_table_tag key_tag,
                                      molt_table_tag value_tag)
{
    return (struct molt_table_args){.table = table,
                                    .key = key,
                                    .key_type = type_of(key_tag),
                                    .value_type = type_of(value_tag)};
}

int molt_table_get_typed(molt_table table, const void *key, molt_table_tag key_tag, void *ret_value,
                         molt_table_tag value_tag)
{
    struct molt_tables *tables = tables_here();
    struct molt_table_args args = args_of(table, key, key_tag, value_tag);
    return tables ? molt_tables_get(tables, &args, ret_value) : MOLT_ENOPROC;
}

int molt_table_put_typed(molt_table table, const void *key, molt_table_tag key_tag,
                         const void *value, molt_table_tag value_tag)
{
    struct molt_table_args args = args_of(table, key, key_tag, value_tag);
    args.value = value;
    return write_row(MOLT_TABLE_OP_PUT, &args, NULL);
}

int molt_table_insert_typed(molt_table table, const void *key, molt_table_tag key_tag,
                            const void *value, molt_table_tag value_tag)
{
    struct molt_table_args args = args_of(table, key, key_tag, value_tag);
    args.value = value;
    return write_row(MOLT_TABLE_OP_INSERT, &args, NULL);
}

int molt_table_take_typed(molt_table table, const void *key, molt_table_tag key_tag,
                          void *ret_value, molt_table_tag value_tag)
{
    struct molt_table_args args = args_of(table, key, key_tag, value_tag);
    return write_row(MOLT_TABLE_OP_TAKE, &args, ret_value);
}

int molt_table_delete_typed(molt_table table, const void *key, molt_table_tag key_tag)
{
    struct molt_table_args args = args_of(table, key, key_tag, NULL);
    return write_row(MOLT_TABLE_OP_DELETE, &args, NULL);
}

int molt_table_swap_typed(molt_table table, const void *key, molt_table_tag key_tag,
                          const void *expected, const void *value, molt_table_tag value_tag)
{
    struct molt_table_args args = args_of(table, key, key_tag, value_tag);
    args.expected = expected;
    args.value = value;
    return write_row(MOLT_TABLE_OP_SWAP, &args, NULL);
}

int molt_table_delete_same_typed(molt_table table, const void *key, molt_table_tag key_tag,
                                 const void *expected, molt_table_tag value_tag)
{
    struct molt_table_args args = args_of(table, key, key_tag, value_tag);
    args.expected = expected;
    return write_row(MOLT_TABLE_OP_DELETE_SAME, &args, NULL);
}

int molt_table_add_typed(molt_table table, const void *key, molt_table_tag key_tag,
                         molt_table_tag value_tag, struct molt_table_field field, int64_t delta,
                         const void *initial, int64_t *ret_sum)
{
    struct molt_table_args args = args_of(table, key, key_tag, value_tag);
    args.field = field;
    args.delta = delta;
    args.value = initial;
    return write_row(MOLT_TABLE_OP_ADD, &args, ret_sum);
}

int molt_table_step_typed(molt_table table, const void *key, molt_table_tag key_tag, void *ret_key,
                          molt_table_tag ret_key_tag, void *ret_value, molt_table_tag value_tag,
                          enum molt_table_step step)
{
    struct molt_tables *tables = tables_here();
    struct molt_table_args args = args_of(table, key, key_tag, value_tag);
    if (!tables)
        return MOLT_ENOPROC;
    return molt_tables_step(tables, &args, step, ret_key, type_of(ret_key_tag), ret_value);
}

int molt_table_compare_typed(molt_table table, const void *a, molt_table_tag a_tag, const void *b,
                             molt_table_tag b_tag, int *ret_order)
{
    struct molt_tables *tables = tables_here();
    if (!tables)
        return MOLT_ENOPROC;
    if (!ret_order)
        return MOLT_EINVAL;
    return molt_tables_compare(tables, table, a, type_of(a_tag), b, type_of(b_tag), ret_order);
}
