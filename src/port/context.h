/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Context switch: several stacks on one OS thread.
 *
 * A context is a suspended flow of control. Switching saves what the psABI
 * calls callee-saved general registers and the stack pointer, nothing else:
 * the floating-point control words stay with the OS thread. Unwinders (gdb,
 * backtrace) walk from a context through its entry into the context that
 * entered it last.
 *
 * Invariant: a context runs on one OS thread all its life, because compilers
 * keep addresses of thread-local variables across calls.
 *
 * Threads: a context belongs to one thread.
 */
#ifndef MOLT_PORT_CONTEXT_H
#define MOLT_PORT_CONTEXT_H

#include <stddef.h>

typedef void molt_context_entry(void *arg); /* never returns */

struct molt_context {
    void *sp;                    /* the assembler knows that this is at 0 */
    struct molt_context *caller; /* and that this is at 8 */
    void *stack;                 /* lowest usable address */
    size_t stack_bytes;
    molt_context_entry *entry;
    void *arg;
    void *fake_stack; /* for the sanitizers */
    void *tsan_fiber;
};

/* Describe the calling thread's own flow, so that it can be switched from. */
void molt_context_init_thread(struct molt_context *self);

/* A context that will run @entry(@arg) on [@stack, @stack + @bytes) when it is
 * entered. @stack is 16-byte aligned, @bytes a multiple of 16. */
void molt_context_init(struct molt_context *context, void *stack, size_t bytes,
                       molt_context_entry *entry, void *arg);

/* Forget a context that never runs again; its stack may be freed or used for
 * another one. */
void molt_context_fini(struct molt_context *context);

/* Suspend @from, which is the running one, and go on with @to, which notes
 * @from as its caller. Returns when somebody switches to @from. */
void molt_context_enter(struct molt_context *from, struct molt_context *to);

/* Suspend @from, which is the running one, and go on with its caller. */
void molt_context_leave(struct molt_context *from);

#endif
