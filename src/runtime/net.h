/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the files behind <molt/net.h> share.
 *
 * Threads: the caller's.
 */
#ifndef MOLT_RUNTIME_NET_H
#define MOLT_RUNTIME_NET_H

#include <sys/socket.h>

#include <molt/net.h>

#include "runtime/socket.h"

/* The calling process; NULL outside of one, and in change functions. */
struct molt_process *molt_net_caller(void);

/* A socket of the caller's; @timeout_ms other than 0 only without locks held. */
int molt_net_enter(int sock, int timeout_ms, const char *what, struct molt_process **ret_p,
                   struct molt_socket **ret);

/* The code for errno after a failed call. */
int molt_net_code(int error);

static inline const struct sockaddr *molt_net_sockaddr(const struct molt_net_address *address)
{
    return (const struct sockaddr *)(const void *)address->bytes;
}

/* From what the system filled in. */
void molt_net_address_set(struct molt_net_address *ret, const void *sockaddr, socklen_t len);

#endif
