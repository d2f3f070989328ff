/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

#include "runtime/timer.h"

static void timers_expire_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    enum { N = 2000 };
    static struct molt_timer timer[N];
    struct molt_timers timers = {0};
    unsigned seed = 7;
    for (int i = 0; i < N; i++)
        molt_timer_start(&timers, &timer[i], (uint64_t)rand_r(&seed) % 500);
    for (int i = 0; i < N; i += 3)
        molt_timer_cancel(&timers, &timer[i]);
    for (int i = 0; i < N; i += 5)
        molt_timer_start(&timers, &timer[i], (uint64_t)rand_r(&seed) % 500);
    size_t expected = timers.n, n = 0;
    uint64_t last = 0, last_sequence = 0;
    struct molt_timer *t;
    while ((t = molt_timer_expire(&timers, 1000))) {
        assert_true(t->deadline_ns >= last);
        if (t->deadline_ns == last && n)
            assert_true(t->sequence > last_sequence);
        last = t->deadline_ns;
        last_sequence = t->sequence;
        n++;
    }
    assert_int_equal(n, expected);
    assert_int_equal(timers.n, 0);
}

static void nothing_expires_before_its_time(void **state)
{
    (void)state;
    struct molt_timers timers = {0};
    struct molt_timer a = {0};
    assert_int_equal(molt_timer_wait_ms(&timers, 5), -1);
    molt_timer_start(&timers, &a, 5000001);
    assert_null(molt_timer_expire(&timers, 5000000));
    assert_int_equal(molt_timer_wait_ms(&timers, 0), 6);
    assert_int_equal(molt_timer_wait_ms(&timers, 5000000), 1);
    assert_int_equal(molt_timer_wait_ms(&timers, 9000000), 0);
    assert_ptr_equal(molt_timer_expire(&timers, 5000001), &a);
    molt_timer_cancel(&timers, &a);
    assert_null(molt_timer_expire(&timers, UINT64_MAX));
}

static void a_million_timers_are_no_matter(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct molt_timer *timer = calloc(N, sizeof(*timer));
    assert_non_null(timer);
    struct molt_timers timers = {0};
    for (uint64_t i = 0; i < N; i++)
        molt_timer_start(&timers, &timer[i], i * 7919 % N);
    uint64_t n = 0;
    struct molt_timer *t;
    while ((t = molt_timer_expire(&timers, N)))
        assert_int_equal(t->deadline_ns, n++);
    assert_int_equal(n, N);
    free(timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_expire_in_the_order_of_their_deadlines),
        cmocka_unit_test(nothing_expires_before_its_time),
        cmocka_unit_test(a_million_timers_are_no_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
