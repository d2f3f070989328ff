/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Log messages on their way from any thread to the executor: a bounded ring.
 * When it is full the oldest message gives way, and the reader is told how many
 * did; whoever logs never waits for the reader.
 *
 * Threads: molt_log_ring_push() from any; the rest from one reader.
 * Locks:   molt_log_ring.lock, held for one copy of a message; nothing nests.
 */
#ifndef MOLT_CONTROL_LOG_RING_H
#define MOLT_CONTROL_LOG_RING_H

#include <stddef.h>
#include <stdint.h>

#include <molt/molt.h>

#define MOLT_LOG_TEXT_MAX 1024

struct molt_log_ring;

/* @capacity messages, at least 1. MOLT_ENOMEM, MOLT_EIO. */
int molt_log_ring_new(size_t capacity, struct molt_log_ring **ret);
void molt_log_ring_free(struct molt_log_ring *ring);

/* Readable while there are messages. */
int molt_log_ring_fd(const struct molt_log_ring *ring);

/* A molt_log_fn: @ring is the user pointer. Longer texts are cut. */
void molt_log_ring_push(void *ring, enum molt_level level, const char *text);

/* The oldest message into @ret_text: 1; 0 if there is none. *ret_lost: how many
 * were dropped before it since the last call. */
int molt_log_ring_pop(struct molt_log_ring *ring, enum molt_level *ret_level,
                      char ret_text[MOLT_LOG_TEXT_MAX], uint64_t *ret_lost);

#endif
