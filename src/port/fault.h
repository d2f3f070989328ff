/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Crash containment: a synchronous fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP) in
 * module code ends the flow that it happens in, not the OS process
 * (docs/design/preemption.md).
 *
 * The handler looks at all frames of the flow. Only if each of them is module
 * text (the innermost may be a string function of libc that keeps nothing) and
 * the caller agrees, the thread goes on in the context that entered the flow:
 * there molt_context_enter() returns, molt_fault_take() says what happened, and
 * the flow's context may only be forgotten. In every other case the handler
 * that was installed before gets the signal, as if this one didn't exist.
 *
 * SIGABRT is not contained: abort() is a library's word that its state is bad.
 * A signal that was sent (kill, raise) isn't a fault and is passed on.
 *
 * Threads: each thread inits and finis its own object. Locks: none.
 */
#ifndef MOLT_PORT_FAULT_H
#define MOLT_PORT_FAULT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/error.h>

#include "port/flow.h"
#include "port/interrupted.h"

#define MOLT_FAULT_PCS_MAX 64

enum molt_fault_kind {
    MOLT_FAULT_ACCESS,      /* SIGSEGV, SIGBUS: bad address */
    MOLT_FAULT_STACK,       /* stack overflow: the address is in the flow's guard */
    MOLT_FAULT_JUMP,        /* a call to where no code is; pcs[0] is that address */
    MOLT_FAULT_ARITHMETIC,  /* SIGFPE */
    MOLT_FAULT_INSTRUCTION, /* SIGILL, SIGTRAP, also __builtin_trap() */
};

struct molt_fault {
    enum molt_fault_kind kind;
    int signal, code;  /* si_signo, si_code */
    uintptr_t address; /* si_addr; 0 where the CPU doesn't say (non-canonical) */
    struct molt_flow *flow;
    size_t n_frames;                   /* of the flow */
    size_t n_pcs;                      /* of these, innermost first */
    uintptr_t pcs[MOLT_FAULT_PCS_MAX]; /* those after the first are return addresses */
};

/* Called in the handler, on the alternate stack of the thread concerned, all
 * signals blocked: must be async-signal-safe. running() and is_module_text()
 * are those of struct molt_preempt_hooks, but for is_module_text() it doesn't
 * matter whether a module counts its locks. */
struct molt_fault_hooks {
    struct molt_flow *(*running)(void *user);
    bool (*is_module_text)(void *user, uintptr_t pc);
    /* Last word, when all frames are module text: lock count, phase. */
    bool (*may_contain)(void *user, const struct molt_fault *fault);
};

struct molt_fault_thread {
    const struct molt_fault_hooks *hooks; /* borrowed */
    void *user;
    struct molt_float_control control; /* in force again after a fault */
    sigset_t mask;                     /* the same */
    volatile sig_atomic_t has_fault;   /* since the last take */
    struct molt_fault fault;
};

/* Put the handlers in front of those that are installed, which become the next
 * in line. Idempotent, any thread; to be called again after someone installed
 * handlers of their own (control/crash.h). */
int molt_fault_install(struct molt_error *err);

/* Contain faults of the calling thread from now on; it needs an alternate
 * signal stack. Control words and signal mask are noted: after a fault they are
 * as they are now. MOLT_EINVAL: no alternate stack. MOLT_EEXIST. */
int molt_fault_thread_init(struct molt_fault_thread *thread, const struct molt_fault_hooks *hooks,
                           void *user, struct molt_error *err);
/* On the same thread. */
void molt_fault_thread_fini(struct molt_fault_thread *thread);

/* After molt_context_enter() returned: did the flow end by a fault? Then true,
 * once, and *@ret (may be NULL) says which. Its context never goes on. */
static inline bool molt_fault_take(struct molt_fault_thread *thread, struct molt_fault *ret)
{
    if (__builtin_expect(!thread->has_fault, 1))
        return false;
    thread->has_fault = 0;
    if (ret)
        *ret = thread->fault;
    return true;
}

#endif
