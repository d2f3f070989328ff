/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Monotonic time (CLOCK_MONOTONIC). Threads: any. */
#ifndef MOLT_BASE_CLOCK_H
#define MOLT_BASE_CLOCK_H

#include <stdint.h>

uint64_t molt_clock_ns(void);
uint64_t molt_clock_ms(void);

#endif
