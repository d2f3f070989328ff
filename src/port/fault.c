/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/fault.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <ucontext.h>

#include "port/handler.h"
#include "port/leaf.h"
#include "port/preempt.h"
#include "port/walk.h"

/* SIGTRAP is what a trap instruction of the compiler raises on some CPUs. */
static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
#define N_SIGNALS (sizeof(signals) / sizeof(*signals))

/* Handlers belong to the OS process and have no user pointer. */
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction next[N_SIGNALS];

/* Initial-exec: reading it in a handler must not allocate. */
static __thread struct molt_fault_thread *self __attribute__((tls_model("initial-exec")));

/* ---- what happened ---------------------------------------------------------------- */

/* Touching the guard itself, not merely with sp near it: the address is what
 * says that the stack ended there. */
static bool is_in_guard(const struct molt_flow *flow, uintptr_t address)
{
    uintptr_t low = molt_walk_low(flow);
    return address < low && address >= low - flow->guard_bytes;
}

static enum molt_fault_kind kind_of(const struct molt_fault *f, const void *context)
{
    if (f->signal == SIGFPE)
        return MOLT_FAULT_ARITHMETIC;
    if (f->signal == SIGILL || f->signal == SIGTRAP)
        return MOLT_FAULT_INSTRUCTION;
    if (molt_interrupted_is_fetch(context))
        return MOLT_FAULT_JUMP;
    if (f->signal == SIGSEGV && is_in_guard(f->flow, f->address))
        return MOLT_FAULT_STACK;
    return MOLT_FAULT_ACCESS;
}

/* Broken memory (SIGBUS) is not the module's doing. */
static bool is_of_hardware(const siginfo_t *info)
{
    return info->si_signo == SIGBUS &&
           (info->si_code == BUS_MCEERR_AO || info->si_code == BUS_MCEERR_AR);
}

/* The first frame is where a call led to. */
static bool step_over_jump(struct molt_walk *w)
{
    molt_walk_keep(w, w->at.pc);
    return molt_unwind_leave_call(&w->at);
}

static bool step_over_leaf(struct molt_walk *w)
{
    molt_walk_keep(w, w->at.pc);
    return molt_unwind_step(&w->at);
}

static bool walk(struct molt_fault_thread *t, struct molt_fault *f, const void *context)
{
    struct molt_walk w = {.is_module_text = t->hooks->is_module_text,
                          .user = t->user,
                          .pcs = f->pcs,
                          .max = MOLT_FAULT_PCS_MAX};
    molt_unwind_init(&w.at, context, molt_walk_low(f->flow), molt_walk_high(f->flow));
    uintptr_t sp = w.at.regs[MOLT_UNWIND_SP];
    if (sp < w.at.low - f->flow->guard_bytes || sp >= w.at.high)
        return false;
    bool is_fine = true;
    if (f->kind == MOLT_FAULT_JUMP)
        is_fine = step_over_jump(&w);
    else if (molt_leaf_is_pure(w.at.pc))
        is_fine = step_over_leaf(&w);
    is_fine = is_fine && molt_walk(&w, f->flow);
    f->n_frames = w.n_frames;
    f->n_pcs = w.n_pcs;
    return is_fine;
}

/* ---- the handler -------------------------------------------------------------------- */

static bool contain(struct molt_fault_thread *t, const siginfo_t *info, void *context)
{
    struct molt_fault *f = &t->fault;
    struct molt_flow *flow = t->hooks->running(t->user);
    if (t->has_fault || !flow || !flow->entry_sp || is_of_hardware(info))
        return false;
    f->signal = info->si_signo;
    f->code = info->si_code;
    f->address = (uintptr_t)info->si_addr;
    f->flow = flow;
    f->kind = kind_of(f, context);
    if (!walk(t, f, context) || !t->hooks->may_contain(t->user, f))
        return false;
    t->has_fault = 1;
    flow->entry_sp = 0;
    molt_interrupted_leave(context, flow->context, &t->control);
    ((ucontext_t *)context)->uc_sigmask = t->mask;
    return true;
}

/* Nobody else handles it: the default action takes place when we return, at the
 * very instruction, or by the signal sent anew. */
static void give_up(int signal, const siginfo_t *info)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    sigaction(signal, &sa, NULL);
    if (info->si_code <= 0)
        raise(signal);
}

static void pass_on(int signal, siginfo_t *info, void *context)
{
    for (size_t i = 0; i < N_SIGNALS; i++) {
        if (signals[i] != signal || molt_handler_pass_on(&next[i], signal, info, context))
            continue;
        /* A fault can't be ignored; a signal that was sent can. */
        if (info->si_code > 0 || next[i].sa_handler != SIG_IGN)
            give_up(signal, info);
    }
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    struct molt_fault_thread *t = self;
    /* Codes above 0 are the kernel's (sigaction(2)). */
    if (!t || info->si_code <= 0 || !contain(t, info, context))
        pass_on(signal, info, context);
    errno = saved;
}

/* ---- life ------------------------------------------------------------------------------ */

int molt_fault_install(struct molt_error *err)
{
    if (!molt_interrupted_is_supported())
        return molt_error_set(err, MOLT_ENOTSUP, "crash containment isn't there for this CPU yet");
    sigset_t all;
    sigfillset(&all);
    int error = 0;
    pthread_mutex_lock(&install_lock);
    molt_leaf_init();
    for (size_t i = 0; i < N_SIGNALS && !error; i++)
        error = molt_handler_install(signals[i], on_signal, &all, &next[i]);
    pthread_mutex_unlock(&install_lock);
    if (error)
        return molt_error_set(err, MOLT_EIO, "crash containment: sigaction: %s", strerror(error));
    return 0;
}

int molt_fault_thread_init(struct molt_fault_thread *thread, const struct molt_fault_hooks *hooks,
                           void *user, struct molt_error *err)
{
    if (self)
        return molt_error_set(err, MOLT_EEXIST, "crash containment: the thread is known already");
    if (!molt_handler_has_stack())
        return molt_error_set(err, MOLT_EINVAL,
                              "crash containment: the thread has no alternate signal stack");
    memset(thread, 0, sizeof(*thread));
    thread->hooks = hooks;
    thread->user = user;
    molt_float_control_get(&thread->control);
    pthread_sigmask(SIG_BLOCK, NULL, &thread->mask);
    /* Whichever of the two the thread inits first: a fault doesn't end its
     * being preempted. */
    sigdelset(&thread->mask, MOLT_PREEMPT_SIGNAL);
    self = thread;
    return 0;
}

void molt_fault_thread_fini(struct molt_fault_thread *thread)
{
    if (self == thread)
        self = NULL;
}
