/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Graphs of blocks, migrated by recipes that are written out here. */
#include "unit/runtime/fake_world.h"

#include "runtime/migrate.h"
#include "runtime/rt.h"
#include "support/alloc_fail.h"
#include "unit/code/recipe_maker.h"

/* Links change: a number grows, a field is new, pointers move. */
struct old_link {
    int n;
    void *to[2];
};
struct new_link {
    long n, fresh;
    void *to[2];
};
struct newest_link {
    void *to[2];
    long n;
};
/* Holders stay as they are. */
struct holder {
    long n;
    void *to[2];
    uintptr_t word;
};
struct old_list {
    int n;
    int items[];
};
struct new_list {
    long n;
    long items[];
};

static struct {
    struct fake fake;
    struct molt_heap *heap;
    struct molt_block_cache cache;
    struct molt_owner owner;
    struct molt_world *old, *now;
    const struct molt_type *old_link, *new_link, *newest_link, *holder, *plain, *old_list,
        *new_list;
    struct molt_edge_node edges[4];
    unsigned n_edges;
    struct molt_migration migration;
    struct molt_migration_fault fault;
} t;

/* ---- types and worlds --------------------------------------------------------------- */

static const struct molt_type *type(const char *key, uint64_t hash, uint32_t size,
                                    struct molt_meta_ptr *ptrs, size_t n_ptrs)
{
    char name[32];
    snprintf(name, sizeof(name), "%s", key);
    struct molt_meta_type meta = {.key = name,
                                  .name = name,
                                  .hash = hash,
                                  .shape = hash,
                                  .size = size,
                                  .n_ptrs = n_ptrs,
                                  .ptrs = ptrs};
    if (strcmp(key, "list") == 0) {
        meta.flex_at = size;
        meta.flex_size = hash == 1 ? sizeof(int) : sizeof(long);
    }
    const struct molt_type *made = molt_types_intern(t.fake.code->types, &meta);
    assert_non_null(made);
    return made;
}

static const struct molt_type *link_type(uint64_t hash, uint32_t size, uint32_t at)
{
    struct molt_meta_ptr to = {.offset = at,
                               .count = 2,
                               .kind = MOLT_PTR_DATA,
                               .field = (char[]){"to"}};
    return type("link", hash, size, &to, 1);
}

static int by_key(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(const struct molt_type *const *)a)->key;
    uintptr_t y = (uintptr_t)(*(const struct molt_type *const *)b)->key;
    return x < y ? -1 : x > y;
}

static struct molt_world *world(const struct molt_type *link, const struct molt_type *list)
{
    struct molt_world *w = molt_world_empty(t.fake.code);
    assert_non_null(w);
    const struct molt_type *types[] = {link, list, t.holder, t.plain};
    w->types = calloc(4, sizeof(*w->types));
    assert_non_null(w->types);
    memcpy(w->types, types, sizeof(types));
    w->n_types = 4;
    qsort(w->types, 4, sizeof(*w->types), by_key);
    return w;
}

static void lead(const struct molt_type *from, const struct molt_type *to,
                 struct molt_recipe *recipe, molt_any_fn change)
{
    struct molt_error err = {0};
    if (molt_recipe_check(recipe, &err) < 0)
        fail_msg("%s", err.text);
    struct molt_edge_node *node = &t.edges[t.n_edges++];
    *node = (struct molt_edge_node){.edge = {recipe, from, to, change}, .recipe = recipe};
    struct molt_type *mutable = (struct molt_type *)(uintptr_t)from;
    node->next = atomic_load(&mutable->edges);
    atomic_store(&mutable->edges, node);
    atomic_store(&mutable->is_many, true);
}

static struct molt_recipe *link_recipe(void)
{
    return MAKE(sizeof(struct old_link), sizeof(struct new_link),
                {.kind = MOLT_STEP_INT, .flags = BOTH, .old_bytes = 4, .new_bytes = 8, .count = 1},
                {.kind = MOLT_STEP_POINTER, .old_at = 8, .new_at = 16, .count = 2});
}

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    fake_init(&t.fake, 1);
    t.heap = t.fake.rt->heap;
    molt_block_cache_join(t.heap, &t.cache);
    molt_owner_init(&t.owner);
    struct molt_meta_ptr held[] = {
        {.offset = 8, .count = 2, .kind = MOLT_PTR_ANY, .field = (char[]){"to"}},
        {.offset = 24, .count = 1, .kind = MOLT_PTR_WORD, .field = (char[]){"word"}}};
    t.old_link = link_type(1, sizeof(struct old_link), 8);
    t.new_link = link_type(2, sizeof(struct new_link), 16);
    t.newest_link = link_type(3, sizeof(struct newest_link), 0);
    t.holder = type("holder", 1, sizeof(struct holder), held, 2);
    t.plain = type("plain", 1, sizeof(long), NULL, 0);
    t.old_list = type("list", 1, sizeof(struct old_list), NULL, 0);
    t.new_list = type("list", 2, sizeof(struct new_list), NULL, 0);
    t.old = world(t.old_link, t.old_list);
    t.now = world(t.new_link, t.new_list);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    molt_block_drop_list(t.heap, &t.cache, &t.owner.blocks);
    assert_int_equal(molt_heap_pointing(t.heap), 0);
    molt_block_cache_leave(t.heap, &t.cache);
    molt_world_free(t.old);
    molt_world_free(t.now);
    for (unsigned i = 0; i < t.n_edges; i++) {
        struct molt_type *from = (struct molt_type *)(uintptr_t)t.edges[i].edge.from;
        atomic_store(&from->edges, NULL);
        molt_recipe_free(t.edges[i].recipe);
    }
    fake_fini(&t.fake);
    return 0;
}

/* ---- migrating ------------------------------------------------------------------------ */

static void *make(const struct molt_type *of)
{
    struct molt_block *block = molt_block_make(t.heap, &t.cache, &t.owner, of, 1);
    assert_non_null(block);
    return molt_block_payload(block);
}

static struct molt_block *block_of(const void *payload)
{
    return (struct molt_block *)((uintptr_t)payload - sizeof(struct molt_block));
}

/* What @payload became; it stays until the migration is adopted. */
static void *now(void *payload)
{
    return molt_block_payload(molt_migration_of(&t.migration, block_of(payload)));
}

static int call(void *user, molt_any_fn change, const void *old, void *new)
{
    (void)user;
    typedef int change_fn(const void *old, void *new);
    return ((change_fn *)change)(old, new);
}

static int migrate_with(struct molt_migrate how)
{
    how.heap = t.heap;
    how.cache = &t.cache;
    how.blocks = &t.owner.blocks;
    how.world = t.now;
    how.call = call;
    t.fault = (struct molt_migration_fault){0};
    return molt_migrate(&how, &t.migration, &t.fault);
}

static int migrate(void)
{
    return migrate_with((struct molt_migrate){.user = NULL});
}

static void adopt(void)
{
    molt_migration_adopt(&t.migration, t.heap, &t.cache, &t.owner);
}

static size_t count_blocks(void)
{
    size_t n = 0;
    for (struct molt_list *node = t.owner.blocks.next; node != &t.owner.blocks; node = node->next)
        n++;
    return n;
}

static void what_fits_stays(void **state)
{
    (void)state;
    make(t.holder);
    make(t.plain);
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    assert_int_equal(migrate(), 0);
    assert_int_equal(t.migration.n_moved, 0);
}

static void a_layout_without_a_way_is_named(void **state)
{
    (void)state;
    make(t.old_link);
    assert_int_equal(migrate(), MOLT_ECHANGE);
    assert_non_null(strstr(t.fault.why, "link"));
}

static void one_block_is_converted_beside_the_old_one(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    struct old_link *old = make(t.old_link);
    old->n = -7;
    assert_int_equal(migrate(), 1);
    struct new_link *new = now(old);
    assert_int_equal(new->n, -7);
    assert_int_equal(new->fresh, 0);
    assert_int_equal(old->n, -7);
    adopt();
    assert_int_equal(count_blocks(), 1);
    assert_int_equal(atomic_load(&t.owner.bytes), sizeof(struct new_link));
}

#define LONG_CHAIN 100000

static void a_long_cycle_is_led_on_without_recursion(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    struct old_link *first = make(t.old_link), *last = first;
    for (int i = 1; i < LONG_CHAIN; i++) {
        struct old_link *link = make(t.old_link);
        link->n = i;
        last->to[0] = link;
        last = link;
    }
    last->to[0] = first;
    assert_int_equal(migrate(), 1);
    struct new_link *at = now(first);
    adopt();
    for (int i = 0; i < LONG_CHAIN; i++, at = at->to[0])
        assert_int_equal(at->n, i);
    assert_int_equal(at->n, 0);
    assert_int_equal(count_blocks(), LONG_CHAIN);
}

static void what_points_to_a_change_is_copied_over_any_number_of_steps(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    struct old_link *link = make(t.old_link);
    struct holder *near = make(t.holder), *far = make(t.holder), *other = make(t.holder);
    long *plain = make(t.plain);
    near->to[1] = &link->to[1];
    far->to[0] = near;
    far->to[1] = plain;
    other->to[0] = plain;
    assert_int_equal(migrate(), 1);
    assert_int_equal(t.migration.n_moved, 3);
    assert_ptr_equal(now(other), other);
    struct holder *new_near = now(near), *new_far = now(far);
    struct new_link *new_link = now(link);
    assert_ptr_equal(new_near->to[1], &new_link->to[1]);
    assert_ptr_equal(new_far->to[0], new_near);
    assert_ptr_equal(new_far->to[1], plain);
    assert_ptr_equal(near->to[1], &link->to[1]); /* the old one as it was */
    molt_migration_drop(&t.migration, t.heap, &t.cache);
    assert_int_equal(count_blocks(), 5);
}

static void one_past_the_end_stays_that(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    struct old_link *link = make(t.old_link);
    struct holder *holder = make(t.holder);
    holder->to[0] = link + 1;
    assert_int_equal(migrate(), 1);
    struct holder *new = now(holder);
    assert_ptr_equal(new->to[0], (struct new_link *)now(link) + 1);
    adopt();
}

static void a_word_that_may_be_an_address_of_what_moves_is_refused(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    struct old_link *link = make(t.old_link);
    struct holder *holder = make(t.holder);
    holder->word = (uintptr_t)link;
    assert_int_equal(migrate(), MOLT_ECHANGE);
    assert_non_null(strstr(t.fault.why, "holder.word"));
    holder->word = (uintptr_t)holder; /* which stays */
    assert_int_equal(migrate(), 1);
    molt_migration_drop(&t.migration, t.heap, &t.cache);
    holder->to[0] = link; /* so it is copied, and moves */
    assert_int_equal(migrate(), MOLT_ECHANGE);
    holder->word = UINT64_C(0x20746f6c6f6d6c6f); /* text */
    assert_int_equal(migrate(), 1);
    adopt();
}

/* What holders point to and when their word is an address, as hints would say. */
static void what_stays_but_moves_is_led_on_by_its_own_recipe(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    struct molt_recipe *same =
        MAKE(sizeof(struct holder), sizeof(struct holder), {.kind = MOLT_STEP_COPY, .count = 8},
             {.kind = MOLT_STEP_POINTER, .old_at = 8, .new_at = 8, .count = 2},
             {.kind = MOLT_STEP_UNION, .old_bytes = 8, .count = 1, .first = 3, .n_steps = 2},
             {.kind = MOLT_STEP_CASE, .count = 1, .limit = 0, .first = 5, .n_steps = 1},
             {.kind = MOLT_STEP_CASE, .count = 1, .limit = 1, .first = 6, .n_steps = 1},
             {.kind = MOLT_STEP_COPY, .old_at = 24, .new_at = 24, .count = 8},
             {.kind = MOLT_STEP_POINTER, .old_at = 24, .new_at = 24, .count = 1});
    same->n_top = 3;
    lead(t.holder, t.holder, same, NULL);
    struct old_link *link = make(t.old_link);
    struct holder *number = make(t.holder), *pointer = make(t.holder), *other = make(t.holder);
    *number = (struct holder){.n = 0, .word = (uintptr_t)link};
    *pointer = (struct holder){.n = 1, .to = {number}, .word = (uintptr_t)link};
    assert_int_equal(migrate(), 1);
    assert_int_equal(((struct holder *)now(number))->word, (uintptr_t)link);
    struct holder *new = now(pointer);
    assert_int_equal(new->n, 1);
    assert_int_equal(new->word, (uintptr_t)now(link));
    assert_ptr_equal(new->to[0], now(number));
    molt_migration_drop(&t.migration, t.heap, &t.cache);
    *other = (struct holder){.n = 2, .to = {link}}; /* no case, and no need of one */
    assert_int_equal(migrate(), 1);
    assert_ptr_equal(((struct holder *)now(other))->to[0], now(link));
    molt_migration_drop(&t.migration, t.heap, &t.cache);
    other->word = (uintptr_t)link;
    assert_int_equal(migrate(), MOLT_ECHANGE);
    molt_block_drop(t.heap, &t.cache, block_of(number));
    number = NULL;
    other->word = 0;
    pointer->to[0] = NULL;
    assert_int_equal(migrate(), 1);
    adopt();
}

static void a_value_that_does_not_fit_names_field_and_block(void **state)
{
    (void)state;
    struct molt_recipe *narrow =
        MAKE(sizeof(struct old_link), sizeof(struct new_link),
             {.kind = MOLT_STEP_INT, .flags = BOTH, .old_bytes = 4, .new_bytes = 1, .count = 1});
    lead(t.old_link, t.new_link, narrow, NULL);
    make(t.old_link);
    struct old_link *link = make(t.old_link);
    link->n = 300;
    assert_int_equal(migrate(), MOLT_ECHANGE);
    assert_non_null(strstr(t.fault.why, "s.f of block"));
    assert_non_null(strstr(t.fault.why, "300"));
    assert_int_equal(count_blocks(), 2);
}

static int add_hundred(const struct old_link *old, struct new_link *new)
{
    new->fresh = old->n + new->n + 100;
    new->to[1] = old->to[1]; /* by value: it is led on */
    return new->fresh == 666 ? -5 : 0;
}

static void the_authors_function_sees_what_the_steps_made(void **state)
{
    (void)state;
    struct molt_recipe *partial =
        MAKE(sizeof(struct old_link), sizeof(struct new_link),
             {.kind = MOLT_STEP_INT, .flags = BOTH, .old_bytes = 4, .new_bytes = 8, .count = 1});
    struct old_link *a = make(t.old_link), *b = make(t.old_link);
    lead(t.old_link, t.new_link, partial, MOLT_FN(add_hundred));
    /* The function's version has to be of the world. */
    static struct molt_version version = {.module = "app"};
    static struct molt_version *versions[] = {&version};
    atomic_store(&t.edges[0].version, &version);
    t.now->versions = versions;
    t.now->n_versions = 1;
    a->n = 5;
    a->to[1] = b;
    b->to[1] = a;
    assert_int_equal(migrate(), 1);
    struct new_link *new_a = now(a), *new_b = now(b);
    assert_int_equal(new_a->fresh, 110);
    assert_ptr_equal(new_a->to[1], new_b);
    assert_ptr_equal(new_b->to[1], new_a);
    molt_migration_drop(&t.migration, t.heap, &t.cache);
    b->n = 283;
    assert_int_equal(migrate(), MOLT_ECHANGE);
    assert_non_null(strstr(t.fault.why, "-5"));
    t.now->versions = NULL;
    t.now->n_versions = 0;
}

static int by_hand(const struct old_link *old, struct holder *new)
{
    new->n = old->n;
    new->to[0] = old->to[0];
    return 0;
}

static void a_root_is_converted_by_hand(void **state)
{
    (void)state;
    struct old_link *root = make(t.old_link);
    struct holder *holder = make(t.holder);
    root->n = 9;
    root->to[0] = holder;
    holder->to[0] = root;
    struct molt_migrate how = {.root = block_of(root),
                               .root_type = t.holder,
                               .root_change = MOLT_FN(by_hand)};
    assert_int_equal(migrate_with(how), 1);
    struct holder *new = now(root), *copy = now(holder);
    assert_int_equal(new->n, 9);
    assert_ptr_equal(new->to[0], copy);
    assert_ptr_equal(copy->to[0], new);
    molt_migration_drop(&t.migration, t.heap, &t.cache);
    holder->to[0] = &root->to[1];
    assert_int_equal(migrate_with(how), MOLT_ECHANGE);
    assert_non_null(strstr(t.fault.why, "middle"));
}

static void two_recipes_are_followed_one_after_the_other(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    lead(t.new_link, t.newest_link,
         MAKE(sizeof(struct new_link), sizeof(struct newest_link),
              {.kind = MOLT_STEP_COPY, .old_at = 0, .new_at = 16, .count = 8},
              {.kind = MOLT_STEP_POINTER, .old_at = 16, .new_at = 0, .count = 2}),
         NULL);
    struct molt_world *before = t.now;
    t.now = world(t.newest_link, t.new_list);
    struct old_link *a = make(t.old_link), *b = make(t.old_link);
    a->n = 3;
    a->to[0] = &b->to[1];
    assert_int_equal(migrate(), 1);
    struct newest_link *new = now(a), *other = now(b);
    assert_int_equal(new->n, 3);
    assert_ptr_equal(new->to[0], &other->to[1]);
    adopt();
    molt_world_free(before);
}

static void a_flexible_array_keeps_its_elements(void **state)
{
    (void)state;
    struct molt_recipe *recipe =
        MAKE(sizeof(struct old_list), sizeof(struct new_list),
             {.kind = MOLT_STEP_INT, .flags = BOTH, .old_bytes = 4, .new_bytes = 8, .count = 1},
             {.kind = MOLT_STEP_FLEX,
              .old_at = sizeof(struct old_list),
              .new_at = sizeof(struct new_list),
              .old_stride = sizeof(int),
              .new_stride = sizeof(long),
              .first = 2,
              .n_steps = 1},
             {.kind = MOLT_STEP_INT, .flags = BOTH, .old_bytes = 4, .new_bytes = 8, .count = 1});
    recipe->n_top = 2;
    lead(t.old_list, t.new_list, recipe, NULL);
    struct molt_block *block =
        molt_block_make_bytes(t.heap, &t.cache, &t.owner, t.old_list, sizeof(struct old_list) + 12);
    struct old_list *old = molt_block_payload(block);
    old->n = 3;
    for (int i = 0; i < 3; i++)
        old->items[i] = -i;
    assert_int_equal(migrate(), 1);
    struct new_list *new = now(old);
    assert_int_equal(molt_block_count(block_of(new)), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(new->items[i], -i);
    adopt();
}

/* ---- random graphs ------------------------------------------------------------------------ */

#define NODES 60

static struct {
    void *at[NODES];
    bool is_link[NODES], moves[NODES];
    int to[NODES][2], field[NODES][2]; /* -1: none; which word of the target: n, to[0], to[1] */
} graph;

static uint64_t seed;

static unsigned below(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void *word_of(void *at, bool is_link, bool is_new, int field)
{
    size_t to = is_link && is_new ? offsetof(struct new_link, to) : offsetof(struct holder, to);
    return (char *)at + (field == 0 ? 0 : to + (size_t)(field - 1) * sizeof(void *));
}

static void **pointers_of(int i, bool is_new)
{
    return word_of(is_new ? now(graph.at[i]) : graph.at[i], graph.is_link[i], is_new, 1);
}

static void make_graph(void)
{
    for (int i = 0; i < NODES; i++) {
        graph.is_link[i] = graph.moves[i] = below(4) == 0;
        graph.at[i] = make(graph.is_link[i] ? t.old_link : t.holder);
        if (graph.is_link[i])
            ((struct old_link *)graph.at[i])->n = i;
        else
            ((struct holder *)graph.at[i])->n = i;
    }
    for (int i = 0; i < NODES; i++)
        for (int k = 0; k < 2; k++) {
            int to = graph.to[i][k] = below(3) == 0 ? (int)below(NODES) : -1;
            int field = graph.field[i][k] = (int)below(3);
            if (to >= 0)
                pointers_of(i, false)[k] = word_of(graph.at[to], graph.is_link[to], false, field);
        }
}

/* Until nothing changes, however often that takes. */
static void mark_moving(void)
{
    bool is_over = false;
    while (!is_over) {
        is_over = true;
        for (int i = 0; i < NODES; i++)
            for (int k = 0; k < 2; k++)
                if (!graph.moves[i] && graph.to[i][k] >= 0 && graph.moves[graph.to[i][k]]) {
                    graph.moves[i] = true;
                    is_over = false;
                }
    }
}

static void check_node(int i)
{
    void *new = now(graph.at[i]);
    assert_int_equal(new != graph.at[i], graph.moves[i]);
    assert_int_equal(*(long *)new, i);
    for (int k = 0; graph.moves[i] && k < 2; k++) {
        int to = graph.to[i][k];
        void *expected = to < 0 ? NULL
                                : word_of(now(graph.at[to]), graph.is_link[to], graph.is_link[to],
                                          graph.field[i][k]);
        assert_ptr_equal(pointers_of(i, true)[k], expected);
    }
}

static void random_graphs_become_what_a_naive_walk_says(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    for (unsigned round = 0; round < 300; round++) {
        seed = round;
        make_graph();
        mark_moving();
        int rc = migrate();
        if (rc < 0)
            fail_msg("seed %u: %s", round, t.fault.why);
        for (int i = 0; i < NODES; i++)
            check_node(i);
        if (round % 2)
            adopt();
        else
            molt_migration_drop(&t.migration, t.heap, &t.cache);
        assert_int_equal(count_blocks(), NODES);
        molt_block_drop_list(t.heap, &t.cache, &t.owner.blocks);
    }
}

static void without_memory_nothing_is_made_and_nothing_changes(void **state)
{
    (void)state;
    lead(t.old_link, t.new_link, link_recipe(), NULL);
    seed = 4711;
    make_graph();
    long pointing = molt_heap_pointing(t.heap);
    bool has_failed = true;
    size_t nth = 0;
    while (has_failed) {
        alloc_fail_at(++nth);
        int rc = migrate();
        has_failed = alloc_fail_end();
        assert_int_equal(rc, has_failed ? MOLT_ENOMEM : 1);
        if (has_failed) {
            assert_int_equal(count_blocks(), NODES);
            assert_int_equal(molt_heap_pointing(t.heap), pointing);
        }
    }
    assert_true(nth > 3);
    adopt();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_fits_stays),
        TEST(a_layout_without_a_way_is_named),
        TEST(one_block_is_converted_beside_the_old_one),
        TEST(a_long_cycle_is_led_on_without_recursion),
        TEST(what_points_to_a_change_is_copied_over_any_number_of_steps),
        TEST(one_past_the_end_stays_that),
        TEST(a_word_that_may_be_an_address_of_what_moves_is_refused),
        TEST(what_stays_but_moves_is_led_on_by_its_own_recipe),
        TEST(a_value_that_does_not_fit_names_field_and_block),
        TEST(the_authors_function_sees_what_the_steps_made),
        TEST(a_root_is_converted_by_hand),
        TEST(two_recipes_are_followed_one_after_the_other),
        TEST(a_flexible_array_keeps_its_elements),
        TEST(random_graphs_become_what_a_naive_walk_says),
        TEST(without_memory_nothing_is_made_and_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
