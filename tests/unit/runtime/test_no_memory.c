/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Each allocation fails in turn: the table stays as it was, nothing leaks. */
#include "support/alloc_fail.h"
#include "unit/runtime/table_fixture.h"

static void life(struct molt_tables *tables, enum molt_table_kind kind, bool *is_whole)
{
    struct molt_table_layout layout;
    struct molt_table_options o = {.kind = kind, .name = "n", .access = MOLT_TABLE_PUBLIC};
    molt_table t;
    *is_whole = true;
    molt_table_layout_init(&layout, &long_type, MOLT_TABLE_KEY_SIGNED, &hit_type, NULL);
    while (molt_tables_create(tables, 1, &layout, &o, &t, NULL) < 0) {
        *is_whole = false;
        assert_int_equal(molt_tables_find(tables, "n", &t), MOLT_ENOENT);
    }
    for (long key = 0; key < 700; key++) {
        struct hit hit;
        int rc = hit_put(tables, t, key, key);
        if (rc < 0) {
            *is_whole = false;
            assert_int_equal(rc, MOLT_ENOMEM);
            assert_int_equal(hit_get(tables, t, key, &hit), MOLT_ENOENT);
            assert_int_equal(molt_tables_count(tables, t), key);
            assert_int_equal(hit_put(tables, t, key, key), 0);
        }
    }
    for (long key = 0; key < 700; key++) {
        struct hit hit;
        assert_int_equal(hit_get(tables, t, key, &hit), 0);
        assert_int_equal(hit.n, key);
    }
    while (molt_tables_clear(tables, 1, t) < 0) {
        *is_whole = false;
        assert_int_equal(molt_tables_count(tables, t), 700);
    }
    assert_int_equal(molt_tables_count(tables, t), 0);
    assert_int_equal(molt_tables_drop(tables, 1, t), 0);
}

static void run(enum molt_table_kind kind)
{
    bool has_failed = true;
    size_t n = 0;
    while (has_failed) {
        struct molt_tables tables;
        bool is_whole;
        molt_tables_init(&tables, NULL);
        alloc_fail_at(++n);
        life(&tables, kind, &is_whole);
        has_failed = alloc_fail_end();
        if (!has_failed)
            assert_true(is_whole);
        molt_tables_fini(&tables);
    }
    /* A table, its body, its index, slots, a thread's record, slabs, and more. */
    assert_in_range(n, 10, 3000);
}

static void sets_lose_nothing_without_memory(void **state)
{
    (void)state;
    run(MOLT_TABLE_SET);
}

static void ordered_tables_lose_nothing_without_memory(void **state)
{
    (void)state;
    run(MOLT_TABLE_ORDERED);
}

static void report(void *user, const struct molt_range *range, uint64_t holder, const char *why)
{
    (void)user;
    (void)range;
    (void)holder;
    (void)why;
}

static void a_scan_without_memory_says_so(void **state)
{
    (void)state;
    struct molt_tables tables;
    const struct molt_range range = {.lo = 1, .hi = 2};
    bool has_failed = true;
    molt_tables_init(&tables, NULL);
    table_of_hits(&tables, MOLT_TABLE_SET);
    for (size_t n = 1; has_failed; n++) {
        alloc_fail_at(n);
        int rc = molt_table_scan(&tables, &range, 1, report, NULL);
        has_failed = alloc_fail_end();
        assert_int_equal(rc, has_failed ? MOLT_ENOMEM : 0);
    }
    molt_tables_fini(&tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_lose_nothing_without_memory),
        cmocka_unit_test(ordered_tables_lose_nothing_without_memory),
        cmocka_unit_test(a_scan_without_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
