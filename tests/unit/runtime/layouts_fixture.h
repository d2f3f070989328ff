/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Three layouts of one value type, with recipes between neighbours, and a world for each.
 * hit is the first, of the table fixture; hit2 has a wider `small` and `added`, which starts as 7
 * (and is lost on the way back); hit3 has a note besides.
 */
#ifndef MOLT_TESTS_RUNTIME_LAYOUTS_FIXTURE_H
#define MOLT_TESTS_RUNTIME_LAYOUTS_FIXTURE_H

#include "unit/runtime/table_fixture.h"
/* After cmocka. */
#include "code/layout.h"
#include "code/table.h"
#include "unit/code/recipe_maker.h"

struct hit2 {
    int32_t added, unused;
    int64_t small, n;
    uint32_t check, more;
};
struct hit3 {
    int64_t n, small;
    uint32_t check;
    int32_t added;
    char note[8];
};

#define ADDED 7 /* what added is at first */
#define EDGES_MAX 16

static struct molt_type hit1_type = {.key_text = "s", .name = "struct hit", .size = 16, .hash = 1};
static struct molt_type hit2_type = {.key_text = "s", .name = "struct hit", .size = 32, .hash = 2};
static struct molt_type hit3_type = {.key_text = "s", .name = "struct hit", .size = 32, .hash = 3};

static struct molt_code no_code; /* without images */
static const struct molt_type *w1_types[] = {&hit1_type}, *w2_types[] = {&hit2_type},
                              *w3_types[] = {&hit3_type};
static struct molt_world w1 = {.code = &no_code, .n_types = 1, .types = w1_types};
static struct molt_world w2 = {.code = &no_code, .n_types = 1, .types = w2_types};
static struct molt_world w3 = {.code = &no_code, .n_types = 1, .types = w3_types};

static struct molt_edge_node layout_nodes[EDGES_MAX];
static unsigned n_layout_nodes;

/* The world that this thread's code is in. */
static __thread const struct molt_world *layout_here = &w1;

FIXTURE const struct molt_world *world_of_thread(void *user)
{
    (void)user;
    return layout_here;
}

/* @recipe, which is the fixture's from now on, leads from @from to @to. */
FIXTURE struct molt_edge_node *layouts_link(struct molt_type *from, struct molt_type *to,
                                            struct molt_recipe *recipe)
{
    struct molt_error err = {0};
    assert_true(n_layout_nodes < EDGES_MAX);
    if (molt_recipe_check(recipe, &err) < 0)
        fail_msg("%s", err.text);
    struct molt_edge_node *node = &layout_nodes[n_layout_nodes++];
    *node = (struct molt_edge_node){.edge = {recipe, from, to, NULL}, .recipe = recipe};
    node->next = atomic_load(&from->edges);
    atomic_store(&from->edges, node);
    atomic_store(&from->is_many, true);
    atomic_store(&to->is_many, true);
    return node;
}

#define WIDEN_(from_at, to_at, from_bytes, to_bytes)                                               \
    {                                                                                              \
        .kind = MOLT_STEP_INT, .flags = BOTH, .old_bytes = (from_bytes), .new_bytes = (to_bytes),  \
        .old_at = (from_at), .new_at = (to_at), .count = 1                                         \
    }
#define COPY_(from_at, to_at, bytes)                                                               \
    {                                                                                              \
        .kind = MOLT_STEP_COPY, .old_at = (from_at), .new_at = (to_at), .count = (bytes)           \
    }

/* As a group setup. */
FIXTURE int layouts_make(void **state)
{
    (void)state;
    const int32_t added = ADDED;
    hit1_type.key = hit2_type.key = hit3_type.key = (const void *)&hit1_type;
    struct molt_recipe *up = MAKE(16, 32, COPY_(0, 16, 8), WIDEN_(8, 8, 4, 8), COPY_(12, 24, 4),
                                  {.kind = MOLT_STEP_SET, .new_at = 0, .count = 4});
    maker_bytes(up, &added, sizeof(added));
    layouts_link(&hit1_type, &hit2_type, up);
    layouts_link(&hit2_type, &hit1_type,
                 MAKE(32, 16, COPY_(16, 0, 8), WIDEN_(8, 8, 8, 4), COPY_(24, 12, 4)));
    layouts_link(&hit2_type, &hit3_type,
                 MAKE(32, 32, COPY_(16, 0, 8), COPY_(8, 8, 8), COPY_(24, 16, 4), COPY_(0, 20, 4)));
    layouts_link(&hit3_type, &hit2_type,
                 MAKE(32, 32, COPY_(0, 16, 8), COPY_(8, 8, 8), COPY_(16, 24, 4), COPY_(20, 0, 4)));
    return 0;
}

/* As a group teardown. */
FIXTURE int layouts_drop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < n_layout_nodes; i++)
        molt_recipe_free(layout_nodes[i].recipe);
    n_layout_nodes = 0;
    return 0;
}

FIXTURE void layouts_open_tables(struct molt_tables *tables)
{
    molt_tables_init(tables, &(struct molt_tables_config){.world = world_of_thread});
    molt_tables_open(tables, &w1, true);
    layout_here = &w1;
}

/* An upgrade of the tables to @world; also what this thread is in then. */
FIXTURE void layouts_switch(struct molt_tables *tables, const struct molt_world *world)
{
    struct molt_error err = {0};
    if (molt_tables_prepare(tables, world, &err) < 0 || molt_tables_close(tables, world, &err) < 0)
        fail_msg("%s", err.text);
    molt_tables_open(tables, world, true);
    layout_here = world;
}

/* Arguments of code that knows the layout @value_type. */
FIXTURE struct molt_table_args layout_args(molt_table table, const long *key,
                                           const struct molt_type *value_type)
{
    return (struct molt_table_args){
        .table = table, .self = 1, .key = key, .key_type = &long_type, .value_type = value_type};
}

FIXTURE int layout_put(struct molt_tables *tables, molt_table table, long key,
                       const struct molt_type *type, const void *value)
{
    struct molt_table_args args = layout_args(table, &key, type);
    args.value = value;
    return molt_tables_write(tables, MOLT_TABLE_OP_PUT, &args, NULL);
}

FIXTURE int layout_get(struct molt_tables *tables, molt_table table, long key,
                       const struct molt_type *type, void *ret)
{
    struct molt_table_args args = layout_args(table, &key, type);
    return molt_tables_get(tables, &args, ret);
}

/* A public table of long to the first layout, named "hits". */
FIXTURE molt_table layouts_table(struct molt_tables *tables, enum molt_table_kind kind)
{
    struct molt_table_options o = {.kind = kind, .access = MOLT_TABLE_PUBLIC, .name = "hits"};
    return table_new(tables, &long_type, MOLT_TABLE_KEY_SIGNED, &hit1_type, &o);
}

#endif
