/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The JSON shape of what an upgrade would do. Keys are only ever added.
 *
 * Threads: pure.
 */
#ifndef MOLT_WEB_PLAN_JSON_H
#define MOLT_WEB_PLAN_JSON_H

#include <jansson.h>

struct molt_preview;

/* {"refused", "text": for people, "modules": [{"module", "change": "added", "changed",
 *   "headers" or "removed", "old_version", "unseen": lines}],
 *  "types": [{"module", "type", "verdict": "automatic", "hinted", "change" or "refused",
 *    "reach_only", "lines", "lost", "lost_back", "refusals", "refusals_back":
 *    [{"rule", "field", "why", "remedy", "place"}]}],
 *  "servers": [{"server", "state", "processes", "fate": "stays", "follows", "change", "stuck" or
 *    "gone", "new_code"}],
 *  "refusals": [{"module", "old_version", "what", "remedy"}],
 *  "refusal": of the host, or null, "untried": why, or null,
 *  "old_states": C declarations of the states that change, or null,
 *  "trial": null or {"ns", "bytes", "failed", "cut", "servers": [{"server", "processes", "tried",
 *    "converted", "busy", "failed"}], "failures": [{"pid", "process", "why", "module", "version",
 *    "offset", "place"}]}}
 * A new reference; NULL when out of memory. */
json_t *molt_json_plan(const struct molt_preview *preview);

#endif
