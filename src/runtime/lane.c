/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/lane.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/after.h"
#include "runtime/rt.h"
#include "runtime/socket.h"
#include "runtime/worker.h"

#include <molt/net.h>

#define EVENTS_MAX MOLT_LIMIT(256, 2)
#define STEAL_MAX MOLT_LIMIT(64, 1)
/* One alone is about to be run where it is, with its memory in the right cache. */
#define STEAL_MIN MOLT_LIMIT(2, 1)
/* So many in a queue are worth waking another worker, which takes as long as
 * running a hundred of them. */
#define CROWD MOLT_LIMIT(64, 2)
/* Timers that expire between two looks at the queue, which takes at most as many
 * processes. */
#define EXPIRIES MOLT_LIMIT(64, 1)
/* Processes of higher priority before one of low priority has its turn. */
#define PATIENCE 8

enum { HIGH, NORMAL, LOW };

/* ---- queues --------------------------------------------------------------------- */

void molt_queue_append(struct molt_queue *queue, struct molt_process *p)
{
    p->run_next = NULL;
    if (queue->first)
        queue->last->run_next = p;
    else
        queue->first = p;
    queue->last = p;
}

struct molt_process *molt_queue_take(struct molt_queue *queue)
{
    struct molt_process *p = queue->first;
    if (p)
        queue->first = p->run_next;
    return p;
}

static unsigned queue_of(const struct molt_process *p)
{
    return p->priority == MOLT_PRIORITY_HIGH  ? HIGH
           : p->priority == MOLT_PRIORITY_LOW ? LOW
                                              : NORMAL;
}

/* Under the lock. */
static void count(struct molt_lane *lane, unsigned add)
{
    unsigned n = atomic_load_explicit(&lane->n_queued, memory_order_relaxed);
    atomic_store_explicit(&lane->n_queued, n + add, memory_order_relaxed);
}

static void ring(struct molt_lane *lane)
{
    uint64_t one = 1;
    ssize_t rc = write(lane->event, &one, sizeof(one));
    (void)rc; /* the counter is full: then it is readable, too */
}

void molt_lane_wake(struct molt_lane *lane)
{
    molt_hostile_gap();
    if (atomic_load(&lane->is_asleep) && atomic_exchange(&lane->is_asleep, false))
        ring(lane);
}

void molt_lane_call_help(struct molt_lane *lane)
{
    struct molt_runtime *rt = lane->rt;
    if (atomic_load_explicit(&rt->n_asleep, memory_order_relaxed) == 0)
        return;
    for (unsigned i = 1; i < rt->n_workers; i++) {
        struct molt_lane *other = &rt->lanes[(lane->index + i) % rt->n_workers];
        if (atomic_load_explicit(&other->is_asleep, memory_order_relaxed)) {
            molt_lane_wake(other);
            return;
        }
    }
}

/* Of this thread, if it runs @lane. */
static struct molt_worker *my_worker(const struct molt_lane *lane)
{
    const struct molt_runner *runner = molt_runner_here();
    struct molt_worker *w = runner ? runner->worker : NULL;
    return w && atomic_load_explicit(&w->lane, memory_order_relaxed) == lane ? w : NULL;
}

static bool is_mine(const struct molt_lane *lane)
{
    return my_worker(lane) != NULL;
}

void molt_lane_put(struct molt_lane *lane, struct molt_process *p)
{
    bool is_own = is_mine(lane);
    molt_spin_lock(&lane->lock);
    molt_queue_append(&lane->queues[queue_of(p)], p);
    unsigned n;
    if (is_own) {
        count(lane, 1);
        n = atomic_load_explicit(&lane->n_queued, memory_order_relaxed);
    } else {
        /* Seq_cst: the sleeper sets is_asleep and then looks at n_queued; here
         * it is the other way round. */
        n = atomic_fetch_add(&lane->n_queued, 1) + 1;
    }
    molt_spin_unlock(&lane->lock);
    if (!is_own)
        molt_lane_wake(lane);
    if (n >= CROWD)
        molt_lane_call_help(lane);
}

/* The first in the queue of a lane whose worker is awake is left to that worker
 * anyway: it needs no place in the queue, and no lock. The order stays the same,
 * because nobody is in the queue then. */
void molt_lane_push(struct molt_lane *lane, struct molt_process *p)
{
    struct molt_worker *w = my_worker(lane);
    if (w && queue_of(p) == NORMAL &&
        atomic_load_explicit(&lane->n_queued, memory_order_relaxed) == 0 &&
        !atomic_load_explicit(&w->next, memory_order_relaxed))
        /* Release: pairs with the exchange of the monitor. */
        atomic_store_explicit(&w->next, p, memory_order_release);
    else
        molt_lane_put(lane, p);
}

static struct molt_process *pick(struct molt_lane *lane)
{
    struct molt_queue *q = lane->queues;
    struct molt_process *p = NULL;
    if (q[LOW].first && lane->n_skipped >= PATIENCE)
        p = molt_queue_take(&q[LOW]);
    if (p) {
        lane->n_skipped = 0;
        return p;
    }
    p = molt_queue_take(&q[HIGH]);
    if (!p)
        p = molt_queue_take(&q[NORMAL]);
    if (!p)
        return molt_queue_take(&q[LOW]);
    lane->n_skipped++;
    return p;
}

struct molt_process *molt_lane_pop(struct molt_lane *lane)
{
    if (atomic_load_explicit(&lane->n_queued, memory_order_relaxed) == 0)
        return NULL;
    molt_spin_lock(&lane->lock);
    struct molt_process *p = pick(lane);
    if (p)
        count(lane, -1u);
    molt_spin_unlock(&lane->lock);
    return p;
}

struct molt_process *molt_lane_pop_high(struct molt_lane *lane)
{
    if (__builtin_expect(atomic_load_explicit(&lane->n_queued, memory_order_relaxed) == 0, 1))
        return NULL;
    molt_spin_lock(&lane->lock);
    struct molt_process *p = molt_queue_take(&lane->queues[HIGH]);
    if (p)
        count(lane, -1u);
    lane->n_skipped++;
    molt_spin_unlock(&lane->lock);
    return p;
}

unsigned molt_lane_steal(struct molt_lane *from, struct molt_lane *to)
{
    struct molt_process *taken[STEAL_MAX];
    unsigned n = 0;
    unsigned min = atomic_load_explicit(&from->is_stuck, memory_order_relaxed) ? 1 : STEAL_MIN;
    if (atomic_load_explicit(&from->n_queued, memory_order_relaxed) < min)
        return 0;
    molt_spin_lock(&from->lock);
    unsigned queued = atomic_load_explicit(&from->n_queued, memory_order_relaxed);
    unsigned want = (queued + 1) / 2;
    while (n < want && n < STEAL_MAX && (taken[n] = pick(from)))
        n++;
    count(from, -n);
    molt_spin_unlock(&from->lock);
    molt_spin_lock(&to->lock);
    for (unsigned i = 0; i < n; i++) {
        atomic_store_explicit(&taken[i]->lane, to, memory_order_relaxed);
        molt_queue_append(&to->queues[queue_of(taken[i])], taken[i]);
    }
    count(to, n);
    molt_spin_unlock(&to->lock);
    return n;
}

struct molt_lane *molt_lane_here(const struct molt_process *p)
{
    const struct molt_runner *runner = molt_runner_here();
    struct molt_lane *lane = runner && runner->worker ? molt_worker_lane(runner->worker) : NULL;
    return lane ? lane : atomic_load_explicit(&p->lane, memory_order_relaxed);
}

void molt_lane_start_timer(const struct molt_process *p, struct molt_timer *timer,
                           uint64_t deadline_ns, const struct molt_timer_event *event)
{
    struct molt_lane *lane = molt_lane_here(p);
    molt_timer_start(&lane->timers, timer, deadline_ns, event);
    /* An exchange, which is a full barrier: who sleeps sets is_asleep and then
     * looks at the timers, here it is the other way round. */
    if (!is_mine(lane) && atomic_exchange(&lane->is_asleep, false))
        ring(lane);
}

/* ---- timers ---------------------------------------------------------------------- */

void molt_lane_run_timers(struct molt_lane *lane, uint64_t now_ns)
{
    struct molt_timer_event event;
    struct molt_runner *runner = molt_runner_here();
    if (!molt_timers_are_due(&lane->timers, now_ns))
        return;
    /* Online, so that a grace period waits for messages that are on their way. */
    if (runner)
        molt_participant_boundary(runner->participant, lane->rt->current);
    /* No more at once, so that those who are woken have their turn in between. */
    for (int i = 0; i < EXPIRIES && molt_timer_expire(&lane->timers, now_ns, &event); i++)
        molt_timer_event_run(lane->rt, &event);
}

/* ---- descriptors ------------------------------------------------------------------ */

int molt_lane_watch(struct molt_lane *lane, int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = data};
    if (epoll_ctl(lane->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return errno == ENOMEM || errno == ENOSPC ? MOLT_ENOMEM : MOLT_EINVAL;
    atomic_fetch_add_explicit(&lane->n_fds, 1, memory_order_relaxed);
    return 0;
}

void molt_lane_unwatch(struct molt_lane *lane, int fd)
{
    /* Explicitly, because a duplicate of the descriptor would keep it in. */
    epoll_ctl(lane->epoll, EPOLL_CTL_DEL, fd, NULL);
    atomic_fetch_sub_explicit(&lane->n_fds, 1, memory_order_relaxed);
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

bool molt_lane_poll(struct molt_lane *lane, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    bool is_woken = false;
    int n = epoll_wait(lane->epoll, events, EVENTS_MAX, timeout_ms);
    /* Awake: whom the events below wake needs no eventfd. */
    if (timeout_ms != 0)
        is_woken = !atomic_exchange(&lane->is_asleep, false);
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64) {
            molt_socket_note(lane, events[i].data.u64, readiness(events[i].events));
            continue;
        }
        uint64_t count_of_wakes;
        ssize_t rc = read(lane->event, &count_of_wakes, sizeof(count_of_wakes));
        (void)rc; /* only empties it */
    }
    return is_woken;
}

/* ---- life -------------------------------------------------------------------------- */

int molt_lane_init(struct molt_lane *lane, struct molt_runtime *rt, unsigned index)
{
    lane->rt = rt;
    lane->index = index;
    molt_spin_init(&lane->lock);
    molt_timers_init(&lane->timers);
    lane->epoll = epoll_create1(EPOLL_CLOEXEC);
    lane->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
    if (lane->epoll >= 0 && lane->event >= 0 &&
        epoll_ctl(lane->epoll, EPOLL_CTL_ADD, lane->event, &event) == 0)
        return 0;
    molt_lane_fini(lane);
    return MOLT_EIO;
}

void molt_lane_fini(struct molt_lane *lane)
{
    if (lane->epoll >= 0)
        close(lane->epoll);
    if (lane->event >= 0)
        close(lane->event);
    lane->epoll = lane->event = -1;
}
