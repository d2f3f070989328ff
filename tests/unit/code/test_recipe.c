/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Encoding recipes and moves, and refusing what would be unsafe to follow. */
#include "recipe_maker.h"

/* A recipe with every member in use. */
static struct molt_recipe *full_recipe(void)
{
    struct molt_recipe *r =
        MAKE(32, 48, {.kind = MOLT_STEP_COPY, .old_at = 2, .new_at = 3, .count = 2},
             {.kind = MOLT_STEP_EACH,
              .old_at = 8,
              .new_at = 8,
              .count = 2,
              .old_stride = 4,
              .new_stride = 8,
              .first = 5,
              .n_steps = 2,
              .type = 9},
             {.kind = MOLT_STEP_UNION, .old_bytes = 2, .first = 7, .n_steps = 2},
             {.kind = MOLT_STEP_ENUM,
              .old_bytes = 1,
              .new_bytes = 1,
              .count = 1,
              .first = 1,
              .n_steps = 2,
              .old_at = 16,
              .new_at = 40},
             {.kind = MOLT_STEP_FLEX,
              .old_at = 32,
              .new_at = 48,
              .old_stride = 1,
              .new_stride = 2,
              .first = 10,
              .n_steps = 1},
             {.kind = MOLT_STEP_INT, .flags = BOTH, .old_bytes = 2, .new_bytes = 4, .count = 2},
             {.kind = MOLT_STEP_SET, .first = 1, .count = 2},
             {.kind = MOLT_STEP_CASE, .limit = -4, .first = 9, .n_steps = 1},
             {.kind = MOLT_STEP_CASE, .limit = 5},
             {.kind = MOLT_STEP_FITS, .old_bytes = 2, .old_at = 20, .count = 1, .limit = 12},
             {.kind = MOLT_STEP_INT, .old_bytes = 1, .new_bytes = 2, .count = 1});
    r->n_top = 5;
    r->flags = MOLT_RECIPE_IS_PARTIAL;
    r->change_module = strdup("m");
    r->change_at = 0x1230;
    maker_maps(r, (struct molt_recipe_map[]){{9, 9}, {-5, 1}, {INT64_MAX, 255}}, 3);
    maker_bytes(r, "abc", 3);
    r->n_lost = 2;
    r->lost = calloc(2, sizeof(*r->lost));
    r->lost[0] = strdup("s.max (long)");
    r->lost[1] = strdup("s.min (long)");
    return r;
}

static struct molt_buf encoded(struct molt_recipe *recipe)
{
    struct molt_buf out = MOLT_BUF_INIT;
    assert_int_equal(molt_recipe_encode(recipe, &out), 0);
    molt_recipe_free(recipe);
    return out;
}

/* From memory that ends where the bytes end. */
static int decode(const void *bytes, size_t len, struct molt_recipe **ret, struct molt_error *err)
{
    void *exact = maker_copy(bytes, len);
    int rc = molt_recipe_decode(exact, len, ret, err);
    free(exact);
    return rc;
}

static void what_was_encoded_is_decoded(void **state)
{
    (void)state;
    struct molt_buf bytes = encoded(full_recipe());
    struct molt_recipe *now, *want = full_recipe();
    struct molt_error err = {0};
    if (decode(bytes.data, bytes.len, &now, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(molt_recipe_is_equal(now, want));
    assert_true(now->from_type == molt_recipe_type_id("old"));
    now->steps[6].count = 1;
    assert_false(molt_recipe_is_equal(now, want));
    molt_recipe_free(now);
    molt_recipe_free(want);
    molt_buf_fini(&bytes);
}

static void a_recipe_cut_short_or_too_long_is_refused(void **state)
{
    (void)state;
    struct molt_buf bytes = encoded(full_recipe());
    struct molt_recipe *now;
    struct molt_error err;
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(decode(bytes.data, len, &now, &err), MOLT_EFORMAT);
    molt_buf_u8(&bytes, 0);
    assert_int_equal(decode(bytes.data, bytes.len, &now, &err), MOLT_EFORMAT);
    molt_buf_fini(&bytes);
}

static void a_type_id_depends_on_the_whole_key(void **state)
{
    (void)state;
    assert_true(molt_recipe_type_id("a.h:struct s") == molt_recipe_type_id("a.h:struct s"));
    assert_true(molt_recipe_type_id("a.h:struct s") != molt_recipe_type_id("a.h:struct t"));
    assert_true(molt_recipe_type_id("") != 0);
}

/* @recipe (freed) is refused, and the reason has @part. */
static void assert_refused(struct molt_recipe *recipe, const char *part)
{
    struct molt_error err = {0};
    assert_int_equal(molt_recipe_check(recipe, &err), MOLT_EFORMAT);
    if (!strstr(err.text, part))
        fail_msg("%s", err.text);
    molt_recipe_free(recipe);
}

#define OUTSIDE "it lies outside its struct"

static void a_step_outside_its_element_is_refused(void **state)
{
    (void)state;
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_COPY, .old_at = 1, .count = 8}), OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_COPY, .new_at = 1, .count = 8}), OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_COPY, .old_at = UINT32_MAX, .count = UINT32_MAX}),
                   OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_POINTER, .count = 2}), OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_WORD, .count = UINT32_MAX / 4}), OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_INT, .old_bytes = 4, .new_bytes = 8, .count = 2}),
                   OUTSIDE);
    assert_refused(
        MAKE(8, 8,
             {.kind = MOLT_STEP_BITS, .old_at = 61, .old_bytes = 4, .new_bytes = 1, .count = 1}),
        OUTSIDE);
    assert_refused(
        MAKE(8, 8,
             {.kind = MOLT_STEP_BITS, .new_at = 61, .old_bytes = 1, .new_bytes = 4, .count = 1}),
        OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_STRING, .old_at = 4, .count = 5}), OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_ZERO, .old_at = 4, .count = 5}), OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_FITS, .old_at = 7, .old_bytes = 2, .count = 1}),
                   OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_UNION, .old_at = 7, .old_bytes = 2}),
                   "its tag lies outside its struct");
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_EACH, .old_at = 4, .count = 2, .old_stride = 4}),
                   OUTSIDE);
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_EACH, .new_at = 4, .count = 2, .new_stride = 4}),
                   OUTSIDE);
    struct molt_recipe *r = MAKE(8, 8,
                                 {.kind = MOLT_STEP_EACH,
                                  .count = 2,
                                  .old_stride = 4,
                                  .new_stride = 4,
                                  .first = 1,
                                  .n_steps = 1},
                                 {.kind = MOLT_STEP_COPY, .count = 5});
    r->n_top = 1;
    assert_refused(r, OUTSIDE);
}

static void a_bitfield_outside_its_element_is_refused(void **state)
{
    (void)state;
    struct molt_step fits = {.kind = MOLT_STEP_FITS, .flags = MOLT_STEP_IN_BITS, .count = 1};
    fits.old_bytes = 4;
    fits.old_at = 61;
    assert_refused(MAKE(8, 8, fits), OUTSIDE);
    struct molt_step tag = {.kind = MOLT_STEP_UNION, .flags = MOLT_STEP_IN_BITS, .old_bytes = 65};
    assert_refused(MAKE(16, 8, tag), "no width");
    tag.old_bytes = 64;
    assert_refused(MAKE(7, 8, tag), OUTSIDE);
    struct molt_step phase = {.kind = MOLT_STEP_ENUM, .flags = MOLT_STEP_IN_BITS, .count = 1};
    phase.old_bytes = 3;
    phase.new_bytes = 3;
    phase.new_at = 6;
    assert_refused(MAKE(1, 1, phase), OUTSIDE);
    phase.new_at = 0;
    phase.n_steps = 1;
    struct molt_recipe *r = MAKE(1, 1, phase);
    maker_maps(r, &(struct molt_recipe_map){1, 8}, 1);
    assert_refused(r, "a new value doesn't fit");
    phase.count = 2;
    assert_refused(MAKE(1, 1, phase), "more than one bitfield");
}

static void a_default_or_enum_outside_the_recipe_is_refused(void **state)
{
    (void)state;
    struct molt_recipe *r = full_recipe();
    r->steps[6].first = 2;
    assert_refused(r, "its bytes lie outside the recipe");
    r = full_recipe();
    r->steps[3].first = UINT32_MAX;
    assert_refused(r, "its values lie outside the recipe");
    r = full_recipe();
    r->steps[3].first = 0; /* 9 before -5 */
    assert_refused(r, "its values don't ascend");
    r = full_recipe();
    r->maps[2].new = 256;
    assert_refused(r, "a new value doesn't fit into its bytes");
}

static void widths_that_there_are_not_are_refused(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {MOLT_STEP_INT, MOLT_STEP_FLOAT, MOLT_STEP_ENUM, MOLT_STEP_FITS};
    for (size_t i = 0; i < 4; i++)
        assert_refused(MAKE(64, 64, {.kind = kinds[i], .old_bytes = 3, .new_bytes = 8, .count = 1}),
                       "no width");
    assert_refused(MAKE(64, 64,
                        {.kind = MOLT_STEP_ENUM, .old_bytes = 16, .new_bytes = 8, .count = 1}),
                   "no width");
    assert_refused(MAKE(64, 64,
                        {.kind = MOLT_STEP_BITS, .old_bytes = 0, .new_bytes = 8, .count = 1}),
                   "no width");
    assert_refused(MAKE(64, 64,
                        {.kind = MOLT_STEP_BITS, .old_bytes = 9, .new_bytes = 65, .count = 1}),
                   "no width");
    assert_refused(MAKE(64, 64, {.kind = MOLT_STEP_UNION, .old_bytes = 16}), "no width");
    assert_refused(MAKE(64, 64, {.kind = MOLT_STEP_KINDS}), "of unknown kind");
    assert_refused(MAKE(64, 64, {.kind = MOLT_STEP_COPY, .flags = 4}), "flags that its kind");
}

static void children_have_one_parent_before_them(void **state)
{
    (void)state;
    struct molt_recipe *r = full_recipe();
    r->steps[1].first = 1;
    assert_refused(r, "its steps stand before it");
    r = full_recipe();
    r->steps[1].n_steps = 3; /* the union's */
    assert_refused(r, "a case outside a union");
    r = full_recipe();
    r->steps[2].n_steps = 3; /* with the case's child */
    assert_refused(r, "");
    r = full_recipe();
    r->steps[1].n_steps = 1;
    assert_refused(r, "nobody's step");
    r = full_recipe();
    r->steps[4].first = 9;
    assert_refused(r, "its steps are another's");
    r = full_recipe();
    r->steps[4].first = UINT32_MAX;
    assert_refused(r, "its steps lie outside the recipe");
    r = full_recipe();
    r->n_top = 12;
    assert_refused(r, "more steps at the top");
}

static void unions_hold_ascending_cases_and_nothing_else(void **state)
{
    (void)state;
    struct molt_recipe *r = full_recipe();
    r->steps[8].kind = MOLT_STEP_STRING;
    assert_refused(r, "it is no case");
    r = full_recipe();
    r->steps[8].limit = -4;
    assert_refused(r, "tags don't ascend");
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_CASE}), "a case outside a union");
}

static void a_flexible_member_is_one_at_the_top_and_the_end(void **state)
{
    (void)state;
    struct molt_step flex = {.kind = MOLT_STEP_FLEX, .old_at = 8, .new_at = 8, .old_stride = 1};
    assert_refused(MAKE(8, 8, flex, flex), "a second flexible member");
    flex.old_stride = 0;
    assert_refused(MAKE(8, 8, flex), "doesn't stand at the end");
    flex.old_stride = 1;
    flex.new_at = 9;
    assert_refused(MAKE(8, 8, flex), "doesn't stand at the end");
    struct molt_recipe *r = full_recipe();
    r->steps[5].kind = MOLT_STEP_FLEX;
    assert_refused(r, "a flexible member inside another struct");
}

static void more_work_than_the_size_explains_is_refused(void **state)
{
    (void)state;
    struct molt_recipe *r =
        MAKE(8, 8, {.kind = MOLT_STEP_EACH, .count = UINT32_MAX, .first = 1, .n_steps = 1},
             {.kind = MOLT_STEP_EACH, .count = UINT32_MAX, .first = 2, .n_steps = 1},
             {.kind = MOLT_STEP_EACH, .count = UINT32_MAX});
    r->n_top = 1;
    assert_refused(r, "too much work");
    assert_refused(MAKE(8, 8, {.kind = MOLT_STEP_EACH, .count = 10000}), "too much work");
    /* Reading the same bytes over and over. */
    struct molt_step steps[200];
    for (int i = 0; i < 200; i++)
        steps[i] = (struct molt_step){.kind = MOLT_STEP_STRING, .count = 32768};
    assert_refused(maker_new(32768, 1, steps, 200), "too much work");
}

static void a_tower_of_structs_is_refused(void **state)
{
    (void)state;
    struct molt_step steps[70];
    for (uint32_t i = 0; i < 70; i++)
        steps[i] = (struct molt_step){.kind = MOLT_STEP_EACH,
                                      .count = 1,
                                      .old_stride = 8,
                                      .new_stride = 8,
                                      .first = i + 1,
                                      .n_steps = i < 69};
    struct molt_recipe *r = maker_new(8, 8, steps, 70);
    r->n_top = 1;
    assert_refused(r, "nested too deeply");
}

static void a_partial_recipe_needs_the_authors_function(void **state)
{
    (void)state;
    struct molt_recipe *r = full_recipe();
    free(r->change_module);
    r->change_module = NULL;
    assert_refused(r, "nobody makes the rest");
    r = full_recipe();
    r->flags = 4;
    assert_refused(r, "unknown flags");
    r = full_recipe();
    r->to_key[0] = '\0';
    assert_refused(r, "names no type");
}

/* ---- moves ------------------------------------------------------------------------ */

static struct molt_moves *some_moves(void)
{
    static const struct molt_move list[] = {
        {0x100, 0x900, 0x40, true, false},
        {0x200, 0xa00, 0x10, false, false},
        {0x210, 0xb00, 0x10, false, false},
        {0x300, 0xc00, 0x08, false, true},
    };
    struct molt_moves *m = calloc(1, sizeof(*m));
    m->module = strdup("a");
    memset(m->from_digest, 1, 32);
    memset(m->to_digest, 2, 32);
    m->n_moves = 4;
    m->moves = maker_copy(list, sizeof list);
    m->n_gone = 2;
    m->gone = calloc(2, sizeof(*m->gone));
    m->gone[0] = (struct molt_gone){0x140, 0x20, strdup("a.c:tick()")};
    m->gone[1] = (struct molt_gone){0x220, 4, strdup("a literal \"abc\"")};
    return m;
}

static void assert_found(const struct molt_moves *m, uint32_t at, uint32_t want)
{
    uint32_t now = 0;
    assert_int_equal(molt_moves_find(m, at, 0, &now, NULL), 0);
    assert_int_equal(now, want);
}

static void assert_lost(const struct molt_moves *m, uint32_t at, const char *want)
{
    uint32_t now = 7;
    const char *gone = "?";
    assert_int_equal(molt_moves_find(m, at, 0, &now, &gone), MOLT_ENOENT);
    assert_int_equal(now, 7);
    if (want)
        assert_string_equal(gone, want);
    else
        assert_null(gone);
}

static void functions_and_variables_are_found_where_they_went(void **state)
{
    (void)state;
    struct molt_moves *m = some_moves();
    assert_found(m, 0x100, 0x900);
    assert_lost(m, 0x101, NULL); /* inside a function */
    assert_found(m, 0x200, 0xa00);
    assert_found(m, 0x20f, 0xa0f);
    assert_found(m, 0x210, 0xb00); /* not one past the one before */
    assert_lost(m, 0x220, "a literal \"abc\"");
    assert_lost(m, 0x143, "a.c:tick()");
    assert_lost(m, 0x160, NULL);
    assert_lost(m, 0, NULL);
    assert_lost(m, UINT32_MAX, NULL);
    assert_lost(m, 0x302, NULL);
    uint32_t now = 0;
    assert_int_equal(molt_moves_find(m, 0x302, MOLT_RECIPE_TYPE_TEXT, &now, NULL), 0);
    assert_int_equal(now, 0xc02);
    m->n_gone = 1;
    assert_found(m, 0x220, 0xb10); /* one past the end */
    m->n_gone = 2;
    molt_moves_free(m);
}

static void moves_survive_encoding_and_no_cut(void **state)
{
    (void)state;
    struct molt_buf bytes = MOLT_BUF_INIT, again = MOLT_BUF_INIT;
    struct molt_moves *m = some_moves(), *now;
    struct molt_error err;
    assert_int_equal(molt_moves_encode(m, &bytes), 0);
    molt_moves_free(m);
    for (size_t len = 0; len < bytes.len; len++) {
        void *exact = maker_copy(bytes.data, len);
        assert_int_equal(molt_moves_decode(exact, len, &now, &err), MOLT_EFORMAT);
        free(exact);
    }
    assert_int_equal(molt_moves_decode(bytes.data, bytes.len, &now, &err), 0);
    assert_int_equal(molt_moves_encode(now, &again), 0);
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.data, bytes.data, bytes.len);
    molt_moves_free(now);
    molt_buf_fini(&bytes);
    molt_buf_fini(&again);
}

/* @moves, freed, isn't accepted. */
static void assert_moves_refused(struct molt_moves *moves)
{
    struct molt_buf bytes = MOLT_BUF_INIT;
    struct molt_moves *now;
    struct molt_error err;
    assert_int_equal(molt_moves_encode(moves, &bytes), 0);
    molt_moves_free(moves);
    assert_int_equal(molt_moves_decode(bytes.data, bytes.len, &now, &err), MOLT_EFORMAT);
    molt_buf_fini(&bytes);
}

static void moves_that_overlap_or_wrap_are_refused(void **state)
{
    (void)state;
    struct molt_moves *m = some_moves();
    m->moves[1].len = 0x11;
    assert_moves_refused(m);
    m = some_moves();
    m->moves[2].old_at = 0;
    assert_moves_refused(m);
    m = some_moves();
    m->moves[2].len = UINT32_MAX;
    assert_moves_refused(m);
    m = some_moves();
    m->moves[2].new_at = UINT32_MAX - 4;
    assert_moves_refused(m);
    m = some_moves();
    m->gone[1].old_at = 0x141;
    assert_moves_refused(m);
    m = some_moves();
    m->module[0] = '\0';
    assert_moves_refused(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_is_decoded),
        cmocka_unit_test(a_recipe_cut_short_or_too_long_is_refused),
        cmocka_unit_test(a_type_id_depends_on_the_whole_key),
        cmocka_unit_test(a_step_outside_its_element_is_refused),
        cmocka_unit_test(a_bitfield_outside_its_element_is_refused),
        cmocka_unit_test(a_default_or_enum_outside_the_recipe_is_refused),
        cmocka_unit_test(widths_that_there_are_not_are_refused),
        cmocka_unit_test(children_have_one_parent_before_them),
        cmocka_unit_test(unions_hold_ascending_cases_and_nothing_else),
        cmocka_unit_test(a_flexible_member_is_one_at_the_top_and_the_end),
        cmocka_unit_test(more_work_than_the_size_explains_is_refused),
        cmocka_unit_test(a_tower_of_structs_is_refused),
        cmocka_unit_test(a_partial_recipe_needs_the_authors_function),
        cmocka_unit_test(functions_and_variables_are_found_where_they_went),
        cmocka_unit_test(moves_survive_encoding_and_no_cut),
        cmocka_unit_test(moves_that_overlap_or_wrap_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
