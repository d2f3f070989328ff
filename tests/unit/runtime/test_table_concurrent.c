/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Threads at one table: sums are exact, values are whole, walks miss nothing. */
#include <pthread.h>

#include "port/limits.h"
#include "unit/runtime/table_fixture.h"

#define THREADS 4
#define ROUNDS MOLT_LIMIT(20000, 2000)

struct bench {
    struct molt_tables tables;
    molt_table table;
    atomic_int n_running; /* writers */
    atomic_int next_index;
};

static int setup(void **state)
{
    static struct bench b;
    enum molt_table_kind kind = *state ? MOLT_TABLE_ORDERED : MOLT_TABLE_SET;
    memset(&b, 0, sizeof(b));
    molt_tables_init(&b.tables, NULL);
    b.table = table_of_hits(&b.tables, kind);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    molt_tables_fini(&b->tables);
    return 0;
}

/* cmocka's asserts are for the main thread alone. */
#define must(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void run(struct bench *b, void *(*writer)(void *), int n_writers, void *(*reader)(void *),
                int n_readers)
{
    pthread_t threads[2 * THREADS];
    atomic_store(&b->n_running, n_writers);
    atomic_store(&b->next_index, 0);
    for (int i = 0; i < n_writers + n_readers; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < n_writers ? writer : reader, b), 0);
    for (int i = 0; i < n_writers + n_readers; i++)
        pthread_join(threads[i], NULL);
}

/* ---- counters ------------------------------------------------------------------------- */

#define COUNTERS 37

static void *count_up(void *arg)
{
    struct bench *b = arg;
    const struct hit zero = {0};
    for (long i = 0; i < ROUNDS; i++)
        must(hit_add(&b->tables, b->table, i % COUNTERS, 1, &zero, NULL) == 0);
    return NULL;
}

static void counters_sum_up_exactly(void **state)
{
    struct bench *b = *state;
    int64_t sum = 0;
    run(b, count_up, THREADS, NULL, 0);
    for (long i = 0; i < COUNTERS; i++) {
        struct hit hit;
        assert_int_equal(hit_get(&b->tables, b->table, i, &hit), 0);
        sum += hit.n;
    }
    assert_int_equal(sum, (int64_t)THREADS * ROUNDS);
    assert_int_equal(molt_tables_count(&b->tables, b->table), COUNTERS);
}

static void *swap_up(void *arg)
{
    struct bench *b = arg;
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct hit now, next;
        int rc;
        do {
            long key = 1;
            must(hit_get(&b->tables, b->table, 1, &now) == 0);
            next = now;
            next.n++;
            struct molt_table_args args = hit_args(b->table, &key);
            args.expected = &now;
            args.value = &next;
            rc = molt_tables_write(&b->tables, MOLT_TABLE_OP_SWAP, &args, NULL);
        } while (rc == 1);
        must(rc == 0);
    }
    return NULL;
}

static void compare_and_swap_loses_nothing(void **state)
{
    struct bench *b = *state;
    struct hit hit;
    hit_put(&b->tables, b->table, 1, 0);
    run(b, swap_up, THREADS, NULL, 0);
    assert_int_equal(hit_get(&b->tables, b->table, 1, &hit), 0);
    assert_int_equal(hit.n, (int64_t)THREADS * (ROUNDS / 4));
}

/* ---- whole values, present rows --------------------------------------------------------- */

#define STAY 64

/* A value whose parts say whether they belong together and to this key. */
static struct hit seal(long key, int64_t n)
{
    return (struct hit){.n = n, .small = (int32_t)(n ^ key), .check = (uint32_t)(n * 31 + key)};
}

static bool is_sealed(long key, const struct hit *hit)
{
    struct hit right = seal(key, hit->n);
    return memcmp(&right, hit, sizeof(right)) == 0;
}

/* Keys that are multiples of 1000 stay, with new values; others come and go. */
static void *churn(void *arg)
{
    struct bench *b = arg;
    int me = atomic_fetch_add(&b->next_index, 1);
    unsigned random = (unsigned)me * 77777u + 5;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        long stay = (long)(random >> 8) % STAY * 1000;
        struct hit value = seal(stay, i);
        must(hit_write(&b->tables, MOLT_TABLE_OP_PUT, b->table, stay, &value, NULL) == 0);
        long key = (long)(random >> 4) % (STAY * 1000);
        key += key % 1000 == 0;
        value = seal(key, i);
        if (random >> 31 ^ (i / 1000 & 1))
            must(hit_write(&b->tables, MOLT_TABLE_OP_PUT, b->table, key, &value, NULL) == 0);
        int rc = hit_delete(&b->tables, b->table, key - 1 > 0 && (key - 1) % 1000 ? key - 1 : key);
        must(rc == 0 || rc == MOLT_ENOENT);
    }
    atomic_fetch_sub(&b->n_running, 1);
    return NULL;
}

static void *get_whole(void *arg)
{
    struct bench *b = arg;
    long key = 0;
    do {
        struct hit hit;
        key = (key + 1000) % (STAY * 1000);
        must(hit_get(&b->tables, b->table, key, &hit) == 0);
        must(is_sealed(key, &hit));
        long other = key + 1 + key / 1000;
        int rc = hit_get(&b->tables, b->table, other, &hit);
        must(rc == MOLT_ENOENT || (rc == 0 && is_sealed(other, &hit)));
    } while (atomic_load(&b->n_running) > 0);
    return NULL;
}

static void fill(struct bench *b)
{
    for (long i = 0; i < STAY; i++) {
        struct hit value = seal(i * 1000, i);
        hit_write(&b->tables, MOLT_TABLE_OP_PUT, b->table, i * 1000, &value, NULL);
    }
}

static void readers_see_whole_values_and_rows_that_stay(void **state)
{
    struct bench *b = *state;
    fill(b);
    run(b, churn, THREADS, get_whole, 2);
    for (long key = 0; key < STAY * 1000; key++)
        if (key % 1000)
            (void)hit_delete(&b->tables, b->table, key);
    assert_int_equal(molt_tables_count(&b->tables, b->table), STAY);
}

/* ---- walks ---------------------------------------------------------------------------------- */

static void walk_once(struct bench *b, enum molt_table_step step)
{
    char seen[STAY] = {0};
    struct hit hit;
    long key;
    int rc = hit_step(&b->tables, b->table, true, step, &key, &hit);
    for (; rc == 0; rc = hit_step(&b->tables, b->table, false, step, &key, &hit)) {
        must(is_sealed(key, &hit));
        if (key % 1000 == 0)
            must(seen[key / 1000]++ == 0);
    }
    must(rc == MOLT_ENOENT);
    for (int i = 0; i < STAY; i++)
        must(seen[i] == 1);
}

static void *walk(void *arg)
{
    struct bench *b = arg;
    long key;
    struct hit hit;
    bool is_ordered =
        hit_step(&b->tables, b->table, true, MOLT_TABLE_PREV, &key, &hit) != MOLT_ENOTSUP;
    do {
        walk_once(b, MOLT_TABLE_NEXT);
        if (is_ordered)
            walk_once(b, MOLT_TABLE_PREV);
    } while (atomic_load(&b->n_running) > 0);
    return NULL;
}

static void walks_visit_what_stays_exactly_once(void **state)
{
    struct bench *b = *state;
    fill(b);
    run(b, churn, THREADS, walk, 2);
}

/* ---- disjoint inserts --------------------------------------------------------------------------
 */

static void *fill_own(void *arg)
{
    struct bench *b = arg;
    long me = atomic_fetch_add(&b->next_index, 1);
    for (long i = 0; i < ROUNDS; i++) {
        long key = i * THREADS + me;
        struct hit value = seal(key, key);
        must(hit_write(&b->tables, MOLT_TABLE_OP_INSERT, b->table, key, &value, NULL) == 0);
    }
    for (long i = 0; i < ROUNDS; i++)
        if (i % 5)
            must(hit_delete(&b->tables, b->table, i * THREADS + me) == 0);
    return NULL;
}

static void inserts_and_deletes_of_all_threads_are_there(void **state)
{
    struct bench *b = *state;
    run(b, fill_own, THREADS, NULL, 0);
    assert_int_equal(molt_tables_count(&b->tables, b->table), THREADS * ROUNDS / 5);
    for (long key = 0; key < THREADS * ROUNDS; key++) {
        struct hit hit;
        int rc = hit_get(&b->tables, b->table, key, &hit);
        assert_int_equal(rc, key / THREADS % 5 ? MOLT_ENOENT : 0);
        if (rc == 0)
            assert_true(is_sealed(key, &hit));
    }
}

/* Each row is taken by exactly one thread. */
static void *take_all(void *arg)
{
    struct bench *b = arg;
    intptr_t taken = 0;
    for (long key = 0; key < ROUNDS; key++) {
        struct hit hit;
        int rc = hit_write(&b->tables, MOLT_TABLE_OP_TAKE, b->table, key, NULL, &hit);
        must(rc == MOLT_ENOENT || is_sealed(key, &hit));
        taken += rc == 0;
    }
    atomic_fetch_add(&b->next_index, (int)taken);
    return NULL;
}

static void a_row_is_taken_once(void **state)
{
    struct bench *b = *state;
    for (long key = 0; key < ROUNDS; key++) {
        struct hit value = seal(key, 1);
        hit_write(&b->tables, MOLT_TABLE_OP_PUT, b->table, key, &value, NULL);
    }
    run(b, take_all, THREADS, NULL, 0);
    assert_int_equal(atomic_load(&b->next_index), ROUNDS);
    assert_int_equal(molt_tables_count(&b->tables, b->table), 0);
}

/* ---- tables that go -----------------------------------------------------------------------------
 */

static void *make_and_drop(void *arg)
{
    struct bench *b = arg;
    struct molt_table_layout layout;
    molt_table_layout_init(&layout, &long_type, MOLT_TABLE_KEY_SIGNED, &hit_type, NULL);
    for (int i = 0; i < ROUNDS / 40; i++) {
        molt_table t;
        struct molt_table_options o = {.name = "short-lived",
                                       .kind = i & 1,
                                       .access = MOLT_TABLE_PUBLIC};
        int rc = molt_tables_create(&b->tables, 1, &layout, &o, &t, NULL);
        must(rc == 0 || rc == MOLT_EEXIST);
        if (rc < 0)
            continue;
        for (long key = 0; key < 50; key++) {
            struct hit value = seal(key, i);
            rc = hit_write(&b->tables, MOLT_TABLE_OP_PUT, t, key, &value, NULL);
            must(rc == 0);
            if (key == 25)
                must(molt_tables_clear(&b->tables, 1, t) == 0);
        }
        must(molt_tables_drop(&b->tables, 1, t) == 0);
        must(hit_put(&b->tables, t, 1, 1) == MOLT_ESTALE);
    }
    atomic_fetch_sub(&b->n_running, 1);
    return NULL;
}

static void ignore_info(void *user, const struct molt_table_info *info)
{
    (void)user;
    must(info->table != 0);
}

static void *use_by_name(void *arg)
{
    struct bench *b = arg;
    long key = 0;
    do {
        molt_table t;
        struct hit hit = {0};
        key = (key + 1) % 50;
        if (molt_tables_find(&b->tables, "short-lived", &t) < 0)
            continue;
        int rc = hit_get(&b->tables, t, key, &hit);
        must(rc == MOLT_ESTALE || rc == MOLT_ENOENT || (rc == 0 && is_sealed(key, &hit)));
        struct hit value = seal(key, -1);
        rc = hit_write(&b->tables, MOLT_TABLE_OP_PUT, t, key, &value, NULL);
        must(rc == 0 || rc == MOLT_ESTALE);
        long at;
        rc = hit_step(&b->tables, t, true, MOLT_TABLE_NEXT, &at, &hit);
        must(rc == MOLT_ESTALE || rc == MOLT_ENOENT || (rc == 0 && is_sealed(at, &hit)));
        must(molt_tables_each(&b->tables, ignore_info, NULL) >= 0);
    } while (atomic_load(&b->n_running) > 0);
    return NULL;
}

static void tables_go_under_their_users_without_harm(void **state)
{
    struct bench *b = *state;
    run(b, make_and_drop, 2, use_by_name, 2);
    assert_int_equal(molt_tables_each(&b->tables, ignore_info, NULL), 1);
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
        BOTH(counters_sum_up_exactly),
        BOTH(compare_and_swap_loses_nothing),
        BOTH(readers_see_whole_values_and_rows_that_stay),
        BOTH(walks_visit_what_stays_exactly_once),
        BOTH(inserts_and_deletes_of_all_threads_are_there),
        BOTH(a_row_is_taken_once),
        BOTH(tables_go_under_their_users_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
