/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Where pointers into converted blocks go. */
#include "recipe_maker.h"

#include <stddef.h>

struct old_item {
    int id;
    int weight;
};
struct old_box {
    int n;
    short flags[4];
    struct old_item items[3];
    char text[12];
};
struct new_item {
    long weight;
    long id;
};
struct new_box {
    long fresh;
    long n;
    int flags[8];
    struct new_item items[5];
    char text[24];
};

#define AT(member) offsetof(struct old_box, member)
#define TO(member) offsetof(struct new_box, member)

static uint64_t item_type(void)
{
    return molt_recipe_type_id("box.h:struct item");
}

static uint64_t int_type(void)
{
    return molt_recipe_type_id("int");
}

static struct molt_recipe *box_recipe(void)
{
    struct molt_recipe *r = MAKE(sizeof(struct old_box), sizeof(struct new_box),
                                 {.kind = MOLT_STEP_INT,
                                  .flags = BOTH,
                                  .old_bytes = 4,
                                  .new_bytes = 8,
                                  .old_at = AT(n),
                                  .new_at = TO(n),
                                  .count = 1},
                                 {.kind = MOLT_STEP_INT,
                                  .flags = BOTH,
                                  .old_bytes = 2,
                                  .new_bytes = 4,
                                  .old_at = AT(flags),
                                  .new_at = TO(flags),
                                  .count = 4,
                                  .type = 77},
                                 {.kind = MOLT_STEP_EACH,
                                  .old_at = AT(items),
                                  .new_at = TO(items),
                                  .count = 3,
                                  .old_stride = sizeof(struct old_item),
                                  .new_stride = sizeof(struct new_item),
                                  .type = item_type(),
                                  .first = 4,
                                  .n_steps = 2},
                                 {.kind = MOLT_STEP_COPY,
                                  .old_at = AT(text),
                                  .new_at = TO(text),
                                  .count = 12,
                                  .type = molt_recipe_type_id("char")},
                                 {.kind = MOLT_STEP_INT,
                                  .flags = BOTH,
                                  .old_bytes = 4,
                                  .new_bytes = 8,
                                  .old_at = 0,
                                  .new_at = offsetof(struct new_item, id),
                                  .count = 1},
                                 {.kind = MOLT_STEP_INT,
                                  .flags = BOTH,
                                  .old_bytes = 4,
                                  .new_bytes = 8,
                                  .old_at = offsetof(struct old_item, weight),
                                  .new_at = offsetof(struct new_item, weight),
                                  .count = 1});
    r->n_top = 4;
    return r;
}

static void assert_goes(struct molt_recipe *r, size_t bytes, size_t old_at, uint64_t type,
                        size_t want)
{
    char why[160] = "";
    size_t now = SIZE_MAX;
    int rc = molt_recipe_forward(r, bytes, old_at, type, &now, why, sizeof why);
    if (rc < 0)
        fail_msg("%zu: %s", old_at, why);
    assert_int_equal(now, want);
}

static void assert_stays_behind(struct molt_recipe *r, size_t bytes, size_t old_at, uint64_t type,
                                const char *why_part)
{
    char why[160] = "";
    size_t now = 12345;
    assert_int_equal(molt_recipe_forward(r, bytes, old_at, type, &now, why, sizeof why),
                     MOLT_ECHANGE);
    assert_int_equal(now, 12345);
    if (!strstr(why, why_part))
        fail_msg("%s", why);
}

#define PARTED "which part"
#define GONE "is gone"

static void the_root_is_found_by_its_type(void **state)
{
    (void)state;
    struct molt_recipe *r = box_recipe();
    size_t bytes = 3 * sizeof(struct old_box);
    uint64_t type = molt_recipe_type_id("old");
    for (size_t i = 0; i <= 3; i++)
        assert_goes(r, bytes, i * sizeof(struct old_box), type, i * sizeof(struct new_box));
    molt_recipe_free(r);
}

static void members_are_found_in_every_element(void **state)
{
    (void)state;
    struct molt_recipe *r = box_recipe();
    size_t bytes = 3 * sizeof(struct old_box);
    for (size_t i = 0; i < 3; i++) {
        size_t old = i * sizeof(struct old_box), new = i * sizeof(struct new_box);
        assert_goes(r, bytes, old + AT(n), int_type(), new + TO(n));
        assert_goes(r, bytes, old + AT(flags) + 2, 77, new + TO(flags) + 4);
        assert_goes(r, bytes, old + AT(items[1]), item_type(), new + TO(items[1]));
        assert_goes(r, bytes, old + AT(items[1].id), int_type(), new + TO(items[1].id));
        assert_goes(r, bytes, old + AT(items[2].weight), int_type(), new + TO(items[2].weight));
        assert_goes(r, bytes, old + AT(text) + 5, 0, new + TO(text) + 5);
    }
    molt_recipe_free(r);
}

static void a_struct_and_its_first_member_part_by_type(void **state)
{
    (void)state;
    struct molt_recipe *r = box_recipe();
    size_t bytes = sizeof(struct old_box);
    assert_goes(r, bytes, 0, molt_recipe_type_id("old"), 0);
    assert_goes(r, bytes, 0, int_type(), TO(n));
    assert_stays_behind(r, bytes, 0, 0, PARTED);
    assert_stays_behind(r, bytes, AT(items[1]), 0, PARTED);
    molt_recipe_free(r);
}

static void a_place_inside_a_value_that_changed_is_gone(void **state)
{
    (void)state;
    struct molt_recipe *r = box_recipe();
    assert_stays_behind(r, sizeof(struct old_box), AT(n) + 1, int_type(), GONE);
    assert_stays_behind(r, sizeof(struct old_box), 2 * sizeof(struct old_box), 0, GONE);
    molt_recipe_free(r);
}

static void one_past_an_array_is_not_the_next_member(void **state)
{
    (void)state;
    struct molt_recipe *r = box_recipe();
    size_t bytes = 2 * sizeof(struct old_box);
    /* flags + 4 as short *, and items as struct item *, which begin there. */
    assert_goes(r, bytes, AT(items), 77, TO(flags) + 16);
    assert_goes(r, bytes, AT(items), item_type(), TO(items));
    /* items + 3, where text begins. */
    assert_goes(r, bytes, AT(text), item_type(), TO(items[3]));
    /* text + 12 and the next box. */
    assert_goes(r, bytes, sizeof(struct old_box), molt_recipe_type_id("old"),
                sizeof(struct new_box));
    assert_stays_behind(r, bytes, sizeof(struct old_box), 0, PARTED);
    molt_recipe_free(r);
}

static void the_end_of_the_block_stays_its_end(void **state)
{
    (void)state;
    struct molt_recipe *r =
        MAKE(4, 8, {.kind = MOLT_STEP_INT, .old_bytes = 4, .new_bytes = 8, .count = 1});
    assert_goes(r, 40, 40, 0, 80);
    assert_goes(r, 40, 40, int_type(), 80);
    assert_goes(r, 40, 20, 0, 40);
    molt_recipe_free(r);
    /* text + 12 could be meant as well as the block's end. */
    r = box_recipe();
    assert_stays_behind(r, sizeof(struct old_box), sizeof(struct old_box), 0, PARTED);
    assert_goes(r, sizeof(struct old_box), sizeof(struct old_box), molt_recipe_type_id("old"),
                sizeof(struct new_box));
    molt_recipe_free(r);
}

static void a_removed_first_member_leaves_void_pointers_in_doubt(void **state)
{
    (void)state;
    struct molt_recipe *r =
        MAKE(16, 8, {.kind = MOLT_STEP_COPY, .old_at = 8, .new_at = 0, .count = 8});
    assert_stays_behind(r, 16, 0, 0, "first member, which is gone");
    assert_stays_behind(r, 16, 0, int_type(), GONE);
    assert_goes(r, 16, 0, molt_recipe_type_id("old"), 0);
    assert_goes(r, 16, 8, 0, 0);
    molt_recipe_free(r);
    /* A bitfield has no address, so the struct alone can be meant. */
    r = MAKE(16, 8, {.kind = MOLT_STEP_BITS, .old_bytes = 3, .new_bytes = 3, .count = 1});
    assert_goes(r, 16, 0, 0, 0);
    molt_recipe_free(r);
}

static void elements_of_a_flexible_member_are_found(void **state)
{
    (void)state;
    struct molt_recipe *r =
        MAKE(8, 16, {.kind = MOLT_STEP_COPY, .new_at = 8, .count = 8},
             {.kind = MOLT_STEP_FLEX,
              .old_at = 8,
              .new_at = 16,
              .old_stride = 8,
              .new_stride = 16,
              .type = item_type(),
              .first = 2,
              .n_steps = 1},
             {.kind = MOLT_STEP_INT, .old_bytes = 4, .new_bytes = 8, .old_at = 4, .count = 1});
    r->n_top = 2;
    assert_goes(r, 8 + 24, 0, molt_recipe_type_id("old"), 0);
    assert_goes(r, 8 + 24, 8 + 16, item_type(), 16 + 32);
    assert_goes(r, 8 + 24, 8 + 20, int_type(), 16 + 32);
    assert_goes(r, 8 + 24, 8 + 24, item_type(), 16 + 48);
    assert_stays_behind(r, 8 + 24, 8 + 16, int_type(), GONE);
    molt_recipe_free(r);
}

static void members_of_a_union_are_found_where_all_cases_agree(void **state)
{
    (void)state;
    struct molt_recipe *r =
        MAKE(8, 16, {.kind = MOLT_STEP_UNION, .old_bytes = 1, .first = 1, .n_steps = 2},
             {.kind = MOLT_STEP_CASE, .limit = 1, .first = 3, .n_steps = 1},
             {.kind = MOLT_STEP_CASE, .limit = 2, .first = 4, .n_steps = 1},
             {.kind = MOLT_STEP_COPY, .old_at = 2, .new_at = 4, .count = 4},
             {.kind = MOLT_STEP_INT,
              .old_bytes = 2,
              .new_bytes = 4,
              .old_at = 2,
              .new_at = 4,
              .count = 2});
    r->n_top = 1;
    assert_goes(r, 8, 2, int_type(), 4);
    assert_stays_behind(r, 8, 4, int_type(), PARTED);
    molt_recipe_free(r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_root_is_found_by_its_type),
        cmocka_unit_test(members_are_found_in_every_element),
        cmocka_unit_test(a_struct_and_its_first_member_part_by_type),
        cmocka_unit_test(a_place_inside_a_value_that_changed_is_gone),
        cmocka_unit_test(one_past_an_array_is_not_the_next_member),
        cmocka_unit_test(the_end_of_the_block_stays_its_end),
        cmocka_unit_test(a_removed_first_member_leaves_void_pointers_in_doubt),
        cmocka_unit_test(elements_of_a_flexible_member_are_found),
        cmocka_unit_test(members_of_a_union_are_found_where_all_cases_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
