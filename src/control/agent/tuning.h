/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * How a host's scheduler is set up, which is fixed when the host starts: what the
 * command line says, else what molt.conf says, else the host's own default.
 *
 * Threads: pure functions.
 */
#ifndef MOLT_CONTROL_AGENT_TUNING_H
#define MOLT_CONTROL_AGENT_TUNING_H

#include <stdbool.h>

struct molt_set;

/* 0, false: not said. */
struct molt_tuning {
    unsigned workers, spares;
    unsigned long stack_kib;
    bool is_pinned;
};

/* @given, with what it leaves open as the configuration of @set has it. */
struct molt_tuning molt_tuning_of(const struct molt_tuning *given, const struct molt_set *set);

#endif
