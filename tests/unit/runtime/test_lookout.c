/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* When a worker looks around before it sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/lookout.h"

#define SHORT (MOLT_LOOKOUT_NS - 1)
#define LONG MOLT_LOOKOUT_NS

static void it_looks_after_a_short_sleep_only(void **state)
{
    (void)state;
    struct molt_lookout l = {0};
    assert_false(l.is_on);
    molt_lookout_woken(&l, LONG);
    assert_false(l.is_on);
    molt_lookout_woken(&l, SHORT);
    assert_true(l.is_on);
    molt_lookout_woken(&l, LONG);
    assert_false(l.is_on);
}

static void as_long_as_it_finds_something_it_goes_on_looking(void **state)
{
    (void)state;
    struct molt_lookout l = {0};
    molt_lookout_woken(&l, SHORT);
    for (int i = 0; i < 1000; i++)
        molt_lookout_found(&l);
    assert_true(l.is_on);
}

/* Short sleeps until it looks again. */
static unsigned sleeps_until_on(struct molt_lookout *l)
{
    unsigned n = 0;
    while (!l->is_on && n <= 2 * MOLT_LOOKOUT_PAUSE_MAX) {
        molt_lookout_woken(l, SHORT);
        n++;
    }
    return n;
}

static void what_is_in_vain_is_tried_more_and_more_seldom(void **state)
{
    (void)state;
    struct molt_lookout l = {0};
    assert_int_equal(sleeps_until_on(&l), 1);
    for (unsigned n = 1; n <= MOLT_LOOKOUT_PAUSE_MAX; n *= 2) {
        molt_lookout_in_vain(&l);
        assert_false(l.is_on);
        assert_int_equal(sleeps_until_on(&l), n);
    }
    for (int i = 0; i < 5; i++) {
        molt_lookout_in_vain(&l);
        assert_int_equal(sleeps_until_on(&l), MOLT_LOOKOUT_PAUSE_MAX + 1);
    }
}

static void one_success_makes_it_eager_again(void **state)
{
    (void)state;
    struct molt_lookout l = {0};
    for (int i = 0; i < 20; i++) {
        (void)sleeps_until_on(&l);
        molt_lookout_in_vain(&l);
    }
    (void)sleeps_until_on(&l);
    molt_lookout_found(&l);
    molt_lookout_in_vain(&l);
    assert_int_equal(sleeps_until_on(&l), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_looks_after_a_short_sleep_only),
        cmocka_unit_test(as_long_as_it_finds_something_it_goes_on_looking),
        cmocka_unit_test(what_is_in_vain_is_tried_more_and_more_seldom),
        cmocka_unit_test(one_success_makes_it_eager_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
