/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Waiting inside a callback: its stack is put aside until somebody completes
 * the wait (molt_process_complete()), it times out, or the process is asked to
 * end.
 *
 *     ref = molt_wait_begin(p, kind);    what can complete it may be told from here on
 *     molt_wait_for(p, ref, timeout_ms); others run
 *     rc = molt_wait_end(p, &root);
 *
 * A wait of kind SOCKET also goes on when a socket of the process is ready: then
 * molt_wait_stop() says what came first.
 *
 * Threads: the fiber of the process.
 */
#ifndef MOLT_RUNTIME_WAIT_H
#define MOLT_RUNTIME_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include <molt/molt.h>

#include "runtime/activation.h"

struct molt_block;
struct molt_process;

/* The number to complete, or 0 if the process was asked to end: then it doesn't
 * wait at all. */
uint64_t molt_wait_begin(struct molt_process *p, enum molt_wait_kind kind);

/* The same with the number @number, which nobody else has used. */
uint64_t molt_wait_begin_as(struct molt_process *p, enum molt_wait_kind kind, uint64_t number);
/* A number that was never used in the process's slot. */
uint64_t molt_wait_next_ref(struct molt_process *p);
/* For whom it waits, for listings. @name may be NULL. */
void molt_wait_note_whom(struct molt_process *p, const char *name, molt_pid pid);

/* Suspend. @timeout_ms < 0: however long it takes. */
void molt_wait_for(struct molt_process *p, uint64_t ref, int timeout_ms);

/* What it was completed with; a reply (*ret_root, else NULL) becomes the
 * process's. */
int molt_wait_end(struct molt_process *p, struct molt_block **ret_root);

/* Packed blocks become the process's. */
void molt_wait_accept(struct molt_process *p, struct molt_block *root);

/* Nobody was told. Somebody may have completed the wait all the same. */
void molt_wait_abort(struct molt_process *p, uint64_t ref);

/* After a wait that may have gone on without being completed: 0 if so, else
 * the result. */
int molt_wait_stop(struct molt_process *p, uint64_t ref);

/* MOLT_ELOCKED, and a line in the log that names @what, if the callback holds a
 * lock; else 0. */
int molt_wait_check_locks(struct molt_process *p, const char *what);

#endif
