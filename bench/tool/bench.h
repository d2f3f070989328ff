/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * What every benchmark and the demo need around what they measure: an end that
 * leaves nothing behind, a temporary folder, programs beside this one.
 *
 * Unlike libraries these helpers print and exit: they are the edge. Whatever
 * happens, also on SIGINT, SIGTERM and a failed step, all children end, those
 * that a child left behind included, and the temporary folder goes.
 *
 * Threads: the main thread, but for molt_bench_is_stopped().
 */
#ifndef MOLT_BENCH_TOOL_BENCH_H
#define MOLT_BENCH_TOOL_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Once, first of all. @name stands before messages; a static string. */
void molt_bench_init(const char *name);

/* Print "NAME: message" to stderr, clean up, exit 1. */
_Noreturn void molt_bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A line of progress on stderr. */
void molt_bench_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* SIGINT or SIGTERM came. */
bool molt_bench_is_stopped(void);

/* Wait @ms, or less if a signal came; die then. For measured intervals and
 * for polling what has no event. */
void molt_bench_wait(unsigned ms);

/* The temporary folder, made at the first call below the folder of builds that
 * this program was built in. Static. */
const char *molt_bench_folder(void);

/* Leave the folder where it is, to look at it. */
void molt_bench_keep_folder(void);

/* "<folder of this executable>/<@relative>", or $@variable if that is set. The
 * file must exist, else die saying so. Malloc'd. */
char *molt_bench_program(const char *relative, const char *variable);

/* Is there such a program in PATH? */
bool molt_bench_has_program(const char *name);

/* Malloc'd text; dies when out of memory. */
char *molt_bench_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- children --------------------------------------------------------------- */

struct molt_bench_child {
    pid_t pid; /* 0: none, or it was waited for */
    int in;    /* write end of its stdin, or -1 */
    int out;   /* read end of its stdout, or -1 */
};

enum { MOLT_BENCH_PIPES = 1 }; /* flags of molt_bench_start() */

/* Start @argv (searched in PATH) in folder @dir (NULL: here), in a process group
 * of its own; stdout and stderr go to file @log, appended. With PIPES stdin and
 * stdout are pipes instead. Dies if it can't be started. */
struct molt_bench_child molt_bench_start(const char *const *argv, const char *dir, const char *log,
                                         int flags);

/* Wait at most @ms for the end: its status as of waitpid(2), or -1 if it lives. */
int molt_bench_join(struct molt_bench_child *child, unsigned ms);

/* SIGTERM, wait at most @ms, then SIGKILL. True if it ended by itself. */
bool molt_bench_stop(struct molt_bench_child *child, unsigned ms);

/* Run @argv to its end, output to @log. Returns the exit code, 128 + signal. */
int molt_bench_run(const char *const *argv, const char *dir, const char *log);

/* The direct child of @parent whose program is called @name, or 0. */
pid_t molt_bench_find_child(pid_t parent, const char *name);

/* @pid and all below it, at most @max of them; how many. */
size_t molt_bench_tree(pid_t pid, pid_t *pids, size_t max);

/* Let all threads of @pid and of the processes below it run on cores @first to
 * @first + @n - 1 only, with those that they start from now on. */
void molt_bench_bind(pid_t pid, unsigned first, unsigned n);

/* The same for the calling thread, and those that it starts. */
void molt_bench_bind_self(unsigned first, unsigned n);

/* ---- files ------------------------------------------------------------------ */

/* Whole file, NUL-terminated, malloc'd. */
char *molt_bench_read(const char *path);
/* Truncate and write, as `echo >` and many editors do. Returns the time at
 * which close() returned, ns of molt_clock_ns(). */
unsigned long molt_bench_write(const char *path, const char *text);
/* Write a temporary file beside it and rename, as vim and others do; the same
 * time. */
unsigned long molt_bench_rename(const char *path, const char *text);
/* @text with the first @from replaced by @to; malloc'd. Dies without it. */
char *molt_bench_replace(const char *text, const char *from, const char *to);
void molt_bench_mkdir(const char *path); /* with parents */
/* Copy a folder with all below it, without .molt. */
void molt_bench_copy(const char *from, const char *to);
void molt_bench_remove(const char *path); /* with all below it */

#endif
