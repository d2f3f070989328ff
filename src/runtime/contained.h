/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What is said of a crash that ended only its process.
 *
 * Threads: the worker's own.
 */
#ifndef MOLT_RUNTIME_CONTAINED_H
#define MOLT_RUNTIME_CONTAINED_H

struct molt_process;
struct molt_worker;

/* Take the fault of @w, which ended the callback of @p, count it, and report it:
 * to molt_runtime_config.on_crash, or to the log, as "module@version+0xoffset"
 * for each frame. Once per crash. */
void molt_crash_report_contained(struct molt_worker *w, struct molt_process *p);

#endif
