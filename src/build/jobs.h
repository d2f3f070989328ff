/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * Running compilers and linkers: several at a time, their output captured.
 *
 * Children get an empty stdin, no descriptor but 0 to 2, default signals, and
 * the environment with LC_ALL=C, so that messages can be parsed.
 *
 * Threads: any; no shared state.
 */
#ifndef MOLT_BUILD_JOBS_H
#define MOLT_BUILD_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <molt/error.h>

#include "base/buf.h"
#include "build/args.h"

struct molt_job {
    struct molt_args argv; /* argv[0] is searched in PATH */
    struct molt_buf out;   /* stdout, NUL-terminated once it ended */
    struct molt_buf err;   /* stderr, the same */
    int status;            /* exit code; 128 + signal; -1: never started */
    pid_t pid;
    int fds[2]; /* read ends while it runs, else -1 */
};

void molt_job_init(struct molt_job *job);
void molt_job_fini(struct molt_job *job);

#define MOLT_INTERRUPT_FDS 2

/* A reason to give up: asked whenever one of @fds (< 0: none) can be read. */
struct molt_interrupt {
    int fds[MOLT_INTERRUPT_FDS];
    bool (*is_due)(void *user); /* has to read from a descriptor that it ignores */
    void *user;
};

/* Run all of @jobs in folder @cwd, at most @parallel at a time, and wait for
 * them. 0 also when some failed (see status); MOLT_EIO when one could not be
 * started: @err says which program is missing. MOLT_ESTALE: @interrupt (may be
 * NULL) was due; those that ran were killed, with what they had started. */
int molt_jobs_run(struct molt_job *jobs, size_t n, unsigned parallel, const char *cwd,
                  const struct molt_interrupt *interrupt, struct molt_error *err);

/* One command; its stdout goes to @ret_out, without the newline at the end.
 * MOLT_EIO if it could not run or failed. */
int molt_job_output(const struct molt_args *argv, const char *cwd, char **ret_out,
                    struct molt_error *err);

#endif
