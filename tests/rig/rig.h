/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A rig: a project in a folder of its own, the real builder, and a real host
 * in the test's own process. What the agent does by socket, the rig does by
 * call.
 *
 * Whatever goes wrong in the rig itself fails the running test; what the code
 * under test answers is returned.
 *
 * Threads: one, but for what a test starts itself.
 */
#ifndef MOLT_TESTS_RIG_H
#define MOLT_TESTS_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/host.h>

#include "build/build.h"
#include "upgrade/upgrade.h"

struct rig;

struct rig_options {
    const char *cc;      /* NULL: gcc */
    const char *cflags;  /* NULL: "-O1 -g" */
    unsigned workers;    /* 0: 2 */
    unsigned worlds_max; /* 0: the default */
    bool is_sealed;
};

struct rig *rig_new(const struct rig_options *options); /* NULL: defaults */
void rig_free(struct rig *rig);
struct molt_host *rig_host(struct rig *rig);
const char *rig_root(const struct rig *rig);

/* Write or remove a file of the project ("src/a.c"). */
void rig_write(struct rig *rig, const char *path, const char *text);
void rig_remove(struct rig *rig, const char *path);

/* Build the project; 0 or the build's code, its text in rig_error(). */
int rig_build(struct rig *rig);

/* Stage what was built last, without applying; *ret_stage for the calls below. */
int rig_stage(struct rig *rig, uint64_t *ret_stage);
int rig_apply(struct rig *rig, uint64_t stage, int deadline_ms);

/* Build, stage and apply. 0 or a negative code. */
int rig_upgrade(struct rig *rig);
int rig_upgrade_within(struct rig *rig, int deadline_ms);

/* Reason of the last call that failed; "" if it didn't. */
const char *rig_error(const struct rig *rig);
/* Of the last rig_apply() or rig_upgrade(). */
const struct molt_upgrade_result *rig_result(const struct rig *rig);

/* Number of the current version of @module, 0 if there is none. */
unsigned rig_version(struct rig *rig, const char *module);
/* Old versions of @module in memory. */
unsigned rig_old(struct rig *rig, const char *module);
/* Why the oldest of them stays ("" if unknown). Until the next call. */
const char *rig_why(struct rig *rig, const char *module);
/* Let everything go that can; the number of images unloaded. */
int rig_reclaim(struct rig *rig);
/* Reclaim, waking on the host's events, until @module has no old version;
 * fails the test after @timeout_ms. */
void rig_await_unloaded(struct rig *rig, const char *module, int timeout_ms);

/* The canonical address of an exported function. Fails the test if there is
 * no such export. */
void *rig_function(struct rig *rig, const char *module, const char *name);

/* What was built last for @module; fails the test if nothing was. Valid until
 * the next build. */
const struct molt_built_module *rig_built(struct rig *rig, const char *module);

/* Register the calling thread with the host, so that it may call modules. */
struct molt_thread *rig_enter(struct rig *rig);

#endif
