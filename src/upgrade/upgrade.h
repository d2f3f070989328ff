/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * An upgrade: stage a set of modules, check it, convert what must be
 * converted, switch; all of it or nothing.
 *
 * Threads: the executor thread of the host.
 */
#ifndef MOLT_UPGRADE_UPGRADE_H
#define MOLT_UPGRADE_UPGRADE_H

#include <stddef.h>
#include <stdint.h>

#include <molt/host.h>

#include "code/code.h"
#include "runtime/runtime.h"

struct molt_upgrade_change {
    char module[64];
    unsigned old_number; /* 0: added */
    unsigned new_number; /* 0: deleted */
};

struct molt_upgrade_result {
    uint64_t world;
    size_t n_changes;
    struct molt_upgrade_change *changes; /* malloc'd */
    struct molt_conversion_result conversion;
    uint64_t check_ns, wait_ns, switch_ns;
};
void molt_upgrade_result_fini(struct molt_upgrade_result *result);

/* Seal @stage, decide, convert, commit. On failure the stage is aborted, and
 * MOLT_EREFUSED or the code of what failed says why in @err; every process goes
 * on as before. @deadline_ms bounds the wait for stragglers and mail that
 * would need conversion (0: 2000). */
int molt_upgrade_apply(struct molt_host *host, uint64_t stage, int deadline_ms,
                       struct molt_upgrade_result *ret, struct molt_error *err);

/* Let old versions of @module (NULL: all) go whose pins are gone. With
 * @is_hard, on the operator's word: kill the processes that pin @number of
 * @module first. Foreign threads and libraries can't be killed: MOLT_EPINNED
 * names them. MOLT_ENOENT: no such module or version ever was. */
int molt_upgrade_purge(struct molt_host *host, const char *module, unsigned number, int is_hard,
                       unsigned *ret_unloaded, unsigned *ret_killed, struct molt_error *err);

struct molt_code *molt_host_code(struct molt_host *host);
struct molt_runtime *molt_host_runtime(struct molt_host *host);

/* Readable when molt_host_housekeep() has something to do (worlds to free,
 * images to unload). Owned by the host. */
int molt_host_event_fd(const struct molt_host *host);

/* Free worlds that nobody is in, unload images that nothing pins; while pins
 * remain, look again later. Never waits for callbacks beyond 100 ms. Returns
 * the number of images unloaded. */
int molt_host_housekeep(struct molt_host *host);

/* Called by housekeeping and purging for each old version that left memory;
 * replaces an earlier one. Must not call back. */
typedef void molt_unloaded_fn(void *user, const char *module, unsigned number,
                              uint64_t retained_ms);
void molt_host_on_unloaded(struct molt_host *host, molt_unloaded_fn *fn, void *user);

/* Negative: the root supervisor ended with that: nothing supervises the app any more.
 * MOLT_ESHUTDOWN: in order, by itself or because the host was stopped. 0: it lives.
 * The descriptor above is readable when this changes. */
int molt_host_root_end(const struct molt_host *host);

/* Called for each crash that ended only its process, on the worker, instead of a
 * message to the log; to be set before the host is started. */
typedef void molt_crash_fn(void *user, const struct molt_runtime_crash *crash);
void molt_host_on_crash(struct molt_host *host, molt_crash_fn *fn, void *user);

#endif
