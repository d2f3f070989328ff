/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Registered foreign threads, and what happens to a call through a thunk that
 * finds no function.
 *
 * Threads: a thread object belongs to the thread that registered it.
 */
#ifndef MOLT_RUNTIME_THREAD_H
#define MOLT_RUNTIME_THREAD_H

#include <pthread.h>

#include <molt/host.h>

#include "runtime/runner.h"

struct molt_runtime;

struct molt_thread {
    struct molt_runner runner;
    struct molt_participant participant;
    pthread_mutex_t lock; /* of the runner's owner: the executor scans it */
    struct molt_thread *next;
};

/* Have failed thunk calls end the process that made them; once per process. */
void molt_runtime_catch_failed_calls(void);

#endif
