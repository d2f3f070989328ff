/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Tests that can't hold under emulation of another CPU. `./dev aarch64` counts
 * them by the line that is printed here.
 *
 * Threads: the test's.
 */
#ifndef MOLT_TESTS_EMULATED_H
#define MOLT_TESTS_EMULATED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* End the running test as skipped if tools/cross-root's `emulate` runs this
 * program; @why says what the emulator does otherwise than a kernel or CPU. */
#define SKIP_IF_EMULATED(why)                                                                      \
    do {                                                                                           \
        if (getenv("MOLT_EMULATED")) {                                                             \
            print_message("skipped: %s: %s\n", __func__, why);                                     \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#endif
