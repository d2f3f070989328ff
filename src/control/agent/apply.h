/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Bring a host to a set: compare with what runs, refuse what can't go well
 * before anything is sent, then one stage and one switch.
 *
 * Threads: the agent's.
 */
#ifndef MOLT_CONTROL_AGENT_APPLY_H
#define MOLT_CONTROL_AGENT_APPLY_H

#include <stdbool.h>
#include <stdint.h>

#include <molt/error.h>

#include "control/agent/set.h"
#include "control/record.h"

struct molt_builder;
struct molt_link;

struct molt_apply_context {
    struct molt_link *link;
    struct molt_builder *builder; /* makes interface objects; NULL: the set's own are used */
    const char *store;            /* folder of images, to see what changed; NULL: it isn't seen */
    const char *project;          /* root folder that images were read with; may be NULL */
    int deadline_ms;              /* of the upgrade; 0: the host's default */
};

/* What came of it. On failure code is negative, and text says for people what,
 * why and what to do, in one or more lines without a newline at the end. */
struct molt_outcome {
    int code;
    bool is_unchanged; /* nothing to do */
    char *text;        /* malloc'd; NULL on success */
    struct molt_upgrade_record upgrade;
    /* What changed in the states of live servers and in mutable globals: "counter: +max = 0", a
     * line each, without a newline at the end. malloc'd; NULL: nothing. */
    char *moved;
};

/* Returns outcome->code. Interfaces that were made are added to @set. */
int molt_apply_set(const struct molt_apply_context *context, struct molt_set *set,
                   struct molt_outcome *ret);
void molt_outcome_fini(struct molt_outcome *outcome);

struct molt_preview;

struct molt_preview_options {
    bool is_untried;     /* don't try it on copies */
    bool wants_states;   /* print the old states that change as C */
    uint32_t max_states; /* to be tried of each server; 0: all */
    int deadline_ms;     /* of the trial; 0: the default */
};

/* Called with the preview, which ends when it returns. */
typedef void molt_preview_fn(void *user, const struct molt_preview *preview);

/* What molt_apply_set() would do, without doing it: the host stages the set, tries it on copies
 * unless something speaks against it, and drops it. Interfaces that were made are added to
 * @set. Refusals are part of the preview; an error is that there is none. */
int molt_apply_preview(const struct molt_apply_context *context, struct molt_set *set,
                       const struct molt_preview_options *options, molt_preview_fn *fn, void *user,
                       struct molt_error *err);

/* Put every module that runs into @set, with the image that it has in the
 * store, and start the same root supervisor. */
int molt_apply_learn(const struct molt_apply_context *context, struct molt_set *set,
                     struct molt_error *err);

/* Add the interface objects to @set that a host without any needs. */
int molt_apply_make_interfaces(struct molt_builder *builder, struct molt_set *set,
                               struct molt_error *err);

#endif
