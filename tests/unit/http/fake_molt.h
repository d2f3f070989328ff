/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A runtime for the unit tests of the http module: processes run when the test
 * says so, blocks are malloc'd (so that ASan sees their ends), sockets are
 * buffers, time stands still until it is moved.
 *
 * Readiness is edge-triggered as in the real one: an event is delivered when
 * something changes, and never again. What breaks the rules of molt.h (a
 * foreign block freed, a second descriptor) fails the test on the spot.
 *
 * Threads: one; the fake is one object per test program.
 */
#ifndef MOLT_TESTS_FAKE_MOLT_H
#define MOLT_TESTS_FAKE_MOLT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <molt/http.h>
#include <molt/molt.h>

/* End all processes, forget configuration and log, release all memory. Fails
 * if a block outlived its process. */
void molt_fake_reset(void);

void molt_fake_config(const char *key, const char *value); /* kept by address */
void molt_fake_routes(const struct molt_route *table);     /* one more table */

/* Everything that was logged, a line each. */
const char *molt_fake_log(void);

/* Move the clock; due timers fire in order. */
void molt_fake_advance(unsigned ms);

/* Have the @nth allocation from now on fail (1: the next; 0: none). */
void molt_fake_fail_alloc(unsigned nth);

/* A client's connection: its process has started and waits. -1 if init failed. */
int molt_fake_connect(void);

/* The client's side. send: arrives at once, the process runs. */
void molt_fake_send(int fd, const void *bytes, size_t len);
void molt_fake_send_text(int fd, const char *text);
void molt_fake_shutdown(int fd);                            /* no more input */
void molt_fake_send_and_shutdown(int fd, const char *text); /* in one event */
void molt_fake_break(int fd);                               /* reset by the peer */
/* From now on the process can write @room bytes; SIZE_MAX is no limit. */
void molt_fake_room(int fd, size_t room);
/* At most @max bytes a read or write. */
void molt_fake_pieces(int fd, size_t max);

/* What the client got so far; take forgets it. NUL-terminated. */
const char *molt_fake_received(int fd, size_t *ret_len);
void molt_fake_take(int fd);

bool molt_fake_is_open(int fd); /* the process lives */
int molt_fake_reason(int fd);   /* the code that it ended with */
/* Blocks and bytes that the process owns beside its state. */
size_t molt_fake_blocks(int fd, size_t *ret_bytes);
size_t molt_fake_state_size(const char *server);
unsigned molt_fake_reads(int fd), molt_fake_writes(int fd); /* calls so far */

/* The listener. Its init's code. */
int molt_fake_listen(void);
int molt_fake_queue_client(void);      /* waits to be accepted; its descriptor */
void molt_fake_accept_error(int code); /* what accept answers until it is 0 again */
void molt_fake_listen_error(int code);
void molt_fake_announce(void);    /* the listener's edge */
unsigned molt_fake_accepts(void); /* calls so far */

#endif
