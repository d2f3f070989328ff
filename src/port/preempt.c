/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "port/preempt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "port/handler.h"
#include "port/sanitize.h"
#include "port/walk.h"

/* What yield() may need of the interrupted stack. Instrumented frames are some
 * times larger. */
#ifdef MOLT_HAS_ASAN
#define YIELD_BYTES ((size_t)32 * 1024)
#else
#define YIELD_BYTES ((size_t)8 * 1024)
#endif

#ifdef MOLT_HAS_TSAN
#define IS_UNDER_TSAN true
#else
#define IS_UNDER_TSAN false
#endif

/* The handler belongs to the OS process and has no user pointer. */
static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction next;

/* Initial-exec: reading it in a handler must not allocate. */
static __thread struct molt_preempt_thread *self __attribute__((tls_model("initial-exec")));

/* ---- the handler ------------------------------------------------------------- */

static bool has_room(const struct molt_flow *flow, uintptr_t sp, const void *context)
{
    size_t left = sp - molt_walk_low(flow), room = molt_interrupted_room(context);
    return left > YIELD_BYTES && left - YIELD_BYTES > room;
}

static enum molt_preempt_outcome decide(struct molt_preempt_thread *t, void *context)
{
    const struct molt_preempt_hooks *hooks = t->hooks;
    struct molt_flow *flow = hooks->running(t->user);
    struct molt_preempt_frames frames;
    if (!flow || !flow->entry_sp)
        return MOLT_PREEMPT_NO_FLOW;
    struct molt_walk walk = {.is_module_text = hooks->is_module_text,
                             .user = t->user,
                             .pcs = frames.pcs,
                             .max = MOLT_PREEMPT_PCS_MAX};
    molt_unwind_init(&walk.at, context, molt_walk_low(flow), molt_walk_high(flow));
    frames.flow = flow;
    frames.sp = walk.at.regs[MOLT_UNWIND_SP];
    if (frames.sp <= walk.at.low || frames.sp >= walk.at.high)
        return MOLT_PREEMPT_NO_FLOW;
    if (!hooks->is_module_text(t->user, walk.at.pc))
        return MOLT_PREEMPT_NOT_PC;
    if (!has_room(flow, frames.sp, context))
        return MOLT_PREEMPT_NO_ROOM;
    if (!molt_walk(&walk, flow))
        return MOLT_PREEMPT_NOT_ALL;
    frames.n_frames = walk.n_frames;
    frames.n_pcs = walk.n_pcs;
    if (!hooks->may_redirect(t->user, &frames))
        return MOLT_PREEMPT_DENIED;
    molt_interrupted_redirect(context, t);
    return MOLT_PREEMPT_REDIRECTED;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    struct molt_preempt_thread *t = self;
    /* Acquire: pairs with the release in molt_preempt_request(). */
    if (t && info->si_code == SI_TKILL &&
        atomic_exchange_explicit(&t->is_pending, false, memory_order_acquire)) {
        enum molt_preempt_outcome outcome = decide(t, context);
        atomic_fetch_add_explicit(&t->outcomes[outcome], 1, memory_order_relaxed);
    } else {
        molt_handler_pass_on(&next, signal, info, context);
    }
    errno = saved;
}

/* ---- life ---------------------------------------------------------------------- */

int molt_preempt_install(struct molt_error *err)
{
    /* Its runtime defers asynchronous signals until the next call into it, so
     * the handler sees that call and not what was interrupted; and there it may
     * interrupt the runtime itself, whose locks our own accesses take. */
    if (IS_UNDER_TSAN)
        return molt_error_set(
            err, MOLT_ENOTSUP,
            "preemption doesn't work under ThreadSanitizer, which defers signals");
    if (!molt_interrupted_is_supported())
        return molt_error_set(err, MOLT_ENOTSUP, "preemption isn't there for this CPU yet");
    sigset_t none;
    sigemptyset(&none);
    pthread_mutex_lock(&install_lock);
    int error = molt_handler_install(MOLT_PREEMPT_SIGNAL, on_signal, &none, &next);
    pthread_mutex_unlock(&install_lock);
    if (error)
        return molt_error_set(err, MOLT_EIO, "preemption: sigaction: %s", strerror(error));
    return 0;
}

static int open_syscall_file(int tid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int molt_preempt_thread_init(struct molt_preempt_thread *thread,
                             const struct molt_preempt_hooks *hooks, void *user,
                             struct molt_error *err)
{
    if (self)
        return molt_error_set(err, MOLT_EEXIST, "preemption: the thread is known already");
    if (!molt_handler_has_stack())
        return molt_error_set(err, MOLT_EINVAL,
                              "preemption: the thread has no alternate signal stack");
    memset(thread, 0, sizeof(*thread));
    thread->hooks = hooks;
    thread->user = user;
    thread->tid = gettid();
    thread->syscall_fd = open_syscall_file(thread->tid);
    int error = pthread_getcpuclockid(pthread_self(), &thread->cpu_clock);
    if (error) {
        close(thread->syscall_fd);
        return molt_error_set(err, MOLT_EIO, "preemption: the thread's clock: %s", strerror(error));
    }
    molt_float_control_get(&thread->control);
    self = thread;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, MOLT_PREEMPT_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, &thread->mask_before);
    return 0;
}

void molt_preempt_thread_fini(struct molt_preempt_thread *thread)
{
    if (self != thread)
        return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, MOLT_PREEMPT_SIGNAL);
    if (sigismember(&thread->mask_before, MOLT_PREEMPT_SIGNAL) == 1)
        pthread_sigmask(SIG_BLOCK, &set, NULL);
    self = NULL;
    if (thread->syscall_fd >= 0)
        close(thread->syscall_fd);
    thread->syscall_fd = -1;
}

/* ---- asking ---------------------------------------------------------------------- */

int molt_preempt_request(struct molt_preempt_thread *thread)
{
    if (atomic_exchange_explicit(&thread->is_pending, true, memory_order_release))
        return MOLT_EBUSY;
    atomic_fetch_add_explicit(&thread->n_requests, 1, memory_order_relaxed);
    if (tgkill(getpid(), thread->tid, MOLT_PREEMPT_SIGNAL) == 0)
        return 0;
    atomic_store_explicit(&thread->is_pending, false, memory_order_release);
    return MOLT_EDEAD;
}

uint64_t molt_preempt_cpu_ns(const struct molt_preempt_thread *thread)
{
    struct timespec now;
    if (clock_gettime(thread->cpu_clock, &now) < 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* "running", or the number of the system call and its arguments, or "-1" when it
 * is blocked elsewhere, in a page fault (proc(5)). */
enum molt_preempt_activity molt_preempt_activity(const struct molt_preempt_thread *thread)
{
    char first;
    if (thread->tid == gettid())
        return MOLT_PREEMPT_COMPUTES;
    if (thread->syscall_fd < 0 || pread(thread->syscall_fd, &first, 1, 0) != 1)
        return MOLT_PREEMPT_UNKNOWN;
    return first == 'r' ? MOLT_PREEMPT_COMPUTES : MOLT_PREEMPT_BLOCKED;
}
