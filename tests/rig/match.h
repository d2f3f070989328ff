/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The part of the rig that the agent has in control/agent/matched: how the values of
 * a module that is replaced follow, and how they would come back.
 *
 * Threads: the rig's.
 */
#ifndef MOLT_TESTS_RIG_MATCH_H
#define MOLT_TESTS_RIG_MATCH_H

#include <stdint.h>

#include "code/code.h"

struct rig_match {
    struct molt_code *code;
    uint64_t stage;
    const char *project; /* root folder; old images are in its .molt/store */
};

/* Match what runs of @module with the image that is staged, and stage the recipes and
 * moves. 0 also if nothing runs, or just that. */
int rig_match_module(const struct rig_match *how, const char *module, const char *image_path,
                     struct molt_error *err);

#endif
