/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Which files are on their way, at invented times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build/unsettled.h"

#define QUIET MOLT_UNSETTLED_QUIET_MS
#define GONE MOLT_UNSETTLED_GONE_MS
#define WRITE MOLT_UNSETTLED_WRITE_MS

static void nothing_is_settled(void **state)
{
    (void)state;
    struct molt_unsettled u = {0};
    assert_int_equal(molt_unsettled_wait(&u, 1000), 0);
    assert_false(molt_unsettled_is_writing(&u));
    molt_unsettled_fini(&u);
}

static void a_save_waits_for_those_right_after_it(void **state)
{
    (void)state;
    struct molt_unsettled u = {0};
    molt_unsettled_done(&u, "a", 1000);
    assert_int_equal(molt_unsettled_wait(&u, 1000), QUIET);
    molt_unsettled_done(&u, "b", 1001);
    assert_int_equal(molt_unsettled_wait(&u, 1002), QUIET - 1);
    assert_int_equal(molt_unsettled_wait(&u, 1001 + QUIET), 0);
    molt_unsettled_fini(&u);
}

static void a_file_that_is_written_is_waited_for_until_it_is_closed(void **state)
{
    (void)state;
    struct molt_unsettled u = {0};
    assert_int_equal(molt_unsettled_write(&u, "a", 1000), 0);
    molt_unsettled_done(&u, "b", 1000);
    assert_true(molt_unsettled_is_writing(&u));
    assert_int_equal(molt_unsettled_wait(&u, 1500), WRITE - 500);
    assert_int_equal(molt_unsettled_write(&u, "a", 1600), 0);
    assert_int_equal(molt_unsettled_wait(&u, 1600), WRITE);
    molt_unsettled_done(&u, "a", 1700);
    assert_false(molt_unsettled_is_writing(&u));
    assert_int_equal(molt_unsettled_wait(&u, 1700 + QUIET), 0);
    molt_unsettled_fini(&u);
}

static void a_file_that_is_kept_open_stops_nobody_for_ever(void **state)
{
    (void)state;
    struct molt_unsettled u = {0};
    assert_int_equal(molt_unsettled_write(&u, "a", 1000), 0);
    assert_int_equal(molt_unsettled_wait(&u, 1000 + WRITE), 0);
    assert_false(molt_unsettled_is_writing(&u));
    molt_unsettled_fini(&u);
}

static void a_file_that_is_gone_has_time_to_come_back(void **state)
{
    (void)state;
    struct molt_unsettled u = {0};
    assert_int_equal(molt_unsettled_gone(&u, "a", 1000), 0);
    assert_false(molt_unsettled_is_writing(&u));
    assert_int_equal(molt_unsettled_wait(&u, 1000), GONE);
    assert_int_equal(molt_unsettled_wait(&u, 1000 + GONE), 0);
    assert_int_equal(molt_unsettled_gone(&u, "b", 2000), 0);
    assert_int_equal(molt_unsettled_write(&u, "b", 2010), 0); /* created anew */
    assert_int_equal(molt_unsettled_wait(&u, 2000 + GONE), WRITE + 10 - GONE);
    molt_unsettled_done(&u, "b", 2500);
    assert_int_equal(molt_unsettled_wait(&u, 2500 + QUIET), 0);
    molt_unsettled_fini(&u);
}

static void many_files_are_waited_for_until_the_last(void **state)
{
    (void)state;
    struct molt_unsettled u = {0};
    char name[2] = "a";
    for (int i = 0; i < 20; i++, name[0]++)
        assert_int_equal(molt_unsettled_gone(&u, name, 1000 + (uint64_t)i), 0);
    assert_int_equal(molt_unsettled_wait(&u, 1019), GONE);
    for (name[0] = 'a'; name[0] < 'a' + 19; name[0]++)
        molt_unsettled_done(&u, name, 1020);
    assert_int_equal(molt_unsettled_wait(&u, 1020), GONE - 1);
    molt_unsettled_done(&u, "t", 1020);
    assert_int_equal(molt_unsettled_wait(&u, 1020), QUIET);
    molt_unsettled_fini(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_settled),
        cmocka_unit_test(a_save_waits_for_those_right_after_it),
        cmocka_unit_test(a_file_that_is_written_is_waited_for_until_it_is_closed),
        cmocka_unit_test(a_file_that_is_kept_open_stops_nobody_for_ever),
        cmocka_unit_test(a_file_that_is_gone_has_time_to_come_back),
        cmocka_unit_test(many_files_are_waited_for_until_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
