/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
#include "runtime/socket.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/fiber.h"
#include "runtime/lane.h"
#include "runtime/rt.h"
#include "runtime/wait.h"

#define GENERATION_SHIFT 32
#define NEWS (MOLT_SOCKET_READY << MOLT_SOCKET_NEWS_SHIFT)

/* ---- table --------------------------------------------------------------------- */

void molt_sockets_init(struct molt_sockets *sockets)
{
    pthread_mutex_init(&sockets->lock, NULL);
}

void molt_sockets_fini(struct molt_sockets *sockets)
{
    for (size_t i = 0; i < MOLT_SOCKET_SEGMENTS_MAX; i++)
        free(atomic_load_explicit(&sockets->segments[i], memory_order_relaxed));
    pthread_mutex_destroy(&sockets->lock);
}

static struct molt_socket *slot_of(struct molt_runtime *rt, unsigned fd)
{
    if (fd / MOLT_SOCKET_SEGMENT >= MOLT_SOCKET_SEGMENTS_MAX)
        return NULL;
    /* Acquire: pairs with grow(). */
    struct molt_socket *segment =
        atomic_load_explicit(&rt->sockets.segments[fd / MOLT_SOCKET_SEGMENT], memory_order_acquire);
    return segment ? &segment[fd % MOLT_SOCKET_SEGMENT] : NULL;
}

static int grow(struct molt_sockets *sockets, unsigned fd)
{
    unsigned i = fd / MOLT_SOCKET_SEGMENT, first = i * MOLT_SOCKET_SEGMENT;
    if (i >= MOLT_SOCKET_SEGMENTS_MAX)
        return MOLT_ELIMIT;
    int rc = 0;
    pthread_mutex_lock(&sockets->lock);
    if (!atomic_load_explicit(&sockets->segments[i], memory_order_relaxed)) {
        struct molt_socket *segment = calloc(MOLT_SOCKET_SEGMENT, sizeof(*segment));
        for (unsigned k = 0; segment && k < MOLT_SOCKET_SEGMENT; k++)
            segment[k].fd = (int)(first + k);
        atomic_store_explicit(&sockets->segments[i], segment, memory_order_release);
        rc = segment ? 0 : MOLT_ENOMEM;
    }
    pthread_mutex_unlock(&sockets->lock);
    return rc;
}

struct molt_socket *molt_socket_find(struct molt_process *p, int fd)
{
    struct molt_socket *s = fd >= 0 ? slot_of(p->rt, (unsigned)fd) : NULL;
    bool is_mine =
        s && atomic_load_explicit(&s->owner, memory_order_relaxed) == molt_process_pid(p);
    return is_mine ? s : NULL;
}

bool molt_socket_is_owned(struct molt_runtime *rt, int fd)
{
    struct molt_socket *s = fd >= 0 ? slot_of(rt, (unsigned)fd) : NULL;
    return s && atomic_load_explicit(&s->owner, memory_order_relaxed) != 0;
}

/* ---- the word -------------------------------------------------------------------- */

static uint64_t word_of(const struct molt_socket *s)
{
    return atomic_load(&s->word);
}

/* Another generation, never 0, with @events. */
static void renew(struct molt_socket *s, unsigned events)
{
    uint32_t generation = (uint32_t)(word_of(s) >> GENERATION_SHIFT) + 1;
    generation += generation == 0;
    atomic_store(&s->word, (uint64_t)generation << GENERATION_SHIFT | events);
}

/* A stackless process runs where its socket is: there its next event comes. */
static void follow(struct molt_process *p, struct molt_lane *lane)
{
    if (atomic_load_explicit(&p->lane, memory_order_relaxed) != lane)
        atomic_store_explicit(&p->lane, lane, memory_order_relaxed);
}

void molt_socket_note(struct molt_lane *lane, uint64_t data, unsigned events)
{
    struct molt_runtime *rt = lane->rt;
    struct molt_socket *s = slot_of(rt, (uint32_t)data);
    uint64_t old = atomic_load_explicit(&s->word, memory_order_relaxed), new;
    do {
        if (old >> GENERATION_SHIFT != data >> GENERATION_SHIFT)
            return;
        new = old | events | events << MOLT_SOCKET_NEWS_SHIFT;
        /* Seq_cst, before the signal: who waits takes the signal away and then
         * looks at the word. */
    } while (!atomic_compare_exchange_weak(&s->word, &old, new));
    /* If it has another owner by now, that one looks in vain. */
    molt_pid pid = atomic_load_explicit(&s->owner, memory_order_relaxed);
    struct molt_process *p = pid ? molt_process_find(rt, pid) : NULL;
    if (!p)
        return;
    follow(p, lane);
    molt_process_signal(p, MOLT_DO_READY);
}

unsigned molt_socket_expect(struct molt_socket *s, unsigned events)
{
    return (unsigned)atomic_fetch_and(&s->word, ~(uint64_t)events);
}

void molt_socket_allow(struct molt_socket *s, unsigned events)
{
    atomic_fetch_or_explicit(&s->word, events, memory_order_relaxed);
}

static int watch(struct molt_socket *s, struct molt_lane *lane)
{
    if (s->lane)
        return 0;
    uint64_t generation = word_of(s) >> GENERATION_SHIFT << GENERATION_SHIFT;
    int rc = molt_lane_watch(lane, s->fd, generation | (unsigned)s->fd);
    if (rc == 0)
        s->lane = lane;
    return rc;
}

int molt_socket_watch(struct molt_process *p, struct molt_socket *s)
{
    return watch(s, molt_lane_here(p));
}

/* The lane with the fewest sockets, for one that begins a life of its own. */
static struct molt_lane *emptiest(struct molt_runtime *rt)
{
    struct molt_lane *best = &rt->lanes[0];
    unsigned least = atomic_load_explicit(&best->n_fds, memory_order_relaxed);
    for (unsigned i = 1; i < rt->n_workers; i++) {
        unsigned n = atomic_load_explicit(&rt->lanes[i].n_fds, memory_order_relaxed);
        if (n >= least)
            continue;
        least = n;
        best = &rt->lanes[i];
    }
    return best;
}

static void unwatch(struct molt_socket *s)
{
    if (s->lane)
        molt_lane_unwatch(s->lane, s->fd);
    s->lane = NULL;
}

/* ---- owners ------------------------------------------------------------------------ */

/* False if @p may not have any. */
static bool push(struct molt_process *p, struct molt_socket *s)
{
    struct molt_socket *first = atomic_load_explicit(&p->sockets, memory_order_relaxed);
    do {
        if (first == MOLT_SOCKETS_CLOSED)
            return false;
        s->next = first;
        /* Release: pairs with list_of(). */
    } while (!atomic_compare_exchange_weak_explicit(&p->sockets, &first, s, memory_order_release,
                                                    memory_order_relaxed));
    return true;
}

static struct molt_socket *list_of(struct molt_process *p)
{
    return atomic_load_explicit(&p->sockets, memory_order_acquire);
}

/* By the owner; others may push meanwhile. */
static void take_out(struct molt_process *p, struct molt_socket *s)
{
    struct molt_socket *first = s;
    if (atomic_compare_exchange_strong_explicit(&p->sockets, &first, s->next, memory_order_acquire,
                                                memory_order_acquire))
        return;
    while (first->next != s)
        first = first->next;
    first->next = s->next;
}

int molt_socket_adopt(struct molt_process *p, int fd, enum molt_socket_kind kind,
                      struct molt_socket **ret)
{
    struct molt_socket *s = slot_of(p->rt, (unsigned)fd);
    if (!s) {
        int rc = grow(&p->rt->sockets, (unsigned)fd);
        if (rc < 0)
            return rc;
        s = slot_of(p->rt, (unsigned)fd);
    }
    unsigned long long nobody = 0;
    if (!atomic_compare_exchange_strong(&s->owner, &nobody, molt_process_pid(p)))
        return MOLT_EOWNER;
    renew(s, MOLT_NET_READ | MOLT_NET_WRITE);
    s->lane = NULL;
    s->kind = (unsigned char)kind;
    s->is_given = s->is_attached = s->is_active = s->is_short = false;
    push(p, s);
    *ret = s;
    return 0;
}

/* It is in no list. */
static void dispose(struct molt_socket *s)
{
    unwatch(s);
    renew(s, 0);
    atomic_store_explicit(&s->owner, 0, memory_order_release);
    /* Last: from here on it is somebody else's. */
    close(s->fd);
}

void molt_socket_close(struct molt_process *p, struct molt_socket *s)
{
    take_out(p, s);
    dispose(s);
}

void molt_socket_close_all(struct molt_process *p)
{
    struct molt_socket *s =
        atomic_exchange_explicit(&p->sockets, MOLT_SOCKETS_CLOSED, memory_order_acquire);
    while (s && s != MOLT_SOCKETS_CLOSED) {
        struct molt_socket *next = s->next;
        dispose(s);
        s = next;
    }
}

int molt_socket_give(struct molt_process *p, struct molt_socket *s, molt_pid pid)
{
    struct molt_process *to = molt_process_find(p->rt, pid);
    if (!to)
        return MOLT_EDEAD;
    if (to == p)
        return 0;
    take_out(p, s);
    unwatch(s);
    renew(s, MOLT_NET_READ | MOLT_NET_WRITE);
    s->is_given = true;
    s->is_attached = s->is_active = false;
    atomic_store_explicit(&s->owner, pid, memory_order_relaxed);
    if (!push(to, s)) {
        s->is_given = false;
        atomic_store_explicit(&s->owner, molt_process_pid(p), memory_order_relaxed);
        push(p, s);
        return MOLT_EDEAD;
    }
    molt_process_signal(to, MOLT_DO_READY);
    return 0;
}

/* Given to an earlier process of the slot, in the moment when that ended. */
static bool is_stray(struct molt_process *p, const struct molt_socket *s)
{
    return atomic_load_explicit(&s->owner, memory_order_relaxed) != molt_process_pid(p);
}

struct molt_socket *molt_socket_take(struct molt_process *p)
{
    struct molt_socket *oldest = NULL;
    for (struct molt_socket *s = list_of(p), *next; s; s = next) {
        next = s->next;
        if (is_stray(p, s))
            molt_socket_close(p, s);
        else if (s->is_given)
            oldest = s;
    }
    if (oldest)
        oldest->is_given = false;
    return oldest;
}

/* ---- waiting ------------------------------------------------------------------------- */

uint64_t molt_socket_deadline(int timeout_ms)
{
    if (timeout_ms == 0)
        return 0;
    return timeout_ms < 0 ? UINT64_MAX : molt_clock_ns() + (uint64_t)timeout_ms * 1000000;
}

/* -1 without one. */
static int left_ms(uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX)
        return -1;
    uint64_t now = molt_clock_ns();
    uint64_t ms = deadline_ns > now ? (deadline_ns - now + 999999) / 1000000 : 0;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* What is waited for, besides being asked to end and the time. */
typedef bool is_over_fn(struct molt_process *p, void *user);

/* Wait for a signal, or for @is_over to say that none is needed. 0; the caller
 * looks again. */
static int wait_signal(struct molt_process *p, is_over_fn *is_over, void *user,
                       uint64_t deadline_ns)
{
    int ms = left_ms(deadline_ns);
    if (ms == 0)
        return MOLT_ETIMEDOUT;
    uint64_t ref = molt_wait_begin(p, MOLT_WAIT_SOCKET);
    if (!ref)
        return MOLT_EKILLED;
    /* Seq_cst, before the look: see molt_socket_note(). */
    atomic_fetch_and(&p->status, ~MOLT_DO_READY);
    if (is_over(p, user)) {
        molt_wait_abort(p, ref);
        return 0;
    }
    molt_wait_for(p, ref, ms);
    return molt_wait_stop(p, ref);
}

static int wait_until(struct molt_process *p, is_over_fn *is_over, void *user, uint64_t deadline_ns)
{
    int rc = 0;
    bool is_done;
    while (!(is_done = is_over(p, user)) && rc == 0)
        rc = wait_signal(p, is_over, user, deadline_ns);
    /* The signals that were taken away may have been for others. */
    atomic_fetch_or(&p->status, MOLT_DO_READY);
    return is_done ? 0 : rc;
}

struct readiness {
    struct molt_socket *socket;
    unsigned event;
};

static bool is_ready(struct molt_process *p, void *user)
{
    (void)p;
    struct readiness *r = user;
    return word_of(r->socket) & r->event;
}

int molt_socket_wait(struct molt_process *p, struct molt_socket *s, unsigned event,
                     uint64_t deadline_ns)
{
    struct readiness r = {s, event};
    if (is_ready(p, &r))
        return 0;
    int rc = molt_socket_watch(p, s);
    if (rc < 0)
        return rc;
    if (deadline_ns == 0)
        return is_ready(p, &r) ? 0 : MOLT_EBUSY;
    return wait_until(p, is_ready, &r, deadline_ns);
}

static bool has_given(struct molt_process *p, void *user)
{
    struct molt_socket **ret = user;
    return *ret || (*ret = molt_socket_take(p)) != NULL;
}

int molt_socket_await_given(struct molt_process *p, uint64_t deadline_ns, struct molt_socket **ret)
{
    *ret = NULL;
    if (has_given(p, ret))
        return 0;
    return deadline_ns == 0 ? MOLT_EBUSY : wait_until(p, has_given, ret, deadline_ns);
}

int molt_socket_pause(struct molt_process *p, unsigned ms, uint64_t deadline_ns)
{
    struct molt_block *root;
    int left = left_ms(deadline_ns);
    uint64_t ref = molt_wait_begin(p, MOLT_WAIT_SLEEP);
    if (!ref)
        return MOLT_EKILLED;
    molt_wait_for(p, ref, left >= 0 && left < (int)ms ? left : (int)ms);
    return molt_wait_end(p, &root);
}

/* ---- events --------------------------------------------------------------------------- */

static bool take_given(struct molt_process *p, struct molt_socket *s, bool has_on_ready,
                       bool has_on_data, struct molt_socket_event *ret)
{
    if (has_on_ready) {
        if (watch(s, emptiest(p->rt)) < 0)
            return false; /* no memory: it stays as it is, for molt_net_take() */
        follow(p, s->lane);
        s->is_given = false;
        s->is_attached = true;
        unsigned events = MOLT_NET_GIVEN | MOLT_NET_READ | MOLT_NET_WRITE;
        *ret = (struct molt_socket_event){.socket = s, .events = events};
        return true;
    }
    *ret = (struct molt_socket_event){.socket = s, .is_data = true};
    return has_on_data;
}

static bool is_due(struct molt_process *p, struct molt_socket *s, bool has_on_ready,
                   bool has_on_data, struct molt_socket_event *ret)
{
    if (s->is_given)
        return take_given(p, s, has_on_ready, has_on_data, ret);
    uint64_t word = word_of(s);
    if (s->is_attached && has_on_ready && word & NEWS) {
        unsigned news = (unsigned)atomic_fetch_and(&s->word, ~(uint64_t)NEWS) & NEWS;
        *ret = (struct molt_socket_event){.socket = s, .events = news >> MOLT_SOCKET_NEWS_SHIFT};
        return true;
    }
    *ret = (struct molt_socket_event){.socket = s, .is_data = true};
    return s->is_active && has_on_data && word & MOLT_NET_READ;
}

static struct molt_socket *last_served(struct molt_process *p)
{
    struct molt_socket *s = list_of(p);
    while (s && !s->was_last)
        s = s->next;
    return s;
}

/* Each has its turn: the search begins behind the last one. */
bool molt_socket_next_event(struct molt_process *p, bool has_on_ready, bool has_on_data,
                            struct molt_socket_event *ret)
{
    struct molt_socket *last = last_served(p), *from = last ? last->next : NULL;
    bool is_found = false;
    for (int round = from ? 0 : 1; round < 2 && !is_found; round++) {
        struct molt_socket *s = round == 0 ? from : list_of(p), *next;
        for (; s && !is_found; s = next) {
            next = s->next;
            if (is_stray(p, s))
                molt_socket_close(p, s);
            else
                is_found = is_due(p, s, has_on_ready, has_on_data, ret);
        }
    }
    if (!is_found)
        return false;
    if (last)
        last->was_last = false;
    ret->socket->was_last = true;
    /* With more than one, or when it may be due again at once. */
    if (list_of(p)->next || ret->is_data)
        atomic_fetch_or(&p->status, MOLT_DO_READY);
    return true;
}
