/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the test of preemption asks of the module that it preempts. */
#ifndef MOLT_TESTS_MECHANISM_PREEMPT_H
#define MOLT_TESTS_MECHANISM_PREEMPT_H

#include <stdint.h>

struct preempt_kernel {
    const char *name; /* NULL ends the list */
    uint64_t (*run)(uint64_t rounds);
    int is_callback; /* of a library, most of the time */
};

extern const struct preempt_kernel preempt_kernels[];
extern volatile int preempt_is_in_qsort;

uint64_t preempt_hold(uint64_t inverted, volatile int *stop);

#endif
