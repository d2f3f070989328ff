/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Log messages, and reports of crashes among them, on their way from any thread to the executor: a
 * bounded ring. When it is full the oldest message gives way, and the reader is told how many did;
 * whoever logs never waits for the reader.
 *
 * Threads: molt_log_ring_push() from any; the rest from one reader.
 * Locks:   molt_log_ring.lock, held for one copy of a message; nothing nests.
 */
#ifndef MOLT_CONTROL_LOG_RING_H
#define MOLT_CONTROL_LOG_RING_H

#include <stddef.h>
#include <stdint.h>

#include <molt/molt.h>

#include "base/buf.h"

#define MOLT_LOG_TEXT_MAX 1024

struct molt_log_ring;

/* @capacity messages, at least 1. MOLT_ENOMEM, MOLT_EIO. */
int molt_log_ring_new(size_t capacity, struct molt_log_ring **ret);
void molt_log_ring_free(struct molt_log_ring *ring);

/* Readable while there are messages. */
int molt_log_ring_fd(const struct molt_log_ring *ring);

/* A molt_log_fn: @ring is the user pointer. Longer texts are cut. */
void molt_log_ring_push(void *ring, enum molt_level level, const char *text);

/* A crash in its place among the messages: @payload, of a MOLT_FRAME_CONTAINED, is
 * consumed. One whose memory ran out counts as dropped. */
void molt_log_ring_push_crash(struct molt_log_ring *ring, struct molt_buf *payload);

struct molt_log_entry {
    struct molt_buf crash; /* the taker's to free; empty: a message */
    enum molt_level level;
    char text[MOLT_LOG_TEXT_MAX];
};

/* The oldest into *ret: 1; 0 if there is none. *ret_lost: how many were dropped
 * before it since the last call. */
int molt_log_ring_pop(struct molt_log_ring *ring, struct molt_log_entry *ret, uint64_t *ret_lost);

#endif
