/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Files in memory that can be sealed and mapped with execute permission.
 *
 * Threads: any.
 */
#ifndef MOLT_PORT_MEMFD_H
#define MOLT_PORT_MEMFD_H

/* A new one, empty, close-on-exec; the caller closes it. -1 with errno. */
int molt_memfd_open(const char *name);

#endif
