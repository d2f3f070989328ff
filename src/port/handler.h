/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Signal handlers that stand in front of others.
 *
 * Threads: any; passing on is async-signal-safe. Locks: the caller serialises
 * installs.
 */
#ifndef MOLT_PORT_HANDLER_H
#define MOLT_PORT_HANDLER_H

#include <signal.h>
#include <stdbool.h>

typedef void molt_handler_fn(int signal, siginfo_t *info, void *context);

/* Handle @signal with @fn on alternate stacks, all signals of @mask blocked
 * meanwhile; *@next is what was there before. If @fn is in front already,
 * nothing changes. 0, or errno. */
int molt_handler_install(int signal, molt_handler_fn *fn, const sigset_t *mask,
                         struct sigaction *next);

/* Call the handler in @next. False: it has none, but an action (SIG_DFL,
 * SIG_IGN). */
bool molt_handler_pass_on(const struct sigaction *next, int signal, siginfo_t *info, void *context);

/* Does the calling thread have an alternate signal stack? */
bool molt_handler_has_stack(void);

#endif
