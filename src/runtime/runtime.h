/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The runtime: workers, processes, and what the upgrade layer needs of them.
 *
 * A process is idle, queued, running, suspended inside a callback (it then
 * holds a stack and its world), claimed by the executor, or dead. Exactly one
 * thread at a time touches a process's blocks: the worker that runs it, or
 * the executor that claimed it.
 *
 * Threads: the functions here are for the executor thread (whoever stages and
 * commits) unless said otherwise.
 */
#ifndef MOLT_RUNTIME_RUNTIME_H
#define MOLT_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/host.h>
#include <molt/molt.h>

#include "base/log.h"
#include "code/code.h"

struct molt_runtime;

/* A frame of a crash. */
struct molt_runtime_frame {
    const char *module; /* "": not in a version */
    unsigned number;    /* of the version */
    uintptr_t offset;   /* from the image's base; outside of versions the pc */
};

/* A crash that ended its process and nothing else. */
struct molt_runtime_crash {
    molt_pid pid;
    const char *label;      /* "process 12 'counter'" */
    const char *server;     /* behaviour */
    const char *state_type; /* "": there was no state yet */
    const char *callback;   /* "init", "call", "cast", ... */
    const char *message;    /* type of what was being handled, or "" */
    uint64_t callbacks;     /* that the process had finished */
    int signal;
    uintptr_t address; /* that it was about; 0 also if unknown */
    const char *what;  /* "bad address", "stack overflow", ... */
    size_t n_all;      /* frames there were */
    size_t n_frames;   /* of these, innermost first */
    const struct molt_runtime_frame *frames;
};

struct molt_runtime_config {
    struct molt_code *code;
    unsigned workers;    /* 0: one per core that this OS process may run on */
    size_t stack_bytes;  /* 0: 256 KiB */
    bool is_pinned;      /* each worker to a core of its own */
    unsigned spares;     /* at most so many workers beside those; 0: 8 */
    bool is_uncontained; /* no signal handlers: nothing is preempted, crashes end the host */
    struct molt_sink sink;
    molt_config_fn *config_get;
    void *config_user;
    /* May be NULL: the root supervisor ended with @reason, also when asked to.
     * Called on a worker; it must not wait for the runtime. @user is
     * config_user. */
    void (*on_root_exit)(void *user, int reason);
    /* Of a contained crash, in place of a message to the log; NULL: the log gets
     * it. Called on the worker, the same way. Strings are valid until it returns. */
    void (*on_crash)(void *user, const struct molt_runtime_crash *crash);
};

/* Say @crash in one line of the log. Any thread. */
void molt_runtime_log_crash(struct molt_runtime *rt, const struct molt_runtime_crash *crash);

int molt_runtime_new(const struct molt_runtime_config *config, struct molt_runtime **ret,
                     struct molt_error *err);
/* Start the workers; then the supervisor @root (may be NULL) of the current
 * world. Returns when the inits of its tree have run, or after 5 s. */
int molt_runtime_start(struct molt_runtime *rt, const char *root, struct molt_error *err);
/* Stop children in reverse order (terminate runs), then the workers. MOLT_ETIMEDOUT:
 * what is left after @timeout_ms was named in the log, and is dropped. */
int molt_runtime_stop(struct molt_runtime *rt, int timeout_ms);
/* A callback doesn't return. Its thread goes on, so nothing that it may use can be
 * freed; what is left to do is to end the OS process. */
bool molt_runtime_is_stuck(const struct molt_runtime *rt);
/* Frees nothing if it is stuck. */
void molt_runtime_free(struct molt_runtime *rt);

/* ---- processes ---------------------------------------------------------- */

enum molt_process_state {
    MOLT_PROCESS_IDLE,
    MOLT_PROCESS_QUEUED,
    MOLT_PROCESS_RUNNING,
    MOLT_PROCESS_SUSPENDED,
    MOLT_PROCESS_CLAIMED,
};

struct molt_process_info {
    molt_pid pid;
    const char *name;                   /* registered name or "" */
    const char *server;                 /* behaviour */
    const struct molt_version *version; /* that its running or suspended callback is
                                           in, else NULL */
    uint64_t world;                     /* id of the same, 0 if none */
    enum molt_process_state state;
    const char *waiting_for; /* "call counter", "sleep", ""; of a state machine also
                                "state OPEN" */
    size_t mailbox;          /* messages */
    size_t bytes;            /* blocks and mailbox */
    uint64_t callbacks;      /* run so far */
    const struct molt_type *state_type;
    molt_pid parent;
    uint64_t behind; /* id of the older world that it goes on in, because it can't be
                        converted for the current one; else 0 */
};

/* Each process, from any thread; not one consistent instant. */
int molt_runtime_each_process(struct molt_runtime *rt,
                              void (*fn)(void *user, const struct molt_process_info *), void *user);

/* A child of a supervisor, whether it runs or not; or the supervisor itself. */
struct molt_runtime_child {
    molt_pid supervisor;
    const char *supervisor_name; /* in the modules' tables */
    bool is_self;                /* what follows is about no child */
    enum molt_strategy strategy;
    const char *id; /* "" in a MOLT_SIMPLE_ONE_FOR_ONE */
    molt_pid pid;   /* 0: it doesn't run */
    enum molt_restart restart;
    bool is_supervisor;
    uint64_t n_restarts; /* that it was the reason for */
};
typedef void molt_runtime_child_fn(void *user, const struct molt_runtime_child *child);

/* Each supervisor, and then its children in the order of their start. One that
 * is busy at this moment may be missed. Returns how many. */
int molt_runtime_each_child(struct molt_runtime *rt, molt_runtime_child_fn *fn, void *user);

/* Have on_config called in every process whose server has it: molt_config()
 * answers anew. */
void molt_runtime_config_changed(struct molt_runtime *rt);

/* On the operator's word: end @pid at once, also if suspended; terminate does
 * not run, blocks are freed. A running callback is waited for. MOLT_EDEAD. */
int molt_runtime_kill(struct molt_runtime *rt, molt_pid pid);

/* Pids of the processes whose suspended callback holds @world (any world older
 * than @before_world if NULL). Returns how many there are; stores at most @n. */
size_t molt_runtime_stragglers(struct molt_runtime *rt, const struct molt_world *world,
                               uint64_t before_world, molt_pid *ret_pids, size_t n);

/* For molt_code_reclaim(): looks for words into @ranges in the blocks of every
 * process, mailbox, timer and reply, in suspended stacks. Names what it finds:
 * "process 12 'counter': struct counter.on_tick". Blocks whose types may not
 * point cost nothing. Runs beside the workers: each process is claimed while
 * it is looked at, and what is sent meanwhile is looked at by its sender. */
int molt_runtime_scan(void *runtime, const struct molt_range *ranges, size_t n, molt_pin_fn *report,
                      void *report_user);

/* ---- foreign threads ---------------------------------------------------- */

/* What molt_thread_register() does, by runtime; from the thread concerned.
 * MOLT_EEXIST: it is registered already. MOLT_ENOMEM. */
int molt_runtime_thread_register(struct molt_runtime *rt, const char *name,
                                 struct molt_thread **ret);

/* Have supervisors do what the current world's specifications say: stop the
 * children that are gone from them, start those that are new. Part of
 * molt_runtime_adopt(). */
void molt_runtime_reconcile(struct molt_runtime *rt);

/* May the supervisors of @now (NULL: there are none) go on in @next? MOLT_EINVAL
 * naming the supervisor whose specification isn't sound, MOLT_EREFUSED the one
 * that can't change like that. */
int molt_runtime_check_supervisors(struct molt_runtime *rt, const struct molt_world *now,
                                   const struct molt_world *next, struct molt_error *err);

/* ---- upgrades ----------------------------------------------------------- */

/* What @new_world means for processes and mail. */
struct molt_conversion {
    struct molt_world *old_world, *new_world;
    size_t n_types;
    const struct molt_type **gone_types; /* message layouts that the new world can't take, and
                                            from which no way leads to one that it takes: no
                                            mailbox may hold one, and no callback that could
                                            send one may be suspended */
    bool moves_globals; /* nobody may be in the old world, or ever come back to one, after the
                           commit: molt_runtime_hold() pauses, registered threads too */
};

struct molt_conversion_result {
    size_t n_processes; /* converted so far */
    size_t n_redone;    /* of them, because they ran since they were prepared */
    uint64_t held_ns;   /* everybody paused for so long, before the switch */
};

/* If layouts change: finish the sweep of an earlier upgrade, until @deadline_ms from now
 * (MOLT_ETIMEDOUT), then, while everything serves, make ready beside its state what each
 * process between callbacks needs. MOLT_ECHANGE, MOLT_ENOMEM: naming process, block and
 * field; nothing has changed then. */
int molt_runtime_prepare(struct molt_runtime *rt, const struct molt_conversion *conv,
                         int deadline_ms, struct molt_error *err);

/* If there are gone types, or globals move: have all workers pause between callbacks, and check
 * that nobody is suspended inside of a callback and no mailbox or timer holds one. Everybody pauses
 * then until molt_runtime_adopt() or _unprepare(), which has to come at once. If something
 * is in the way everybody goes on, and it is tried again until @deadline_ms from now; then
 * MOLT_ETIMEDOUT, naming whom it waited for. */
int molt_runtime_hold(struct molt_runtime *rt, const struct molt_conversion *conv, int deadline_ms,
                      struct molt_error *err);

/* If globals move, after molt_runtime_hold(): make ready anew whoever ran since
 * molt_runtime_prepare(), so that nobody has to go on in an old world after the commit.
 * MOLT_ECHANGE, MOLT_ENOMEM as there; MOLT_EREFUSED naming a process that is in an older world
 * already. */
int molt_runtime_settle(struct molt_runtime *rt, const struct molt_conversion *conv,
                        struct molt_error *err);

/* After the commit: everybody goes on, the sweep begins. *ret says how far it came in its first
 * few milliseconds; molt_runtime_sweep() goes on with it. */
void molt_runtime_adopt(struct molt_runtime *rt, const struct molt_conversion *conv,
                        struct molt_conversion_result *ret);

/* Before the commit, on failure: drop what was made ready, let go. Idempotent. */
void molt_runtime_unprepare(struct molt_runtime *rt, const struct molt_conversion *conv);

/* Change over processes that stay idle, for about @budget_ms. True: there is nothing left
 * to do. Those that are busy or suspended change over by themselves. */
bool molt_runtime_sweep(struct molt_runtime *rt, int budget_ms);

/* Tables go with an upgrade in the same way: rows are converted beside the tables while
 * everything serves; operations on these tables wait from closing to opening, between which
 * the commit is made; tables go on with what was made, or as they were. Opening is always
 * called, before the commit's stage is aborted, too. check: would it succeed now? On failure
 * @err names table, key and field. See runtime/table.h. */
int molt_runtime_prepare_tables(struct molt_runtime *rt, const struct molt_world *world,
                                struct molt_error *err);
int molt_runtime_close_tables(struct molt_runtime *rt, const struct molt_world *world,
                              struct molt_error *err);
void molt_runtime_open_tables(struct molt_runtime *rt, const struct molt_world *world,
                              bool is_committed);
int molt_runtime_check_tables(struct molt_runtime *rt, const struct molt_world *world,
                              struct molt_error *err);

/* Nobody is in an older world: have pointers in @n_rows more rows lead to the images of
 * the current one. 1: there are more; 0: that was all, the next call begins again. */
int molt_runtime_sweep_tables(struct molt_runtime *rt, size_t n_rows, size_t *n_changed);

/* Have nobody run module code: all workers stop between callbacks, no callback is suspended,
 * registered threads stand at a safe point or are offline. Tried for 20 ms at a time, between
 * which everybody goes on, until @deadline_ms from now: MOLT_ETIMEDOUT, naming who was in the
 * way. molt_runtime_resume() has to come at once. */
int molt_runtime_pause(struct molt_runtime *rt, int deadline_ms, struct molt_error *err);
void molt_runtime_resume(struct molt_runtime *rt);

/* Whether @value is an address in a block, anybody's. */
bool molt_runtime_is_block(struct molt_runtime *rt, uint64_t value);

/* Live processes of a server id; for refusing a delete. */
size_t molt_runtime_count(struct molt_runtime *rt, int server_id);

struct molt_runtime_stats {
    size_t n_processes, n_workers, n_stacks;
    size_t n_spares, n_spares_max;     /* workers that stand in for stuck ones */
    size_t stack_bytes, stack_deepest; /* of a callback; used by the deepest one so far */
    uint64_t callbacks, messages, crashes, restarts, preempted, handovers;
    size_t n_behind;  /* processes that go on in an older world: they can't be converted */
    size_t n_unswept; /* slots that the sweep of the last upgrade has still to look at */
};
void molt_runtime_stats(struct molt_runtime *rt, struct molt_runtime_stats *ret);

#endif
