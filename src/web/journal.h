/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The last messages of an app: what its processes and its host logged, and what the
 * agent has to say of upgrades and crashes. Bounded; the oldest give way. Numbers
 * count from 1 without gaps, so a reader sees what it missed.
 *
 * Threads: one.
 */
#ifndef MOLT_WEB_JOURNAL_H
#define MOLT_WEB_JOURNAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/molt.h>

#define MOLT_JOURNAL_MAX 1000 /* messages kept */

struct molt_journal;

int molt_journal_new(struct molt_journal **ret);
void molt_journal_free(struct molt_journal *journal);

/* @time_ms since 1970. Out of memory: a message without its text. */
void molt_journal_push(struct molt_journal *journal, uint64_t time_ms, enum molt_level level,
                       const char *text);

/* Number of the newest message; 0: there was none. */
uint64_t molt_journal_newest(const struct molt_journal *journal);

/* [{"number", "time_ms", "level": "info", "text"}], those with numbers above @after
 * that are still there, oldest first. A new reference; NULL when out of memory. */
json_t *molt_journal_json(const struct molt_journal *journal, uint64_t after);

#endif
