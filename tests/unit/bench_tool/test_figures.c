/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What programs say of themselves, intervals, pictures, bound processes. */
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tool/bench.h"
#include "tool/options.h"
#include "tool/plot.h"
#include "tool/result.h"
#include "tool/stats.h"

/* ---- results ----------------------------------------------------------------------- */

static void result_line_is_found_among_others(void **state)
{
    (void)state;
    struct molt_bench_result r;
    assert_int_equal(molt_bench_result_parse(
                         "warming up\nresult ops=100 wall_ns=2.5e9 late=-1\nbye\n", &r, NULL),
                     0);
    assert_int_equal(r.n, 3);
    assert_true(molt_bench_result_get(&r, "ops") == 100);
    assert_true(molt_bench_result_get(&r, "wall_ns") == 2.5e9);
    assert_true(molt_bench_result_get(&r, "late") == -1);
    assert_true(isnan(molt_bench_result_get(&r, "cpu_ns")));
}

static void result_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "results ops=1\n",
        "result \n",
        "result ops\n",
        "result ops=\n",
        "result =1\n",
        "result ops=1x\n",
        "result ops=nan\n",
        "result ops=1 ops=2\n",
        "result a_key_of_more_than_nineteen=1\n",
        "result a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1\n"};
    struct molt_bench_result r = {.n = 7};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct molt_error err = {0};
        assert_int_equal(molt_bench_result_parse(bad[i], &r, &err), MOLT_EFORMAT);
        assert_true(err.text[0] != '\0');
        assert_int_equal(r.n, 7);
    }
}

static void error_line_is_told(void **state)
{
    (void)state;
    struct molt_bench_result r;
    struct molt_error err = {0};
    assert_int_equal(molt_bench_result_parse("error spawn: limit reached\nmore\n", &r, &err),
                     MOLT_EREFUSED);
    assert_string_equal(err.text, "spawn: limit reached");
}

/* ---- intervals -------------------------------------------------------------------------- */

static struct molt_bench_cell cell_of(size_t n)
{
    struct molt_bench_series s = {0};
    for (size_t i = 0; i < n; i++)
        molt_bench_add(&s, (double)((i * 7) % n + 1)); /* 1 to n, if 7 is no divisor of it */
    struct molt_bench_cell cell = molt_bench_cell(&s);
    molt_bench_series_fini(&s);
    return cell;
}

/* The values are those of any table of confidence intervals for medians. */
static void interval_of_the_median_has_95_percent(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double low, high, coverage;
    } rows[] = {{5, 1, 5, 0.9375},  {6, 1, 6, 0.96875},  {8, 1, 8, 0.9922},  {9, 2, 8, 0.9609},
                {10, 2, 9, 0.9785}, {20, 6, 15, 0.9586}, {25, 8, 18, 0.9567}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct molt_bench_cell cell = cell_of(rows[i].n);
        assert_true(cell.low == rows[i].low);
        assert_true(cell.high == rows[i].high);
        assert_true(fabs(cell.coverage - rows[i].coverage) < 0.0001);
        assert_true(cell.median == (double)(rows[i].n + 1) / 2);
        assert_int_equal(cell.n, rows[i].n);
    }
}

static void interval_of_few_values_is_all_of_them(void **state)
{
    (void)state;
    struct molt_bench_cell none = cell_of(0), one = cell_of(1), three = cell_of(3);
    assert_int_equal(none.n, 0);
    assert_true(one.low == 1 && one.median == 1 && one.high == 1 && one.coverage == 0);
    assert_true(three.low == 1 && three.median == 2 && three.high == 3 && three.coverage == 0.75);
}

static void better_is_by_pairs_and_in_both_directions(void **state)
{
    (void)state;
    const double ours[] = {1, 2, 4, 0, 5}, theirs[] = {2, 4, 12, 1, NAN};
    struct molt_bench_cell less = molt_bench_better(5, ours, theirs, false);
    struct molt_bench_cell more = molt_bench_better(5, ours, theirs, true);
    assert_int_equal(less.n, 3); /* what has no ratio is left out */
    assert_true(less.low == 2 && less.median == 2 && less.high == 3);
    assert_true(more.high == 0.5 && more.median == 0.5 && fabs(more.low - 1.0 / 3) < 1e-9);
    assert_int_equal(molt_bench_better(0, ours, theirs, true).n, 0);
}

static void verdict_needs_the_whole_interval(void **state)
{
    (void)state;
    struct molt_bench_cell cell = {.low = 1.01, .median = 1.2, .high = 1.5, .n = 5};
    assert_int_equal(molt_bench_judge(&cell), MOLT_BENCH_BETTER);
    cell.low = 0.99;
    assert_int_equal(molt_bench_judge(&cell), MOLT_BENCH_LEVEL);
    cell = (struct molt_bench_cell){.low = 0.5, .median = 0.8, .high = 0.99, .n = 3};
    assert_int_equal(molt_bench_judge(&cell), MOLT_BENCH_WORSE);
    cell.n = 2;
    assert_int_equal(molt_bench_judge(&cell), MOLT_BENCH_OPEN);
}

static void names_in_lists_are_whole_words(void **state)
{
    (void)state;
    assert_true(molt_bench_is_listed("a,send-same,b", "send-same"));
    assert_true(molt_bench_is_listed("send", "send"));
    assert_false(molt_bench_is_listed("send-same", "send"));
    assert_false(molt_bench_is_listed("a,b", "c"));
    assert_false(molt_bench_is_listed("", "c"));
    assert_int_equal(molt_bench_number("test", "--rounds", "25", 1, 25), 25);
}

/* ---- pictures ------------------------------------------------------------------------------ */

static char *draw(const struct molt_bench_plot *plot)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    molt_bench_plot_write(plot, out);
    fclose(out);
    char *copy = molt_bench_text("%s", text);
    free(text);
    return copy;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

/* The number behind the @n-th @attribute. */
static double number_at(const char *text, const char *attribute, unsigned n)
{
    for (; n > 0 && text; n--)
        if ((text = strstr(text, attribute)))
            text += strlen(attribute);
    assert_non_null(text);
    return strtod(text, NULL);
}

/* The y of the last text before @end. */
static double height_of(const char *picture, const char *end)
{
    const char *found = NULL, *stop = strstr(picture, end);
    assert_non_null(stop);
    for (const char *at = picture; (at = strstr(at, "<text")) && at < stop; at++)
        found = at;
    return number_at(found, " y=\"", 1);
}

static void picture_shows_lines_in_equal_decades(void **state)
{
    (void)state;
    struct molt_bench_plot plot = {
        .title = "sends & <more>",
        .x_label = "n",
        .y_label = "M/s",
        .n_lines = 1,
        .lines = {{"molt", 3, {1, 10, 100}, {5, 50, 500}, {4, 50, 500}, {6, 50, 500}}}};
    char *text = draw(&plot);
    assert_int_equal(strncmp(text, "<svg ", 5), 0);
    assert_non_null(strstr(text, "</svg>\n"));
    assert_non_null(strstr(text, "sends &amp; &lt;more&gt;"));
    assert_int_equal(count(text, "<circle"), 4); /* three points and the name's */
    double x[3], y[3];
    for (unsigned i = 0; i < 3; i++) {
        x[i] = number_at(text, "<circle cx=\"", i + 1);
        y[i] = number_at(text, "\" cy=\"", i + 1);
    }
    assert_true(x[0] < x[1] && fabs((x[1] - x[0]) - (x[2] - x[1])) < 0.2);
    assert_true(y[0] > y[1] && fabs((y[0] - y[1]) - (y[1] - y[2])) < 0.2);
    free(text);
}

static void picture_leaves_out_what_has_no_logarithm(void **state)
{
    (void)state;
    struct molt_bench_plot plot = {.title = "t",
                                   .x_label = "x",
                                   .y_label = "y",
                                   .n_lines = 1,
                                   .lines = {{.name = "a", .n = 2, .x = {0, 1}, .y = {1, 0}}}};
    char *text = draw(&plot);
    assert_non_null(strstr(text, "nothing was measured"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
    plot.lines[0].y[1] = 3;
    text = draw(&plot);
    assert_int_equal(count(text, "<circle"), 2);
    assert_null(strstr(text, "nan"));
    free(text);
}

static void names_of_lines_that_end_together_are_apart(void **state)
{
    (void)state;
    struct molt_bench_plot plot = {.title = "t",
                                   .x_label = "x",
                                   .y_label = "y",
                                   .n_lines = 2,
                                   .lines = {{.name = "a", .n = 2, .x = {1, 10}, .y = {2, 3}},
                                             {.name = "b", .n = 2, .x = {1, 10}, .y = {4, 3}}}};
    char *text = draw(&plot);
    assert_true(fabs(height_of(text, ">a</text>") - height_of(text, ">b</text>")) >= 18);
    free(text);
}

static void numbers_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {{1, "1"},       {0.05, "0.05"}, {500, "500"},    {1000, "1k"},
                {1234, "1234"}, {20000, "20k"}, {1000000, "1M"}, {10000000, "10M"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[16];
        molt_bench_plot_number(rows[i].value, text, sizeof(text));
        assert_string_equal(text, rows[i].text);
    }
}

/* ---- trees of processes ------------------------------------------------------------------------
 */

static void processes_below_are_found_and_bound(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "exec 3<&0; (echo ready; read x <&3) & wait", NULL};
    char line[8];
    pid_t pids[4];
    cpu_set_t set;
    struct molt_bench_child child = molt_bench_start(argv, NULL, NULL, MOLT_BENCH_PIPES);
    assert_int_equal(read(child.out, line, 6), 6);
    assert_int_equal(molt_bench_tree(child.pid, pids, 4), 2);
    assert_int_equal(pids[0], child.pid);
    molt_bench_bind(child.pid, 0, 1);
    assert_int_equal(sched_getaffinity(pids[1], sizeof(set), &set), 0);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_true(CPU_ISSET(0, &set));
    assert_int_equal(molt_bench_tree(child.pid, pids, 1), 1);
    molt_bench_stop(&child, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(result_line_is_found_among_others),
        cmocka_unit_test(result_that_is_none_is_refused),
        cmocka_unit_test(error_line_is_told),
        cmocka_unit_test(interval_of_the_median_has_95_percent),
        cmocka_unit_test(interval_of_few_values_is_all_of_them),
        cmocka_unit_test(better_is_by_pairs_and_in_both_directions),
        cmocka_unit_test(verdict_needs_the_whole_interval),
        cmocka_unit_test(names_in_lists_are_whole_words),
        cmocka_unit_test(picture_shows_lines_in_equal_decades),
        cmocka_unit_test(picture_leaves_out_what_has_no_logarithm),
        cmocka_unit_test(names_of_lines_that_end_together_are_apart),
        cmocka_unit_test(numbers_are_short),
        cmocka_unit_test(processes_below_are_found_and_bound),
    };
    molt_bench_init("test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
