/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* Small things that the showing commands share. Threads: pure. */
#ifndef MOLT_CLI_SHOW_H
#define MOLT_CLI_SHOW_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define MOLT_SHOW_MAX 32

/* "1.2 MiB", "34 KiB"; "3 s", "2 h 5 min". */
const char *molt_show_bytes(uint64_t bytes, char buf[MOLT_SHOW_MAX]);
const char *molt_show_ms(uint64_t ms, char buf[MOLT_SHOW_MAX]);

/* Members; "" and 0 where absent. */
const char *molt_show_text(json_t *doc, const char *key);
uint64_t molt_show_number(json_t *doc, const char *key);

#endif
