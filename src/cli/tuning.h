/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Options of the commands that start a host, for its scheduler.
 *
 * Threads: pure.
 */
#ifndef MOLT_CLI_TUNING_H
#define MOLT_CLI_TUNING_H

#include "cli/command.h"
#include "control/agent/tuning.h"

/* Entries of a command's table of options. */
#define MOLT_TUNING_OPTIONS                                                                        \
    {"workers", "N", "threads that run processes; default: one per core"},                         \
        {"pinned", NULL, "each of them on a core of its own"},                                     \
        {"spare", "N", "more threads, for when callbacks block theirs; default: 8"},               \
    {                                                                                              \
        "stack", "KIB", "stack of a callback; default: 256"                                        \
    }

/* What was given of these. MOLT_EINVAL says what is wrong. */
int molt_tuning_read(const struct molt_cli_args *args, struct molt_tuning *ret,
                     struct molt_error *err);

#endif
