/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* A counter that outlives its code: a process called "counter". */
#ifndef COUNTER_H
#define COUNTER_H

/* The next number, from 1, or a negative code of <molt/error.h>. */
long counter_next(void);

#endif
