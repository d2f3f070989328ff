/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/*
 * `molt dev` in a folder, as a person would start it, and its API.
 *
 * Threads: one.
 */
#ifndef MOLT_BENCH_TOOL_DEV_H
#define MOLT_BENCH_TOOL_DEV_H

#include <jansson.h>
#include <stdint.h>

#include "tool/bench.h"
#include "tool/talk.h"

struct molt_bench_dev {
    char *root, *log, *socket;
    unsigned port;
    struct molt_bench_child child;
    struct molt_bench_talk api;
};

/* Start it in @root, whose app serves on @port; @share (NULL: molt's own) is
 * where headers and shipped modules are. Returns when GET / answers with
 * @prefix; dies with what molt said if that doesn't happen within a minute. */
void molt_bench_dev_start(struct molt_bench_dev *dev, const char *root, const char *share,
                          unsigned port, const char *prefix);
void molt_bench_dev_stop(struct molt_bench_dev *dev);

/* GET @path of the API; a new reference, NULL if there was no answer. */
json_t *molt_bench_dev_get(struct molt_bench_dev *dev, const char *path);

/* The process that serves. */
pid_t molt_bench_dev_host(struct molt_bench_dev *dev);

/* What molt can't do now ("compile error"), or ""; static until the next call. */
const char *molt_bench_dev_problem(struct molt_bench_dev *dev);

/* Dies if the agent ended, with the end of its log. */
void molt_bench_dev_check(struct molt_bench_dev *dev);

/* Die, showing the last lines that molt printed. */
_Noreturn void molt_bench_dev_die(const struct molt_bench_dev *dev, const char *what);

#endif
