/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * A rig with a started host and this thread registered, and short ways to
 * write modules. Module code talks to the test through cells, whose addresses
 * are written into its source.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_SOUNDNESS_FIXTURE_H
#define MOLT_TESTS_SOUNDNESS_FIXTURE_H

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conformance/cell.h"
#include "rig/rig.h"

struct sound {
    struct rig *rig;
    struct molt_thread *thread;
    struct cell a, b, c, go; /* CELL_A .. CELL_GO in module sources */
};

typedef int int_fn(void);

void sound_open(struct sound *s);
void sound_open_with(struct sound *s, unsigned workers); /* 0: two */
void sound_close(struct sound *s);

/* Write src/<name>.c (and .h, unless NULL). Sources see <molt/molt.h>, and the
 * macros CELL_A, CELL_B, CELL_C, CELL_GO (volatile long *), SET(cell, value) and
 * WAIT(cell) (sleeps until the cell isn't 0). */
void sound_module(struct sound *s, const char *name, const char *header, const char *source);

/* Upgrade; fails the test if it is refused. Then enter the new world. */
void sound_upgrade(struct sound *s);
/* Upgrade; the result must be @code, and its reason contain @text. */
void sound_refused(struct sound *s, int code, const char *text);

/* Call an exported int f(void). */
int sound_call(struct sound *s, const char *module, const char *name);

/* Start a process of @server under the same name. */
void sound_spawn(const char *server);

/* Wait until @name is registered no more. */
void sound_await_end(const char *name);

#endif
