/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What this process has of the machine, for runs in which nothing may grow.
 * Threads: any. */
#ifndef MOLT_TESTS_TORTURE_USAGE_H
#define MOLT_TESTS_TORTURE_USAGE_H

struct usage {
    long resident_kib, mappings, descriptors;
};

/* Fails the running test if the kernel doesn't tell. */
struct usage usage_now(void);

#endif
