/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What has to happen so that a host which runs one set of modules runs another,
 * and what speaks against it. A pure function of the metas: it asks nobody and
 * changes nothing. The host checks everything that concerns safety again.
 *
 * Threads: pure.
 */
#ifndef MOLT_CONTROL_AGENT_PLAN_H
#define MOLT_CONTROL_AGENT_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "code/meta.h"
#include "types/match.h"

/* A module as it runs. */
struct molt_plan_running {
    const struct molt_meta *meta;
    unsigned number;
};

/* A module as it shall run. */
struct molt_plan_target {
    const struct molt_meta *meta;
    const char *image_path;
    /* With the version that runs; NULL: there is none, or it isn't known. */
    const struct molt_match *match;
};

/* Live processes of a server behaviour. */
struct molt_plan_count {
    const char *server;
    size_t n;
};

/* Everything is borrowed, and has to outlive the plan. */
struct molt_plan_input {
    size_t n_running, n_targets, n_counts;
    const struct molt_plan_running *running;
    const struct molt_plan_target *targets; /* the whole set, not only what is new */
    const struct molt_plan_count *counts;
};

enum molt_plan_action {
    MOLT_PLAN_PUT,    /* add, or replace old_number */
    MOLT_PLAN_KEEP,   /* same code, other header digests */
    MOLT_PLAN_DELETE, /* meta is the running one */
};

struct molt_plan_step {
    enum molt_plan_action action;
    const struct molt_meta *meta;
    const char *image_path; /* of a PUT */
    unsigned old_number;    /* 0: added */
};

/* A reason against the whole set. Strings are malloc'd. */
struct molt_plan_refusal {
    char *module;
    unsigned old_number; /* what goes on running; 0: nothing */
    char *what;          /* and why, a sentence */
    char *remedy;        /* the cheapest way on */
};

struct molt_plan {
    size_t n_steps, n_refusals;
    struct molt_plan_step *steps;
    struct molt_plan_refusal *refusals;
};

/* What becomes of the states of a server's processes. */
enum molt_plan_fate {
    MOLT_PLAN_STAYS,   /* the layout is the same */
    MOLT_PLAN_FOLLOWS, /* by the types */
    MOLT_PLAN_CHANGE,  /* by the author's MOLT_CHANGE, after what follows by the types */
    MOLT_PLAN_STUCK,   /* nothing leads to the new layout */
    MOLT_PLAN_GONE,    /* there is no such server any more */
};

/* That of @server, of @running. *ret_home: who defines it then, NULL if gone; *ret_match: what
 * the match says of the state, NULL if it doesn't. Both may be NULL. */
enum molt_plan_fate molt_plan_fate(const struct molt_plan_input *input,
                                   const struct molt_plan_running *running,
                                   const struct molt_meta_server *server,
                                   const struct molt_meta **ret_home,
                                   const struct molt_match_type **ret_match);
/* Live processes of the server @name. */
size_t molt_plan_processes(const struct molt_plan_input *input, const char *name);

/* MOLT_ENOMEM. Steps are listed also if there are refusals. */
int molt_plan_make(const struct molt_plan_input *input, struct molt_plan *ret);
void molt_plan_fini(struct molt_plan *plan);

#endif
