/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a program under measurement says of a run: one line
 *     result KEY=NUMBER KEY=NUMBER ...
 * or "error TEXT". Lines before it are ignored.
 *
 * Threads: any.
 */
#ifndef MOLT_BENCH_TOOL_RESULT_H
#define MOLT_BENCH_TOOL_RESULT_H

#include <molt/error.h>

#define MOLT_BENCH_VALUES_MAX 12

struct molt_bench_result {
    unsigned n;
    struct {
        char key[20];
        double value;
    } v[MOLT_BENCH_VALUES_MAX];
};

/* MOLT_EFORMAT: no such line, a pair that is none, a key twice, or too many of
 * them. MOLT_EREFUSED: an error line, whose text is in @err. */
int molt_bench_result_parse(const char *text, struct molt_bench_result *ret,
                            struct molt_error *err);

/* NAN if there is none of that name. */
double molt_bench_result_get(const struct molt_bench_result *result, const char *key);

#endif
