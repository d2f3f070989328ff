/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Cells: memory of the test that module code is told to write to or wait on.
 * A cell's address travels as an integer, so that it is nobody's block.
 *
 * Threads: any; everything is atomic. Locks: none.
 */
#ifndef MOLT_TESTS_CELL_H
#define MOLT_TESTS_CELL_H

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

struct cell {
    atomic_long value;
};

/* Spin until the cell holds @value; fails the test after 10 s. What waits here
 * waits for another thread of this very process. */
static inline void cell_await(struct cell *cell, long value)
{
    uint64_t until = molt_clock_ms() + 10000;
    while (atomic_load(&cell->value) != value) {
        if (molt_clock_ms() > until)
            fail_msg("cell is %ld, not %ld", atomic_load(&cell->value), value);
        sched_yield();
    }
}

#endif
