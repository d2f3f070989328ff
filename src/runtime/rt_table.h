/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What joins the tables (table.h) to a runtime's processes, blocks and scan.
 *
 * Threads: init and fini by who makes the runtime; the other by whoever ends a
 * process.
 */
#ifndef MOLT_RUNTIME_RT_TABLE_H
#define MOLT_RUNTIME_RT_TABLE_H

#include <molt/molt.h>

struct molt_block_cache;
struct molt_runtime;

/* rt->tables; its fini is molt_tables_fini(). */
void molt_runtime_init_tables(struct molt_runtime *rt);

/* Process @pid is no longer findable: its tables go, or their heirs are told. */
void molt_runtime_bequeath_tables(struct molt_runtime *rt, struct molt_block_cache *cache,
                                  molt_pid pid);

#endif
