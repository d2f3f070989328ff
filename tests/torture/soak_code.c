/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Swaps a module some thousand times and expects that nothing grows: resident
 * memory, mappings, descriptors, files of the store. The first swaps fill what
 * is bounded (the ranges of unloaded images that stay reserved) and don't
 * count.
 *
 * usage: soak_code [SWAPS]
 */
#include "../unit/code/fixture.h"
#include "usage.h"

#define WARM_UP 2500 /* more than twice the ranges that stay reserved */
#define GROWTH_MAX_KIB 1024

static unsigned n_swaps = 10000;
static struct test_image images[3];

static unsigned count_files(void)
{
    unsigned n = 0;
    DIR *dir = opendir(fx.store);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int build_modules(void **state)
{
    (void)state;
    fixture_init();
    for (int i = 0; i < 3; i++) {
        char text[160];
        snprintf(text, sizeof text,
                 "static int count[2048]; int f(void); int f(void) { count[7]++; return %d; }", i);
        images[i] = test_module_build(&fx.maker, &(struct test_module){"a", .text = text,
                                                                       .exports = {{"a", "f", 1}}});
    }
    return 0;
}

static int drop_modules(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        test_image_fini(&images[i], molt_meta_free);
    fixture_fini();
    return 0;
}

static void swap_times(unsigned n)
{
    fixture_fn *f = NULL;
    for (unsigned i = 0; i < n; i++) {
        fixture_swap(&images[i % 3]);
        if (!f)
            f = A_F;
        assert_int_equal(fixture_ask(f), i % 3);
        int n_unloaded = molt_code_reclaim(fx.code, NULL, NULL);
        assert_true(n_unloaded == 1 || i == 0);
    }
}

static void nothing_grows_over_many_swaps(void **state)
{
    (void)state;
    swap_times(WARM_UP - WARM_UP % 3);
    struct usage before = usage_now();
    unsigned files = count_files();
    swap_times(n_swaps - n_swaps % 3);
    struct usage after = usage_now();
    print_message("resident %ld -> %ld KiB, mappings %ld -> %ld, descriptors %ld -> %ld, files %u "
                  "-> %u\n",
                  before.resident_kib, after.resident_kib, before.mappings, after.mappings,
                  before.descriptors, after.descriptors, files, count_files());
    assert_int_equal(after.descriptors, before.descriptors);
    assert_int_equal(count_files(), files);
    assert_true(after.mappings <= before.mappings + 64);
    assert_true(after.resident_kib <= before.resident_kib + GROWTH_MAX_KIB);
    struct fixture_versions versions = fixture_versions();
    assert_int_equal(versions.n, 1);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_grows_over_many_swaps, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(nothing_grows_over_many_swaps, fixture_open_sealed,
                                        fixture_close),
    };
    if (argc > 1)
        n_swaps = (unsigned)strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, build_modules, drop_modules);
}
