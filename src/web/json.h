/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The JSON shapes of the API: what scripts and dashboards rely on. Keys are
 * only ever added.
 *
 * Everything returns a new reference, or NULL when out of memory.
 *
 * Threads: pure.
 */
#ifndef MOLT_WEB_JSON_H
#define MOLT_WEB_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "control/record.h"

/* [{"module", "version", "name": "counter@2", "is_current", "digest",
 *   "build_id", "base", "bytes", "age_ms", "path", "why"}] */
json_t *molt_json_modules(const struct molt_version_record *list, size_t n);

/* [{"world", "is_current", "age_ms", "bytes", "holds", "owners"}] */
json_t *molt_json_worlds(const struct molt_world_record *list, size_t n);

/* [{"pid", "name", "server", "code", "world", "state", "waiting_for",
 *   "mailbox", "bytes", "callbacks", "parent"}] */
json_t *molt_json_processes(const struct molt_process_record *list, size_t n);

/* [{"supervisor", "pid", "strategy", "children": [{"id", "pid", "restart",
 *   "is_supervisor", "restarts"}]}]; pid 0: it doesn't run */
json_t *molt_json_tree(const struct molt_child_record *list, size_t n);

/* {"processes", "workers", "stacks", "callbacks", "messages", "crashes",
 *  "restarts", "rss_bytes", "uptime_ms", "connections", "spares", "spares_max",
 *  "stack_bytes", "stack_deepest", "preempted", "handovers", "stopped_threads",
 *  "stopped_processes"} */
json_t *molt_json_stats(const struct molt_stats_record *stats);

/* {"error": {"code": "MOLT_EPINNED", "text"}} */
json_t *molt_json_error(int code, const char *text);

/* A string; bytes that are not UTF-8 become '?'. */
json_t *molt_json_text(const char *text);

#endif
