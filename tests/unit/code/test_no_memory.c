/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Each allocation of a description and of an upgrade fails in its turn. */
#include "fixture.h"

#include "code/layout.h"
#include "code/table.h"
#include "recipe_maker.h"
#include "support/alloc_fail.h"

#define TRIES_MAX 2000

static struct {
    struct test_image a1, a2, b, server;
} img;

static int build_modules(void **state)
{
    (void)state;
    fixture_init();
    img.a1 = test_module_build(&fx.maker, &(struct test_module){
                                              "a",
                                              .text = "int f(void); int f(void) { return 1; }",
                                              .exports = {{"a", "f", 1}},
                                          });
    img.a2 = test_module_build(&fx.maker, &(struct test_module){
                                              "a",
                                              .text = "int f(void); int f(void) { return 2; }",
                                              .exports = {{"a", "f", 1}},
                                              .pins = {"pthread_create"},
                                              .globals = {"total"},
                                          });
    img.b =
        test_module_build(&fx.maker,
                          &(struct test_module){
                              "b",
                              .text = "int f(void); int h(void); int h(void) { return 10 * f(); }",
                              .exports = {{"b", "h", 1}},
                              .imports = {{"a", "f", 1}},
                              .headers = {{"a", 7}},
                          });
    img.server = test_module_build(
        &fx.maker,
        &(struct test_module){
            "c",
            .text = "struct s { int n; }; static int init(struct s *s, const int *n) { return 0; }"
                    "MOLT_SERVER(keeper, struct s, .init = MOLT_FN(init));",
            .types = {{"c/c.c:struct s", 5, 4, false}},
            .servers = {{"keeper", 0}},
            .n_tags = 1,
        });
    return 0;
}

/* For the state of c, and its image. */
static struct molt_buf some_recipe(void)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    struct molt_recipe *r = MAKE(4, 8, {.kind = MOLT_STEP_SET, .count = 2},
                                 {.kind = MOLT_STEP_ENUM,
                                  .old_bytes = 4,
                                  .new_bytes = 4,
                                  .new_at = 4,
                                  .count = 1,
                                  .n_steps = 1});
    free(r->from_key);
    r->from_key = strdup("c/c.c:struct s");
    r->from_hash = 5;
    maker_maps(r, &(struct molt_recipe_map){1, 2}, 1);
    maker_bytes(r, "ab", 2);
    r->n_lost = 1;
    r->lost = calloc(1, sizeof *r->lost);
    r->lost[0] = strdup("s.n");
    assert_int_equal(molt_recipe_encode(r, &bytes), 0);
    molt_recipe_free(r);
    return bytes;
}

static struct molt_buf some_moves(void)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    struct molt_move move = {1, 2, 3, false, false};
    struct molt_gone gone = {5, 6, (char[]){"tick()"}};
    struct molt_moves moves = {
        .module = (char[]){"c"}, .n_moves = 1, .moves = &move, .n_gone = 1, .gone = &gone};
    memcpy(moves.from_digest, img.server.meta->digest, sizeof moves.from_digest);
    assert_int_equal(molt_moves_encode(&moves, &bytes), 0);
    return bytes;
}

static int drop_modules(void **state)
{
    (void)state;
    test_image_fini(&img.a1, molt_meta_free);
    test_image_fini(&img.a2, molt_meta_free);
    test_image_fini(&img.b, molt_meta_free);
    test_image_fini(&img.server, molt_meta_free);
    fixture_fini();
    return 0;
}

static void assert_no_memory(int rc)
{
    assert_int_equal(rc, MOLT_ENOMEM);
    if (!strstr(fx.err.text, "memory"))
        fail_msg("it says: %s", fx.err.text);
}

static void a_description_is_decoded_or_there_is_no_memory(void **state)
{
    (void)state;
    struct molt_buf bytes = MOLT_BUF_INIT;
    assert_int_equal(molt_meta_encode(img.b.meta, &bytes), 0);
    size_t n = 1;
    for (; n < TRIES_MAX; n++) {
        struct molt_meta *meta = NULL;
        fx.err = (struct molt_error){0};
        alloc_fail_at(n);
        int rc = molt_meta_decode(bytes.data, bytes.len, &meta, &fx.err);
        if (!alloc_fail_end()) {
            assert_int_equal(rc, 0);
            molt_meta_free(meta);
            break;
        }
        assert_no_memory(rc);
        assert_null(meta);
    }
    assert_in_range(n, 8, TRIES_MAX - 1);
    molt_buf_fini(&bytes);
}

static void a_description_is_encoded_or_there_is_no_memory(void **state)
{
    (void)state;
    size_t n = 1;
    for (; n < TRIES_MAX; n++) {
        struct molt_buf bytes = MOLT_BUF_INIT;
        alloc_fail_at(n);
        int rc = molt_meta_encode(img.b.meta, &bytes);
        bool has_failed = alloc_fail_end();
        assert_int_equal(rc, has_failed ? MOLT_ENOMEM : 0);
        molt_buf_fini(&bytes);
        if (!has_failed)
            break;
    }
    assert_in_range(n, 2, TRIES_MAX - 1);
}

static void a_recipe_is_decoded_or_there_is_no_memory(void **state)
{
    (void)state;
    struct molt_buf bytes = some_recipe();
    size_t n = 1;
    for (; n < TRIES_MAX; n++) {
        struct molt_recipe *recipe = NULL;
        fx.err = (struct molt_error){0};
        alloc_fail_at(n);
        int rc = molt_recipe_decode(bytes.data, bytes.len, &recipe, &fx.err);
        bool has_failed = alloc_fail_end();
        molt_recipe_free(recipe);
        if (!has_failed)
            break;
        assert_no_memory(rc);
        assert_null(recipe);
    }
    assert_in_range(n, 8, TRIES_MAX - 1);
    molt_buf_fini(&bytes);
}

static void moves_are_decoded_or_there_is_no_memory(void **state)
{
    (void)state;
    struct molt_buf bytes = some_moves();
    size_t n = 1;
    for (; n < TRIES_MAX; n++) {
        struct molt_moves *moves = NULL;
        fx.err = (struct molt_error){0};
        alloc_fail_at(n);
        int rc = molt_moves_decode(bytes.data, bytes.len, &moves, &fx.err);
        bool has_failed = alloc_fail_end();
        molt_moves_free(moves);
        if (!has_failed)
            break;
        assert_no_memory(rc);
        assert_null(moves);
    }
    assert_in_range(n, 5, TRIES_MAX - 1);
    molt_buf_fini(&bytes);
}

static struct {
    struct molt_buf recipe, moves; /* empty: none are staged */
} with;

static int stage_layouts(uint64_t stage)
{
    struct molt_recipe *recipe = NULL;
    struct molt_moves *moves = NULL;
    if (with.recipe.len == 0)
        return 0;
    int rc = molt_recipe_decode(with.recipe.data, with.recipe.len, &recipe, &fx.err);
    if (rc == 0 && (rc = molt_stage_recipe(fx.code, stage, recipe, &fx.err)) == 0)
        rc = molt_moves_decode(with.moves.data, with.moves.len, &moves, &fx.err);
    else
        molt_recipe_free(recipe);
    if (rc == 0 && (rc = molt_stage_moves(fx.code, stage, moves, &fx.err)) < 0)
        molt_moves_free(moves);
    return rc;
}

/* All steps of an upgrade to @images, by @metas of which those that were put
 * are NULL afterwards; on failure it is aborted, as the executor would. */
static int try_upgrade(size_t n_images, const struct test_image *const *images,
                       struct molt_meta **metas)
{
    uint64_t stage = 0, world;
    fx.err = (struct molt_error){0};
    int rc = molt_stage_begin(fx.code, &stage, &fx.err);
    if (rc < 0)
        return rc;
    int fd = open(fx.interface, O_RDONLY | O_CLOEXEC);
    rc = molt_stage_interface(fx.code, stage, fd, fx.interface_digest, &fx.err);
    close(fd);
    for (size_t i = 0; rc == 0 && i < n_images; i++) {
        rc = fixture_put_as(stage, metas[i], images[i]->path);
        metas[i] = NULL;
    }
    if (rc == 0)
        rc = stage_layouts(stage);
    if (rc == 0)
        rc = molt_stage_seal(fx.code, stage, &fx.err);
    if (rc == 0)
        rc = molt_stage_commit(fx.code, stage, &world, &fx.err);
    if (rc < 0)
        molt_stage_abort(fx.code, stage);
    return rc;
}

static int try_upgrade_failing(size_t nth, size_t n_images, const struct test_image *const *images,
                               bool *ret_has_failed)
{
    struct molt_meta *metas[4] = {0};
    for (size_t i = 0; i < n_images; i++)
        metas[i] = fixture_clone(images[i]->meta);
    alloc_fail_at(nth);
    int rc = try_upgrade(n_images, images, metas);
    *ret_has_failed = alloc_fail_end();
    for (size_t i = 0; i < n_images; i++)
        molt_meta_free(metas[i]);
    return rc;
}

/* Until no allocation is left that could fail. */
static void upgrade_in_spite_of_failures(size_t n_images, const struct test_image *const *images)
{
    _Atomic(struct molt_world *) *current = molt_code_current_cell(fx.code);
    struct molt_world *before = atomic_load(current);
    size_t nth = 1;
    for (bool has_failed = true; has_failed && nth < TRIES_MAX; nth++) {
        int rc = try_upgrade_failing(nth, n_images, images, &has_failed);
        if (rc == 0)
            break;
        assert_true(has_failed);
        assert_no_memory(rc);
        assert_ptr_equal(atomic_load(current), before);
    }
    assert_in_range(nth, 8, TRIES_MAX - 1);
    assert_ptr_not_equal(atomic_load(current), before);
}

/* First in the program: interface objects are loaded once per OS process. */
static void a_first_upgrade_happens_or_there_is_no_memory(void **state)
{
    (void)state;
    const struct test_image *const images[] = {&img.a1, &img.b, &img.server};
    upgrade_in_spite_of_failures(3, images);
    assert_int_equal(molt_iface_count(), sizeof fixture_exports / sizeof *fixture_exports);
}

static void a_swap_happens_or_there_is_no_memory(void **state)
{
    (void)state;
    const struct test_image *const first[] = {&img.a1}, *const second[] = {&img.a2};
    upgrade_in_spite_of_failures(1, first);
    upgrade_in_spite_of_failures(1, second);
}

static void layouts_come_with_an_upgrade_or_there_is_no_memory(void **state)
{
    (void)state;
    const struct test_image *const first[] = {&img.server}, *const second[] = {&img.a1};
    upgrade_in_spite_of_failures(1, first);
    with.recipe = some_recipe();
    with.moves = some_moves();
    upgrade_in_spite_of_failures(1, second);
    const struct molt_type *type = molt_types_find(fx.code->types, "c/c.c:struct s", 5, 4);
    assert_non_null(atomic_load(&type->edges));
    assert_null(atomic_load(&type->edges)->next);
    assert_non_null(atomic_load(&fx.code->moves));
    molt_buf_fini(&with.recipe);
    molt_buf_fini(&with.moves);
    with.recipe = with.moves = MOLT_BUF_INIT;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_open, fixture_close)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_description_is_decoded_or_there_is_no_memory),
        cmocka_unit_test(a_description_is_encoded_or_there_is_no_memory),
        cmocka_unit_test(a_recipe_is_decoded_or_there_is_no_memory),
        cmocka_unit_test(moves_are_decoded_or_there_is_no_memory),
        TEST(a_first_upgrade_happens_or_there_is_no_memory),
        TEST(a_swap_happens_or_there_is_no_memory),
        TEST(layouts_come_with_an_upgrade_or_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, build_modules, drop_modules);
}
