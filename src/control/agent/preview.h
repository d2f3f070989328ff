/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What an upgrade would do: which modules and types change, what becomes of the processes,
 * what would be lost, what can't be seen, what speaks against it, and what came of
 * trying it on copies. Made from a plan and its matches; decides nothing by itself.
 *
 * Threads: pure.
 */
#ifndef MOLT_CONTROL_AGENT_PREVIEW_H
#define MOLT_CONTROL_AGENT_PREVIEW_H

#include "base/buf.h"
#include "control/agent/matched.h"
#include "control/agent/plan.h"
#include "control/record.h"

enum molt_preview_change {
    MOLT_PREVIEW_ADDED,
    MOLT_PREVIEW_CHANGED,
    MOLT_PREVIEW_HEADERS, /* compiled against another header; its code is the same and stays */
    MOLT_PREVIEW_REMOVED,
};

struct molt_preview_module {
    const char *name;
    enum molt_preview_change change;
    unsigned old_number; /* 0: added */
    const char *unseen;  /* lines of what no diff of types can see; "" */
};

struct molt_preview_type {
    const char *module;
    const struct molt_match_type *there;
    const struct molt_match_type *back; /* NULL: nothing leads back, or it isn't known */
};

struct molt_preview_server {
    const char *name, *state; /* its state's type */
    size_t n_processes;
    enum molt_plan_fate fate;
    bool has_new_code;
    const struct molt_match_type *type; /* of its state, if that changes; else NULL */
};

/* Whatever isn't a pointer to const is the preview's. */
struct molt_preview {
    size_t n_modules, n_types, n_servers;
    struct molt_preview_module *modules;
    struct molt_preview_type *types;
    struct molt_preview_server *servers; /* that have processes, and are concerned */
    size_t n_refusals;
    const struct molt_plan_refusal *refusals;
    char *old_states; /* those that change, as a header of C; NULL: not asked for, or none */
    bool is_tried;
    struct molt_trial_record trial;
    char *untried;       /* why it wasn't; NULL: nobody asked, or it was */
    char *refusal;       /* what the host has against it; NULL: nothing, or it wasn't asked */
    char **trial_places; /* [trial.n_failures]: "from_1() src/counter.c:14", may be NULL */
};

/* From the input of a plan, the plan, and its matches, which have to outlive it. MOLT_ENOMEM. */
int molt_preview_make(const struct molt_plan_input *input, const struct molt_plan *plan,
                      const struct molt_matched *matched, struct molt_preview *ret);
void molt_preview_fini(struct molt_preview *preview);

/* Whether the upgrade would be refused, as far as is known. */
bool molt_preview_is_refused(const struct molt_preview *preview);

/* "added", "changed", "headers", "removed"; "automatic", ...; "follows", ... */
const char *molt_preview_change_name(enum molt_preview_change change);
const char *molt_preview_verdict_name(enum molt_verdict verdict);
const char *molt_preview_fate_name(enum molt_plan_fate fate);

/* For people, in lines, the last one without a newline. */
void molt_preview_print(const struct molt_preview *preview, struct molt_buf *out);
/* What failed when it was tried: a line each, indented, beginning with a newline. */
void molt_preview_print_failures(const struct molt_preview *preview, struct molt_buf *out);

#endif
