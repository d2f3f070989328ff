/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Preemption: taking the processor from module code that computes, at any
 * instruction, without instrumentation (docs/design/preemption.md).
 *
 * A request is a signal to the thread. Its handler redirects the thread only if
 * it runs a flow, the interrupted pc and every frame down to molt_flow_call()
 * is module text, there is room on the stack, and the caller agrees. Then the
 * thread goes on in a trampoline on the interrupted stack, outside of the
 * handler, that saves all registers, calls yield(), and goes on as if nothing
 * had been when yield() returns. In every other case the request has no effect;
 * asking again at the next tick is the caller's.
 *
 * What is saved lies on the flow's stack above the sp of its suspended context,
 * in aligned words, so a conservative scan of the stack sees the registers.
 *
 * Threads: each thread inits and finis its own object; requests come from any
 * thread. Locks: none.
 */
#ifndef MOLT_PORT_PREEMPT_H
#define MOLT_PORT_PREEMPT_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <molt/error.h>

#include "port/flow.h"
#include "port/interrupted.h"

/* Urgent data on a socket, which hardly anyone asks to be told about: debuggers
 * let it pass without stopping, libc and libraries don't use it, its default
 * action is to do nothing, and unlike a real-time signal it doesn't queue up in
 * a thread that has it blocked. */
#define MOLT_PREEMPT_SIGNAL SIGURG

/* Frames that are kept for may_redirect(); the walk itself has no limit. */
#define MOLT_PREEMPT_PCS_MAX 16

struct molt_preempt_frames {
    struct molt_flow *flow;
    uintptr_t sp;                        /* at the interruption */
    size_t n_frames;                     /* all of them module text */
    size_t n_pcs;                        /* of these, innermost first */
    uintptr_t pcs[MOLT_PREEMPT_PCS_MAX]; /* those after the first are return addresses */
};

/*
 * The first three are called in a signal handler on the alternate stack of the
 * thread concerned, with preemption blocked: they must be async-signal-safe.
 */
struct molt_preempt_hooks {
    /* The flow that this thread runs now; NULL: none. May be stale, as long as
     * it can be read: it counts only if the interrupted sp is on its stack. */
    struct molt_flow *(*running)(void *user);
    /* May code at @pc be suspended: text of a module that was linked with the
     * wraps that count locks. For return addresses it is asked about the call. */
    bool (*is_module_text)(void *user, uintptr_t pc);
    /* Last word, when all else is fulfilled: lock count, phase. */
    bool (*may_redirect)(void *user, const struct molt_preempt_frames *frames);
    /* On the flow's stack, as if called by the module's code between two
     * instructions. An ordinary function: may switch contexts, allocate, lock.
     * Must return on the same thread, or never; keeps errno and molt_world.
     * Runs with the floating-point control words of molt_preempt_thread_init(). */
    void (*yield)(void *user);
};

/* What became of requests. */
enum molt_preempt_outcome {
    MOLT_PREEMPT_REDIRECTED,
    MOLT_PREEMPT_NO_FLOW, /* the runtime's own work */
    MOLT_PREEMPT_NOT_PC,  /* pc not in module text: library, thunk, runtime */
    MOLT_PREEMPT_NOT_ALL, /* a frame below it isn't, or can't be walked */
    MOLT_PREEMPT_NO_ROOM, /* too close to the end of the stack */
    MOLT_PREEMPT_DENIED,  /* may_redirect() said so */
    MOLT_PREEMPT_OUTCOMES,
};

struct molt_preempt_thread {
    const struct molt_preempt_hooks *hooks; /* borrowed */
    void *user;
    struct molt_float_control control; /* what yield() runs with */
    int tid;
    int syscall_fd; /* /proc/self/task/TID/syscall; -1: unknown */
    clockid_t cpu_clock;
    sigset_t mask_before;
    atomic_bool is_pending;
    atomic_ullong n_requests;
    atomic_ullong outcomes[MOLT_PREEMPT_OUTCOMES];
};

/* Handle the signal for the whole OS process. Idempotent, any thread, never
 * undone. MOLT_ENOTSUP with the reason where preemption can't work: under
 * ThreadSanitizer, on a CPU that isn't known. */
int molt_preempt_install(struct molt_error *err);

/* Let the calling thread be preempted; it needs an alternate signal stack.
 * @hooks stays readable until fini. MOLT_EINVAL: no alternate stack.
 * MOLT_EEXIST: the thread is inited already. */
int molt_preempt_thread_init(struct molt_preempt_thread *thread,
                             const struct molt_preempt_hooks *hooks, void *user,
                             struct molt_error *err);
/* On the same thread. The caller sees to it that no request is under way. */
void molt_preempt_thread_fini(struct molt_preempt_thread *thread);

/* Ask @thread to yield, from any thread (its own, too). 0: the signal is on its
 * way. MOLT_EBUSY: the last one hasn't arrived yet. MOLT_EDEAD: the thread is
 * gone. A system call that the signal meets may return EINTR even though
 * SA_RESTART is set: ask only threads that compute. */
int molt_preempt_request(struct molt_preempt_thread *thread);

/* Processor time that @thread has used; any thread. 0 if it is gone. */
uint64_t molt_preempt_cpu_ns(const struct molt_preempt_thread *thread);

/* Is @thread blocked in the kernel at this moment? A thread that computes but
 * doesn't get a processor is not. About a microsecond; any thread. */
enum molt_preempt_activity {
    MOLT_PREEMPT_COMPUTES,
    MOLT_PREEMPT_BLOCKED,
    MOLT_PREEMPT_UNKNOWN, /* no /proc, or the thread is gone */
};
enum molt_preempt_activity molt_preempt_activity(const struct molt_preempt_thread *thread);

#endif
