/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Participants announce the world that they run in, as hazard pointers do.
 *
 * Guarantee: after a participant announced W and then saw W current, W is not
 * freed before it announces another world or none. The collector replaces
 * `current`, then reads the announcements; the participant stores its
 * announcement, then reads `current`. All four are sequentially consistent, so
 * at least one side sees the other.
 *
 * Progress: boundary() is wait-free while nothing changes; advance() retries
 * once per commit that happens meanwhile.
 *
 * | who        | excludes                         | by                       |
 * |------------|----------------------------------|--------------------------|
 * | collector  | a world that is announced or held| reading announcements    |
 * | grace      | callbacks begun before it        | bit 0 of announcements   |
 * | pause      | callbacks until it is over       | the same, and `pauser`   |
 * | commit     | other commits, stages            | molt_code.lock           |
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "code/table.h"
#include "port/limits.h"

void molt_code_join(struct molt_code *code, struct molt_participant *p, const char *name,
                    bool is_foreign)
{
    *p = (struct molt_participant){.code = code, .is_foreign = is_foreign};
    strncpy(p->name, name, sizeof(p->name) - 1);
    pthread_mutex_lock(&code->lock);
    p->next = code->participants;
    code->participants = p;
    pthread_mutex_unlock(&code->lock);
}

void molt_code_leave(struct molt_code *code, struct molt_participant *p)
{
    molt_participant_offline(p);
    pthread_mutex_lock(&code->lock);
    struct molt_participant **at = &code->participants;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    pthread_mutex_unlock(&code->lock);
}

_Atomic(struct molt_world *) *molt_code_current_cell(struct molt_code *code)
{
    return &code->current;
}

struct molt_stops *molt_code_stops(struct molt_code *code)
{
    return &code->stops;
}

static void notify_idle(struct molt_code *code)
{
    if (code->on_idle_world)
        code->on_idle_world(code->user);
}

/* Announce @world, wake whoever waits for this boundary, and say if a world
 * was left that isn't current any more. */
static void announce(struct molt_participant *p, struct molt_world *world)
{
    struct molt_code *code = p->code;
    uintptr_t old = (uintptr_t)atomic_exchange(&p->world, world);
    if (old & 1) {
        pthread_mutex_lock(&code->lock);
        pthread_cond_broadcast(&code->boundary);
        pthread_mutex_unlock(&code->lock);
    }
    struct molt_world *left = (struct molt_world *)(old & ~(uintptr_t)1);
    if (left && left != world && left != atomic_load(&code->current))
        notify_idle(code);
}

/* Whether somebody else has everybody pause. Seq_cst: pairs with molt_code_pause(). */
static bool is_paused(struct molt_code *code)
{
    unsigned long pauser = atomic_load(&code->pauser);
    return pauser && pauser != (unsigned long)pthread_self();
}

/* Be in no world until the pause is over. */
static void wait_paused(struct molt_participant *p, bool is_late)
{
    struct molt_code *code = p->code;
    announce(p, NULL);
    pthread_mutex_lock(&code->lock);
    code->n_late += is_late;
    pthread_cond_broadcast(&code->boundary);
    while (is_paused(code))
        pthread_cond_wait(&code->boundary, &code->lock);
    code->n_late -= is_late;
    pthread_mutex_unlock(&code->lock);
}

void molt_participant_rest(struct molt_participant *p)
{
    molt_world = molt_thunk_outside_table();
    if (is_paused(p->code))
        wait_paused(p, false);
}

struct molt_world *molt_participant_advance(struct molt_participant *p)
{
    struct molt_world *world, *before = molt_announced(p);
    uint64_t start = before ? molt_clock_ns() : 0;
    atomic_store_explicit(&p->thread, (unsigned long)pthread_self(), memory_order_relaxed);
    do {
        world = atomic_load(&p->code->current);
        molt_hostile_gap();
        announce(p, world);
        molt_hostile_gap();
        if (__builtin_expect(is_paused(p->code), 0)) {
            wait_paused(p, true);
            world = NULL;
        }
    } while (world != atomic_load(&p->code->current));
    if (before && before != world)
        molt_stops_add(p->code->stops.threads, molt_clock_ns() - start);
    molt_world = world->table;
    return world;
}

void molt_participant_offline(struct molt_participant *p)
{
    molt_world = molt_thunk_outside_table();
    if (atomic_load_explicit(&p->world, memory_order_relaxed))
        announce(p, NULL);
}

void molt_participant_visit(struct molt_participant *p, struct molt_world *world)
{
    (void)p;
    molt_world = world->table;
}

void molt_participant_return(struct molt_participant *p)
{
    struct molt_world *world = molt_announced(p);
    molt_world = world ? world->table : molt_thunk_outside_table();
}

void molt_world_hold(struct molt_world *world)
{
    /* Relaxed: the caller is in the world, so it can't be collected now. */
    atomic_fetch_add_explicit(&world->n_holds, 1, memory_order_relaxed);
}

void molt_world_release(struct molt_world *world)
{
    struct molt_code *code = world->code;
    /* Seq_cst: pairs with molt_world_is_owned(). The world may be freed from
     * here on. */
    bool is_current = atomic_load(&code->current) == world;
    molt_hostile_gap();
    if (atomic_fetch_sub(&world->n_holds, 1) == 1 && !is_current)
        notify_idle(code);
}

/* Ask @p, if it is online, to say when it passes a boundary. */
static bool request_boundary(struct molt_participant *p)
{
    struct molt_world *world = atomic_load(&p->world);
    for (;;) {
        if (!world)
            return false;
        struct molt_world *marked = (struct molt_world *)((uintptr_t)world | 1);
        molt_hostile_gap();
        if (atomic_compare_exchange_weak(&p->world, &world, marked))
            return true;
    }
}

static bool is_mine(const struct molt_participant *p)
{
    return atomic_load_explicit(&p->thread, memory_order_relaxed) == (unsigned long)pthread_self();
}

/* Whether anybody but the caller is asked for a boundary; of the caller an
 * earlier wait on another thread may have asked one. */
static bool is_waited_for(const struct molt_code *code)
{
    for (struct molt_participant *p = code->participants; p; p = p->next)
        if ((uintptr_t)atomic_load(&p->world) & 1 && !is_mine(p))
            return true;
    return false;
}

static struct timespec until_ms(int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

/* Somebody else who is in a world, asked to pass a boundary; NULL if there is nobody. */
static struct molt_participant *find_online(struct molt_code *code, bool is_foreign_too)
{
    struct molt_participant *found = NULL;
    for (struct molt_participant *p = code->participants; p; p = p->next)
        if (!is_mine(p) && (is_foreign_too || !p->is_foreign) && request_boundary(p))
            found = p;
    return found;
}

int molt_code_pause(struct molt_code *code, bool is_foreign_too, int timeout_ms, char *who,
                    size_t who_size)
{
    struct timespec until = until_ms(timeout_ms);
    struct molt_participant *online;
    int rc = 0;
    pthread_mutex_lock(&code->lock);
    /* Seq_cst, before the announcements are read: pairs with molt_participant_advance(). */
    atomic_store(&code->pauser, (unsigned long)pthread_self());
    while ((online = find_online(code, is_foreign_too)) && rc == 0)
        rc = pthread_cond_timedwait(&code->boundary, &code->lock, &until);
    if (online) {
        snprintf(who, who_size, "%s%s", online->is_foreign ? "thread " : "", online->name);
        atomic_store(&code->pauser, 0);
        pthread_cond_broadcast(&code->boundary);
    }
    pthread_mutex_unlock(&code->lock);
    return online ? MOLT_ETIMEDOUT : 0;
}

void molt_code_resume(struct molt_code *code)
{
    pthread_mutex_lock(&code->lock);
    atomic_store(&code->pauser, 0);
    pthread_cond_broadcast(&code->boundary);
    pthread_mutex_unlock(&code->lock);
}

bool molt_code_is_anybody_late(struct molt_code *code)
{
    pthread_mutex_lock(&code->lock);
    bool is = code->n_late > 0;
    pthread_mutex_unlock(&code->lock);
    return is;
}

bool molt_code_is_pausing(const struct molt_code *code)
{
    return atomic_load_explicit(&code->pauser, memory_order_relaxed) != 0;
}

int molt_code_grace(struct molt_code *code, int timeout_ms)
{
    struct timespec until = until_ms(timeout_ms);
    pthread_mutex_lock(&code->lock);
    for (struct molt_participant *p = code->participants; p; p = p->next)
        if (!is_mine(p))
            request_boundary(p);
    int rc = 0;
    while (rc == 0 && is_waited_for(code))
        rc = pthread_cond_timedwait(&code->boundary, &code->lock, &until);
    /* Requests left over after a timeout only cost their target one slow
     * boundary. */
    bool is_done = !is_waited_for(code);
    pthread_mutex_unlock(&code->lock);
    return is_done ? 0 : MOLT_ETIMEDOUT;
}
