/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/handler.h"

#include <errno.h>
#include <stddef.h>

int molt_handler_install(int signal, molt_handler_fn *fn, const sigset_t *mask,
                         struct sigaction *next)
{
    struct sigaction now;
    if (sigaction(signal, NULL, &now) < 0)
        return errno;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == fn)
        return 0;
    /* Before ours can run and ask for it. */
    *next = now;
    struct sigaction ours = {.sa_sigaction = fn,
                             .sa_mask = *mask,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    return sigaction(signal, &ours, NULL) < 0 ? errno : 0;
}

bool molt_handler_pass_on(const struct sigaction *next, int signal, siginfo_t *info, void *context)
{
    if (next->sa_flags & SA_SIGINFO) {
        next->sa_sigaction(signal, info, context);
        return true;
    }
    if (next->sa_handler == SIG_DFL || next->sa_handler == SIG_IGN)
        return false;
    next->sa_handler(signal);
    return true;
}

bool molt_handler_has_stack(void)
{
    stack_t now;
    return sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE);
}
