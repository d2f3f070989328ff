/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* TCP ports on this machine. @address: IPv4 or IPv6, NULL or "*" for the
 * loopback's. Threads: any. */
#ifndef MOLT_CLI_PORT_H
#define MOLT_CLI_PORT_H

#include <stdbool.h>

/* Could we listen there now? True also if that can't be found out. */
bool molt_port_is_free(const char *address, unsigned port);

/* Does somebody accept connections there now? */
bool molt_port_accepts(const char *address, unsigned port);

#endif
