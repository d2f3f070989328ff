/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A dry run of an upgrade: would the states of the processes that live now become those
 * of the new world? A forked child of the host converts copies of them, author's
 * functions included, while the host serves. If one crashes, loops, ends the child or
 * returns an error, that is what the report says, and nothing here has changed.
 *
 * What it doesn't see: processes that are inside of a callback at this moment (counted as
 * busy), mail, tables, and what changes before the upgrade.
 *
 * Threads: the executor thread of the host, which waits for the child.
 */
#ifndef MOLT_UPGRADE_TRIAL_H
#define MOLT_UPGRADE_TRIAL_H

#include <stdint.h>

#include <molt/host.h>

#include "runtime/trial.h"

struct molt_upgrade_trial {
    struct molt_trial_report *report; /* malloc'd */
    uint64_t ns;                      /* from the fork to the child's end */
};
void molt_upgrade_trial_fini(struct molt_upgrade_trial *trial);

/* Seal @stage if it isn't sealed, decide, and try. The stage stays open: it can be
 * applied, or has to be aborted, also after a failure. @max_states of each server are tried
 * (0: all), within @deadline_ms (0: 5000). MOLT_EREFUSED: the seal or the decision says no; what
 * the trial found is a result. MOLT_ENOMEM, MOLT_EIO: it could not be begun. */
int molt_upgrade_try(struct molt_host *host, uint64_t stage, uint32_t max_states, int deadline_ms,
                     struct molt_upgrade_trial *ret, struct molt_error *err);

#endif
