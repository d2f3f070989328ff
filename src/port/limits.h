/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Sizes and batches of the two kinds of build.
 *
 * The usual build has sizes that are seldom reached, so what happens at their
 * ends is seldom run. A hostile build has the smallest that can work: tables
 * are full and grow, rings overwrite, queues take turns and old code goes at
 * once, in every test. It keeps all promises but that of speed.
 *
 * A limit stands beside the code that it bounds, as MOLT_LIMIT(usual, hostile);
 * tests use its name.
 *
 * Threads: any. Locks: none.
 */
#ifndef MOLT_PORT_LIMITS_H
#define MOLT_PORT_LIMITS_H

#include <sched.h>

#ifdef MOLT_HOSTILE
#define MOLT_IS_HOSTILE 1
#else
#define MOLT_IS_HOSTILE 0
#endif

/* A constant expression of the common type of both. */
#define MOLT_LIMIT(usual, hostile) (MOLT_IS_HOSTILE ? (hostile) : (usual))

/* Stands between two steps that another thread may come between: in a hostile
 * build it often does. Nothing in the usual build. */
static inline void molt_hostile_gap(void)
{
    if (MOLT_IS_HOSTILE)
        sched_yield();
}

#endif
