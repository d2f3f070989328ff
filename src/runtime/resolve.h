/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Names of hosts, asked on threads of their own, because the name service may
 * take seconds. Threads are started when there is something to ask, a few at
 * most, and end when there was nothing for a while.
 *
 * An answer lies in the resolver until its process fetches it; what a process
 * that ended left there goes with the next question.
 *
 * Threads: any.
 * Locks:   molt_resolver.lock guards the lists; the locks of queues nest in it.
 */
#ifndef MOLT_RUNTIME_RESOLVE_H
#define MOLT_RUNTIME_RESOLVE_H

struct molt_resolver;
struct molt_runtime;

/* MOLT_ENOMEM. */
int molt_resolver_new(struct molt_runtime *rt, struct molt_resolver **ret);
/* A question that is being asked isn't waited for. NULL is fine. */
void molt_resolver_free(struct molt_resolver *resolver);

#endif
