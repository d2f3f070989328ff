/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "bench/histogram.h"

static struct molt_histogram h;

static int setup(void **state)
{
    (void)state;
    molt_histogram_reset(&h);
    return 0;
}

static void an_empty_histogram_answers_zero(void **state)
{
    (void)state;
    assert_int_equal(molt_histogram_quantile(&h, 0.5), 0);
    assert_int_equal(molt_histogram_quantile(&h, 1), 0);
    assert_true(molt_histogram_mean(&h) == 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (uint64_t v = 1; v <= 200; v++)
        molt_histogram_add(&h, v);
    assert_int_equal(molt_histogram_quantile(&h, 0), 1);
    assert_int_equal(molt_histogram_quantile(&h, 0.005), 1);
    assert_int_equal(molt_histogram_quantile(&h, 0.5), 100);
    assert_int_equal(molt_histogram_quantile(&h, 0.99), 198);
    assert_int_equal(molt_histogram_quantile(&h, 0.991), 199);
    assert_int_equal(molt_histogram_quantile(&h, 1), 200);
    assert_true(molt_histogram_mean(&h) == 100.5);
}

/* Each value alone, then one far above it, so that its own bucket answers. */
static void a_quantile_is_never_too_low_and_at_most_a_128th_too_high(void **state)
{
    for (uint64_t v = 1; v < UINT64_C(1) << (MOLT_HISTOGRAM_BITS - 1); v += 1 + v / 37) {
        setup(state);
        molt_histogram_add(&h, v);
        molt_histogram_add(&h, UINT64_MAX / 4);
        uint64_t q = molt_histogram_quantile(&h, 0.5);
        assert_true(q >= v);
        assert_true(q - v <= v / 128);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_agree_with_the_sorted_values(void **state)
{
    enum { N = 20000 };
    static uint64_t values[N];
    uint64_t x = 88172645463325252;
    (void)state;
    for (int i = 0; i < N; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        values[i] = (x >> 20) % (UINT64_C(1) << (10 + x % 25));
        molt_histogram_add(&h, values[i]);
    }
    qsort(values, N, sizeof(values[0]), compare);
    for (int i = 1; i <= 1000; i++) {
        uint64_t exact = values[N / 1000 * i - 1], q = molt_histogram_quantile(&h, i / 1000.0);
        assert_true(q >= exact && q - exact <= exact / 128 + 1);
    }
    assert_int_equal(h.max, values[N - 1]);
    assert_int_equal(h.min, values[0]);
    assert_int_equal(molt_histogram_quantile(&h, 1), values[N - 1]);
}

static void huge_values_count_and_the_maximum_stays_exact(void **state)
{
    (void)state;
    molt_histogram_add(&h, UINT64_MAX / 2);
    molt_histogram_add(&h, 5);
    assert_int_equal(molt_histogram_quantile(&h, 0.5), 5);
    assert_int_equal(molt_histogram_quantile(&h, 0.99), UINT64_MAX / 2);
}

static void a_merge_equals_adding_everything_to_one(void **state)
{
    static struct molt_histogram a, b;
    (void)state;
    molt_histogram_reset(&a);
    molt_histogram_reset(&b);
    for (uint64_t i = 0; i < 5000; i++) {
        molt_histogram_add(i % 3 ? &a : &b, i * i);
        molt_histogram_add(&h, i * i);
    }
    molt_histogram_merge(&a, &b);
    assert_memory_equal(&a, &h, sizeof(h));
    molt_histogram_reset(&b);
    molt_histogram_merge(&a, &b);
    assert_memory_equal(&a, &h, sizeof(h));
    molt_histogram_merge(&b, &a);
    assert_memory_equal(&b, &h, sizeof(h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_histogram_answers_zero, setup),
        cmocka_unit_test_setup(small_values_are_exact, setup),
        cmocka_unit_test_setup(a_quantile_is_never_too_low_and_at_most_a_128th_too_high, setup),
        cmocka_unit_test_setup(quantiles_agree_with_the_sorted_values, setup),
        cmocka_unit_test_setup(huge_values_count_and_the_maximum_stays_exact, setup),
        cmocka_unit_test_setup(a_merge_equals_adding_everything_to_one, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
