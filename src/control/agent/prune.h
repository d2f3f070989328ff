/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Old images leave the store: those that no set refers to, that no host has
 * mapped or keeps, and that aren't among the newest of their module, which stay
 * for going back, for core files and for debuggers.
 *
 * Threads: one at a time for a store.
 */
#ifndef MOLT_CONTROL_AGENT_PRUNE_H
#define MOLT_CONTROL_AGENT_PRUNE_H

#include <stddef.h>
#include <sys/types.h>

#include <molt/error.h>

struct molt_crash_image;
struct molt_set;

#define MOLT_PRUNE_NEWEST 8 /* files of a module that always stay */

struct molt_prune {
    const char *folder; /* .molt: its set, and store/ in it */
    pid_t host;         /* what this process has mapped stays; 0: none */
    size_t n_sets;
    const struct molt_set *const *sets; /* entries may be NULL */
    size_t n_images;
    const struct molt_crash_image *images; /* versions in the host */
};

/* Returns how many files were removed. A negative code, and nothing is removed,
 * if it can't be known what is needed: MOLT_EFORMAT (the set in the folder),
 * MOLT_EIO, MOLT_ENOMEM. */
int molt_prune_store(const struct molt_prune *prune, struct molt_error *err);

#endif
