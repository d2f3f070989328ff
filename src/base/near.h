/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * How near two names are: for "did you mean ...?".
 *
 * Threads: pure.
 */
#ifndef MOLT_BASE_NEAR_H
#define MOLT_BASE_NEAR_H

/* Insertions, deletions, replacements and swaps of neighbours that make @b of
 * @a; 64 for names of more than 63 bytes. */
unsigned molt_near_distance(const char *a, const char *b);

#endif
