/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * The last words of a host: when it gets SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 * SIGTRAP or SIGABRT, its frames go to the agent as one MOLT_FRAME_CRASH and to
 * standard error as one line, then the signal takes its default action (a core
 * file, if the system makes one).
 *
 * Everything in the handler is async-signal-safe: no allocation, no lock, no
 * stdio; reads of addresses that may be bad go through the kernel.
 *
 * Threads: install and attach from the executor thread; the handler runs on
 * whichever thread failed, the first one reports, others wait for the end.
 */
#ifndef MOLT_CONTROL_CRASH_H
#define MOLT_CONTROL_CRASH_H

#include <stdint.h>

#include <molt/error.h>

struct molt_code;

/* Handle the signals for the whole OS process and give the calling thread an
 * alternate stack. @code resolves program counters, until uninstalled. Other
 * threads have their own alternate stack, or the handler runs on theirs. One
 * per OS process: MOLT_EBUSY. */
int molt_crash_install(struct molt_code *code, struct molt_error *err);
/* Default actions again. */
void molt_crash_uninstall(void);

/* Where the crash frame goes; -1: nowhere. */
void molt_crash_attach(int fd);

/* Name of a signal for people ("SIGSEGV"), "signal" for others. Any thread. */
const char *molt_crash_signal_name(int signal);

#endif
