/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Random operations on a table and on a model of it that is too simple to be
 * wrong. The seed is printed; MOLT_SEED=<n> replays a run.
 */
#include <time.h>

#include "unit/runtime/table_fixture.h"

#define KEYS 600
#define STEPS 30000

/* Any bytes; also in keys of more than one word. */
struct wide {
    unsigned char bytes[20];
};
TABLE_TYPE(wide_type, struct wide);

struct row {
    bool is_there;
    struct hit value;
};

struct game {
    struct molt_tables tables;
    molt_table table;
    bool is_ordered;
    const struct molt_type *key_type;
    enum molt_table_key key;
    uint64_t random;
    struct row model[KEYS]; /* by index, in the order of keys */
};

static uint64_t seed(void)
{
    const char *given = getenv("MOLT_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t s = given ? strtoull(given, NULL, 0)
                       : (uint64_t)now.tv_sec * 1000000007 + (uint64_t)now.tv_nsec;
    print_message("MOLT_SEED=%llu\n", (unsigned long long)s);
    return s | 1;
}

/* xorshift64, George Marsaglia, Xorshift RNGs, 2003. */
static uint64_t next_random(struct game *g)
{
    g->random ^= g->random << 13;
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return g->random >> 11;
}

/* ---- keys: index i of the model in a table's own form, ordered like i ---------------- */

union key {
    long number;
    char name[20];
    struct wide wide;
};

static void make_key(const struct game *g, int i, union key *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (g->key == MOLT_TABLE_KEY_SIGNED) {
        ret->number = (i - KEYS / 2) * 1000003L;
    } else if (g->key == MOLT_TABLE_KEY_STRING) {
        snprintf(ret->name, sizeof(ret->name), "common-pre%03d%.*s", i, i % 6, "tail!!");
    } else {
        ret->wide.bytes[0] = 7;
        ret->wide.bytes[15] = (unsigned char)(i >> 8);
        ret->wide.bytes[16] = (unsigned char)i;
        ret->wide.bytes[19] = (unsigned char)(i * 37);
    }
}

static int index_of(const struct game *g, const union key *key)
{
    for (int i = 0; i < KEYS; i++) {
        union key k;
        make_key(g, i, &k);
        if (memcmp(&k, key, g->key_type->size) == 0)
            return i;
    }
    return -1;
}

/* ---- moves ------------------------------------------------------------------------------ */

static struct hit random_value(struct game *g)
{
    struct hit hit = {.n = (int64_t)(next_random(g) % 4), .small = 5};
    return hit;
}

/* What the model says to @op; and does it. */
static int model_write(struct row *row, enum molt_table_op op, const struct hit *value,
                       const struct hit *expected, int64_t delta, struct hit *ret)
{
    bool was_there = row->is_there;
    bool is_same = was_there && memcmp(&row->value, expected, sizeof(*expected)) == 0;
    switch (op) {
    case MOLT_TABLE_OP_PUT:
        *row = (struct row){true, *value};
        return 0;
    case MOLT_TABLE_OP_INSERT:
        if (!was_there)
            *row = (struct row){true, *value};
        return was_there ? MOLT_EEXIST : 0;
    case MOLT_TABLE_OP_TAKE:
        *ret = row->value;
        row->is_there = false;
        return was_there ? 0 : MOLT_ENOENT;
    case MOLT_TABLE_OP_DELETE:
        row->is_there = false;
        return was_there ? 0 : MOLT_ENOENT;
    case MOLT_TABLE_OP_SWAP:
        if (is_same)
            row->value = *value;
        return !was_there ? MOLT_ENOENT : is_same ? 0 : 1;
    case MOLT_TABLE_OP_DELETE_SAME:
        if (is_same)
            row->is_there = false;
        return !was_there ? MOLT_ENOENT : is_same ? 0 : 1;
    default:
        if (!was_there)
            *row = (struct row){true, *value};
        row->value.n += delta;
        ret->n = row->value.n;
        return 0;
    }
}

static void move(struct game *g, int i, enum molt_table_op op)
{
    union key key;
    struct hit value = random_value(g), expected = random_value(g), ret = {0}, model_ret = {0};
    int64_t delta = (int64_t)(next_random(g) % 5) - 2;
    make_key(g, i, &key);
    struct molt_table_args args = {.table = g->table,
                                   .self = 1,
                                   .key = &key,
                                   .key_type = g->key_type,
                                   .value_type = &hit_type,
                                   .value = &value,
                                   .expected = &expected,
                                   .field = {offsetof(struct hit, n), 8, 1},
                                   .delta = delta};
    int rc = molt_tables_write(&g->tables, op, &args, &ret);
    int model_rc = model_write(&g->model[i], op, &value, &expected, delta, &model_ret);
    assert_int_equal(rc, model_rc);
    if (rc == 0 && op == MOLT_TABLE_OP_TAKE)
        assert_memory_equal(&ret, &model_ret, sizeof(ret));
    if (rc == 0 && op == MOLT_TABLE_OP_ADD)
        assert_int_equal(ret.n, model_ret.n);
}

static void look(struct game *g, int i)
{
    union key key;
    struct hit hit;
    make_key(g, i, &key);
    struct molt_table_args args = {.table = g->table,
                                   .key = &key,
                                   .key_type = g->key_type,
                                   .value_type = &hit_type};
    int rc = molt_tables_get(&g->tables, &args, &hit);
    assert_int_equal(rc, g->model[i].is_there ? 0 : MOLT_ENOENT);
    if (rc == 0)
        assert_memory_equal(&hit, &g->model[i].value, sizeof(hit));
}

/* The index that a step from @i leads to, or -1. */
static int model_step(const struct game *g, int i, enum molt_table_step step)
{
    int by = step == MOLT_TABLE_PREV ? -1 : 1;
    for (i += step == MOLT_TABLE_FROM ? 0 : by; i >= 0 && i < KEYS; i += by)
        if (g->model[i].is_there)
            return i;
    return -1;
}

static void step(struct game *g, int i, enum molt_table_step step)
{
    union key from, key;
    struct hit hit;
    bool is_edge = (i < 0 || i >= KEYS);
    memset(&key, 0, sizeof(key));
    if (!is_edge)
        make_key(g, i, &from);
    struct molt_table_args args = {.table = g->table,
                                   .key = is_edge ? NULL : &from,
                                   .key_type = g->key_type,
                                   .value_type = &hit_type};
    int to = model_step(g, i, step);
    int rc = molt_tables_step(&g->tables, &args, step, &key, g->key_type, &hit);
    assert_int_equal(rc, to < 0 ? MOLT_ENOENT : 0);
    if (rc < 0)
        return;
    assert_int_equal(index_of(g, &key), to);
    assert_memory_equal(&hit, &g->model[to].value, sizeof(hit));
}

static void walk_all(struct game *g)
{
    char seen[KEYS] = {0};
    union key key;
    struct hit hit;
    int64_t n = 0, there = 0;
    memset(&key, 0, sizeof(key));
    struct molt_table_args args = {.table = g->table,
                                   .key_type = g->key_type,
                                   .value_type = &hit_type};
    while (molt_tables_step(&g->tables, &args, MOLT_TABLE_NEXT, &key, g->key_type, &hit) == 0) {
        int i = index_of(g, &key);
        assert_in_range(i, 0, KEYS - 1);
        assert_true(g->model[i].is_there);
        assert_int_equal(seen[i]++, 0);
        assert_memory_equal(&hit, &g->model[i].value, sizeof(hit));
        args.key = &key;
        n++;
    }
    for (int i = 0; i < KEYS; i++)
        there += g->model[i].is_there;
    assert_int_equal(n, there);
    assert_int_equal(molt_tables_count(&g->tables, g->table), there);
}

static void turn(struct game *g, int phase)
{
    int i = (int)(next_random(g) % KEYS);
    uint64_t dice = next_random(g) % 100;
    /* Phases of growing and of shrinking to nothing. */
    if (phase % 3 == 2 && dice < 60)
        move(g, i, MOLT_TABLE_OP_DELETE);
    else if (dice < 70)
        move(g, i, (enum molt_table_op)(next_random(g) % (MOLT_TABLE_OP_ADD + 1)));
    else if (dice < 85 || !g->is_ordered)
        look(g, i);
    else
        step(g, dice < 88 ? dice % 2 ? -1 : KEYS : i,
             dice < 88 ? dice % 2 ? MOLT_TABLE_NEXT : MOLT_TABLE_PREV
                       : (enum molt_table_step)(dice % 3));
}

static void drain(struct game *g)
{
    for (int i = 0; i < KEYS; i++)
        if (g->model[i].is_there)
            move(g, i, MOLT_TABLE_OP_DELETE);
    walk_all(g);
}

static void play(const struct molt_type *key_type, enum molt_table_key key, bool is_ordered)
{
    struct game *g = test_calloc(1, sizeof(*g));
    molt_tables_init(&g->tables, NULL);
    g->is_ordered = is_ordered;
    g->key_type = key_type;
    g->key = key;
    g->random = seed();
    struct molt_table_options o = {.kind = is_ordered ? MOLT_TABLE_ORDERED : MOLT_TABLE_SET};
    g->table = table_new(&g->tables, key_type, key, &hit_type, &o);
    for (int n = 0; n < STEPS; n++) {
        turn(g, n / 2000);
        if (n % 1000 == 0)
            walk_all(g);
        if (n % 9000 == 8999)
            drain(g);
    }
    walk_all(g);
    molt_tables_fini(&g->tables);
    test_free(g);
}

static void sets_of_integers_do_as_the_model(void **state)
{
    (void)state;
    play(&long_type, MOLT_TABLE_KEY_SIGNED, false);
}

static void sets_of_strings_do_as_the_model(void **state)
{
    (void)state;
    play(&name_type, MOLT_TABLE_KEY_STRING, false);
}

static void sets_of_structs_do_as_the_model(void **state)
{
    (void)state;
    play(&wide_type, MOLT_TABLE_KEY_BYTES, false);
}

static void ordered_integers_do_as_the_model(void **state)
{
    (void)state;
    play(&long_type, MOLT_TABLE_KEY_SIGNED, true);
}

static void ordered_strings_do_as_the_model(void **state)
{
    (void)state;
    play(&name_type, MOLT_TABLE_KEY_STRING, true);
}

static void ordered_structs_do_as_the_model(void **state)
{
    (void)state;
    play(&wide_type, MOLT_TABLE_KEY_BYTES, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_of_integers_do_as_the_model),
        cmocka_unit_test(sets_of_strings_do_as_the_model),
        cmocka_unit_test(sets_of_structs_do_as_the_model),
        cmocka_unit_test(ordered_integers_do_as_the_model),
        cmocka_unit_test(ordered_strings_do_as_the_model),
        cmocka_unit_test(ordered_structs_do_as_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
