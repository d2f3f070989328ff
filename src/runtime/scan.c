/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Conservative scan for words that lead into ranges of old images.
 *
 * Why it finds everything that molt knows: a word lives in a block, in a
 * message or reply (blocks, too), or in a module's frames on a suspended stack. First a flag is
 * raised and a grace period passes, so that every sender sees it. Then each
 * process is claimed in turn, between callbacks or suspended, and looked at.
 * From a process that was not looked at yet, a word reaches one that was only
 * by a message, a reply or a spawn, and those are looked at by the sender: of a
 * message that waited for its time that is the thread that lets it go. What
 * a callback makes up itself comes from its own world, which stays because the
 * callback runs in it. Rows of tables are looked at last, and those that are put
 * or copied out meanwhile by who does that.
 *
 * Not covered: a registered thread that copies such a word from one of its own
 * pending blocks to another while both are looked at.
 */
#include "runtime/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "port/sanitize.h"
#include "runtime/adopt.h"
#include "runtime/fiber.h"
#include "runtime/machine.h"
#include "runtime/rt.h"
#include "runtime/thread.h"
#include "runtime/worker.h"

#define GRACE_MS 1000
#define CLAIM_MS 1000

struct look {
    const struct molt_range *ranges;
    size_t n_ranges;
    void (*found)(struct look *look, size_t range, const char *where);
    char owner[128]; /* "process 12 'counter'" */
    molt_pid holder; /* the same, or 0 */
    molt_pin_fn *report;
    void *report_user;
    struct molt_scan *scan;
    size_t n_found;
};

/* Index of the range that holds @word, or n. The ranges are sorted. */
static size_t find_range(const struct molt_range *ranges, size_t n, uintptr_t word)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (word < ranges[mid].lo)
            hi = mid;
        else if (word >= ranges[mid].hi)
            lo = mid + 1;
        else
            return mid;
    }
    return n;
}

static void look_at_element(struct look *look, const char *name, const struct molt_meta_ptr *ptrs,
                            size_t n_ptrs, const char *element, const char *kind)
{
    for (size_t i = 0; i < n_ptrs; i++) {
        const struct molt_meta_ptr *ptr = &ptrs[i];
        for (uint32_t k = 0; k < ptr->count; k++) {
            uintptr_t word;
            memcpy(&word, element + ptr->offset + k * sizeof(word), sizeof(word));
            size_t range = find_range(look->ranges, look->n_ranges, word);
            if (range == look->n_ranges)
                continue;
            char where[128];
            snprintf(where, sizeof(where), "%s%.60s.%.50s", kind, name,
                     ptr->field ? ptr->field : "?");
            look->found(look, range, where);
        }
    }
}

static void look_at_block(struct look *look, const struct molt_block *block, const char *kind)
{
    struct molt_block_part parts[2];
    unsigned n_parts = molt_block_parts(block, parts);
    for (unsigned p = 0; p < n_parts; p++) {
        const struct molt_block_part *part = &parts[p];
        for (size_t e = 0; e < part->n; e++)
            look_at_element(look, block->type->name, part->ptrs, part->n_ptrs,
                            part->at + e * part->stride, kind);
    }
}

static void look_at_list(struct look *look, const struct molt_list *list, const char *kind)
{
    for (struct molt_list *node = list->next; node != list; node = node->next)
        look_at_block(look, molt_container_of(node, struct molt_block, link), kind);
}

/* ---- the sender's part ---------------------------------------------------------- */

/* Under the scan's lock. */
static void note_sent(struct look *look, size_t range, const char *where)
{
    struct molt_scan_hit *hit = &look->scan->hits[range];
    if (!hit->why[0])
        snprintf(hit->why, sizeof(hit->why), "%s", where);
}

static void look_at_message(struct look *look, const struct molt_block *root, const char *kind)
{
    for (const struct molt_block *b = root; b; b = molt_message_next(root, b))
        look_at_block(look, b, kind);
}

void molt_scan_message(struct molt_scan *scan, const struct molt_block *root)
{
    pthread_mutex_lock(&scan->lock);
    struct look look = {.ranges = scan->ranges,
                        .n_ranges = scan->n_ranges,
                        .found = note_sent,
                        .scan = scan};
    look_at_message(&look, root, "sent message: ");
    pthread_mutex_unlock(&scan->lock);
}

void molt_scan_bytes(struct molt_scan *scan, const struct molt_type *type, const void *bytes)
{
    pthread_mutex_lock(&scan->lock);
    struct look look = {.ranges = scan->ranges,
                        .n_ranges = scan->n_ranges,
                        .found = note_sent,
                        .scan = scan};
    look_at_element(&look, type->name, type->ptrs, type->n_ptrs, bytes, "row of a table: ");
    pthread_mutex_unlock(&scan->lock);
}

/* ---- the executor's part ---------------------------------------------------------- */

static void report_found(struct look *look, size_t range, const char *where)
{
    char why[256];
    snprintf(why, sizeof(why), "%s: %s", look->owner, where);
    look->n_found++;
    look->report(look->report_user, &look->ranges[range], look->holder, why);
}

MOLT_UNSANITIZED static uintptr_t read_word(const uintptr_t *at)
{
    return *(const volatile uintptr_t *)at;
}

static void look_at_stack(struct look *look, const struct molt_fiber *fiber)
{
    const void *from, *to;
    molt_fiber_used(fiber, &from, &to);
    for (const uintptr_t *at = from; at < (const uintptr_t *)to; at++) {
        size_t range = find_range(look->ranges, look->n_ranges, read_word(at));
        if (range < look->n_ranges) {
            report_found(look, range, "stack of its suspended callback");
            return; /* one is enough to name the process */
        }
    }
}

/* Answers that came; those that come now are looked at by their senders. */
static void look_at_requests(struct look *look, struct molt_requests *set)
{
    for (unsigned i = 0; set && i < MOLT_REQUESTS_MAX; i++) {
        struct molt_request_entry *entry = &set->entries[i];
        if (entry->is_used && atomic_load(&entry->is_done) && entry->root)
            look_at_message(look, entry->root, "reply ");
    }
}

static bool look_at_waiting(void *user, const struct molt_block *root)
{
    look_at_message(user, root, "postponed ");
    return true;
}

/* The process is claimed, and its inbox drained. What is pushed from here on is
 * looked at by its sender. */
static void look_at_process(struct look *look, struct molt_process *p)
{
    look_at_list(look, &p->owner.blocks, "");
    for (struct molt_block *m = p->mail; m; m = molt_message_after(m))
        look_at_message(look, m, "message ");
    (void)molt_machine_each(p, look_at_waiting, look);
    const struct molt_prepared *prepared = atomic_load_explicit(&p->prepared, memory_order_relaxed);
    if (prepared) {
        look_at_list(look, &prepared->migration.made.blocks, "prepared ");
        look_at_list(look, &prepared->migration.written.blocks, "prepared ");
    }
    if (atomic_load_explicit(&p->phase, memory_order_relaxed) == MOLT_PHASE_NEW && p->arg)
        look_at_message(look, p->arg, "spawn argument ");
    if (p->fiber && p->fiber->act.sender.slot)
        look_at_message(look, p->fiber->act.sender.root, "message to be sent ");
    if (p->fiber) {
        const struct molt_block *single = p->fiber->act.single;
        if (single && molt_block_owner(single) == &p->owner)
            look_at_block(look, single, "message ");
        look_at_list(look, &p->fiber->act.arrived, "message ");
        look_at_requests(look, p->fiber->act.requests);
        look_at_stack(look, p->fiber);
    }
    /* A reply that came is the waiter's once it is to resume; until then it is being
     * written by who brings it. Acquire: pairs with molt_process_signal(). */
    if (atomic_load_explicit(&p->status, memory_order_acquire) & MOLT_DO_RESUME && p->wait_root)
        look_at_message(look, p->wait_root, "reply ");
}

/* MOLT_EBUSY if a callback runs too long to wait for it. */
static int look_at_slot(struct look *look, struct molt_process *p, molt_pid pid)
{
    uint64_t deadline = molt_clock_ns() + (uint64_t)CLAIM_MS * 1000000;
    if (!molt_process_claim_wait(p, pid, deadline))
        return molt_process_pid(p) == pid ? MOLT_EBUSY : 0;
    molt_process_label(p, look->owner, sizeof(look->owner));
    look->holder = pid;
    molt_process_drain(p, &p->rt->executor.cache);
    look_at_process(look, p);
    molt_process_leave(p, 0, 0);
    return 0;
}

static void look_at_threads(struct look *look, struct molt_runtime *rt)
{
    pthread_mutex_lock(&rt->threads_lock);
    for (struct molt_thread *t = rt->threads; t; t = t->next) {
        pthread_mutex_lock(&t->lock);
        snprintf(look->owner, sizeof(look->owner), "%s", t->participant.name);
        look->holder = 0;
        look_at_list(look, &t->runner.outside.owner.blocks, "pending ");
        pthread_mutex_unlock(&t->lock);
    }
    pthread_mutex_unlock(&rt->threads_lock);
}

/* Under the scan's lock and that of the timers. */
static bool look_at_timer(void *user, const struct molt_timer_event *event)
{
    struct look *look = user;
    look->found = note_sent;
    look_at_message(look, event->data, "message of a timer: ");
    return true;
}

static void look_at_timers(const struct look *look, struct molt_runtime *rt)
{
    struct look copy = *look;
    copy.scan = &rt->scan;
    pthread_mutex_lock(&rt->scan.lock);
    molt_sends_each(rt, look_at_timer, &copy);
    pthread_mutex_unlock(&rt->scan.lock);
}

/* Also one that goes on now: what it read before it waited is on its stack. */
static bool has_suspended(struct molt_runtime *rt)
{
    for (unsigned i = 0; i < rt->n_threads; i++)
        if (atomic_load_explicit(&rt->workers[i].n_holding, memory_order_relaxed) != 0)
            return true;
    return false;
}

static void turn(struct molt_scan *scan, const struct molt_range *ranges, size_t n,
                 struct molt_scan_hit *hits)
{
    pthread_mutex_lock(&scan->lock);
    scan->ranges = ranges;
    scan->n_ranges = n;
    scan->hits = hits;
    /* Seq_cst: who sees the flag sees the ranges under the lock. */
    atomic_store(&scan->is_on, n > 0);
    pthread_mutex_unlock(&scan->lock);
}

/* Neither a block nor a row may point. */
static bool has_no_pointers(struct molt_runtime *rt)
{
    return molt_heap_pointing(rt->heap) == 0 && !molt_tables_may_point(&rt->tables);
}

/* No block may point, and no stack is suspended. If that was so before the
 * grace period, too, then no callback that runs now can have read a word from
 * a block that it freed since. */
static bool has_nothing(struct molt_runtime *rt)
{
    return has_no_pointers(rt) && !has_suspended(rt);
}

static int look_everywhere(struct look *look, struct molt_runtime *rt)
{
    int rc = 0;
    unsigned n = atomic_load(&rt->table.n_slots);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        struct molt_process *p = molt_process_at(rt, i);
        molt_pid pid = atomic_load_explicit(&p->pid, memory_order_acquire);
        if (pid)
            rc = look_at_slot(look, p, pid);
    }
    if (rc < 0)
        return rc;
    look_at_timers(look, rt);
    look_at_threads(look, rt);
    rc =
        molt_table_scan(&rt->tables, look->ranges, look->n_ranges, look->report, look->report_user);
    look->n_found += rc > 0 ? (size_t)rc : 0;
    return rc < 0 ? rc : 0;
}

static void report_sent(struct look *look, const struct molt_scan_hit *hits)
{
    for (size_t i = 0; i < look->n_ranges; i++) {
        if (!hits[i].why[0])
            continue;
        look->report(look->report_user, &look->ranges[i], 0, hits[i].why);
        look->n_found++;
    }
}

int molt_runtime_scan(void *runtime, const struct molt_range *ranges, size_t n, molt_pin_fn *report,
                      void *report_user)
{
    struct molt_runtime *rt = runtime;
    if (n == 0)
        return 0;
    unsigned long long n_kept = atomic_load(&rt->n_kept);
    bool had_none = has_no_pointers(rt);
    struct look look = {.ranges = ranges,
                        .n_ranges = n,
                        .found = report_found,
                        .report = report,
                        .report_user = report_user};
    struct molt_scan_hit *hits = calloc(n, sizeof(*hits));
    if (!hits)
        return MOLT_ENOMEM;
    turn(&rt->scan, ranges, n, hits);
    int rc = molt_code_grace(rt->code, GRACE_MS);
    /* Nor may a callback have gone on across the grace period. */
    if (rc == 0 && !(had_none && has_nothing(rt) && atomic_load(&rt->n_kept) == n_kept))
        rc = look_everywhere(&look, rt);
    turn(&rt->scan, NULL, 0, NULL);
    report_sent(&look, hits);
    free(hits);
    return rc < 0 ? rc : (int)look.n_found;
}
