/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Layouts of worlds, the ways between them, and pointers into older images. */
#include <pthread.h>
#include <stdatomic.h>

#include "code/layout.h"
#include "code/table.h"
#include "fixture.h"
#include "recipe_maker.h"

#define KEY "a/a.c:struct s"
#define OTHER "a/a.c:struct r"

static struct {
    struct test_image s1, s2, s3; /* struct s of 4, 8 and 16 bytes */
    struct test_image again2;     /* as s2, of other code */
    struct test_image renamed;    /* struct r of 8 bytes */
    struct test_image plain;      /* without types */
    struct test_image b;          /* another module, without types */
} img;

#define TEXT(n) "static volatile int calls; int f(void); int f(void) { calls++; return " #n "; }"

static int build_modules(void **state)
{
    (void)state;
    fixture_init();
    const struct test_module modules[] = {
        {"a", .text = TEXT(1), .exports = {{"a", "f", 1}}, .types = {{KEY, 1, 4, false}}},
        {"a", .text = TEXT(2), .exports = {{"a", "f", 1}}, .types = {{KEY, 2, 8, false}}},
        {"a", .text = TEXT(3), .exports = {{"a", "f", 1}}, .types = {{KEY, 3, 16, false}}},
        {"a", .text = TEXT(22), .exports = {{"a", "f", 1}}, .types = {{KEY, 2, 8, false}}},
        {"a", .text = TEXT(4), .exports = {{"a", "f", 1}}, .types = {{OTHER, 9, 8, false}}},
        {"a", .text = TEXT(5), .exports = {{"a", "f", 1}}},
        {"b", .text = "int h(void); int h(void) { return 6; }", .exports = {{"b", "h", 1}}},
    };
    struct test_image *images = (struct test_image *)&img;
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        images[i] = test_module_build(&fx.maker, &modules[i]);
    return 0;
}

static int drop_modules(void **state)
{
    (void)state;
    struct test_image *images = (struct test_image *)&img;
    for (size_t i = 0; i < sizeof img / sizeof *images; i++)
        test_image_fini(&images[i], molt_meta_free);
    fixture_fini();
    return 0;
}

static struct molt_world *current(void)
{
    return atomic_load(molt_code_current_cell(fx.code));
}

/* The @n-th layout of struct s, or struct r for 9. */
static const struct molt_type *layout(unsigned n)
{
    static const uint32_t sizes[] = {0, 4, 8, 16, 0, 0, 0, 0, 0, 8};
    const struct molt_type *type =
        molt_types_find(fx.code->types, n == 9 ? OTHER : KEY, n, sizes[n]);
    assert_non_null(type);
    return type;
}

static struct molt_recipe *recipe(unsigned from, unsigned to)
{
    static const uint32_t sizes[] = {0, 4, 8, 16, 0, 0, 0, 0, 0, 8};
    struct molt_recipe *r = MAKE(sizes[from], sizes[to], {.kind = MOLT_STEP_COPY, .count = 4});
    free(r->from_key);
    free(r->to_key);
    r->from_key = strdup(from == 9 ? OTHER : KEY);
    r->to_key = strdup(to == 9 ? OTHER : KEY);
    r->from_hash = from;
    r->to_hash = to;
    return r;
}

static struct molt_recipe *with_change(struct molt_recipe *r, uint64_t at)
{
    r->change_module = strdup("a");
    r->change_at = at;
    return r;
}

static void add(uint64_t stage, struct molt_recipe *r)
{
    if (molt_stage_recipe(fx.code, stage, r, &fx.err) < 0)
        fail_msg("%s", fx.err.text);
}

static void finish(uint64_t stage)
{
    if (fixture_seal(stage) != 0 || fixture_commit(stage) != 0)
        fail_msg("%s", fx.err.text);
}

/* To @image, with up to two recipes, which may be NULL. */
static void swap_with(const struct test_image *image, struct molt_recipe *one,
                      struct molt_recipe *two)
{
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, image), 0);
    if (one)
        add(stage, one);
    if (two)
        add(stage, two);
    finish(stage);
}

/* Where the function f lies in its image, in the current world. */
static uint64_t offset_of_f(void)
{
    const struct molt_version *v = molt_world_find(current(), "a");
    return (uintptr_t)v->functions[0] - v->image.base;
}

/* The way from layout @from in @world: its length, with the layouts that it ends at. */
static void assert_way(const struct molt_world *world, unsigned from, int n, unsigned end)
{
    struct molt_way way;
    assert_int_equal(molt_world_way(world, layout(from), &way), n);
    assert_int_equal(molt_world_takes(world, layout(from)), n == 0);
    if (n <= 0)
        return;
    assert_int_equal(way.n, n);
    assert_ptr_equal(way.edges[0]->from, layout(from));
    assert_ptr_equal(way.edges[n - 1]->to, layout(end));
    for (int i = 1; i < n; i++)
        assert_ptr_equal(way.edges[i]->from, way.edges[i - 1]->to);
}

/* ---- ways ------------------------------------------------------------------------ */

static void a_type_of_one_layout_stays_as_it_is(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    assert_way(current(), 1, 0, 0);
    fixture_swap(&img.plain);
    assert_way(current(), 1, 0, 0); /* nobody looks into it */
}

static void a_recipe_leads_to_the_new_layout(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    swap_with(&img.s2, recipe(1, 2), NULL);
    assert_way(current(), 1, 1, 2);
    assert_way(current(), 2, 0, 0);
}

static void without_a_recipe_there_is_no_way(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    fixture_swap(&img.s2);
    assert_way(current(), 1, MOLT_ECHANGE, 0);
}

static void a_recipe_to_itself_tells_of_pointers_and_is_no_way(void **state)
{
    (void)state;
    fixture_swap(&img.s2);
    assert_null(molt_world_same(current(), layout(2)));
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.again2), 0);
    struct molt_recipe *same = recipe(2, 2);
    add(stage, same);
    assert_int_equal(fixture_seal(stage), 0);
    struct molt_world *next;
    assert_int_equal(molt_stage_world(fx.code, stage, &next), 0);
    assert_ptr_equal(molt_world_same(next, layout(2)), same);
    assert_null(molt_world_same(current(), layout(2)));
    assert_int_equal(fixture_commit(stage), 0);
    assert_ptr_equal(molt_world_same(current(), layout(2)), same);
    assert_way(current(), 2, 0, 0);
    assert_false(atomic_load(&layout(2)->is_many));
}

static void a_straggler_needs_the_way_back(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    struct molt_world *old = current();
    molt_world_hold(old);
    swap_with(&img.s2, recipe(1, 2), NULL);
    assert_way(old, 1, 0, 0);
    assert_way(old, 2, MOLT_ECHANGE, 0);
    swap_with(&img.again2, recipe(2, 1), NULL);
    assert_way(old, 2, 1, 1);
    molt_world_release(old);
}

static void ways_pass_layouts_that_no_world_has_any_more(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    swap_with(&img.s2, recipe(1, 2), NULL);
    swap_with(&img.s3, recipe(2, 3), NULL);
    assert_int_equal(molt_code_reclaim(fx.code, NULL, NULL), 2);
    assert_way(current(), 1, 2, 3);
    assert_way(current(), 2, 1, 3);
}

static void the_shortest_way_counts(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    swap_with(&img.s2, recipe(1, 2), NULL);
    swap_with(&img.s3, recipe(2, 3), recipe(1, 3));
    assert_way(current(), 1, 1, 3);
}

static void of_equal_ways_the_newest_recipe_counts(void **state)
{
    (void)state;
    struct molt_way way;
    fixture_swap(&img.s1);
    swap_with(&img.s2, recipe(1, 2), NULL);
    struct molt_recipe *r = recipe(1, 2);
    r->steps[0].new_at = 4;
    swap_with(&img.again2, r, NULL);
    assert_int_equal(molt_world_way(current(), layout(1), &way), 1);
    assert_int_equal(way.edges[0]->recipe->steps[0].new_at, 4);
}

static void a_renamed_type_finds_its_new_name(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    struct molt_world *old = current();
    molt_world_hold(old);
    swap_with(&img.renamed, recipe(1, 9), recipe(9, 1));
    assert_way(current(), 1, 1, 9);
    assert_way(current(), 9, 0, 0);
    assert_way(old, 9, 1, 1);
    molt_world_release(old);
}

static void a_recipe_to_a_layout_that_is_not_here_leaves_no_doubt(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    swap_with(&img.plain, recipe(1, 9), NULL); /* struct r is in no description */
    struct molt_way way;
    assert_false(molt_world_takes(current(), layout(1)));
    assert_int_equal(molt_world_way(current(), layout(1), &way), MOLT_ECHANGE);
}

static void a_recipe_for_a_type_that_never_was_does_nothing(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    swap_with(&img.s2, recipe(9, 9), recipe(1, 2));
    assert_way(current(), 1, 1, 2);
    assert_null(current()->edges->stage_next);
}

static void a_recipe_brought_again_is_kept_once(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    for (int i = 0; i < 3; i++) {
        swap_with(&img.s2, recipe(1, 2), recipe(2, 1));
        swap_with(&img.s1, recipe(1, 2), recipe(2, 1));
    }
    unsigned n = 0;
    for (struct molt_edge_node *e = atomic_load(&layout(1)->edges); e; e = e->next)
        n++;
    assert_int_equal(n, 1);
    assert_way(current(), 2, 1, 1);
}

/* ---- the author's functions ------------------------------------------------------------ */

static void an_authors_function_is_found_in_its_version(void **state)
{
    (void)state;
    struct molt_way way;
    fixture_swap(&img.s2);
    uint64_t at = offset_of_f();
    fixture_swap(&img.s1);
    swap_with(&img.s2, with_change(recipe(1, 2), at), NULL);
    assert_int_equal(molt_world_way(current(), layout(1), &way), 1);
    assert_ptr_equal((void *)(uintptr_t)way.edges[0]->change,
                     molt_world_find(current(), "a")->functions[0]);
}

static void a_function_whose_version_is_gone_is_on_no_way(void **state)
{
    (void)state;
    fixture_swap(&img.s2);
    uint64_t at = offset_of_f();
    fixture_swap(&img.s1);
    swap_with(&img.s2, with_change(recipe(1, 2), at), NULL);
    struct molt_world *between = current();
    molt_world_hold(between);
    fixture_swap(&img.again2);
    assert_way(current(), 1, MOLT_ECHANGE, 0);
    assert_way(between, 1, 1, 2); /* its world has the version */
    molt_world_release(between);
    assert_int_equal(molt_code_reclaim(fx.code, NULL, NULL), 3);
    assert_way(current(), 1, MOLT_ECHANGE, 0);
}

static void an_older_recipe_without_a_function_serves_when_the_newer_is_gone(void **state)
{
    (void)state;
    struct molt_way way;
    fixture_swap(&img.s1);
    swap_with(&img.s2, recipe(1, 2), NULL);
    uint64_t at = offset_of_f();
    fixture_swap(&img.s1);
    swap_with(&img.s2, with_change(recipe(1, 2), at), NULL);
    assert_int_equal(molt_world_way(current(), layout(1), &way), 1);
    assert_non_null(way.edges[0]->change);
    fixture_swap(&img.again2);
    assert_int_equal(molt_world_way(current(), layout(1), &way), 1);
    assert_null(way.edges[0]->change);
}

/* ---- stages ---------------------------------------------------------------------------- */

static void a_sealed_world_has_its_recipes_before_the_commit(void **state)
{
    struct molt_world *next;
    (void)state;
    fixture_swap(&img.s1);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.s2), 0);
    add(stage, recipe(1, 2));
    add(stage, recipe(2, 1));
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(molt_stage_world(fx.code, stage, &next), 0);
    assert_way(next, 1, 1, 2);
    assert_way(current(), 1, 0, 0);
    assert_way(current(), 2, MOLT_ECHANGE, 0);
    assert_int_equal(fixture_commit(stage), 0);
    assert_way(next, 1, 1, 2);
}

static void what_was_aborted_never_was(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    uint32_t epoch = molt_world_epoch(current());
    for (int seals = 0; seals < 2; seals++) {
        uint64_t stage = fixture_begin();
        assert_int_equal(fixture_put(stage, &img.s2), 0);
        add(stage, recipe(1, 2));
        if (seals)
            assert_int_equal(fixture_seal(stage), 0);
        assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    }
    assert_int_equal(molt_world_epoch(current()), epoch);
    fixture_swap(&img.s2);
    assert_way(current(), 1, MOLT_ECHANGE, 0);
}

/* @r, and why the seal of s2 after s1 refuses it. */
static void assert_unbound(struct molt_recipe *r, const char *why)
{
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.s2), 0);
    add(stage, r);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says(why);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
}

static void a_recipe_that_fits_nothing_is_refused_at_the_seal(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    struct molt_recipe *r = with_change(recipe(1, 2), 0);
    strcpy(r->change_module, "x");
    assert_unbound(r, "isn't in the new world");
    assert_unbound(with_change(recipe(1, 2), UINT64_MAX), "lies outside the module's code");
    assert_unbound(with_change(recipe(1, 2), UINT64_C(1) << 40), "lies outside the module's code");
    const struct molt_version *v = molt_world_find(current(), "a");
    assert_true(v->image.n_writable > 0);
    assert_unbound(with_change(recipe(1, 2), v->image.writable[0].lo - v->image.base),
                   "lies outside the module's code");
    r = recipe(1, 2);
    r->steps = realloc(r->steps, 2 * sizeof *r->steps);
    r->steps[1] = (struct molt_step){.kind = MOLT_STEP_FLEX, .old_at = 4, .old_stride = 1};
    r->n_top = r->n_steps = 2;
    assert_unbound(r, "another flexible member than the types");
}

static void an_unsafe_recipe_is_refused_at_once(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    uint64_t stage = fixture_begin();
    struct molt_recipe *r = recipe(1, 2);
    r->steps[0].count = 5;
    assert_int_equal(molt_stage_recipe(fx.code, stage, r, &fx.err), MOLT_EFORMAT);
    r->steps[0].count = 4;
    assert_int_equal(molt_stage_recipe(fx.code, stage + 1, r, &fx.err), MOLT_ESTALE);
    assert_int_equal(fixture_put(stage, &img.s2), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(molt_stage_recipe(fx.code, stage, r, &fx.err), MOLT_EINVAL);
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
    molt_recipe_free(r);
}

static void the_epoch_grows_when_layouts_change(void **state)
{
    (void)state;
    assert_true(molt_world_epoch(current()) != 0);
    fixture_swap(&img.s2);
    uint32_t first = molt_world_epoch(current());
    fixture_swap(&img.again2);
    assert_int_equal(molt_world_epoch(current()), first);
    fixture_swap(&img.s3);
    uint32_t third = molt_world_epoch(current());
    assert_true(third > first);
    swap_with(&img.plain, recipe(3, 2), NULL);
    assert_true(molt_world_epoch(current()) > third);
}

/* ---- pointers into images ---------------------------------------------------------------- */

static struct molt_moves *moves(const struct test_image *from, const struct test_image *to,
                                uint32_t old_at, uint32_t new_at)
{
    struct molt_moves *m = calloc(1, sizeof *m);
    m->module = strdup("a");
    memcpy(m->from_digest, from->meta->digest, sizeof m->from_digest);
    memcpy(m->to_digest, to->meta->digest, sizeof m->to_digest);
    m->n_moves = 1;
    m->moves =
        maker_copy(&(struct molt_move){old_at, new_at, 8, false, false}, sizeof(struct molt_move));
    m->n_gone = 1;
    m->gone = calloc(1, sizeof *m->gone);
    m->gone[0] = (struct molt_gone){old_at + 100, 8, strdup("a.c:tick()")};
    return m;
}

static void move_to(const struct test_image *image, struct molt_moves *one, struct molt_moves *two)
{
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, image), 0);
    if (one)
        assert_int_equal(molt_stage_moves(fx.code, stage, one, &fx.err), 0);
    if (two)
        assert_int_equal(molt_stage_moves(fx.code, stage, two, &fx.err), 0);
    finish(stage);
}

static uint64_t base_now(void)
{
    return molt_world_find(current(), "a")->image.base;
}

static void assert_moved(const struct molt_world *world, uint64_t value, uint64_t want)
{
    char why[160] = "";
    uint64_t now = 0;
    if (molt_world_moved(world, value, 0, &now, why, sizeof why) != 1)
        fail_msg("%s", why);
    assert_true(now == want);
}

static void assert_not_moved(const struct molt_world *world, uint64_t value, int rc,
                             const char *want)
{
    char why[160] = "";
    uint64_t now = 7;
    assert_int_equal(molt_world_moved(world, value, 0, &now, why, sizeof why), rc);
    assert_true(now == 7);
    assert_string_equal(why, want);
}

static void pointers_follow_moves_from_version_to_version(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    uint64_t base1 = base_now();
    move_to(&img.s2, moves(&img.s1, &img.s2, 0x10, 0x20), NULL);
    uint64_t base2 = base_now();
    assert_moved(current(), base1 + 0x14, base2 + 0x24);
    assert_not_moved(current(), base2 + 0x24, 0, "");
    assert_not_moved(current(), (uintptr_t)&base1, 0, "");
    move_to(&img.s3, moves(&img.s2, &img.s3, 0x20, 0x30), NULL);
    assert_moved(current(), base1 + 0x14, base_now() + 0x34);
    assert_not_moved(current(), base1 + 0x74, MOLT_ECHANGE, "a@1: a.c:tick()");
    assert_not_moved(current(), base1 + 0x18 + 1, MOLT_ECHANGE,
                     "a@1: what is at its byte 0x19 has no counterpart in a@3");
}

/* Whoever prepares states before the commit needs them. */
static void moves_of_a_stage_count_in_its_world_alone(void **state)
{
    (void)state;
    uint64_t stage;
    struct molt_world *staged;
    fixture_swap(&img.s1);
    uint64_t base1 = base_now();
    assert_int_equal(molt_stage_begin(fx.code, &stage, &fx.err), 0);
    assert_int_equal(fixture_put(stage, &img.s2), 0);
    struct molt_moves *m = moves(&img.s1, &img.s2, 0x10, 0x20);
    assert_int_equal(molt_stage_moves(fx.code, stage, m, &fx.err), 0);
    assert_int_equal(fixture_seal(stage), 0);
    assert_int_equal(molt_stage_world(fx.code, stage, &staged), 0);
    assert_moved(staged, base1 + 0x14, molt_world_find(staged, "a")->image.base + 0x24);
    assert_not_moved(current(), base1 + 0x14, 0, "");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
}

/* Keeps version 1 alone: something still leads into it. */
static int pin_first(void *user, const struct molt_range *ranges, size_t n, molt_pin_fn *report,
                     void *report_user)
{
    (void)user;
    for (size_t i = 0; i < n; i++)
        if (molt_version_number(ranges[i].version) == 1)
            report(report_user, &ranges[i], 0, "test");
    return 1;
}

static void moves_outlive_the_versions_between(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    uint64_t base1 = base_now();
    move_to(&img.s2, moves(&img.s1, &img.s2, 0x10, 0x20), NULL);
    uint64_t base2 = base_now();
    move_to(&img.s3, moves(&img.s2, &img.s3, 0x20, 0x30), NULL);
    assert_int_equal(molt_code_reclaim(fx.code, pin_first, NULL), 1);
    assert_moved(current(), base1 + 0x10, base_now() + 0x30);
    assert_not_moved(current(), base2 + 0x20, 0, ""); /* stale; it would trap */
}

static void stragglers_follow_moves_back(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    struct molt_world *old = current();
    uint64_t base1 = base_now();
    molt_world_hold(old);
    move_to(&img.s2, moves(&img.s1, &img.s2, 0x10, 0x20), moves(&img.s2, &img.s1, 0x20, 0x10));
    assert_moved(old, base_now() + 0x20, base1 + 0x10);
    molt_world_release(old);
}

static void the_same_image_loaded_again_needs_no_moves(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    uint64_t base1 = base_now();
    fixture_swap(&img.s2);
    fixture_swap(&img.s1);
    if (base_now() != base1)
        assert_moved(current(), base1 + 0x123, base_now() + 0x123);
}

static void pointers_into_a_deleted_module_lead_nowhere(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    uint64_t base1 = base_now();
    uint64_t stage = fixture_begin();
    assert_int_equal(molt_stage_delete(fx.code, stage, "a", &fx.err), 0);
    finish(stage);
    assert_not_moved(current(), base1 + 4, MOLT_ECHANGE, "a@1: the module isn't in the new world");
}

static void moves_between_strangers_are_refused(void **state)
{
    (void)state;
    fixture_swap(&img.s1);
    uint64_t stage = fixture_begin();
    assert_int_equal(fixture_put(stage, &img.b), 0);
    struct molt_moves *m = moves(&img.s2, &img.s3, 1, 2);
    assert_int_equal(molt_stage_moves(fx.code, stage, m, &fx.err), 0);
    assert_int_equal(fixture_seal(stage), MOLT_EREFUSED);
    assert_says("neither version that they are between is here");
    assert_int_equal(molt_stage_abort(fx.code, stage), 0);
}

/* ---- threads -------------------------------------------------------------------------- */

static atomic_bool is_over;
static atomic_uint n_looks;

static void *look(void *user)
{
    struct molt_participant p;
    (void)user;
    molt_code_join(fx.code, &p, "looker", true);
    while (!atomic_load(&is_over)) {
        const struct molt_world *world =
            molt_participant_boundary(&p, molt_code_current_cell(fx.code));
        struct molt_way way;
        uint64_t now;
        char why[160];
        int n = molt_world_way(world, layout(1), &way);
        assert_true(n >= 0 && n <= 2);
        if (n > 0)
            assert_true(molt_world_has_type(world, way.edges[n - 1]->to));
        int rc = molt_world_moved(world, molt_world_find(world, "a")->image.base, 0, &now, why,
                                  sizeof why);
        assert_int_equal(rc, 0);
        atomic_fetch_add(&n_looks, 1);
    }
    molt_code_leave(fx.code, &p);
    return NULL;
}

static void wait_for_a_look(void)
{
    for (unsigned n = atomic_load(&n_looks); atomic_load(&n_looks) < n + 2;)
        sched_yield();
}

static void ways_are_found_while_worlds_change(void **state)
{
    (void)state;
    pthread_t thread;
    fixture_swap(&img.s1);
    atomic_store(&is_over, false);
    /* All recipes before the thread looks, but new ones all the while. */
    swap_with(&img.s2, recipe(1, 2), recipe(2, 1));
    assert_int_equal(pthread_create(&thread, NULL, look, NULL), 0);
    for (unsigned i = 0; i < 20; i++) {
        struct molt_recipe *r = recipe(1, 2), *back = recipe(2, 1);
        r->steps[0].new_at = back->steps[0].old_at = i % 4;
        swap_with(i % 2 ? &img.s2 : &img.s1, r, back);
        wait_for_a_look();
        molt_code_reclaim(fx.code, NULL, NULL);
    }
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
    static const struct CMUnitTest tests[] = {
        T(a_type_of_one_layout_stays_as_it_is),
        T(a_recipe_leads_to_the_new_layout),
        T(without_a_recipe_there_is_no_way),
        T(a_recipe_to_itself_tells_of_pointers_and_is_no_way),
        T(a_straggler_needs_the_way_back),
        T(ways_pass_layouts_that_no_world_has_any_more),
        T(the_shortest_way_counts),
        T(of_equal_ways_the_newest_recipe_counts),
        T(a_renamed_type_finds_its_new_name),
        T(a_recipe_to_a_layout_that_is_not_here_leaves_no_doubt),
        T(a_recipe_for_a_type_that_never_was_does_nothing),
        T(a_recipe_brought_again_is_kept_once),
        T(an_authors_function_is_found_in_its_version),
        T(a_function_whose_version_is_gone_is_on_no_way),
        T(an_older_recipe_without_a_function_serves_when_the_newer_is_gone),
        T(a_sealed_world_has_its_recipes_before_the_commit),
        T(what_was_aborted_never_was),
        T(a_recipe_that_fits_nothing_is_refused_at_the_seal),
        T(an_unsafe_recipe_is_refused_at_once),
        T(the_epoch_grows_when_layouts_change),
        T(pointers_follow_moves_from_version_to_version),
        T(moves_of_a_stage_count_in_its_world_alone),
        T(moves_outlive_the_versions_between),
        T(stragglers_follow_moves_back),
        T(the_same_image_loaded_again_needs_no_moves),
        T(pointers_into_a_deleted_module_lead_nowhere),
        T(moves_between_strangers_are_refused),
        T(ways_are_found_while_worlds_change),
    };
    return cmocka_run_group_tests(tests, build_modules, drop_modules);
}
