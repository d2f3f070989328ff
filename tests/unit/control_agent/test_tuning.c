/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "control/agent/set.h"
#include "control/agent/tuning.h"

static const struct molt_tuning nothing;

static void without_any_word_the_host_decides(void **state)
{
    (void)state;
    struct molt_set set = {0};
    struct molt_tuning t = molt_tuning_of(&nothing, &set);
    assert_int_equal(t.workers, 0);
    assert_int_equal(t.spares, 0);
    assert_int_equal(t.stack_kib, 0);
    assert_false(t.is_pinned);
}

static void configure(struct molt_set *set)
{
    assert_int_equal(molt_set_configure(set, "workers", "3"), 0);
    assert_int_equal(molt_set_configure(set, "workers.spare", "5"), 0);
    assert_int_equal(molt_set_configure(set, "workers.stack_kib", "64"), 0);
    assert_int_equal(molt_set_configure(set, "workers.pinned", "yes"), 0);
}

static void release(struct molt_set *set)
{
    for (size_t i = 0; i < set->n_config; i++) {
        free(set->config_keys[i]);
        free(set->config_values[i]);
    }
    free(set->config_keys);
    free(set->config_values);
}

static void the_configuration_is_taken_over(void **state)
{
    (void)state;
    struct molt_set set = {0};
    configure(&set);
    struct molt_tuning t = molt_tuning_of(&nothing, &set);
    assert_int_equal(t.workers, 3);
    assert_int_equal(t.spares, 5);
    assert_int_equal(t.stack_kib, 64);
    assert_true(t.is_pinned);
    release(&set);
}

static void the_command_line_wins(void **state)
{
    (void)state;
    struct molt_set set = {0};
    configure(&set);
    struct molt_tuning given = {.workers = 9, .stack_kib = 128};
    struct molt_tuning t = molt_tuning_of(&given, &set);
    assert_int_equal(t.workers, 9);
    assert_int_equal(t.stack_kib, 128);
    assert_int_equal(t.spares, 5);
    release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_any_word_the_host_decides),
        cmocka_unit_test(the_configuration_is_taken_over),
        cmocka_unit_test(the_command_line_wins),
    };
    return cmocka_run_group_tests_name("tuning", tests, NULL, NULL);
}
