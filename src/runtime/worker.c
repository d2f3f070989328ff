/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "port/alt_stack.h"
#include "port/limits.h"
#include "runtime/rt.h"

#include <molt/net.h>

/* Processes run between two looks at descriptors and timers. */
#define BATCH MOLT_LIMIT(32, 1)
#define EVENTS_MAX MOLT_LIMIT(256, 2)
#define STARVED_MS 5

struct molt_worker *molt_worker_at(struct molt_runtime *rt, unsigned index)
{
    return &rt->workers[index];
}

/* ---- queue ------------------------------------------------------------------ */

void molt_worker_wake_up(struct molt_worker *w)
{
    /* Seq_cst: the sleeper sets is_asleep and then looks at the queue; who
     * pushes does it the other way round. */
    molt_hostile_gap();
    if (!atomic_load(&w->is_asleep))
        return;
    uint64_t one = 1;
    ssize_t rc = write(w->event, &one, sizeof(one));
    (void)rc; /* the counter is full: then it is readable, too */
}

void molt_worker_push(struct molt_worker *w, struct molt_process *p)
{
    pthread_mutex_lock(&w->queue_lock);
    molt_list_append(&w->queue, &p->run_link);
    w->n_queued++;
    pthread_mutex_unlock(&w->queue_lock);
    molt_worker_wake_up(w);
}

static struct molt_process *pop(struct molt_worker *w)
{
    struct molt_process *p = NULL;
    pthread_mutex_lock(&w->queue_lock);
    if (!molt_list_is_empty(&w->queue)) {
        p = molt_container_of(w->queue.next, struct molt_process, run_link);
        molt_list_unlink(&p->run_link);
        w->n_queued--;
    }
    pthread_mutex_unlock(&w->queue_lock);
    return p;
}

static bool has_queued(struct molt_worker *w)
{
    pthread_mutex_lock(&w->queue_lock);
    bool has = w->n_queued > 0;
    pthread_mutex_unlock(&w->queue_lock);
    return has;
}

static void run_batch(struct molt_worker *w)
{
    for (int i = 0; i < BATCH && !w->is_starved; i++) {
        struct molt_process *p = pop(w);
        if (!p)
            return;
        molt_worker_run(w, p);
    }
}

/* ---- timers ----------------------------------------------------------------- */

static void expire_wait(struct molt_process *p)
{
    int rc = p->wait.kind == MOLT_WAIT_SLEEP ? 0 : MOLT_ETIMEDOUT;
    molt_process_complete(p->rt, atomic_load_explicit(&p->pid, memory_order_relaxed), p->wait.ref,
                          rc, NULL);
}

static void expire_timeout(struct molt_process *p)
{
    pthread_mutex_lock(&p->lock);
    p->is_timeout_due = true;
    molt_process_wake(p);
    pthread_mutex_unlock(&p->lock);
}

static void run_timers(struct molt_worker *w)
{
    if (!w->timers.root)
        return;
    uint64_t now = molt_clock_ns();
    struct molt_timer *timer;
    while ((timer = molt_timer_expire(&w->timers, now))) {
        /* Sequence numbers keep the two kinds in the order of their deadlines. */
        if (timer->is_timeout)
            expire_timeout(molt_container_of(timer, struct molt_process, timeout_timer));
        else
            expire_wait(molt_container_of(timer, struct molt_process, wait_timer));
    }
}

/* ---- descriptors -------------------------------------------------------------- */

int molt_worker_attach(struct molt_worker *w, struct molt_process *p, int fd)
{
    if (p->fd >= 0)
        return MOLT_EEXIST;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = atomic_load_explicit(&p->pid, memory_order_relaxed)};
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        if (errno == EEXIST)
            return MOLT_EEXIST;
        return errno == ENOMEM || errno == ENOSPC ? MOLT_ENOMEM : MOLT_EINVAL;
    }
    p->fd = fd;
    w->n_fds++;
    return 0;
}

void molt_worker_detach(struct molt_worker *w, struct molt_process *p)
{
    if (p->fd < 0)
        return;
    /* Explicitly, because a duplicate of the descriptor would keep it in. */
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, p->fd, NULL);
    close(p->fd);
    p->fd = -1;
    w->n_fds--;
}

static unsigned readiness(uint32_t events)
{
    unsigned ready = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ready |= MOLT_NET_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= MOLT_NET_WRITE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ready |= MOLT_NET_HANGUP;
    return ready;
}

static void note_ready(struct molt_worker *w, molt_pid pid, uint32_t events)
{
    struct molt_process *p = molt_process_find(w->rt, pid);
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    if (atomic_load_explicit(&p->pid, memory_order_relaxed) == pid && p->fd >= 0) {
        p->ready |= readiness(events);
        molt_process_wake(p);
    }
    pthread_mutex_unlock(&p->lock);
}

static void poll_events(struct molt_worker *w, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(w->epoll, events, EVENTS_MAX, timeout_ms);
    /* Awake: whom the events below wake needs no eventfd. */
    atomic_store(&w->is_asleep, false);
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64) {
            note_ready(w, events[i].data.u64, events[i].events);
            continue;
        }
        uint64_t count;
        ssize_t rc = read(w->event, &count, sizeof(count));
        (void)rc; /* only empties it */
    }
}

/* ---- the loop ------------------------------------------------------------------ */

static void sleep_until_work(struct molt_worker *w)
{
    molt_participant_offline(&w->participant);
    atomic_store(&w->is_asleep, true); /* pairs with molt_worker_wake_up() */
    molt_hostile_gap();
    if ((!has_queued(w) || w->is_starved) && !atomic_load(&w->rt->is_stopping)) {
        int ms = w->timers.root ? molt_timer_wait_ms(&w->timers, molt_clock_ns()) : -1;
        if (w->is_starved && (ms < 0 || ms > STARVED_MS))
            ms = STARVED_MS;
        poll_events(w, ms);
    }
    atomic_store(&w->is_asleep, false);
    w->is_starved = false;
}

static void *thread_main(void *arg)
{
    struct molt_worker *w = arg;
    void *alt_stack = molt_port_alt_stack_open();
    molt_runner_set(&w->runner);
    molt_context_init_thread(&w->context);
    while (!atomic_load_explicit(&w->rt->is_stopping, memory_order_acquire)) {
        run_batch(w);
        run_timers(w);
        if (!has_queued(w) || w->is_starved)
            sleep_until_work(w);
        else if (w->n_fds > 0)
            poll_events(w, 0);
    }
    molt_participant_offline(&w->participant);
    molt_runner_set(NULL);
    molt_port_alt_stack_close(alt_stack);
    return NULL;
}

/* A thread that fails has to be able to say where, see control/crash.h: these
 * would end the process without a handler if they were blocked. */
static void keep_faults(sigset_t *set)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(set, faults[i]);
}

int molt_worker_start(struct molt_worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    keep_faults(&all);
    /* Signals are for the host's own threads. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, thread_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->is_started = rc == 0;
    return rc == 0 ? 0 : MOLT_ENOMEM;
}

void molt_worker_join(struct molt_worker *w)
{
    if (!w->is_started)
        return;
    molt_worker_wake_up(w);
    pthread_join(w->thread, NULL);
    w->is_started = false;
}

int molt_worker_init(struct molt_worker *w, struct molt_runtime *rt, unsigned index)
{
    w->rt = rt;
    w->index = index;
    pthread_mutex_init(&w->queue_lock, NULL);
    molt_list_init(&w->queue);
    molt_fiber_pool_init(&w->fibers, rt->config.stack_bytes);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
    if (w->epoll < 0 || w->event < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->event, &event) < 0) {
        if (w->epoll >= 0)
            close(w->epoll);
        if (w->event >= 0)
            close(w->event);
        pthread_mutex_destroy(&w->queue_lock);
        return MOLT_EIO;
    }
    char name[32];
    snprintf(name, sizeof(name), "worker %u", index);
    molt_code_join(rt->code, &w->participant, name, false);
    molt_runner_init(&w->runner, rt, &w->participant);
    w->runner.worker = w;
    return 0;
}

void molt_worker_fini(struct molt_worker *w)
{
    molt_fiber_pool_fini(&w->fibers);
    molt_runner_fini(&w->runner);
    molt_code_leave(w->rt->code, &w->participant);
    close(w->epoll);
    close(w->event);
    pthread_mutex_destroy(&w->queue_lock);
}
