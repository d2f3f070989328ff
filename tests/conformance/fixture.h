/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What the conformance tests share: a rig with module m, whose m_version()
 * answers the number it was written with, and module w, a server whose
 * callback calls m_version(), waits for a cell, and calls it again.
 *
 * Threads: one.
 */
#ifndef MOLT_TESTS_CONFORMANCE_FIXTURE_H
#define MOLT_TESTS_CONFORMANCE_FIXTURE_H

#include <fcntl.h>
#include <pthread.h>
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

typedef int work_fn(const char *, unsigned long, unsigned long, unsigned long);
typedef int version_fn(void);

struct fixture {
    struct rig *rig;
    struct molt_thread *thread; /* the test's */
    version_fn *m_version;
    work_fn *w_work;
    struct cell before, go, after;
};

void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

/* Module m with m_version() == @n, and @more after it. */
void fixture_write(struct rig *rig, int n, const char *more);
/* The same, and upgrade; fails the test if that is refused. */
void fixture_upgrade(struct fixture *f, int n);

/* Start process @name of server w if there is none, have it work, and wait
 * until it saw version @n. It goes on when f->go is set. */
void fixture_work(struct fixture *f, const char *name, int n);

/* Whether the process table has @name. */
bool fixture_lives(const char *name);

#endif
