/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Tables without a runtime: type objects as a loader would make them, and short
 * forms of the operations.
 */
#ifndef MOLT_TESTS_RUNTIME_TABLE_FIXTURE_H
#define MOLT_TESTS_RUNTIME_TABLE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/table.h"

#define FIXTURE static __attribute__((unused))

#define TABLE_TYPE_(id, T, key_, ptrs_, n_)                                                        \
    static const struct molt_type id __attribute__((unused)) = {.key_text = (key_),                \
                                                                .name = #T,                        \
                                                                .size = sizeof(T),                 \
                                                                .may_point = (n_) > 0,             \
                                                                .n_ptrs = (n_),                    \
                                                                .ptrs = (ptrs_)}
#define TABLE_TYPE(id, T) TABLE_TYPE_(id, T, #T, NULL, 0)
#define TABLE_POINTER_TYPE(id, T, member, kind_)                                                   \
    static const struct molt_meta_ptr id##_ptrs[] = {                                              \
        {.offset = offsetof(T, member), .count = 1, .kind = (kind_), .field = (char[]){#member}}}; \
    TABLE_TYPE_(id, T, #T, id##_ptrs, 1)

struct hit {
    int64_t n;
    int32_t small;
    uint32_t check;
};

TABLE_TYPE(char_type, char);
TABLE_TYPE(int8_type, int8_t);
TABLE_TYPE(uint16_type, uint16_t);
TABLE_TYPE(int_type, int);
TABLE_TYPE(long_type, long);
TABLE_TYPE(ulong_type, unsigned long);
TABLE_TYPE(name_type, char[20]);
TABLE_TYPE(id_type, unsigned char[11]);
TABLE_TYPE(hit_type, struct hit);

FIXTURE molt_table table_new(struct molt_tables *tables, const struct molt_type *key_type,
                             enum molt_table_key key, const struct molt_type *value_type,
                             const struct molt_table_options *options)
{
    struct molt_table_layout layout;
    struct molt_error err;
    molt_table table = 0;
    assert_int_equal(molt_table_layout_init(&layout, key_type, key, value_type, &err), 0);
    assert_int_equal(molt_tables_create(tables, 1, &layout, options, &table, &err), 0);
    return table;
}

/* A public table of long to struct hit. */
FIXTURE molt_table table_of_hits(struct molt_tables *tables, enum molt_table_kind kind)
{
    struct molt_table_options o = {.kind = kind, .access = MOLT_TABLE_PUBLIC};
    return table_new(tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit_type, &o);
}

FIXTURE struct molt_table_args hit_args(molt_table table, const long *key)
{
    return (struct molt_table_args){
        .table = table, .self = 1, .key = key, .key_type = &long_type, .value_type = &hit_type};
}

FIXTURE int hit_write(struct molt_tables *tables, enum molt_table_op op, molt_table table, long key,
                      const struct hit *value, void *ret)
{
    struct molt_table_args args = hit_args(table, &key);
    args.value = value;
    return molt_tables_write(tables, op, &args, ret);
}

FIXTURE int hit_put(struct molt_tables *tables, molt_table table, long key, int64_t n)
{
    struct hit value = {.n = n};
    return hit_write(tables, MOLT_TABLE_OP_PUT, table, key, &value, NULL);
}

FIXTURE int hit_get(struct molt_tables *tables, molt_table table, long key, struct hit *ret)
{
    struct molt_table_args args = hit_args(table, &key);
    return molt_tables_get(tables, &args, ret);
}

FIXTURE int hit_delete(struct molt_tables *tables, molt_table table, long key)
{
    return hit_write(tables, MOLT_TABLE_OP_DELETE, table, key, NULL, NULL);
}

FIXTURE int hit_add(struct molt_tables *tables, molt_table table, long key, int64_t delta,
                    const struct hit *initial, int64_t *ret_sum)
{
    struct molt_table_args args = hit_args(table, &key);
    args.value = initial;
    args.delta = delta;
    args.field = (struct molt_table_field){offsetof(struct hit, n), 8, 1};
    return molt_tables_write(tables, MOLT_TABLE_OP_ADD, &args, ret_sum);
}

/* From *key on, or from the edge if @is_first. */
FIXTURE int hit_step(struct molt_tables *tables, molt_table table, bool is_first,
                     enum molt_table_step step, long *key, struct hit *ret)
{
    struct molt_table_args args = hit_args(table, is_first ? NULL : key);
    return molt_tables_step(tables, &args, step, key, &long_type, ret);
}

#endif
