/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/table_fixture.h"

struct words {
    void *any;
    long n;
};
struct code {
    long n;
    void (*fn)(void);
};
struct data {
    struct hit *hit;
};
TABLE_POINTER_TYPE(words_type, struct words, any, MOLT_PTR_WORD);
TABLE_POINTER_TYPE(code_type, struct code, fn, MOLT_PTR_CODE);
TABLE_POINTER_TYPE(data_type, struct data, hit, MOLT_PTR_DATA);
TABLE_TYPE(double_type, double);
TABLE_TYPE(heritage_type, struct molt_table_heritage);

struct bench {
    struct molt_tables tables;
    enum molt_table_kind kind;
    /* What the tables were asked to look at. */
    int n_in, n_out, refuse;
};

static int vet(void *user, const struct molt_type *type, const void *bytes, bool is_stored)
{
    struct bench *b = user;
    assert_true(type->may_point);
    assert_non_null(bytes);
    if (is_stored)
        b->n_in++;
    else
        b->n_out++;
    return is_stored ? b->refuse : 0;
}

static int setup(void **state)
{
    static struct bench b;
    enum molt_table_kind kind = *state ? MOLT_TABLE_ORDERED : MOLT_TABLE_SET;
    memset(&b, 0, sizeof(b));
    b.kind = kind;
    molt_tables_init(&b.tables, &(struct molt_tables_config){.vet = vet, .user = &b});
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    molt_tables_fini(&b->tables);
    return 0;
}

/* ---- rows ---------------------------------------------------------------------- */

static void what_was_put_is_got(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    struct hit hit;
    for (long key = -2000; key < 2000; key += 3)
        assert_int_equal(hit_put(&b->tables, t, key, key * 7), 0);
    for (long key = -2000; key < 2000; key++) {
        int rc = hit_get(&b->tables, t, key, &hit);
        assert_int_equal(rc, (key + 2000) % 3 == 0 ? 0 : MOLT_ENOENT);
        if (rc == 0)
            assert_int_equal(hit.n, key * 7);
    }
    assert_int_equal(molt_tables_count(&b->tables, t), 1334);
}

static void put_replaces_and_insert_does_not(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    struct hit hit, two = {.n = 2};
    assert_int_equal(hit_write(&b->tables, MOLT_TABLE_OP_INSERT, t, 5, &two, NULL), 0);
    assert_int_equal(hit_write(&b->tables, MOLT_TABLE_OP_INSERT, t, 5, &two, NULL), MOLT_EEXIST);
    assert_int_equal(hit_put(&b->tables, t, 5, 3), 0);
    assert_int_equal(hit_get(&b->tables, t, 5, &hit), 0);
    assert_int_equal(hit.n, 3);
    assert_int_equal(molt_tables_count(&b->tables, t), 1);
}

static void take_and_delete_remove_the_row(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    struct hit hit = {0};
    hit_put(&b->tables, t, 1, 10);
    hit_put(&b->tables, t, 2, 20);
    assert_int_equal(hit_write(&b->tables, MOLT_TABLE_OP_TAKE, t, 1, NULL, &hit), 0);
    assert_int_equal(hit.n, 10);
    assert_int_equal(hit_write(&b->tables, MOLT_TABLE_OP_TAKE, t, 1, NULL, &hit), MOLT_ENOENT);
    assert_int_equal(hit_delete(&b->tables, t, 2), 0);
    assert_int_equal(hit_delete(&b->tables, t, 2), MOLT_ENOENT);
    assert_int_equal(molt_tables_count(&b->tables, t), 0);
}

static int swap(struct bench *b, molt_table t, long key, struct hit expected,
                const struct hit *value)
{
    struct molt_table_args args = hit_args(t, &key);
    args.expected = &expected;
    args.value = value;
    return molt_tables_write(&b->tables, value ? MOLT_TABLE_OP_SWAP : MOLT_TABLE_OP_DELETE_SAME,
                             &args, NULL);
}

static void swap_and_delete_same_compare_the_value(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    struct hit one = {.n = 1, .check = 9}, two = {.n = 2, .check = 9}, hit;
    assert_int_equal(swap(b, t, 7, one, &two), MOLT_ENOENT);
    hit_write(&b->tables, MOLT_TABLE_OP_PUT, t, 7, &one, NULL);
    assert_int_equal(swap(b, t, 7, two, &one), 1);
    assert_int_equal(swap(b, t, 7, (struct hit){.n = 1, .check = 8}, &two), 1);
    assert_int_equal(swap(b, t, 7, one, &two), 0);
    assert_int_equal(hit_get(&b->tables, t, 7, &hit), 0);
    assert_memory_equal(&hit, &two, sizeof(hit));
    assert_int_equal(swap(b, t, 7, one, NULL), 1);
    assert_int_equal(swap(b, t, 7, two, NULL), 0);
    assert_int_equal(swap(b, t, 7, two, NULL), MOLT_ENOENT);
}

static void counters_add_to_fields_and_wrap_around(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    struct hit first = {.n = 100, .small = -1, .check = 7}, hit;
    int64_t sum = 0;
    assert_int_equal(hit_add(&b->tables, t, 1, 5, NULL, &sum), MOLT_ENOENT);
    assert_int_equal(hit_add(&b->tables, t, 1, 5, &first, &sum), 0);
    assert_int_equal(sum, 105);
    assert_int_equal(hit_add(&b->tables, t, 1, -6, &first, &sum), 0);
    assert_int_equal(sum, 99);
    long key = 1;
    struct molt_table_args args = hit_args(t, &key);
    args.field = (struct molt_table_field){offsetof(struct hit, small), 4, 1};
    args.delta = INT32_MIN;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), 0);
    assert_int_equal(sum, INT32_MAX);
    args.field = (struct molt_table_field){offsetof(struct hit, check), 4, 0};
    args.delta = -8;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), 0);
    assert_int_equal(sum, UINT32_MAX);
    assert_int_equal(hit_get(&b->tables, t, 1, &hit), 0);
    assert_int_equal(hit.n, 99);
    assert_int_equal(hit.small, INT32_MAX);
    assert_int_equal(hit.check, UINT32_MAX);
    args.field.offset = sizeof(struct hit) - 3;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), MOLT_EINVAL);
    args.field = (struct molt_table_field){0, 2, 0};
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), MOLT_EINVAL);
}

struct __attribute__((packed)) odd {
    char c[5];
    int64_t n;
    char d[6];
};
TABLE_TYPE(odd_type, struct odd);

static void a_field_may_lie_anywhere(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind};
    molt_table t = table_new(&b->tables, &int_type, MOLT_TABLE_KEY_SIGNED, &odd_type, &o);
    struct odd odd = {.c = "abcd", .n = -1, .d = "efghi"}, got;
    int key = 3;
    int64_t sum;
    struct molt_table_args args = {.table = t,
                                   .self = 1,
                                   .key = &key,
                                   .key_type = &int_type,
                                   .value_type = &odd_type,
                                   .value = &odd,
                                   .field = {offsetof(struct odd, n), 8, 1},
                                   .delta = 43};
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), 0);
    assert_int_equal(sum, 42);
    assert_int_equal(molt_tables_get(&b->tables, &args, &got), 0);
    odd.n = 42;
    assert_memory_equal(&got, &odd, sizeof(odd));
}

static void clear_leaves_an_empty_table(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    struct hit hit;
    for (long key = 0; key < 500; key++)
        hit_put(&b->tables, t, key, key);
    assert_int_equal(molt_tables_clear(&b->tables, 1, t), 0);
    assert_int_equal(molt_tables_count(&b->tables, t), 0);
    assert_int_equal(hit_get(&b->tables, t, 5, &hit), MOLT_ENOENT);
    assert_int_equal(hit_put(&b->tables, t, 5, 6), 0);
    assert_int_equal(hit_get(&b->tables, t, 5, &hit), 0);
    assert_int_equal(hit.n, 6);
}

static void limits_hold_and_replacing_is_no_new_row(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind, .rows_max = 10};
    molt_table t = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit_type, &o);
    for (long key = 0; key < 10; key++)
        assert_int_equal(hit_put(&b->tables, t, key, key), 0);
    assert_int_equal(hit_put(&b->tables, t, 10, 1), MOLT_ELIMIT);
    assert_int_equal(hit_put(&b->tables, t, 9, 1), 0);
    assert_int_equal(hit_delete(&b->tables, t, 0), 0);
    assert_int_equal(hit_put(&b->tables, t, 10, 1), 0);
    assert_int_equal(hit_put(&b->tables, t, 11, 1), MOLT_ELIMIT);
    assert_int_equal(molt_tables_count(&b->tables, t), 10);
    o = (struct molt_table_options){.kind = b->kind, .bytes_max = 4 * 40 + 39};
    t = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit_type, &o);
    struct molt_table_info info;
    assert_int_equal(molt_tables_describe(&b->tables, t, &info), 0);
    assert_int_equal(info.row_bytes, 40);
    for (long key = 0; key < 4; key++)
        assert_int_equal(hit_put(&b->tables, t, key, key), 0);
    assert_int_equal(hit_put(&b->tables, t, 4, 4), MOLT_ELIMIT);
}

static void deleted_rows_are_used_again(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    struct molt_table_info before, after;
    for (long key = 0; key < 1000; key++)
        hit_put(&b->tables, t, key, key);
    molt_tables_describe(&b->tables, t, &before);
    /* A window that moves: what it leaves must not pile up. */
    for (long key = 1000; key < 30000; key++) {
        assert_int_equal(hit_put(&b->tables, t, key, key), 0);
        assert_int_equal(hit_delete(&b->tables, t, key - 1000), 0);
    }
    molt_tables_describe(&b->tables, t, &after);
    assert_int_equal(after.rows, 1000);
    assert_in_range(after.bytes, 0, before.bytes + before.bytes / 2);
}

/* ---- keys ----------------------------------------------------------------------- */

struct pair {
    const struct molt_type *type;
    enum molt_table_key key;
};

static int put_key(struct bench *b, molt_table t, const struct molt_type *type, const void *key,
                   long n)
{
    struct hit hit = {.n = n};
    struct molt_table_args args = {.table = t,
                                   .self = 1,
                                   .key = key,
                                   .key_type = type,
                                   .value_type = &hit_type,
                                   .value = &hit};
    return molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL);
}

static int get_key(struct bench *b, molt_table t, const struct molt_type *type, const void *key)
{
    struct hit hit;
    struct molt_table_args args = {
        .table = t, .self = 1, .key = key, .key_type = type, .value_type = &hit_type};
    int rc = molt_tables_get(&b->tables, &args, &hit);
    return rc < 0 ? rc : (int)hit.n;
}

static int step_key(struct bench *b, molt_table t, const struct molt_type *type, bool is_first,
                    void *key)
{
    struct hit hit;
    struct molt_table_args args = {.table = t,
                                   .self = 1,
                                   .key = is_first ? NULL : key,
                                   .key_type = type,
                                   .value_type = &hit_type};
    int rc = molt_tables_step(&b->tables, &args, MOLT_TABLE_NEXT, key, type, &hit);
    return rc < 0 ? rc : (int)hit.n;
}

static void small_integers_are_keys(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind};
    molt_table t = table_new(&b->tables, &int8_type, MOLT_TABLE_KEY_SIGNED, &hit_type, &o);
    for (int i = -128; i < 128; i++)
        assert_int_equal(put_key(b, t, &int8_type, &(int8_t){(int8_t)i}, 1000 + i), 0);
    int8_t key = 0;
    int n = 0, last = -1;
    for (int rc = step_key(b, t, &int8_type, true, &key); rc >= 0;
         rc = step_key(b, t, &int8_type, false, &key), n++) {
        assert_int_equal(rc, 1000 + key);
        if (b->kind == MOLT_TABLE_ORDERED)
            assert_true(rc > last);
        last = rc;
    }
    assert_int_equal(n, 256);
    t = table_new(&b->tables, &uint16_type, MOLT_TABLE_KEY_UNSIGNED, &hit_type, &o);
    put_key(b, t, &uint16_type, &(uint16_t){65535}, 1);
    put_key(b, t, &uint16_type, &(uint16_t){1}, 2);
    assert_int_equal(get_key(b, t, &uint16_type, &(uint16_t){65535}), 1);
    assert_int_equal(get_key(b, t, &uint16_type, &(uint16_t){2}), MOLT_ENOENT);
    if (b->kind == MOLT_TABLE_ORDERED) {
        uint16_t small = 0;
        assert_int_equal(step_key(b, t, &uint16_type, true, &small), 2);
    }
}

static void strings_are_keys_up_to_their_end(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind};
    molt_table t = table_new(&b->tables, &name_type, MOLT_TABLE_KEY_STRING, &hit_type, &o);
    char a[20] = "alice\0garbage", full[20];
    memset(full, 'x', sizeof(full));
    assert_int_equal(put_key(b, t, &name_type, a, 1), 0);
    assert_int_equal(get_key(b, t, &char_type, "alice"), 1);
    assert_int_equal(put_key(b, t, &char_type, "alic", 2), 0);
    assert_int_equal(get_key(b, t, &char_type, "alice"), 1);
    assert_int_equal(put_key(b, t, &name_type, full, 3), 0);
    assert_int_equal(get_key(b, t, &name_type, full), 3);
    /* Without a NUL it is no string; 19 characters and a NUL fit. */
    assert_int_equal(put_key(b, t, &char_type, "12345678901234567890", 4), MOLT_EINVAL);
    assert_int_equal(put_key(b, t, &char_type, "1234567890123456789", 4), 0);
    assert_int_equal(put_key(b, t, &char_type, "", 5), 0);
    assert_int_equal(put_key(b, t, &char_type, "\xff", 6), 0);
    char key[20];
    int n = 0;
    static const int order[] = {5, 4, 2, 1, 3, 6};
    for (int rc = step_key(b, t, &name_type, true, key); rc >= 0;
         rc = step_key(b, t, &name_type, false, key), n++) {
        if (b->kind == MOLT_TABLE_ORDERED)
            assert_int_equal(rc, order[n]);
        if (rc == 1)
            assert_string_equal(key, "alice");
        if (rc == 3)
            assert_memory_equal(key, full, 20);
    }
    assert_int_equal(n, 6);
}

static void bytes_are_keys(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind};
    molt_table t = table_new(&b->tables, &id_type, MOLT_TABLE_KEY_BYTES, &hit_type, &o);
    unsigned char id[11] = {0};
    for (int i = 0; i < 300; i++) {
        id[0] = (unsigned char)(i % 7);
        id[10] = (unsigned char)i;
        id[5] = (unsigned char)(i >> 8);
        assert_int_equal(put_key(b, t, &id_type, id, i), 0);
    }
    unsigned char last[11] = {0};
    int n = 0;
    for (int rc = step_key(b, t, &id_type, true, id); rc >= 0;
         rc = step_key(b, t, &id_type, false, id), n++) {
        assert_int_equal(id[0], rc % 7);
        assert_int_equal(id[10] + 256 * id[5], rc);
        if (b->kind == MOLT_TABLE_ORDERED && n > 0)
            assert_true(memcmp(last, id, 11) < 0);
        memcpy(last, id, 11);
    }
    assert_int_equal(n, 300);
    /* Types that are something else are refused, also if they are as large. */
    assert_int_equal(put_key(b, t, &name_type, "", 1), MOLT_ETYPE);
    assert_int_equal(put_key(b, t, &char_type, "", 1), MOLT_ETYPE);
}

/* ---- walking ------------------------------------------------------------------------ */

static void a_walk_visits_each_row_once(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    char seen[3000] = {0};
    struct hit hit;
    long key;
    assert_int_equal(hit_step(&b->tables, t, true, MOLT_TABLE_NEXT, &key, &hit), MOLT_ENOENT);
    for (long i = 0; i < 3000; i++)
        hit_put(&b->tables, t, (i * 7919) % 3000, i);
    int rc = hit_step(&b->tables, t, true, MOLT_TABLE_NEXT, &key, &hit);
    for (; rc == 0; rc = hit_step(&b->tables, t, false, MOLT_TABLE_NEXT, &key, &hit))
        assert_int_equal(seen[key]++, 0);
    assert_int_equal(rc, MOLT_ENOENT);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(seen[i], 1);
}

static void a_walk_goes_on_while_the_table_grows_and_shrinks(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    char seen[100] = {0};
    struct hit hit;
    long key, other = 1000;
    for (long i = 0; i < 100; i++)
        hit_put(&b->tables, t, i * 1000, i);
    int rc = hit_step(&b->tables, t, true, MOLT_TABLE_NEXT, &key, &hit);
    for (int n = 0; rc == 0; n++) {
        if (key % 1000 == 0)
            assert_int_equal(seen[key / 1000]++, 0);
        bool is_growing = n / 40 % 2 == 0;
        for (int i = 0; i < 50 && other > 0; i++, other += is_growing ? 1 : -1) {
            if (other % 1000 == 0)
                continue;
            if (is_growing)
                hit_put(&b->tables, t, other, 0);
            else
                hit_delete(&b->tables, t, other);
        }
        if (n > 400) /* end it: nothing new comes any more */
            for (; other > 0; other--)
                if (other % 1000 != 0)
                    hit_delete(&b->tables, t, other);
        rc = hit_step(&b->tables, t, false, MOLT_TABLE_NEXT, &key, &hit);
    }
    assert_int_equal(rc, MOLT_ENOENT);
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
}

static void ordered_tables_are_walked_in_order_both_ways(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, MOLT_TABLE_ORDERED);
    struct hit hit;
    long key = 0;
    for (long i = 0; i < 2000; i++)
        hit_put(&b->tables, t, (i * 7919) % 2000 - 1000, i);
    for (long i = -1000; i < 1000; i++) {
        assert_int_equal(hit_step(&b->tables, t, i == -1000, MOLT_TABLE_NEXT, &key, &hit), 0);
        assert_int_equal(key, i);
    }
    assert_int_equal(hit_step(&b->tables, t, false, MOLT_TABLE_NEXT, &key, &hit), MOLT_ENOENT);
    for (long i = 999; i >= -1000; i--) {
        assert_int_equal(hit_step(&b->tables, t, i == 999, MOLT_TABLE_PREV, &key, &hit), 0);
        assert_int_equal(key, i);
    }
    assert_int_equal(hit_step(&b->tables, t, false, MOLT_TABLE_PREV, &key, &hit), MOLT_ENOENT);
    for (long i = -1000; i < 1000; i++)
        if (i % 10)
            hit_delete(&b->tables, t, i);
    for (long i = -1000; i < 990; i++) {
        key = i;
        assert_int_equal(hit_step(&b->tables, t, false, MOLT_TABLE_FROM, &key, &hit), 0);
        assert_int_equal(key, i <= 0 ? -(-i / 10 * 10) : (i + 9) / 10 * 10);
    }
}

static void sets_have_no_order(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, MOLT_TABLE_SET);
    struct hit hit;
    long key = 1;
    hit_put(&b->tables, t, 1, 1);
    assert_int_equal(hit_step(&b->tables, t, true, MOLT_TABLE_PREV, &key, &hit), MOLT_ENOTSUP);
    assert_int_equal(hit_step(&b->tables, t, false, MOLT_TABLE_FROM, &key, &hit), MOLT_ENOTSUP);
}

/* ---- types, rights, handles ------------------------------------------------------------ */

static void other_types_are_refused_everywhere(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    long key = 1, out = 5;
    struct hit hit = {.n = 1};
    hit_put(&b->tables, t, 1, 1);
    for (int op = MOLT_TABLE_OP_PUT; op <= MOLT_TABLE_OP_ADD; op++) {
        struct molt_table_args args = hit_args(t, &key);
        args.value = args.expected = &hit;
        args.field = (struct molt_table_field){0, 8, 1};
        args.key_type = &ulong_type;
        assert_int_equal(molt_tables_write(&b->tables, op, &args, &hit), MOLT_ETYPE);
        args.key_type = NULL;
        assert_int_equal(molt_tables_write(&b->tables, op, &args, &hit), MOLT_ETYPE);
        if (op == MOLT_TABLE_OP_DELETE)
            continue;
        args.key_type = &long_type;
        args.value_type = &odd_type;
        assert_int_equal(molt_tables_write(&b->tables, op, &args, &hit), MOLT_ETYPE);
        args.value_type = NULL;
        assert_int_equal(molt_tables_write(&b->tables, op, &args, &hit), MOLT_ETYPE);
    }
    struct molt_table_args args = hit_args(t, &key);
    args.value_type = &odd_type;
    assert_int_equal(molt_tables_get(&b->tables, &args, &out), MOLT_ETYPE);
    assert_int_equal(molt_tables_step(&b->tables, &args, 0, &key, &long_type, &out), MOLT_ETYPE);
    args = hit_args(t, &key);
    assert_int_equal(molt_tables_step(&b->tables, &args, 0, &key, &int_type, &hit), MOLT_ETYPE);
    assert_int_equal(out, 5);
    assert_int_equal(molt_tables_count(&b->tables, t), 1);
}

static void missing_arguments_are_refused(void **state)
{
    struct bench *b = *state;
    molt_table t = table_of_hits(&b->tables, b->kind);
    struct hit hit = {0};
    long key = 1;
    struct molt_table_args args = hit_args(t, NULL);
    args.value = args.expected = &hit;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), MOLT_EINVAL);
    assert_int_equal(molt_tables_get(&b->tables, &args, &hit), MOLT_EINVAL);
    args = hit_args(t, &key);
    assert_int_equal(molt_tables_get(&b->tables, &args, NULL), MOLT_EINVAL);
    for (int op = MOLT_TABLE_OP_PUT; op < MOLT_TABLE_OP_ADD; op++)
        if (op != MOLT_TABLE_OP_DELETE)
            assert_int_equal(molt_tables_write(&b->tables, op, &args, NULL), MOLT_EINVAL);
    assert_int_equal(molt_tables_step(&b->tables, &args, 0, NULL, &long_type, &hit), MOLT_EINVAL);
    assert_int_equal(molt_tables_step(&b->tables, &args, 9, &key, &long_type, &hit), MOLT_EINVAL);
    assert_int_equal(molt_tables_find(&b->tables, NULL, &t), MOLT_EINVAL);
}

static void only_the_owner_writes_to_a_protected_table(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind};
    molt_table t = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit_type, &o);
    long key = 1;
    struct hit hit = {.n = 4};
    struct molt_table_args args = hit_args(t, &key);
    args.value = &hit;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), 0);
    args.self = 2;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), MOLT_EOWNER);
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_DELETE, &args, NULL), MOLT_EOWNER);
    assert_int_equal(molt_tables_clear(&b->tables, 2, t), MOLT_EOWNER);
    assert_int_equal(molt_tables_drop(&b->tables, 2, t), MOLT_EOWNER);
    assert_int_equal(molt_tables_set_heir(&b->tables, 2, t, 2, 0, &heritage_type), MOLT_EOWNER);
    assert_int_equal(molt_tables_get(&b->tables, &args, &hit), 0);
    t = table_of_hits(&b->tables, b->kind);
    args.table = t;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), 0);
    assert_int_equal(molt_tables_clear(&b->tables, 2, t), 0);
    assert_int_equal(molt_tables_drop(&b->tables, 2, t), MOLT_EOWNER);
}

static void stale_handles_are_told_from_handles_that_never_were(void **state)
{
    struct bench *b = *state;
    struct hit hit;
    molt_table first = table_of_hits(&b->tables, b->kind), handle = first;
    for (int i = 0; i < 300; i++) {
        assert_int_equal(molt_tables_drop(&b->tables, 1, handle), 0);
        assert_int_equal(hit_get(&b->tables, handle, 1, &hit), MOLT_ESTALE);
        assert_int_equal(hit_put(&b->tables, handle, 1, 1), MOLT_ESTALE);
        assert_int_equal(molt_tables_drop(&b->tables, 1, handle), MOLT_ESTALE);
        assert_int_equal(molt_tables_clear(&b->tables, 1, handle), MOLT_ESTALE);
        assert_int_equal(molt_tables_count(&b->tables, handle), MOLT_ESTALE);
        molt_table next = table_of_hits(&b->tables, b->kind);
        assert_int_not_equal(next, handle);
        handle = next;
    }
    assert_int_equal(hit_get(&b->tables, first, 1, &hit), MOLT_ESTALE);
    static const molt_table never[] = {0, 1, 77777, UINT64_MAX, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        assert_int_equal(hit_get(&b->tables, never[i], 1, &hit), MOLT_ENOENT);
    assert_int_equal(hit_get(&b->tables, handle + (UINT64_C(1) << 30), 1, &hit), MOLT_ENOENT);
}

static void names_lead_to_tables(void **state)
{
    struct bench *b = *state;
    struct molt_table_layout layout;
    struct molt_error err;
    molt_table tables[40], found;
    molt_table_layout_init(&layout, &long_type, MOLT_TABLE_KEY_SIGNED, &hit_type, NULL);
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof(name), "table %d", i);
        struct molt_table_options o = {.kind = b->kind, .name = name};
        assert_int_equal(molt_tables_create(&b->tables, 1, &layout, &o, &tables[i], &err), 0);
        assert_int_equal(molt_tables_create(&b->tables, 1, &layout, &o, &found, &err), MOLT_EEXIST);
        assert_non_null(strstr(err.text, name));
    }
    for (int i = 0; i < 40; i += 2)
        assert_int_equal(molt_tables_drop(&b->tables, 1, tables[i]), 0);
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof(name), "table %d", i);
        int rc = molt_tables_find(&b->tables, name, &found);
        assert_int_equal(rc, i % 2 ? 0 : MOLT_ENOENT);
        if (rc == 0)
            assert_int_equal(found, tables[i]);
    }
}

static void types_that_cannot_be_shared_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct molt_table_layout layout;
    struct molt_error err;
    static const struct molt_type large = {.key_text = "l", .name = "struct large", .size = 70000};
    static const struct molt_type empty = {.key_text = "e", .name = "struct empty"};
    const struct {
        const struct molt_type *key_type;
        enum molt_table_key key;
        const struct molt_type *value_type;
        int rc;
        const char *text;
    } cases[] = {
        {&long_type, MOLT_TABLE_KEY_SIGNED, &data_type, MOLT_EINVAL, "'hit' points to data"},
        {&data_type, MOLT_TABLE_KEY_BYTES, &hit_type, MOLT_EINVAL, "'hit' is a pointer"},
        {&code_type, MOLT_TABLE_KEY_BYTES, &hit_type, MOLT_EINVAL, "'fn' is a pointer"},
        {&double_type, MOLT_TABLE_KEY_NONE, &hit_type, MOLT_EINVAL, "floating-point"},
        {&large, MOLT_TABLE_KEY_BYTES, &hit_type, MOLT_EINVAL, "70000 bytes"},
        {&long_type, MOLT_TABLE_KEY_SIGNED, &large, MOLT_EINVAL, "70000 bytes"},
        {&empty, MOLT_TABLE_KEY_BYTES, &hit_type, MOLT_EINVAL, "0 bytes"},
        {&long_type, MOLT_TABLE_KEY_SIGNED, &empty, MOLT_EINVAL, "0 bytes"},
        {&hit_type, MOLT_TABLE_KEY_SIGNED, &hit_type, MOLT_EINVAL, "16 bytes"},
        {NULL, MOLT_TABLE_KEY_SIGNED, &hit_type, MOLT_ETYPE, "not registered"},
        {&long_type, MOLT_TABLE_KEY_SIGNED, NULL, MOLT_ETYPE, "not registered"},
        {&long_type, MOLT_TABLE_KEY_SIGNED, &code_type, 0, NULL},
        {&long_type, MOLT_TABLE_KEY_SIGNED, &words_type, 0, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int rc = molt_table_layout_init(&layout, cases[i].key_type, cases[i].key,
                                        cases[i].value_type, &err);
        assert_int_equal(rc, cases[i].rc);
        if (rc < 0)
            assert_non_null(strstr(err.text, cases[i].text));
    }
}

static void options_that_make_no_sense_are_refused(void **state)
{
    struct bench *b = *state;
    struct molt_table_layout layout;
    molt_table t;
    char name[80];
    memset(name, 'n', sizeof(name));
    name[64] = 0;
    molt_table_layout_init(&layout, &long_type, MOLT_TABLE_KEY_SIGNED, &hit_type, NULL);
    const struct molt_table_options cases[] = {{.kind = 2},
                                               {.access = 2},
                                               {.name = ""},
                                               {.name = name}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(molt_tables_create(&b->tables, 1, &layout, &cases[i], &t, NULL),
                         MOLT_EINVAL);
    name[63] = 0;
    assert_int_equal(molt_tables_create(&b->tables, 1, &layout,
                                        &(struct molt_table_options){.name = name}, &t, NULL),
                     0);
}

/* ---- owners and heirs --------------------------------------------------------------------- */

struct notices {
    int n, rc;
    molt_pid heir;
    struct molt_table_heritage last;
};

static int inherit(void *user, molt_pid heir, const struct molt_table_heritage *heritage,
                   const struct molt_type *type)
{
    struct notices *notices = user;
    assert_ptr_equal(type, &heritage_type);
    notices->n++;
    notices->heir = heir;
    notices->last = *heritage;
    return notices->rc;
}

static void tables_end_with_their_owner(void **state)
{
    struct bench *b = *state;
    struct notices notices = {0};
    molt_table mine[20];
    for (int i = 0; i < 20; i++)
        mine[i] = table_of_hits(&b->tables, b->kind);
    molt_tables_owner_ended(&b->tables, 2, inherit, &notices);
    assert_int_equal(molt_tables_count(&b->tables, mine[0]), 0);
    molt_tables_owner_ended(&b->tables, 1, inherit, &notices);
    for (int i = 0; i < 20; i++)
        assert_int_equal(molt_tables_count(&b->tables, mine[i]), MOLT_ESTALE);
    assert_int_equal(notices.n, 0);
}

static void an_heir_gets_the_table_and_a_notice(void **state)
{
    struct bench *b = *state;
    struct notices notices = {0};
    struct molt_table_info info;
    molt_table t = table_of_hits(&b->tables, b->kind);
    hit_put(&b->tables, t, 3, 33);
    assert_int_equal(molt_tables_set_heir(&b->tables, 1, t, 9, 0, NULL), MOLT_ETYPE);
    assert_int_equal(molt_tables_set_heir(&b->tables, 1, t, 9, 123, &heritage_type), 0);
    molt_tables_owner_ended(&b->tables, 1, inherit, &notices);
    assert_int_equal(notices.n, 1);
    assert_int_equal(notices.heir, 9);
    assert_int_equal(notices.last.table, t);
    assert_int_equal(notices.last.from, 1);
    assert_int_equal(notices.last.data, 123);
    assert_int_equal(molt_tables_describe(&b->tables, t, &info), 0);
    assert_int_equal(info.owner, 9);
    assert_int_equal(info.heir, 0);
    assert_int_equal(info.rows, 1);
    /* The heir named nobody in its turn. */
    molt_tables_owner_ended(&b->tables, 9, inherit, &notices);
    assert_int_equal(notices.n, 1);
    assert_int_equal(molt_tables_count(&b->tables, t), MOLT_ESTALE);
}

static void a_table_whose_heir_is_dead_goes(void **state)
{
    struct bench *b = *state;
    struct notices notices = {.rc = MOLT_EDEAD};
    molt_table t = table_of_hits(&b->tables, b->kind);
    molt_tables_set_heir(&b->tables, 1, t, 9, 0, &heritage_type);
    molt_tables_owner_ended(&b->tables, 1, inherit, &notices);
    assert_int_equal(notices.n, 1);
    assert_int_equal(molt_tables_count(&b->tables, t), MOLT_ESTALE);
    /* Not for want of memory, though. */
    notices.rc = MOLT_ENOMEM;
    t = table_of_hits(&b->tables, b->kind);
    molt_tables_set_heir(&b->tables, 1, t, 9, 0, &heritage_type);
    molt_tables_owner_ended(&b->tables, 1, inherit, &notices);
    assert_int_equal(molt_tables_count(&b->tables, t), 0);
}

/* ---- listing and scan ----------------------------------------------------------------------- */

static void note_info(void *user, const struct molt_table_info *info)
{
    struct molt_table_info *last = user;
    if (strcmp(info->name, "listed") == 0)
        *last = *info;
}

static void tables_are_listed_with_what_they_have(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind, .name = "listed", .rows_max = 77};
    molt_table t = table_new(&b->tables, &name_type, MOLT_TABLE_KEY_STRING, &hit_type, &o);
    table_of_hits(&b->tables, b->kind);
    for (int i = 0; i < 9; i++)
        put_key(b, t, &char_type, (char[]){(char)('a' + i), 0}, i);
    struct molt_table_info info = {0};
    assert_int_equal(molt_tables_each(&b->tables, note_info, &info), 2);
    assert_int_equal(info.table, t);
    assert_int_equal(info.kind, b->kind);
    assert_int_equal(info.owner, 1);
    assert_int_equal(info.rows, 9);
    assert_int_equal(info.rows_max, 77);
    assert_in_range(info.bytes, 9 * info.row_bytes, 100000);
    assert_string_equal(info.key_type, "char[20]");
    assert_string_equal(info.value_type, "struct hit");
    assert_int_equal(info.layout, 1);
}

struct pins {
    int n;
    char last[256];
    uint64_t holder;
};

static void note_pin(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    struct pins *pins = user;
    assert_non_null(range);
    pins->n++;
    pins->holder = holder;
    snprintf(pins->last, sizeof(pins->last), "%s", why);
}

static void a_scan_finds_pointers_in_rows_by_name(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind, .name = "routes"};
    molt_table t = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &code_type, &o);
    const struct molt_range ranges[] = {{.lo = 1000, .hi = 2000}, {.lo = 5000, .hi = 6000}};
    struct pins pins = {0};
    hit_put(&b->tables, table_of_hits(&b->tables, b->kind), 1, 5500);
    assert_false(molt_tables_may_point(&b->tables));
    struct code code = {.n = 5500};
    long key;
    struct molt_table_args args = {.table = t,
                                   .self = 1,
                                   .key = &key,
                                   .key_type = &long_type,
                                   .value_type = &code_type,
                                   .value = &code};
    for (key = 0; key < 200; key++) {
        code.fn = (void (*)(void))(uintptr_t)(key == 150 ? 5999 : 2000 + key);
        assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), 0);
    }
    assert_int_equal(b->n_in, 200);
    assert_true(molt_tables_may_point(&b->tables));
    assert_int_equal(molt_table_scan(&b->tables, ranges, 2, note_pin, &pins), 1);
    assert_int_equal(pins.n, 1);
    assert_int_equal(pins.holder, 1);
    assert_string_equal(pins.last, "table 'routes': struct code.fn");
    key = 150;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_TAKE, &args, &code), 0);
    assert_int_equal(b->n_out, 1);
    assert_int_equal(molt_table_scan(&b->tables, ranges, 2, note_pin, &pins), 0);
    assert_int_equal(molt_table_scan(&b->tables, NULL, 0, note_pin, &pins), 0);
}

static void what_must_not_be_stored_is_refused(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind};
    molt_table t = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &words_type, &o);
    struct words words = {.any = &words};
    long key = 1;
    struct molt_table_args args = {.table = t,
                                   .self = 1,
                                   .key = &key,
                                   .key_type = &long_type,
                                   .value_type = &words_type,
                                   .value = &words,
                                   .field = {offsetof(struct words, any), 8, 1}};
    b->refuse = MOLT_EOWNER;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), MOLT_EOWNER);
    assert_int_equal(molt_tables_count(&b->tables, t), 0);
    b->refuse = 0;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), 0);
    /* Sums are no addresses. */
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, NULL), MOLT_EINVAL);
    assert_int_equal(molt_tables_get(&b->tables, &args, &words), 0);
    assert_int_equal(b->n_out, 1);
}

static void several_sets_of_tables_live_side_by_side(void **state)
{
    struct bench *b = *state;
    struct molt_tables other;
    struct hit hit;
    molt_tables_init(&other, NULL);
    molt_table here = table_of_hits(&b->tables, b->kind), there = table_of_hits(&other, b->kind);
    for (int i = 0; i < 10; i++) {
        hit_put(&b->tables, here, 1, i);
        hit_put(&other, there, 1, -i);
        assert_int_equal(hit_get(&b->tables, here, 1, &hit), 0);
        assert_int_equal(hit.n, i);
        assert_int_equal(hit_get(&other, there, 1, &hit), 0);
        assert_int_equal(hit.n, -i);
    }
    molt_tables_fini(&other);
    molt_tables_fini(&other);
}

#define BOTH(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, setup, teardown),                                        \
    {                                                                                              \
#test " (ordered)", test, setup, teardown, &ordered                                        \
    }

int main(void)
{
    static int ordered;
    const struct CMUnitTest tests[] = {
        BOTH(what_was_put_is_got),
        BOTH(put_replaces_and_insert_does_not),
        BOTH(take_and_delete_remove_the_row),
        BOTH(swap_and_delete_same_compare_the_value),
        BOTH(counters_add_to_fields_and_wrap_around),
        BOTH(a_field_may_lie_anywhere),
        BOTH(clear_leaves_an_empty_table),
        BOTH(limits_hold_and_replacing_is_no_new_row),
        BOTH(deleted_rows_are_used_again),
        BOTH(small_integers_are_keys),
        BOTH(strings_are_keys_up_to_their_end),
        BOTH(bytes_are_keys),
        BOTH(a_walk_visits_each_row_once),
        BOTH(a_walk_goes_on_while_the_table_grows_and_shrinks),
        BOTH(ordered_tables_are_walked_in_order_both_ways),
        BOTH(sets_have_no_order),
        BOTH(other_types_are_refused_everywhere),
        BOTH(missing_arguments_are_refused),
        BOTH(only_the_owner_writes_to_a_protected_table),
        BOTH(stale_handles_are_told_from_handles_that_never_were),
        BOTH(names_lead_to_tables),
        BOTH(types_that_cannot_be_shared_are_refused_with_a_reason),
        BOTH(options_that_make_no_sense_are_refused),
        BOTH(tables_end_with_their_owner),
        BOTH(an_heir_gets_the_table_and_a_notice),
        BOTH(a_table_whose_heir_is_dead_goes),
        BOTH(tables_are_listed_with_what_they_have),
        BOTH(a_scan_finds_pointers_in_rows_by_name),
        BOTH(what_must_not_be_stored_is_refused),
        BOTH(several_sets_of_tables_live_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
