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

/* ---- beside a list of them ------------------------------------------------------------ */

enum { MODEL = 600 };

struct model {
    struct molt_timers timers;
    struct molt_timer timer[MODEL];
    bool is_running[MODEL];
    uint64_t now;
    unsigned seed;
};

/* Up to 2^@bits, small ones as often as large ones. */
static uint64_t any_up_to(struct model *m, unsigned bits)
{
    uint64_t word = (uint64_t)rand_r(&m->seed) << 33 ^ (uint64_t)rand_r(&m->seed) << 11 ^
                    (uint64_t)rand_r(&m->seed);
    return word & ((UINT64_C(1) << (unsigned)rand_r(&m->seed) % bits) - 1);
}

static bool is_before(const struct molt_timer *a, const struct molt_timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns
                                            : a->sequence < b->sequence;
}

static struct molt_timer *first_of(struct model *m)
{
    struct molt_timer *first = NULL;
    for (int i = 0; i < MODEL; i++)
        if (m->is_running[i] && (!first || is_before(&m->timer[i], first)))
            first = &m->timer[i];
    return first;
}

static void expire_all(struct model *m)
{
    struct molt_timer *first;
    while ((first = first_of(m)) && first->deadline_ns <= m->now) {
        assert_ptr_equal(expire(&m->timers, m->now), first);
        m->is_running[first - m->timer] = false;
    }
    assert_null(expire(&m->timers, m->now));
}

/* Who sleeps until there is something to do isn't late, nor wakes for ever. */
static void sleep_until_first(struct model *m)
{
    const struct molt_timer *first = first_of(m);
    for (int wakes = 0; first; wakes++) {
        assert_true(wakes < 100);
        uint64_t next = atomic_load(&m->timers.next_ns);
        assert_true(next <= first->deadline_ns);
        m->now = next > m->now ? next : m->now;
        if (m->now >= first->deadline_ns)
            break;
        assert_null(expire(&m->timers, m->now));
    }
    expire_all(m);
}

static void a_wheel_does_what_a_list_would(void **state)
{
    (void)state;
    struct model *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->seed = 11;
    molt_timers_init(&m->timers);
    for (int step = 0; step < 60000; step++) {
        int i = rand_r(&m->seed) % MODEL, what = rand_r(&m->seed) % 100;
        if (what < 60) {
            start(&m->timers, &m->timer[i], m->now + any_up_to(m, 52));
            m->is_running[i] = true;
        } else if (what < 85) {
            assert_int_equal(molt_timer_cancel(&m->timer[i]), m->is_running[i]);
            m->is_running[i] = false;
        } else if (what < 98) {
            m->now += any_up_to(m, 40);
            expire_all(m);
        } else if (what < 99) {
            m->now += any_up_to(m, 50);
            expire_all(m);
        } else {
            sleep_until_first(m);
        }
    }
    m->now = UINT64_C(1) << 62;
    expire_all(m);
    assert_true(molt_timers_are_empty(&m->timers));
    free(m);
}

static void the_farthest_deadlines_are_kept(void **state)
{
    (void)state;
    enum { N = 200 };
    static struct molt_timers timers;
    static struct molt_timer timer[N];
    molt_timers_init(&timers);
    for (uint64_t i = 0; i < N; i++)
        start(&timers, &timer[i], UINT64_MAX - N + 1 + i);
    assert_null(expire(&timers, UINT64_MAX / 2));
    for (uint64_t i = 0; i < N; i++)
        assert_ptr_equal(expire(&timers, UINT64_MAX - 1), i == N - 1 ? NULL : &timer[i]);
    assert_true(molt_timer_cancel(&timer[N - 1]));
    assert_true(molt_timers_are_empty(&timers));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_expire_in_the_order_of_their_deadlines),
        cmocka_unit_test(nothing_expires_before_its_time),
        cmocka_unit_test(a_timer_moves_to_another_heap_when_it_is_started_there),
        cmocka_unit_test(a_million_timers_are_no_matter),
        cmocka_unit_test(a_wheel_does_what_a_list_would),
        cmocka_unit_test(the_farthest_deadlines_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
