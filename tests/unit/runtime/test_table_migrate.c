/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Tables whose value and key types change, step by step. */
#include "unit/runtime/layouts_fixture.h"

struct bench {
    struct molt_tables tables;
    molt_table table;
    enum molt_table_kind kind;
    struct molt_error err;
};

static int setup(void **state)
{
    static struct bench b;
    enum molt_table_kind kind = *state ? MOLT_TABLE_ORDERED : MOLT_TABLE_SET;
    memset(&b, 0, sizeof(b));
    b.kind = kind;
    layouts_open_tables(&b.tables);
    b.table = layouts_table(&b.tables, kind);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    molt_tables_fini(&b->tables);
    return 0;
}

static int put1(struct bench *b, long key, int64_t n, int32_t small)
{
    struct hit hit = {.n = n, .small = small, .check = (uint32_t)key};
    return layout_put(&b->tables, b->table, key, &hit1_type, &hit);
}

static struct hit get1(struct bench *b, long key)
{
    struct hit hit = {0};
    assert_int_equal(layout_get(&b->tables, b->table, key, &hit1_type, &hit), 0);
    return hit;
}

static struct hit2 get2(struct bench *b, long key)
{
    struct hit2 hit = {0};
    assert_int_equal(layout_get(&b->tables, b->table, key, &hit2_type, &hit), 0);
    return hit;
}

static int put2(struct bench *b, long key, const struct hit2 *hit)
{
    return layout_put(&b->tables, b->table, key, &hit2_type, hit);
}

static void fill(struct bench *b, long n)
{
    for (long key = 0; key < n; key++)
        assert_int_equal(put1(b, key, key * 10, (int32_t)-key), 0);
}

/* ---- the switch ------------------------------------------------------------------- */

static void rows_follow_their_type(void **state)
{
    struct bench *b = *state;
    struct molt_table_info info;
    fill(b, 3000);
    layouts_switch(&b->tables, &w2);
    assert_int_equal(molt_tables_count(&b->tables, b->table), 3000);
    for (long key = 0; key < 3000; key++) {
        struct hit2 hit = get2(b, key);
        assert_true(hit.n == key * 10 && hit.small == -key && hit.check == (uint32_t)key);
        assert_int_equal(hit.added, ADDED);
    }
    assert_int_equal(molt_tables_describe(&b->tables, b->table, &info), 0);
    assert_int_equal(info.layout, 2);
}

static void what_is_written_while_rows_are_prepared_counts(void **state)
{
    struct bench *b = *state;
    struct hit out;
    int64_t sum;
    fill(b, 200);
    assert_int_equal(molt_tables_prepare(&b->tables, &w2, &b->err), 0);
    put1(b, 5, 55, 55);
    put1(b, 1000, 1, 2);
    hit_delete(&b->tables, b->table, 6);
    struct molt_table_args args = layout_args(b->table, &(long){7}, &hit1_type);
    args.delta = 4;
    args.field = (struct molt_table_field){offsetof(struct hit, n), 8, 1};
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), 0);
    args = layout_args(b->table, &(long){8}, &hit1_type);
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_TAKE, &args, &out), 0);
    assert_int_equal(get1(b, 5).n, 55);
    layouts_switch(&b->tables, &w2);
    assert_int_equal(get2(b, 5).small, 55);
    assert_int_equal(get2(b, 1000).n, 1);
    assert_int_equal(get2(b, 7).n, 74);
    assert_int_equal(layout_get(&b->tables, b->table, 6, &hit2_type, &(struct hit2){0}),
                     MOLT_ENOENT);
    assert_int_equal(molt_tables_count(&b->tables, b->table), 199);
}

static void an_upgrade_that_is_given_up_leaves_all_as_it_was(void **state)
{
    struct bench *b = *state;
    fill(b, 100);
    assert_int_equal(molt_tables_prepare(&b->tables, &w2, &b->err), 0);
    molt_tables_open(&b->tables, &w2, false);
    assert_int_equal(molt_tables_close(&b->tables, &w2, &b->err), 0);
    molt_tables_open(&b->tables, &w2, false);
    assert_int_equal(molt_tables_check(&b->tables, &w2, &b->err), 0);
    put1(b, 7, 7, 7);
    assert_int_equal(get1(b, 7).n, 7);
    assert_int_equal(get1(b, 8).n, 80);
    struct molt_table_info info;
    assert_int_equal(molt_tables_describe(&b->tables, b->table, &info), 0);
    assert_int_equal(info.layout, 1);
}

static void rows_go_on_over_several_layouts_and_back(void **state)
{
    struct bench *b = *state;
    struct hit3 hit;
    fill(b, 50);
    layouts_switch(&b->tables, &w3);
    assert_int_equal(layout_get(&b->tables, b->table, 9, &hit3_type, &hit), 0);
    assert_true(hit.n == 90 && hit.small == -9 && hit.added == ADDED && hit.note[0] == 0);
    layouts_switch(&b->tables, &w1);
    assert_int_equal(get1(b, 9).n, 90);
    assert_int_equal(get1(b, 9).check, 9);
}

static void tables_of_other_types_are_left_alone(void **state)
{
    struct bench *b = *state;
    molt_table other = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &long_type, NULL);
    long key = 1, value = 5;
    struct molt_table_args args = layout_args(other, &key, &long_type);
    args.value = &value;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), 0);
    layouts_switch(&b->tables, &w2);
    struct molt_table_info info;
    assert_int_equal(molt_tables_describe(&b->tables, other, &info), 0);
    assert_int_equal(info.layout, 1);
    assert_int_equal(info.rows, 1);
}

/* ---- what can't be ------------------------------------------------------------------- */

static void a_row_that_does_not_fit_refuses_and_is_named(void **state)
{
    struct bench *b = *state;
    layouts_switch(&b->tables, &w2);
    assert_int_equal(put2(b, 1, &(struct hit2){.small = 1}), 0);
    assert_int_equal(put2(b, 17, &(struct hit2){.small = INT64_C(1) << 40}), 0);
    assert_int_equal(molt_tables_prepare(&b->tables, &w1, &b->err), MOLT_ECHANGE);
    assert_non_null(strstr(b->err.text, "'hits'"));
    assert_non_null(strstr(b->err.text, "key 17"));
    assert_non_null(strstr(b->err.text, "s.f"));
    assert_non_null(strstr(b->err.text, "1099511627776"));
    assert_int_equal(get2(b, 17).small, INT64_C(1) << 40);
    /* Nothing is left of it: the same without that row. */
    put2(b, 17, &(struct hit2){.small = 2});
    layouts_switch(&b->tables, &w1);
    assert_int_equal(get1(b, 17).small, 2);
}

static void a_write_that_does_not_fit_is_made_and_refuses_at_the_switch(void **state)
{
    struct bench *b = *state;
    layouts_switch(&b->tables, &w2);
    put2(b, 1, &(struct hit2){.small = 1});
    assert_int_equal(molt_tables_prepare(&b->tables, &w1, &b->err), 0);
    assert_int_equal(put2(b, 2, &(struct hit2){.small = INT64_MIN}), 0);
    assert_int_equal(molt_tables_close(&b->tables, &w1, &b->err), MOLT_ECHANGE);
    assert_non_null(strstr(b->err.text, "key 2"));
    assert_int_equal(get2(b, 2).small, INT64_MIN);
}

static void rows_without_a_way_refuse_and_empty_tables_stay_behind(void **state)
{
    struct bench *b = *state;
    struct molt_type other = hit1_type;
    atomic_store(&other.edges, NULL);
    const struct molt_type *types[] = {&other};
    struct molt_world world = {.code = &no_code, .n_types = 1, .types = types};
    struct molt_edge_node *kept = atomic_exchange(&hit1_type.edges, NULL);
    assert_int_equal(molt_tables_prepare(&b->tables, &world, &b->err), 0);
    assert_int_equal(molt_tables_close(&b->tables, &world, &b->err), 0);
    molt_tables_open(&b->tables, &world, false);
    put1(b, 1, 1, 1);
    assert_int_equal(molt_tables_check(&b->tables, &world, &b->err), MOLT_ECHANGE);
    assert_non_null(strstr(b->err.text, "nothing leads"));
    /* Code of that world has nothing to do with these rows. */
    layout_here = &world;
    assert_int_equal(layout_get(&b->tables, b->table, 1, &other, &(struct hit){0}), MOLT_ETYPE);
    assert_int_equal(layout_put(&b->tables, b->table, 1, &other, &(struct hit){0}), MOLT_ETYPE);
    assert_int_equal(get1(b, 1).n, 1);
    atomic_store(&hit1_type.edges, kept);
}

static void authors_functions_refuse(void **state)
{
    struct bench *b = *state;
    put1(b, 1, 1, 1);
    struct molt_edge_node *node = atomic_load(&hit1_type.edges);
    struct molt_version version = {.number = 2};
    struct molt_version *versions[] = {&version};
    struct molt_world world = w2;
    world.versions = versions;
    world.n_versions = 1;
    node->edge.change = (molt_any_fn)(void *)node;
    atomic_store(&node->version, &version);
    assert_int_equal(molt_tables_check(&b->tables, &world, &b->err), MOLT_ECHANGE);
    assert_non_null(strstr(b->err.text, "MOLT_CHANGE"));
    node->edge.change = NULL;
    atomic_store(&node->version, NULL);
}

/* ---- code of another world --------------------------------------------------------------- */

static void older_code_goes_on_with_the_new_rows(void **state)
{
    struct bench *b = *state;
    fill(b, 10);
    layouts_switch(&b->tables, &w2);
    struct hit2 two = get2(b, 3);
    two.added = 99;
    put2(b, 3, &two);
    layout_here = &w1;
    assert_int_equal(get1(b, 3).n, 30);
    assert_int_equal(put1(b, 3, 31, 4), 0);
    layout_here = &w2;
    two = get2(b, 3);
    assert_true(two.n == 31 && two.small == 4);
    assert_int_equal(two.added, 99); /* of which older code knows nothing */
}

static void older_code_swaps_adds_and_takes(void **state)
{
    struct bench *b = *state;
    fill(b, 10);
    layouts_switch(&b->tables, &w2);
    put2(b, 3, &(struct hit2){.n = 30, .small = 1, .check = 3, .added = 5, .more = 6});
    layout_here = &w1;
    struct hit now = get1(b, 3), wrong = now, next = now, taken = {0};
    int64_t sum = 0;
    wrong.n++;
    next.small = 2;
    long key = 3;
    struct molt_table_args args = layout_args(b->table, &key, &hit1_type);
    args.expected = &wrong;
    args.value = &next;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_SWAP, &args, NULL), 1);
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_DELETE_SAME, &args, NULL), 1);
    args.expected = &now;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_SWAP, &args, NULL), 0);
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_INSERT, &args, NULL), MOLT_EEXIST);
    args = layout_args(b->table, &key, &hit1_type);
    args.delta = -40;
    args.field = (struct molt_table_field){offsetof(struct hit, small), 4, 1};
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), 0);
    assert_int_equal(sum, -38);
    assert_int_equal(get2(b, 3).small, -38);
    assert_int_equal(get2(b, 3).added, 5);
    assert_int_equal(get2(b, 3).more, 6);
    args.value = NULL;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_TAKE, &args, &taken), 0);
    assert_true(taken.n == 30 && taken.small == -38);
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_TAKE, &args, &taken), MOLT_ENOENT);
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), MOLT_ENOENT);
    args.value = &now;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_ADD, &args, &sum), 0);
    assert_int_equal(get2(b, 3).small, now.small - 40);
    assert_int_equal(get2(b, 3).added, ADDED);
}

static void older_code_walks_over_all_rows(void **state)
{
    struct bench *b = *state;
    fill(b, 500);
    layouts_switch(&b->tables, &w2);
    layout_here = &w1;
    long key = 0, n = 0, sum = 0;
    struct hit hit;
    struct molt_table_args args = layout_args(b->table, NULL, &hit1_type);
    while (molt_tables_step(&b->tables, &args, MOLT_TABLE_NEXT, &key, &long_type, &hit) == 0) {
        assert_int_equal(hit.n, key * 10);
        if (b->kind == MOLT_TABLE_ORDERED)
            assert_int_equal(key, n);
        n++;
        sum += key;
        args.key = &key;
    }
    assert_int_equal(n, 500);
    assert_int_equal(sum, 499 * 250);
}

static void what_older_code_cannot_hold_has_a_named_error(void **state)
{
    struct bench *b = *state;
    layouts_switch(&b->tables, &w2);
    put2(b, 1, &(struct hit2){.n = 9, .small = INT64_MAX, .added = 3});
    layout_here = &w1;
    struct hit hit = {.n = 77};
    long key = 1;
    struct molt_table_args args = layout_args(b->table, &key, &hit1_type);
    assert_int_equal(molt_tables_get(&b->tables, &args, &hit), MOLT_ECHANGE);
    assert_int_equal(hit.n, 77);
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_TAKE, &args, &hit), MOLT_ECHANGE);
    args.key = NULL;
    assert_int_equal(molt_tables_step(&b->tables, &args, MOLT_TABLE_NEXT, &key, &long_type, &hit),
                     MOLT_ECHANGE);
    assert_int_equal(molt_tables_count(&b->tables, b->table), 1);
    assert_int_equal(get2(b, 1).added, 3);
    /* It need not be read to be replaced. */
    assert_int_equal(put1(b, 1, 5, 6), 0);
    assert_true(get2(b, 1).n == 5 && get2(b, 1).small == 6 && get2(b, 1).added == ADDED);
}

static void limits_rights_and_heirs_go_on(void **state)
{
    struct bench *b = *state;
    struct molt_table_options o = {.kind = b->kind, .rows_max = 3};
    molt_table t = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit1_type, &o);
    struct hit hit = {.n = 1};
    for (long key = 0; key < 3; key++)
        assert_int_equal(layout_put(&b->tables, t, key, &hit1_type, &hit), 0);
    assert_int_equal(molt_tables_set_heir(&b->tables, 1, t, 2, 5, &long_type), 0);
    layouts_switch(&b->tables, &w2);
    struct hit2 two = {.n = 2};
    assert_int_equal(layout_put(&b->tables, t, 9, &hit2_type, &two), MOLT_ELIMIT);
    layout_here = &w1;
    assert_int_equal(layout_put(&b->tables, t, 9, &hit1_type, &hit), MOLT_ELIMIT);
    long key = 0;
    struct molt_table_args args = layout_args(t, &key, &hit1_type);
    args.value = &hit;
    args.self = 3;
    assert_int_equal(molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL), MOLT_EOWNER);
    struct molt_table_info info;
    assert_int_equal(molt_tables_describe(&b->tables, t, &info), 0);
    assert_true(info.owner == 1 && info.heir == 2 && info.rows == 3 && info.rows_max == 3);
}

/* ---- tables that come and go meanwhile ----------------------------------------------------- */

static void tables_of_older_code_have_the_current_layout(void **state)
{
    struct bench *b = *state;
    layouts_switch(&b->tables, &w2);
    layout_here = &w1;
    molt_table t = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit1_type, NULL);
    struct hit hit = {.n = 4};
    struct hit2 two;
    assert_int_equal(layout_put(&b->tables, t, 1, &hit1_type, &hit), 0);
    layout_here = &w2;
    assert_int_equal(layout_get(&b->tables, t, 1, &hit2_type, &two), 0);
    assert_true(two.n == 4 && two.added == ADDED);
}

static void tables_made_cleared_and_dropped_meanwhile_are_right(void **state)
{
    struct bench *b = *state;
    struct hit hit = {.n = 4};
    struct hit2 two;
    fill(b, 20);
    molt_table gone = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit1_type, NULL);
    layout_put(&b->tables, gone, 1, &hit1_type, &hit);
    assert_int_equal(molt_tables_prepare(&b->tables, &w2, &b->err), 0);
    assert_int_equal(molt_tables_clear(&b->tables, 1, b->table), 0);
    put1(b, 3, 33, 3);
    molt_table late = table_new(&b->tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit1_type, NULL);
    layout_put(&b->tables, late, 2, &hit1_type, &hit);
    assert_int_equal(molt_tables_drop(&b->tables, 1, gone), 0);
    layouts_switch(&b->tables, &w2);
    assert_int_equal(molt_tables_count(&b->tables, b->table), 1);
    assert_int_equal(get2(b, 3).n, 33);
    assert_int_equal(layout_get(&b->tables, late, 2, &hit2_type, &two), 0);
    assert_true(two.n == 4 && two.added == ADDED);
}

/* ---- keys ------------------------------------------------------------------------------------ */

struct id {
    uint32_t a;
};
struct id2 {
    uint16_t none, a;
    uint32_t more;
};

/* From id: `a` in two bytes, if it fits, or only whether there is one. */
struct keys {
    struct molt_type id, id2;
    const struct molt_type *types1[2], *types2[2];
    struct molt_world w1, w2;
};

static void make_keys(struct keys *k, bool is_injective)
{
    const struct molt_step narrow = {.kind = MOLT_STEP_INT,
                                     .old_bytes = 4,
                                     .new_bytes = 2,
                                     .old_at = 0,
                                     .new_at = 2,
                                     .count = 1};
    const struct molt_step half = {.kind = MOLT_STEP_COPY, .old_at = 0, .new_at = 2, .count = 1};
    *k = (struct keys){.id = {.key_text = "id", .name = "struct id", .size = 4},
                       .id2 = {.key_text = "id", .name = "struct id", .size = 8}};
    k->id.key = k->id2.key = (const void *)k;
    layouts_link(&k->id, &k->id2, maker_new(4, 8, is_injective ? &narrow : &half, 1));
    layouts_link(&k->id2, &k->id, MAKE(8, 4, WIDEN_(2, 0, 2, 4)));
    k->types1[0] = &k->id;
    k->types2[0] = &k->id2;
    k->w1 = (struct molt_world){.code = &no_code, .n_types = 1, .types = k->types1};
    k->w2 = (struct molt_world){.code = &no_code, .n_types = 1, .types = k->types2};
}

static int put_id(struct bench *b, molt_table t, const struct molt_type *type, const void *key,
                  long value)
{
    struct molt_table_args args = {.table = t,
                                   .self = 1,
                                   .key = key,
                                   .key_type = type,
                                   .value_type = &long_type,
                                   .value = &value};
    return molt_tables_write(&b->tables, MOLT_TABLE_OP_PUT, &args, NULL);
}

static int get_id(struct bench *b, molt_table t, const struct molt_type *type, const void *key,
                  long *ret)
{
    struct molt_table_args args = {
        .table = t, .self = 1, .key = key, .key_type = type, .value_type = &long_type};
    return molt_tables_get(&b->tables, &args, ret);
}

static molt_table table_of_ids(struct bench *b, const struct keys *k)
{
    struct molt_table_options o = {.kind = b->kind, .name = "ids"};
    return table_new(&b->tables, &k->id, MOLT_TABLE_KEY_BYTES, &long_type, &o);
}

static void keys_follow_their_type(void **state)
{
    struct bench *b = *state;
    struct keys k;
    long value = 0;
    make_keys(&k, true);
    layout_here = &k.w1;
    molt_table t = table_of_ids(b, &k);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(put_id(b, t, &k.id, &(struct id){i}, i), 0);
    assert_int_equal(molt_tables_prepare(&b->tables, &k.w2, &b->err), 0);
    put_id(b, t, &k.id, &(struct id){5000}, 5000);
    layouts_switch(&b->tables, &k.w2);
    assert_int_equal(get_id(b, t, &k.id2, &(struct id2){.a = 5000}, &value), 0);
    assert_int_equal(value, 5000);
    for (uint16_t i = 0; i < 1000; i++) {
        assert_int_equal(get_id(b, t, &k.id2, &(struct id2){.a = i}, &value), 0);
        assert_int_equal(value, i);
    }
    /* Code of the older world with its keys. */
    layout_here = &k.w1;
    assert_int_equal(get_id(b, t, &k.id, &(struct id){17}, &value), 0);
    assert_int_equal(value, 17);
    assert_int_equal(put_id(b, t, &k.id, &(struct id){1 << 20}, 1), MOLT_ECHANGE);
    uint32_t n = 0;
    struct id id;
    struct molt_table_args args = {.table = t,
                                   .self = 1,
                                   .key_type = &k.id,
                                   .value_type = &long_type};
    while (molt_tables_step(&b->tables, &args, MOLT_TABLE_NEXT, &id, &k.id, &value) == 0) {
        assert_int_equal(id.a, value);
        args.key = &id;
        n++;
    }
    assert_int_equal(n, 1001);
    int order = 0;
    assert_int_equal(molt_tables_compare(&b->tables, t, &(struct id){1}, &k.id, &(struct id){1},
                                         &k.id, &order),
                     0);
    assert_int_equal(order, 0);
}

static void keys_that_become_equal_refuse(void **state)
{
    struct bench *b = *state;
    struct keys k;
    long value = 0;
    make_keys(&k, false);
    layout_here = &k.w1;
    molt_table t = table_of_ids(b, &k);
    put_id(b, t, &k.id, &(struct id){1}, 10);
    assert_int_equal(molt_tables_check(&b->tables, &k.w2, &b->err), 0);
    put_id(b, t, &k.id, &(struct id){0x101}, 20);
    assert_int_equal(molt_tables_check(&b->tables, &k.w2, &b->err), MOLT_ECHANGE);
    assert_non_null(strstr(b->err.text, "'ids'"));
    assert_non_null(strstr(b->err.text, "equal"));
    assert_non_null(strstr(b->err.text, "0x01010000"));
    assert_int_equal(get_id(b, t, &k.id, &(struct id){1}, &value), 0);
    assert_int_equal(value, 10);
    assert_int_equal(get_id(b, t, &k.id, &(struct id){0x101}, &value), 0);
    assert_int_equal(value, 20);
}

/* ---- listing ------------------------------------------------------------------------------------
 */

static void note_types(void *user, const struct molt_table_info *info,
                       const struct molt_type *key_type, const struct molt_type *value_type)
{
    const struct molt_type **types = user;
    assert_string_equal(info->name, "hits");
    types[0] = key_type;
    types[1] = value_type;
}

static void listings_have_the_type_objects(void **state)
{
    struct bench *b = *state;
    const struct molt_type *types[2];
    assert_int_equal(molt_tables_each_typed(&b->tables, note_types, types), 1);
    assert_true(types[0] == &long_type && types[1] == &hit1_type);
    layouts_switch(&b->tables, &w2);
    assert_int_equal(molt_tables_each_typed(&b->tables, note_types, types), 1);
    assert_ptr_equal(types[1], &hit2_type);
}

#define BOTH_KINDS(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, setup, teardown),                                        \
    {                                                                                              \
#test " (ordered)", test, setup, teardown, (void *)1                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_KINDS(rows_follow_their_type),
        BOTH_KINDS(what_is_written_while_rows_are_prepared_counts),
        BOTH_KINDS(an_upgrade_that_is_given_up_leaves_all_as_it_was),
        BOTH_KINDS(rows_go_on_over_several_layouts_and_back),
        BOTH_KINDS(tables_of_other_types_are_left_alone),
        BOTH_KINDS(a_row_that_does_not_fit_refuses_and_is_named),
        BOTH_KINDS(a_write_that_does_not_fit_is_made_and_refuses_at_the_switch),
        BOTH_KINDS(rows_without_a_way_refuse_and_empty_tables_stay_behind),
        BOTH_KINDS(authors_functions_refuse),
        BOTH_KINDS(older_code_goes_on_with_the_new_rows),
        BOTH_KINDS(older_code_swaps_adds_and_takes),
        BOTH_KINDS(older_code_walks_over_all_rows),
        BOTH_KINDS(what_older_code_cannot_hold_has_a_named_error),
        BOTH_KINDS(limits_rights_and_heirs_go_on),
        BOTH_KINDS(tables_of_older_code_have_the_current_layout),
        BOTH_KINDS(tables_made_cleared_and_dropped_meanwhile_are_right),
        BOTH_KINDS(keys_follow_their_type),
        BOTH_KINDS(keys_that_become_equal_refuse),
        BOTH_KINDS(listings_have_the_type_objects),
    };
    return cmocka_run_group_tests(tests, layouts_make, layouts_drop);
}
