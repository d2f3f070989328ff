/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The two words of a process: mailbox and status. See process.h for who may do
 * what; here is why it can't go wrong.
 *
 * A message is never forgotten: who pushes onto an empty inbox adds DO_MAIL
 * after the push; who drains takes DO_MAIL away before it takes the messages, or
 * did so when it began to run the process, and takes them then.
 * So whatever is in the inbox when a process is left was pushed later than the
 * flag was taken away, and its sender adds the flag again, or somebody before
 * it in the same stack does.
 *
 * A wait ends once: its number goes from wait_ref to 0 by one compare and swap,
 * and only who did that writes the result and adds DO_RESUME.
 *
 * A wait is never missed by a request to end: the waiter publishes wait_ref and
 * then looks at exit_word; who asks does it the other way round.
 */
#include "runtime/process.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/fiber.h"
#include "runtime/lane.h"
#include "runtime/limit.h"
#include "runtime/rt.h"
#include "runtime/worker.h"

/* ---- status -------------------------------------------------------------------- */

static bool matters(unsigned status)
{
    if (!(status & MOLT_IS_SUSPENDED))
        return status & MOLT_DO_ANY;
    unsigned reasons = MOLT_DO_RESUME | MOLT_DO_KILL;
    if (status & MOLT_IS_RECEIVING)
        reasons |= MOLT_DO_MAIL;
    if (status & MOLT_IS_POLLING)
        reasons |= MOLT_DO_READY;
    return status & reasons;
}

/* The status with which nobody has it: queued if there is a reason. */
static unsigned rest(unsigned status)
{
    status &= ~MOLT_STATE_MASK;
    return matters(status) ? status | MOLT_STATE_QUEUED | MOLT_IS_IN_QUEUE
                           : status | MOLT_STATE_IDLE;
}

static void enqueue(struct molt_process *p, unsigned status)
{
    if (status & MOLT_IS_SUSPENDED)
        molt_worker_push(p->fiber->act.worker, p);
    else
        molt_lane_push(atomic_load_explicit(&p->lane, memory_order_relaxed), p);
}

/* @instead_of 0, or a flag that is taken away: nothing happens without it. */
static inline void add_reasons(struct molt_process *p, unsigned reasons, unsigned instead_of)
{
    unsigned old = molt_process_status(p), new;
    do {
        if (instead_of && !(old & instead_of))
            return;
        new = (old & ~instead_of) | reasons;
        if ((old & MOLT_STATE_MASK) == MOLT_STATE_IDLE)
            new = rest(new);
        /* Release: what the reason stands for was written before. Acquire: what
         * enqueue() reads was written by who left it idle. */
    } while (!atomic_compare_exchange_weak_explicit(&p->status, &old, new, memory_order_acq_rel,
                                                    memory_order_relaxed));
    bool is_queued_now =
        (new &MOLT_STATE_MASK) == MOLT_STATE_QUEUED && (old & MOLT_STATE_MASK) == MOLT_STATE_IDLE;
    /* A stale entry serves as well as a new one. */
    if (is_queued_now && !(old & MOLT_IS_IN_QUEUE))
        enqueue(p, new);
}

void molt_process_signal(struct molt_process *p, unsigned reasons)
{
    add_reasons(p, reasons, 0);
}

void molt_process_start_due(struct molt_process *p)
{
    add_reasons(p, MOLT_DO_RUN, MOLT_IS_RUN_DUE);
}

unsigned molt_process_begin(struct molt_process *p)
{
    unsigned old = molt_process_status(p), new;
    do {
        new = old & ~MOLT_IS_IN_QUEUE;
        if ((old & MOLT_STATE_MASK) == MOLT_STATE_QUEUED)
            new = (new & ~MOLT_STATE_MASK) | MOLT_STATE_RUNNING;
        /* A callback that receives has to see that there is mail. */
        if (!(old & MOLT_IS_SUSPENDED) && (old & MOLT_STATE_MASK) == MOLT_STATE_QUEUED)
            new &= ~MOLT_DO_MAIL;
        /* Acquire: pairs with who left it, and with who added the reasons. */
    } while (!atomic_compare_exchange_weak_explicit(&p->status, &old, new, memory_order_acquire,
                                                    memory_order_relaxed));
    return (old & MOLT_STATE_MASK) == MOLT_STATE_QUEUED ? old : 0;
}

static void tell_executor(struct molt_runtime *rt)
{
    pthread_mutex_lock(&rt->quiet_lock);
    pthread_cond_broadcast(&rt->quiet);
    pthread_mutex_unlock(&rt->quiet_lock);
}

/* Returns the status before. */
static unsigned leave(struct molt_process *p, unsigned set, unsigned clear)
{
    unsigned old = molt_process_status(p), new;
    /* A receiver has seen what is in its own list. */
    if (p->mail && !((old | set) & MOLT_IS_RECEIVING))
        set |= MOLT_DO_MAIL;
    if (__builtin_expect(old & MOLT_IS_LIMITED, 0))
        molt_limit_room(p);
    do {
        new = (old & ~clear) | set;
        if (old & MOLT_IS_CLAIM_WANTED)
            new = (new & ~(MOLT_STATE_MASK | MOLT_IS_CLAIM_WANTED)) | MOLT_STATE_CLAIMED;
        else
            new = rest(new);
    } while (!atomic_compare_exchange_weak_explicit(&p->status, &old, new, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if ((new &MOLT_STATE_MASK) == MOLT_STATE_QUEUED && !(old & MOLT_IS_IN_QUEUE))
        enqueue(p, new);
    return old;
}

void molt_process_leave(struct molt_process *p, unsigned set, unsigned clear)
{
    struct molt_runtime *rt = p->rt;
    if (leave(p, set, clear) & (MOLT_IS_CLAIM_WANTED | MOLT_IS_WATCHED))
        tell_executor(rt);
}

void molt_process_leave_quietly(struct molt_process *p)
{
    (void)leave(p, 0, 0);
}

/* ---- mailbox ------------------------------------------------------------------- */

/* What is in @inbox counts once it has become the mailbox's word, and what was
 * taken over was counted before, see
 * take_counted(). */
static bool is_full(const struct molt_process *p, uint64_t inbox, unsigned limit)
{
    atomic_thread_fence(memory_order_acquire);
    size_t n = atomic_load_explicit(&p->n_mail, memory_order_relaxed);
    return n + (inbox >> MOLT_INBOX_COUNT_SHIFT) >= limit;
}

/* The same as molt_process_push(), if no more than @limit wait then. */
static int push_limited(struct molt_process *p, molt_pid pid, struct molt_block *root,
                        unsigned limit, uint64_t *ret_old)
{
    uint64_t old = atomic_load_explicit(&p->inbox, memory_order_relaxed), new;
    do {
        if (old == MOLT_INBOX_CLOSED)
            return MOLT_EDEAD;
        if (is_full(p, old, limit)) {
            int rc = molt_limit_refuse(p, pid);
            if (rc < 0)
                return rc;
        }
        new = molt_inbox_with(old, root);
        /* Release: pairs with the exchange of molt_process_drain(). */
    } while (!atomic_compare_exchange_weak_explicit(&p->inbox, &old, new, memory_order_release,
                                                    memory_order_relaxed));
    *ret_old = old;
    return 0;
}

static void address(struct molt_process *p, molt_pid pid, struct molt_block *root,
                    enum molt_message_kind kind, struct molt_from from)
{
    if (__builtin_expect(!molt_message_has_more(root), 1)) {
        molt_message_stamp(root, kind, from, molt_pid_generation(pid), &p->owner);
        return;
    }
    molt_message_set_kind(root, kind);
    molt_message_set_from(root, from);
    molt_message_set_generation(root, molt_pid_generation(pid));
    molt_message_address(root, &p->owner);
}

static inline int put(struct molt_runtime *rt, molt_pid pid, struct molt_block *root,
                      enum molt_message_kind kind, struct molt_from from, bool has_to_fit)
{
    struct molt_process *p = molt_process_find(rt, pid);
    if (!p)
        return MOLT_EDEAD;
    address(p, pid, root, kind, from);
    unsigned limit = 0;
    uint64_t old;
    if (has_to_fit && __builtin_expect(molt_process_status(p) & MOLT_IS_LIMITED, 0))
        limit = molt_limit_mail(p, pid);
    int rc = 0;
    if (__builtin_expect(limit > 0, 0))
        rc = push_limited(p, pid, root, limit, &old);
    else if ((old = molt_process_push(p, root)) == MOLT_INBOX_CLOSED)
        rc = MOLT_EDEAD;
    if (rc == 0 && old == 0)
        molt_process_signal(p, MOLT_DO_MAIL);
    return rc;
}

int molt_process_post(struct molt_runtime *rt, molt_pid pid, struct molt_block *root,
                      enum molt_message_kind kind, struct molt_from from)
{
    return put(rt, pid, root, kind, from, false);
}

int molt_process_offer(struct molt_runtime *rt, molt_pid pid, struct molt_block *root,
                       enum molt_message_kind kind, struct molt_from from)
{
    return put(rt, pid, root, kind, from, true);
}

/* For another process that had the slot, or for one that ends. */
static void turn_away(struct molt_runtime *rt, struct molt_block_cache *cache,
                      struct molt_block *root)
{
    if (molt_message_kind(root) == MOLT_MESSAGE_CALL) {
        struct molt_from from = molt_message_from(root);
        molt_process_complete(rt, from.pid, from.ref, MOLT_EDEAD, NULL);
    }
    molt_message_drop(rt->heap, cache, root);
}

static void add_mail(struct molt_process *p, unsigned n)
{
    unsigned now = atomic_load_explicit(&p->n_mail, memory_order_relaxed);
    atomic_store_explicit(&p->n_mail, now + n, memory_order_relaxed);
}

/* Take all, without a moment at which it isn't counted. Under the lock, because
 * for a moment it is counted twice. */
static struct molt_list *take_counted(struct molt_process *p, unsigned *ret_counted)
{
    unsigned counted = 0;
    molt_spin_lock(&p->tie_lock);
    uint64_t inbox = atomic_load_explicit(&p->inbox, memory_order_relaxed);
    do {
        unsigned n = (unsigned)(inbox >> MOLT_INBOX_COUNT_SHIFT);
        add_mail(p, n - counted);
        counted = n;
        /* Acquire: pairs with the pushes. Release: pairs with is_full(). */
    } while (!atomic_compare_exchange_weak_explicit(&p->inbox, &inbox, 0, memory_order_acq_rel,
                                                    memory_order_relaxed));
    molt_spin_unlock(&p->tie_lock);
    *ret_counted = counted;
    return molt_inbox_first(inbox);
}

/* Move the stack that begins at @node behind the own list, in the order in which
 * they came. Returns how many these were. */
static unsigned append_all(struct molt_process *p, struct molt_list *node,
                           struct molt_block_cache *cache)
{
    uint32_t mine = molt_pid_generation(molt_process_pid(p));
    struct molt_list *first = NULL;
    struct molt_block *newest = NULL;
    unsigned n = 0;
    for (struct molt_list *next; node; node = next) {
        struct molt_block *root = molt_container_of(node, struct molt_block, link);
        next = node->next;
        if (__builtin_expect(molt_message_generation(root) != mine, 0)) {
            turn_away(p->rt, cache, root);
            continue;
        }
        node->next = first;
        first = node;
        newest = newest ? newest : root;
        n++;
    }
    if (!first)
        return 0;
    if (p->mail)
        p->mail_last->link.next = first;
    else
        p->mail = molt_container_of(first, struct molt_block, link);
    p->mail_last = newest;
    return n;
}

unsigned molt_process_collect(struct molt_process *p, struct molt_block_cache *cache)
{
    unsigned n_counted = 0;
    /* Acquire: pairs with the pushes. */
    struct molt_list *newest =
        molt_process_status(p) & MOLT_IS_LIMITED
            ? take_counted(p, &n_counted)
            : molt_inbox_first(atomic_exchange_explicit(&p->inbox, 0, memory_order_acquire));
    unsigned n = append_all(p, newest, cache);
    add_mail(p, n - n_counted);
    return n;
}

unsigned molt_process_drain(struct molt_process *p, struct molt_block_cache *cache)
{
    if (!(molt_process_status(p) & MOLT_DO_MAIL))
        return 0;
    /* Seq_cst, before the mail is taken: see the top of this file. */
    atomic_fetch_and(&p->status, ~MOLT_DO_MAIL);
    unsigned n = molt_process_collect(p, cache);
    /* By somebody else, for a callback that waits: it has to look itself, also if
     * all was moved earlier. */
    if (molt_process_status(p) & MOLT_IS_RECEIVING)
        atomic_fetch_or(&p->status, MOLT_DO_MAIL);
    return n;
}

/* @root was taken out of the own list. */
static void note_taken(struct molt_process *p, struct molt_block *root)
{
    add_mail(p, -1u);
    root->link.next = NULL;
    if (__builtin_expect(molt_process_status(p) & MOLT_IS_LIMITED, 0))
        molt_limit_room(p);
}

struct molt_block *molt_process_take(struct molt_process *p)
{
    struct molt_block *root = p->mail;
    p->mail = molt_message_after(root);
    note_taken(p, root);
    return root;
}

void molt_process_pluck(struct molt_process *p, struct molt_block *before, struct molt_block *root)
{
    struct molt_block *after = molt_message_after(root);
    if (before)
        before->link.next = root->link.next;
    else
        p->mail = after;
    if (p->mail_last == root)
        p->mail_last = before;
    note_taken(p, root);
}

void molt_process_count_mail(struct molt_process *p, int n)
{
    add_mail(p, (unsigned)n);
    if (n < 0 && molt_process_status(p) & MOLT_IS_LIMITED)
        molt_limit_room(p);
}

void molt_process_untake(struct molt_process *p, struct molt_block *root)
{
    molt_process_plant(p, NULL, root);
}

void molt_process_plant(struct molt_process *p, struct molt_block *before, struct molt_block *root)
{
    struct molt_block *after = before ? molt_message_after(before) : p->mail;
    root->link.next = after ? &after->link : NULL;
    if (!after)
        p->mail_last = root;
    if (before)
        before->link.next = &root->link;
    else
        p->mail = root;
    add_mail(p, 1);
}

void molt_process_close_mail(struct molt_process *p, struct molt_block_cache *cache)
{
    /* Acquire: pairs with the pushes. */
    (void)append_all(p,
                     molt_inbox_first(atomic_exchange_explicit(&p->inbox, MOLT_INBOX_CLOSED,
                                                               memory_order_acquire)),
                     cache);
    struct molt_block *root = p->mail;
    p->mail = p->mail_last = NULL;
    atomic_store_explicit(&p->n_mail, 0, memory_order_relaxed);
    for (struct molt_block *next; root; root = next) {
        next = molt_message_after(root);
        turn_away(p->rt, cache, root);
    }
}

size_t molt_process_mailbox(const struct molt_process *p)
{
    uint64_t inbox = atomic_load_explicit(&p->inbox, memory_order_relaxed);
    size_t n = atomic_load_explicit(&p->n_mail, memory_order_relaxed);
    return inbox == MOLT_INBOX_CLOSED ? 0 : n + (inbox >> MOLT_INBOX_COUNT_SHIFT);
}

/* ---- waits and ends -------------------------------------------------------------- */

/* Numbers are never used again in this slot, so an earlier process's answer
 * can't be taken for the present one's. Seq_cst: see molt_process_exit(). */
static bool take_wait(struct molt_process *p, uint64_t ref)
{
    return atomic_compare_exchange_strong(&p->wait_ref, &ref, 0);
}

bool molt_process_complete(struct molt_runtime *rt, molt_pid pid, uint64_t ref, int rc,
                           struct molt_block *reply)
{
    struct molt_process *p = molt_process_find(rt, pid);
    if (!p || !ref)
        return false;
    if (!take_wait(p, ref)) {
        if (molt_request_complete(p, ref, rc, reply))
            return true;
        /* The request that it was may be the one that is waited for by now. */
        if (!take_wait(p, ref))
            return false;
    }
    if (reply)
        molt_message_address(reply, &p->owner);
    p->wait_root = reply;
    p->wait_rc = rc;
    molt_process_signal(p, MOLT_DO_RESUME);
    return true;
}

/* What stands in exit_word for a request to @pid. The generation tells a late
 * request to an earlier process of the slot from one to this. */
static uint64_t exit_word(molt_pid pid, int reason, uint64_t how)
{
    return (uint64_t)molt_pid_generation(pid) << MOLT_REF_BITS | how | (uint32_t)reason;
}

static bool is_for(uint64_t word, molt_pid pid)
{
    return (word & (MOLT_EXIT_ASKED | MOLT_EXIT_KILL)) &&
           word >> MOLT_REF_BITS == molt_pid_generation(pid);
}

/* @p is @pid, or was a moment ago. */
static void request_end(struct molt_process *p, molt_pid pid, int reason, uint64_t how)
{
    uint64_t old = atomic_load(&p->exit_word), word = exit_word(pid, reason, how);
    do {
        /* The first reason stands; being killed comes on top of it. */
        if (is_for(old, pid))
            word = (old | how);
        if (word == old)
            return;
    } while (!atomic_compare_exchange_weak(&p->exit_word, &old, word));
    molt_process_signal(p, how == MOLT_EXIT_KILL ? MOLT_DO_KILL : MOLT_DO_EXIT);
}

int molt_process_exit(struct molt_runtime *rt, molt_pid pid, int reason)
{
    struct molt_process *p = molt_process_find(rt, pid);
    if (!p)
        return MOLT_EDEAD;
    request_end(p, pid, reason, MOLT_EXIT_ASKED);
    /* If another has the slot by now, the wait's end is refused, see there. */
    if (atomic_load(&p->phase) == MOLT_PHASE_ENDING)
        return 0; /* terminate may wait in peace */
    /* Seq_cst, after exit_word: who begins to wait does it the other way round. */
    uint64_t ref = atomic_load(&p->wait_ref);
    if (ref)
        molt_process_complete(rt, pid, ref, MOLT_EKILLED, NULL);
    return 0;
}

int molt_process_kill(struct molt_runtime *rt, molt_pid pid)
{
    struct molt_process *p = molt_process_find(rt, pid);
    if (p)
        request_end(p, pid, MOLT_EKILLED, MOLT_EXIT_KILL);
    return p ? 0 : MOLT_EDEAD;
}

bool molt_process_is_asked(const struct molt_process *p, uint64_t how, int *ret_reason)
{
    uint64_t word = atomic_load(&p->exit_word);
    if (!is_for(word, molt_process_pid(p)) || !(word & how))
        return false;
    *ret_reason = (int)(uint32_t)word;
    return true;
}

void molt_process_label(struct molt_process *p, char *buf, size_t size)
{
    const char *server =
        p->server_id >= 0 ? molt_code_server_name(p->rt->code, p->server_id) : "supervisor";
    unsigned long long pid = molt_process_pid(p);
    char name[MOLT_NAME_MAX];
    if (molt_names_of(p->rt, p, name, sizeof(name)))
        snprintf(buf, size, "process %llu '%s'", pid, name);
    else
        snprintf(buf, size, "process %llu (%s)", pid, server ? server : "?");
}

void molt_process_describe_wait(const struct molt_process *p, char *buf, size_t size)
{
    const struct molt_activation *act = p->fiber ? &p->fiber->act : NULL;
    enum molt_wait_kind kind = act ? act->wait_kind : MOLT_WAIT_NONE;
    if (kind == MOLT_WAIT_CALL && act->whom[0])
        snprintf(buf, size, "call %s", act->whom);
    else if (kind == MOLT_WAIT_CALL)
        snprintf(buf, size, "call %llu", (unsigned long long)act->whom_pid);
    else
        snprintf(buf, size, "%s",
                 kind == MOLT_WAIT_SLEEP     ? "sleep"
                 : kind == MOLT_WAIT_RECEIVE ? "receive"
                 : kind == MOLT_WAIT_SOCKET  ? "socket"
                 : kind == MOLT_WAIT_SEND    ? "send"
                 : kind == MOLT_WAIT_RESOLVE ? "resolve"
                                             : "");
}

/* ---- calls that were not answered in their handler --------------------------------- */

struct molt_deferred {
    size_t n, size;
    struct molt_from from[];
};

static bool is_waiting(struct molt_runtime *rt, struct molt_from from)
{
    struct molt_process *p = molt_process_find(rt, from.pid);
    /* Twice: see molt_process_complete(). */
    return p && (atomic_load(&p->wait_ref) == from.ref || molt_request_is_open(p, from.ref) ||
                 atomic_load(&p->wait_ref) == from.ref);
}

/* Forget those that somebody else has answered, or that gave up. */
static void prune(struct molt_process *p)
{
    struct molt_deferred *d = p->deferred;
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++)
        if (is_waiting(p->rt, d->from[i]))
            d->from[kept++] = d->from[i];
    d->n = kept;
}

bool molt_process_defer(struct molt_process *p, struct molt_from from)
{
    struct molt_deferred *d = p->deferred;
    if (d && d->n == d->size)
        prune(p);
    if (!d || d->n > d->size / 2) {
        size_t size = d ? d->size * 2 : 4;
        struct molt_deferred *more = realloc(d, sizeof(*d) + size * sizeof(d->from[0]));
        if (more) {
            more->n = d ? more->n : 0;
            more->size = size;
            p->deferred = d = more;
        }
    }
    if (!d || d->n == d->size)
        return false;
    d->from[d->n++] = from;
    return true;
}

void molt_process_undefer(struct molt_process *p, struct molt_from from)
{
    struct molt_deferred *d = p->deferred;
    for (size_t i = 0; d && i < d->n; i++) {
        if (d->from[i].ref == from.ref && d->from[i].pid == from.pid) {
            d->from[i] = d->from[--d->n];
            return;
        }
    }
}

void molt_process_fail_deferred(struct molt_process *p)
{
    struct molt_deferred *d = p->deferred;
    p->deferred = NULL;
    for (size_t i = 0; d && i < d->n; i++)
        molt_process_complete(p->rt, d->from[i].pid, d->from[i].ref, MOLT_EDEAD, NULL);
    free(d);
}
