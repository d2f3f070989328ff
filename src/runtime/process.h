/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A process: mailbox, typed state, and where it stands between callbacks.
 *
 * Slots are type-stable: a pointer to one stays valid for the life of the
 * runtime, and the pid, which is never used twice, says whether it is still
 * the same process. A process has a home worker; only that one runs it.
 *
 * Invariant: whoever moved @state to RUNNING (the home worker, or the spawner
 * before the first callback) or to CLAIMED (the executor) touches the blocks;
 * everybody else only what the lock guards.
 *
 * Threads: any; see the members.
 * Locks:   molt_process.lock guards what stands below it; a worker's
 *          queue_lock nests in it. Nobody holds two process locks at once.
 *          molt_names.lock is taken before a process lock.
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
#include "runtime/block.h"
#include "runtime/message.h"
#include "runtime/runtime.h"
#include "runtime/timer.h"

struct molt_fiber;
struct molt_process;
struct molt_worker;

#define MOLT_NAME_MAX 64
#define MOLT_LOCKS_KEPT 4

/* A process that the runtime itself implements: called on a fiber for its
 * start (@message NULL, phase NEW), for a request to end (@message NULL, phase
 * ENDING), and for each message. 0 to go on, negative to end with that. */
typedef int molt_native_fn(struct molt_process *p, struct molt_message *message);

enum molt_phase {
    MOLT_PHASE_NEW, /* init did not run yet */
    MOLT_PHASE_ALIVE,
    MOLT_PHASE_ENDING, /* terminate runs next, or is running */
};

enum molt_wait_kind { MOLT_WAIT_NONE, MOLT_WAIT_CALL, MOLT_WAIT_SLEEP };

/* What a suspended callback waits for. */
struct molt_wait {
    enum molt_wait_kind kind;
    bool is_done;
    int rc;
    uint64_t ref;            /* of the call or sleep; counts up for ever */
    struct molt_list reply;  /* blocks of the reply, owned by the waiter */
    struct molt_block *root; /* of the reply */
    size_t bytes;
    char what[MOLT_NAME_MAX + 8]; /* "call counter" */
};

enum molt_callback_kind {
    MOLT_CALLBACK_NONE,
    MOLT_CALLBACK_INIT,
    MOLT_CALLBACK_CALL,
    MOLT_CALLBACK_CAST,
    MOLT_CALLBACK_OTHER,
    MOLT_CALLBACK_READY,
    MOLT_CALLBACK_TIMEOUT,
    MOLT_CALLBACK_TERMINATE,
    MOLT_CALLBACK_NATIVE,
};

/* The callback that runs or is suspended. */
struct molt_callback {
    enum molt_callback_kind kind;
    molt_any_fn fn;
    void *arg;
    const char *type_name;
    struct molt_message *message; /* NATIVE */
    struct molt_from from;
    bool is_call; /* a negative result is the caller's answer */
    unsigned events;
    int rc;
};

struct molt_process {
    struct molt_runtime *rt;
    atomic_ullong pid; /* 0: no process; written under lock */
    uint32_t slot;
    uint64_t generation;        /* under the table's lock */
    struct molt_list free_link; /* the same */

    pthread_mutex_t lock;
    enum molt_process_state state; /* never SUSPENDED: that is "has a fiber" */
    enum molt_phase phase;
    bool is_in_queue;
    bool is_claim_wanted; /* whoever ends RUNNING hands over to the executor */
    bool is_watched;      /* the executor waits for any change */
    bool is_held;         /* claimed until adopt or unprepare */
    bool is_kill_wanted;
    bool is_exit_wanted;
    bool is_timeout_due;
    int exit_reason;
    unsigned ready; /* MOLT_NET_... */
    struct molt_list mailbox;
    size_t n_mail, mail_bytes;
    struct molt_list calls; /* callers' call_link: who waits for an answer */
    struct molt_wait wait;
    struct molt_message *arg; /* of the spawn, until init ran */
    char name[MOLT_NAME_MAX]; /* registered; also under the names' lock */
    uint64_t n_callbacks;
    struct molt_world *world; /* of the callback that runs or is suspended */
    const struct molt_version *version;

    struct molt_list run_link; /* under the worker's queue_lock */

    /* Guarded by the lock of call_server. */
    struct molt_list call_link;
    struct molt_process *call_server;

    /* Constant for the life of the process. */
    struct molt_worker *worker;
    int server_id; /* -1: native */
    molt_native_fn *native;
    void *native_state;
    molt_pid parent, supervisor;
    struct molt_message *exit_message; /* for the supervisor, made beforehand */

    /* Of whoever runs or claimed it. */
    struct molt_owner owner;
    struct molt_list arrived; /* what came with the message being handled */
    struct molt_block *state_block;
    struct molt_fiber *fiber; /* running or suspended callback; also read under lock */
    struct molt_callback callback;
    bool is_holding_world;
    bool is_visiting;
    int end_reason;
    bool is_failed; /* a thunk stub ended the callback */
    struct molt_timer wait_timer, timeout_timer;
    int fd;
    unsigned n_locks;
    const void *locks[MOLT_LOCKS_KEPT]; /* the last ones taken */

    /* Of the executor. */
    struct molt_owner prepared_owner; /* what a conversion made */
    struct molt_block *prepared;
    uint64_t prepared_at;               /* n_callbacks */
    struct molt_block **prepared_frees; /* what the change function freed */
    size_t n_prepared_frees;

    /* Under the names' lock. */
    struct molt_process *name_next;
};

/* ---- table ---------------------------------------------------------------- */

#define MOLT_SEGMENT_SLOTS MOLT_LIMIT(256, 2)
#define MOLT_SLOT_BITS 22
#define MOLT_SEGMENTS_MAX ((1u << MOLT_SLOT_BITS) / 256)

struct molt_process_table {
    pthread_mutex_t lock;   /* guards the free list, growth and n_live */
    pthread_cond_t changed; /* n_live fell */
    struct molt_list free;
    atomic_uint n_slots; /* grows only */
    size_t n_live;
    _Atomic(struct molt_process *) segments[MOLT_SEGMENTS_MAX];
};

int molt_process_table_init(struct molt_process_table *table);
/* Frees the slots; the processes are gone. */
void molt_process_table_fini(struct molt_process_table *table);

/* The slot that @pid names, if it is still that process; look again under its
 * lock. */
struct molt_process *molt_process_find(struct molt_runtime *rt, molt_pid pid);
/* The slot of @index < n_slots, whoever is in it. */
struct molt_process *molt_process_at(struct molt_runtime *rt, unsigned index);

/* ---- life ----------------------------------------------------------------- */

struct molt_spawn {
    int server_id; /* or -1 and: */
    molt_native_fn *native;
    void *native_state;
    const char *name;       /* may be NULL */
    struct molt_cargo *arg; /* may be NULL; consumed on success */
    molt_pid parent, supervisor;
};

/* MOLT_ENOMEM, MOLT_ELIMIT, MOLT_EEXIST, MOLT_EINVAL (the name is too long). */
int molt_process_spawn(struct molt_runtime *rt, const struct molt_spawn *spawn, molt_pid *ret_pid);

/* The end: mail, callers, name, descriptor, timers, blocks, supervisor. On the
 * home worker, in state RUNNING; @p is another process or none afterwards. */
void molt_process_destroy(struct molt_process *p, int reason);

/* ---- events, any thread ----------------------------------------------------- */

/* Queue it if it is idle and has something to do. Under its lock. */
void molt_process_wake(struct molt_process *p);

/* Put @message (consumed on success) into the mailbox. MOLT_EDEAD. @caller
 * (may be NULL) is the process that waits for an answer. */
int molt_process_deliver(struct molt_runtime *rt, molt_pid pid, struct molt_message *message,
                         struct molt_process *caller);

/* End the wait for @ref with @rc, or with @graph (may be NULL; given to the
 * waiter then). False if nobody waits for it any more. */
bool molt_process_complete(struct molt_runtime *rt, molt_pid pid, uint64_t ref, int rc,
                           struct molt_cargo *graph);

/* The caller no longer waits for its server's answer. By the caller's runner. */
void molt_process_forget_call(struct molt_process *p);

/* Ask it to end. MOLT_EDEAD. */
int molt_process_exit(struct molt_runtime *rt, molt_pid pid, int reason);

/* "process 12 'counter'"; the second form under its lock. */
void molt_process_label(struct molt_process *p, char *buf, size_t size);
void molt_process_label_locked(const struct molt_process *p, char *buf, size_t size);

/* Leave RUNNING: hand over, queue again or go idle. Under its lock. */
void molt_process_settle(struct molt_process *p);
bool molt_process_has_work(const struct molt_process *p);

/* ---- claims, by the executor ------------------------------------------------ */

/* Take @p for the executor if nobody runs it now. Under its lock. */
bool molt_process_claim(struct molt_process *p);
/* The same, waiting for a running callback until @deadline_ns. False if it is
 * dead or still running. Under its lock. */
bool molt_process_claim_wait(struct molt_process *p, molt_pid pid, uint64_t deadline_ns);
/* Let go. Under its lock. */
void molt_process_unclaim(struct molt_process *p);
/* Wait for any change of @p. False at the deadline. Under its lock. */
bool molt_process_watch(struct molt_process *p, uint64_t deadline_ns);

#endif
