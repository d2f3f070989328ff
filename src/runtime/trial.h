/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A trial: the states of all processes, or a sample of them, become those of another
 * world, in a forked child that then goes away. What it learns it writes into memory that
 * it shares with its parent, as it goes: if it crashes, that says where it was.
 *
 * Author's code runs between the two, so the parent trusts nothing in there but that it
 * is of this size: molt_trial_settle().
 *
 * Threads: see the functions.
 */
#ifndef MOLT_RUNTIME_TRIAL_H
#define MOLT_RUNTIME_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/molt.h>

#include "code/code.h"

struct molt_runtime;

#define MOLT_TRIAL_FAILURES_MAX 20

/* Of one server's processes. */
struct molt_trial_server {
    char name[64];
    uint32_t n_processes;
    uint32_t n_tried;   /* idle ones whose state was looked at */
    uint32_t n_changed; /* of these, because something in it has another layout */
    uint32_t n_busy;    /* in a callback, or not yet begun: not tried */
    uint32_t n_failed;
};

/* A function of a module, for people: the agent finds its name. */
struct molt_trial_place {
    char module[64]; /* "": none */
    uint32_t number;
    uint64_t offset; /* in the image */
};

struct molt_trial_failure {
    uint64_t pid;
    char label[128];               /* "process 12 'counter'" */
    struct molt_trial_place place; /* the author's function, or where in it it crashed */
    char why[256];
};

struct molt_trial_report {
    uint32_t n_servers;
    struct molt_trial_server servers[MOLT_SERVERS_MAX];
    uint32_t n_failed;   /* of all processes */
    uint32_t n_failures; /* listed below */
    struct molt_trial_failure failures[MOLT_TRIAL_FAILURES_MAX];
    uint64_t bytes;   /* of new blocks */
    uint64_t run_ns;  /* that converting took */
    bool is_cut;      /* ended by its deadline */
    bool is_finished; /* came to its end */
    /* Where it is now. */
    bool is_trying, is_calling;
    int32_t server_id;
    uint64_t pid;
    char label[128];
    struct molt_trial_place place;
};

struct molt_trial {
    struct molt_trial_report *report; /* shared memory, zeroed */
    struct molt_world *world;         /* sealed */
    uint32_t max_states;              /* per server; 0: all */
    uint64_t deadline_ns;             /* no process is begun after it */
    int output_fd;                    /* what standard output and error are; negative: no matter */
    uint64_t n_written;               /* bytes in there so far */
    bool has_output;                  /* since the process that it is at was begun */
};

/* Around fork(), on the executor's thread, in the parent and in the child: others can't be
 * in the middle of what the child needs. */
void molt_trial_lock(struct molt_runtime *rt);
void molt_trial_unlock(struct molt_runtime *rt);

/* In the child. */
void molt_trial_run(struct molt_runtime *rt, struct molt_trial *trial);

/* In the child, around an author's conversion: by molt_adopt_call_change(). */
void molt_trial_before_call(struct molt_trial *trial, struct molt_code *code, molt_any_fn change);
void molt_trial_after_call(struct molt_trial *trial);

/* In the child, also from a signal handler: the fault that it is about to die of happened
 * at @pc. */
void molt_trial_note_fault(struct molt_trial *trial, struct molt_code *code, const void *pc);

/* In the parent, when the child is gone: @why_ended (NULL: it ended by itself) is the failure
 * of the process that it was at. Whatever was in the report, texts end and counts fit. */
void molt_trial_settle(struct molt_trial_report *report, const char *why_ended);

#endif
