/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * From an interrupted instruction down to the entry of its flow: is each frame
 * module text?
 *
 * Threads: for signal handlers of the thread concerned. Locks: none.
 */
#ifndef MOLT_PORT_WALK_H
#define MOLT_PORT_WALK_H

#include "port/flow.h"
#include "port/unwind.h"

struct molt_walk {
    struct molt_unwind at; /* where the walk begins, then where it got to */
    bool (*is_module_text)(void *user, uintptr_t pc);
    void *user;
    uintptr_t *pcs; /* room for @max; innermost first */
    size_t max;
    size_t n_pcs, n_frames; /* kept, seen; start at 0 or behind what was kept before */
};

/* True: every frame from w->at to molt_flow_call() of @flow is module text.
 * False at the first one that isn't or that can't be walked through. */
bool molt_walk(struct molt_walk *w, const struct molt_flow *flow);

/* Note a frame. */
void molt_walk_keep(struct molt_walk *w, uintptr_t pc);

/* The part of the stack of @flow that may be read. */
uintptr_t molt_walk_low(const struct molt_flow *flow);
uintptr_t molt_walk_high(const struct molt_flow *flow);

#endif
