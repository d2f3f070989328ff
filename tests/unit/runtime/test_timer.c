/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "unit/runtime/fake_world.h"

#include "runtime/timer.h"

/* The event names the timer. */
static void start(struct molt_timers *timers, struct molt_timer *timer, uint64_t deadline)
{
    struct molt_timer_event event = {.ref = deadline, .data = timer};
    molt_timer_start(timers, timer, deadline, &event);
}

static struct molt_timer *expire(struct molt_timers *timers, uint64_t now)
{
    struct molt_timer_event event;
    return molt_timer_expire(timers, now, &event) ? event.data : NULL;
}

static void timers_expire_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    enum { N = 2000 };
    static struct molt_timer timer[N];
    struct molt_timers timers;
    molt_timers_init(&timers);
    unsigned seed = 7;
    for (int i = 0; i < N; i++)
        start(&timers, &timer[i], (uint64_t)rand_r(&seed) % 500);
    for (int i = 0; i < N; i += 3)
        assert_true(molt_timer_cancel(&timer[i]));
    for (int i = 0; i < N; i += 5)
        start(&timers, &timer[i], (uint64_t)rand_r(&seed) % 500);
    size_t expected = timers.n, n = 0;
    uint64_t last = 0, last_sequence = 0;
    struct molt_timer *t;
    while ((t = expire(&timers, 1000))) {
        assert_true(t->deadline_ns >= last);
        if (t->deadline_ns == last && n)
            assert_true(t->sequence > last_sequence);
        last = t->deadline_ns;
        last_sequence = t->sequence;
        n++;
    }
    assert_int_equal(n, expected);
    assert_int_equal(timers.n, 0);
    assert_true(molt_timers_are_empty(&timers));
}

static void nothing_expires_before_its_time(void **state)
{
    (void)state;
    struct molt_timers timers;
    struct molt_timer a = {0};
    molt_timers_init(&timers);
    assert_false(molt_timer_cancel(&a));
    assert_int_equal(molt_timer_wait_ms(&timers, 5), -1);
    start(&timers, &a, 5000001);
    assert_null(expire(&timers, 5000000));
    assert_int_equal(molt_timer_wait_ms(&timers, 0), 6);
    assert_int_equal(molt_timer_wait_ms(&timers, 5000000), 1);
    assert_int_equal(molt_timer_wait_ms(&timers, 9000000), 0);
    assert_ptr_equal(expire(&timers, 5000001), &a);
    assert_false(molt_timer_cancel(&a));
    assert_null(expire(&timers, UINT64_MAX - 1));
}

static void a_timer_moves_to_another_heap_when_it_is_started_there(void **state)
{
    (void)state;
    struct molt_timers here, there;
    struct molt_timer a = {0}, b = {0};
    molt_timers_init(&here);
    molt_timers_init(&there);
    start(&here, &a, 5);
    start(&here, &b, 9);
    start(&there, &a, 7);
    assert_null(expire(&here, 8));
    assert_ptr_equal(expire(&there, 8), &a);
    assert_ptr_equal(expire(&here, 9), &b);
}

static void a_million_timers_are_no_matter(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct molt_timer *timer = calloc(N, sizeof(*timer));
    assert_non_null(timer);
    struct molt_timers timers;
    molt_timers_init(&timers);
    for (uint64_t i = 0; i < N; i++)
        start(&timers, &timer[i], i * 7919 % N);
    uint64_t n = 0;
    struct molt_timer *t;
    while ((t = expire(&timers, N)))
        assert_int_equal(t->deadline_ns, n++);
    assert_int_equal(n, N);
    free(timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_expire_in_the_order_of_their_deadlines),
        cmocka_unit_test(nothing_expires_before_its_time),
        cmocka_unit_test(a_timer_moves_to_another_heap_when_it_is_started_there),
        cmocka_unit_test(a_million_timers_are_no_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
