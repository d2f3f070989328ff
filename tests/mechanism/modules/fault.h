/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* What the test of crash containment asks of the module that fails. */
#ifndef MOLT_TESTS_MECHANISM_FAULT_H
#define MOLT_TESTS_MECHANISM_FAULT_H

#include "port/fault.h"

struct fault_way {
    const char *name; /* NULL ends the list */
    int (*run)(void *arg);
    enum molt_fault_kind kind;
    int signal;
    int frames_min; /* of the flow, at least */
};

extern const struct fault_way fault_ways[], fault_leaf_ways[], fault_fatal_ways[];

#endif
