/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Random operations by code of three layouts, and upgrades between them, on a table and on a
 * model; and threads that go on counting while upgrades go up and down. The seed is
 * printed; MOLT_SEED=<n> replays the first.
 */
#include <pthread.h>
#include <time.h>

#include "unit/runtime/layouts_fixture.h"

#define KEYS 60
#define STEPS 20000

/* What all layouts say, as the largest of them. */
struct row {
    bool is_there;
    int64_t n, small;
    uint32_t check;
    int32_t added;
    char note;
};

struct game {
    struct molt_tables tables;
    molt_table table;
    int layout; /* of the table: 1 to 3 */
    uint64_t random;
    struct row model[KEYS];
    unsigned n_switches, n_refused;
};

static struct molt_type *const types[] = {NULL, &hit1_type, &hit2_type, &hit3_type};
static struct molt_world *const worlds[] = {NULL, &w1, &w2, &w3};

union value {
    struct hit one;
    struct hit2 two;
    struct hit3 three;
};

/* xorshift64, George Marsaglia, Xorshift RNGs, 2003. */
static uint64_t next_random(struct game *g)
{
    g->random ^= g->random << 13;
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return g->random >> 11;
}

/* ---- the model ------------------------------------------------------------------- */

static bool fits(int layout, const struct row *row)
{
    return layout > 1 || row->small == (int32_t)row->small;
}

/* What is left of @row in @layout. */
static struct row in_layout(int layout, struct row row)
{
    if (layout < 3)
        row.note = 0;
    if (layout < 2)
        row.added = ADDED;
    return row;
}

static void print_value(int layout, const struct row *row, union value *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (layout == 1)
        ret->one = (struct hit){row->n, (int32_t)row->small, row->check};
    else if (layout == 2)
        ret->two = (struct hit2){.n = row->n,
                                 .small = row->small,
                                 .check = row->check,
                                 .added = row->added};
    else
        ret->three = (struct hit3){.n = row->n,
                                   .small = row->small,
                                   .check = row->check,
                                   .added = row->added,
                                   .note = {row->note}};
}

/* As code of @layout writes @value over @old, in the table's layout: what it doesn't know stays,
 * unless it could not have seen the old row. */
static struct row overwrite(const struct game *g, int layout, const struct row *old,
                            const struct row *value)
{
    struct row now = in_layout(layout, *value);
    now.is_there = true;
    bool has_seen = old->is_there && fits(layout, old);
    if (has_seen && layout < 3)
        now.note = old->note;
    if (has_seen && layout < 2)
        now.added = old->added;
    return in_layout(g->layout, now);
}

/* ---- operations --------------------------------------------------------------------- */

static struct row random_row(struct game *g)
{
    uint64_t r = next_random(g);
    struct row row = {.is_there = true,
                      .n = (int64_t)(r * 0x9e3779b97f4a7c15u),
                      .small = (int32_t)r,
                      .check = (uint32_t)(r >> 3),
                      .added = (int32_t)(r >> 5),
                      .note = (char)('a' + r % 26)};
    if (r % 40 == 0)
        row.small = INT64_C(1) << 35;
    return row;
}

static void play_get(struct game *g, int layout, long key)
{
    union value got = {0}, expected;
    struct row *row = &g->model[key];
    int rc = layout_get(&g->tables, g->table, key, types[layout], &got);
    int wants = !row->is_there ? MOLT_ENOENT : fits(layout, row) ? 0 : MOLT_ECHANGE;
    assert_int_equal(rc, wants);
    struct row seen = in_layout(layout, *row);
    print_value(layout, &seen, &expected);
    if (rc == 0)
        assert_memory_equal(&got, &expected, types[layout]->size);
}

static void play_put(struct game *g, int layout, long key)
{
    struct row *row = &g->model[key], value = random_row(g);
    union value bytes;
    if (!fits(layout, &value))
        value.small = 3;
    print_value(layout, &value, &bytes);
    struct row now = overwrite(g, layout, row, &value);
    int rc = layout_put(&g->tables, g->table, key, types[layout], &bytes);
    assert_int_equal(rc, fits(g->layout, &value) ? 0 : MOLT_ECHANGE);
    if (rc == 0)
        *row = now;
}

static void play_add(struct game *g, int layout, long key)
{
    static const uint32_t at[] = {0, offsetof(struct hit, n), offsetof(struct hit2, n),
                                  offsetof(struct hit3, n)};
    struct row *row = &g->model[key];
    struct molt_table_args args = layout_args(g->table, &key, types[layout]);
    int64_t sum;
    args.delta = (int64_t)next_random(g);
    args.field = (struct molt_table_field){at[layout], 8, 1};
    int rc = molt_tables_write(&g->tables, MOLT_TABLE_OP_ADD, &args, &sum);
    assert_int_equal(rc, !row->is_there ? MOLT_ENOENT : fits(layout, row) ? 0 : MOLT_ECHANGE);
    if (rc < 0)
        return;
    row->n = (int64_t)((uint64_t)row->n + (uint64_t)args.delta);
    assert_int_equal(sum, row->n);
}

static void play_swap(struct game *g, int layout, long key)
{
    struct row *row = &g->model[key], value = random_row(g);
    union value expected, bytes;
    if (!row->is_there || !fits(layout, row) || !fits(layout, &value) || !fits(g->layout, &value))
        return;
    struct row seen = in_layout(layout, *row);
    print_value(layout, &seen, &expected);
    print_value(layout, &value, &bytes);
    struct molt_table_args args = layout_args(g->table, &key, types[layout]);
    args.expected = &bytes;
    args.value = &bytes;
    bool is_same = memcmp(&expected, &bytes, types[layout]->size) == 0;
    assert_int_equal(molt_tables_write(&g->tables, MOLT_TABLE_OP_SWAP, &args, NULL), !is_same);
    args.expected = &expected;
    assert_int_equal(molt_tables_write(&g->tables, MOLT_TABLE_OP_SWAP, &args, NULL), 0);
    *row = overwrite(g, layout, row, &value);
}

static void play_take(struct game *g, int layout, long key)
{
    struct row *row = &g->model[key];
    union value got, expected;
    struct molt_table_args args = layout_args(g->table, &key, types[layout]);
    int rc = molt_tables_write(&g->tables, MOLT_TABLE_OP_TAKE, &args, &got);
    assert_int_equal(rc, !row->is_there ? MOLT_ENOENT : fits(layout, row) ? 0 : MOLT_ECHANGE);
    if (rc < 0)
        return;
    struct row seen = in_layout(layout, *row);
    print_value(layout, &seen, &expected);
    assert_memory_equal(&got, &expected, types[layout]->size);
    row->is_there = false;
}

static void play_walk(struct game *g, int layout)
{
    union value value;
    long key;
    unsigned n = 0;
    int rc;
    struct molt_table_args args = layout_args(g->table, NULL, types[layout]);
    while ((rc = molt_tables_step(&g->tables, &args, MOLT_TABLE_NEXT, &key, &long_type, &value)) ==
           0) {
        assert_true(g->model[key].is_there && fits(layout, &g->model[key]));
        args.key = &key;
        n++;
    }
    unsigned n_there = 0, n_unfit = 0;
    for (int i = 0; i < KEYS; i++) {
        n_there += g->model[i].is_there;
        n_unfit += g->model[i].is_there && !fits(layout, &g->model[i]);
    }
    assert_int_equal(rc, n_unfit ? MOLT_ECHANGE : MOLT_ENOENT);
    assert_true(n_unfit || n == n_there);
    assert_int_equal(molt_tables_count(&g->tables, g->table), n_there);
}

static void play(struct game *g, int layout, long key)
{
    layout_here = worlds[layout];
    switch (next_random(g) % 8) {
    case 0:
    case 1:
        play_get(g, layout, key);
        break;
    case 2:
    case 3:
        play_put(g, layout, key);
        break;
    case 4:
        play_add(g, layout, key);
        break;
    case 5:
        play_swap(g, layout, key);
        break;
    case 6:
        play_take(g, layout, key);
        break;
    default:
        if (next_random(g) % 16 == 0)
            play_walk(g, layout);
    }
}

static void play_some(struct game *g, int n)
{
    for (int i = 0; i < n; i++)
        play(g, 1 + (int)(next_random(g) % 3), (long)(next_random(g) % KEYS));
}

/* With operations while it is prepared. Half of them are given up. */
static void play_upgrade(struct game *g)
{
    struct molt_error err;
    int layout = 1 + (int)(next_random(g) % 3);
    bool is_made = next_random(g) % 2;
    int rc = molt_tables_prepare(&g->tables, worlds[layout], &err);
    if (rc == 0)
        play_some(g, 30);
    if (rc == 0)
        rc = molt_tables_close(&g->tables, worlds[layout], &err);
    bool all_fit = true;
    for (int i = 0; i < KEYS; i++)
        all_fit = all_fit && (!g->model[i].is_there || fits(layout, &g->model[i]));
    assert_true(rc == MOLT_ECHANGE || (rc == 0 && all_fit));
    molt_tables_open(&g->tables, worlds[layout], rc == 0 && is_made);
    g->n_refused += rc < 0;
    if (rc < 0 || !is_made)
        return;
    for (int i = 0; i < KEYS; i++) {
        /* By way of the second. */
        if (g->layout != layout)
            g->model[i] = in_layout(layout, g->model[i]);
    }
    g->layout = layout;
    g->n_switches++;
}

static void layouts_do_as_the_model(void **state)
{
    const char *given = getenv("MOLT_SEED");
    static struct game g;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = given ? strtoull(given, NULL, 0)
                          : (uint64_t)now.tv_sec * 1000000007 + (uint64_t)now.tv_nsec;
    print_message("MOLT_SEED=%llu\n", (unsigned long long)seed);
    memset(&g, 0, sizeof(g));
    g.random = seed | 1;
    g.layout = 1;
    layouts_open_tables(&g.tables);
    g.table = layouts_table(&g.tables, *state ? MOLT_TABLE_ORDERED : MOLT_TABLE_SET);
    for (int i = 0; i < STEPS / 50; i++) {
        play_some(&g, 50);
        play_upgrade(&g);
    }
    assert_true(g.n_switches > 10 && g.n_refused > 0);
    molt_tables_fini(&g.tables);
}

/* ---- threads ------------------------------------------------------------------------- */

#define THREADS 3
#define ROUNDS 60
#define COUNTERS 8

struct crowd {
    struct molt_tables tables;
    molt_table table;
    _Atomic(int) current; /* layout of the current world */
    atomic_bool is_over;
    atomic_int n_failed;
    _Atomic(int64_t) added[COUNTERS];
    atomic_ulong n_ops;
};

/* No assertions in threads. */
static void check(struct crowd *c, bool ok)
{
    if (!ok)
        atomic_fetch_add(&c->n_failed, 1);
}

/* What a callback does in its world, which may be an older one before it ends. The check of a
 * row is that of its key, in every layout. */
static void callback(struct crowd *c, int layout, unsigned i)
{
    static const uint32_t at[] = {0, offsetof(struct hit, n), offsetof(struct hit2, n)};
    long key = i % COUNTERS, other = COUNTERS + i % 50, from;
    union value value = {0};
    struct molt_table_args args = layout_args(c->table, &key, types[layout]);
    args.delta = 3;
    args.field = (struct molt_table_field){at[layout], 8, 1};
    check(c, molt_tables_write(&c->tables, MOLT_TABLE_OP_ADD, &args, NULL) == 0);
    atomic_fetch_add(&c->added[key], 3);
    check(c, molt_tables_get(&c->tables, &args, &value) == 0);
    check(c, (layout == 1 ? value.one.check : value.two.check) == (uint32_t)key + 1000);
    struct row row = {.n = (int64_t)i, .check = (uint32_t)other + 1000, .added = ADDED};
    print_value(layout, &row, &value);
    check(c, layout_put(&c->tables, c->table, other, types[layout], &value) == 0);
    args = layout_args(c->table, &other, types[layout]);
    int rc = i % 3 ? 0 : molt_tables_write(&c->tables, MOLT_TABLE_OP_TAKE, &args, &value);
    check(c, rc == 0 || rc == MOLT_ENOENT);
    args = layout_args(c->table, NULL, types[layout]);
    unsigned n_counters = 0;
    while (i % 16 == 0 &&
           molt_tables_step(&c->tables, &args, MOLT_TABLE_NEXT, &from, &long_type, &value) == 0) {
        check(c, (layout == 1 ? value.one.check : value.two.check) == (uint32_t)from + 1000);
        n_counters += from < COUNTERS;
        args.key = &from;
    }
    check(c, i % 16 || n_counters == COUNTERS);
    atomic_fetch_add(&c->n_ops, 1);
}

static void *crowd_thread(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; !atomic_load(&c->is_over); i++) {
        int layout = atomic_load(&c->current);
        layout_here = worlds[layout];
        for (unsigned k = 0; k < 4; k++)
            callback(c, layout, 7 * i + k);
    }
    return NULL;
}

/* After some more operations, so that all kinds meet. */
static void await_ops(struct crowd *c)
{
    unsigned long until = atomic_load(&c->n_ops) + 20;
    while (atomic_load(&c->n_ops) < until)
        sched_yield();
}

static void old_and_new_code_work_beside_upgrades(void **state)
{
    static struct crowd c;
    struct molt_error err;
    pthread_t threads[THREADS];
    memset(&c, 0, sizeof(c));
    layouts_open_tables(&c.tables);
    atomic_store(&c.current, 1);
    c.table = layouts_table(&c.tables, *state ? MOLT_TABLE_ORDERED : MOLT_TABLE_SET);
    for (long key = 0; key < COUNTERS; key++) {
        struct hit hit = {.check = (uint32_t)key + 1000};
        assert_int_equal(layout_put(&c.tables, c.table, key, &hit1_type, &hit), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_thread, &c), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int next = 3 - atomic_load(&c.current);
        bool is_made = round % 4 != 3;
        int rc = molt_tables_prepare(&c.tables, worlds[next], &err);
        if (rc == 0)
            rc = molt_tables_close(&c.tables, worlds[next], &err);
        check(&c, rc == 0);
        if (rc == 0 && is_made)
            atomic_store(&c.current, next);
        molt_tables_open(&c.tables, worlds[next], rc == 0 && is_made);
        await_ops(&c);
    }
    atomic_store(&c.is_over, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&c.n_failed), 0);
    layouts_switch(&c.tables, &w2);
    for (long key = 0; key < COUNTERS; key++) {
        struct hit2 hit;
        assert_int_equal(layout_get(&c.tables, c.table, key, &hit2_type, &hit), 0);
        assert_int_equal(hit.n, atomic_load(&c.added[key]));
    }
    molt_tables_fini(&c.tables);
}

#define ORDERED(test)                                                                              \
    {                                                                                              \
#test " (ordered)", test, NULL, NULL, (void *)1                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_do_as_the_model),
        ORDERED(layouts_do_as_the_model),
        cmocka_unit_test(old_and_new_code_work_beside_upgrades),
        ORDERED(old_and_new_code_work_beside_upgrades),
    };
    return cmocka_run_group_tests(tests, layouts_make, layouts_drop);
}
