/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What a match of two images found, into a stage of the host: how values and
 * pointers follow.
 *
 * Threads: the agent's.
 */
#ifndef MOLT_CONTROL_AGENT_SEND_MATCH_H
#define MOLT_CONTROL_AGENT_SEND_MATCH_H

#include <stdint.h>

#include <molt/error.h>

struct molt_link;
struct molt_match;

/* Send the recipes and moves of @match into @stage, after the modules that they are about.
 * Types without a recipe (refused ones) are left out: whoever sends a match has looked at its
 * refusals. @timeout_ms for each answer. The host's refusal, or as molt_link_request(); the
 * stage has to be aborted then. */
int molt_agent_send_match(struct molt_link *link, uint64_t stage, const struct molt_match *match,
                          int timeout_ms, struct molt_error *err);

#endif
