/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A process: mailbox, typed state, and where it stands between callbacks.
 *
 * Slots are type-stable: a pointer to one stays valid for the life of the
 * runtime, and the pid, which is never used twice, says whether it is still
 * the same process.
 *
 * Two words decide everything that several threads do to a process:
 *
 * `inbox`, a stack of messages (by their links) with their number in the upper 16 bits. Senders
 * push; whoever runs or claimed the process takes all of it at once and keeps
 * it, in order, in its own list. A process that ends leaves it closed.
 *
 * `status`, the state and what there is to do. Whoever adds a reason to run
 * (MOLT_DO_...) to a process that is idle makes it queued in the same step, and
 * puts it into a queue. Whoever takes it out makes it running. Whoever ran it
 * leaves it idle, queued again or claimed, by what the flags say.
 *
 * | state   | its blocks, its private members | next                               |
 * |---------|---------------------------------|------------------------------------|
 * | idle    | nobody                          | queued (a reason), claimed         |
 * | queued  | nobody                          | running (a worker), claimed        |
 * | running | the worker                      | idle, queued, claimed (handed over)|
 * | claimed | who claimed it                  | idle, queued                       |
 *
 * Invariant: exactly one thread moves a process to running or claimed, with
 * acquire order, and it leaves with release order.
 *
 * Threads: any; see the members.
 * Locks:   molt_process.tie_lock guards who watches whom, see relation.h, and who
 *          waits for room in the mailbox, see limit.h. A lane's lock guards the
 *          queue.
 */
#ifndef MOLT_RUNTIME_PROCESS_H
#define MOLT_RUNTIME_PROCESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <molt/molt.h>

#include "base/list.h"
#include "code/code.h"
#include "port/limits.h"
#include "port/spin.h"
#include "runtime/activation.h"
#include "runtime/block.h"
#include "runtime/message.h"
#include "runtime/runtime.h"
#include "runtime/timer.h"

struct molt_bounds;
struct molt_fiber;
struct molt_lane;
struct molt_machine;
struct molt_process;
struct molt_relation;
struct molt_runner;
struct molt_socket;
struct molt_worker;

enum molt_phase {
    MOLT_PHASE_NEW, /* init did not run yet */
    MOLT_PHASE_ALIVE,
    MOLT_PHASE_ENDING, /* terminate runs next, or is running */
};

/* ---- status ---------------------------------------------------------------- */

enum {
    MOLT_STATE_IDLE,
    MOLT_STATE_QUEUED,
    MOLT_STATE_RUNNING,
    MOLT_STATE_CLAIMED,
};
#define MOLT_STATE_MASK 0x7u

/* Reasons to run. */
#define MOLT_DO_MAIL 0x8u     /* something is in the inbox, or in the own list */
#define MOLT_DO_RESUME 0x10u  /* what the suspended callback waits for came */
#define MOLT_DO_TIMEOUT 0x20u /* molt_timeout() */
#define MOLT_DO_READY 0x40u   /* a socket: see its word in socket.h */
#define MOLT_DO_EXIT 0x80u    /* asked to end: see `exit_word` */
#define MOLT_DO_KILL 0x100u   /* at once */
#define MOLT_DO_INIT 0x200u
#define MOLT_DO_TERMINATE 0x400u
#define MOLT_DO_CONTINUE 0x800u /* molt_continue() */
#define MOLT_DO_CONFIG 0x1000u  /* the configuration changed */
#define MOLT_DO_RUN 0x2000u     /* the server's `run` begins, or begins again */
#define MOLT_DO_MACHINE 0x4000u /* its state machine may have something to do */
#define MOLT_DO_ANY                                                                                \
    (MOLT_DO_MAIL | MOLT_DO_TIMEOUT | MOLT_DO_READY | MOLT_DO_EXIT | MOLT_DO_KILL | MOLT_DO_INIT | \
     MOLT_DO_TERMINATE | MOLT_DO_CONTINUE | MOLT_DO_CONFIG | MOLT_DO_RUN | MOLT_DO_MACHINE)

/* How it stands. */
#define MOLT_IS_SUSPENDED 0x10000u    /* has a stack: only RESUME and KILL matter */
#define MOLT_IS_RECEIVING 0x20000u    /* ... and MAIL */
#define MOLT_IS_IN_QUEUE 0x40000u     /* an entry of it is in a queue, perhaps a stale one */
#define MOLT_IS_CLAIM_WANTED 0x80000u /* whoever leaves it hands it over to the executor */
#define MOLT_IS_WATCHED 0x100000u     /* the executor waits for any change */
#define MOLT_IS_NAMED 0x400000u       /* has or may have a registered name */
#define MOLT_IS_TRAPPING 0x800000u    /* molt_trap_exit() */
#define MOLT_IS_GROUPED 0x1000000u    /* is or may be a member of groups */
#define MOLT_IS_LIMITED 0x2000000u    /* has bounds */
#define MOLT_IS_RUN_DUE 0x4000000u    /* DO_RUN, when the upgrade that waits is over */
#define MOLT_IS_TIED 0x8000000u       /* has or may have relations */
#define MOLT_IS_POLLING 0x10000000u   /* suspended, and READY matters */
#define MOLT_IS_MACHINE 0x20000000u   /* has a state machine, since its init */

#define MOLT_SLOT_BITS 24

#define MOLT_INBOX_COUNT_SHIFT 48
#define MOLT_INBOX_POINTER_MASK ((UINT64_C(1) << MOLT_INBOX_COUNT_SHIFT) - 1)
#define MOLT_INBOX_COUNT_MAX UINT64_C(0xffff)
#define MOLT_INBOX_CLOSED UINT64_C(1) /* nobody is in the slot, or it ends */

/* The link of the newest message; NULL: there is none. */
static inline struct molt_list *molt_inbox_first(uint64_t inbox)
{
    uint64_t pointer = inbox & MOLT_INBOX_POINTER_MASK;
    return (struct molt_list *)(uintptr_t)pointer; /* NOLINT: tagged */
}

/* The word with @root on top, which is linked to what is below. */
static inline uint64_t molt_inbox_with(uint64_t inbox, struct molt_block *root)
{
    uint64_t n = inbox >> MOLT_INBOX_COUNT_SHIFT;
    n += n < MOLT_INBOX_COUNT_MAX;
    root->link.next = molt_inbox_first(inbox);
    return (uintptr_t)&root->link | n << MOLT_INBOX_COUNT_SHIFT;
}

struct molt_deferred; /* calls that were neither answered nor failed yet */

struct molt_prepared; /* what staging made of its blocks, see adopt.h */

/* Each of the four parts is a cache line. What senders write stands apart from what
 * they and the runner read, and that from what the runner writes, so that on two
 * workers a message costs no more than the lines that it is about. */
struct molt_process {
    /* Any thread; of senders, but for what is seldom used. */
    _Atomic uint64_t inbox;
    atomic_ullong pid;                     /* 0: no process */
    _Atomic uint64_t exit_word;            /* MOLT_EXIT_..., generation, reason as 32 bits */
    _Atomic(struct molt_socket *) sockets; /* its own; who gives one pushes, see socket.h */
    atomic_ullong timeout_fired;
    _Atomic(struct molt_prepared *) prepared;
    struct molt_relation *watchers;  /* who hears of its end; under tie_lock */
    struct molt_relation *relations; /* of whose end it hears; under tie_lock */

    /* Any thread; seldom written. What isn't atomic is constant for the life of the
     * process, or says otherwise. */
    atomic_uint status;
    int end_reason;                   /* of whoever runs it */
    _Atomic(struct molt_lane *) lane; /* where it is queued when it is stackless */
    _Atomic uint64_t wait_ref;        /* what is waited for; 0: nothing, or it came */
    struct molt_runtime *rt;
    union {
        molt_pid parent;
        uint64_t generation; /* of the last process, in a free slot */
    };
    struct molt_bounds *bounds;   /* NULL: none; under tie_lock, and read by who runs it */
    struct molt_timeout *timeout; /* of whoever runs it */
    uint32_t slot : MOLT_SLOT_BITS;
    atomic_uchar epoch;          /* not constant: of its blocks' layouts, see adopt.h */
    short server_id : 13;        /* -1: a supervisor */
    unsigned short priority : 3; /* enum molt_priority */
    atomic_uchar phase;
    struct molt_spin tie_lock; /* guards watchers, relations and bounds */

    /* Of whoever runs or claimed it; what others may look at is atomic. */
    struct molt_block *mail;
    atomic_uint n_mail; /* in the own list, and what its machine has of it */
    int wait_rc;        /* as wait_root */
    struct molt_owner owner;
    struct molt_block *state_block;
    struct molt_fiber *fiber; /* the running turn, or the suspended callback */
    atomic_ullong n_callbacks;

    /* The same. */
    struct molt_block *mail_last;
    _Atomic(struct molt_world *) world; /* of the callback that runs or is suspended */
    _Atomic(const struct molt_version *) version;
    uint64_t ref; /* counts up for ever, over all processes of this slot */
    union {
        struct molt_block *arg;         /* of the spawn, packed; in MOLT_PHASE_NEW */
        struct molt_deferred *deferred; /* afterwards */
    };
    union {
        void *native_state;             /* of a supervisor */
        struct molt_machine *machine;   /* if it is one */
        _Atomic uintptr_t behind;       /* of others: see adopt.h */
        struct molt_process *free_next; /* of whoever has the free slot */
    };
    /* Of whoever took wait_ref from a number to 0, until it sets DO_RESUME. */
    struct molt_block *wait_root; /* packed reply */
    /* Of whoever is in its queue. */
    struct molt_process *run_next;
};

/* Four cache lines, which it shares with nobody. */
_Static_assert(sizeof(struct molt_process) == 256, "a process is small");
_Static_assert(MOLT_SERVERS_MAX <= 4096, "ids fit into server_id");

#define MOLT_EXIT_ASKED (UINT64_C(1) << 32)
#define MOLT_EXIT_KILL (UINT64_C(1) << 33)

static inline unsigned molt_process_status(const struct molt_process *p)
{
    return atomic_load_explicit(&p->status, memory_order_relaxed);
}

static inline bool molt_process_is_machine(const struct molt_process *p)
{
    return molt_process_status(p) & MOLT_IS_MACHINE;
}

static inline enum molt_phase molt_process_phase(const struct molt_process *p)
{
    return (enum molt_phase)atomic_load_explicit(&p->phase, memory_order_relaxed);
}

static inline void molt_process_set_phase(struct molt_process *p, enum molt_phase phase)
{
    atomic_store_explicit(&p->phase, (unsigned char)phase, memory_order_relaxed);
}

static inline bool molt_process_is_supervisor(const struct molt_process *p)
{
    return p->server_id < 0;
}

static inline molt_pid molt_process_pid(const struct molt_process *p)
{
    return atomic_load_explicit(&p->pid, memory_order_relaxed);
}

/* ---- table ---------------------------------------------------------------- */

#define MOLT_SEGMENT_SLOTS MOLT_LIMIT(256, 2)
#define MOLT_SEGMENTS_MAX ((1u << MOLT_SLOT_BITS) / 256)

/* What tells the processes of a slot apart, as messages carry it. */
#define MOLT_GENERATION_MASK ((1u << (64 - MOLT_REF_BITS)) - 1)
static inline uint32_t molt_pid_generation(molt_pid pid)
{
    return (uint32_t)(pid >> MOLT_SLOT_BITS) & MOLT_GENERATION_MASK;
}

struct molt_slot_cache;

struct molt_process_table {
    pthread_mutex_t lock;   /* guards the free list, growth and the list of caches */
    pthread_cond_t changed; /* a process ended, if n_waiting says that somebody waits */
    struct molt_process *free;
    atomic_uint n_slots; /* grows only */
    atomic_uint n_waiting;
    bool has_barrier; /* port/barrier.h; constant */
    struct molt_slot_cache *caches;
    size_t n_taken, n_given; /* by caches that left */
    _Atomic(struct molt_process *) segments[MOLT_SEGMENTS_MAX];
};

/* Free slots that a thread keeps for itself, and how many it took and gave: the
 * sums of these over all threads differ by the processes that live. */
struct molt_slot_cache {
    struct molt_process *free;
    unsigned n;
    atomic_size_t n_taken, n_given; /* written by the thread */
    struct molt_slot_cache *next;   /* all caches of the table */
};

int molt_process_table_init(struct molt_process_table *table);
/* Frees the slots; the processes are gone. */
void molt_process_table_fini(struct molt_process_table *table);
/* A free slot; molt_slot_give() back. MOLT_ENOMEM, MOLT_ELIMIT. */
int molt_slot_take(struct molt_runtime *rt, struct molt_slot_cache *cache,
                   struct molt_process **ret);
void molt_slot_give(struct molt_runtime *rt, struct molt_slot_cache *cache, struct molt_process *p);
/* Caches stay listed until they leave, which gives their slots back. */
void molt_slot_cache_join(struct molt_process_table *table, struct molt_slot_cache *cache);
void molt_slot_cache_leave(struct molt_process_table *table, struct molt_slot_cache *cache);

/* Processes that live. Never less than there were at some moment meanwhile: if it
 * is 0, there was one without any. Under the table's lock. */
size_t molt_process_table_live(struct molt_process_table *table);
/* Whoever gives a slot from now on sees n_waiting: to be called after that was
 * counted up, before looking whether somebody has ended. */
void molt_process_table_fence(const struct molt_process_table *table);

/* The slot of @index < n_slots, whoever is in it. */
static inline struct molt_process *molt_process_table_at(const struct molt_process_table *table,
                                                         unsigned index)
{
    /* Acquire: pairs with the release store of grow(). */
    struct molt_process *segment =
        atomic_load_explicit(&table->segments[index / MOLT_SEGMENT_SLOTS], memory_order_acquire);
    return &segment[index % MOLT_SEGMENT_SLOTS];
}

/* The slot that @pid names, whoever is in it; NULL if there never was one. */
static inline struct molt_process *molt_process_table_slot(const struct molt_process_table *table,
                                                           molt_pid pid)
{
    unsigned number = pid & ((1u << MOLT_SLOT_BITS) - 1);
    if (number == 0 || number > atomic_load_explicit(&table->n_slots, memory_order_acquire))
        return NULL;
    return molt_process_table_at(table, number - 1);
}

/* molt_process_at(), _slot() and _find() in rt.h do it by the runtime. */

/* ---- life ----------------------------------------------------------------- */

struct molt_spawn {
    int server_id;          /* or -1 and: */
    void *native_state;     /* of a supervisor */
    const char *name;       /* may be NULL */
    struct molt_block *arg; /* packed; may be NULL; consumed on success */
    molt_pid parent, supervisor;
    struct molt_lane *lane; /* NULL: the caller's, or the next one */
    unsigned char priority;
    bool is_spread, is_linked;        /* to the parent */
    uint64_t *ret_monitor;            /* of the parent; NULL: no monitor */
    const struct molt_limits *limits; /* checked; NULL: none */
};

/* MOLT_ENOMEM, MOLT_ELIMIT, MOLT_EEXIST, MOLT_EINVAL (the name is too long),
 * MOLT_EDEAD (the supervisor is gone). */
int molt_process_spawn(struct molt_runtime *rt, const struct molt_spawn *spawn, molt_pid *ret_pid);

/* The end: mail, callers, name, groups, descriptor, timers, blocks, relations. By
 * whoever runs it; @p is another process or none afterwards. */
void molt_process_destroy(struct molt_process *p, int reason);

/* Abandon the stack of its callback, with all that came for that one alone. By
 * @runner, who runs it. */
void molt_process_leave_stack(struct molt_process *p, struct molt_runner *runner);

/* ---- events, any thread ----------------------------------------------------- */

/* Add reasons to run. The process is queued if it was idle and they matter. */
void molt_process_signal(struct molt_process *p, unsigned reasons);

/* If `run` is due, it begins. */
void molt_process_start_due(struct molt_process *p);

/* Put @root, packed, into the mailbox of @pid, as @kind from @from. Consumed
 * on success. MOLT_EDEAD. */
int molt_process_post(struct molt_runtime *rt, molt_pid pid, struct molt_block *root,
                      enum molt_message_kind kind, struct molt_from from);
/* The same, if there is room for it: MOLT_EBUSY, MOLT_ELIMIT if the mailbox is
 * full, see limit.h. What the runtime itself sends needs no room. */
int molt_process_offer(struct molt_runtime *rt, molt_pid pid, struct molt_block *root,
                       enum molt_message_kind kind, struct molt_from from);

/* End the wait for @ref with @rc, or with @reply (packed, may be NULL; given to
 * the waiter then). False if nobody waits for it any more. */
bool molt_process_complete(struct molt_runtime *rt, molt_pid pid, uint64_t ref, int rc,
                           struct molt_block *reply);

/* Ask it to end, whether it traps exits or not. MOLT_EDEAD. */
int molt_process_exit(struct molt_runtime *rt, molt_pid pid, int reason);
/* End it at once, without terminate. MOLT_EDEAD. */
int molt_process_kill(struct molt_runtime *rt, molt_pid pid);
/* Whether it was asked to end @how (MOLT_EXIT_...), and with which reason. */
bool molt_process_is_asked(const struct molt_process *p, uint64_t how, int *ret_reason);

/* "process 12 'counter'". Takes the names' lock. */
void molt_process_label(struct molt_process *p, char *buf, size_t size);

/* Put @root, which says where it goes, on the stack of @p. What was there before;
 * MOLT_INBOX_CLOSED: it was not put there. Who finds 0 adds MOLT_DO_MAIL. */
static inline uint64_t molt_process_push(struct molt_process *p, struct molt_block *root)
{
    uint64_t old = atomic_load_explicit(&p->inbox, memory_order_relaxed), new;
    do {
        if (__builtin_expect(old == MOLT_INBOX_CLOSED, 0))
            return old;
        new = molt_inbox_with(old, root);
        /* Release: pairs with the exchange of molt_process_drain(). */
    } while (!atomic_compare_exchange_weak_explicit(&p->inbox, &old, new, memory_order_release,
                                                    memory_order_relaxed));
    return old;
}

/* Messages that wait: an estimate while others send. */
size_t molt_process_mailbox(const struct molt_process *p);

/* ---- by whoever runs or claimed it ------------------------------------------ */

/* Move what is in the inbox to the own list. What was meant for an earlier
 * process of the slot is dropped. Returns how many were moved. */
unsigned molt_process_drain(struct molt_process *p, struct molt_block_cache *cache);
/* The same, when MOLT_DO_MAIL was taken away just before. */
unsigned molt_process_collect(struct molt_process *p, struct molt_block_cache *cache);

/* The first message of the own list, taken out; there is one. */
struct molt_block *molt_process_take(struct molt_process *p);
/* Take @root out, which stands behind @before; NULL: in front. */
void molt_process_pluck(struct molt_process *p, struct molt_block *before, struct molt_block *root);
/* Put @root, which was plucked, behind @before; NULL: in front. */
void molt_process_plant(struct molt_process *p, struct molt_block *before, struct molt_block *root);
/* @n messages more wait elsewhere, or fewer if it is negative. */
void molt_process_count_mail(struct molt_process *p, int n);
/* Put it back in front. */
void molt_process_untake(struct molt_process *p, struct molt_block *root);

/* Note that the caller of @from has no answer yet: it gets MOLT_EDEAD when @p
 * ends. False when out of memory. */
bool molt_process_defer(struct molt_process *p, struct molt_from from);
/* It was answered. */
void molt_process_undefer(struct molt_process *p, struct molt_from from);

/* A queued process, taken out of a queue, is the caller's to run. Its status before;
 * 0 if it was claimed meanwhile. If that has MOLT_DO_MAIL and it isn't suspended, the
 * flag is taken away, and the caller has to collect its mail. */
unsigned molt_process_begin(struct molt_process *p);

/* The end of the mailbox: what is in it is dropped, callers get MOLT_EDEAD, and
 * nobody can send any more. */
void molt_process_close_mail(struct molt_process *p, struct molt_block_cache *cache);
/* Its callers get MOLT_EDEAD. */
void molt_process_fail_deferred(struct molt_process *p);

/* Leave it, with @set added to its status and @clear taken away: queued again,
 * idle, or handed over. It is somebody else's from here on. */
void molt_process_leave(struct molt_process *p, unsigned set, unsigned clear);
/* The same, from inside molt_process_watch(). */
void molt_process_leave_quietly(struct molt_process *p);

/* "call counter", "sleep"; "" if it doesn't wait. */
void molt_process_describe_wait(const struct molt_process *p, char *buf, size_t size);

/* ---- claims ------------------------------------------------------------------ */

/* Take @p if nobody has it now; molt_process_leave() lets it go. Any thread, for
 * a few microseconds; the executor for as long as it likes. */
bool molt_process_claim(struct molt_process *p);
/* The same, by the executor, waiting for whoever has it until @deadline_ns.
 * False if @pid is dead or still running. */
bool molt_process_claim_wait(struct molt_process *p, molt_pid pid, uint64_t deadline_ns);
/* Wait, by the executor, until @is_over says so after a change of @p. False at
 * the deadline. */
bool molt_process_watch(struct molt_process *p, bool (*is_over)(struct molt_process *, void *),
                        void *user, uint64_t deadline_ns);

#endif
