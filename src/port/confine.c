/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/confine.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "port/alt_stack.h"
#include "port/ucontext.h"

#define KEEP_FD 3

/* A handler has no user pointer; the child has one thread, and confines itself once. */
static struct {
    molt_confine_fault_fn *fn;
    void *user;
} confined;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    struct molt_port_registers regs;
    molt_port_registers(context, &regs);
    confined.fn(confined.user, signal, regs.pc, (uintptr_t)info->si_addr);
    /* The handler was for once (SA_RESETHAND): the signal comes back, or is sent. */
    raise(signal);
}

static int reset_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &plain, NULL); /* some can't be: they have their default anyway */
    /* If the thread has one, of its owner or a sanitizer, it stays. Without one, an overflow
     * of the stack isn't told to @fn, but ends the child all the same. */
    (void)molt_port_alt_stack_open();
    struct sigaction sa = {.sa_sigaction = on_fault,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
    sigset_t none;
    sigemptyset(&none);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        if (sigaction(faults[i], &sa, NULL) < 0)
            return -1;
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Both survive although one may have the number that the other is to get. */
static int replace_descriptors(int output_fd, int keep_fd)
{
    int output = fcntl(output_fd, F_DUPFD, KEEP_FD + 1);
    int keep = keep_fd < 0 ? -1 : fcntl(keep_fd, F_DUPFD, KEEP_FD + 1);
    int input = open("/dev/null", O_RDONLY);
    if (output < 0 || (keep_fd >= 0 && keep < 0) || input < 0)
        return -1;
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        return -1;
    if (keep >= 0 && dup2(keep, KEEP_FD) < 0)
        return -1;
    return close_range(keep >= 0 ? KEEP_FD + 1 : KEEP_FD, ~0u, 0);
}

int molt_confine(int output_fd, int keep_fd, molt_confine_fault_fn *fn, void *user)
{
    struct rlimit no_core = {0, 0};
    confined.fn = fn;
    confined.user = user;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
        return -1;
    if (replace_descriptors(output_fd, keep_fd) < 0 || reset_signals() < 0)
        return -1;
    return KEEP_FD;
}
