/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * How many peers this OS process talks to over IP: what a crash would cut off.
 *
 * Threads: any.
 */
#ifndef MOLT_CONTROL_CONNECTIONS_H
#define MOLT_CONTROL_CONNECTIONS_H

#include <stddef.h>

/* Descriptors that are connected IPv4 or IPv6 sockets. Async-signal-safe, one
 * system call each. */
size_t molt_connections_count(void);

#endif
