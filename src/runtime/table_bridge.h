/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Operations of code that knows another layout than the table has: each row is converted
 * on its way in and out. Since an upgrade converts the tables' rows before it is made, this is
 * for code of an older world until its callbacks end.
 *
 * What changes a row is: copy the whole row, convert, decide, convert back, and swap for it
 * if it is still the same, else again; so each operation is as atomic as those of the table's own
 * layout, and somebody gets on whenever somebody has to repeat. What the caller's layout doesn't
 * know of a row stays as it was, unless a put or swap replaces a row that the caller's
 * layout couldn't hold.
 *
 * MOLT_ETYPE: nothing leads from one layout to the other. MOLT_ECHANGE: this key or row can't
 * be converted; nothing was changed.
 *
 * Threads: any that has entered; its world keeps the recipes.
 */
#ifndef MOLT_RUNTIME_TABLE_BRIDGE_H
#define MOLT_RUNTIME_TABLE_BRIDGE_H

#include "runtime/table_visit.h"

/* The caller's key as words of the table's layout; also the way for own types. */
int molt_table_bridge_key(struct molt_tables *tables, const struct molt_table_layout *layout,
                          const struct molt_table_args *args, uint64_t *ret_words);

int molt_table_bridge_get(struct molt_tables *tables, struct molt_table_visit *v,
                          const struct molt_table_args *args, void *ret_value);

/* @w->op and its values, which have the caller's layout; its key and shard are set here. */
int molt_table_bridge_write(struct molt_tables *tables, struct molt_table_visit *v,
                            const struct molt_table_args *args, struct molt_table_write *w);

int molt_table_bridge_step(struct molt_tables *tables, struct molt_table_visit *v,
                           const struct molt_table_args *args, enum molt_table_step step,
                           void *ret_key, const struct molt_type *ret_key_type, void *ret_value);

#endif
