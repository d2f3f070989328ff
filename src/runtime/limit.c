/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Why nobody waits for room that is there: a sender counts and enlists under the
 * receiver's lock; the receiver takes a message out and then, under the same
 * lock, looks who is enlisted. A sender that was woken and doesn't send after all
 * passes the wake on.
 */
#include "runtime/limit.h"

#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "port/limits.h"
#include "runtime/fiber.h"
#include "runtime/rt.h"
#include "runtime/wait.h"

#define WAKES_MAX MOLT_LIMIT(16, 1)
#define REPORT_EVERY_NS UINT64_C(1000000000)

struct molt_bounds {
    struct molt_limits limits;
    struct molt_list senders;
    uint64_t reported_ns; /* 0: never */
    uint64_t n_refused;   /* since then */
};

bool molt_limits_are_any(const struct molt_limits *limits)
{
    return limits && (limits->mailbox || limits->memory);
}

int molt_limits_check(const struct molt_limits *limits)
{
    bool is_fine = limits->mailbox <= MOLT_MAILBOX_MAX && limits->on_full <= MOLT_FULL_EXIT &&
                   limits->is_fatal <= 1 && limits->reserved == 0;
    return is_fine ? 0 : MOLT_EINVAL;
}

struct molt_bounds *molt_bounds_new(const struct molt_limits *limits)
{
    struct molt_bounds *bounds = calloc(1, sizeof(*bounds));
    if (!bounds)
        return NULL;
    bounds->limits = *limits;
    molt_list_init(&bounds->senders);
    return bounds;
}

void molt_bounds_free(struct molt_bounds *bounds)
{
    free(bounds);
}

void molt_bounds_set(struct molt_process *p, struct molt_bounds *bounds)
{
    molt_spin_lock(&p->tie_lock);
    p->bounds = bounds;
    molt_spin_unlock(&p->tie_lock);
}

/* ---- waking --------------------------------------------------------------------- */

/* A sender, by value: once it was taken out it may be gone at any time. */
struct wake {
    molt_pid pid;
    uint64_t ref;
};

/* Under the lock. */
static unsigned take_senders(struct molt_bounds *bounds, size_t room, struct wake *wakes)
{
    unsigned n = 0;
    while (n < room && n < WAKES_MAX && !molt_list_is_empty(&bounds->senders)) {
        struct molt_sender *sender =
            molt_container_of(bounds->senders.next, struct molt_sender, link);
        molt_list_unlink(&sender->link);
        wakes[n++] = (struct wake){sender->pid, sender->ref};
    }
    return n;
}

static void wake(struct molt_runtime *rt, const struct wake *wakes, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        molt_process_complete(rt, wakes[i].pid, wakes[i].ref, 0, NULL);
}

static size_t room_in(const struct molt_process *p)
{
    size_t n = molt_process_mailbox(p), limit = p->bounds->limits.mailbox;
    return n < limit ? limit - n : 0;
}

void molt_limit_room(struct molt_process *p)
{
    struct wake wakes[WAKES_MAX];
    size_t n_woken = 0;
    unsigned n;
    do {
        n = 0;
        molt_spin_lock(&p->tie_lock);
        size_t room = p->bounds ? room_in(p) : 0;
        if (room > n_woken)
            n = take_senders(p->bounds, room - n_woken, wakes);
        molt_spin_unlock(&p->tie_lock);
        wake(p->rt, wakes, n);
        n_woken += n;
    } while (n > 0);
}

void molt_bounds_end(struct molt_process *p)
{
    struct wake wakes[WAKES_MAX];
    struct molt_bounds *bounds;
    unsigned n;
    do {
        molt_spin_lock(&p->tie_lock);
        bounds = p->bounds;
        n = bounds ? take_senders(bounds, SIZE_MAX, wakes) : 0;
        if (n == 0)
            p->bounds = NULL;
        molt_spin_unlock(&p->tie_lock);
        wake(p->rt, wakes, n);
    } while (n > 0);
    free(bounds);
}

/* ---- a full mailbox --------------------------------------------------------------- */

static bool is_alive(const struct molt_process *p, molt_pid pid)
{
    return atomic_load_explicit(&p->pid, memory_order_acquire) == pid && p->bounds;
}

unsigned molt_limit_mail(struct molt_process *p, molt_pid pid)
{
    molt_spin_lock(&p->tie_lock);
    unsigned limit = is_alive(p, pid) ? p->bounds->limits.mailbox : 0;
    molt_spin_unlock(&p->tie_lock);
    return limit;
}

/* How many refusals to report now; 0: not now. Under the lock. */
static uint64_t note_refused(struct molt_bounds *bounds)
{
    uint64_t now = molt_clock_ns();
    bounds->n_refused++;
    if (bounds->reported_ns && now - bounds->reported_ns < REPORT_EVERY_NS)
        return 0;
    uint64_t n = bounds->n_refused;
    bounds->reported_ns = now;
    bounds->n_refused = 0;
    return n;
}

int molt_limit_refuse(struct molt_process *p, molt_pid pid)
{
    struct molt_limits limits = {0};
    uint64_t n_report = 0;
    bool has_room = false;
    molt_spin_lock(&p->tie_lock);
    bool is = is_alive(p, pid);
    if (is) {
        limits = p->bounds->limits;
        has_room = room_in(p) > 0;
        if (!has_room && limits.on_full != MOLT_FULL_BLOCK)
            n_report = note_refused(p->bounds);
    }
    molt_spin_unlock(&p->tie_lock);
    if (!is)
        return MOLT_EDEAD;
    if (has_room)
        return 1;
    if (limits.on_full == MOLT_FULL_BLOCK)
        return MOLT_EBUSY;
    if (n_report > 0) {
        char label[128];
        molt_process_label(p, label, sizeof(label));
        molt_runtime_log(p->rt, MOLT_WARN,
                         "%s: its mailbox is full (%u messages): %llu message%s dropped%s", label,
                         limits.mailbox, (unsigned long long)n_report, n_report == 1 ? "" : "s",
                         limits.on_full == MOLT_FULL_EXIT ? ", it is asked to end" : "");
    }
    if (limits.on_full == MOLT_FULL_EXIT)
        (void)molt_process_exit(p->rt, pid, MOLT_ELIMIT);
    return MOLT_ELIMIT;
}

/* ---- waiting ------------------------------------------------------------------------ */

/* 1: no need to wait. */
static int enlist(struct molt_process *p, molt_pid pid, struct molt_sender *sender)
{
    molt_spin_lock(&p->tie_lock);
    int rc = !is_alive(p, pid) ? MOLT_EDEAD : room_in(p) > 0 ? 1 : 0;
    if (rc == 0)
        molt_list_append(&p->bounds->senders, &sender->link);
    molt_spin_unlock(&p->tie_lock);
    return rc;
}

/* Whether it was still enlisted. */
static bool delist(struct molt_sender *sender)
{
    struct molt_process *p = sender->slot;
    molt_spin_lock(&p->tie_lock);
    bool is_listed = !molt_list_is_empty(&sender->link);
    if (is_listed)
        molt_list_unlink(&sender->link);
    molt_spin_unlock(&p->tie_lock);
    sender->slot = NULL;
    return is_listed;
}

static int wait_enlisted(struct molt_process *p, struct molt_sender *sender, int *timeout_ms)
{
    uint64_t from = molt_clock_ms();
    struct molt_process *slot = sender->slot;
    struct molt_block *none;
    molt_wait_for(p, sender->ref, *timeout_ms);
    int rc = molt_wait_end(p, &none);
    /* It was chosen to send, but won't. */
    if (!delist(sender) && rc < 0)
        molt_limit_room(slot);
    uint64_t passed = molt_clock_ms() - from;
    if (*timeout_ms > 0)
        *timeout_ms = passed < (uint64_t)*timeout_ms ? *timeout_ms - (int)passed : 0;
    return rc;
}

int molt_limit_wait(struct molt_process *p, molt_pid pid, struct molt_block *root, int *timeout_ms)
{
    struct molt_process *slot = molt_process_slot(p->rt, pid);
    if (!slot || slot == p || p->server_id < 0)
        return slot ? MOLT_EBUSY : MOLT_EDEAD;
    int rc = molt_wait_check_locks(p, "sending to a full mailbox");
    if (rc < 0)
        return rc;
    struct molt_sender *sender = &p->fiber->act.sender;
    uint64_t ref = molt_wait_begin(p, MOLT_WAIT_SEND);
    if (!ref)
        return MOLT_EKILLED;
    p->fiber->act.whom_pid = pid;
    *sender = (struct molt_sender){slot, root, {NULL, NULL}, molt_process_pid(p), ref};
    molt_list_init(&sender->link);
    rc = enlist(slot, pid, sender);
    if (rc == 0)
        return wait_enlisted(p, sender, timeout_ms);
    molt_wait_abort(p, ref);
    sender->slot = NULL;
    return rc > 0 ? 0 : rc;
}

void molt_limit_abort(struct molt_process *p, molt_pid pid, struct molt_block *root, uint64_t ref)
{
    struct molt_sender *sender = &p->fiber->act.sender;
    *sender = (struct molt_sender){.slot = molt_process_slot(p->rt, pid), .root = root};
    molt_list_init(&sender->link);
    molt_wait_abort(p, ref);
    sender->slot = NULL;
}

struct molt_block *molt_limit_end_wait(struct molt_sender *sender)
{
    struct molt_process *slot = sender->slot;
    if (!slot)
        return NULL;
    if (!delist(sender))
        molt_limit_room(slot);
    return sender->root;
}

/* ---- memory ---------------------------------------------------------------------------- */

bool molt_limit_allows(const struct molt_process *p, size_t bytes)
{
    uint64_t memory = p->bounds->limits.memory;
    size_t now = atomic_load_explicit(&p->owner.bytes, memory_order_relaxed);
    return memory == 0 || (now <= memory && bytes <= memory - now);
}

bool molt_limit_is_fatal(const struct molt_process *p)
{
    return p->bounds->limits.is_fatal;
}

void molt_limit_report_memory(struct molt_process *p, size_t bytes)
{
    char label[128];
    molt_process_label(p, label, sizeof(label));
    molt_runtime_log(p->rt, MOLT_WARN, "%s ends: it has %zu bytes, %zu more are beyond its %llu",
                     label, atomic_load_explicit(&p->owner.bytes, memory_order_relaxed), bytes,
                     (unsigned long long)p->bounds->limits.memory);
}
